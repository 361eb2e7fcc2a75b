"""EnOS: what is stored of measure points over a range - all readings, or changes of state, or how long each state was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import NAMES, QUERY, TEXT_MODEL, EnosError, Fields, Parameters, Shape, Version
from bridge.cloud.enos_items import Items, Told, allowed, answer, encode, span
from bridge.cloud.power import ASSETS_PER_READ, MAX_DAYS, portions
from bridge.store.chunks import DAY_MS
from bridge.store.columns import Column, Values, between
from bridge.store.series import Asset, Scan

SCANNED = 640_000
"""Readings of one point that are looked at for its durations, and ten times as many in one request."""
MOST_STATES = 1_000
"""What has more of them is no state."""


Job = Callable[[Scan], bytes]
"""Reads one asset's items."""


class History(NamedTuple):
    """A request for readings. `start` and `end` are both wall times or both instants; `page` bounds each (asset, point);
    `changes` leaves out what is as it was before, and `held` begins with what held at the start."""

    assets: Sequence[str]
    points: Sequence[str]
    start: datetime | int
    end: datetime | int
    page: int
    shape: Shape
    newest_first: bool = False
    changes: bool = False
    held: bool = False


class Durations(NamedTuple):
    """A request for how long states were; `states` None: of all; `unknown`: also how long nothing was known."""

    assets: Sequence[str]
    points: Sequence[str]
    start: datetime | int
    end: datetime | int
    states: frozenset[float] | None
    unknown: bool
    version: Version


def asked_history(params: Parameters, version: Version) -> History:
    """Parameters of raw, ai, generic and unified-raw. Raises EnosError."""
    given, assets, points = _common(params, version)
    for name, good in (("interpolation", ("",)), ("boundaryType", ("", "inside"))):
        if given.text(name).lower() not in good:
            raise EnosError(QUERY, f"param {name} is invalid")
    order = given.text("orderBy").lower().split() or ["timestamp"]
    if order[0] != "timestamp" or order[1:] not in ([], ["asc"], ["desc"]):
        raise EnosError(QUERY, "param orderBy is invalid")
    start, end = given.times()
    page = given.page(len(assets) * len(points))
    return History(assets, points, start, end, page, given.shape(exact=True), order[1:] == ["desc"])


def asked_changes(params: Parameters, version: Version) -> History:
    """Parameters of di. Raises EnosError."""
    given, assets, points = _common(params, version)
    start, end = given.times()
    page, held = given.page(len(assets) * len(points)), given.flag("autoInterpolate")
    return History(assets, points, start, end, page, given.shape(exact=True), changes=True, held=held)


def asked_durations(params: Parameters, version: Version) -> Durations:
    """Parameters of di/duration. Raises EnosError."""
    given, assets, points = _common(params, version)
    states = None
    if given.text("status"):
        try:
            states = frozenset(float(int(each)) for each in given.names("status"))
        except (ValueError, OverflowError):
            raise EnosError(QUERY, "status is not a valid integer") from None
    start, end = given.times()
    unknown = given.flag("ifWithUnknown", default=states is None)
    return Durations(assets, points, start, end, states, unknown, version)


def _common(params: Parameters, version: Version) -> tuple[Fields, list[str], list[str]]:
    """The fields, the assets and the points, all that is required being there."""
    given, name = Fields(params, version), NAMES["points"][version]
    given.require(("orgId", "assetIds", name, "startTime", "endTime"))
    return given, *given.pairs(name)


async def history(cloud: Cloud, asked: History, principal: Any) -> Told:
    """The answer's body, and whose readings it is made of. Raises EnosError."""
    items = Items(asked.shape, cloud.settings.localtime_style, isinstance(asked.start, int))

    def job(source: _Source) -> Job:
        return partial(_readings, asked, source, items)

    return await _gathered(cloud, asked, asked.shape.version, principal, job)


