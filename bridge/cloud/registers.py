"""Cumulative registers and the increments that they tell: pure.

A meter counts up. What was used between two readings is their difference, and belongs to the time of the later one, however
long the gap. A reading below the one before is, by its size:

    within 1 % of the one before       noise (rounding, a total recomputed): nothing was used; the higher one stays the measure,
                                       until its day (UTC) is over
    near 0, and the one before near    a rollover: the rest up to the capacity, and what is on the register now; only
      the register's capacity          where that makes less than 1 % of the capacity
    below half of the one before       a reset to 0: what is on the register now
    else                               another meter was put in: nothing is known to have been used; counting goes on from there

So a fault of a meter may lose a little, and never invents much. What a day's readings tell depends on them and the one ahead of
the day alone: so it is the same whatever range was asked for, and after the day was rolled up.
"""

from __future__ import annotations

import numpy as np

from bridge.store.chunks import DAY_MS
from bridge.store.columns import EMPTY, Column, Times, Values
from bridge.store.scan import Scan

MINUTE_MS = 60_000
NOISE = 0.01
RESET = 0.5
ROLLOVER = 0.01
DECIMALS = 9
"""Increments are rounded to a billionth of the unit: 100.3 - 100.2 is 0.1."""

_UNITS = 10.0**DECIMALS
_SURE = float(1 << 52)
_SCALES = (1, 10, 100, 1_000)
CAPACITIES = tuple(
    sorted(
        {float(10**digits) for digits in range(4, 13)} | {bits / scale for bits in (2**16, 2**32) for scale in _SCALES}
    )
)
"""Where registers roll over: decimal counters of 4 to 12 digits, 16 and 32 bit words with up to three decimals."""


def increment(before: float, now: float) -> tuple[float, float]:
    """(what was used since `before`, the reading to measure the next one against)."""
    if now >= before:
        return round(now - before, DECIMALS), now
    if now >= before * (1 - NOISE):
        return 0.0, before
    for capacity in CAPACITIES:
        used = capacity - before + max(now, 0.0)
        if before < capacity and used < capacity * ROLLOVER:
            return round(used, DECIMALS), now
    return (max(now, 0.0) if now < before * RESET else 0.0), now


class Increments:
    """Increments of one register. `before` is its last reading ahead of the first portion, from an earlier day; without it the
    first reading only sets the measure. `measure` is what the next reading is measured against, if it is of the same day."""

    def __init__(self, before: float | None = None) -> None:
        self.measure = self._last = before
        self._day: int | None = None

    def take(self, column: Column) -> Column:
        """Increments at the times of the later readings, for the next readings in ascending time."""
        times, register = column
        if not len(times):
            return EMPTY
        days = times // DAY_MS
        if days[0] != self._day:
            self.measure = self._last
        self._last, self._day = float(register[-1]), int(days[-1])
        if self.measure is None:
            self.measure = float(register[0])
            times, register, days = times[1:], register[1:], days[1:]
            if not len(times):
                return EMPTY
        register = np.concatenate([[self.measure], register])
        with np.errstate(over="ignore"):
            steps = np.diff(register)
        used = rounded(steps)
        self.measure = self._last
        falls = np.flatnonzero(steps < 0)
        if len(falls):
            begins = np.flatnonzero(np.diff(days, prepend=days[0])) + 1
            self._correct(register.tolist(), used, falls.tolist(), set(begins.tolist()))
        return Column(times, used)

    def follow(self, at: int, value: float) -> float | None:
        """`take` of one reading: its increment, None where it is the first."""
        day = at // DAY_MS
        if day != self._day:
            self.measure = self._last
        self._last, self._day = value, day
        if self.measure is None:
            self.measure = value
            return None
        used, self.measure = increment(self.measure, value)
        return used

    def _correct(self, register: list[float], used: Values, falls: list[int], begins: set[int]) -> None:
        """Put right what follows each fall, until the measure is the register again; `begins` are the first of each day."""
        done = 0
        for at in falls:
            if at < done:
                continue
            measure = register[at]
            for done in range(at + 1, len(register)):
                if done in begins:
                    measure = register[done - 1]
                used[done - 1], measure = increment(measure, register[done])
                if measure == register[done]:
                    break
            else:
                self.measure = measure
                return


def rounded(steps: Values) -> Values:
    """As `round(…, DECIMALS)` of each: by whole billionths where that is sure to be the same, else one by one."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = steps * _UNITS
        found = np.rint(scaled) / _UNITS
        sure = np.abs(np.abs(scaled - np.floor(scaled)) - 0.5) > np.abs(scaled) / _SURE
    for at in np.flatnonzero(~(sure & (np.abs(scaled) < _SURE))).tolist():
        found[at] = round(float(steps[at]), DECIMALS)
    return found


def by_minute(column: Column) -> Column:
    """The last reading of each minute, at the minute: pulse inputs are kept by the minute (http_apis.md A.1)."""
    times, values = last_of_minutes(column)
    minutes: Times = times - times % MINUTE_MS
    return Column(minutes, values)


def last_of_minutes(column: Column) -> Column:
    """The last reading of each minute, at its own time."""
    minutes = column.times // MINUTE_MS
    last = np.flatnonzero(np.diff(minutes, append=minutes[-1:] + 1))
    return Column(column.times[last], column.values[last])


def counted_from(scan: Scan, asset: int, point: str, start: int) -> Increments:
    """The increments of a register from `start` on, measured as those that were counted from the begin of its day (UTC)."""
    day = start - start % DAY_MS
    if day == start or scan.rolled(asset, day, start, point) is not None:
        before = scan.before(asset, start, point)
        return Increments(before and before[1])
    before = scan.before(asset, day, point)
    increments = Increments(before and before[1])
    increments.take(by_minute(scan.column(asset, day, start, point)))
    return increments
