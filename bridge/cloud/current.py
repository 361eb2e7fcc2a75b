"""The newest reading of a point, and what it has come to today, for many assets at once.

Who is asked for is kept in memory and follows what is stored; a reading that comes late, or is put right, makes its point be
read again at the next question. So answers are what a query of the store would give, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from datetime import datetime, time, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

from bridge.cloud.buckets import MINUTE, added, running, up
from bridge.cloud.registers import Increments, by_minute, counted_from
from bridge.cloud.zones import instant, local
from bridge.store.columns import Column
from bridge.store.series import COUNTER, Asset, Batch, Scan, Series

MAX_LINES = 200_000
"""Points of assets that are kept, about 300 bytes each; those that were asked for first go first."""
LINES_PER_READ = 64
"""Points that one visit to a reader's thread reads, so that other questions come in between."""


class Newest(NamedTuple):
    """The newest reading of a point."""

    asset: str
    point: str
    timestamp: int
    value: float


class Total(NamedTuple):
    """What a point has come to since `midnight`: a counter's increments, else the sum of its values. `timestamp` is that of
    the newest reading in it; a counter's is the minute."""

    asset: str
    point: str
    midnight: int
    timestamp: int
    value: float


class Line(Protocol):
    """What is known of a point."""

    def take(self, at: int, value: float) -> bool:
        """Follow a reading that was stored; False when it has to be read again."""


L = TypeVar("L", bound=Line)
Wanted = Sequence[tuple[Asset, str]]


class Current:
    """Answers of the two questions."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._newest = Kept[_Last](series)
        self._today = Kept[_Today](series)
        series.stored.append(self._follow)
        series.reloaded.append(self._forget)

    async def newest(self, assets: Sequence[Asset], points: Sequence[str]) -> list[Newest]:
        """The newest reading of each of the points that an asset has, by asset, then point, in the order given."""
        wanted = [(asset, point) for asset in assets for point in points if point in asset.points]
        lines = await self._newest.get(wanted, None, _last)
        return [
            Newest(asset.name, point, line.at, line.value)
            for (asset, point), line in zip(wanted, lines, strict=True)
            if line.at is not None
        ]

    async def today(
        self, assets: Sequence[Asset], points: Sequence[str], now: int, zone_of: Callable[[Asset], ZoneInfo]
    ) -> list[Total]:
        """The totals of the local day that `now` lies in, of points that have readings in it."""
        days = _Days(now, zone_of)
        wanted = [(asset, point) for asset in assets for point in points if point in asset.points]
        spans = {asset.name: days.of(asset) for asset in assets}

        def holds(line: _Today, asset: Asset, point: str) -> bool:
            counter = asset.points[point][1] == COUNTER
            return (line.midnight, line.end, line.counter) == (*spans[asset.name], counter)

        def read(scan: Scan, asset: Asset, point: str) -> _Today:
            return _today(scan, asset, point, *spans[asset.name])

        lines = await self._today.get(wanted, holds, read)
        found = []
        for (asset, point), line in zip(wanted, lines, strict=True):
            total = line.total()
            if total is not None:
                found.append(Total(asset.name, point, line.midnight, *total))
        return found

    def _follow(self, batch: Batch) -> None:
        self._newest.follow(batch)
        self._today.follow(batch)

    def _forget(self) -> None:
        self._newest.forget()
        self._today.forget()


class Kept(Generic[L]):
    """Lines in memory, by asset and point."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._lines: dict[str, dict[str, L]] = {}
        self._count = 0
        self._reading: dict[int, set[str]] = {}
        """For each read that is under way the assets that were stored meanwhile: what it found of them may be old."""

    async def get(
        self, wanted: Wanted, holds: Callable[[L, Asset, str], bool] | None, read: Callable[[Scan, Asset, str], L]
    ) -> list[L]:
        """The line of each of `wanted`; read where there is none, or one that does not hold any more."""
        lines, found, missing = self._lines, list[L](), list[int]()
        for index, (asset, point) in enumerate(wanted):
            table = lines.get(asset.name)
            line = None if table is None else table.get(point)
            if line is None or (holds is not None and not holds(line, asset, point)):
                missing.append(index)
            found.append(line)  # type: ignore[arg-type]  # those that are None are read next
        for first in range(0, len(missing), LINES_PER_READ):
            portion = missing[first : first + LINES_PER_READ]
            fresh = await self._read([wanted[index] for index in portion], read)
            for index, line in zip(portion, fresh, strict=True):
                found[index] = line
        return found

    def follow(self, batch: Batch) -> None:
        """A batch was stored."""
        for changed in self._reading.values():
            changed.update(batch.devices)
        lines = self._lines
        if lines.keys().isdisjoint(batch.devices):
            return
        stored = [(at, asset, values) for (asset, at), values in batch.samples.items() if asset in lines]
        for at, asset, values in sorted(stored, key=lambda each: each[0]):
            table = lines[asset]
            for point in [point for point in table if point in values]:
                if not table[point].take(at, values[point]):
                    del table[point]
                    self._count -= 1

    def forget(self) -> None:
        """Nobody knows what was stored."""
        for changed in self._reading.values():
            changed.update(self._series.assets)
        self._lines.clear()
        self._count = 0

    async def _read(self, portion: Wanted, read: Callable[[Scan, Asset, str], L]) -> list[L]:
        changed: set[str] = set()
        self._reading[id(changed)] = changed
        try:
            lines = await self._series.read(lambda scan: [read(scan, asset, point) for asset, point in portion])
        finally:
            del self._reading[id(changed)]
        for (asset, point), line in zip(portion, lines, strict=True):
            if asset.name not in changed:
                self._keep(asset.name, point, line)
        return lines

    def _keep(self, asset: str, point: str, line: L) -> None:
        table = self._lines.setdefault(asset, {})
        self._count += point not in table
        table[point] = line
        while self._count > MAX_LINES:
            self._count -= len(self._lines.pop(next(iter(self._lines))))


