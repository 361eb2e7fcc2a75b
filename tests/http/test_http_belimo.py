"""The Belimo-compatible API: devices, data, history, definitions, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from harness import messages
from http_belimo_rig import BASE, D1, ENERGY, MINUTE, POWER, T0, ask, fill
from http_vendor_rig import online, scripted, simulated

from schemas import build
from schemas.kinds import KINDS, encode

if TYPE_CHECKING:
    from conftest import Window


@pytest.fixture
def config_of() -> dict[str, object]:
    return {"http.max_body_bytes": 100_000}


def told(alarm: dict[str, Any]) -> tuple[str, bytes]:
    """Topic and payload of an alarm of D1."""
    kind = next(kind for kind in KINDS if kind.suffix == "alarm/details/post")
    return messages.topic("D1", kind.suffix), encode(build.post(kind, "D1", [alarm], messages.now_ms()))


async def test_the_devices(window: Window) -> None:
    await fill(window)
    said = await ask(window, "/devices")
    assert said["paging"] == {"total": 2, "offset": 0, "limit": 20}
    assert said["sorting"] == {"field": "productionId", "direction": "ASC"}
    assert said["filter"] == {}
    first, second = said["data"]
    assert (first["id"], first["serialNumber"], first["displayName"]) == (D1, "D1", "D1")
    assert first["state"]["datapoints"][POWER] == {"value": 19.0}
    assert first["state"]["timestamp"] == "2018-06-20T11:01:00.000Z"
    assert first["health"]["lastSeen"] == "2018-06-20T11:01:00.000Z"
    assert second["state"]["timestamp"] > "2020"  # now: it has told nothing
    assert (second["health"]["state"], "lastSeen" in second["health"]) == ("UNKNOWN", False)
    assert second["owner"]["entityId"] == "other"
    for each in (first["id"], first["serialNumber"], D1.upper()):
        assert (await ask(window, f"/devices/{each}"))["id"] == D1
    await ask(window, "/devices/none", 404)
    await ask(window, f"/devices/{'0' * 8}-0000-0000-0000-{'0' * 12}", 404)


@pytest.mark.parametrize(
    ("params", "wanted"),
    [
        ({"state": "REGISTERED"}, ["D1"]),
        ({"state": "UNREGISTERED"}, ["D2"]),
        ({"state": "ALL", "sortDirection": "DESC"}, ["D2", "D1"]),
        ({"search": "d2"}, ["D2"]),
        ({"search": "xyz"}, []),
        ({"owner": "other"}, ["D2"]),
        ({"limit": "1", "offset": "1"}, ["D2"]),
        ({"limit": "0"}, []),
        ({"offset": "9007199254740992"}, []),
        ({"sortBy": "health.lastSeen"}, ["D1", "D2"]),
        ({"sortBy": "health.lastSeen", "sortDirection": "DESC"}, ["D1", "D2"]),
        ({"sortBy": "addressCity"}, ["D1", "D2"]),
        ({"sortBy": "name"}, ["D1", "D2"]),
        ({"somethingNew": "1"}, ["D1", "D2"]),
    ],
)
async def test_filters_of_devices(window: Window, params: dict[str, str], wanted: list[str]) -> None:
    await fill(window)
    said = await ask(window, "/devices", **params)
    assert [each["serialNumber"] for each in said["data"]] == wanted
    assert said["filter"] == {name: params[name] for name in ("state", "search", "owner") if name in params}


async def test_the_stats(window: Window) -> None:
    await fill(window)
    async with online(window, simulated()):
        said = await ask(window, "/devices/stats")
    assert said["totalDevices"] == 2
    assert said["connection"] == {"offline": 1, "online": 1}
    assert said["transfer"] == {"incoming": 0, "outgoing": 0}
    assert sum(said["health"].values()) == 2
    assert (await ask(window, "/devices/stats", owner="nobody"))["totalDevices"] == 0


async def test_alarms_are_health(window: Window) -> None:
    alarm = {
        "content": "too hot", "device_type": "pcs", "alarm_type": "temperature", "level": 3, "handle_status": 1,
        "occur_time": "2024-01-23T03:24:11Z",
    }  # fmt: skip
    async with await window.connect("D1") as line:
        await line.stored(*told(alarm))
        said = await ask(window, "/devices/D1")
        assert (said["health"]["state"], said["health"]["description"]) == ("ERROR", "too hot")
        assert (await ask(window, "/devices/stats"))["health"] == {"problem": 1, "ok": 1}
        await line.stored(*told({**alarm, "handle_status": 2}))
        assert (await ask(window, "/devices/D1"))["health"]["state"] == "OK"


async def test_the_vendors_own_example_of_buckets(window: Window) -> None:
    """http_apis.md, B.3: raw samples every three minutes, buckets of 15."""
    await fill(window)
    params = {"from": "2018-06-20T10:04:00Z", "to": "2018-06-20T11:04:06Z", "datapointIds": f"{POWER},unknown.1"}
    said = await ask(window, f"/devices/{D1}/data/history/timeseries", **params, resolution="15m")
    assert (said["from"], said["to"], said["resolution"]) == ("2018-06-20T10:00:00Z", "2018-06-20T11:15:00Z", "15m")
    (series,) = said["series"]
    assert (series["datapointId"], series["aggregation"]) == (POWER, "last")
    starts = ["10:00", "10:15", "10:30", "10:45", "11:00"]
    assert series["values"] == [
        {"timestamp": f"2018-06-20T{start}:00Z", "value": value}
        for start, value in zip(starts, [3, 8, 13, 18, 19], strict=True)
    ]
    raw = await ask(
        window, f"/devices/{D1}/data/history/datapoints/{POWER}", **{**params, "offset": "1", "limit": "10"}
    )
    assert raw["data"] == [{"timestamp": f"2018-06-20T10:{7 + 3 * n:02}:00Z", "value": n + 1} for n in range(10)]
    assert raw["paging"] == {"total": 20, "offset": 1, "limit": 10}
    assert raw["sorting"] == {"field": "time", "direction": "ASC"}
    assert raw["filter"] == {"from": params["from"], "to": params["to"], "datapointId": POWER}


@pytest.mark.parametrize(
    ("aggregation", "wanted"),
    [("last", 3.0), ("first", 0.0), ("min", 0.0), ("max", 3.0), ("mean", 1.5), ("sum", 6.0), ("count", 4)],
)
async def test_aggregations(window: Window, aggregation: str, wanted: float) -> None:
    await fill(window)
    said = await ask(
        window, "/devices/D1/data/history/timeseries", datapointIds=POWER, resolution="15m", aggregation=aggregation,
        **{"from": "2018-06-20T10:00:00Z", "to": "2018-06-20T10:15:00Z"},
    )  # fmt: skip
    assert said["series"][0]["values"] == [{"timestamp": "2018-06-20T10:00:00Z", "value": wanted}]


async def test_resolutions(window: Window) -> None:
    await fill(window)

    async def got(status: int = 200, **params: str) -> Any:
        return await ask(window, "/devices/D1/data/history/timeseries", status, datapointIds=POWER, **params)

    span = {"from": "2018-06-20T00:00:00Z", "to": "2018-06-21T00:00:00Z"}
    for points in (1, 7, 100, 10_000):
        said = await got(**span, resolution=str(points))
        assert len(said["series"][0]["values"]) <= points
        assert said["from"] <= span["from"] < span["to"] <= said["to"]
    assert (await got(**span, resolution="1d"))["series"][0]["values"] == [
        {"timestamp": "2018-06-20T00:00:00Z", "value": 19.0}
    ]
    week = await got(**span, resolution="1w")
    assert (week["from"], week["to"]) == ("2018-06-18T00:00:00Z", "2018-06-25T00:00:00Z")
    assert (await got())["series"][0]["values"][0]["value"] == 19.0  # from the first reading to now, 100 buckets
    for wrong in ("0", "0m", "-1m", "10001", "1y", "", "999999999w", "１５m", "1e3", "15 m"):
        assert (await got(400, **span, resolution=wrong))["errors"]
    await got(400, **span, resolution="1s")
    await got(400, **{"from": span["to"], "to": span["from"]})
    await got(400, **{"from": "yesterday"})
    await got(400, aggregation="median")
    far = await got(**{"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"})
    assert far["series"][0]["values"][0]["value"] == 19.0
    assert (await got(**{"from": "2018-06-20 10:00:00", "to": "2018-06-20T14:00:00 02:00"}))["to"] > "2018-06-20T11"


async def test_a_bucket_with_nothing_is_left_out_and_a_series_without_values_stays(window: Window) -> None:
    await fill(window, values={0: {"total_active_power": 1.0}, 60 * MINUTE: {"total_active_power": 2.0}})
    span = {"from": "2018-06-20T10:00:00Z", "to": "2018-06-20T12:00:00Z"}
    path = "/devices/D1/data/history/timeseries"
    said = await ask(window, path, datapointIds=POWER, resolution="15m", **span)
    assert [each["value"] for each in said["series"][0]["values"]] == [1.0, 2.0]
    said = await ask(window, path, datapointIds=POWER, **{"from": "2017-01-01T00:00:00Z", "to": "2017-01-02T00:00:00Z"})
    assert said["series"] == [{"datapointId": POWER, "aggregation": "last", "values": []}]
    assert (await ask(window, path, datapointIds="a,b", **span))["series"] == []
    await ask(window, path, 400)


async def test_values_now_and_then(window: Window) -> None:
    await fill(window)
    await fill(window, "D1", {5 * MINUTE: {"soc": 50.0}})
    now = await ask(window, "/devices/D1/data")
    assert now["datapoints"][POWER] == {"value": 19.0}
    assert now["datapoints"]["ems.soc"] == {"value": 50.0}
    assert now["datapoints"]["metadata.1001"] == {"value": "D1"}
    for at in ("2018-06-20T10:10:30Z", str(T0 + 10 * MINUTE + 30_000)):
        then = await ask(window, "/devices/D1/data", at=at)
        assert then == {
            "timestamp": "2018-06-20T10:10:00.000Z", "datapoints": {POWER: {"value": 2.0}, "ems.soc": {"value": 50.0}},
        }  # fmt: skip
    await fill(window, values={200 * MINUTE: {"total_active_power": 77.0, "total_forward_active_energy": 1.5}})
    await fill(window, values={1 * MINUTE: {"total_active_power": 5.0}})  # late: nothing new
    now = await ask(window, "/devices/D1/data")
    assert (now["datapoints"][POWER], now["datapoints"][ENERGY]) == ({"value": 77.0}, {"value": 1.5})


async def test_a_table_and_an_address_for_it(window: Window) -> None:
    await fill(window, values={0: {"total_active_power": 1.0}, MINUTE: {"total_active_power": 120.5}})
    await fill(window, "D1", {MINUTE: {"soc": 50.0}, MINUTE + 1: {"soc": 51.0}})
    lines = [
        f"timestamp;{POWER};ems.soc", "2018-06-20T10:00:00.000Z;1;", "2018-06-20T10:01:00.000Z;120.5;50",
        "2018-06-20T10:01:00.001Z;;51", "",
    ]  # fmt: skip
    wanted = "\r\n".join(lines).encode()
    names = {"datapointIds": f"{POWER},ems.soc,unknown"}
    assert await ask(window, "/devices/D1/data/download", **names) == wanted
    whole = await ask(window, "/devices/D1/data/download")
    assert whole.count(b"\r\n") == 4
    offered = await ask(window, "/devices/D1/data/requestDownload", **names)
    async with window.session.get(offered["downloadUrl"]) as response:  # no token
        assert (response.status, await response.read()) == (200, wanted)
    status, _, _ = await window.call("GET", f"{BASE}/download/{'x' * 43}", key="")
    assert status == 404


async def test_what_was_offered_ends_with_the_account(window: Window) -> None:
    """Also where there is one of the same name again."""
    await fill(window, values={0: {"total_active_power": 1.0}})
    registry = window.house.registry
    key = await registry.add_account("brief", [("wudun", "PK001")])
    _, download, _ = await window.call("GET", f"{BASE}/devices/D1/data/requestDownload", key=key)
    _, stream, _ = await window.call("POST", f"{BASE}/devices/change-stream", {}, key=key)
    await registry.remove_account("brief")
    await registry.add_account("brief", [("wudun", "PK001")])
    async with window.session.get(download["downloadUrl"]) as response:
        assert response.status == 404
    assert (await window.call("GET", f"{BASE}/devices/change-stream/{stream['token']}", key=""))[0] == 404


async def test_the_definitions(window: Window) -> None:
    await fill(window, values={0: {"total_active_power": 1.0, "total_forward_active_energy": 2.0, "odd": 1.0}})
    listed = await ask(window, "/definitions/dataprofiles", expanded="false")
    assert listed["paging"]["total"] == 2
    assert all("datapoints" not in each for each in listed["data"])
    reference = (await ask(window, "/devices/D1"))["dataprofile"]["entityId"]
    assert reference in {each["ref"] for each in listed["data"]}
    said = await ask(window, f"/definitions/dataprofiles/{reference}")
    assert said == await ask(window, f"/definitions/dataprofiles/{reference.split('/')[0]}/last")
    points = {each["id"]: each["featureValues"] for each in said["datapoints"]}
    assert points[ENERGY] == {
        "default.name": "/meter/12/total_forward_active_energy",
        "default.description": "Forward Active Energy of meter.12 in kWh",
        "default.access": "r",
        "default.basetype": "real",
        "default.unit": "kWh",
        "display.displayname": "Forward Active Energy of meter.12",
    }
    assert points["meter.12.odd"]["default.description"] == "Odd of meter.12"
    start = points["pcs_control.pcs_device_startup"]
    assert (start["default.access"], start["default.restriction"]) == ("w", "enum:0,1")
    assert points["metadata.1001"]["default.access"] == "rw"
    aspects = {each["ref"] for each in said["aspects"]}
    for each in said["subprofiles"]:
        assert set(each["supportedAspects"]) <= aspects
        assert set(each["datapoints"]) <= points.keys()
        whole = await ask(window, f"/definitions/subprofiles/{each['ref']}")
        assert {point["id"] for point in whole["datapoints"]} == set(each["datapoints"])
    for aspect in said["aspects"]:
        assert await ask(window, f"/definitions/aspects/{aspect['ref']}") == aspect
    assert (await ask(window, f"/definitions/datapoints/{POWER}/1.0"))["definedBy"] == "meter/1.0"
    for missing in ("dataprofiles/none/1.0", f"dataprofiles/{reference[:-1]}9", "aspects/x/1.0", "datapoints/x/1.0",
                    "subprofiles/x/1.0"):  # fmt: skip
        await ask(window, f"/definitions/{missing}", 404)


async def test_si_units(window: Window) -> None:
    window.house.belimo.settings = window.house.belimo.settings._replace(si=True)
    await fill(window, values={0: {"total_active_power": 1.5, "total_forward_active_energy": 2.0}})
    now = (await ask(window, "/devices/D1/data"))["datapoints"]
    assert (now[POWER], now[ENERGY]) == ({"value": 1500.0}, {"value": 7.2e6})
    assert (await ask(window, f"/definitions/datapoints/{ENERGY}/last"))["featureValues"]["default.unit"] == "J"
    said = await ask(window, f"/devices/D1/data/history/datapoints/{ENERGY}")
    assert said["data"] == [{"timestamp": "2018-06-20T10:00:00Z", "value": 7.2e6}]


async def test_writing_is_a_job(window: Window) -> None:
    body = {"datapoints": {"pcs_control.pcs_device_startup": True, "bms_control.battery_system_reset": 1}}
    async with scripted(window, lambda _name, _data: (200, None)) as asked:
        job = await ask(window, "/devices/D1/data", 200, "POST", body)
        assert (job["mergeable"], job["cancelable"]) == (False, False)
        assert (job["createdBy"]["displayName"], job["state"]) == ("backend", "PENDING")
        for number in range(2):
            mid = f"{job['id'][:-1]}{number}"
            await window.house.commands.wait(mid, 10)
        done = await ask(window, f"/jobs/{job['id']}")
    assert asked == [("pcs_control/set", {"pcs_device_startup": 1}), ("bms_control/set", {"battery_system_reset": 1})]
    assert (done["state"], done["confirmedBy"], done["result"]) == ("SUCCESS", "DEVICE", "ok")
    assert done["createdAt"] <= done["confirmedAt"]


async def test_a_refusal_is_a_failure(window: Window) -> None:
    async with scripted(window, lambda _name, _data: (500, None)):
        job = await ask(window, "/devices/D1/data", 200, "POST", {"datapoints": {"condition_control.power_on": 1}})
        await window.house.commands.wait(job["id"], 10)
        done = await ask(window, f"/jobs/{job['id']}")
    assert (done["state"], done["confirmedBy"], done["error"]) == ("FAILURE", "DEVICE", {"code": 500, "message": "no"})


async def test_a_pending_job_can_be_canceled(window: Window) -> None:
    points = {"condition_control.power_on": 0}
    job = await ask(window, "/devices/D1/data", 200, "POST", {"datapoints": points, "cancelable": True})
    assert (job["state"], job["cancelable"]) == ("PENDING", True)
    await ask(window, f"/jobs/{job['id']}/state", 400, "PUT", b"DONE")
    assert await ask(window, f"/jobs/{job['id']}/state", 204, "PUT", b"CANCELED") == b""
    done = await ask(window, f"/jobs/{job['id']}")
    assert (done["state"], done["confirmedBy"]) == ("CANCELED", "USER")
    await ask(window, f"/jobs/{job['id']}/state", 204, "PUT", b"CANCELED")
    job = await ask(window, "/devices/D1/data", 200, "POST", {"datapoints": points})
    await ask(window, f"/jobs/{job['id']}/state", 409, "PUT", b"CANCELED")
    soon = {"datapoints": points, "cancelable": True, "autoCancelAfter": "2018-01-01T00:00:00Z"}
    job = await ask(window, "/devices/D1/data", 200, "POST", soon)
    await window.house.commands.wait(job["id"], 10)
    assert (await ask(window, f"/jobs/{job['id']}"))["confirmedBy"] == "SYSTEM"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"datapoints": {}},
        {"datapoints": []},
        {"datapoints": {"none": 1}},
        {"datapoints": {POWER: 1}},
        {"datapoints": {"metadata.1001": "x"}},
        {"datapoints": {"condition_control.power_on": 7}},
        {"datapoints": {"condition_control.power_on": "1"}},
        {"datapoints": {"condition_control.power_on": None}},
        {"datapoints": {"air_strategy.cooling_point": 20}},
        {"datapoints": {"condition_control.power_on": 1}, "mergeable": True, "cancelable": True},
        {"datapoints": {"condition_control.power_on": 1}, "autoCancelAfter": "2030-01-01T00:00:00Z"},
        {"datapoints": {"condition_control.power_on": 1, "bms_control.battery_system_reset": 10**30}},
    ],
)
async def test_what_cannot_be_written(window: Window, body: Any) -> None:
    said = await ask(window, "/devices/D1/data", 400, "POST", body)
    assert said["errors"][0]["message"]
    assert await window.house.commands.find(None) == []


async def test_metadata(window: Window) -> None:
    names = {"metadata.1001": "Heizung Süd", "metadata.1002": "Demo", "metadata.1009": "Zürich", "metadata.1012": 47.3}
    assert await ask(window, "/devices/D1/metadata", 200, "POST", {"datapoints": names}) == {}
    said = await ask(window, "/devices/D1")
    assert (said["displayName"], said["projectName"], said["addressCity"]) == ("Heizung Süd", "Demo", "Zürich")
    assert said["state"]["datapoints"]["metadata.1012"] == {"value": 47.3}
    assert (await ask(window, "/devices", search="süd"))["paging"]["total"] == 1
    device = window.house.registry.device("D1")
    assert device is not None
    assert device.name == "Heizung Süd"
    for wrong in ({"metadata.2": "x"}, {"metadata.1009": "x" * 51}, {"metadata.1009": None}, {"metadata.1012": "1"},
                  {"other": 1}):  # fmt: skip
        await ask(window, "/devices/D1/metadata", 400, "POST", {"datapoints": wrong})


async def test_an_account_sees_its_own_devices_only(window: Window) -> None:
    await fill(window)
    await fill(window, "D2.meter.12", {0: {"total_active_power": 5.0}})
    mine = (await ask(window, "/devices/D1"))["dataprofile"]["entityId"]
    key = await window.house.registry.add_account("stranger", [("user", "other")])
    for path, status in {
        "/devices": 200, "/devices/D1": 404, f"/devices/{D1}/data": 404, f"/devices/{D1}/data/download": 404,
        f"/devices/{D1}/data/history/timeseries?datapointIds={POWER}": 404,
        f"/devices/{D1}/data/history/datapoints/{POWER}": 404, "/devices/D2": 200,
    }.items():  # fmt: skip
        got, said, _ = await window.call("GET", BASE + path, key=key)
        assert got == status, path
        if path == "/devices":
            assert [each["serialNumber"] for each in said["data"]] == ["D2"]
    got, said, _ = await window.call("GET", f"{BASE}/devices/stats", key=key)
    assert said["totalDevices"] == 1
    body = {"datapoints": {"condition_control.power_on": 1}}
    for path in ("data", "metadata"):
        assert (await window.call("POST", f"{BASE}/devices/D1/{path}", body, key=key))[0] == 404
    job = await ask(window, "/devices/D1/data", 200, "POST", {**body, "cancelable": True})
    assert (await window.call("GET", f"{BASE}/jobs/{job['id']}", key=key))[0] == 404
    assert (await window.call("PUT", f"{BASE}/jobs/{job['id']}/state", b"CANCELED", key=key))[0] == 404
    got, said, _ = await window.call("GET", f"{BASE}/definitions/dataprofiles", key=key)
    assert [each["ref"] for each in said["data"]] == [mine]  # the same points: the same profile


async def test_the_rate_of_data_requests(window: Window) -> None:
    await fill(window)
    from bridge.http.belimo_state import Rate

    window.house.belimo.rate = Rate(2.0, lambda: 0.0)
    for status in (200, 200, 200, 200, 429):
        await ask(window, "/devices/D1/data", status)


async def test_what_goes_wrong_is_said_in_its_words(window: Window) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404), ("DELETE", "/devices", 405), ("GET", "/devices?limit=x", 400),
        ("GET", "/devices?limit=2001", 400),
        ("GET", "/devices?offset=-1", 400), ("GET", "/devices?offset=9223372036854775808", 400),
        ("GET", "/devices?search=", 400), ("GET", "/devices?limit=1&limit=2", 400), ("GET", "/jobs/x", 404),
        ("GET", f"/jobs/{D1}", 404), ("GET", "/devices/%00", 404), ("GET", "/devices/..%2f..%2fetc", 404),
        ("GET", "/devices/D1'--", 404),
    ):  # fmt: skip
        got, said, _ = await window.call(method, BASE + path)
        assert got == status, (path, said)
        assert said["errors"][0].keys() == {"code", "message"}
    status, said, headers = await window.call("GET", f"{BASE}/devices", key="")
    assert (status, said["error"]) == (401, "invalid_token")
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert (await window.call("POST", f"{BASE}/devices/D1/data", b"{"))[0] == 400
    assert (await window.call("POST", f"{BASE}/devices/D1/data", b" " * 200_000))[0] == 413
