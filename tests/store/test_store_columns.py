"""Columns: exact both ways, small, and honest about damage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.store.columns import EMPTY, Column, between, decode, encode, merged, whole

T = 1_750_000_000_000
DAY = 86_400_000


def column(readings: dict[int, float]) -> Column:
    times = sorted(readings)
    return Column(np.array(times, np.int64), np.array([readings[at] for at in times], np.float64))


def pairs(found: Column) -> list[tuple[int, float]]:
    return list(zip(found.times.tolist(), found.values.tolist(), strict=True))


def same(one: Column, other: Column) -> bool:
    """Bit by bit, so that -0.0 is not 0.0."""
    return np.array_equal(one.times, other.times) and one.values.tobytes() == other.values.tobytes()


decimals = st.builds(lambda whole, places: whole / 10**places, st.integers(-(10**15), 10**15), st.integers(0, 9))
anything = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(anything, decimals, st.floats(width=32, allow_nan=False, allow_infinity=False), st.just(-0.0))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.dictionaries(st.integers(-(1 << 62), 1 << 62), values, min_size=1, max_size=40),
        st.dictionaries(st.integers(0, 50).map(lambda n: T + 60_000 * n), decimals, min_size=1, max_size=40),
        st.dictionaries(st.integers(0, 10**6), st.floats(width=32, allow_nan=False), min_size=1, max_size=40),
    )
)
def test_what_goes_in_comes_out_bit_by_bit(readings: dict[int, float]) -> None:
    made = column(readings)
    assert same(decode(encode(made)), made)


@pytest.mark.parametrize("values", [[0.0], [-0.0, 0.0], [5e-324, 1.7976931348623157e308], [float("inf"), -1.0], [0.1]])
def test_odd_values(values: list[float]) -> None:
    made = column({T + n: value for n, value in enumerate(values)})
    assert same(decode(encode(made)), made)


def bytes_a_value(times: np.ndarray, values: np.ndarray) -> float:
    return len(encode(Column(times, values))) / len(times)


def test_a_day_of_a_meter_is_small() -> None:
    chance = np.random.default_rng(5)
    minutes = T + 60_000 * np.arange(1440)
    jitter = np.sort(minutes + chance.integers(-400, 400, 1440))
    power = np.round(np.cumsum(chance.normal(0, 0.4, 1440)) + 40, 3)
    register = np.round(1_000_000 + np.cumsum(np.abs(power)) / 60, 3)
    assert bytes_a_value(minutes, power) < 2.2
    assert bytes_a_value(minutes, register) < 2.2
    assert bytes_a_value(jitter, power) < 4.2
    assert bytes_a_value(minutes, np.full(1440, 50.0)) < 0.1
    assert bytes_a_value(minutes, np.float32(power).astype(np.float64)) < 4.2
    assert bytes_a_value(minutes, chance.normal(0, 1, 1440)) < 8.1


def test_damage_is_seen() -> None:
    blob = encode(column({T + n * 60_000: n / 7 for n in range(100)}))
    assert whole(blob, T, T + DAY)
    assert not whole(blob, T + 1, T + DAY)
    assert not whole(blob, T, T + 99 * 60_000)
    for at in range(0, len(blob), 7):
        assert not whole(blob[:at], T, T + DAY)
        assert not whole(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :], T, T + DAY)


@given(st.dictionaries(st.integers(0, 30), anything), st.dictionaries(st.integers(0, 30), anything))
def test_the_newer_reading_counts(old: dict[int, float], new: dict[int, float]) -> None:
    found = merged(column(old), column(new))
    assert pairs(found) == sorted({**old, **new}.items())


@given(st.dictionaries(st.integers(0, 30), anything), st.integers(-5, 35), st.integers(-5, 35))
def test_a_part_is_half_open(readings: dict[int, float], start: int, end: int) -> None:
    found = between(column(readings), start, end)
    assert pairs(found) == [(at, value) for at, value in sorted(readings.items()) if start <= at < end]
    assert pairs(between(EMPTY, start, end)) == []
