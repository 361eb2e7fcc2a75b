"""What an answer says of its data: coverage, lag, late rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from cloud_places import Place
from cloud_served import NOW, Served
from hypothesis import given
from hypothesis import strategies as st

from bridge.cloud.cloud import Cloud
from bridge.cloud.quality import quality
from bridge.store.days import QUARTER_MS, Days, held, rows
from bridge.store.series import Batch
from bridge.store.series_sqlite import SQLITE

DAY = 1_559_347_200_000
"""2019-06-01T00:00:00Z"""
OLD = DAY - 90_000 * 86_400_000
HOUR = 3_600_000
ASKED = {"orgId": "o1", "measurepointsWithLogic": "sum(p)", "interval": "60"}
UTC_DAY = {"startTime": "2019-06-01T00:00:00Z", "endTime": "2019-06-02T00:00:00Z"}


def batch(asset: str, *times: int) -> Batch:
    made = Batch()
    for at in times:
        made.add(asset, asset, at, {"p": 1.0})
    return made


async def said(served: Served, **asked: str) -> str | None:
    url = f"{served.url}/tsdb-service/v2.0/electric-power"
    async with served.http.get(url, params={**ASKED, **UTC_DAY, **asked}, headers={"X-API-Key": "all"}) as response:
        assert response.status == 200
        return response.headers.get("Data-Quality")


def sample(asset: str, at: int) -> dict[str, Any]:
    return {"asset": asset, "timestamp": at, "values": {"p": 1.0}}


async def test_a_day_without_gaps(served: Served) -> None:
    await served.ingest([sample("A", DAY + n * QUARTER_MS) for n in range(96)])
    assert await said(served, assetIds="A") == "coverage=1.000, lag=900, late=0"


async def test_gaps_before_and_after_the_newest_reading(served: Served) -> None:
    await served.ingest([sample("A", DAY + n * QUARTER_MS) for n in range(72) if not 12 <= n < 36])
    assert await said(served, assetIds="A") == f"coverage=0.500, lag={6 * 3600 + 900}, late=0"


async def test_an_asset_is_asked_for_from_its_first_reading_on(served: Served) -> None:
    await served.ingest([sample("A", DAY + 12 * HOUR + n * QUARTER_MS) for n in range(24)])
    assert await said(served, assetIds="A") == f"coverage=0.500, lag={6 * 3600 + 900}, late=0"
    assert await said(served, assetIds="A", startTime="2019-05-01T00:00:00Z", endTime="2019-05-02T00:00:00Z") is None


async def test_of_several_assets_the_lag_of_the_last(served: Served) -> None:
    await served.ingest([sample("A", DAY + n * QUARTER_MS) for n in range(96)])
    await served.ingest([sample("B", DAY + n * QUARTER_MS) for n in range(48)])
    assert await said(served, assetIds="A,B") == f"coverage=0.750, lag={12 * 3600 + 900}, late=0"


async def test_rows_are_late_behind_newer_ones_of_their_asset_alone(served: Served) -> None:
    await served.ingest([sample("A", DAY + HOUR), sample("A", DAY)])  # one batch has no order
    await served.ingest([sample("B", DAY + 2 * HOUR)])
    await served.ingest([sample("A", DAY + 2 * HOUR), sample("A", DAY + 60_000), sample("A", DAY + 61_000)])
    assert (await said(served, assetIds="A") or "").endswith("late=2")
    assert (await said(served, assetIds="B") or "").endswith("late=0")
    await served.ingest([sample("A", DAY + 26 * HOUR)])
    assert (await said(served, assetIds="A") or "").endswith("late=2")


async def test_the_future_is_no_gap(served: Served) -> None:
    await served.ingest([sample("A", NOW - n * QUARTER_MS) for n in range(8)])
    assert await said(served, assetIds="A", startTime="2000-01-01T00:00:00Z", endTime="9999-12-31T00:00:00Z") == (
        "coverage=1.000, lag=0, late=0"
    )


async def test_too_long_a_range_says_its_lag_alone(place: Place) -> None:
    cloud = await Cloud.open(place, clock=lambda: DAY)
    await cloud.series.store(batch("A", OLD, DAY - 5_000))
    asset = cloud.series.assets["A"]
    assert await quality(cloud, [(asset, -(1 << 62), 1 << 62)]) == {"Data-Quality": "coverage=0.000, lag=5, late=0"}
    many = [(asset, OLD, DAY)] * 2
    assert await quality(cloud, many) == {"Data-Quality": "lag=5"}
    await cloud.close()


async def test_what_is_known_is_not_written_again(place: Place) -> None:
    """Also after a restart, and after a batch that failed."""
    for _ in range(2):
        cloud = await Cloud.open(place)
        for n in range(10):
            await cloud.series.store(batch("A", DAY + n * 60_000))
        asset = cloud.series.assets["A"]
        assert (await cloud.series.read(lambda scan, n=asset.number: scan.held(n, DAY, DAY + HOUR))).quarters == 1
        await cloud.close()


TIMES = st.integers(-3 * 96, 3 * 96)


@given(st.lists(st.lists(TIMES, max_size=20), max_size=5), TIMES, TIMES)
def test_quarter_hours_are_counted_as_a_set_of_them(batches: list[list[int]], one: int, other: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE days (asset, day, first_half, second_half, late, PRIMARY KEY (asset, day)) WITHOUT ROWID"
        )
        days = Days()
        for quarters in batches:
            news = days.news([("A", at * QUARTER_MS + 1) for at in quarters], {})
            connection.execute(SQLITE.days, (str([list(row) for row in rows(news, {"A": 7})]),))
            days.written(news)
        low, high = min(one, other), max(one, other)
        found = held(connection, 7, low * QUARTER_MS + 5, high * QUARTER_MS + 5)
        everything = {at for quarters in batches for at in quarters}
        assert found.quarters == len([at for at in everything if low <= at <= high])
