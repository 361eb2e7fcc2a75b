"""What buckets and registers mean, reading by reading: the plain forms that the product's arrays are held against."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.cloud.buckets import Buckets
from bridge.cloud.registers import increment


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


class Increments:
    """Increments of one register. `before` is its last reading ahead of the first portion; without it the first reading only
    sets the measure."""

    def __init__(self, before: float | None = None) -> None:
        self._measure = self._last = before
        self._day: int | None = None

    def take(self, readings: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
        """(time of the later reading, increment) for the next readings in ascending time."""
        found = []
        for at, now in readings:
            if at // 86_400_000 != self._day:
                self._measure = self._last
            self._last, self._day = now, at // 86_400_000
            if self._measure is None:
                self._measure = now
                continue
            used, self._measure = increment(self._measure, now)
            found.append((at, used))
        return found


class Minutes:
    """The last reading of each minute, at the minute: pulse inputs are kept by the minute (http_apis.md A.1)."""

    def __init__(self) -> None:
        self._held: tuple[int, float] | None = None

    def take(self, readings: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
        """The minutes that the next readings, in ascending time, complete."""
        held, found = self._held, []
        for at, value in readings:
            minute = at - at % 60_000
            if held is not None and held[0] != minute:
                found.append(held)
            held = (minute, value)
        self._held = held
        return found

    def rest(self) -> list[tuple[int, float]]:
        """The minute that no later reading has completed."""
        return [] if self._held is None else [self._held]
