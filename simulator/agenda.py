"""What a fleet has to do later, by a timer that may be held."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulator.device import Post

if TYPE_CHECKING:
    from simulator.member import Member

CATCH_UP_S: Final = 0.05
"""Of a ramp that is behind, so much is made up for at once."""

Work = list[Post] | Callable[[], None] | None
"""Posts to send, something to call, or None: a member's reports."""


class Agenda:
    """A heap of (member, work) by their time."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._heap: list[tuple[float, int, Member | None, Work]] = []
        self._order = 0
        self._changed = asyncio.Event()
        self.late_max_s = 0.0
        """How long after its time an entry was taken, at worst."""

    def add(self, delay_s: float, member: Member | None, work: Work) -> None:
        """Do it in so many seconds. Of a member's reports only the entry that was added last counts."""
        self._order += 1
        if member is not None and work is None:
            member.turn = self._order
        heapq.heappush(self._heap, (self._timer() + delay_s, self._order, member, work))
        self._changed.set()

    def take(self) -> tuple[int, Member | None, Work] | None:
        """The first entry that is due."""
        late = self._timer() - self._heap[0][0] if self._heap else -1.0
        if late < 0.0:
            return None
        self.late_max_s = max(self.late_max_s, late)
        return heapq.heappop(self._heap)[1:]

    def next_due(self) -> float | None:
        """When the first entry is due, as a moment of the timer."""
        return self._heap[0][0] if self._heap else None

    def wake(self) -> None:
        """Let `wait` end: the timer has jumped, or somebody has something to say."""
        self._changed.set()

    async def wait(self, most_s: float) -> None:
        """Until an entry is due or may be, at most so long."""
        self._changed.clear()
        due = most_s if not self._heap else self._heap[0][0] - self._timer()
        await wait(self._changed, min(due, most_s))


class Ramp:
    """So many turns in a second; one that is behind makes up for little at once."""

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1.0 / per_s
        self._next = 0.0

    async def turn(self, now: float) -> None:
        """Until the next one may be, of who comes `now`."""
        self._next = max(self._next, now - CATCH_UP_S) + self._gap_s
        await asyncio.sleep(max(0.0, self._next - now))


async def wait(event: asyncio.Event, seconds: float | None) -> None:
    """Until the event, or so many seconds; gives others a turn in any case."""
    if seconds is not None and seconds <= 0:
        await asyncio.sleep(0)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
