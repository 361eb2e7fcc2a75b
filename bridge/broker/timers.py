"""What happens some time later: sessions end, wills are published, retained messages expire. Looked at by the broker's sweep."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from time import monotonic, time
from typing import Final

SPARE: Final = 1_000
"""Outdated entries that the heap may hold beyond as many as still wait: sessions come and go every second, and wait for weeks."""


class Timers:
    """Calls by due time. What has a subject waits in place of what the subject waited for, so that nothing piles up however
    often something comes and goes; who is called looks whether it still holds."""

    __slots__ = ("_clock", "_heap", "_order", "_waiting", "now_ms")

    def __init__(
        self, clock: Callable[[], float] = monotonic, now_ms: Callable[[], int] = lambda: int(time() * 1000)
    ) -> None:
        self._clock = clock
        self.now_ms = now_ms
        """Epoch ms: what messages expire by."""
        self._heap: list[tuple[float, int, Hashable]] = []
        """(due, number, subject): the number tells whether it is still the subject's."""
        self._waiting: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._order = count()

    def __len__(self) -> int:
        """Entries kept, outdated ones among them."""
        return len(self._heap)

    def after(self, seconds: float, call: Callable[[], None], subject: Hashable = None) -> None:
        """Call once, `seconds` from now, instead of what `subject` waits for."""
        number = next(self._order)
        if subject is None:
            subject = number
        self._waiting[subject] = number, call
        heappush(self._heap, (self._clock() + seconds, number, subject))
        if len(self._heap) > 2 * len(self._waiting) + SPARE:
            self._heap = [entry for entry in self._heap if self._holds(entry)]
            heapify(self._heap)

    def forget(self, subject: Hashable) -> None:
        """`subject` waits for nothing more."""
        self._waiting.pop(subject, None)

    def next_due(self) -> float | None:
        """When something may be due next, by its clock; None when nothing waits."""
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self) -> None:
        """Call what is due."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            entry = heappop(self._heap)
            if self._holds(entry):
                self._waiting.pop(entry[2])[1]()

    def _holds(self, entry: tuple[float, int, Hashable]) -> bool:
        found = self._waiting.get(entry[2])
        return found is not None and found[0] == entry[1]
