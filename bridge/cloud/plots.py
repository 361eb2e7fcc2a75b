"""Series as a screen can show them: few values, with every peak of the readings in them.

A gauge that has no more readings than are wanted is given as it is, else by buckets of local time with mean, lowest and
highest. A counter is always given by buckets: what it came to in each, as electric power's `sum` has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from bridge.cloud.buckets import Buckets, Wall, up
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos_items import Pairs
from bridge.cloud.power import Counter, Line, held
from bridge.cloud.registers import counted_from
from bridge.cloud.rollups import ROLLED_MS
from bridge.cloud.zones import instant, local
from bridge.store.chunks import DAY_MS
from bridge.store.series import COUNTER, Asset, Scan

MOST: Final = 2_000
"""Values of a series at most: more than a screen has pixels beside each other."""
LAST: Final = 253_000_000_000_000
"""In the year 9987: no day ends past 9999, in no zone."""
PARTS: Final = ("avg", "min", "max")
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
STEPS: Final = (
    *(each * SECOND for each in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(each * MINUTE for each in (1, 2, 3, 5, 10, 15, 20, 30, 90)),
    *(each * HOUR for each in (1, 2, 3, 4, 6, 8, 12, 24)),
)
"""Lengths of buckets, each a part of a day; longer ones are whole days."""
_STEPS: Final = tuple(sorted(STEPS))


class Drawn(NamedTuple):
    """One asset's part of a plot. `step` is the length of its buckets, ms; 0: the readings themselves, or nothing. `low` and
    `high` are empty unless `values` are means."""

    asset: Asset
    zone: ZoneInfo
    step: int
    values: Pairs
    low: Pairs = ()
    high: Pairs = ()


class _Wanted(NamedTuple):
    """What is asked of one asset."""

    asset: Asset
    zone: ZoneInfo
    point: str
    start: int
    end: int
    most: int


async def plot(cloud: Cloud, assets: Sequence[Asset], point: str, start: int, end: int, most: int) -> list[Drawn]:
    """What [start, end) in ms looks like, of the assets that have the point: at most `most` values each."""
    start, end = max(start, 0), min(end, LAST)
    found = []
    for asset in assets:
        if point in asset.points and start < end:
            draw = _counted if asset.points[point][1] == COUNTER else _measured
            wanted = _Wanted(asset, cloud.zone_of(asset), point, start, end, most)
            found.append(await cloud.series.read(partial(draw, wanted)))
    return found


def step_of(span: int, buckets: int, least: int = 0) -> int:
    """The shortest step, of at least `least` ms, with no more than `buckets` over a span, wherever in one that begins. The
    one hour that autumn adds is room enough for."""
    room = max(1, buckets - 2)
    for step in _STEPS:
        if step >= least and span <= step * room:
            return step
    return -(-span // (room * DAY_MS)) * DAY_MS


def _measured(wanted: _Wanted, scan: Scan) -> Drawn:
    readings, least = _readings(wanted, scan)
    if readings is not None:
        return Drawn(wanted.asset, wanted.zone, 0, readings)
    step = step_of(wanted.end - wanted.start, wanted.most // len(PARTS), least)
    start, buckets = _buckets(wanted, step)
    line = Line(buckets, wanted.most, start, wanted.end, PARTS)
    _take(line, wanted, scan, start, wanted.end)
    return Drawn(wanted.asset, wanted.zone, step, *(line.result(part) for part in PARTS))


def _counted(wanted: _Wanted, scan: Scan) -> Drawn:
    step = step_of(wanted.end - wanted.start, wanted.most, ROLLED_MS)
    start, buckets = _buckets(wanted, step)
    increments = counted_from(scan, wanted.asset.number, wanted.point, up(start))
    line = Counter(buckets, wanted.most, up(start), up(wanted.end), ("sum",), increments)
    _take(line, wanted, scan, start, up(wanted.end))
    return Drawn(wanted.asset, wanted.zone, step, line.result("sum"))


def _take(line: Line, wanted: _Wanted, scan: Scan, start: int, end: int) -> None:
    """Readings, and the quarter-hours that are kept instead of older ones."""
    number, point = wanted.asset.number, wanted.point
    for low, high in held(wanted.asset, start, end):
        column = scan.column(number, low, high, point)
        rolled = scan.rolled(number, low, high, point)
        line.take(column if rolled is None else line.take_rolled(rolled, column))
    line.finish()


def _readings(wanted: _Wanted, scan: Scan) -> tuple[Pairs | None, int]:
    """The readings themselves; None where there are too many, or quarter-hours instead. Then the shortest step that shows
    them."""
    number, point = wanted.asset.number, wanted.point
    line = Line(None, wanted.most + 1, wanted.start, wanted.end, ())
    for low, high in held(wanted.asset, wanted.start, wanted.end):
        if scan.rolled(number, low, high, point) is not None:
            return None, ROLLED_MS
        line.take(scan.column(number, low, high, point))
        if line.full:
            return None, 0
    readings = line.result(None)
    return readings, 0


def _buckets(wanted: _Wanted, step: int) -> tuple[int, Buckets]:
    """Where the first bucket begins, and the buckets: by the wall clock of the asset, from midnight on."""
    begins = local(wanted.start, wanted.zone)
    wall = Wall(datetime(begins.year, begins.month, begins.day), wanted.zone)  # noqa: DTZ001 - a wall clock
    midnight = instant(wall.start, wanted.zone)
    buckets = Buckets(midnight, wanted.end, step, wall)
    return buckets.around(wanted.start)[0], buckets
