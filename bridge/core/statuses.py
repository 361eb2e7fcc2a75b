"""What is told of a command when it moves: the status topic and the event stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from bridge.core.events import Events
from bridge.core.record import Done, Record, Route
from bridge.store.ledger import Untold

RETRY_S = 1.0
"""After a commit that failed. What is owed is bounded by the moves of open commands, and they cannot be stored either."""

_json = msgspec.json.Encoder()


class Told(Protocol):
    """Whose state is told: `known_as` is the mid as its sender spells it."""

    @property
    def known_as(self) -> str: ...
    @property
    def device(self) -> str: ...


class Statuses:
    """Tells owners' topics and listeners of each move, in the order of the moves."""

    def __init__(
        self,
        submit: Callable[[Record, Done | None], None],
        owners: Callable[[str], tuple[str, ...]],
        events: Events,
        now: Callable[[], int],
        heard: Callable[[str], bool],
    ) -> None:
        self._submit = submit
        self._owners = owners
        self._events = events
        self._now = now
        self._heard = heard
        self._owed: list[Route] = []

    def tell(self, command: Told, state: str, code: int | None = None, msg: str = "", at: int | None = None) -> None:
        """The command has come to `state`, at `at` (ms, else now)."""
        mid, device = command.known_as, command.device
        listening, heard = self._events.wants("command"), self._heard("bridge")
        if not listening and not heard:
            return  # which spares one command in eight of its CPU
        status = {"mid": mid, "state": state, "code": code, "msg": msg, "at": self._now() if at is None else at}
        if listening:
            self._events.publish("command", device, {"device": device, **status})
        if not heard:
            return
        topics = tuple(f"bridge/v1/{owner}/{device}/command/{mid}" for owner in self._owners(device))
        if topics:
            self._send(Route(topics, _json.encode(status)))

    def _send(self, route: Route) -> None:
        record = Record()
        record.routes.append(route)
        self._submit(record, lambda ok: None if ok else self._keep(route))

    def _keep(self, route: Route) -> None:
        """It could not be stored for those who are away (disk full): again, in the order of the moves."""
        if not self._owed:
            asyncio.get_running_loop().call_later(RETRY_S, self._send_owed)
        self._owed.append(route)

    def _send_owed(self) -> None:
        owed, self._owed = self._owed, []
        for route in owed:
            self._send(route)

    def make_up(self, untold: Iterable[Untold]) -> None:
        """At start: what the last process committed and was killed before it could tell."""
        for move in untold:
            self.tell(move, move.state, move.code, move.msg or (move.cause if move.code is None else ""), move.at)
