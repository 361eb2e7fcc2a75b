"""Increments of cumulative registers, against registers written by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cloud.registers import Increments, Minutes, increment


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
