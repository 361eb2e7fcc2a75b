"""EnOS electric power over real HTTP, as real clients send it."""

from __future__ import annotations

import io
import json
import time
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from cloud_served import NOW, Served
from yarl import URL

from bridge.cloud.cloud import Settings

PATH = "/tsdb-service/v2.0/electric-power"
DAY = 1_559_347_200_000
"""2019-06-01T00:00:00Z"""
MINUTE, HOUR = 60_000, 3_600_000
BASE = {"orgId": "o1", "assetIds": "A", "measurepointsWithLogic": "sum(p)", "interval": "60"}
UTC_DAY = {"startTime": "2019-06-01T00:00:00Z", "endTime": "2019-06-02T00:00:00Z"}


def sample(asset: str, at: int, **values: float) -> dict[str, Any]:
    return {"asset": asset, "timestamp": at, "values": values}


async def get(served: Served, raw: str | None = None, key: str | None = "all", **params: str) -> dict[str, Any]:
    """GET with a raw query string, or with parameters; HTTP is always 200."""
    url = (
        URL(f"{served.url}{PATH}?{raw}", encoded=True)
        if raw is not None
        else URL(f"{served.url}{PATH}").with_query(params)
    )
    headers = {"Content-Type": "application/json;charset=utf-8", **({"X-API-Key": key} if key else {})}
    async with served.http.get(url, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        found: dict[str, Any] = await response.json()
        return found


async def items(served: Served, **params: str) -> list[dict[str, Any]]:
    got = await get(served, **{**BASE, **UTC_DAY, **params})
    assert (got["status"], got["msg"], got["requestId"]) == (0, "success", None), got
    found: list[dict[str, Any]] = got["data"]["items"]
    return found


@pytest.fixture
async def power(served: Served) -> Served:
    """A, in Shanghai: p = 1, 2, 3, … every 20 minutes of 2019-06-01 UTC."""
    rows = [sample("A", DAY + n * 20 * MINUTE, p=n + 1.0) for n in range(72)]
    await served.ingest([{**row, "timezone": "Asia/Shanghai"} for row in rows])
    return served


FUNCTIONS = {
    "count": (3, 3),
    "cnt": (3, 3),
    "avg": (2.0, 5.0),
    "sum": (6.0, 15.0),
    "max": (3.0, 6.0),
    "min": (1.0, 4.0),
    "first": (1.0, 4.0),
    "last": (3.0, 6.0),
}


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_the_functions(power: Served, function: str) -> None:
    first, second = FUNCTIONS[function]
    found = await items(power, measurepointsWithLogic=f"{function}(p)")
    assert len(found) == 24
    assert found[0] == {"assetId": "A", "timestamp": DAY, f"{function}(p)": first, "localtime": None}
    assert found[1] == {"assetId": "A", "timestamp": DAY + HOUR, f"{function}(p)": second, "localtime": None}


async def test_interval_0_gives_what_is_stored(power: Served) -> None:
    found = await items(power, measurepointsWithLogic="p", interval="0", pageSize="2")
    assert [(one["timestamp"], one["p"]) for one in found] == [(DAY, 1.0), (DAY + 20 * MINUTE, 2.0)]


async def test_the_range_is_half_open_and_anchors_the_buckets(power: Served) -> None:
    found = await items(
        power, startTime="2019-06-01T00:20:00Z", endTime="2019-06-01T01:40:00Z", measurepointsWithLogic="count(p)"
    )
    assert [(one["timestamp"] - DAY, one["count(p)"]) for one in found] == [(20 * MINUTE, 3), (80 * MINUTE, 1)]


async def test_empty_buckets_do_not_exist(power: Served) -> None:
    found = await items(power, interval="5")
    assert [one["timestamp"] for one in found] == [DAY + n * 20 * MINUTE for n in range(72)]


async def test_local_time_and_its_spelling(power: Served, serve) -> None:
    """Shanghai's day begins at 16:00 UTC of the day before."""
    ask = {"startTime": "2019-06-01 08:00:00", "endTime": "2019-06-01 09:00:00", "interval": "30"}
    assert await items(power, **ask) == [
        {"assetId": "A", "timestamp": DAY, "sum(p)": 3.0, "localtime": "6/1/2019 8:00:00 AM"},
        {"assetId": "A", "timestamp": DAY + 30 * MINUTE, "sum(p)": 3.0, "localtime": "6/1/2019 8:30:00 AM"},
    ]
    found = await items(power, **ask, localTimeAccuracy="True")
    assert found[0]["localtime"] == "6/1/2019 8:00:00.000 AM"
    await power.cloud.close()
    plain = await serve(Settings(localtime_style="plain"))
    assert [one["localtime"] for one in await items(plain, **ask)] == ["2019-06-01 08:00:00", "2019-06-01 08:30:00"]


async def test_milliseconds_only_when_asked(served: Served) -> None:
    await served.ingest([sample("A", DAY + 1_234, p=1.0)])
    ask = {"measurepointsWithLogic": "p", "interval": "0"}
    assert [one["timestamp"] for one in await items(served, **ask)] == [DAY + 1_000]
    assert [one["timestamp"] for one in await items(served, **ask, localTimeAccuracy="true")] == [DAY + 1_234]


async def test_local_ranges_are_each_assets_own(served: Served) -> None:
    zones = {"A": "Asia/Shanghai", "B": "Europe/Berlin", "C": "Asia/Kolkata"}
    start = DAY - 24 * HOUR
    await served.ingest(
        [
            {**sample(name, start + n * HOUR // 2, p=1.0), "timezone": zone}
            for name, zone in zones.items()
            for n in range(144)
        ]
    )
    found = await items(
        served, assetIds="C,A,B", interval="1440", startTime="2019-06-01 00:00:00", endTime="2019-06-02 00:00:00"
    )
    assert [(one["assetId"], (one["timestamp"] - DAY) / HOUR) for one in found] == [("C", -5.5), ("A", -8), ("B", -2)]
    assert [one["sum(p)"] for one in found] == [48.0] * 3
    assert {one["localtime"] for one in found} == {"6/1/2019 12:00:00 AM"}


@pytest.mark.parametrize(
    ("zone", "day", "next_day", "hours"),
    [
        ("Europe/Berlin", "2024-03-31", "2024-04-01", 23),
        ("Europe/Berlin", "2024-10-27", "2024-10-28", 25),
        ("America/New_York", "2024-11-03", "2024-11-04", 25),
        ("Australia/Lord_Howe", "2024-10-06", "2024-10-07", 23.5),
    ],
)
async def test_days_at_dst_borders(served: Served, zone: str, day: str, next_day: str, hours: float) -> None:
    midnight = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1000)
    rows = [{**sample("A", midnight + n * 30 * MINUTE, p=0.5), "timezone": zone} for n in range(-96, 96)]
    await served.ingest(rows)
    found = await items(served, startTime=f"{day} 00:00:00", endTime=f"{next_day} 00:00:00", interval="1440")
    assert [one["sum(p)"] for one in found] == [hours]


@pytest.fixture
async def meter(served: Served) -> Served:
    """M: a register that counts 0.5 a minute, read at odd seconds, from an hour before the day; reset at 02:00."""
    rows = []
    for n in range(-60, 240):
        register = 1000.0 + n * 0.5 if n < 120 else (n - 120) * 0.5
        rows.append({**sample("M", DAY + n * MINUTE + 41_000, e=register), "kinds": {"e": "counter"}})
    await served.ingest(rows)
    return served


async def test_the_sum_of_a_counter_is_its_increments(meter: Served) -> None:
    found = await items(
        meter, assetIds="M", measurepointsWithLogic="sum(e),last(e),count(e)", endTime="2019-06-01T04:00:00Z"
    )
    sums = [one["sum(e)"] for one in found if "sum(e)" in one]
    assert sums == [30.0, 30.0, 29.5, 30.0]  # the reset at 02:00 took what was used since the reading before it
    assert [one["last(e)"] for one in found if "last(e)" in one] == [1029.5, 1059.5, 29.5, 59.5]
    assert [one["count(e)"] for one in found if "count(e)" in one] == [60] * 4
    assert [sorted(one.keys() - {"assetId", "timestamp", "localtime"}) for one in found] == [["sum(e)"]] * 4 + [
        ["last(e)"]
    ] * 4 + [["count(e)"]] * 4


async def test_buckets_of_a_counter_add_up_to_the_whole(meter: Served) -> None:
    whole = await items(meter, assetIds="M", measurepointsWithLogic="sum(e)", interval="1440")
    for interval in ("1", "7", "60"):
        parts = await items(meter, assetIds="M", measurepointsWithLogic="sum(e)", interval=interval)
        assert sum(one["sum(e)"] for one in parts) == pytest.approx(whole[0]["sum(e)"])


async def test_a_counter_is_kept_by_the_minute(served: Served) -> None:
    """The last record of a minute counts, at the minute; ranges that begin between minutes begin with the next."""
    ats = [DAY + 10_000, DAY + 50_000, DAY + 70_000, DAY + 130_000]
    await served.ingest(
        [{**sample("M", at, e=100.0 + n, g=1.0), "kinds": {"e": "counter"}} for n, at in enumerate(ats)]
    )
    found = await items(served, assetIds="M", measurepointsWithLogic="e", interval="0")
    assert [(one["timestamp"] - DAY, one["e"]) for one in found] == [(0, 101.0), (60_000, 102.0), (120_000, 103.0)]
    found = await items(
        served,
        assetIds="M",
        measurepointsWithLogic="sum(e),sum(g)",
        startTime="2019-06-01T00:00:30Z",
        endTime="2019-06-01T00:02:10Z",
    )
    assert [one.get("sum(e)", one.get("sum(g)")) for one in found] == [2.0, 2.0]


async def test_the_known_points_of_the_messages_are_counters_by_themselves(served: Served) -> None:
    from schemas.points import POINTS

    point = next(name for name, known in POINTS.items() if known.kind == "counter")
    await served.ingest([sample("M", DAY + n * MINUTE, **{point: 10.0 + n}) for n in range(3)])
    found = await items(served, assetIds="M", measurepointsWithLogic=f"sum({point})")
    assert [one[f"sum({point})"] for one in found] == [2.0]


async def test_one_point_an_item_in_the_order_asked(served: Served) -> None:
    await served.ingest([sample(name, DAY + n * HOUR, p=1.0, q=2.0) for name in "AB" for n in range(2)])
    found = await items(served, assetIds="B,A", measurepointsWithLogic="max(q),sum(p)")
    keys = [(one["assetId"], next(key for key in one if "(" in key), (one["timestamp"] - DAY) // HOUR) for one in found]
    assert keys == [(a, k, n) for a in "BA" for k in ("max(q)", "sum(p)") for n in (0, 1)]


async def test_the_page_bounds_each_asset_and_point_oldest_first(served: Served) -> None:
    await served.ingest(
        [sample(name, DAY + n * HOUR, p=float(n), **({"q": 1.0} if n > 5 else {})) for name in "AB" for n in range(10)]
    )
    found = await items(served, assetIds="A,B", measurepointsWithLogic="sum(p),sum(q)", pageSize="3")
    assert [(one["timestamp"] - DAY) // HOUR for one in found] == [0, 1, 2, 6, 7, 8] * 2


async def test_points_that_do_not_exist_bring_nothing(power: Served) -> None:
    assert await items(power, measurepointsWithLogic="sum(nope)") == []
    assert await items(power, startTime="2030-01-01T00:00:00Z", endTime="9999-12-31T23:59:59Z") == []
    assert await items(power, startTime="0001-01-01 00:00:00", endTime="9999-12-31 23:59:59", interval="1440") != []


RAW = "orgId=o1&modelId=&assetIds=A&measurepointsWithLogic=sum(p)&interval=1440&pageSize=&accessKey=all"


@pytest.mark.parametrize(
    "times",
    [
        "startTime=2019-06-01%2008:00:00&endTime=2019-06-02%2008:00:00",
        "startTime=2019-06-01+08%3A00%3A00&endTime=2019-06-02+08%3A00%3A00",
        "startTime=2019-06-01T08%3A00%3A00%2B08%3A00&endTime=2019-06-02T08%3A00%3A00%2B08%3A00",
        "startTime=2019-06-01T08:00:00+08:00&endTime=2019-06-02T08:00:00+08:00",
        "startTime=2019-06-01T08:00:00%252B08:00&endTime=2019-06-02T08:00:00%252B08:00",
        "startTime=2019-06-01T00:00:00Z&endTime=2019-06-02T00:00:00Z",
    ],
)
async def test_times_as_clients_encode_them(power: Served, times: str) -> None:
    got = await get(power, f"{RAW}&{times}", key=None)
    assert [(one["timestamp"], one["sum(p)"]) for one in got["data"]["items"]] == [(DAY, 2628.0)]


async def test_the_malformed_sample_of_the_documents_is_702(power: Served) -> None:
    got = await get(power, f"{RAW}&startTime=2019-06-01%2B00:00:00&endTime=2019-06-11%2B23:00:00", key=None)
    assert got == {
        "status": 702,
        "requestId": None,
        "msg": "An error occurred when execute query in data service.",
        "submsg": "Params startTime[] or endTime[] is invalid, and date format of them should be consistent",
        "data": None,
    }


BODY = {
    **BASE,
    "interval": 1440,
    "startTime": "2019-06-01T08:00:00%2B08:00",
    "endTime": "2019-06-02T08:00:00%2B08:00",
    "accessKey": "all",
    "pageSize": 1000,
}
WORDS = {name: str(value) for name, value in BODY.items()}
LOCAL = {**WORDS, "startTime": "2019-06-01 08:00:00", "endTime": "2019-06-02 08:00:00"}
FORM = "&".join(f"{name}={value}" for name, value in WORDS.items()).encode()


def multipart() -> aiohttp.MultipartWriter:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in BODY.items():
        form.add_field(name, str(value))
    return form


@pytest.mark.parametrize(
    "how",
    [
        {"json": BODY},
        {"json": {**BODY, "interval": "1440", "pageSize": "1000", "assetIds": ["A"], "modelId": None}},
        {"data": WORDS},
        {"data": LOCAL},
        {"data": multipart},
        {"data": json.dumps(BODY).encode(), "headers": {"Content-Type": "multipart/form-data;charset=UTF-8"}},
        {"data": json.dumps(BODY).encode(), "headers": {"Content-Type": "text/plain"}},
        {"data": FORM, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"params": WORDS},
    ],
)
async def test_post_in_every_encoding(power: Served, how: dict[str, Any]) -> None:
    how = {name: value() if callable(value) else value for name, value in how.items()}
    async with power.http.post(power.url + PATH, **how) as response:
        got = await response.json()
        assert (response.status, got["status"]) == (200, 0), got
        assert [(one["timestamp"], one["sum(p)"]) for one in got["data"]["items"]] == [(DAY, 2628.0)]


async def test_the_post_sample_without_interval(power: Served, serve) -> None:
    sample_body = {name: value for name, value in BODY.items() if name != "interval"}
    async with power.http.post(power.url + PATH, json=sample_body) as response:
        got = await response.json()
        assert (response.status, got["status"], got["submsg"]) == (200, 400, "interval is required")
    await power.cloud.close()
    lenient = await serve(Settings(lenient_interval=True))
    async with lenient.http.post(lenient.url + PATH, json=sample_body) as response:
        got = await response.json()
        assert [one["sum(p)"] for one in got["data"]["items"]] == [2628.0]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"orgId":', "application/json"),
        (b"[1]", "application/json"),
        (b"{" * 50_000, "application/json"),
        (b'{"a":' * 12_000, "application/json"),
        (b'{"orgId":{"a":1},"assetIds":[[["A"]]],"interval":true}', "application/json"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"a&" * 2000, "application/x-www-form-urlencoded"),
        (b"a=b", "multipart/form-data"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
    ],
)
async def test_bodies_that_mean_nothing(served: Served, body: bytes, content_type: str) -> None:
    async with served.http.post(
        served.url + PATH, data=body, headers={"Content-Type": content_type, "X-API-Key": "all"}
    ) as response:
        assert response.status == 200
        assert (await response.json())["status"] in (400, 702)


@pytest.mark.parametrize(("size", "headers"), [(9 << 20, {"X-API-Key": "all"}), (65 << 10, {})])
async def test_a_huge_body_is_refused_also_before_it_is_known_who_asks(
    served: Served, size: int, headers: dict[str, str]
) -> None:
    async with served.http.post(served.url + PATH, data=io.BytesIO(b"a" * size), headers=headers) as response:
        assert response.status == 413


@pytest.mark.parametrize("part", [b"--b\r\n\r\nx\r\n", b"--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n"])
async def test_a_body_of_many_parts_costs_nothing(served: Served, part: bytes) -> None:
    body = (part * 10_000)[: 60 << 10] + b"--b--"
    begun = time.process_time()
    for _ in range(20):
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        async with served.http.post(served.url + PATH, data=body, headers=headers) as response:
            assert (await response.json())["submsg"] == "more than 100 parts"
    assert time.process_time() - begun < 2
    known = {"Content-Type": "multipart/form-data; boundary=b", "X-API-Key": "all"}
    async with served.http.post(served.url + PATH, data=body * 2, headers=known) as response:
        assert response.status == 413


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_without_a_good_key_nothing_is_told(power: Served, key: str | None) -> None:
    got = await get(power, "orgId=&nonsense=1", key=key)
    assert (got["status"], got["msg"], got["submsg"], got["data"]) == (
        400,
        "Invalid Argument",
        "Exception: Invalid param accessKey",
        None,
    )


async def test_assets_that_one_may_not_read(served: Served) -> None:
    await served.ingest([sample(name, DAY, p=1.0) for name in ("EMS001", "EMS001.meter.1", "BOB")])
    ask = {**BASE, **UTC_DAY}
    got = await get(served, key="alice-key", **{**ask, "assetIds": "BOB,EMS001.meter.1,NOBODY"})
    assert (got["status"], got["msg"]) == (0, "success")
    assert got["submsg"] == "You do not have permission for the following assets: BOB, NOBODY"
    assert [one["assetId"] for one in got["data"]["items"]] == ["EMS001.meter.1"]
    for assets in ("BOB", "NOBODY", "BOB,NOBODY"):
        got = await get(served, key="alice-key", **{**ask, "assetIds": assets})
        assert (got["status"], got["submsg"], got["data"]) == (400, "All asset authentication failed", None)


async def test_names_are_data_not_code(power: Served) -> None:
    for evil in ("A'--", 'A"; DROP TABLE samples', "../../etc/passwd", "A\x00", "'||1||'"):
        got = await get(power, **{**BASE, **UTC_DAY, "assetIds": evil})
        assert got["status"] in (400, 702)
        got = await get(power, **{**BASE, **UTC_DAY, "measurepointsWithLogic": f"sum({evil})"})
        assert got["status"] in (0, 702)
    assert len(await items(power)) == 24


async def test_a_list_in_a_list_is_no_parameter(served: Served) -> None:
    nested = b'{"orgId":' + b"[" * 900 + b"]" * 900 + b"}"
    headers = {"X-API-Key": "all", "Content-Type": "application/json"}
    async with served.http.post(f"{served.url}{PATH}", data=nested, headers=headers) as response:
        assert response.status == 200
        assert (await response.json())["status"] in (400, 702)


LONG = {"startTime": "2019-06-01T10:30:00Z", "endTime": "2019-07-11T00:00:00Z"}


@pytest.mark.parametrize("asked", [
    {"interval": "1440", "measurepointsWithLogic": "sum(p),count(q),avg(q)"},
    {"interval": "7", "measurepointsWithLogic": "max(p),min(q)", "pageSize": "500"},
    {"interval": "0", "measurepointsWithLogic": "e,q", "pageSize": "700"},
    {"interval": "100", "measurepointsWithLogic": "sum(e),last(e)"},
    {"interval": "60", "measurepointsWithLogic": "sum(e)", "startTime": "2019-06-03 00:00:00", "endTime": "2019-06-05 00:00:00"},
])  # fmt: skip
async def test_answers_are_the_same_of_rows_and_of_chunks_and_of_both(served: Served, asked: dict[str, str]) -> None:
    rows = [
        sample("A", DAY + n * 977_777, p=n / 8, q=round(n % 37 / 1000, 3), e=float(n)) | {"kinds": {"e": "counter"}}
        for n in range(4_000)
    ]
    await served.ingest(rows)
    before = await items(served, **{**LONG, **asked})
    assert before
    series = served.cloud.series
    assert await series.fold(DAY + 20 * 24 * HOUR) > 1_000
    assert await items(served, **{**LONG, **asked}) == before
    await series.fold(NOW)
    assert (await series.database.rows("SELECT count(*) FROM samples"))[0][0] == 0
    assert await items(served, **{**LONG, **asked}) == before
    await served.ingest(rows[500:700])
    assert await items(served, **{**LONG, **asked}) == before


async def test_a_range_over_many_portions_is_one_answer(served: Served) -> None:
    await served.ingest([sample("A", DAY + n * HOUR, p=1.0, q=2.0) for n in range(24 * 80)])
    whole = {"startTime": "2000-06-01T00:00:00Z", "endTime": "9999-12-30T00:00:00Z"}
    found = await items(served, **whole, measurepointsWithLogic="sum(p),count(q)", interval="1439")
    assert sum(one.get("sum(p)", 0) for one in found) == sum(one.get("count(q)", 0) for one in found) == 24 * 80
