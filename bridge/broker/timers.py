"""What happens some time later: sessions end, wills are published, retained messages expire. Looked at by the broker's sweep."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic


class Timers:
    """Calls by due time. Nothing is cancelled: whoever is called looks whether it still holds."""

    __slots__ = ("_calls", "_clock", "_order")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once, `seconds` from now."""
        heappush(self._calls, (self._clock() + seconds, next(self._order), call))

    def run(self) -> None:
        """Call what is due."""
        now = self._clock()
        while self._calls and self._calls[0][0] <= now:
            heappop(self._calls)[2]()
