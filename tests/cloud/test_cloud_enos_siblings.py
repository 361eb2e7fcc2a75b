"""EnOS's siblings of electric power over real HTTP: v2.0 and v2.1, readings, states, what holds now (http_apis.md A.2)."""

from __future__ import annotations

from typing import Any

import pytest
from cloud_served import NOW, Served
from test_cloud_enos import DAY, HOUR, MINUTE, sample

BASE = "/tsdb-service"
UTC = {"startTime": "2019-06-01T00:00:00Z", "endTime": "2019-06-02T00:00:00Z"}
LOCAL = {"startTime": "2019-06-01 08:00:00", "endTime": "2019-06-02 08:00:00"}
TOO_LARGE = "assetIds size* measurepoints size* pageSize is too large to query, result size may exceed RPC limit"
V20, V21 = "v2.0", "v2.1"
READINGS = ("raw", "ai", "generic", "unified-raw")
POINTS = {
    "electric-power": "sum(p)", "ai-normalized": "sum(p)", "latest/filter": "p",
}  # fmt: skip
ALL = (
    *READINGS,
    "electric-power",
    "electric-power/current-day",
    "ai-normalized",
    "di",
    "di/duration",
    "latest",
    "latest/filter",
)


def named(name: str, version: str) -> str:
    """What this operation calls its points."""
    if name in ("electric-power", "ai-normalized"):
        return "measurepointsWithLogic" if version == V20 else "pointIdsWithLogic"
    if name == "latest/filter":
        return "measurepoint" if version == V20 else "pointId"
    return "measurepoints" if version == V20 else "pointIds"


async def ask(served: Served, name: str, version: str = V20, key: str = "all", **params: Any) -> dict[str, Any]:
    """GET in v2.0, POST of JSON in v2.1, as the vendor documents them; HTTP is always 200."""
    url = f"{served.url}{BASE}/{version}/{name}"
    headers = {"X-API-Key": key}
    if version == V20:
        call = served.http.get(url, params={"orgId": "o1", **params}, headers=headers)
    else:
        call = served.http.post(url, params={"orgId": "o1"}, json=params, headers=headers)
    async with call as response:
        assert (response.status, response.content_type) == (200, "application/json")
        found: dict[str, Any] = await response.json()
        return found


async def items(served: Served, name: str, version: str = V20, **params: Any) -> list[dict[str, Any]]:
    got = await ask(served, name, version, **{"assetIds": "A", named(name, version): POINTS.get(name, "p"), **params})
    head = (got["status"], got["requestId"], got["msg"]) if version == V20 else (got["code"], got["msg"])
    assert head == ((0, None, "success") if version == V20 else (0, "OK")), got
    assert set(got) == (
        {"status", "requestId", "msg", "submsg", "data"} if version == V20 else {"code", "msg", "submsg", "data"}
    )
    found: list[dict[str, Any]] = got["data"]["items"]
    return found


