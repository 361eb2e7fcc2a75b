"""The vendor's platform API: keys, envelope, devices, binding, live values, parameters."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from harness import messages
from harness.wire import Client
from http_vendor_rig import BASE, SCHEDULE, bad, good, online, scripted, simulated
from jsonschema import Draft202012Validator

from bridge.http.app import ROUTES, openapi_document
from bridge.http.vendor import CODES

if TYPE_CHECKING:
    from conftest import Window

ROWS = [route for route in ROUTES if route.tag == "vendor"]


@pytest.fixture
def config_of() -> dict[str, object]:
    return {"http.max_body_bytes": 100_000}


async def test_the_key(window: Window) -> None:
    url = f"{BASE}/test-apikey"
    assert (await window.call("GET", url))[:2] == (200, {"message": "ok"})
    assert (await window.call("GET", url, key=""))[:2] == (401, {"code": 0, "message": "API Key未提供"})
    assert (await window.call("GET", url, key="wrong"))[:2] == (401, {"code": 0, "message": "API Key无效"})


@pytest.mark.parametrize("route", ROWS, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_wants_a_key_and_refuses_what_makes_no_sense(window: Window, route: Any) -> None:
    path = route.path.replace("{id}", "1")
    status, said, _ = await window.call(route.method, path, b"{}" if route.body else None, key="")
    assert (status, said) == (401, {"code": 0, "message": "API Key未提供"})
    status, said, _ = await window.call(route.method, path + "?odd=1", b"{}" if route.body else None)
    assert (status, said["code"]) == (400, 100_001)
    if route.body is not None:
        needed = [name for name in ("device_uid", "index", "strategy_id") if name in route.query.__struct_fields__]
        path += "?" + "&".join(f"{name}=1" for name in needed)
        status, said, _ = await window.call(route.method, path, b"{")
        assert (status, said["code"]) == (400, 100_001)
        status, said, _ = await window.call(route.method, path, b" " * 200_000)
        assert (status, said["code"]) == (413, 100_001)


def test_every_route_of_the_vendor_is_there() -> None:
    """http_apis.md, part D."""
    wanted = """
        GET /test-apikey · GET /device · GET /device/by-time · PATCH /device · POST /device/bind-owner · PUT /common-sync
        POST /charge-strategy · GET /charge-strategy · PATCH /charge-strategy · PATCH /charge-strategy/{id}
        PUT /charge-strategy/sync · POST /protection-strategy · GET /protection-strategy · PATCH /protection-strategy
        PUT /protection-strategy/sync · POST /air-strategy · GET /air-strategy · PATCH /air-strategy · PUT /air-strategy/sync
        POST /pcs-control · GET /pcs-control · PUT /pcs-control/sync · POST /bms-control · GET /bms-control
        PUT /bms-control/sync · POST /reactive-power-control · GET /reactive-power-control · PUT /reactive-power-control/sync
        POST /voltage-control · GET /voltage-control · PUT /voltage-control/sync · GET /power/load-forecast
        GET /power/pv-forecast · POST /level2-charge-strategy · GET /level2-charge-strategy · PATCH /level2-charge-strategy
        PATCH /level2-charge-strategy/{id} · PUT /level2-charge-strategy/sync · POST /level2-protection-strategy/streaming
        GET /level2-protection-strategy/streaming · PATCH /level2-protection-strategy/streaming
        POST /level2-protection-strategy/overdemand · GET /level2-protection-strategy/overdemand
        PATCH /level2-protection-strategy/overdemand · GET /sub-device · GET /sub-device-fault
    """
    served = {f"{route.method} {route.path.removeprefix(BASE)}" for route in ROWS}
    assert set(re.findall(r"[A-Z]+ /\S+", wanted)) | {"POST /wad/emm/v1/api/device/bind-owner"} == served


async def test_devices_are_listed_in_pages_with_what_the_registry_lacks(window: Window) -> None:
    async with await window.connect("D1") as line:
        await line.stored(messages.topic("D1", messages.REPORT), messages.report("D1", 1))
    page = (await good(window, "GET", "/device?page-size=1&page=2"))["data"]
    assert (page["total"], [row["uid"] for row in page["list"]]) == (2, ["D2"])
    assert (await good(window, "GET", "/device?page_size=1"))["data"]["list"][0]["uid"] == "D1"
    first, second = (await good(window, "GET", "/device"))["data"]["list"]
    assert first == {
        "uid": "D1", "license_code": "", "name": "D1", "code": 0, "location": "", "affiliation": 1,
        "heartbeat_time": first["heartbeat_time"],
    }  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["heartbeat_time"])
    assert "heartbeat_time" not in second
    assert (await bad(window, "GET", "/device?page=0"))[0] == 100_001
    assert (await bad(window, "GET", "/device?page=x"))[0] == 100_001


async def test_a_device_is_described_and_found_by_the_time_of_it(window: Window) -> None:
    before = messages.now_ms() // 1000
    assert (await good(window, "PATCH", "/device", {"uid": "D1", "name": "hall", "code": 7, "location": "上海"}))[
        "message"
    ] == "设备修改成功"
    (row,) = [row for row in (await good(window, "GET", "/device"))["data"]["list"] if row["uid"] == "D1"]
    assert (row["name"], row["code"], row["location"]) == ("hall", 7, "上海")
    assert (await window.get("/api/v1/devices/D1"))["name"] == "hall"
    url = "/device/by-time"
    assert (await good(window, "GET", f"{url}?start-time={before}"))["data"]["total"] == 2
    assert (await good(window, "GET", f"{url}?start_time={before + 3600}"))["data"]["total"] == 0
    assert (await good(window, "GET", f"{url}?start_time=0&end_time={before - 3600}"))["data"]["total"] == 0
    assert (await bad(window, "GET", f"{url}?start_time=9&end_time=8"))[0] == 100_001


async def test_names_are_unique_among_an_owners_devices(window: Window) -> None:
    await window.device("D3")
    await good(window, "PATCH", "/device", {"uid": "D1", "name": "hall", "code": 7})
    assert (await bad(window, "PATCH", "/device", {"uid": "D3", "name": "hall", "code": 7}))[0] == 100_010
    await good(window, "PATCH", "/device", {"uid": "D2", "name": "hall", "code": 7})
    for wrong in ({"name": "a b"}, {"name": "x" * 48}, {"code": -1}, {"location": "x" * 256}, {"more": 1}):
        code, message = await bad(window, "PATCH", "/device", {"uid": "D1", "name": "x", "code": 1, **wrong})
        assert (code, next(iter(wrong)) in message) == (100_001, True)


async def test_a_device_is_bound_to_the_tenant_of_who_knows_its_license(window: Window) -> None:
    registry = window.house.registry
    await registry.add_device("D5", "PK001", license_code="6rDMfM0MVoB8jQHkDrPFey")
    mine = await registry.add_account("mine", [("user", "T9")])
    theirs = await registry.add_account("theirs", [("user", "T8")])
    both = await registry.add_account("both", [("user", "T9"), ("user", "T7")])
    body = {"license_code": "6rDMfM0MVoB8jQHkDrPFey", "name": "shed", "code": 10312}
    assert (await good(window, "GET", "/device", key=mine))["data"]["total"] == 0
    assert (await bad(window, "POST", "/device/bind-owner", body, key=both))[0] == 140_003
    wrong = {**body, "license_code": "nobody's"}
    assert (await bad(window, "POST", "/device/bind-owner", wrong, key=mine))[0] == 100_007
    status, said, _ = await window.call("POST", "/wad/emm/v1/api/device/bind-owner", body, key=mine)
    assert (status, said) == (200, {"code": 0, "message": "绑定成功"})
    (row,) = (await good(window, "GET", "/device", key=mine))["data"]["list"]
    assert (row["uid"], row["license_code"], row["name"], row["code"]) == ("D5", body["license_code"], "shed", 10312)
    device = registry.device("D5")
    assert device is not None
    assert device.owners == (("wudun", "PK001"), ("user", "T9"))
    assert (await bad(window, "POST", "/device/bind-owner", body, key=theirs))[0] == 140_003
    await good(window, "POST", "/device/bind-owner", {**body, "name": "barn"}, key=mine)


async def test_whose_device_it_is_and_whether_there_is_one(window: Window) -> None:
    stranger = await window.house.registry.add_account("stranger", [("user", "other")])
    for method, path, body in (
        ("PUT", "/charge-strategy/sync?device_uid={}", None),
        ("PUT", "/pcs-control/sync?device_uid={}", None),
        ("GET", "/charge-strategy?device_uid={}", None),
        ("POST", "/charge-strategy", SCHEDULE),
        ("PUT", "/common-sync?device_uid={}", {"fields": ["soc"]}),
        ("GET", "/power/load-forecast?period=24h&device_uid={}", None),
    ):
        for uid, code in (("D1", 140_003), ("none", 140_008)):
            wanted = {**body, "device_uid": uid} if body is SCHEDULE else body
            assert (await bad(window, method, path.format(uid), wanted, key=stranger))[0] == code
    assert [row["uid"] for row in (await good(window, "GET", "/device", key=stranger))["data"]["list"]] == ["D2"]


async def test_live_values(window: Window) -> None:
    url = "/common-sync?device_uid=D1"
    async with online(window, simulated()):
        said = await good(window, "PUT", url, {"fields": ["pcs_total_active_power", "soc", "pv_high_pressure_power"]})
    assert said["message"] == "获取实时数据成功"
    assert set(said["data"]) == {"pcs_total_active_power", "soc"}
    assert all(isinstance(value, float) for value in said["data"].values())
    code, message = await bad(window, "PUT", url, {"fields": ["pcs_total_active_power"]})
    assert (code, message.startswith("mqtt超时: command ")) == (140_002, True)
    assert (await bad(window, "PUT", url, {"fields": ["odd"]}))[0] == 100_001
    assert (await bad(window, "PUT", url, {"fields": []}))[0] == 100_001


async def test_live_values_of_parts(window: Window) -> None:
    def entry(name: str, index: int, **values: float) -> dict[str, Any]:
        return {"type": name, "index": index, "data": values}

    data = [
        entry("sub_ems_pcs", 0, pcs_total_active_power=10.5), entry("sub_ems_pcs", 1, pcs_total_active_power=20),
        entry("sub_ems_bms", 0, soc=40, power=1), entry("sub_ems_bms", 1, soc=50, power=2),
        {"type": "sub_elemeters", "data": [{"device_id": 1, "total_active_power": 1}, {"device_id": 2, "total_active_power": 2}]},
    ]  # fmt: skip
    async with (
        scripted(window, lambda _name, _data: (200, None)),
        await Client.open(mqtt(window), "second", "D1", window.secrets["D1"]) as line,
    ):
        body = {**messages.report_of("D1", {}), "type": "report_regular", "data": data}
        await line.stored(messages.topic("D1", messages.REPORT), json.dumps(body).encode())
        wanted = {"fields": ["pcs_total_active_power", "soc", "power", "total_active_power"]}
        said = await good(window, "PUT", "/common-sync?device_uid=D1", wanted)
    assert said["data"] == {"pcs_total_active_power": 30.5, "soc": 45.0, "power": 3.0}


def mqtt(window: Window) -> tuple[str, int]:
    host, _, port = (window.house.addresses.mqtt or "").rpartition(":")
    return host, int(port)


async def test_what_a_device_refuses_is_140001_with_its_words(window: Window) -> None:
    async with scripted(window, lambda _name, _data: (400, None)) as asked:
        code, message = await bad(window, "PUT", "/common-sync?device_uid=D1", {"fields": ["soc"]})
        assert (code, message) == (140_001, "mqtt处理失败: the device answered 400 no")
        code, _ = await bad(window, "POST", "/pcs-control", {"device_uid": "D1", "command": 1})
        assert code == 140_001
    assert [name for name, _ in asked] == ["pcs_control/sync", "pcs_control/set"]


class TestImpatient:
    @pytest.fixture
    def config_of(self) -> dict[str, object]:
        return {"commands.timeout_s": 0.3}

    async def test_what_a_device_does_not_answer_is_140002(self, window: Window) -> None:
        async with scripted(window, lambda _name, _data: None) as asked:
            code, message = await bad(window, "POST", "/pcs-control", {"device_uid": "D1", "command": 1})
            assert (code, message.endswith("is timed_out")) == (140_002, True)
            mid = message.split()[2]
            assert (await window.get(f"/api/v1/commands/{mid}"))["state"] == "timed_out"
        assert len(asked) == 1

    async def test_what_waits_behind_another_command_too_long_never_runs(
        self, window: Window, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.http.vendor.QUEUE_S", 0.2)
        async with scripted(window, lambda _name, _data: None) as asked:
            wanted = {"feature": "safety", "action": "set", "data": {"bms_3": 1}, "timeout_s": 30}
            await window.call("POST", "/api/v1/devices/D1/commands", wanted)
            code, message = await bad(window, "POST", "/pcs-control", {"device_uid": "D1", "command": 1})
            assert (code, message.endswith("is cancelled")) == (140_002, True)
        assert [name for name, _ in asked] == ["safety/set"]


async def test_nothing_is_held_for_a_device_that_is_away(window: Window) -> None:
    code, message = await bad(window, "POST", "/pcs-control", {"device_uid": "D1", "command": 3})
    assert (code, message.endswith("is undeliverable")) == (140_002, True)
    async with scripted(window, lambda _name, _data: (200, None)) as asked:
        await good(window, "POST", "/pcs-control", {"device_uid": "D1", "command": 2})
    assert asked == [("pcs_control/set", {"pcs_device_startup": 1})]


async def test_answers_fit_the_openapi_document(window: Window) -> None:
    document = json.loads(json.dumps(openapi_document()))
    async with online(window, simulated()):
        for route in ROWS:
            path = route.path.replace("{id}", "1")
            query = "?device_uid=D1" if "DeviceQuery" in route.query.__name__ else ""
            query = "?period=24h" if route.query.__name__ == "ForecastQuery" else query
            status, said, _ = await window.call(route.method, path + query, b"{}" if route.body else None)
            answer = document["paths"][route.path][route.method.lower()]["responses"][str(status)]
            schema = {**answer["content"]["application/json"]["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(said)


def test_every_code_is_documented() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "vendor.md").read_text("utf-8")
    assert [code for code in CODES if f"| {code} |" not in text] == []
    assert [route.path for route in ROWS if route.path.removeprefix(BASE) not in text] == []
