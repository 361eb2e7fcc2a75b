"""A house that tells what goes over it, and its place on a held clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from bridge.app.house import House
from bridge.core.flow import committed
from bridge.core.open_command import Open
from bridge.core.principal import Principal
from bridge.core.record import Done, Record, Row
from bridge.testing.traffic import Traffic

SETTLE_S: Final = 0.5
"""How long a device may take for its PUBACK before a held clock goes on without it."""
LOOK_S: Final = 0.001


class Watched(House):
    """A House whose messages go into `traffic` too; `rung` is called after each."""

    traffic: Traffic
    rung: Callable[[], None]

    def _publish(
        self,
        principal: Principal,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        extra_rows: list[Row],
        done: Done,
        source: Any = None,
    ) -> Record:
        device = principal.name if principal.kind == "device" else ""

        made: list[Record] = []
        early: list[bool] = []

        def note(record: Record) -> None:
            reject = record.reject
            why = "" if reject is None else f"{reject.reason} {reject.path} {reject.detail}"
            self.traffic.add("up" if reject is None else "refused", topic, payload, device, why)

        def told(ok: bool) -> None:
            done(ok)
            if not made:  # nothing of it is committed: it is done before there is a Record to look at
                early.append(ok)
            elif ok:  # a test that sees it finds it in the store
                note(made[0])

        made.append(super()._publish(principal, topic, payload, qos, retain, extra_rows, told, source))
        if any(early):
            note(made[0])
        return made[0]

    def _deliver(
        self, uid: str, topics: tuple[str, ...], payload: bytes, acked: Callable[[], None], expires: int
    ) -> str | None:
        topic = super()._deliver(uid, topics, payload, acked, expires)
        if topic is not None:
            self.traffic.add("down", topic, payload, uid)
        return topic

    def _committed(self, record: Record) -> None:
        super()._committed(record)
        asyncio.get_running_loop().call_soon(self.rung)  # when its effects have run

    # On a held clock (bridge.testing.clock.Follower).

    def next_due(self) -> float | None:
        """The first deadline: of a command, a session, a will, a retained message."""
        return min((at for at in (self.flow.next_due(), self._timers.next_due()) if at is not None), default=None)

    def wake(self) -> None:
        """Decide about what is due."""
        self.flow.tick()
        self._timers.run()

    async def settled(self) -> None:
        """Until nothing is being committed, and no device owes a PUBACK (or takes too long for it)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while True:
                    while self._moving():  # noqa: ASYNC110 - commands ring no bell
                        await asyncio.sleep(LOOK_S)
                    await committed(self.submit, Record())
                    if not self._moving():
                        return

    def waiting(self) -> list[Open]:
        """The commands without an outcome, as they stand."""
        return list(self.flow.open.values())

    def _moving(self) -> bool:
        return any(command.deciding or command.state == "sent" for command in self.flow.open.values())
