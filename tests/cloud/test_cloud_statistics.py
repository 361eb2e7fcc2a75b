"""Ranges, days, months, runs and prices: hand-made numbers, and that all parts add up to the whole."""

# ruff: noqa: DTZ001 - wall clocks
from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cloud.statistics import LATEST, Run, Times, Window, intervals, merged, place, times
from bridge.cloud.statistics_tariff import DAY, NANO, Period, Reading, Rolled, Tariff, Used, amounts, money, used
from bridge.cloud.zones import instant, local, zone

BERLIN, SHANGHAI, APIA, HAVANA = (
    zone("Europe/Berlin"),
    zone("Asia/Shanghai"),
    zone("Pacific/Apia"),
    zone("America/Havana"),
)
HOUR, MINUTE = 3_600_000, 60_000
START = instant(datetime(2024, 3, 29), BERLIN)


def at(*wall: int) -> int:
    return instant(datetime(*wall), BERLIN)


# Windows.


def test_a_day_may_have_23_or_25_hours() -> None:
    march = Window([(at(2024, 3, 30), at(2024, 4, 2))], BERLIN, "day")
    assert [(label, (end - start) // HOUR) for label, start, end in march.cut(at(2024, 3, 1), at(2024, 5, 1))] == [
        ("2024-03-30", 24),
        ("2024-03-31", 23),
        ("2024-04-01", 24),
    ]
    october = Window([(at(2024, 10, 27), at(2024, 10, 28))], BERLIN, "day")
    assert [(end - start) // HOUR for _, start, end in october.cut(0, LATEST)] == [25]


def test_months() -> None:
    window = Window([(at(2023, 12, 15), at(2024, 3, 2))], BERLIN, "month")
    cut = [(label, start, end) for label, start, end in window.cut(0, LATEST)]
    assert [label for label, _, _ in cut] == ["2023-12", "2024-01", "2024-02", "2024-03"]
    assert cut[2][1:] == (at(2024, 2, 1), at(2024, 3, 1))
    assert [window.label(each) for each in (at(2023, 12, 15) - 1, at(2024, 2, 29), at(2024, 3, 2))] == [
        None,
        "2024-02",
        None,
    ]


@pytest.mark.parametrize(
    ("where", "wall", "labels"),
    [
        (APIA, datetime(2011, 12, 29), ["2011-12-29", "2011-12-31"]),  # a day that never was
        (HAVANA, datetime(2024, 3, 9), ["2024-03-09", "2024-03-10", "2024-03-11"]),  # a midnight that never was
        (HAVANA, datetime(2024, 11, 2), ["2024-11-02", "2024-11-03", "2024-11-04"]),  # one that comes twice
    ],
)
def test_strange_midnights(where: object, wall: datetime, labels: list[str]) -> None:
    start = instant(wall, where)  # type: ignore[arg-type]
    pieces = list(Window([(start, start + 50 * HOUR)], where, "day").cut(0, LATEST))  # type: ignore[arg-type]
    assert [label for label, _, _ in pieces][: len(labels)] == labels
    assert all(one[2] == other[1] for one, other in pairwise(pieces))


def test_several_ranges_count_once() -> None:
    window = Window([(10, 30), (20, 40), (60, 80), (5, 5)], SHANGHAI)
    assert window.ranges == [(10, 40), (60, 80)]
    assert list(window.cut(0, 70)) == [("", 10, 40), ("", 60, 70)]
    assert [window.label(each) for each in (9, 10, 39, 40, 60, 80)] == [None, "", "", None, "", None]


# Times.


def test_an_interval_is_split_at_midnight_and_counts_where_it_begins() -> None:
    window = Window([(at(2024, 3, 30), at(2024, 4, 1))], BERLIN, "day")
    runs = [(at(2024, 3, 30, 22), at(2024, 3, 31, 4)), (at(2024, 3, 31, 12), at(2024, 3, 31, 12, 0, 9) + 999)]
    assert times(runs, window) == {"2024-03-30": Times(1, 7200), "2024-03-31": Times(1, 3 * 3600 + 9)}


def test_what_overlaps_or_touches_is_one() -> None:
    window = Window([(0, LATEST)], BERLIN)
    assert times([(0, 5000), (4000, 9000), (9000, 10_000), (20_000, 20_000)], window) == {"": Times(2, 10)}


spans = st.lists(
    st.tuples(st.integers(0, 5 * DAY), st.integers(0, 2 * DAY)).map(lambda s: (START + s[0], START + s[0] + s[1])),
    max_size=12,
)
borders = st.lists(st.integers(0, 7 * 86_400), min_size=1, max_size=4).map(
    lambda cuts: [START - DAY, *(START + each * 1000 for each in sorted(cuts)), START + 9 * DAY]
)


@given(spans, borders)
def test_times_of_neighbours_are_those_of_the_whole(lasting: list[tuple[int, int]], cuts: list[int]) -> None:
    def total(low: int, high: int, unit: object = None) -> Times:
        found = times(lasting, Window([(low, high)], BERLIN, unit)).values()  # type: ignore[arg-type]
        return Times(sum(each.begun for each in found), sum(each.seconds for each in found))

    parts = [total(low, high) for low, high in pairwise(cuts)]
    whole = total(cuts[0], cuts[-1])
    assert (sum(each.begun for each in parts), sum(each.seconds for each in parts)) == whole
    assert whole == total(cuts[0], cuts[-1], "day") == total(cuts[0], cuts[-1], "month")
    assert whole.seconds == sum(end // 1000 - start // 1000 for start, end in merged(lasting))


# Runs.


def test_a_state_holds_until_the_next_and_a_silence_ends_it() -> None:
    runs = [Run(0, 50, 1), Run(60, 60, 0), Run(70, 70, 1), Run(200, 210, 3)]
    assert intervals(runs, 1, 20) == [(0, 60), (70, 70), (200, 210)]
    assert intervals(runs, 2, 20) == [(200, 210)]
    assert intervals(runs, 1, 130) == [(0, 60), (70, 200), (200, 210)]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=25, unique_by=lambda told: told[0]),
    st.randoms(),
)
def test_the_order_of_coming_does_not_matter(told: list[tuple[int, int]], random: object) -> None:
    """Against all states in order; the neighbours of a late one are known."""
    hold = 10

    def folded(states: list[tuple[int, int]]) -> list[Run]:
        runs: list[Run] = []
        seen: list[int] = []
        for moment, state in states:
            before, after = [t for t in seen if t < moment], [t for t in seen if t > moment]
            around = (max(before), min(after)) if before and after else None
            near = [run for run in runs if run.until >= moment - hold and run.at <= moment + hold]
            rest = [run for run in runs if run not in near]
            runs = sorted(rest + place(near, moment, state, hold, around))
            seen.append(moment)
        return runs

    shuffled = list(told)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert folded(shuffled) == folded(sorted(told))


def test_a_late_state_parts_a_run() -> None:
    assert place([Run(0, 100, 1)], 50, 0, 60, (40, 60)) == [Run(0, 40, 1), Run(50, 50, 0), Run(60, 100, 1)]
    assert place([Run(0, 100, 1)], 50, 0, 60) == [
        Run(0, 50, 1),
        Run(50, 50, 0),
        Run(51, 100, 1),
    ]
    assert place([Run(0, 0, 1)], 0, 0, 60) == [Run(0, 0, 0)]


# Prices.

TARIFF = (
    Period(3.0, 8 * 60, 11 * 60, weekdays=frozenset({1, 2, 3, 4, 5})),
    Period(0.5, 0, 6 * 60),
    Period(9.0, 12 * 60, 13 * 60, months=frozenset({7, 8})),
)


def prices(*, low: int, high: int) -> list[tuple[str, str, float]]:
    """Neighbours of one price as one."""
    found: list[tuple[int, int, float]] = []
    for start, end, price in Tariff(1.0, TARIFF, BERLIN).prices(low, high):
        same = found and found[-1][2] == price
        found[-1:] = [(found[-1][0], end, price)] if same else [*found[-1:], (start, end, price)]
    return [
        (f"{local(start, BERLIN):%d %H:%M}", f"{local(end, BERLIN):%d %H:%M}", price) for start, end, price in found
    ]


def test_prices_of_a_day() -> None:
    assert prices(low=at(2024, 6, 3), high=at(2024, 6, 4)) == [  # a Monday
        ("03 00:00", "03 06:00", 0.5),
        ("03 06:00", "03 08:00", 1.0),
        ("03 08:00", "03 11:00", 3.0),
        ("03 11:00", "04 00:00", 1.0),
    ]
    assert prices(low=at(2024, 7, 6, 11, 30), high=at(2024, 7, 6, 12, 30)) == [  # a Saturday in July
        ("06 11:30", "06 12:00", 1.0),
        ("06 12:00", "06 12:30", 9.0),
    ]


def test_prices_follow_the_wall_clock_on_days_of_23_and_25_hours() -> None:
    def hours(*day: int) -> float:
        low, high = at(*day), at(*day) + 12 * HOUR
        pieces = Tariff(1.0, TARIFF, BERLIN).prices(low, high)
        return sum(end - start for start, end, price in pieces if price == 0.5) / HOUR

    assert hours(2024, 3, 30) == 6
    assert hours(2024, 3, 31) == 5
    assert hours(2024, 10, 27) == 7


@given(st.integers(0, 300 * DAY), st.integers(1, 3 * DAY))
def test_prices_are_those_of_each_minute(offset: int, length: int) -> None:
    low = START + offset
    tariff = Tariff(1.0, TARIFF, BERLIN)
    pieces = list(tariff.prices(low, low + length))
    assert pieces[0][0] == low
    assert pieces[-1][1] == low + length
    assert all(one[1] == other[0] for one, other in pairwise(pieces))
    for start, end, price in pieces:
        for moment in {start, end - 1, (start + end) // 2}:
            wall = local(moment, BERLIN)
            minute = wall.hour * 60 + wall.minute
            fits = [
                each.price
                for each in TARIFF
                if each.start <= minute < each.end
                and wall.month in (each.months or {wall.month})
                and wall.isoweekday() in (each.weekdays or {wall.isoweekday()})
            ]
            assert price == (fits[0] if fits else 1.0)


# Energy.


def test_an_increment_across_a_border_of_prices_is_split_evenly() -> None:
    window = Window([(at(2024, 6, 3), at(2024, 6, 5))], BERLIN, "day")
    tariff = Tariff(1.0, TARIFF, BERLIN)
    assert amounts([Used(at(2024, 6, 3, 7, 30), at(2024, 6, 3, 8, 30), 10.0)], tariff, window) == {
        "2024-06-03": 20 * NANO
    }
    night = [Used(at(2024, 6, 3, 23), at(2024, 6, 4, 1), 10.0)]
    assert amounts(night, tariff, window) == {"2024-06-03": 5 * NANO, "2024-06-04": 5 * NANO // 2}
    long = [Used(at(2024, 6, 1), at(2024, 6, 3, 9), 10.0)]
    assert amounts(long, tariff, window) == {"2024-06-03": 30 * NANO}


def plain(readings: list[tuple[int, float]]) -> list[Reading]:
    return [(at, value, None) for at, value in readings]


def test_quarter_hours_say_what_was_used_in_them() -> None:
    quarter = 900_000
    rolled: list[Reading] = [
        (quarter - 1, 5.0, Rolled(4.0, 2.0)),  # the first ever, with a reset in it
        (2 * quarter - 1, 7.0, Rolled(2.0, 6.0)),
        (9 * quarter - 1, 20.0, Rolled(13.5, 17.0)),  # seven behind the last; 10 of it across the gap
        (DAY, 20.5, None),
    ]
    assert list(used(rolled)) == [
        Used(0, quarter - 1, 4.0),
        Used(quarter - 1, 2 * quarter - 1, 2.0),
        Used(2 * quarter - 1, 8 * quarter - 1, 10.0),
        Used(8 * quarter - 1, 9 * quarter - 1, 3.5),
        Used(9 * quarter - 1, DAY, 0.5),
    ]


def test_registers() -> None:
    readings = [(0, 100.0), (1000, 101.5), (2000, 101.4), (3000, 101.6), (4000, 2.0), (5000, 3.0)]
    assert list(used(plain(readings))) == [
        Used(0, 1000, 1.5),
        Used(2000, 3000, 0.1),
        Used(3000, 4000, 2.0),
        Used(4000, 5000, 1.0),
    ]
    assert list(used(plain([(0, -1e308), (1000, 1e308), (2000, 1e300)]))) == []


registers = st.lists(
    st.tuples(st.integers(1, 30 * HOUR), st.floats(0, 1000) | st.floats(-0.5, 0) | st.just(-1e9)), max_size=20
)


@given(registers, borders)
def test_amounts_of_neighbours_are_those_of_the_whole(steps: list[tuple[int, float]], cuts: list[int]) -> None:
    """Each range reads from the day before it on, as the store is asked."""
    readings, moment, value = [(START, 5.0)], START, 5.0
    for after, more in steps:
        moment, value = moment + after, max(0.0, round(value + more, 3))
        readings.append((moment, value))
    tariff = Tariff(0.37, TARIFF, BERLIN)

    def total(low: int, high: int, unit: object = None) -> int:
        begin = low - low % DAY
        known = [reading for reading in readings if reading[0] < begin][-1:]
        known += [reading for reading in readings if begin <= reading[0] <= high + DAY]
        return sum(amounts(used(plain(known)), tariff, Window([(low, high)], BERLIN, unit)).values())  # type: ignore[arg-type]

    whole = total(cuts[0], cuts[-1])
    assert sum(total(low, high) for low, high in pairwise(cuts)) == whole
    assert total(cuts[0], cuts[-1], "day") == total(cuts[0], cuts[-1], "month") == whole


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (5 * NANO, "5"), (129_000 * NANO, "129000"), (NANO // 4, "0.25"), (-NANO - 1, "-1.000000001")],
)
def test_money(amount: int, text: str) -> None:
    assert money(amount) == text
