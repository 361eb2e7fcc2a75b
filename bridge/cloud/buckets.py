"""Buckets of time and what is computed in them: pure, on arrays, one portion of readings in ascending time after the other.

A range is [start, end) in ms. Buckets are anchored at its start and labelled by their start; empty ones do not exist; the last
one is clipped at the end (http_apis.md A.1). With a wall clock, buckets whose length divides a day start anew at the start's wall
time of each day, so that 1440 minutes is a local day of 23, 24 or 25 hours and no bucket crosses into the next day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bridge.cloud.zones import instant, local
from bridge.store.chunks import DAY_MS
from bridge.store.columns import EMPTY, Column, Times, Values, joined

MINUTE = 60_000
FUNCTIONS = frozenset({"count", "cnt", "avg", "sum", "max", "min", "first", "last"})
"""The seven of EnOS and `cnt`, which its storage documents call count."""
LONGEST_MS = 26 * 60 * MINUTE
"""Longer than any bucket of EnOS: what lies further apart is not kept together."""
MOST_HELD = 100_000
"""Readings of one bucket, more than a day of seconds, after which it is put together of parts."""
MANY_RUNS = 256
"""Runs above which sums go on in all of them at once, one value after the other."""


def up(at: int) -> int:
    """The minute at or after an instant: a register's reading belongs to the minute that it lies in."""
    return -(-at // MINUTE) * MINUTE


class Wall(NamedTuple):
    """A range's start as a wall time, and the zone that it is read in."""

    start: datetime
    zone: ZoneInfo


class Buckets:
    """Which bucket an instant falls into. `step` is their length, ms; `wall` only for ranges given in local time."""

    def __init__(self, start: int, end: int, step: int, wall: Wall | None = None) -> None:
        self.start = start
        self.end = end
        self.step = step
        self.wall = wall if wall is not None and DAY_MS % step == 0 else None

    def around(self, at: int) -> tuple[int, int]:
        """(start, end) of the bucket that holds `at`, which lies in the range."""
        low, high = (self.start, self.end) if self.wall is None else self._day(self.wall, at)
        if self.wall is not None and self.step == DAY_MS:
            return low, min(high, self.end)
        first = low + (at - low) // self.step * self.step
        return first, min(first + self.step, high, self.end)

    def labels(self, times: Times) -> Times:
        """The starts of the buckets of ascending times of the range."""
        if self.wall is None:
            return (times - self.start) // self.step * self.step + self.start
        anchors = np.array(self._anchors(self.wall, int(times[0]), int(times[-1])), np.int64)
        days = anchors[np.searchsorted(anchors, times, "right") - 1]
        if self.step == DAY_MS:
            return days
        return (times - days) // self.step * self.step + days

    def _day(self, wall: Wall, at: int) -> tuple[int, int]:
        """The day, counted from the start's wall time, that holds `at`."""
        number = self._number(wall, at)
        return self._anchor(wall, number), self._anchor(wall, number + 1)

    def _anchors(self, wall: Wall, first: int, last: int) -> list[int]:
        """The starts of all days that hold instants from `first` to `last`."""
        number = self._number(wall, first)
        found = [self._anchor(wall, number)]
        while (following := self._anchor(wall, number + 1)) <= last:
            found.append(following)
            number += 1
        return found

    def _number(self, wall: Wall, at: int) -> int:
        number = (local(at, wall.zone) - wall.start).days
        while self._anchor(wall, number) > at:
            number -= 1
        while self._anchor(wall, number + 1) <= at:
            number += 1
        return number

    def _anchor(self, wall: Wall, number: int) -> int:
        try:
            return instant(wall.start + timedelta(days=number), wall.zone)
        except OverflowError:  # past the year 9999
            return self.end if number > 0 else self.start


class Folding:
    """The buckets of one series, at most `limit`, oldest first, and what `functions` give in them."""

    def __init__(self, buckets: Buckets, limit: int, functions: Collection[str]) -> None:
        self.full = False
        """Whether later readings cannot change the result."""
        self._buckets = buckets
        self._left = limit
        wanted = {"count" if each == "cnt" else each for each in functions}
        self._functions = frozenset(wanted - {"avg"} | ({"sum", "count"} if "avg" in wanted else set()))
        self._held = EMPTY
        self._labels: list[Times] = []
        self._last: int | None = None
        self._found: dict[str, list[npt.NDArray[Any]]] = {each: [] for each in self._functions}

    def take(self, column: Column) -> None:
        """Fold in the next readings of the range; what begins a bucket past the limit is left out."""
        if self.full or not len(column.times):
            return
        if len(self._held.times) and int(column.times[0]) - int(self._held.times[-1]) > LONGEST_MS:
            self._end_held()
        if len(self._held.times) > MOST_HELD:
            self._add(*self._computed_held())
            self._held = EMPTY
        times, values = held = joined([self._held, column] if len(self._held.times) else [column])
        labels = self._buckets.labels(times)
        firsts = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
        cut = firsts[-1]  # the last bucket may go on
        self._held = Column(times[cut:], values[cut:])
        self._fold(labels, held.values[:cut], firsts[:-1])

    def finish(self) -> None:
        """No more readings come."""
        if len(self._held.times) and not self.full:
            self._end_held()
            self.full = True

    def take_rolled(self, parts: Mapping[str, Column]) -> None:
        """The next quarter-hours, of which only these parts are known; each belongs where it begins."""
        times = next(iter(parts.values())).times
        if self.full or not len(times):
            return
        if len(self._held.times):
            self._add(*self._computed_held())
            self._held = EMPTY
        labels = self._buckets.labels(times)
        firsts = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
        values = {part: column.values for part, column in parts.items()}
        self._add(labels[firsts], {each: _put_together(each, values[each], firsts) for each in self._functions})

    def result(self, function: str) -> list[tuple[int, float]]:
        """(start of the bucket, what `function` gives), ascending."""
        if not self._labels:
            return []
        labels = np.concatenate(self._labels)
        firsts = np.concatenate([[0], np.flatnonzero(labels[1:] != labels[:-1]) + 1])
        if function == "avg":
            values = self._whole("sum", firsts) / self._whole("count", firsts)
        else:
            values = self._whole("count" if function == "cnt" else function, firsts)
        return list(zip(labels[firsts].tolist(), values.tolist(), strict=True))

    def _whole(self, function: str, firsts: Times) -> npt.NDArray[Any]:
        """What a function gives in each bucket, which may have come in parts."""
        values = np.concatenate(self._found[function])
        return values if len(values) == len(firsts) else _put_together(function, values, firsts)

    def _fold(self, labels: Times, values: Values, firsts: Times) -> None:
        """Whole buckets that begin at `firsts`: a later one has begun, or there is none."""
        if not len(firsts):
            return
        goes_on = int(labels[firsts[0]]) == self._last
        room = self._left + goes_on
        if len(firsts) > room:
            values, firsts = values[: firsts[room]], firsts[:room]
        if len(firsts):
            self._add(labels[firsts], _computed(values, firsts, self._functions))
        if not self._left:
            self.full = True

    def _end_held(self) -> None:
        labels = self._buckets.labels(self._held.times[:1])
        self._fold(labels, self._held.values, np.zeros(1, np.int64))
        self._held = EMPTY

    def _computed_held(self) -> tuple[Times, dict[str, npt.NDArray[Any]]]:
        labels = self._buckets.labels(self._held.times[:1])
        return labels, _computed(self._held.values, np.zeros(1, np.int64), self._functions)

    def _add(self, labels: Times, found: Mapping[str, npt.NDArray[Any]]) -> None:
        """Buckets, of which the first may be more of the last one; those past the limit are left out."""
        goes_on = int(labels[0]) == self._last
        room = self._left + goes_on
        if len(labels) > room:
            self.full = True
            labels = labels[:room]
        if not len(labels):
            return
        self._left -= len(labels) - goes_on
        self._last = int(labels[-1])
        self._labels.append(labels)
        for function in self._functions:
            self._found[function].append(found[function][: len(labels)])


def _put_together(function: str, values: npt.NDArray[Any], firsts: Times) -> npt.NDArray[Any]:
    """One bucket of several parts of it."""
    if function == "sum":
        return sums(values, firsts, np.diff(firsts, append=len(values)))
    if function == "first":
        return values[firsts]
    if function == "last":
        ends: Times = np.append(firsts[1:], len(values)) - 1
        return values[ends]
    whole = {"count": np.add, "min": np.minimum, "max": np.maximum}[function].reduceat(values, firsts)
    found: npt.NDArray[Any] = whole.astype(np.int64) if function == "count" else whole
    return found


def _computed(values: Values, firsts: Times, functions: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    counts = np.diff(firsts, append=len(values))
    found: dict[str, npt.NDArray[Any]] = {"count": counts}
    if "sum" in functions:
        found["sum"] = sums(values, firsts, counts)
    if "min" in functions:
        found["min"] = np.minimum.reduceat(values, firsts)
    if "max" in functions:
        found["max"] = np.maximum.reduceat(values, firsts)
    if "first" in functions:
        found["first"] = values[firsts]
    if "last" in functions:
        found["last"] = values[firsts + counts - 1]
    return found


def sums(values: Values, firsts: Times, counts: Times) -> Values:
    """Compensated sums (Neumaier) of runs of values: those of about a length together, as columns of a table."""
    found = np.empty(len(firsts))
    sizes = np.frexp(counts)[1]
    for size in np.unique(sizes).tolist():
        runs = np.flatnonzero(sizes == size)
        length = int(counts[runs].max())
        table = values[firsts[runs]][None] if length == 1 else _table(values, firsts[runs], counts[runs], length)
        totals, lost = _summed(table) if len(runs) < MANY_RUNS else _summed_together(table)
        with np.errstate(over="ignore", invalid="ignore"):
            found[runs] = totals + lost
    return found


def _table(values: Values, firsts: Times, counts: Times, length: int) -> Values:
    """Runs as columns, filled up with zeros, which change no sum."""
    steps = np.arange(length)[:, None]
    table: Values = values.take(firsts + steps, mode="clip")
    if int(counts.min()) != length:
        table[steps >= counts] = 0.0
    return table


def running(values: Values) -> tuple[float, float]:
    """The sum of at least one value, and what it lost: `added` goes on from there."""
    totals, lost = _summed(values[:, None])
    return float(totals[0]), float(lost[0])


def added(total: float, lost: float, value: float) -> tuple[float, float]:
    """One value more in a compensated sum."""
    after = total + value
    lost += (total - after) + value if abs(total) >= abs(value) else (value - after) + total
    return after, lost


def _summed(table: Values) -> tuple[Values, Values]:
    """Sums of columns, and what each lost."""
    if len(table) == 1:
        return table[0], np.zeros(table.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        totals = np.cumsum(table, axis=0)
        lost = np.cumsum(_lost(totals[:-1], table[1:], totals[1:]), axis=0)
    return totals[-1], lost[-1]


def _summed_together(table: Values) -> tuple[Values, Values]:
    """The same, a value of every column at a time: an eighth of the time where there are many."""
    totals, lost = table[0], np.zeros(table.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for each in table[1:]:
            after = totals + each
            lost += _lost(totals, each, after)
            totals = after
    return totals, lost


def _lost(before: Values, each: Values, after: Values) -> Values:
    """What `before + each` lost on its way to `after`, exactly (Knuth)."""
    part = after - before
    lost: Values = each - part
    np.subtract(after, part, out=part)
    np.subtract(before, part, out=part)
    lost += part
    return lost
