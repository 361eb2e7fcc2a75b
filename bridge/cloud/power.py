"""EnOS's aggregated data: a checked Query -> items, read from the series (http_apis.md A.1).

Electric power: a counter is a pulse input, kept by the minute, the last reading of a minute counts, and `sum` adds its
increments; every other function, and a bare point, sees the register. All other points are taken as they are. Normalized
data: every point is kept by the minute, and nothing is known of increments.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bridge.cloud.buckets import MINUTE, Buckets, Folding, Wall, up
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import Expression, Query
from bridge.cloud.enos_items import Items, Pairs, Told, allowed, answer, span
from bridge.cloud.quality import Span
from bridge.cloud.registers import Increments, by_minute, counted_from
from bridge.cloud.rollups import ROLLED_MS
from bridge.store.chunks import DAY_MS, USED
from bridge.store.columns import Column, between
from bridge.store.series import COUNTER, Asset, Scan

ASSETS_PER_READ = 16
"""Assets that one visit to a reader's thread answers, so that other questions come in between."""
MAX_DAYS = 16
"""Days of one point that are in memory at once: 23,000 readings of a minute."""


async def electric_power(cloud: Cloud, asked: Query, principal: Any) -> Told:
    """The answer's body, and whose readings it is made of. Raises EnosError when the principal may read none of the assets;
    unknown ones count as such."""
    assets, denied = allowed(cloud, asked.assets, principal)
    items = Items(asked.shape, cloud.settings.localtime_style, isinstance(asked.start, int))
    parts: list[bytes] = []
    spans: list[Span] = []
    async with cloud.turns:
        for first in range(0, len(assets), ASSETS_PER_READ):
            jobs = [_job(cloud, asked, asset, items) for asset in assets[first : first + ASSETS_PER_READ]]
            spans += [(asset, job.start, job.end) for asset, job in zip(assets[first:], jobs, strict=False)]
            parts += await cloud.series.read(partial(_run, jobs))
    return answer(asked.shape.version, denied, parts), spans


def _run(jobs: Sequence[_Job], scan: Scan) -> list[bytes]:
    return [job.run(scan) for job in jobs]


def _job(cloud: Cloud, asked: Query, asset: Asset, items: Items) -> _Job:
    zone = cloud.zone_of(asset)
    found = span(asked.start, asked.end, zone)
    return _Job(
        asked, items, zone, asset.name, asset.number, dict(asset.points), found.start, found.end, asset.first_at, asset.last_at,
        found.wall,
    )  # fmt: skip


class _Job(NamedTuple):
    """All expressions of one asset in one pass over its samples."""

    asked: Query
    items: Items
    zone: ZoneInfo
    name: str
    number: int
    points: dict[str, tuple[str, str]]
    start: int
    end: int
    first_at: int
    last_at: int
    wall: Wall | None

    def run(self, scan: Scan) -> bytes:
        """Its items as JSON, without the brackets of the array."""
        wanted = [expression for expression in self.asked.expressions if expression.point in self.points]
        lines = {point: self._line(scan, point, wanted) for point in dict.fromkeys(each.point for each in wanted)}
        first = self.first_at - self.first_at % ROLLED_MS
        filled = self.asked.page * self.asked.minutes // 1_440  # days that a page of buckets takes
        days = max(1, min(filled, MAX_DAYS))
        for start, end in portions(max(self.start, first), min(up(self.end), self.last_at + 1), days):
            left = [point for point, line in lines.items() if not line.full]
            if not left:
                break
            for point, column in scan.columns(self.number, left, start, end):
                rolled = scan.rolled(self.number, start, end, point) if self.asked.minutes else None
                lines[point].take(column if rolled is None else lines[point].take_rolled(rolled, column))
        for line in lines.values():
            line.finish()
        found = ((each.key, lines[each.point].result(each.function)) for each in wanted)
        whole = self.asked.minutes > 0 and self.start % 1000 == 0
        return self.items.write(self.name, self.zone, found, whole=whole)

    def _line(self, scan: Scan, point: str, wanted: Sequence[Expression]) -> Line:
        asked, counter = self.asked, self.points[point][1] == COUNTER
        functions = {each.function or "last" for each in wanted if each.point == point}
        buckets = Buckets(self.start, self.end, asked.minutes * MINUTE, self.wall) if asked.minutes else None
        if asked.normalized:
            return _Minutes(buckets, asked.page, up(self.start), up(self.end), functions)
        if not counter:
            return Line(buckets, asked.page, self.start, self.end, functions)
        increments = counted_from(scan, self.number, point, up(self.start)) if "sum" in functions else None
        return Counter(buckets, asked.page, up(self.start), up(self.end), functions, increments)


