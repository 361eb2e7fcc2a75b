"""The time series store: upserts, late rows, restarts, reads in order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cloud_places import Place, Places
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.cloud.cloud import Cloud, describe
from bridge.errors import StoreError
from bridge.store.series import Answer, Asset, Batch, Series

T = 1_750_000_000_000


@pytest.fixture
async def series(place: Place) -> AsyncIterator[Series]:
    opened = await Series.open(place, describe)
    yield opened
    await opened.close()


def batch(*rows: tuple[str, int, dict[str, float]]) -> Batch:
    made = Batch()
    for asset, at, values in rows:
        made.add(asset, asset.partition(".")[0], T + at, values)
    return made


async def content(series: Series, asset: str) -> list[tuple[int, dict[str, float]]]:
    number = series.assets[asset].number
    return [(at - T, values) for at, values in await series.read(lambda scan: list(scan.samples(number, 0, 1 << 62)))]


async def test_the_same_again_changes_nothing(series: Series) -> None:
    one = batch(("A", 0, {"p": 1.5, "q": 2.0}), ("A", 1000, {"p": 3.0}))
    await series.store(one)
    before = await content(series, "A")
    await series.store(one)
    assert await content(series, "A") == before == [(0, {"p": 1.5, "q": 2.0}), (1000, {"p": 3.0})]


async def test_points_merge_and_the_last_value_wins(series: Series) -> None:
    await series.store(batch(("A", 0, {"p": 1.0, "q": 2.0})))
    await series.store(batch(("A", 0, {"q": 5.0, "r": 7.0})))
    await series.store(batch(("A", 0, {"p": 9.0}), ("A", 0, {"p": 10.0})))
    assert await content(series, "A") == [(0, {"p": 10.0, "q": 5.0, "r": 7.0})]


async def test_late_rows_find_their_place(series: Series) -> None:
    await series.store(batch(("A", 5000, {"p": 5.0})))
    await series.store(batch(("A", 1000, {"p": 1.0}), ("A", 9000, {"p": 9.0})))
    await series.store(batch(("A", 3000, {"p": 3.0})))
    assert [at for at, _ in await content(series, "A")] == [1000, 3000, 5000, 9000]
    assert (series.assets["A"].first_at, series.assets["A"].last_at) == (T + 1000, T + 9000)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from("AB"),
            st.integers(0, 3),
            st.dictionaries(st.sampled_from("pqr"), st.floats(-1e15, 1e15), min_size=1),
        )
    )
)
async def test_any_order_of_batches_is_a_dictionary(
    places: Places, rows: list[tuple[str, int, dict[str, float]]]
) -> None:
    series = await Series.open(places(), describe)
    try:
        expected: dict[tuple[str, int], dict[str, float]] = {}
        for row in rows:
            await series.store(batch(row))
            expected.setdefault(row[:2], {}).update(row[2])
        for asset in {row[0] for row in rows}:
            assert dict(await content(series, asset)) == {
                at: values for (name, at), values in expected.items() if name == asset
            }
    finally:
        await series.close()


async def test_the_catalogue_survives_a_restart(place: Place) -> None:
    series = await Series.open(place, describe)
    made = batch(("EMS001.meter.1", 0, {"total_active_power": 1.0, "odd": 2.0}), ("EMS002", 5, {"odd": 1.0}))
    made.zones["EMS002"] = "Asia/Kolkata"
    made.stated["EMS002"] = {"odd": ("m3", "counter")}
    await series.store(made)
    held = dict(series.assets)
    await series.close()
    series = await Series.open(place, describe)
    try:
        assert series.assets == held
        assert series.assets["EMS002"] == Asset(
            "EMS002", 2, "EMS002", "Asia/Kolkata", T + 5, T + 5, {"odd": ("m3", "counter")}
        )
        assert series.assets["EMS001.meter.1"].points == {"odd": ("", "gauge"), "total_active_power": ("kW", "gauge")}
    finally:
        await series.close()


async def test_assets_with_the_same_points_share_one_table(series: Series) -> None:
    await series.store(batch(("A", 0, {"p": 1.0, "q": 1.0}), ("B", 0, {"q": 1.0, "p": 1.0})))
    await series.store(batch(("C", 0, {"p": 1.0}), ("C", 1, {"q": 1.0})))
    assert series.assets["A"].points is series.assets["B"].points is series.assets["C"].points


async def test_what_is_stated_of_a_point_replaces_what_was_assumed(series: Series) -> None:
    await series.store(batch(("A", 0, {"p": 1.0})))
    again = batch(("A", 1, {"p": 2.0}))
    again.stated["A"] = {"p": (None, "counter")}
    await series.store(again)
    assert series.assets["A"].points == {"p": ("", "counter")}
    again.stated["A"] = {"p": ("kWh", None)}
    await series.store(again)
    assert series.assets["A"].points == {"p": ("kWh", "counter")}


async def test_an_answer_is_kept_with_its_batch_or_not_at_all(series: Series) -> None:
    answer = Answer("me", "k1", b"digest", 200, "{}")
    await series.store(batch(("A", 0, {"p": 1.0})), answer)
    assert await series.answer("me", "k1") == answer
    assert await series.answer("you", "k1") is None
    bad = batch(("A", 1, {"p": 1.0}))
    bad.devices["A"] = None  # type: ignore[assignment] - NOT NULL in the table
    bad.devices["B"] = None  # type: ignore[assignment]
    bad.samples["B", T] = {"p": 1.0}
    with pytest.raises(StoreError):
        await series.store(bad, Answer("me", "k2", b"", 200, ""))
    assert await series.answer("me", "k2") is None
    assert "B" not in series.assets
    assert [at for at, _ in await content(series, "A")] == [0]


async def test_a_value_before_a_range_is_found_however_old(series: Series) -> None:
    await series.store(
        batch(("A", 0, {"e": 10.0}), ("A", 1000, {"p": 1.0}), ("A", 2000, {"p": 2.0}), ("A", 3000, {"e": 11.0}))
    )
    number = series.assets["A"].number
    assert await series.read(lambda scan: scan.before(number, T + 3000, "e")) == (T, 10.0)
    assert await series.read(lambda scan: scan.before(number, T, "e")) is None


@pytest.fixture
async def cloud(place: Place) -> AsyncIterator[Cloud]:
    opened = await Cloud.open(place, may_read=lambda who, device: device in who)
    await opened.series.store(
        batch(
            *(("E1.meter.1", at * 1000, {"p": float(at), "q": -float(at)}) for at in range(30)),
            *(("E1.meter.2", at * 1000, {"p": 100.0 + at}) for at in range(0, 30, 2)),
            *(("E1", at * 1000 + 500, {"s": 1.0}) for at in range(3)),
            ("E10.meter.1", 0, {"p": 7.0}),
        )
    )
    yield opened
    await opened.close()


async def test_an_asset_brings_its_parts_and_no_namesakes(cloud: Cloud) -> None:
    assert [asset.name for asset in cloud.assets("E1")] == ["E1", "E1.meter.1", "E1.meter.2"]
    assert [asset.name for asset in cloud.assets("E1.meter.1")] == ["E1.meter.1"]
    assert [asset.name for asset in cloud.assets(device="E10")] == ["E10.meter.1"]
    assert [asset.name for asset in cloud.assets("E1", device="E10")] == []
    assert len(cloud.assets()) == 4
    assert [asset.name for asset in cloud.assets(principal={"E10"})] == ["E10.meter.1"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("page", [1, 2, 3, 7, 1000])
async def test_a_stream_is_everything_once_in_order(cloud: Cloud, order, page: int) -> None:
    found = [row async for part in cloud.stream("E1", order=order, page=page) for row in part]
    assert len(found) == len(set(found)) == 30 * 2 + 15 + 3
    times = [row.timestamp for row in found]
    assert times == sorted(times, reverse=order == "desc")
    whole = [row async for part in cloud.stream("E1", order=order, page=100_000) for row in part]
    assert found == whole


async def test_readings_are_bounded_and_filtered(cloud: Cloud) -> None:
    found = await cloud.readings("E1.meter.1", point="q", start=T + 2000, end=T + 5000)
    assert [(row.timestamp - T, row.value) for row in found] == [(2000, -2.0), (3000, -3.0), (4000, -4.0)]
    newest = await cloud.readings(device="E1", point="p", limit=3, order="desc")
    assert [(row.asset, row.value) for row in newest] == [
        ("E1.meter.1", 29.0),
        ("E1.meter.1", 28.0),
        ("E1.meter.2", 128.0),
    ]
    assert await cloud.readings("E1", principal={"E10"}) == []
    assert await cloud.readings("nobody") == []
    assert len(await cloud.readings(start=-(1 << 80), end=1 << 80, limit=10_000)) == 79


async def test_zones_come_from_asset_device_or_default(place: Place) -> None:
    cloud = await Cloud.open(place, timezone_of={"E1": "Europe/Berlin"}.get)
    try:
        rows = batch(("E1", 0, {"p": 1.0}), ("E1.meter.1", 0, {"p": 1.0}), ("E2", 0, {"p": 1.0}))
        rows.zones["E1.meter.1"] = "Asia/Tokyo"
        await cloud.series.store(rows)
        assert [cloud.zone_of(asset).key for asset in cloud.assets()] == ["Europe/Berlin", "Asia/Tokyo", "UTC"]
    finally:
        await cloud.close()
