"""Readings that grow old: quarter-hours in their place, which answer what readings would, and go in the end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cloud_places import Place, problems

from bridge.cloud.cloud import Cloud, Settings
from bridge.cloud.enos import query
from bridge.cloud.plots import plot
from bridge.cloud.power import electric_power
from bridge.store.series import Batch

DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000
T = 18_048 * DAY
"""2019-06-01T00:00:00Z"""
FUNCTIONS = ("count", "sum", "avg", "min", "max", "first", "last")
DAYS = 6


@pytest.fixture
async def cloud(place: Place) -> AsyncIterator[Cloud]:
    opened = await Cloud.open(place, Settings(raw_days=3, rollup_days=20), clock=lambda: now[0])
    now = opened.now = [T + DAYS * DAY + 2 * HOUR]  # type: ignore[attr-defined]
    await opened.series.store(readings(range(DAYS * 24 * 12)))
    await opened.series.fold(now[0])
    yield opened
    await opened.close()


def readings(which: range) -> Batch:
    """Every five minutes a power and a register, which is replaced by another at the end of the second day."""
    batch = Batch()
    for n in which:
        register = n / 8 if n < 2 * 24 * 12 - 3 else 500 + n / 4
        batch.add("A", "A", T + n * 5 * MINUTE + 1_000, {"p": (n * 37 % 101) / 8, "e": register})
    batch.stated["A"] = {"e": ("kWh", "counter")}
    return batch


async def ask(cloud: Cloud, minutes: int, point: str, start: str = "2019-06-01T00:00:00Z", **more: str) -> list[Any]:
    """Values by function and bucket."""
    asked = {
        "orgId": "o", "assetIds": "A", "interval": str(minutes), "startTime": start, "endTime": "2019-06-07T00:00:00Z",
        "measurepointsWithLogic": ",".join(f"{each}({point})" for each in FUNCTIONS), "pageSize": "9000", **more,
    }  # fmt: skip
    body, _ = await electric_power(cloud, query({name: [value] for name, value in asked.items()}), None)
    found: list[Any] = json.loads(body)["data"]["items"]
    return found


async def chunks(cloud: Cloud) -> tuple[int, int]:
    """Of readings, of quarter-hours."""
    sql = "SELECT count(*), sum(CASE WHEN point LIKE '%,%' THEN 1 ELSE 0 END) FROM chunks JOIN columns ON number = id >> 22"
    (row,) = await cloud.series.database.rows(sql)
    return row[0] - (row[1] or 0), row[1] or 0


@pytest.mark.parametrize("point", ["p", "e"])
@pytest.mark.parametrize("minutes", [15, 60, 1440, 1439 // 15 * 15])
async def test_quarter_hours_answer_what_readings_did(cloud: Cloud, point: str, minutes: int) -> None:
    starts = ("2019-06-01T00:00:00Z", "2019-06-02T10:30:00Z", "2019-06-04T00:15:00Z")
    before = [await ask(cloud, minutes, point, start) for start in starts]
    cut = await ask(cloud, minutes, point, pageSize="3")
    assert await chunks(cloud) == (DAYS * 2, 0)
    await cloud.retire()
    assert await chunks(cloud) == ((DAYS - 3) * 2, 3 * (6 + 7))
    after = [await ask(cloud, minutes, point, start) for start in starts]
    assert after == before
    assert await ask(cloud, minutes, point, pageSize="3") == cut


async def test_ranges_add_up_over_a_register_that_falls_a_little(place: Place) -> None:
    """Falls that stay, and look like noise: what a range gives does not depend on where it begins, nor on retention."""
    now = T + DAYS * DAY
    cloud = await Cloud.open(place, Settings(raw_days=3), clock=lambda: now)
    try:
        batch = Batch()
        for n in range(DAYS * 24 * 4):
            batch.add("A", "A", T + n * 15 * MINUTE, {"e": 100_000.0 + n / 4 - 300 * (n // 61)})
        batch.stated["A"] = {"e": ("kWh", "counter")}
        await cloud.series.store(batch)
        hours = {item["timestamp"]: item["sum(e)"] for item in await ask(cloud, 60, "e") if "sum(e)" in item}
        for _ in range(2):
            for hour in range(0, DAYS * 24, 5):
                since = T + hour * HOUR
                start = f"2019-06-{hour // 24 + 1:02}T{hour % 24:02}:00:00Z"
                found = [item for item in await ask(cloud, 60, "e", start) if "sum(e)" in item]
                assert {item["timestamp"]: item["sum(e)"] for item in found} == {
                    at: used for at, used in hours.items() if at >= since
                }
            await cloud.series.fold(now + HOUR)
            await cloud.retire()
        (asset,) = cloud.series.assets.values()
        (drawn,) = await plot(cloud, [asset], "e", T, now, 500)
        assert sum(value for _, value in drawn.values) == pytest.approx(sum(hours.values()))
    finally:
        await cloud.close()


async def test_raw_readings_are_gone_and_quarter_hours_follow(cloud: Cloud, place: Place) -> None:
    await cloud.retire()
    found = await cloud.readings("A", limit=100_000)
    assert min(reading.timestamp for reading in found) == T + 3 * DAY + 1_000
    assert problems(place) == []
    cloud.now[0] = T + 22 * DAY  # type: ignore[attr-defined]
    await cloud.retire()
    assert await chunks(cloud) == (0, 4 * (6 + 7))
    cloud.now[0] = T + 40 * DAY  # type: ignore[attr-defined]
    await cloud.retire()
    assert await chunks(cloud) == (0, 0)
    assert problems(place) == []


async def test_what_comes_later_than_its_quarter_hour_was_counted_changes_nothing(cloud: Cloud) -> None:
    before = await ask(cloud, 60, "p")
    await cloud.retire()
    await cloud.series.store(readings(range(300)))
    assert await ask(cloud, 60, "p") == before
    await cloud.series.fold(cloud.now[0] + HOUR)  # type: ignore[attr-defined]
    await cloud.retire()
    assert await ask(cloud, 60, "p") == before


async def test_readings_fifty_years_apart_are_asked_for_quickly(place: Place) -> None:
    cloud = await Cloud.open(place)
    try:
        batch = Batch()
        for at in (3 * 365 * DAY, T, T + HOUR):
            batch.add("A", "A", at, {"p": 1.0})
        await cloud.series.store(batch)
        for minutes in (60, 1440):
            found = await ask(cloud, minutes, "p", "1970-01-01 00:00:00", endTime="9998-01-01 00:00:00")
            assert [item["count(p)"] for item in found if "count(p)" in item] == (
                [1, 1, 1] if minutes == 60 else [1, 2]
            )
    finally:
        await cloud.close()


async def test_for_ever_is_the_default(place: Place) -> None:
    cloud = await Cloud.open(place)
    try:
        await cloud.series.store(readings(range(20)))
        await cloud.series.fold(T + 9 * DAY)
        await cloud.retire()
        assert await chunks(cloud) == (2, 0)
    finally:
        await cloud.close()


async def test_a_damaged_chunk_stays_and_holds_up_nothing(cloud: Cloud) -> None:
    sql = "UPDATE chunks SET body = substr(body, 1, 30) WHERE id = (SELECT min(id) FROM chunks)"
    await cloud.series.database.write(lambda connection: connection.execute(sql))
    await cloud.retire()
    raw, rolled = await chunks(cloud)
    assert raw == DAYS + (DAYS - 3)  # of the damaged column all, of the other the last three days
    assert rolled in (3 * 6, 3 * 7)
