"""Ranges, days and months, and what is counted in them: pure.

Instants are ms. A range is [start, end). Everything adds up: neighbouring ranges, days and months, give together what the whole
gives. So a time that crosses a border is split there, an occurrence belongs to where it begins, and what is split is rounded at
the borders, not in the parts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from bridge.cloud.zones import instant, local

Unit = Literal["day", "month"]
Range = tuple[int, int]
EARLIEST, LATEST = -(1 << 62), 1 << 62
SECOND = 1000


class Said(NamedTuple):
    """One end of a range as it was asked for: a wall time of any zone, or an instant. It means all of [first, end)."""

    first: datetime | int
    end: datetime | int | None
    """None: after the year 9999."""


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same instants as disjoint ranges that do not touch, ascending. An empty range is kept where no other covers it."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


class Window:
    """What was asked for, in one zone: ranges, and the days or months that they are cut into."""

    def __init__(self, ranges: Iterable[Range], zone: ZoneInfo, unit: Unit | None = None) -> None:
        self.ranges = merged((start, end) for start, end in ranges if start < end)
        self.zone = zone
        self.unit = unit
        self._starts = [start for start, _ in self.ranges]
        self._bucket = _Bucket("", LATEST, EARLIEST)

    def label(self, at: int) -> str | None:
        """The day or month of an instant ("" without unit); None outside the ranges."""
        place = bisect_right(self._starts, at) - 1
        if place < 0 or at >= self.ranges[place][1]:
            return None
        return self._around(at).label

    def cut(self, start: int, end: int) -> Iterator[tuple[str, int, int]]:
        """(label, start, end) of each piece of [start, end) that lies in the ranges and in one day or month."""
        place = max(0, bisect_right(self._starts, start) - 1)
        for low, high in self.ranges[place:]:
            if low >= end:
                return
            at, stop = max(low, start), min(high, end)
            while at < stop:
                bucket = self._around(at)
                until = min(bucket.end, stop)
                yield bucket.label, at, until
                at = until

    def _around(self, at: int) -> _Bucket:
        if self.unit is None:
            return _ALL
        if not self._bucket.start <= at < self._bucket.end:
            self._bucket = _bucket(at, self.zone, self.unit)
        return self._bucket


class _Bucket(NamedTuple):
    label: str
    start: int
    end: int


_ALL = _Bucket("", EARLIEST, LATEST)


def _bucket(at: int, zone: ZoneInfo, unit: Unit) -> _Bucket:
    """The local day or month around an instant. Where midnight comes twice or never, days begin as `zones.instant` has it."""
    wall = local(at, zone)
    first = datetime(wall.year, wall.month, wall.day if unit == "day" else 1)  # noqa: DTZ001 - a wall clock
    while (end := _begin(_following(first, unit), zone)) <= at:
        first = _following(first, unit) or first
    return _Bucket(f"{first:%Y-%m-%d}"[: 10 if unit == "day" else 7], _begin(first, zone), end)


def _following(first: datetime, unit: Unit) -> datetime | None:
    try:
        following = first + timedelta(days=1 if unit == "day" else 32)
    except OverflowError:
        return None
    return following if unit == "day" else following.replace(day=1)


def _begin(wall: datetime | None, zone: ZoneInfo) -> int:
    return LATEST if wall is None else moment(wall, zone)


def moment(at: datetime | int, zone: ZoneInfo) -> int:
    """A wall time or an instant as an instant; near the ends of the calendar, where a zone has no more times, as in UTC."""
    if isinstance(at, int):
        return at
    try:
        return instant(at, zone)
    except OverflowError:
        return EARLIEST if at.year < 5000 else LATEST


# What is counted.


class Times(NamedTuple):
    """How often something began, and how many seconds it lasted."""

    begun: int = 0
    seconds: int = 0


def times(intervals: Iterable[Range], window: Window) -> dict[str, Times]:
    """Label -> how often and how long, of all intervals as one: where two overlap or touch, they are one. Whole seconds: ends
    are taken down to one."""
    found: dict[str, Times] = {}
    for start, end in merged((_whole(start), _whole(end)) for start, end in intervals):
        first = window.label(start)
        if first is not None:
            known = found.get(first, _NONE)
            found[first] = known._replace(begun=known.begun + 1)
        for label, low, high in window.cut(start, end):
            known = found.get(label, _NONE)
            found[label] = known._replace(seconds=known.seconds + (high - low) // SECOND)
    return found


_NONE = Times()


def _whole(at: int) -> int:
    return at - at % SECOND


class Run(NamedTuple):
    """A part told `state` from `at` to `until`, never silent for longer than is allowed."""

    at: int
    until: int
    state: int


def intervals(runs: Iterable[Run], mask: int, hold: int) -> list[Range]:
    """When one part was in a state with a bit of `mask`. `runs` ascend. A state holds until the next one is told; after a silence
    of more than `hold` nobody knows, and it ended when it was told last."""
    found: list[Range] = []
    last: Run | None = None
    for run in (*runs, None):
        if last is not None and last.state & mask:
            follows = run is not None and run.at - last.until <= hold
            found.append((last.at, run.at if follows and run is not None else last.until))
        last = run
    return found


def place(runs: list[Run], at: int, state: int, hold: int, around: tuple[int, int] | None = None) -> list[Run]:
    """The same runs with one more state told at `at`, in whatever order they come; `runs` are all that lie within `hold` of it,
    ascending. `around` are the instants next to `at` at which the part told something, where those are known: a run that says
    otherwise is parted there, else at `at` itself."""
    found: list[Run] = []
    for run in runs:
        if run.at <= at <= run.until:
            if run.state == state:
                return runs
            low, high = around or (at, at + 1)
            found += [Run(run.at, max(run.at, low), run.state)] if run.at < at else []
            found += [Run(min(run.until, high), run.until, run.state)] if run.until > at else []
        else:
            found.append(run)
    found.append(Run(at, at, state))
    found.sort()
    joined: list[Run] = []
    for run in found:
        last = joined[-1] if joined else None
        if last is not None and last.state == run.state and run.at - last.until <= hold:
            joined[-1] = Run(last.at, max(last.until, run.until), run.state)
        else:
            joined.append(run)
    return joined
