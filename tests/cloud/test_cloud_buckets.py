"""Buckets and what is computed in them, against a naive reference; days of 23 and 25 hours."""

# ruff: noqa: DTZ001 - wall clocks
from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from statistics import fmean

import numpy as np
import pytest
from cloud_reference import Fold
from cloud_reference import Folding as Reference
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cloud.buckets import FUNCTIONS, MINUTE, Buckets, Folding, Wall, sums
from bridge.cloud.zones import instant, local, zone
from bridge.store.columns import Column

HOUR = 60 * MINUTE
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
EVES = [datetime(2024, month, day) for month, day in ((3, 30), (10, 26), (3, 9), (11, 2), (10, 5), (4, 6))]
values = st.floats(-1e9, 1e9, allow_nan=False)


def naive(readings: list[tuple[int, float]], start: int, end: int, step: int) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for at, value in sorted(readings):
        if start <= at < end:
            found.setdefault(start + (at - start) // step * step, []).append(value)
    return found


def column(readings: list[tuple[int, float]]) -> Column:
    return Column(
        np.array([at for at, _ in readings], np.int64), np.array([value for _, value in readings], np.float64)
    )


class Found:
    """What Folding gives, read as the reference is: `folds` has (label, one with `count` and `result(function)`)."""

    def __init__(self, folding: Folding) -> None:
        self.full = folding.full
        folding.finish()
        results = {function: folding.result(function) for function in FUNCTIONS}
        labels = [label for label, _ in results["count"]]
        assert all([label for label, _ in each] == labels for each in results.values())
        self.folds = [
            (label, One({name: each[at][1] for name, each in results.items()})) for at, label in enumerate(labels)
        ]


class One(dict[str, float]):
    """One bucket."""

    @property
    def count(self) -> float:
        return self["count"]

    def result(self, function: str) -> float:
        return self[function]


def fold(readings: list[tuple[int, float]], buckets: Buckets, limit: int = 1_000_000, portion: int = 7) -> Found:
    """By arrays, and by the reference: they are the same to the last bit."""
    folding, reference = Folding(buckets, limit, FUNCTIONS), Reference(buckets, limit)
    for first in range(0, len(readings), portion):
        folding.take(column(readings[first : first + portion]))
        reference.take(readings[first : first + portion])
    found = Found(folding)
    assert found.full == reference.full
    assert [(label, {each: one.result(each) for each in FUNCTIONS}) for label, one in reference.folds] == found.folds
    return found


@given(
    start=st.integers(1_500_000_000_000, 1_800_000_000_000),
    minutes=st.integers(1, 1440),
    offsets=st.lists(st.integers(0, 3 * 86_400_000), unique=True, max_size=60),
    data=st.data(),
)
def test_every_function_equals_the_naive_one(start: int, minutes: int, offsets: list[int], data: st.DataObject) -> None:
    end = start + 2 * 86_400_000
    readings = [(start + offset, data.draw(values)) for offset in sorted(offsets) if start + offset < end]
    expected = naive(readings, start, end, minutes * MINUTE)
    got = fold(readings, Buckets(start, end, minutes * MINUTE)).folds
    assert [label for label, _ in got] == sorted(expected)
    for label, one in got:
        inside = expected[label]
        assert one.result("count") == one.result("cnt") == len(inside)
        assert (one.result("first"), one.result("last")) == (inside[0], inside[-1])
        assert (one.result("min"), one.result("max")) == (min(inside), max(inside))
        assert one.result("sum") == pytest.approx(math.fsum(inside), rel=1e-12, abs=1e-6)
        assert one.result("avg") == pytest.approx(fmean(inside), rel=1e-12, abs=1e-6)


def test_a_sum_does_not_gather_rounding() -> None:
    one = Fold(1e16)
    for _ in range(10_000):
        one.add(0.1)
    one.add(-1e16)
    assert one.result("sum") == pytest.approx(1000.0, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=40), min_size=1, max_size=20))
def test_sums_of_runs_of_any_length_are_the_plain_ones(runs: list[list[float]]) -> None:
    counts = np.array([len(run) for run in runs])
    plain = []
    for run in runs:
        one = Fold(run[0])
        for value in run[1:]:
            one.add(value)
        plain.append(one.result("sum"))
    values = np.array([value for run in runs for value in run])
    found = sums(values, np.cumsum(counts) - counts, counts).tolist()
    assert [(value if value == value else None) for value in found] == [
        (value if value == value else None) for value in plain
    ]


@given(limit=st.integers(1, 10), count=st.integers(0, 15))
def test_the_limit_keeps_the_oldest_buckets_whole(limit: int, count: int) -> None:
    readings = [(bucket * MINUTE + second * 1000, 1.0) for bucket in range(count) for second in (0, 20, 40)]
    folding = fold(readings, Buckets(0, 100 * MINUTE, MINUTE), limit, portion=4)
    assert [(label, one.count) for label, one in folding.folds] == [(n * MINUTE, 3) for n in range(min(limit, count))]
    assert folding.full == (count > limit)


def test_the_last_bucket_is_clipped() -> None:
    buckets = Buckets(0, 25 * MINUTE, 10 * MINUTE)
    assert buckets.around(24 * MINUTE) == (20 * MINUTE, 25 * MINUTE)


