"""What each UTC day of an asset holds: the quarter-hours in which it told anything, and how many rows came late.

A row is late when the store already had a newer one of its asset. A day is written when it gains a quarter-hour or a late
row, some 96 times a day and asset, in the transaction of its readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from bridge.store.dialect import Connection

QUARTER_MS = 900_000
QUARTERS = 96
_HALF = QUARTERS // 2
_LOW = (1 << _HALF) - 1

_DAYS = "SELECT day, first_half, second_half, late FROM days WHERE asset = ? AND day >= ? AND day <= ?"


class Held(NamedTuple):
    """Of a range: how many of its quarter-hours have readings, and how many rows of its days came late."""

    quarters: int
    late: int


class _Known(Protocol):
    @property
    def last_at(self) -> int: ...


class Days:
    """Remembers the day of each asset that was written last, so that what is known is not written again."""

    def __init__(self) -> None:
        self._written: dict[str, tuple[int, int]] = {}

    def news(
        self, samples: Iterable[tuple[str, int]], assets: Mapping[str, _Known]
    ) -> dict[tuple[str, int], tuple[int, int]]:
        """(asset, day) -> (its quarter-hours as bits, late rows), where there is anything to write."""
        bits: dict[tuple[str, int], int] = {}
        late: dict[tuple[str, int], int] = {}
        for asset, at in samples:
            day, within = divmod(at, QUARTER_MS * QUARTERS)
            key = asset, day
            bits[key] = bits.get(key, 0) | 1 << within // QUARTER_MS
            known = assets.get(asset)
            if known is not None and at < known.last_at:
                late[key] = late.get(key, 0) + 1
        return {
            key: (found, late.get(key, 0)) for key, found in bits.items() if key in late or self._is_new(*key, found)
        }

    def written(self, news: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """These are stored."""
        for (asset, day), (bits, _) in news.items():
            known = self._written.get(asset)
            self._written[asset] = (day, bits | known[1] if known is not None and known[0] == day else bits)

    def _is_new(self, asset: str, day: int, bits: int) -> bool:
        known = self._written.get(asset)
        return known is None or known[0] != day or bits & ~known[1] != 0


def rows(
    news: Mapping[tuple[str, int], tuple[int, int]], numbers: Mapping[str, int]
) -> list[tuple[int, int, int, int, int]]:
    """[asset, day, first_half, second_half, late], in the order of the table."""
    return sorted(
        (numbers[asset], day, bits & _LOW, bits >> _HALF, late) for (asset, day), (bits, late) in news.items()
    )


def held(connection: Connection, asset: int, start: int, end: int) -> Held:
    """Of [start, end) in ms; a quarter-hour counts that begins before `end` and ends after `start`."""
    first, last = start // QUARTER_MS, -(-end // QUARTER_MS) - 1
    quarters = late = 0
    for day, low, high, came_late in connection.execute(_DAYS, (asset, first // QUARTERS, last // QUARTERS)):
        bits = low | high << _HALF
        if day == first // QUARTERS:
            bits &= -1 << first % QUARTERS
        if day == last // QUARTERS:
            bits &= (2 << last % QUARTERS) - 1
        quarters += bits.bit_count()
        late += came_late
    return Held(quarters, late)
