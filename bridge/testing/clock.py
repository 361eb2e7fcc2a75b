"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final, Protocol

from bridge.app.clock import Clock as Real

RETRY_S: Final = 0.01
"""What a courier waits before its next attempt, whatever it would wait outside of tests."""


class Impatient(Real):
    """The real time, but for couriers: they repeat at once."""

    async def pause(self, seconds: float) -> None:
        """A moment, whatever is asked for."""
        await asyncio.sleep(min(seconds, RETRY_S))


class Follower(Protocol):
    """What goes by the clock."""

    def next_due(self) -> float | None:
        """When it has something to do next, as a moment of the timer."""

    def wake(self) -> None:
        """The clock has moved."""

    async def settled(self) -> None:
        """Until all that the clock has caused so far is done."""


class Clock(Impatient):
    """What `ems_clock` gives. Deadlines, holds and timestamps of the bridge, and the reports and delays of simulated devices
    go by it; connections (keep-alive, reconnects) go on by the system's."""

    def __init__(self, start: datetime | str | None = None) -> None:
        """`start`: the moment at which it stands, a datetime with a zone or one as text; without it the present. Raises
        ValueError."""
        self._began_ms = int((time.time() if start is None else _moment(start).timestamp()) * 1000)
        self._passed = 0.0
        self._followers: list[Follower] = []
        self._call: Callable[[Coroutine[Any, Any, None]], None] | None = None

    def now_ms(self) -> int:
        """Epoch ms: the moment of its making, and what it was moved since."""
        return self._began_ms + int(self._passed * 1000)

    def timer(self) -> float:
        """Seconds that it was moved."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Move it, from one deadline to the next; return when all that came of it is committed, and answered by simulated
        devices."""
        if seconds < 0:
            raise ValueError("time does not go back")
        if not math.isfinite(seconds):
            raise ValueError(f"time goes on by a number of seconds, not by {seconds}")
        if self._call is None:
            self._passed += seconds
            return
        self._call(self._advance(self._passed + seconds))

    def follow(self, follower: Follower, call: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Let something go by this clock; `call` runs a coroutine where it lives."""
        self._followers.append(follower)
        self._call = call

    def leave(self, follower: Follower) -> None:
        """It has ended."""
        self._followers.remove(follower)

    async def _advance(self, target: float) -> None:
        await self._settled()
        while True:
            due = [at for each in self._followers if (at := each.next_due()) is not None and at > self._passed]
            step = min([target, *due])
            self._passed = max(self._passed, step)
            for each in self._followers:
                each.wake()
            await self._settled()
            if step >= target:
                return

    async def _settled(self) -> None:
        for _ in range(2):  # what one has done may be the other's to answer
            for each in self._followers:
                await each.settled()


def _moment(start: datetime | str) -> datetime:
    moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    if moment.tzinfo is None:
        raise ValueError(f"{start} names no zone: a clock starts at 2026-06-15T00:00:00+08:00, say")
    return moment
