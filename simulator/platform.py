"""The platform of a scenario: sends commands over MQTT and notes how each ends.

From a bridge it hears every state (docs/commands.md). Any other broker carries the results alone: then a command is
`succeeded`, `rejected`, or `unanswered`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, get_args

import msgspec

from bridge.mqtt.packets import Connect
from schemas import build, kinds
from schemas.envelope import CODE_ACCEPTED, encode, new_mid
from schemas.notices import OPEN, State
from simulator.device import topic_prefix
from simulator.identity import DeviceSpec
from simulator.link import ASKING, CLOSED, READY, Link

AGAIN_S: Final = 0.5
"""Between two attempts to connect."""
GOODBYE_S: Final = 2.0
QUEUE: Final = 100_000
OUTCOMES: Final = (*(state for state in get_args(State) if state not in OPEN), "refused", "unanswered")
"""How a command may end: in a state of the bridge, refused by it, or without a word."""


class _Told(msgspec.Struct):
    mid: str | None = None
    reply: str | None = None
    state: str | None = None
    code: int | None = None
    reason: str | None = None


class Platform:
    """One connection. `rung` is called after every word about a command."""

    def __init__(
        self,
        broker: tuple[str, int],
        specs: Iterable[DeviceSpec],
        username: str | None,
        password: str | None,
        rung: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._rung = rung
        self.states: dict[str, str] = {}
        """Mid -> the state that it is in; empty while nothing was heard of it."""
        specs = tuple(specs)
        self._prefixes = {spec.uid: topic_prefix(spec, 1) for spec in specs}
        secret = None if password is None else password.encode()
        hello = Connect(f"ems-sim-{new_mid()[:8]}", True, 60, username, secret)
        self._link = Link(self, hello, sorted(set(_filters(specs))), queue_limit=QUEUE)
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self.reason = ""

    @property
    def is_online(self) -> bool:
        """Connected and subscribed."""
        return self._link.state == READY

    def send(self, uid: str, command: str, data: object = None) -> str:
        """Send `feature/action` to a device; gives its mid. ValueError for an unknown command."""
        kind = kinds.command(*command.split("/", 1)) if command.count("/") == 1 else None
        if kind is None:
            raise ValueError(f"no command {command!r} is known")
        message = build.command(kind, uid, data, int(time.time() * 1000))
        self.states[message.mid] = ""
        self._link.publish([(f"{self._prefixes[uid]}/{kind.suffix}", encode(message))])
        return message.mid

    @property
    def open(self) -> int:
        """Commands without an outcome."""
        return sum(state not in OUTCOMES for state in self.states.values())

    def outcomes(self) -> dict[str, int]:
        """How many commands were sent, and how many ended in which way; those without an outcome are `unanswered`."""
        counted = Counter(state if state in OUTCOMES else "unanswered" for state in self.states.values())
        return {"sent": len(self.states)} | {name: counted[name] for name in OUTCOMES}

    async def __aenter__(self) -> Platform:
        self._task = asyncio.create_task(self._stay(), name="platform")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._link.state in (ASKING, READY):
            self._lost.clear()
            self._link.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._lost.wait()

    async def _stay(self) -> None:
        while True:
            self._lost.clear()
            if await self._link.open(*self._broker):
                await self._hold()
            self.reason = self._link.reason
            await asyncio.sleep(AGAIN_S)

    async def _hold(self) -> None:
        """Until the connection is lost."""
        while self._link.state != CLOSED:
            self._link.tick()
            try:
                async with asyncio.timeout(1.0):
                    await self._lost.wait()
            except TimeoutError:
                continue

    # The link's peer.

    def online(self) -> None:
        """Subscribed."""
        self._rung()

    def offline_because(self, reason: str) -> None:
        """It is opened again."""
        self.reason = reason
        self._lost.set()

    def acked(self, seconds: float) -> None:
        """The broker has it."""

    def message(self, topic: str, payload: bytes) -> None:
        """A result, a state, or a refusal."""
        try:
            told = _read(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if topic.startswith("bridge/"):
            state = "refused" if told.reason is not None else told.state
            self._note(told.mid, state or "", final=True)
        elif told.reply is not None:
            self._note(told.reply, "succeeded" if told.code in (None, CODE_ACCEPTED) else "rejected", final=False)

    def _note(self, mid: str | None, state: str, *, final: bool) -> None:
        """What the bridge says goes before what we read in results."""
        if mid is None or mid not in self.states or not state:
            return
        if final or not self.states[mid]:
            self.states[mid] = state
        self._rung()


def _filters(specs: Iterable[DeviceSpec]) -> list[str]:
    found = []
    for spec in specs:
        if spec.prefix:
            found.append(f"{spec.prefix}/+/+/+/result")
        else:
            found += [f"v1/{spec.scheme}/{spec.owner}/+/+/+/result", f"v2/{spec.scheme}/{spec.owner}/+/+/+/result"]
        found += [f"bridge/v1/{spec.owner}/+/command/+", f"bridge/v1/{spec.owner}/+/error"]
    return found


_read: Callable[[bytes], Any] = msgspec.json.Decoder(_Told).decode
