"""What energy costs: a time-of-use tariff, and the increments of a register priced by it. Pure.

An increment was used evenly between its two readings; where they are more than a day apart nobody knows when, and it belongs to
the time of the later one. Amounts are whole billionths (NANO), rounded as a running total of each increment, so that the parts of
an increment give exactly the whole, wherever it is cut.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bridge.cloud.registers import DECIMALS, increment
from bridge.cloud.rollups import ROLLED_MS
from bridge.cloud.statistics import EARLIEST, LATEST, Window
from bridge.cloud.zones import EPOCH, change, offset_at

NANO = 1_000_000_000
MINUTE = 60_000
DAY = 86_400_000
LONGEST = DAY
"""Between two readings, to be spread evenly."""
MOST = 1e12
"""kWh that any register holds; more is none."""


class Period(NamedTuple):
    """A price from minute `start` to minute `end` of a day, in these months (1 to 12) and on these weekdays (1 Monday to 7
    Sunday); empty is all."""

    price: float
    start: int = 0
    end: int = 1_440
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()


class Tariff:
    """Prices of a kWh by the wall clock of a zone: the first period that fits, else `price`."""

    def __init__(self, price: float, periods: Iterable[Period], zone: ZoneInfo) -> None:
        self._price = price
        self._periods = tuple(periods)
        self._zone = zone
        self._days: dict[int, list[tuple[int, float]]] = {}
        self._offset: tuple[int, int, int] = (0, 0, 0)

    def prices(self, start: int, end: int) -> Iterator[tuple[int, int, float]]:
        """(start, end, price) of [start, end) in pieces of one price."""
        at = start
        while at < end:
            offset, until = self._clock(at)
            wall = at + offset
            day = wall // DAY
            slots = self._slots(day)
            slot = bisect_right(slots, wall - day * DAY, key=lambda each: each[0]) - 1
            edge = slots[slot + 1][0] if slot + 1 < len(slots) else DAY
            stop = min(day * DAY + edge - offset, until, end)
            yield at, stop, slots[slot][1]
            at = stop

    def _clock(self, at: int) -> tuple[int, int]:
        """What the zone adds to UTC at an instant, and until when at least."""
        low, high, offset = self._offset
        if not low <= at < high:
            low = at - at % DAY
            low, high, offset = self._offset = _steady(at, low, low + DAY, self._zone)
        return offset, high

    def _slots(self, day: int) -> list[tuple[int, float]]:
        """(ms of the day, price from there) of a local day; the first is at 0."""
        known = self._days.get(day)
        if known is None:
            date = EPOCH + timedelta(days=day)
            fitting = [
                each
                for each in self._periods
                if date.month in (each.months or {date.month})
                and date.isoweekday() in (each.weekdays or {date.isoweekday()})
            ]
            edges = sorted({0, *(edge for each in fitting for edge in (each.start, each.end) if edge < 1_440)})
            known = self._days[day] = [
                (
                    edge * MINUTE,
                    next((each.price for each in fitting if each.start <= edge < each.end), self._price),
                )
                for edge in edges
            ]
        return known


def _steady(at: int, low: int, high: int, zone: ZoneInfo) -> tuple[int, int, int]:
    """(from, until, offset) of an instant: the part of [low, high) around it in which the zone's offset stays."""
    offset = offset_at(at, zone)
    if offset_at(low, zone) != offset:
        low = change(zone, low, at)
    if offset_at(high - 1, zone) != offset:
        high = change(zone, at, high - 1)
    return low, high, offset


class Used(NamedTuple):
    """kWh of a register between two readings."""

    start: int
    end: int
    energy: float


class Rolled(NamedTuple):
    """Of a quarter-hour that is kept in place of readings: what its readings told, and the first of them."""

    energy: float
    first: float


Reading = tuple[int, float, Rolled | None]
"""(ms, what the register said); a quarter-hour's is its end, and the last that the register said in it."""


def used(readings: Iterable[Reading]) -> Iterator[Used]:
    """What a register counted between its readings, which ascend; the first only sets the measure. What is noise is measured
    against the highest reading of its day (UTC) alone: so it does not matter with which day one begins."""
    measure = 0.0
    last: tuple[int, float] | None = None
    for at, value, told in readings:
        if told is not None:
            begin, (energy, first) = at - ROLLED_MS, told
            if last is not None and last[0] < begin:  # what was used across a gap ends with the first reading behind it
                gap = min(energy, increment(last[1], first)[0])
                if 0 < gap <= MOST:
                    yield Used(last[0], begin, gap)
                energy, last = round(energy - gap, DECIMALS), (begin, first)
            last, measure = last or (begin + 1, first), value
        elif last is None:
            last, measure = (at, value), value
            continue
        else:
            if last[0] // DAY != at // DAY:
                measure = last[1]
            energy, measure = increment(measure, value)
        if 0 < energy <= MOST:
            yield Used(last[0], at, energy)
        last = (at, value)


def amounts(increments: Iterable[Used], tariff: Tariff, window: Window) -> dict[str, int]:
    """Label -> what the energy in the window cost, in billionths."""
    found: dict[str, int] = {}
    flat = _Flat("", LATEST, EARLIEST, 0.0)
    for each in increments:
        if flat.start <= each.start and each.end <= flat.end:
            found[flat.label] = found.get(flat.label, 0) + round(each.energy * flat.price * NANO)
            continue
        if each.end - each.start > LONGEST:
            label = window.label(each.end)
            if label is not None:
                ((_, _, price),) = tariff.prices(each.end, each.end + 1)
                found[label] = found.get(label, 0) + round(each.energy * price * NANO)
            continue
        pieces = list(window.cut(each.start, each.end))
        if not pieces:
            continue
        total = _Total(each, tariff)
        for label, start, end in pieces:
            found[label] = found.get(label, 0) + total.at(end) - total.at(start)
        flat = _flat(each.end, tariff, window)
    return found


class _Flat(NamedTuple):
    """A time without any border in it: most increments lie in one."""

    label: str
    start: int
    end: int
    price: float


def _flat(at: int, tariff: Tariff, window: Window) -> _Flat:
    """The one from `at` on; an empty one where the window has none."""
    _, until, price = next(tariff.prices(at, at + DAY))
    for label, start, end in window.cut(at, until):
        return _Flat(label, start, end, price)
    return _Flat("", LATEST, EARLIEST, 0.0)


class _Total:
    """What an increment has cost up to an instant."""

    def __init__(self, used: Used, tariff: Tariff) -> None:
        self._starts: list[int] = []
        self._prices: list[float] = []
        self._sums = [0.0]
        self._rate = used.energy / (used.end - used.start)
        for start, end, price in tariff.prices(used.start, used.end):
            whole = used.energy * price if end - start == used.end - used.start else (end - start) * self._rate * price
            self._starts.append(start)
            self._prices.append(price)
            self._sums.append(self._sums[-1] + whole)
        self._end = used.end

    def at(self, moment: int) -> int:
        """In billionths."""
        if moment >= self._end:
            return round(self._sums[-1] * NANO)
        place = bisect_right(self._starts, moment) - 1
        part = (moment - self._starts[place]) * self._rate * self._prices[place]
        return round((self._sums[place] + part) * NANO)


def money(amount: int) -> str:
    """Billionths as a decimal number without needless zeros."""
    sign, whole, rest = "-" if amount < 0 else "", *divmod(abs(amount), NANO)
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")