@pytest.fixture
async def asset(served: Served) -> Served:
    """A, in Shanghai: p = 0, 1, 2, … every half hour of 2019-06-01 UTC, q at every third, all at odd milliseconds."""
    rows = [
        sample("A", DAY + n * HOUR // 2 + 446, p=float(n), **({"q": -1.0} if n % 3 == 0 else {})) for n in range(48)
    ]
    await served.ingest([{**row, "timezone": "Asia/Shanghai"} for row in rows])
    return served


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("version", [V20, V21])
async def test_readings(asset: Served, name: str, version: str) -> None:
    found = await items(asset, name, version, **UTC, pageSize=2, **{named(name, version): "q,p"})
    ats = [
        (DAY + 446, "q", -1.0),
        (DAY + 3 * HOUR // 2 + 446, "q", -1.0),
        (DAY + 446, "p", 0.0),
        (DAY + HOUR // 2 + 446, "p", 1.0),
    ]
    texts = ["2019-06-01 08:00:00", "2019-06-01 09:30:00", "2019-06-01 08:00:00", "2019-06-01 08:30:00"]
    local = [None] * 4 if version == V20 else texts
    assert found == [
        {"assetId": "A", "timestamp": at, key: value, "localtime": text}
        for (at, key, value), text in zip(ats, local, strict=True)
    ]


async def test_local_time_in_every_form(asset: Served) -> None:
    async def texts(version: str, **params: Any) -> list[Any]:
        return [one["localtime"] for one in await items(asset, "raw", version, pageSize=1, **{**LOCAL, **params})]

    assert await texts(V20) == ["6/1/2019 8:00:00 AM"]
    assert await texts(V20, localTimeAccuracy="True") == ["6/1/2019 8:00:00.446 AM"]
    assert await texts(V20, localTimeFormat="1") == ["2019-06-01T08:00:00+08:00"]
    assert await texts(V21) == ["2019-06-01 08:00:00"]
    assert await texts(V21, localTimeAccuracy=True) == ["2019-06-01 08:00:00.446"]
    assert await texts(V21, localTimeFormat=1) == ["2019-06-01T08:00:00+08:00"]
    assert await texts(V21, localTimeFormat=1, localTimeAccuracy=True) == ["2019-06-01T08:00:00.446+08:00"]
    assert await texts(V21, localTimeFormat=1, **UTC) == ["2019-06-01T08:00:00+08:00"]


async def test_the_newest_first(asset: Served) -> None:
    found = await items(asset, "raw", **UTC, pageSize="3", orderBy="timestamp desc")
    assert [one["p"] for one in found] == [47.0, 46.0, 45.0]
    found = await items(asset, "raw", V21, **UTC, orderBy="TIMESTAMP  DESC", itemFormat=1, pointIds="q,p", pageSize=48)
    assert [one["timestamp"] for one in found] == [DAY + n * HOUR // 2 + 446 for n in reversed(range(48))]
    assert sum("q" in one for one in found) == 16
    assert [one["p"] for one in await items(asset, "raw", **UTC, orderBy="timestamp asc", pageSize="2")] == [0.0, 1.0]


async def test_readings_of_years_in_either_order(served: Served) -> None:
    """Far apart, folded and not, both ways round."""
    days = [0, 1, 2, 40, 41, 300, 700, 701, 2000]
    await served.ingest([sample("A", DAY + n * 24 * HOUR + 5, p=float(n)) for n in days])
    wide = {"startTime": "0001-01-01T00:00:00Z", "endTime": "9999-12-31T23:59:59Z"}
    for _ in range(2):
        assert [one["p"] for one in await items(served, "raw", **wide)] == [float(n) for n in days]
        found = await items(served, "raw", **wide, orderBy="timestamp desc", pageSize="6")
        assert [one["p"] for one in found] == [float(n) for n in reversed(days)][:6]
        await served.cloud.series.fold(NOW)


async def test_item_formats(asset: Served) -> None:
    ask_both = {**UTC, "pointIds": "p,q", "pageSize": 3}
    rows = await items(asset, "raw", V21, **ask_both, itemFormat=1)
    assert rows[0] == {"assetId": "A", "timestamp": DAY + 446, "p": 0.0, "q": -1.0, "localtime": "2019-06-01 08:00:00"}
    assert [sorted(row.keys() & {"p", "q"}) for row in rows] == [["p", "q"], ["p"], ["p"], ["q"], ["q"]]
    columns = await items(asset, "raw", V21, **ask_both, itemFormat="2", withQuality=True)
    assert columns[1] == {
        "assetId": "A", "pointId": "q", "timestamp": [DAY + n * 3 * HOUR // 2 + 446 for n in range(3)], "value": [-1.0] * 3,
        "localTime": ["2019-06-01 08:00:00", "2019-06-01 09:30:00", "2019-06-01 11:00:00"], "dataQuality": [None] * 3,
    }  # fmt: skip
    one = (await items(asset, "raw", V20, **UTC, pageSize="1", withQuality="true"))[0]
    assert one == {"assetId": "A", "timestamp": DAY + 446, "p": 0.0, "localtime": None, "quality": None}


async def test_aggregates_in_v21(asset: Served) -> None:
    params = {**UTC, "pointIdsWithLogic": "sum(p),count(q)", "interval": 360}
    found = await items(asset, "electric-power", V21, **params, itemFormat=1, localTimeFormat=1)
    assert found[0] == {
        "assetId": "A", "timestamp": DAY, "sum(p)": 66.0, "count(q)": 4, "localtime": "2019-06-01T08:00:00+08:00"
    }  # fmt: skip
    assert len(found) == 4
    assert len(await items(asset, "electric-power", V21, **params)) == 8


async def test_normalized_data_is_kept_by_the_minute(served: Served) -> None:
    rows = [(10_000, 1.0), (50_000, 2.0), (70_000, 4.0), (130_000, 8.0)]
    kinds = {"kinds": {"e": "counter"}}
    await served.ingest([{**sample("A", DAY + at, p=value, e=value), **kinds} for at, value in rows])
    minutes = [(0, 2.0), (MINUTE, 4.0), (2 * MINUTE, 8.0)]
    for point in ("p", "e"):
        found = await items(served, "ai-normalized", **UTC, interval="0", measurepointsWithLogic=point)
        assert [(one["timestamp"] - DAY, one[point]) for one in found] == minutes
        key = f"sum({point})"
        found = await items(served, "ai-normalized", V21, **UTC, interval=10, pointIdsWithLogic=key)
        assert [one[key] for one in found] == [14.0]
    assert [one["sum(p)"] for one in await items(served, "electric-power", **UTC, interval="10")] == [15.0]


async def test_the_current_day(serve: Any) -> None:
    """2025-10-09T08:53:20Z is 16:53 in Shanghai, whose day began at 16:00 UTC."""
    served = await serve()
    midnight = NOW // (24 * HOUR) * (24 * HOUR) - 8 * HOUR
    rows = [
        {**sample("A", midnight + n * HOUR + 41_000, e=100.0 + n, p=1.0), "kinds": {"e": "counter"}}
        for n in range(-2, 17)
    ]
    await served.ingest([{**row, "timezone": "Asia/Shanghai"} for row in rows])
    found = await items(served, "electric-power/current-day", measurepoints="e,p,nope")
    newest = midnight + 16 * HOUR
    assert found == [
        {"assetId": "A", "timestamp": newest, "sum(e)": 17.0, "localtime": "10/9/2025 4:00:00 PM"},
        {"assetId": "A", "timestamp": newest, "sum(p)": 17.0, "localtime": "10/9/2025 4:00:00 PM"},
    ]
    found = await items(served, "electric-power/current-day", V21, pointIds="e,p", itemFormat=1, localTimeFormat=1)
    assert found == [
        {
            "assetId": "A",
            "timestamp": midnight,
            "sum(e)": 17.0,
            "sum(p)": 17.0,
            "localtime": "2025-10-09T00:00:00+08:00",
        }
    ]
    form = {"orgId": "o1", "assetIds": "A", "measurepoints": "e", "accessKey": "all"}  # as the Java sample posts it
    async with served.http.post(f"{served.url}{BASE}/v2.0/electric-power/current-day", data=form) as response:
        assert [one["sum(e)"] for one in (await response.json())["data"]["items"]] == [17.0]


async def test_a_day_without_readings_is_no_item(asset: Served) -> None:
    assert await items(asset, "electric-power/current-day") == []


STATES = ((74_000, 0), (90_000, 0), (225_000, 0), (743_000, 1), (814_000, 0), (924_000, 1), (1_045_000, 1))
"""The vendor's own example of di, from 10:00:00."""


@pytest.fixture
async def states(served: Served) -> Served:
    await served.ingest([sample("A", DAY + 10 * HOUR + at, p=float(value)) for at, value in STATES])
    return served


SPAN = {"startTime": "2019-06-01T10:00:00Z", "endTime": "2019-06-01T10:20:00Z"}


async def test_changes_of_state(states: Served) -> None:
    start = DAY + 10 * HOUR
    found = await items(states, "di", **SPAN)
    assert [(one["timestamp"] - start, one["p"]) for one in found] == [
        (74_000, 0),
        (743_000, 1),
        (814_000, 0),
        (924_000, 1),
    ]
    assert [one["p"] for one in await items(states, "di", **SPAN, pageSize="2")] == [0, 1]
    later = {**SPAN, "startTime": "2019-06-01T10:13:00Z"}
    found = await items(states, "di", V21, **later)
    assert [(one["timestamp"] - start, one["p"]) for one in found] == [(814_000, 0), (924_000, 1)]
    found = await items(states, "di", V21, **later, autoInterpolate=True)
    assert [(one["timestamp"] - start, one["p"]) for one in found] == [(780_000, 1), (814_000, 0), (924_000, 1)]
    assert [one["p"] for one in await items(states, "di", **SPAN, autoInterpolate="true")] == [0, 1, 0, 1]
    quiet = {"startTime": "2019-06-01T11:00:00Z", "endTime": "2019-06-01T12:00:00Z"}
    assert await items(states, "di", **quiet) == []
    assert [one["p"] for one in await items(states, "di", **quiet, autoInterpolate="true")] == [1]


async def test_how_long_states_were(states: Served) -> None:
    end = DAY + 10 * HOUR + 20 * MINUTE
    whole = [
        {"duration": 669_000 + 110_000, "status": 0},
        {"duration": 71_000 + 276_000, "status": 1},
        {"duration": 74_000, "status": "Unknown"},
    ]
    assert sum(each["duration"] for each in whole) == 20 * MINUTE

    async def found(version: str = V20, **params: Any) -> Any:
        (one,) = await items(states, "di/duration", version, **{**SPAN, **params})
        assert (one["assetId"], one["scanEndTimestamp"]) == ("A", end)
        assert one["measurepoint" if version == V20 else "pointId"] == "p"
        return one["durations"]

    assert await found() == whole
    assert await found(V21) == whole
    assert await found(ifWithUnknown="False") == whole[:2]
    assert await found(status="1") == whole[1:2]
    assert await found(V21, status="0,1", ifWithUnknown="true") == whole
    await states.cloud.series.fold(NOW)
    assert await found() == whole
    after = {"startTime": "2019-06-02T00:00:00Z", "endTime": "2019-06-02T01:00:00Z"}
    (one,) = await items(states, "di/duration", **after)
    assert one["durations"] == [{"duration": HOUR, "status": 1}]
    (one,) = await items(states, "di/duration", startTime="2019-06-02T00:00:00Z", endTime="9999-12-31T00:00:00Z")
    assert one["scanEndTimestamp"] == NOW, "nobody knows what will be"
    before = {"startTime": "2018-06-02T00:00:00Z", "endTime": "2018-06-02T01:00:00Z"}
    assert await items(states, "di/duration", **before) == []


async def test_what_is_no_state(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.cloud import enos_history

    await served.ingest([sample("A", DAY + n * MINUTE, p=n / 2, many=float(n)) for n in range(1_100)])
    for point in ("p", "many"):
        got = await ask(served, "di/duration", **UTC, assetIds="A", measurepoints=point)
        assert (got["status"], got["submsg"]) == (702, "assetIds or measurepoint does not match the model")
    monkeypatch.setattr(enos_history, "SCANNED", 100)
    (one,) = await items(served, "di/duration", **UTC, measurepoints="many")
    assert one["scanEndTimestamp"] == DAY + 99 * MINUTE
    assert sum(each["duration"] for each in one["durations"]) == 99 * MINUTE


@pytest.fixture
async def newest(serve: Any) -> Served:
    """A has p = 5 an hour ago and q = -1 now, B has p = 7 a day ago, C p = 9 in ten minutes."""
    served: Served = await serve()
    rows = [sample("A", NOW - HOUR, p=5.0), sample("A", NOW, q=-1.0), sample("B", NOW - 24 * HOUR, p=7.0)]
    await served.ingest([*rows, sample("C", NOW + 10 * MINUTE, p=9.0)])
    return served


async def test_the_latest(newest: Served) -> None:
    assert await items(newest, "latest", measurepoints="p,q") == [
        {"assetId": "A", "p": 5.0, "timestamp": NOW - HOUR},
        {"assetId": "A", "q": -1.0, "timestamp": NOW},
    ]
    every = {"assetIds": "C,B,A", "measurepoints": "p"}
    for window, assets in (("", "CBA"), ("1440", "CBA"), ("1439", "CA"), ("60", "CA"), ("0", "C")):
        found = await items(newest, "latest", **every, timeWindow=window)
        assert "".join(one["assetId"] for one in found) == assets, window
    (one,) = await items(newest, "latest", ifWithLocalTime="True")
    assert one["localtime"] == "10/9/2025 7:53:20 AM"
    (one,) = await items(newest, "latest", V21, ifWithLocalTime=True, localTimeFormat=1)
    assert one["localtime"] == "2025-10-09T07:53:20+00:00"
    found = await items(newest, "latest", V21, pointIds="p,q", itemFormat=2)
    assert found[0] == {"assetId": "A", "pointId": "p", "timestamp": [NOW - HOUR], "value": [5.0]}
    await newest.ingest([sample("A", NOW - 1, p=6.0)])
    assert [one["p"] for one in await items(newest, "latest")] == [6.0]


@pytest.mark.parametrize(
    ("operator", "values", "assets"),
    [
        ("eq", "7", "B"), ("nq", "7", "AC"), ("gt", "7", "C"), ("lt", "7", "A"), ("ge", "7.0", "BC"), ("le", "7", "AB"),
        ("between", "5,7", "AB"), ("between", "7, 5", "AB"), ("in", "5,9,11", "AC"), ("EQ", "5", "A"), ("in", "7", "B"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [V20, V21])
async def test_the_latest_that_a_filter_leaves(
    newest: Served, version: str, operator: str, values: str, assets: str
) -> None:
    found = await items(newest, "latest/filter", version, assetIds="A,B,C", operator=operator, valueFilter=values)
    assert "".join(one["assetId"] for one in found) == assets


async def test_a_filter_within_a_window(newest: Served) -> None:
    params = {"assetIds": "A,B,C", "operator": "lt", "valueFilter": 100, "modelId": "m", "timeWindow": 60}
    assert [one["assetId"] for one in await items(newest, "latest/filter", V21, **params)] == ["A", "C"]
    assert [
        one["assetId"] for one in await items(newest, "latest/filter", pointId="p", operator="gt", valueFilter="0")
    ] == ["A"]


ERRORS: list[tuple[str, dict[str, Any], int, str]] = [
    *((name, {"assetIds": None}, 400, "assetIds is required") for name in ALL),
    *((name, {"POINTS": None}, 400, "POINTS is required") for name in ALL),
    *((name, {"POINTS": " "}, 702, "POINTS is empty") for name in ALL),
    *((name, {"startTime": "x"}, 702, "Params startTime[] or endTime[] is invalid, and date format of them should be consistent")
      for name in (*READINGS, "di", "di/duration", "electric-power", "ai-normalized")),
    *((name, {"endTime": UTC["startTime"]}, 702, "endTime should not be later than startTime") for name in (*READINGS, "di")),
    *((name, {"POINTS": "sum(p)"}, 702, "param POINTS is invalid") for name in (*READINGS, "di", "latest")),
    *((name, {"assetIds": ",".join(f"A{n}" for n in range(3001))}, 702, TOO_LARGE)
      for name in (*READINGS, "di", "di/duration", "latest", "latest/filter", "electric-power/current-day")),
    *((name, {"pageSize": str(2**63)}, 702, TOO_LARGE) for name in (*READINGS, "di", "electric-power")),
    *((name, {"pageSize": "0"}, 702, "param pageSize is invalid") for name in READINGS),
    *((name, {"localTimeFormat": "2"}, 702, "param localTimeFormat is invalid") for name in (*READINGS, "latest")),
    *((name, {"itemFormat": "3"}, 702, "param itemFormat is invalid") for name in (*READINGS, "electric-power")),
    *((name, {"itemFormat": "x"}, 702, "itemFormat is not a valid integer") for name in READINGS),
    ("raw", {"orderBy": "value asc"}, 702, "param orderBy is invalid"),
    ("raw", {"orderBy": "timestamp up"}, 702, "param orderBy is invalid"),
    ("unified-raw", {"interpolation": "linear"}, 702, "param interpolation is invalid"),
    ("raw", {"boundaryType": "sample"}, 702, "param boundaryType is invalid"),
    ("raw", {"withQuality": "perhaps"}, 702, "param withQuality is invalid"),
    ("di", {"autoInterpolate": "1"}, 702, "param autoInterpolate is invalid"),
    ("di/duration", {"status": "on"}, 702, "status is not a valid integer"),
    ("di/duration", {"status": "9" * 5000}, 702, "status is not a valid integer"),
    ("latest", {"timeWindow": "-1"}, 702, "timeWindow cannot be null or negative"),
    ("latest", {"timeWindow": "soon"}, 702, "timeWindow is not a valid integer"),
    ("latest", {"action": "delete"}, 400, "param action is invalid"),
    ("latest/filter", {"operator": None}, 400, "operator is required"),
    ("latest/filter", {"valueFilter": None}, 400, "valueFilter is required"),
    ("latest/filter", {"operator": "like"}, 702, "param operator is invalid"),
    ("latest/filter", {"valueFilter": "1,2"}, 702, "param valueFilter is invalid"),
    ("latest/filter", {"operator": "between"}, 702, "param valueFilter is invalid"),
    ("latest/filter", {"operator": "in", "valueFilter": "1,,2"}, 702, "param valueFilter is invalid"),
    *(("latest/filter", {"valueFilter": word}, 702, "param valueFilter is invalid") for word in ("nan", "1e400", "x")),
    ("latest/filter", {"POINTS": "p,q"}, 702, "only one POINTS is allowed"),
]  # fmt: skip


@pytest.mark.parametrize("version", [V20, V21])
async def test_the_error_table(asset: Served, version: str) -> None:
    for name, changes, status, text in ERRORS:
        points = named(name, version)
        good = {
            "assetIds": "A",
            points: POINTS.get(name, "p"),
            **UTC,
            "interval": "60",
            "operator": "eq",
            "valueFilter": "1",
        }
        params = {**good, **{points if key == "POINTS" else key: value for key, value in changes.items()}}
        got = await ask(asset, name, version, **{key: value for key, value in params.items() if value is not None})
        told = text.replace("POINTS", points)
        assert (got["status" if version == V20 else "code"], got["submsg"], got["data"]) == (status, told, None), (
            name,
            changes,
        )
        assert got["msg"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("version", [V20, V21])
async def test_assets_that_one_may_not_read(served: Served, name: str, version: str) -> None:
    await served.ingest([sample(asset, NOW - 1, p=1.0) for asset in ("EMS001", "EMS001.meter.1", "BOB")])
    today = {"startTime": "2025-10-09T00:00:00Z", "endTime": "2025-10-10T00:00:00Z"}
    good = {
        named(name, version): POINTS.get(name, "p"),
        **today,
        "interval": "60",
        "operator": "eq",
        "valueFilter": "1",
    }
    got = await ask(served, name, version, key="alice-key", assetIds="BOB,EMS001.meter.1,NOBODY", **good)
    assert got["submsg"] == "You do not have permission for the following assets: BOB, NOBODY"
    assert {one["assetId"] for one in got["data"]["items"]} == {"EMS001.meter.1"}
    got = await ask(served, name, version, key="alice-key", assetIds="BOB,NOBODY", **good)
    assert (got["status" if version == V20 else "code"], got["submsg"]) == (400, "All asset authentication failed")
    got = await ask(served, name, version, key="wrong", assetIds="EMS001", **good)
    assert got["submsg"] == "Exception: Invalid param accessKey"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("version", [V20, V21])
async def test_get_and_post_in_every_encoding(asset: Served, name: str, version: str) -> None:
    params = {
        "orgId": "o1", "assetIds": "A", named(name, version): POINTS.get(name, "p"), **UTC, "interval": "60", "operator": "ge",
        "valueFilter": "0", "accessKey": "all",
    }  # fmt: skip
    url = f"{asset.url}{BASE}/{version}/{name}"
    answers = []
    form = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in params.items()
    )
    multipart = {"data": f"{form}--b--\r\n".encode(), "headers": {"Content-Type": "multipart/form-data; boundary=b"}}
    for how in ({"json": params}, {"data": params}, multipart, {"params": params}):
        async with asset.http.post(url, **how) as response:
            answers.append(await response.json())
    async with asset.http.get(url, params=params) as response:
        answers.append(await response.json())
    assert all(each == answers[0] for each in answers)
    assert answers[0]["status" if version == V20 else "code"] == 0, answers[0]


async def test_ten_thousand_assets_by_three_thousand_points(asset: Served) -> None:
    assets, points = (
        ",".join(f"EMS{n:05d}.meter.1" for n in range(10_000)),
        ",".join(f"point_{n}" for n in range(3_000)),
    )
    for name in ALL:
        if name == "latest/filter":
            continue
        each = ",".join(f"sum({one})" for one in points.split(",")) if name in POINTS else points
        for version in (V20, V21):
            body = {
                "orgId": "o1",
                "assetIds": assets,
                named(name, version): each,
                **UTC,
                "interval": 1440,
                "pageSize": 1000,
            }
            url = f"{asset.url}{BASE}/{version}/{name}"
            async with asset.http.post(url, json=body, headers={"X-API-Key": "all"}) as response:
                got = await response.json()
                assert (response.status, got["submsg"]) == (200, TOO_LARGE), name


async def test_ranges_at_the_ends_of_time(asset: Served) -> None:
    for start, end in (
        ("0001-01-01 00:00:00", "9999-12-31 23:59:59"),
        ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    ):
        for name in (*READINGS, "di"):
            for version in (V20, V21):
                found = await items(asset, name, version, startTime=start, endTime=end, orderBy="timestamp desc")
                assert len(found) == 48
        (one,) = await items(asset, "di/duration", startTime=start, endTime=end)
        unknown = one["durations"].pop()
        assert (one["scanEndTimestamp"], unknown["status"]) == (NOW, "Unknown")
        assert sum(each["duration"] for each in one["durations"]) == NOW - DAY - 446
        for name in ("electric-power", "ai-normalized"):
            assert len(await items(asset, name, startTime=start, endTime=end, interval="1440")) >= 1


@pytest.mark.parametrize("name", ALL)
async def test_answers_about_a_range_say_how_good_their_data_are(served: Served, name: str) -> None:
    await served.ingest([sample("A", NOW - n * 15 * MINUTE, p=1.0) for n in range(8)])
    good = {named(name, V20): POINTS.get(name, "p"), "interval": "60", "operator": "eq", "valueFilter": "1"}
    range_ = {"startTime": "2025-10-09T00:00:00Z", "endTime": "2025-10-10T00:00:00Z"}
    params = {"orgId": "o1", "assetIds": "A", **good, **range_}
    async with served.http.get(
        f"{served.url}{BASE}/v2.0/{name}", params=params, headers={"X-API-Key": "all"}
    ) as response:
        assert (await response.json())["status"] == 0
        told = response.headers.get("Data-Quality")
    assert told == (None if name.startswith("latest") else "coverage=1.000, lag=0, late=0")
