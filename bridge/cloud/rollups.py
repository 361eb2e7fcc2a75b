"""What is kept of a quarter-hour when its readings go: count, sum, extremes and ends. Pure.

Of a counter they are those of the register by the minute, and its increments beside them, as electric power has them.
Quarter-hours are those of UTC, which are those of every zone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bridge.cloud.buckets import MINUTE, Buckets, Folding
from bridge.cloud.registers import Increments, by_minute
from bridge.store.chunks import DAY_MS, PARTS, USED
from bridge.store.columns import Column

ROLLED_MS = 15 * MINUTE


def roll(column: Column, day: int, counter: bool, before: float | None) -> Mapping[str, Column]:
    """The quarter-hours of a day's readings (since 1970), by part; `before` is the last reading ahead of them."""
    readings = by_minute(column) if counter else column
    found = _folded(readings, day, PARTS)
    if not counter:
        return found
    return {**found, USED: _folded(Increments(before).take(readings), day, ("sum",))["sum"]}


def _folded(readings: Column, day: int, parts: tuple[str, ...]) -> dict[str, Column]:
    buckets = Buckets(day * DAY_MS, (day + 1) * DAY_MS, ROLLED_MS)
    folding = Folding(buckets, DAY_MS // ROLLED_MS, parts)
    folding.take(readings)
    folding.finish()
    found = {}
    for part in parts:
        pairs = folding.result(part)
        times, values = np.array([at for at, _ in pairs], np.int64), np.array([value for _, value in pairs], np.float64)
        found[part] = Column(times, values)
    return found