class _Last:
    """The newest reading; `at` is None where there is none."""

    __slots__ = ("at", "value")

    def __init__(self, at: int | None, value: float) -> None:
        self.at = at
        self.value = value

    def take(self, at: int, value: float) -> bool:
        if self.at is None or at >= self.at:
            self.at, self.value = at, value
        return True


def _last(scan: Scan, asset: Asset, point: str) -> _Last:
    found = scan.before(asset.number, 1 << 62, point)
    return _Last(None, 0.0) if found is None else _Last(*found)


class _Today:
    """A day's sum as far as it is settled. Of a counter the newest minute is not: `last` is its reading so far, and `increments`
    those of the minutes before."""

    __slots__ = ("_count", "_low", "_sum", "at", "counter", "end", "increments", "last", "midnight", "start")

    def __init__(self, midnight: int, end: int, counter: bool) -> None:
        self.midnight, self.end, self.counter = midnight, end, counter
        self.start = up(midnight) if counter else midnight
        self.at: int | None = None
        self.last = self._sum = self._low = 0.0
        self.increments = Increments()
        self._count = 0

    def settle(self, total: float, low: float, count: int) -> None:
        """Begin with a compensated sum of `count` values."""
        self._sum, self._low, self._count = total, low, count

    def take(self, at: int, value: float) -> bool:
        if at < self.start:
            return not self.counter  # it may be what the first increment is measured against
        if at >= (up(self.end) if self.counter else self.end):
            return True
        if self.at is not None and at <= self.at:
            return at == self.at and value == self.last
        if not self.counter:
            self._add(value)
        elif self.at is not None and at // MINUTE != self.at // MINUTE:
            self._settle_minute(self.at)
        self.at, self.last = at, value
        return True

    def total(self) -> tuple[int, float] | None:
        """(time of the newest reading, the sum); None where the day has nothing to add up."""
        if self.at is None:
            return None
        if not self.counter:
            return self.at, self._sum + self._low
        total, low, count = self._sum, self._low, self._count
        used = copy(self.increments).follow(self.at, self.last)
        if used is not None:
            total, low = added(total, low, used) if count else (used, 0.0)
            count += 1
        return (self.at - self.at % MINUTE, total + low) if count else None

    def _settle_minute(self, at: int) -> None:
        used = self.increments.follow(at, self.last)
        if used is not None:
            self._add(used)

    def _add(self, value: float) -> None:
        if self._count:
            self._sum, self._low = added(self._sum, self._low, value)
        else:
            self._sum = value
        self._count += 1


def _today(scan: Scan, asset: Asset, point: str, midnight: int, end: int) -> _Today:
    line = _Today(midnight, end, asset.points[point][1] == COUNTER)
    column = scan.column(asset.number, line.start, up(end) if line.counter else end, point)
    if line.counter:
        line.increments = counted_from(scan, asset.number, point, line.start)
    if not len(column.times):
        return line
    line.at, line.last = int(column.times[-1]), float(column.values[-1])
    values = column.values
    if line.counter:
        minutes = by_minute(column)
        values = line.increments.take(Column(minutes.times[:-1], minutes.values[:-1])).values
    if len(values):
        line.settle(*running(values), len(values))
    return line


class _Days:
    """Local days that hold an instant, one for each zone."""

    def __init__(self, now: int, zone_of: Callable[[Asset], ZoneInfo]) -> None:
        self._now = now
        self._zone_of = zone_of
        self._known: dict[str, tuple[int, int]] = {}

    def of(self, asset: Asset) -> tuple[int, int]:
        """[midnight, next midnight) in ms."""
        zone = self._zone_of(asset)
        span = self._known.get(zone.key)
        if span is None:
            midnight = datetime.combine(local(self._now, zone).date(), time())
            span = self._known[zone.key] = (instant(midnight, zone), instant(midnight + timedelta(days=1), zone))
        return span
