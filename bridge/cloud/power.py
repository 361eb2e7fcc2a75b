"""EnOS electric power: a checked Query -> items, read from the series (http_apis.md A.1).

A counter is a pulse input: kept by the minute, the last reading of a minute counts, and `sum` adds its increments; every other
function, and a bare point, sees the register. All other points are taken as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec

from bridge.cloud.buckets import MINUTE, Buckets, Folding, Wall, up
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import BAD_REQUEST, TEXT_ALL_DENIED, TEXT_SOME_DENIED, EnosError, Expression, Query, envelope
from bridge.cloud.quality import Span
from bridge.cloud.registers import Increments, by_minute
from bridge.cloud.rollups import ROLLED_MS
from bridge.cloud.zones import Style, instant, write
from bridge.store.chunks import DAY_MS, USED
from bridge.store.columns import Column, between
from bridge.store.series import COUNTER, Asset, Scan

ASSETS_PER_READ = 16
"""Assets that one visit to a reader's thread answers, so that other questions come in between."""
MAX_DAYS = 16
"""Days of one point that are in memory at once: 23,000 readings of a minute."""

Pairs = Sequence[tuple[int, float]]
_encode = msgspec.json.Encoder().encode


async def electric_power(cloud: Cloud, asked: Query, principal: Any) -> tuple[bytes, list[Span]]:
    """The answer's body, and whose readings it is made of. Raises EnosError when the principal may read none of the assets;
    unknown ones count as such."""
    known = cloud.series.assets
    may: dict[str, bool] = {}
    allowed: list[Asset] = []
    denied: list[str] = []
    for name in asked.assets:
        asset = known.get(name)
        if asset is not None and asset.device not in may:
            may[asset.device] = cloud.may_read(principal, asset.device)
        if asset is not None and may[asset.device]:
            allowed.append(asset)
        else:
            denied.append(name)
    if not allowed:
        raise EnosError(BAD_REQUEST, TEXT_ALL_DENIED)
    parts: list[bytes] = []
    spans: list[Span] = []
    for first in range(0, len(allowed), ASSETS_PER_READ):
        jobs = [_job(cloud, asked, asset) for asset in allowed[first : first + ASSETS_PER_READ]]
        spans += [(asset, job.start, job.end) for asset, job in zip(allowed[first:], jobs, strict=False)]
        parts += await cloud.series.read(partial(_run, jobs))
    text = f"{TEXT_SOME_DENIED}: {', '.join(denied)}" if denied else None
    return envelope(0, text, b"[" + b",".join(parts) + b"]"), spans


def _run(jobs: Sequence[_Job], scan: Scan) -> list[bytes]:
    return [part for job in jobs if (part := job.run(scan))]


def _job(cloud: Cloud, asked: Query, asset: Asset) -> _Job:
    zone = cloud.zone_of(asset)
    wall: Wall | None = None
    if isinstance(asked.start, datetime):
        wall = Wall(asked.start, zone)
    start, end = (at if isinstance(at, int) else instant(at, zone) for at in (asked.start, asked.end))
    return _Job(
        asked, asset.name, asset.number, dict(asset.points), start, end, asset.first_at, asset.last_at, wall,
        cloud.settings.localtime_style,
    )  # fmt: skip


class _Job(NamedTuple):
    """All expressions of one asset in one pass over its samples."""

    asked: Query
    name: str
    number: int
    points: dict[str, tuple[str, str]]
    start: int
    end: int
    first_at: int
    last_at: int
    wall: Wall | None
    style: Style

    def run(self, scan: Scan) -> bytes:
        """Its items as JSON, without the brackets of the array."""
        wanted = [expression for expression in self.asked.expressions if expression.point in self.points]
        lines = {point: self._line(scan, point, wanted) for point in dict.fromkeys(each.point for each in wanted)}
        first = self.first_at - self.first_at % ROLLED_MS
        for start, end in portions(max(self.start, first), min(up(self.end), self.last_at + 1)):
            left = [point for point, line in lines.items() if not line.full]
            if not left:
                break
            for point, column in scan.columns(self.number, left, start, end):
                rolled = scan.rolled(self.number, start, end, point) if self.asked.minutes else None
                lines[point].take(column if rolled is None else lines[point].take_rolled(rolled, column))
        for line in lines.values():
            line.finish()
        return b",".join(
            part
            for expression in wanted
            if (part := self._items(expression, lines[expression.point].result(expression.function)))
        )

    def _line(self, scan: Scan, point: str, wanted: Sequence[Expression]) -> Line:
        asked, counter = self.asked, self.points[point][1] == COUNTER
        functions = {each.function or "last" for each in wanted if each.point == point}
        buckets = Buckets(self.start, self.end, asked.minutes * MINUTE, self.wall) if asked.minutes else None
        if not counter:
            return Line(buckets, asked.page, self.start, self.end, functions)
        increments = None
        if "sum" in functions:
            before = scan.before(self.number, up(self.start), point)
            increments = Increments(before and before[1])
        return Counter(buckets, asked.page, up(self.start), up(self.end), functions, increments)

    def _items(self, expression: Expression, values: Pairs) -> bytes:
        """The JSON of each value, put together from its parts: only numbers and times differ."""
        if not values:
            return b""
        accurate, zone = self.asked.accurate, self.wall.zone if self.wall else None
        if not accurate:
            values = [(at - at % 1000, value) for at, value in values]
        head = b'{"assetId":' + _encode(self.name) + b',"timestamp":'
        key = b"," + _encode(expression.key) + b":"
        pairs = _encode(values)[2:-2]  # 1,2.5],[3,4.5
        if zone is None:
            tail = b',"localtime":null}'
            between_items = tail + b"," + head
            return head + pairs.replace(b"],[", b"\n").replace(b",", key).replace(b"\n", between_items) + tail
        items = zip(pairs.split(b"],["), values, strict=True)
        return b",".join(
            head + pair.replace(b",", key) + f',"localtime":"{write(at, zone, self.style, accurate)}"}}'.encode()
            for pair, (at, _) in items
        )


def portions(start: int, end: int) -> Iterator[tuple[int, int]]:
    """[start, end) in parts that end with a UTC day: one day first, for who wants little, then twice as many each time."""
    days = 1
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
            self._increments.measure = float(parts["last"].values[-1])

    def _fold(self, column: Column) -> None:
        minutes = by_minute(column)
        super()._fold(minutes)
        if self._sums and self._increments:
            self._sums.take(self._increments.take(minutes))
