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

        def told(ok: bool) -> None:
            done(ok)
            if ok:  # a test that sees it finds it in the store
                reject = record.reject
                why = "" if reject is None else f"{reject.reason} {reject.path} {reject.detail}"
                self.traffic.add("up" if reject is None else "refused", topic, payload, device, why)

        record = super()._publish(principal, topic, payload, qos, retain, extra_rows, told, source)
        return record

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
        """The first deadline of a command."""
        return self.flow.next_due()

    def wake(self) -> None:
        """Decide about what is due."""
        self.flow.tick()

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
