"""Increments of cumulative registers, against registers written by hand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from cloud_reference import Increments as Reference
from cloud_reference import Minutes
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cloud.registers import CAPACITIES, DECIMALS, by_minute, increment, rounded
from bridge.cloud.registers import Increments as Arrays
from bridge.store.columns import Column

Readings = list[tuple[int, float]]


def column(readings: Readings) -> Column:
    return Column(
        np.array([at for at, _ in readings], np.int64), np.array([value for _, value in readings], np.float64)
    )


def plain(found: Column) -> Readings:
    return list(zip(found.times.tolist(), found.values.tolist(), strict=True))


class Increments:
    """Those of the arrays, which must be the reference's to the last bit."""

    def __init__(self, before: float | None = None) -> None:
        self._arrays, self._reference = Arrays(before), Reference(before)

    def take(self, readings: Iterable[tuple[int, float]]) -> Readings:
        readings = [(at, float(value)) for at, value in readings]
        found = plain(self._arrays.take(column(readings)))
        assert found == self._reference.take(readings)
        return found


def steps(*register: float) -> list[float]:
    return [used for _, used in Increments().take(enumerate(register))]


@pytest.mark.parametrize(
    ("register", "expected"),
    [
        ((100.0, 100.5, 102.0, 102.0), [0.5, 1.5, 0.0]),  # counts up
        ((100.2, 100.3), [0.1]),  # no trace of binary fractions
        ((100.0, 105.0, 2.0, 7.0), [5.0, 2.0, 5.0]),  # reset
        ((100.0, 110.0, 20.0, 30.0), [10.0, 20.0, 10.0]),  # reset, noticed late
        ((9_999.5, 0.7, 1.0), [1.2, 0.3]),  # four digits roll over
        ((99_990.0, 15.0), [25.0]),
        ((999_999.9, 0.1), [0.2]),
        ((65_530.0, 4.0), [10.0]),  # a 16 bit word
        ((6_553.0, 0.4), [1.0]),  # the same with a decimal
        ((4_294_967_290.0, 6.0), [12.0]),  # 32 bits
        ((1_000.2, 1_000.1, 1_000.2, 1_000.4), [0.0, 0.0, 0.2]),  # noise: nothing twice
        ((1_000.0, 700.0, 702.0), [0.0, 2.0]),  # another meter
        ((0.0, 0.0, 1.0), [0.0, 1.0]),
        ((5.0, -1.0, 3.0), [0.0, 4.0]),  # never less than nothing
        ((7.0,), []),
    ],
)
def test_hand_made_registers(register: tuple[float, ...], expected: list[float]) -> None:
    assert steps(*register) == expected


def test_the_increment_of_a_gap_belongs_to_the_later_reading() -> None:
    assert Increments().take([(0, 10.0), (60_000, 11.0), (86_400_000, 25.0)]) == [(60_000, 1.0), (86_400_000, 14.0)]


def test_the_last_reading_before_the_range_is_where_it_counts_from() -> None:
    assert Increments(10.0).take([(0, 12.0)]) == [(0, 2.0)]
    assert Increments().take([(0, 12.0)]) == []


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=50), st.integers(1, 49))
def test_a_register_that_only_grows_adds_up_however_it_is_cut(register: list[int], cut: int) -> None:
    rising = [(at, float(value)) for at, value in enumerate(sorted(register))]
    increments = Increments()
    found = increments.take(rising[:cut]) + increments.take(rising[cut:])
    assert sum(used for _, used in found) == rising[-1][1] - rising[0][1]
    assert found == Increments().take(rising)


@given(st.floats(0, 1e12), st.floats(-1e3, 1e12))
def test_an_increment_is_never_negative_and_never_beyond_the_registers(before: float, now: float) -> None:
    used, measure = increment(before, now)
    assert 0 <= used <= max(now, before) + 1e-6
    assert measure in (before, now)


def test_the_last_record_of_a_minute_wins() -> None:
    minutes = Minutes()
    found = minutes.take([(1_000, 1.0), (59_999, 2.0), (60_000, 3.0)])
    found += minutes.take([(119_000, 4.0), (240_500, 5.0)])
    assert found + minutes.rest() == [(0, 2.0), (60_000, 4.0), (240_000, 5.0)]
    assert Minutes().rest() == []


def test_noise_is_measured_within_a_day() -> None:
    """A day's increments follow from its readings and the one ahead of it, whatever was before."""
    day, minute = 86_400_000, 60_000
    readings = [(0, 1_000.0), (day - 2 * minute, 999.0), (day - minute, 999.5), (day, 999.4), (day + minute, 999.6)]
    assert Increments().take(readings) == [
        (at, used) for (at, _), used in zip(readings[1:], [0, 0, 0, 0.1], strict=True)
    ]
    assert Increments(999.5).take(readings[3:]) == [(day, 0.0), (day + minute, 0.1)]


readings_near = st.one_of(
    st.floats(-10, 1e13),
    st.builds(lambda at, off: max(0.0, round(at + off, 3)), st.sampled_from(CAPACITIES), st.floats(-200, 0.5)),
    st.floats(0, 100).map(lambda value: round(value, 3)),
    st.builds(lambda off: round(5_000 * (1 + off), 3), st.floats(-0.02, 0.02)),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(readings_near, max_size=40), st.one_of(st.none(), readings_near), st.integers(1, 40))
def test_arrays_are_the_reference(register: list[float], before: float | None, portion: int) -> None:
    """Resets, rollovers, noise and other meters, cut anywhere; `take` asserts it."""
    increments = Increments(before)
    readings = [(at * 7_200_000, value) for at, value in enumerate(register)]
    for first in range(0, len(register), portion):
        increments.take(readings[first : first + portion])


@settings(max_examples=400)
@given(
    st.lists(
        st.one_of(
            st.floats(0, 1e300),
            st.floats(0, 100),
            st.builds(lambda n, d: n / 2 / 10**d, st.integers(0, 10**12), st.integers(8, 11)),
        ),
        min_size=1,
    )
)
def test_rounding_is_pythons(steps: list[float]) -> None:
    assert rounded(np.array(steps)).tolist() == [round(step, DECIMALS) for step in steps]


@given(st.lists(st.integers(-200_000, 200_000), unique=True, max_size=30))
def test_minutes_of_arrays_are_the_reference(times: list[int]) -> None:
    readings = [(at, float(at)) for at in sorted(times)]
    minutes = Minutes()
    assert plain(by_minute(column(readings))) == minutes.take(readings) + minutes.rest()
