"""EnOS electric power: a checked Query -> items, read from the series (http_apis.md A.1).

A counter is a pulse input: kept by the minute, the last reading of a minute counts, and `sum` adds its increments; every other
function, and a bare point, sees the register. All other points are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from bridge.cloud.buckets import MINUTE, Buckets, Folding, Wall
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import BAD_REQUEST, TEXT_ALL_DENIED, TEXT_SOME_DENIED, EnosError, Expression, Query, envelope
from bridge.cloud.registers import Increments, Minutes
from bridge.cloud.zones import Style, instant, write
from bridge.store.series import COUNTER, Asset, Scan

ASSETS_PER_READ = 16
"""Assets that one visit to a reader's thread answers, so that other questions come in between."""
VALUES_PER_PORTION = 50_000
"""Values of a scan that are in memory at once."""

Pairs = Sequence[tuple[int, float]]
_encode = msgspec.json.Encoder().encode


async def electric_power(cloud: Cloud, asked: Query, principal: Any) -> bytes:
    """The answer's body. Raises EnosError when the principal may read none of the assets; unknown ones count as such."""
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
    for first in range(0, len(allowed), ASSETS_PER_READ):
        jobs = [_job(cloud, asked, asset) for asset in allowed[first : first + ASSETS_PER_READ]]
        parts += await cloud.series.read(partial(_run, jobs))
    text = f"{TEXT_SOME_DENIED}: {', '.join(denied)}" if denied else None
    return envelope(0, text, b"[" + b",".join(parts) + b"]")


def _run(jobs: Sequence[_Job], scan: Scan) -> list[bytes]:
    return [part for job in jobs if (part := job.run(scan))]


def _job(cloud: Cloud, asked: Query, asset: Asset) -> _Job:
    zone = cloud.zone_of(asset)
    wall: Wall | None = None
    if isinstance(asked.start, datetime):
        wall = Wall(asked.start, zone)
    start, end = (at if isinstance(at, int) else instant(at, zone) for at in (asked.start, asked.end))
    return _Job(asked, asset.name, asset.number, dict(asset.points), start, end, wall, cloud.settings.localtime_style)


class _Job(NamedTuple):
    """All expressions of one asset in one pass over its samples."""

    asked: Query
    name: str
    number: int
    points: dict[str, tuple[str, str]]
    start: int
    end: int
    wall: Wall | None
    style: Style

    def run(self, scan: Scan) -> bytes:
        """Its items as JSON, without the brackets of the array."""
        wanted = [expression for expression in self.asked.expressions if expression.point in self.points]
        lines = {point: self._line(scan, point, wanted) for point in dict.fromkeys(each.point for each in wanted)}
        samples = scan.samples(self.number, self.start, _up(self.end)) if self.start < self.end and lines else iter(())
        size = max(100, VALUES_PER_PORTION // max(1, len(lines)))
        while portion := list(islice(samples, size)):
            for point, line in lines.items():
                line.take([(at, value) for at, values in portion if (value := values.get(point)) is not None])
            if all(line.full for line in lines.values()):
                break
        for line in lines.values():
            line.finish()
        return b",".join(
            item
            for expression in wanted
            for item in self._items(expression, lines[expression.point].result(expression))
        )

    def _line(self, scan: Scan, point: str, wanted: Sequence[Expression]) -> _Line:
        asked, counter = self.asked, self.points[point][1] == COUNTER
        functions = {each.function for each in wanted if each.point == point}
        buckets = Buckets(self.start, self.end, asked.minutes, self.wall) if asked.minutes else None
        if not counter:
            return _Line(buckets, asked.page, self.end)
        before = scan.before(self.number, _up(self.start), point) if "sum" in functions else None
        increments = Increments(before and before[1]) if "sum" in functions else None
        return _Counter(buckets, asked.page, self.start, increments)

    def _items(self, expression: Expression, values: Pairs) -> Iterator[bytes]:
        zone: ZoneInfo | None = self.wall.zone if self.wall else None
        for at, value in values:
            label = at if self.asked.accurate else at - at % 1000
            item: dict[str, Any] = {"assetId": self.name, "timestamp": label, expression.key: value}
            item["localtime"] = write(label, zone, self.style, self.asked.accurate) if zone else None
            yield _encode(item)


class _Line:
    """One point on its way through the buckets; without buckets the values themselves."""

    def __init__(self, buckets: Buckets | None, page: int, end: int) -> None:
        self._folding = Folding(buckets, page) if buckets else None
        self._raw: list[tuple[int, float]] = []
        self._page = page
        self._end = end

    def take(self, pairs: Pairs) -> None:
        """Take the next readings."""
        self._fold([pair for pair in pairs if pair[0] < self._end])

    def finish(self) -> None:
        """No more readings come."""

    @property
    def full(self) -> bool:
        """Whether later readings cannot change the result."""
        return self._folding.full if self._folding else len(self._raw) >= self._page

    def result(self, expression: Expression) -> Pairs:
        """(label, value), ascending."""
        return _results(self._folding, expression.function) if self._folding else self._raw

    def _fold(self, pairs: Pairs) -> None:
        if self._folding:
            self._folding.take(pairs)
        else:
            self._raw += pairs[: self._page - len(self._raw)]


class _Counter(_Line):
    """A register: by the minute, with its increments beside it where they are asked for."""

    def __init__(self, buckets: Buckets | None, page: int, start: int, increments: Increments | None) -> None:
        super().__init__(buckets, page, 0)
        self._minutes = Minutes()
        self._start = _up(start)
        self._increments = increments
        self._sums = Folding(buckets, page) if buckets and increments else None

    def take(self, pairs: Pairs) -> None:
        self._minute(self._minutes.take([pair for pair in pairs if pair[0] >= self._start]))

    def finish(self) -> None:
        self._minute(self._minutes.rest())

    @property
    def full(self) -> bool:
        return super().full and (self._sums is None or self._sums.full)

    def result(self, expression: Expression) -> Pairs:
        if self._sums and expression.function == "sum":
            return _results(self._sums, "sum")
        return super().result(expression)

    def _minute(self, pairs: Pairs) -> None:
        self._fold(pairs)
        if self._sums and self._increments:
            self._sums.take(self._increments.take(pairs))


def _results(folding: Folding, function: str | None) -> Pairs:
    return [(label, fold.result(function or "last")) for label, fold in folding.folds]


def _up(at: int) -> int:
    """The minute at or after an instant: a reading belongs to the minute that it lies in."""
    return -(-at // MINUTE) * MINUTE
