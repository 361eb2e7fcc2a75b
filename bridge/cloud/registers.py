"""Cumulative registers and the increments that they tell: pure.

A meter counts up. What was used between two readings is their difference, and belongs to the time of the later one, however
long the gap. A reading below the one before is, by its size:

    within 1 % of the one before       noise (rounding, a total recomputed): nothing was used; the higher one stays the measure
    near 0, and the one before near    a rollover: the rest up to the capacity, and what is on the register now; only
      the register's capacity          where that makes less than 1 % of the capacity
    below half of the one before       a reset to 0: what is on the register now
    else                               another meter was put in: nothing is known to have been used; counting goes on from there

So a fault of a meter may lose a little, and never invents much.
"""

from __future__ import annotations

from collections.abc import Iterable

NOISE = 0.01
RESET = 0.5
ROLLOVER = 0.01
DECIMALS = 9
"""Increments are rounded to a billionth of the unit: 100.3 - 100.2 is 0.1."""

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
    """Increments of one register. `before` is its last reading ahead of the first portion; without it the first reading only
    sets the measure."""

    def __init__(self, before: float | None = None) -> None:
        self._before = before

    def take(self, readings: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
        """(time of the later reading, increment) for the next readings in ascending time."""
        before, found = self._before, []
        for at, now in readings:
            if before is None:
                before = now
                continue
            used, before = increment(before, now)
            found.append((at, used))
        self._before = before
        return found


class Minutes:
    """The last reading of each minute, at the minute: pulse inputs are kept by the minute (http_apis.md A.1)."""

    def __init__(self) -> None:
        self._held: tuple[int, float] | None = None

    def take(self, readings: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
        """The minutes that the next readings, in ascending time, complete."""
        held, found = self._held, []
        for at, value in readings:
            minute = at - at % 60_000
            if held is not None and held[0] != minute:
                found.append(held)
            held = (minute, value)
        self._held = held
        return found

    def rest(self) -> list[tuple[int, float]]:
        """The minute that no later reading has completed."""
        return [] if self._held is None else [self._held]