def portions(start: int, end: int, days: int = 1) -> Iterator[tuple[int, int]]:
    """[start, end) in parts that end with a UTC day: at first so many days, then twice as many each time: some want little."""
    while start < end:
        following = (start // DAY_MS + days) * DAY_MS
        yield start, min(following, end)
        start, days = following, min(days * 2, MAX_DAYS)


def held(asset: Asset, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of [start, end) in which an asset has readings at all."""
    first = asset.first_at - asset.first_at % ROLLED_MS
    return portions(max(start, first), min(end, asset.last_at + 1))


class Line:
    """One point on its way through the buckets; without buckets the values themselves."""

    def __init__(self, buckets: Buckets | None, page: int, start: int, end: int, functions: Collection[str]) -> None:
        self._folding = Folding(buckets, page, functions) if buckets else None
        self._raw: list[tuple[int, float]] = []
        self._page = page
        self._start = start
        self._end = end

    def take(self, column: Column) -> None:
        """Take the next readings: those of whole days, or up to the end."""
        self._fold(between(column, self._start, self._end))

    def take_rolled(self, parts: Mapping[str, Column], column: Column) -> Column:
        """Take the next quarter-hours; gives what is left of the readings of the same time."""
        parts = {part: between(each, self._start, self._end) for part, each in parts.items()}
        times = parts["count"].times
        if not len(times):
            return column
        self._fold_rolled(parts)
        return between(column, int(times[-1]) + ROLLED_MS, self._end)

    def finish(self) -> None:
        """No more readings come."""
        if self._folding:
            self._folding.finish()

    @property
    def full(self) -> bool:
        """Whether later readings cannot change the result."""
        return self._folding.full if self._folding else len(self._raw) >= self._page

    def result(self, function: str | None) -> Pairs:
        """(label, value), ascending."""
        return self._folding.result(function or "last") if self._folding else self._raw

    def _fold_rolled(self, parts: Mapping[str, Column]) -> None:
        if self._folding:
            self._folding.take_rolled(parts)

    def _fold(self, column: Column) -> None:
        if self._folding:
            self._folding.take(column)
            return
        count = self._page - len(self._raw)
        self._raw += zip(column.times[:count].tolist(), column.values[:count].tolist(), strict=True)


class _Minutes(Line):
    """Values by the minute: the last one counts."""

    def _fold(self, column: Column) -> None:
        super()._fold(by_minute(column))


class Counter(Line):
    """A register: by the minute, with its increments beside it where they are asked for."""

    def __init__(
        self,
        buckets: Buckets | None,
        page: int,
        start: int,
        end: int,
        functions: Collection[str],
        increments: Increments | None,
    ) -> None:
        super().__init__(buckets, page, start, end, set(functions) - {"sum"})
        self._increments = increments
        self._sums = Folding(buckets, page, ("sum",)) if buckets and increments else None

    def finish(self) -> None:
        super().finish()
        if self._sums:
            self._sums.finish()

    @property
    def full(self) -> bool:
        return super().full and (self._sums is None or self._sums.full)

    def result(self, function: str | None) -> Pairs:
        if self._sums and function == "sum":
            return self._sums.result("sum")
        return super().result(function)

    def _fold_rolled(self, parts: Mapping[str, Column]) -> None:
        super()._fold_rolled(parts)
        if self._sums and self._increments:
            self._sums.take_rolled({"sum": parts[USED]})
            self._increments = Increments(float(parts["last"].values[-1]))

    def _fold(self, column: Column) -> None:
        minutes = by_minute(column)
        super()._fold(minutes)
        if self._sums and self._increments:
            self._sums.take(self._increments.take(minutes))
