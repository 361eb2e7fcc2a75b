"""Series as Belimo's API asks for them: the newest values, buckets by UTC clock, raw pages, rows of a table."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Final, NamedTuple

from bridge.cloud.belimo_points import Datapoint
from bridge.cloud.buckets import Buckets
from bridge.cloud.cloud import Cloud
from bridge.cloud.power import Line, held
from bridge.errors import Unprocessable
from bridge.store.series import Asset, Batch, Scan

AGGREGATIONS: Final = {
    "last": "last",
    "first": "first",
    "min": "min",
    "max": "max",
    "mean": "avg",
    "sum": "sum",
    "count": "count",
}
"""Belimo's word -> the one of buckets."""
MOST_BUCKETS: Final = 10_000
STEPS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
LONGEST_DAYS: Final = 3_652_059
"""From the year 1 to the year 9999: what a number of points may come to can be asked for again."""
MONDAY: Final = 4 * 86_400_000
"""Weeks begin on Mondays; 1970 began on a Thursday."""
ROWS: Final = 16
"""Newest samples of an asset that are looked at before its points are looked for one by one: mostly the first has them
all."""
ASSETS: Final = 20_000
"""Assets whose newest values are held in memory; the ones not asked for longest are forgotten first."""

Values = dict[str, tuple[int, float]]
"""Point -> (ms, value)."""


class Latest:
    """The newest value of every point of an asset: read once, then followed as readings are stored."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._kept: OrderedDict[str, Values] = OrderedDict()
        self._reading: dict[str, int] = {}
        self._missed: set[str] = set()
        cloud.series.stored.append(self._follow)
        cloud.series.reloaded.append(self._forget)

    async def of(self, assets: Sequence[Asset]) -> dict[str, Values]:
        """Asset -> its newest values."""
        missing = [asset for asset in assets if asset.name not in self._kept]
        if not missing:
            return {asset.name: self._keep(asset.name, self._kept[asset.name]) for asset in assets}
        for asset in missing:
            self._reading[asset.name] = self._reading.get(asset.name, 0) + 1
        try:
            read = await at_time(self._cloud, missing, None)
        finally:
            missed = self._missed & {asset.name for asset in missing}
            for asset in missing:
                self._done(asset.name)
        found = {}
        for asset in assets:
            values = self._kept.get(asset.name)
            if values is None:
                values = read.get(asset.name, {})
                if asset.name not in missed:
                    self._keep(asset.name, values)
            found[asset.name] = values
        return found

    def _keep(self, name: str, values: Values) -> Values:
        self._kept[name] = values
        self._kept.move_to_end(name)
        if len(self._kept) > ASSETS:
            self._kept.popitem(last=False)
        return values

    def _done(self, name: str) -> None:
        self._reading[name] -= 1
        if not self._reading[name]:
            del self._reading[name]
            self._missed.discard(name)

    def _forget(self) -> None:
        self._missed |= self._reading.keys()
        self._kept.clear()

    def _follow(self, batch: Batch) -> None:
        for (asset, at), told in batch.samples.items():
            if asset in self._reading:
                self._missed.add(asset)
            values = self._kept.get(asset)
            if values is None:
                continue
            for point, value in told.items():
                known = values.get(point)
                if known is None or known[0] <= at:
                    values[point] = at, value


async def at_time(cloud: Cloud, assets: Sequence[Asset], at: int | None) -> dict[str, Values]:
    """Asset -> the newest values at or before `at`, of all time where it is None."""
    end = None if at is None else at + 1

    def read(scan: Scan) -> dict[str, Values]:
        return {asset.name: _newest(scan, asset, asset.last_at + 1 if end is None else end) for asset in assets}

    return await cloud.series.read(read)


def _newest(scan: Scan, asset: Asset, end: int) -> Values:
    found: Values = {}
    missing = set(asset.points)
    for at, values in islice(scan.samples(asset.number, asset.first_at, end, True), ROWS):
        for point in missing & values.keys():
            found[point] = at, values[point]
        missing -= values.keys()
        if not missing:
            break
    for point in missing:
        before = scan.before(asset.number, end, point)
        if before is not None:
            found[point] = before
    return found


class Range(NamedTuple):
    """[start, end) in whole buckets of `step`, all in ms. `resolution` is what an answer says."""

    start: int
    end: int
    step: int
    resolution: str

    def bucket(self, at: int) -> int:
        """Start of the bucket that holds `at`."""
        return _floor(at, self.step)


def buckets(start: int, end: int, resolution: str) -> Range:
    """The buckets over [start, end), by UTC clock, widened outward. `resolution` is a duration (15m) or a number of points.
    Raises Unprocessable."""
    length = _DURATION.fullmatch(resolution)
    if length is not None:
        step = int(length[1]) * STEPS[length[2]]
        if not step or step > LONGEST_DAYS * STEPS["d"]:
            raise Unprocessable("invalid", f"resolution {resolution!r}: between 1s and {LONGEST_DAYS}d", "?resolution")
    elif _NUMBER.fullmatch(resolution) and 0 < int(resolution) <= MOST_BUCKETS:
        step = _fitting(start, end, int(resolution))
        resolution = next(f"{step // unit}{name}" for name, unit in _DOWNWARD if step % unit == 0)
    else:
        wanted = f"a duration such as 15m, 1h or 1d, or a number of points up to {MOST_BUCKETS}"
        raise Unprocessable("invalid", f"resolution {resolution[:20]!r}; {wanted}", "?resolution")
    low, high = _floor(start, step), _ceil(end, step)
    if (high - low) // step > MOST_BUCKETS:
        raise Unprocessable(
            "invalid", f"{(high - low) // step} buckets of {resolution}; at most {MOST_BUCKETS}", "?resolution"
        )
    return Range(low, high, step, resolution)


def _fitting(start: int, end: int, points: int) -> int:
    """The shortest whole number of seconds whose buckets over the range are no more than `points`."""
    step = max(1, -(-(end - start) // (points * 1000))) * 1000
    while (_ceil(end, step) - _floor(start, step)) // step > points and points > 1:
        step += max(1000, step // points // 1000 * 1000)
    return step


def _floor(at: int, step: int) -> int:
    anchor = MONDAY if step % STEPS["w"] == 0 else 0
    return (at - anchor) // step * step + anchor


def _ceil(at: int, step: int) -> int:
    low = _floor(at, step)
    return low if low == at else low + step


_DURATION: Final = re.compile(r"([0-9]{1,12})([smhdw])", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_DOWNWARD: Final = tuple(sorted(STEPS.items(), key=lambda each: -each[1]))


async def timeseries(
    cloud: Cloud, wanted: Sequence[Datapoint], span: Range, aggregation: str
) -> dict[str, list[tuple[int, float]]]:
    """Datapoint id -> (start of bucket, value) of the buckets that have any."""
    by_asset: dict[str, list[Datapoint]] = {}
    for each in wanted:
        by_asset.setdefault(each.asset, []).append(each)
    function = AGGREGATIONS[aggregation]

    def read(scan: Scan) -> dict[str, list[tuple[int, float]]]:
        found = {}
        for asset, points in by_asset.items():
            lines = _lines(scan, cloud.series.assets[asset], {each.point for each in points}, span, function)
            for each in points:
                factor = 1.0 if function == "count" else each.factor
                found[each.id] = [(at, value * factor) for at, value in lines[each.point].result(function)]
        return found

    return await cloud.series.read(read)


def _lines(scan: Scan, asset: Asset, points: set[str], span: Range, function: str) -> dict[str, Line]:
    """Each point's buckets, of readings and of the quarter-hours that are kept instead of older ones."""
    steps = Buckets(span.start, span.end, span.step)
    lines = {point: Line(steps, MOST_BUCKETS, span.start, span.end, (function,)) for point in points}
    for start, end in held(asset, span.start, span.end):
        for point, column in scan.columns(asset.number, points, start, end):
            rolled = scan.rolled(asset.number, start, end, point)
            lines[point].take(column if rolled is None else lines[point].take_rolled(rolled, column))
    for line in lines.values():
        line.finish()
    return lines