async def durations(cloud: Cloud, asked: Durations, principal: Any) -> Told:
    """The same for durations."""
    scanned = min(SCANNED, SCANNED * 10 // (len(asked.assets) * len(asked.points)))
    now = cloud.clock()

    def job(source: _Source) -> Job:
        return partial(_durations, asked, source, now, scanned)

    return await _gathered(cloud, asked, asked.version, principal, job)


async def _gathered(
    cloud: Cloud, asked: History | Durations, version: Version, principal: Any, job: Callable[[_Source], Job]
) -> Told:
    assets, denied = allowed(cloud, asked.assets, principal)
    sources = [_Source.of(cloud, asset, asked) for asset in assets]
    parts: list[bytes] = []
    async with cloud.turns:
        for first in range(0, len(sources), ASSETS_PER_READ):
            jobs = [job(source) for source in sources[first : first + ASSETS_PER_READ]]
            parts += await cloud.series.read(partial(_run, jobs))
    spans = [(asset, source.start, source.end) for asset, source in zip(assets, sources, strict=True)]
    return answer(version, denied, parts), spans


def _run(jobs: Sequence[Job], scan: Scan) -> list[bytes]:
    return [job(scan) for job in jobs]


class _Source(NamedTuple):
    """One asset and its range; `low` and `high` are where readings may be in it."""

    name: str
    number: int
    points: Sequence[str]
    zone: ZoneInfo
    start: int
    end: int
    low: int
    high: int

    @classmethod
    def of(cls, cloud: Cloud, asset: Asset, asked: History | Durations) -> _Source:
        zone = cloud.zone_of(asset)
        start, end, _ = span(asked.start, asked.end, zone)
        points = [point for point in asked.points if point in asset.points]
        low, high = max(start, asset.first_at), min(end, asset.last_at + 1)
        return cls(asset.name, asset.number, points, zone, start, end, low, high)


def _readings(asked: History, source: _Source, items: Items, scan: Scan) -> bytes:
    lines = {
        point: _Line(asked, _before(scan, source, point) if asked.held else None, source) for point in source.points
    }
    spans = portions_back if asked.newest_first else portions
    for start, end in spans(source.low, source.high):
        left = [point for point, line in lines.items() if line.room]
        if not left:
            break
        for point, column in scan.columns(source.number, left, start, end):
            lines[point].take(between(column, start, end))
    found = ((point, line.pairs) for point, line in lines.items())
    return items.write(source.name, source.zone, found, asked.newest_first)


class _Line:
    """What is found of one point, at most a page of it. `held` is the value before the range, where that is wanted."""

    def __init__(self, asked: History, held: float | None, source: _Source) -> None:
        self.pairs: list[tuple[int, float]] = []
        self._asked = asked
        self._last = held
        if held is not None:
            self.pairs.append((source.start, _whole(held)))

    @property
    def room(self) -> int:
        """How many more there may be."""
        return self._asked.page - len(self.pairs)

    def take(self, column: Column) -> None:
        """Take the next readings in the order that is asked for."""
        if self._asked.changes:
            if len(column.times):
                last, self._last = self._last, float(column.values[-1])
                changed = changes(column, last)
                states = [_whole(value) for value in changed.values[: self.room].tolist()]
                self.pairs += zip(changed.times[: self.room].tolist(), states, strict=True)
            return
        times, values = column
        if self._asked.newest_first:
            times, values = times[::-1], values[::-1]
        self.pairs += zip(times[: self.room].tolist(), values[: self.room].tolist(), strict=True)


def changes(column: Column, before: float | None) -> Column:
    """The readings that differ from the one before; the first one of all does."""
    times, values = column
    new = np.empty(len(values), bool)
    new[:1] = before is None or values[:1] != before
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return Column(times[new], values[new])


def portions_back(start: int, end: int) -> Iterator[tuple[int, int]]:
    """[start, end) in parts that begin with a UTC day, the latest first: one day, then twice as many each time."""
    days = 1
    while start < end:
        beginning = ((end - 1) // DAY_MS - days + 1) * DAY_MS
        yield max(start, beginning), end
        end, days = beginning, min(days * 2, MAX_DAYS)


def _before(scan: Scan, source: _Source, point: str) -> float | None:
    """The value that held when the range began."""
    found = scan.before(source.number, source.start, point)
    return found and found[1]


def _durations(asked: Durations, source: _Source, now: int, scanned: int, scan: Scan) -> bytes:
    return b",".join(
        part for point in source.points if (part := _durations_of(asked, source, now, scanned, scan, point))
    )


def _durations_of(asked: Durations, source: _Source, now: int, scanned: int, scan: Scan, point: str) -> bytes:
    """One point's item. A state holds until the next reading, the last one until the end, or now."""
    end = max(source.start, min(source.end, now))
    totals, ended = _totals(source, end, scanned, scan, point)
    if not totals.keys() - {None}:
        return b""
    found = [
        {"duration": duration, "status": "Unknown" if state is None else int(state)}
        for state, duration in sorted(totals.items(), key=lambda each: (each[0] is None, each[0] or 0))
        if duration and (asked.unknown if state is None else asked.states is None or state in asked.states)
    ]
    name = NAMES["point"][asked.version]
    return encode({"assetId": source.name, name: point, "scanEndTimestamp": ended, "durations": found})


def _totals(
    source: _Source, end: int, scanned: int, scan: Scan, point: str
) -> tuple[Mapping[float | None, int], int]:  # fmt: skip
    """State (None: unknown) -> ms from the start of the range, and until when. Raises EnosError for what is no state."""
    state = _before(scan, source, point)
    _check(np.array([] if state is None else [state]))
    totals: dict[float | None, int] = {state: 0}
    since, left = source.start, scanned
    for low, high in portions(source.low, min(source.high, end)):
        column = between(scan.column(source.number, low, high, point), low, high)
        if len(column.times) > left:
            column = Column(column.times[:left], column.values[:left])
            end = int(column.times[-1]) if left else since
        left -= len(column.times)
        told = changes(column, state)
        _check(told.values)
        edges = np.concatenate([[since], told.times])
        for each, duration in zip([state, *told.values[:-1].tolist()], np.diff(edges).tolist(), strict=False):
            totals[each] = totals.get(each, 0) + duration
        if len(told.times):
            state, since = float(told.values[-1]), int(told.times[-1])
        if not left or len(totals) > MOST_STATES:
            break
    if len(totals) > MOST_STATES:
        raise EnosError(QUERY, TEXT_MODEL)
    totals[state] = totals.get(state, 0) + end - since
    return totals, end


def _check(values: Values) -> None:
    """States are whole numbers."""
    if not np.array_equal(values, np.rint(values)):
        raise EnosError(QUERY, TEXT_MODEL)


def _whole(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