def local_hours(name: str, day: datetime, minutes: int) -> list[tuple[str, int]]:
    """(local start, minutes of data) of every bucket of a local day, from one reading a minute."""
    where = zone(name)
    start, end = instant(day, where), instant(day + timedelta(days=1), where)
    readings = [(at, 1.0) for at in range(start, end, MINUTE)]
    folding = fold(readings, Buckets(start, end, minutes * MINUTE, Wall(day, where)), portion=100)
    return [(f"{local(label, where):%d %H:%M}", one.count) for label, one in folding.folds]


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Europe/Berlin", datetime(2024, 3, 31), 23),
        ("Europe/Berlin", datetime(2024, 10, 27), 25),
        ("America/New_York", datetime(2024, 3, 10), 23),
        ("America/New_York", datetime(2024, 11, 3), 25),
        ("Asia/Kolkata", datetime(2024, 3, 31), 24),
        ("Australia/Lord_Howe", datetime(2024, 10, 6), 23.5),
        ("Australia/Lord_Howe", datetime(2024, 4, 7), 24.5),
    ],
)
def test_a_local_day_is_one_bucket_of_its_own_length(name: str, day: datetime, hours: float) -> None:
    assert local_hours(name, day, 1440) == [(f"{day:%d} 00:00", int(hours * 60))]


def test_hours_of_the_short_and_the_long_day() -> None:
    short = local_hours("Europe/Berlin", datetime(2024, 3, 31), 60)
    assert [start for start, _ in short] == [f"31 {hour:02d}:00" for hour in range(24) if hour != 2]
    long = local_hours("Europe/Berlin", datetime(2024, 10, 27), 60)
    assert [start for start, _ in long] == [f"27 {hour:02d}:00" for hour in (0, 1, 2, *range(2, 24))]
    assert {count for _, count in short + long} == {60}


def test_a_week_over_the_border_begins_each_day_at_local_midnight() -> None:
    where, day = zone("America/New_York"), datetime(2024, 3, 8)
    start, end = instant(day, where), instant(day + timedelta(days=7), where)
    folding = fold([(at, 1.0) for at in range(start, end, HOUR)], Buckets(start, end, 1440 * MINUTE, Wall(day, where)))
    assert [f"{local(label, where):%d %H:%M}" for label, _ in folding.folds] == [f"{d:02d} 00:00" for d in range(8, 15)]
    assert [one.count for _, one in folding.folds] == [24, 24, 23, 24, 24, 24, 24]


def test_a_utc_range_has_buckets_of_elapsed_time() -> None:
    start = int(datetime(2024, 3, 30, 23, tzinfo=UTC).timestamp() * 1000)
    assert Buckets(start, start + 72 * HOUR, 1440 * MINUTE).around(start + 25 * HOUR) == (
        start + 24 * HOUR,
        start + 48 * HOUR,
    )


def test_a_length_that_does_not_divide_a_day_runs_through() -> None:
    where, day = zone("Europe/Berlin"), datetime(2024, 3, 31)
    start = instant(day, where)
    buckets = Buckets(start, start + 72 * HOUR, 7 * MINUTE, Wall(day, where))
    for at in range(start, start + 72 * HOUR, 5 * MINUTE):
        assert buckets.around(at)[0] == start + (at - start) // (7 * MINUTE) * 7 * MINUTE


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(ZONES),
    day=st.sampled_from(EVES),
    begin=st.integers(0, 1439),
    minutes=st.sampled_from([1, 5, 15, 30, 60, 240, 720, 1440, 7, 100]),
    offset=st.integers(0, 72 * HOUR),
)  # fmt: skip
def test_buckets_tile_the_range(name: str, day: datetime, begin: int, minutes: int, offset: int) -> None:
    """Each instant lies in its bucket, which is no longer than asked; the next bucket begins where it ends."""
    where, wall = zone(name), day + timedelta(minutes=begin)
    start, end = instant(wall, where), instant(wall + timedelta(days=3), where)
    at = min(start + offset, end - 1)
    buckets = Buckets(start, end, minutes * MINUTE, Wall(wall, where))
    low, high = buckets.around(at)
    assert start <= low <= at < high <= end
    assert high - low <= minutes * MINUTE + (HOUR if minutes == 1440 else 0)
    assert buckets.around(low) == (low, high)
    if high < end:
        assert buckets.around(high)[0] == high


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(ZONES),
    day=st.sampled_from(EVES),
    begin=st.integers(0, 1439),
    minutes=st.sampled_from([1, 5, 15, 30, 60, 240, 720, 1440, 7, 100]),
    offsets=st.lists(st.integers(0, 72 * HOUR), unique=True, max_size=80),
    limit=st.integers(1, 30),
    portion=st.integers(1, 90),
    local_time=st.booleans(),
    data=st.data(),
)  # fmt: skip
def test_arrays_are_the_reference_in_local_time_too(
    name: str, day: datetime, begin: int, minutes: int, offsets: list[int], limit: int, portion: int,
    local_time: bool, data: st.DataObject,
) -> None:  # fmt: skip
    """`fold` asserts it."""
    where, wall = zone(name), day + timedelta(minutes=begin)
    start, end = instant(wall, where), instant(wall + timedelta(days=3), where)
    readings = [(start + offset, data.draw(values)) for offset in sorted(offsets) if start + offset < end]
    found = fold(
        readings, Buckets(start, end, minutes * MINUTE, Wall(wall, where) if local_time else None), limit, portion
    )
    assert len(found.folds) <= limit
