"""What the Belimo-compatible API computes: buckets, newest values that are followed, the table of points."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from cloud_places import Place
from hypothesis import given
from hypothesis import strategies as st

from bridge.cloud.belimo_points import SETTINGS, datapoints, profile, profile_id
from bridge.cloud.belimo_series import MOST_BUCKETS, STEPS, Latest, at_time, buckets
from bridge.cloud.cloud import Cloud
from bridge.errors import Unprocessable
from bridge.store.series import Batch
from schemas.points import POINTS

TIMES = st.integers(-62_135_596_800_000, 253_402_300_799_999)


@given(TIMES, TIMES, st.integers(1, MOST_BUCKETS))
def test_so_many_points_and_no_more(one: int, other: int, points: int) -> None:
    start, end = min(one, other), max(one, other)
    span = buckets(start, end, str(points))
    assert span.start <= start
    assert end <= span.end
    assert span.step % 1000 == 0
    assert (span.end - span.start) // span.step <= max(points, 2)
    assert span.bucket(start) == span.start
    assert buckets(start, end, span.resolution) == span


@given(TIMES, st.integers(0, 10**12), st.integers(1, 500), st.sampled_from(sorted(STEPS)))
def test_buckets_of_a_length(start: int, length: int, number: int, unit: str) -> None:
    try:
        span = buckets(start, start + length, f"{number}{unit}")
    except Unprocessable:
        assert length // (number * STEPS[unit]) > MOST_BUCKETS - 2 or number * STEPS[unit] > 3_650 * STEPS["d"]
        return
    assert span.start <= start < span.start + span.step
    assert span.end - span.step < start + length <= span.end
    assert (span.start - (4 * STEPS["d"] if span.step % STEPS["w"] == 0 else 0)) % span.step == 0


def batch(**points: float) -> Batch:
    made = Batch()
    at = int(points.pop("at"))
    made.add("D1", "D1", at, dict(points))
    return made


@pytest.fixture
async def cloud(place: Place) -> AsyncIterator[Cloud]:
    opened = await Cloud.open(place)
    yield opened
    await opened.close()


async def test_newest_values_are_those_of_the_store(cloud: Cloud) -> None:
    async def put(**points: float) -> None:
        await cloud.series.store(batch(**points))

    latest = Latest(cloud)
    await put(at=1_000, old=1.0)
    for n in range(100):  # farther back than is looked at together
        await put(at=2_000 + n, soc=float(n))
    assets = [cloud.series.assets["D1"]]
    assert (await latest.of(assets))["D1"] == {"old": (1_000, 1.0), "soc": (2_099, 99.0)}
    await put(at=1_500, old=2.0, soc=-1.0)  # late: of `old` the newest
    await put(at=2_099, soc=7.0)  # put right
    readers = [latest.of(assets) for _ in range(5)]
    await asyncio.gather(put(at=3_000, soc=8.0), put(at=3_001, more=9.0), *readers)
    wanted = {"old": (1_500, 2.0), "soc": (3_000, 8.0), "more": (3_001, 9.0)}
    assert (await latest.of(assets))["D1"] == wanted
    assert (await Latest(cloud).of(assets))["D1"] == wanted
    assert (await at_time(cloud, assets, 2_050))["D1"] == {"old": (1_500, 2.0), "soc": (2_050, 50.0)}
    assert (await at_time(cloud, assets, 999))["D1"] == {}
    await cloud.close()


async def test_what_is_stored_while_somebody_reads_is_not_lost(cloud: Cloud) -> None:
    await cloud.series.store(batch(at=1, soc=1.0))
    assets = [cloud.series.assets["D1"]]
    for n in range(2, 30):
        latest = Latest(cloud)
        made = batch(at=n, soc=float(n))

        async def put(made: Batch = made, latest: Latest = latest) -> None:
            await cloud.series.store(made)
            latest._follow(made)

        await asyncio.gather(latest.of(assets), put())
        assert (await latest.of(assets))["D1"]["soc"] == (n, float(n))
    await cloud.close()


async def test_every_point_has_a_definition(cloud: Cloud) -> None:
    made = Batch()
    made.add("D1.meter.12", "D1", 1, dict.fromkeys(POINTS, 1.0))
    await cloud.series.store(made)
    assets = [cloud.series.assets["D1.meter.12"]]
    found = profile(profile_id("D1", assets), "D1", assets, si=False)
    features = {each["id"]: each["featureValues"] for each in found["datapoints"]}
    assert len(features) == len(found["datapoints"])
    assert features.keys() >= datapoints("D1", assets).keys() | SETTINGS.keys()
    for name, point in POINTS.items():
        said = features[f"meter.12.{name}"]
        assert (said["default.unit"], said["default.access"]) == (point.unit, "r")
        assert said["default.basetype"] in ("real", "int", "bool", "text")
        assert ("energy" in point.text) == ("Energy" in said["default.description"])
    await cloud.close()
