"""The newest reading and today's total, against what the store itself says; what is kept follows what is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import pytest
from cloud_places import Place, Places
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.cloud import current
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import Expression, Query, Shape
from bridge.cloud.power import electric_power
from bridge.cloud.zones import instant, zone
from bridge.store.series import Batch

HOUR, MINUTE = 3_600_000, 60_000
ZONE = zone("Europe/Berlin")
LONG_DAY = datetime(2024, 10, 27)  # noqa: DTZ001 - a wall clock
MIDNIGHT = instant(LONG_DAY, ZONE)
Rows = list[tuple[str, int, dict[str, float]]]


@pytest.fixture
def now() -> list[int]:
    return [MIDNIGHT + 20 * HOUR]


@pytest.fixture
async def cloud(place: Place, now: list[int]) -> AsyncIterator[Cloud]:
    opened = await opened_at(place, lambda: now[0])
    yield opened
    await opened.close()


async def opened_at(place: Place, clock: Callable[[], int]) -> Cloud:
    return await Cloud.open(place, timezone_of=lambda _device: "Europe/Berlin", clock=clock)


def batch(rows: Rows) -> Batch:
    made = Batch()
    for asset, at, values in rows:
        made.add(asset, asset, MIDNIGHT + at, values)
        made.stated[asset] = {"e": ("kWh", "counter")}
    return made


async def newest(cloud: Cloud, *points: str) -> list[tuple[str, str, int, float]]:
    return [(a, p, at - MIDNIGHT, value) for a, p, at, value in await cloud.newest(cloud.assets(), points)]


async def today(cloud: Cloud, *points: str) -> list[tuple[str, str, int, float]]:
    return [(a, p, at - MIDNIGHT, value) for a, p, _, at, value in await cloud.today(cloud.assets(), points)]


async def test_the_newest_and_the_day_so_far(cloud: Cloud) -> None:
    await cloud.series.store(batch([("A", -MINUTE, {"e": 10.0, "p": 9.0}), ("B", HOUR, {"p": 3.0})]))
    assert await newest(cloud, "p", "e", "x") == [
        ("A", "p", -MINUTE, 9.0),
        ("A", "e", -MINUTE, 10.0),
        ("B", "p", HOUR, 3.0),
    ]
    assert await today(cloud, "e", "p") == [("B", "p", HOUR, 3.0)]
    await cloud.series.store(batch([("A", HOUR + 5, {"e": 12.5, "p": 1.0}), ("A", HOUR + 7, {"e": 13.0})]))
    assert await today(cloud, "e", "p") == [("A", "e", HOUR, 3.0), ("A", "p", HOUR + 5, 1.0), ("B", "p", HOUR, 3.0)]
    await cloud.series.store(batch([("A", 2 * HOUR, {"e": 1.0})]))  # a reset
    assert (await today(cloud, "e"))[0] == ("A", "e", 2 * HOUR, 4.0)
    assert (await newest(cloud, "e"))[0] == ("A", "e", 2 * HOUR, 1.0)


async def test_late_readings_and_corrections_count(cloud: Cloud) -> None:
    await cloud.series.store(batch([("A", 0, {"e": 10.0, "p": 1.0}), ("A", 2 * HOUR, {"e": 30.0, "p": 5.0})]))
    assert await today(cloud, "e", "p") == [("A", "e", 2 * HOUR, 20.0), ("A", "p", 2 * HOUR, 6.0)]
    await cloud.series.store(batch([("A", -1, {"e": 8.0}), ("A", HOUR, {"p": 0.5}), ("A", 2 * HOUR, {"p": 5.5})]))
    assert await today(cloud, "e", "p") == [("A", "e", 2 * HOUR, 22.0), ("A", "p", 2 * HOUR, 7.0)]
    assert await newest(cloud, "p") == [("A", "p", 2 * HOUR, 5.5)]


async def test_a_day_of_25_hours_and_the_next(cloud: Cloud, now: list[int]) -> None:
    await cloud.series.store(batch([("A", n * HOUR, {"e": 10.0 + n, "p": 1.0}) for n in range(-1, 27)]))
    assert await today(cloud, "e", "p") == [("A", "e", 24 * HOUR, 25.0), ("A", "p", 24 * HOUR, 25.0)]
    now[0] += 6 * HOUR
    assert await today(cloud, "e", "p") == [("A", "e", 26 * HOUR, 2.0), ("A", "p", 26 * HOUR, 2.0)]


async def test_a_point_that_turns_out_to_be_a_counter_is_one(cloud: Cloud) -> None:
    await cloud.series.store(batch([("A", n * HOUR, {"q": float(n)}) for n in range(4)]))
    assert await today(cloud, "q") == [("A", "q", 3 * HOUR, 6.0)]
    told = batch([("A", 4 * HOUR, {"q": 4.0})])
    told.stated["A"] = {"q": ("", "counter")}
    await cloud.series.store(told)
    assert await today(cloud, "q") == [("A", "q", 4 * HOUR, 4.0)]


async def test_what_is_stored_while_it_is_read_is_not_forgotten(cloud: Cloud) -> None:
    await cloud.series.store(batch([(f"A{n}", 0, {"p": 0.0}) for n in range(200)]))
    for round_ in range(1, 6):
        reading = asyncio.create_task(newest(cloud, "p"))
        await cloud.series.store(batch([(f"A{n}", round_, {"p": float(round_)}) for n in range(200)]))
        await reading
        assert {value for *_, value in await newest(cloud, "p")} == {float(round_)}


async def test_what_is_kept_is_bounded(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "MAX_LINES", 10)
    await cloud.series.store(batch([(f"A{n:02d}", n, {"p": float(n), "q": 1.0}) for n in range(40)]))
    for _ in range(2):
        assert await newest(cloud, "p") == [(f"A{n:02d}", "p", n, float(n)) for n in range(40)]
    assert sum(len(table) for table in cloud._current._newest._lines.values()) <= 10


moments = st.one_of(
    st.integers(-3 * MINUTE, 3 * MINUTE), st.integers(-30 * HOUR, 30 * HOUR), st.integers(0, 24).map(lambda n: n * HOUR)
)
registers = st.one_of(st.integers(0, 10**6).map(lambda n: n / 1000), st.floats(0, 1e6))
rows = st.lists(
    st.tuples(st.sampled_from("AB"), moments, st.dictionaries(st.sampled_from("ep"), registers, min_size=1)), max_size=8
)


async def by_query(cloud: Cloud, point: str) -> list[tuple[str, str, float]]:
    """Today's sums as the EnOS query gives them."""
    asked = Query(
        [asset.name for asset in cloud.assets()], [Expression("v", "sum", point)], 1440, LONG_DAY,
        LONG_DAY + timedelta(days=1), 10, Shape(accurate=True),
    )  # fmt: skip
    items = json.loads((await electric_power(cloud, asked, None))[0])["data"]["items"]
    return [(item["assetId"], point, item["v"]) for item in items]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(rows, st.booleans(), st.booleans()), max_size=6))
async def test_any_order_of_batches_questions_and_folds(places: Places, steps) -> None:
    cloud = await opened_at(places(), lambda: MIDNIGHT + 3 * HOUR)
    stored: dict[tuple[str, str], dict[int, float]] = {}
    try:
        for some, ask, fold in [*steps, ([], True, False)]:
            await cloud.series.store(batch(some))
            for asset, at, values in some:
                for point, value in values.items():
                    stored.setdefault((asset, point), {})[at] = value
            if fold:
                await cloud.series.fold(MIDNIGHT + 99 * 24 * HOUR)
            if not ask or not cloud.series.assets:
                continue
            last = [(*key, *max(readings.items())) for key, readings in stored.items()]
            assert sorted(await newest(cloud, "p", "e")) == sorted(last)
            for point in "ep":
                found = [(asset, name, value) for asset, name, _, value in await today(cloud, point)]
                assert found == await by_query(cloud, point)
    finally:
        await cloud.close()
