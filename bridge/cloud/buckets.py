"""Buckets of time and what is computed in them: pure, one pass over readings in ascending time, constant memory a bucket.

A range is [start, end) in ms. Buckets are anchored at its start and labelled by their start; empty ones do not exist; the last
one is clipped at the end (http_apis.md A.1). With a wall clock, buckets whose length divides a day start anew at the start's wall
time of each day, so that 1440 minutes is a local day of 23, 24 or 25 hours and no bucket crosses into the next day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bridge.cloud.zones import instant, local

MINUTE = 60_000
DAY_MINUTES = 1_440
FUNCTIONS = frozenset({"count", "cnt", "avg", "sum", "max", "min", "first", "last"})
"""The seven of EnOS and `cnt`, which its storage documents call count."""


class Wall(NamedTuple):
    """A range's start as a wall time, and the zone that it is read in."""

    start: datetime
    zone: ZoneInfo


class Buckets:
    """Which bucket an instant falls into. `minutes` ≥ 1; `wall` only for ranges given in local time."""

    def __init__(self, start: int, end: int, minutes: int, wall: Wall | None = None) -> None:
        self.start = start
        self.end = end
        self.step = minutes * MINUTE
        self.wall = wall if wall is not None and DAY_MINUTES % minutes == 0 else None

    def around(self, at: int) -> tuple[int, int]:
        """(start, end) of the bucket that holds `at`, which lies in the range."""
        low, high = (self.start, self.end) if self.wall is None else self._day(self.wall, at)
        if self.wall is not None and self.step == DAY_MINUTES * MINUTE:
            return low, min(high, self.end)
        first = low + (at - low) // self.step * self.step
        return first, min(first + self.step, high, self.end)

    def _day(self, wall: Wall, at: int) -> tuple[int, int]:
        """The day, counted from the start's wall time, that holds `at`."""
        number = (local(at, wall.zone) - wall.start).days
        while self._anchor(wall, number) > at:
            number -= 1
        while (following := self._anchor(wall, number + 1)) <= at:
            number += 1
        return self._anchor(wall, number), following

    def _anchor(self, wall: Wall, number: int) -> int:
        try:
            return instant(wall.start + timedelta(days=number), wall.zone)
        except OverflowError:  # past the year 9999
            return self.end if number > 0 else self.start


class Fold:
    """Count, extremes, ends and a compensated sum (Neumaier) of the values of one bucket."""

    __slots__ = ("_low", "_sum", "count", "first", "last", "max", "min")

    def __init__(self, value: float) -> None:
        self.count = 1
        self.first = self.last = self.min = self.max = value
        self._sum = value
        self._low = 0.0

    def add(self, value: float) -> None:
        """Take one more value, later than those before."""
        self.count += 1
        self.last = value
        if value < self.min:
            self.min = value
        if value > self.max:
            self.max = value
        total = self._sum + value
        self._low += (self._sum - total) + value if abs(self._sum) >= abs(value) else (value - total) + self._sum
        self._sum = total

    def result(self, function: str) -> float:
        """What `function` gives for this bucket."""
        if function in ("count", "cnt"):
            return self.count
        if function in ("sum", "avg"):
            total = self._sum + self._low
            return total if function == "sum" else total / self.count
        found: float = getattr(self, function)
        return found


class Folding:
    """The buckets of one series, at most `limit`, oldest first. Readings come in ascending time, in portions."""

    def __init__(self, buckets: Buckets, limit: int) -> None:
        self.folds: list[tuple[int, Fold]] = []
        self.full = False
        self._buckets = buckets
        self._limit = limit
        self._end = buckets.start

    def take(self, readings: Iterable[tuple[int, float]]) -> None:
        """Fold in (time, value) pairs of the range; what begins a bucket past the limit is left out."""
        fold = self.folds[-1][1] if self.folds else None
        end = self._end
        for at, value in readings:
            if fold is not None and at < end:
                fold.add(value)
                continue
            if len(self.folds) >= self._limit:
                self.full = True
                break
            start, end = self._buckets.around(at)
            fold = Fold(value)
            self.folds.append((start, fold))
        self._end = end