async def raw(
    cloud: Cloud, wanted: Datapoint, start: int, end: int, offset: int, limit: int, newest_first: bool
) -> tuple[int, list[tuple[int, float]]]:
    """How many readings [start, end) has, and the page of them: (ms, value)."""
    asset = cloud.series.assets[wanted.asset]
    step = -1 if newest_first else 1

    def read(scan: Scan) -> tuple[int, list[tuple[int, float]]]:
        total, page = 0, []
        for low, high in list(held(asset, start, end))[::step]:
            times, values = scan.column(asset.number, low, high, wanted.point)
            here = slice(max(0, offset - total), max(0, offset + limit - total))
            found = zip(times[::step][here].tolist(), values[::step][here].tolist(), strict=True)
            page += [(at, value * wanted.factor) for at, value in found]
            total += len(times)
        return total, page

    return await cloud.series.read(read)


Row = tuple[int, Mapping[str, float]]
"""(ms, {datapoint id: value})."""


async def table(
    cloud: Cloud, device: str, wanted: Iterable[Datapoint], start: int, end: int
) -> AsyncIterator[list[Row]]:
    """Every instant of [start, end) that has any of the datapoints, in portions; memory stays constant."""
    by_place: dict[tuple[str, str], Datapoint] = {(each.asset, each.point): each for each in wanted}
    open_row: dict[str, float] = {}
    open_at = 0
    async with aclosing(cloud.stream(device=device, start=start, end=end)) as pages:
        async for page in pages:
            rows: list[Row] = []
            for reading in page:
                each = by_place.get((reading.asset, reading.point))
                if each is None:
                    continue
                if reading.timestamp != open_at and open_row:
                    rows.append((open_at, open_row))
                    open_row = {}
                open_at = reading.timestamp
                open_row[each.id] = reading.value * each.factor
            if rows:
                yield rows
    if open_row:
        yield [(open_at, open_row)]
