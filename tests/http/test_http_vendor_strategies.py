"""The vendor's platform API: what is set on devices, asked of them, and shown."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from harness import messages
from http_vendor_rig import BASE, SCHEDULE, SLOT, Script, bad, good, online, scripted, simulated

from schemas.platform import AirChange, ReactivePowerControl, VoltageControl

if TYPE_CHECKING:
    from conftest import Window

MINE = {"device_uid": "D1", **SCHEDULE}
CHANGED = {**SCHEDULE, "status": 0, "month": [0]}
SITE = {"device_uid": "D1", "status": 1, "month": [1], "week_day": [0], "settings": [SLOT], "ems_device_ids": [1]}
PROTECTION: dict[str, Any] = {
    "streaming": {"status": 1, "total_margin": 1000, "margin_a": 400, "margin_b": 400, "margin_c": 400},
    "overdemand": {"status": 0, "total_demand": 900},
    "charge_depth": {
        "charge_depth": 95, "charge_slow": 90, "charge_max_vol": 4, "charge_pcs": 50,
        "discharge_depth": 5, "discharge_slow": 10, "discharge_min_vol": 3, "discharge_pcs": 40,
    },
    "safety": {
        "bms_3": 1, "bms_2": 1, "bms_2_kw": 400, "aircon": 1, "aircon_mins": 5, "temp": 1, "temp_celsius": 50, "grounded": 0,
        "fire_control": 1, "flooding": 0, "meter_offline_power0": 1, "meter_offline_mins": 5,
    },
}  # fmt: skip
AIR = {
    "cooling_point": 1, "cooling_hysteresis": 2, "heating_point": 3, "heating_hysteresis": -4, "high_temp_point": 5,
    "low_temp_point": 6, "high_humidity_point": 7,
}  # fmt: skip


def saying(**answers: tuple[int, Any]) -> Script:
    """200 without data, but for the commands named (with __ for the slash)."""
    return lambda name, _data: answers.get(name.replace("/", "__"), (200, None))


async def rows(window: Window, path: str, **more: Any) -> list[Any]:
    found: list[Any] = (await good(window, "GET", path, **more))["data"]["list"]
    return found


async def test_charge_strategies_live_on_the_device(window: Window) -> None:
    async with online(window, device := simulated()):
        assert (await good(window, "POST", "/charge-strategy", MINE))["message"] == "策略创建成功"
        (row,) = await rows(window, "/charge-strategy?device_uid=D1")
        assert row == {"charge_id": row["charge_id"], "index": 0, **MINE}
        (kept,) = device.shelves["charge"].items.values()
        assert (kept["mode"], kept["apply_to_all"], kept["settings"]) == (2, True, [SLOT])
        await good(window, "PATCH", f"/charge-strategy/{row['charge_id']}", CHANGED)
        assert await rows(window, "/charge-strategy") == [{**row, **CHANGED}]
        await good(window, "PATCH", "/charge-strategy?device_uid=D1&index=0", {**CHANGED, "week_day": [3]})
        (kept,) = device.shelves["charge"].items.values()
        assert (kept["status"], kept["month"], kept["week_day"]) == (0, [0], [3])
        synced = await good(window, "PUT", "/charge-strategy/sync?device_uid=D1")
        assert synced["data"]["total"] == 1
        assert synced["data"]["list"][0]["charge_id"] == row["charge_id"]
        assert (await bad(window, "PATCH", "/charge-strategy?device_uid=D1&index=3", CHANGED))[0] == 100_007
        assert (await bad(window, "PATCH", "/charge-strategy/99", CHANGED))[0] == 100_007
        assert (await bad(window, "PATCH", "/charge-strategy/x", CHANGED))[0] == 100_007


async def test_a_device_has_four_charge_strategies_at_most(window: Window) -> None:
    async with online(window, simulated()):
        for _ in range(4):
            await good(window, "POST", "/charge-strategy", MINE)
        assert (await bad(window, "POST", "/charge-strategy", MINE))[0] == 140_007
    assert [row["index"] for row in await rows(window, "/charge-strategy?page-size=2&page=2")] == [2, 3]


async def test_of_many_at_once_four_are_made(window: Window) -> None:
    async with online(window, device := simulated()):
        answers = await asyncio.gather(*(window.call("POST", f"{BASE}/charge-strategy", MINE) for _ in range(7)))
        assert sorted(body["code"] for _, body, _ in answers) == [0] * 4 + [140_007] * 3
        assert len(device.shelves["charge"].items) == 4
    assert sorted(row["index"] for row in await rows(window, "/charge-strategy")) == [0, 1, 2, 3]


async def test_what_a_device_tells_of_one_cabinet_is_not_all(window: Window) -> None:
    async with online(window, device := simulated()) as line:
        await good(window, "POST", "/charge-strategy", MINE)
        topic, payload = device.post_list("charge", messages.now_ms() / 1000)
        await line.stored(topic, json.dumps({**json.loads(payload), "sub_device_id": 2, "data": []}).encode())
        assert len(await rows(window, "/charge-strategy")) == 1
        await line.stored(topic, json.dumps({**json.loads(payload), "data": []}).encode())
        assert await rows(window, "/charge-strategy") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"charge_type": 2}, {"status": 2}, {"month": [12]}, {"week_day": [7]}, {"settings": []}, {"settings": [SLOT] * 13},
        {"settings": [{**SLOT, "start_hour": 24}]}, {"settings": [{**SLOT, "cdc_enable_mode": 3}]},
        {"settings": [{**SLOT, "run_power": -1}]}, {"odd": 1}, {"device_uid": 1}, {"status": True},
    ],
)  # fmt: skip
async def test_a_wrong_charge_strategy_is_told_with_its_path(window: Window, wrong: dict[str, Any]) -> None:
    code, message = await bad(window, "POST", "/charge-strategy", {**MINE, **wrong})
    assert (code, f"$.{next(iter(wrong))}" in message) == (100_001, True)


async def test_what_a_device_changes_by_itself_is_seen(window: Window) -> None:
    async with online(window, device := simulated()) as line:
        await good(window, "POST", "/charge-strategy", MINE)
        (key,) = device.shelves["charge"].items
        device.shelves["charge"].items[key]["status"] = 0
        await line.stored(*device.post_list("charge", messages.now_ms() / 1000))
        assert [row["status"] for row in await rows(window, "/charge-strategy")] == [0]
        del device.shelves["charge"].items[key]
        await line.stored(*device.post_list("charge", messages.now_ms() / 1000))
        assert await rows(window, "/charge-strategy") == []


async def test_a_device_that_gives_no_id_is_asked_by_its_index(window: Window) -> None:
    async with scripted(window, saying()) as asked:
        await good(window, "POST", "/charge-strategy", MINE)
        await good(window, "PATCH", "/charge-strategy?device_uid=D1&index=0", CHANGED)
        assert (await bad(window, "PUT", "/charge-strategy/sync?device_uid=D1"))[0] == 140_006
    assert [(name, (data or {}).get("id")) for name, data in asked] == [
        ("charge/create", None), ("charge/update", 0), ("charge/sync", None),
    ]  # fmt: skip


async def test_an_emu_has_one_schedule(window: Window) -> None:
    async with online(window, simulated("emu")):
        await good(window, "POST", "/charge-strategy", MINE)
        assert (await bad(window, "POST", "/charge-strategy", MINE))[0] == 140_007
        await good(window, "PATCH", "/charge-strategy?device_uid=D1&index=0", CHANGED)
        assert [row["status"] for row in await rows(window, "/charge-strategy")] == [0]


async def test_strategies_of_a_site_name_its_cabinets(window: Window) -> None:
    async with online(window, device := simulated()):
        cabinet = device.identity.cabinets[0].id
        body = {**SITE, "ems_device_ids": [cabinet], "remark": "ours"}
        await good(window, "POST", "/level2-charge-strategy", body)
        (row,) = await rows(window, "/level2-charge-strategy")
        (key,) = device.shelves["charge"].items
        assert (row["index"], row["ems_device_ids"], row["remark"]) == (key, [cabinet], "ours")
        change = {"status": 0, "month": [2], "week_day": [1], "settings": [SLOT]}
        await good(window, "PATCH", f"/level2-charge-strategy?device_uid=D1&index={key}", change)
        await good(window, "PATCH", f"/level2-charge-strategy/{row['charge_id']}", {**change, "status": 1})
        (kept,) = device.shelves["charge"].items.values()
        assert (kept["status"], kept["ems_device_ids"]) == (1, [cabinet])
        (row,) = (await good(window, "PUT", "/level2-charge-strategy/sync?device_uid=D1"))["data"]["list"]
        assert (row["status"], row["remark"], row["ems_device_ids"]) == (1, "ours", [cabinet])
        assert (await bad(window, "POST", "/level2-charge-strategy", {**body, "ems_device_ids": [99]}))[0] == 140_001


async def test_protection_is_a_limit_a_depth_and_safety(window: Window) -> None:
    async with online(window, device := simulated()):
        shown = (await rows(window, "/protection-strategy?device_uid=D1"))[0]
        assert set(shown) == {"device_uid", "streaming", "overdemand", "charge_depth", "safety"}
        said = await good(window, "POST", "/protection-strategy", {"device_uid": "D1", **PROTECTION})
        assert (said["message"], said["data"]) == ("策略创建成功", "")
        (limit,) = device.shelves["streaming_overdemand"].items.values()
        assert (limit["streaming_status"], limit["over_demand_status"]) == (1, 2)
        assert (limit["streaming_condition"], limit["individual_phase_streaming_condition"]) == (1000, 400)
        assert limit["over_demand_condition"] == [900] * 12
        assert device.settings["charge_percentage", 0]["charge_energy_soc_2"] == 90
        assert device.settings["safety", 0]["bms_2_kw"] == 400
        (row,) = await rows(window, "/protection-strategy")
        assert {name: row[name] for name in PROTECTION if name != "safety"} == {
            name: value for name, value in PROTECTION.items() if name != "safety"
        }
        assert row["safety"].items() >= PROTECTION["safety"].items()
        assert (await bad(window, "POST", "/protection-strategy", {"device_uid": "D1", **PROTECTION}))[0] == 140_007
        uneven = {**PROTECTION, "streaming": {"status": 0, "total_margin": 1, "margin_a": 2, "margin_b": 3},
                  "overdemand": {"status": 1, "total_demand": 5, "demand_a": 4}}  # fmt: skip
        said = await good(window, "PATCH", "/protection-strategy?device_uid=D1", uneven)
        assert "streaming.margin_a, overdemand.demand_a" in said["data"]
        (limit,) = device.shelves["streaming_overdemand"].items.values()
        assert (limit["streaming_status"], limit["over_demand_status"]) == (2, 1)
        synced = await good(window, "PUT", "/protection-strategy/sync?device_uid=D1")
        assert synced["data"]["list"][0]["overdemand"] == {"status": 1, "total_demand": 5, "demand_a": 4}


async def test_what_the_device_has_already_is_not_sent_again_and_a_half_done_one_says_so(window: Window) -> None:
    from schemas import carriage
    from schemas.platform import ChargeDepth

    depth = carriage.depth_sent(ChargeDepth(**PROTECTION["charge_depth"]))
    meter = {
        "id": 7, "station_name": "", "virtual_type": 1, "proto_type": 1, "application_proto_type": 1, "name": "",
        "ele_device_type_id": 1, "ele_device_type": {"id": 1}, "pt": 1, "ct": 1, "direction": 1, "running_status": 1,
    }  # fmt: skip
    script = saying(
        streaming_overdemand__sync=(200, []), elemeter_info__list=(200, [meter]),
        charge_percentage__sync=(200, depth), safety__set=(400, None),
    )  # fmt: skip
    async with scripted(window, script) as asked:
        code, message = await bad(window, "POST", "/protection-strategy", {"device_uid": "D1", **PROTECTION})
        assert (code, message.endswith("done before: streaming, overdemand, charge_depth")) == (140_001, True)
        assert [name for name, _ in asked] == [
            "streaming_overdemand/sync", "elemeter_info/list", "streaming_overdemand/create", "charge_percentage/sync",
            "safety/sync", "safety/set",
        ]  # fmt: skip
        assert asked[2][1]["ele_meter_id"] == 7
    async with scripted(window, saying(streaming_overdemand__sync=(200, []), elemeter_info__list=(200, []))):
        code, _ = await bad(window, "POST", "/protection-strategy", {"device_uid": "D1", **PROTECTION})
        assert code == 140_004
        assert (await bad(window, "PATCH", "/protection-strategy?device_uid=D2", PROTECTION))[0] == 100_007


async def test_air_strategies(window: Window) -> None:
    async with online(window, device := simulated()):
        assert (await bad(window, "PATCH", "/air-strategy?device_uid=D1", AIR))[0] == 100_007
        assert (await good(window, "POST", "/air-strategy", {"device_uid": "D1", **AIR}))["data"] == ""
        assert device.settings["air_strategy", 0] == AIR
        assert (await bad(window, "POST", "/air-strategy", {"device_uid": "D1", **AIR}))[0] == 140_007
        await good(window, "PATCH", "/air-strategy?device_uid=D1", {**AIR, "cooling_point": 26})
        assert await rows(window, "/air-strategy") == [{"device_uid": "D1", **AIR, "cooling_point": 26}]
        device.settings["air_strategy", 0]["cooling_point"] = 27
        synced = await good(window, "PUT", "/air-strategy/sync?device_uid=D1")
        assert synced["data"] == {"device_uid": "D1", **AIR, "cooling_point": 27}
        assert await rows(window, "/air-strategy?device_uid=D1") == [synced["data"]]
    assert set(AIR) | {"device_uid"} == set(AirChange.__struct_fields__)
    code, _ = await bad(window, "POST", "/air-strategy", {"device_uid": "D1", **AIR, "high_humidity_point": 101})
    assert code == 100_001


@pytest.mark.parametrize(
    ("path", "feature", "body", "wrong"),
    [
        (
            "/reactive-power-control", "reactive_power_control",
            {"phase_min_power_factor_a": 0.8, "phase_power_factor_hysteresis_b": 0.05, "period": 500, "step": 0.1, "mode": 2},
            {"phase_min_power_factor_a": 1.1},
        ),
        (
            "/voltage-control", "voltage_control",
            {"phase_rated_voltage_a": 220, "phase_voltage_upper_limit_threshold_c": 240, "period": 500, "step": 5},
            {"phase_rated_voltage_a": "220"},
        ),
    ],
)  # fmt: skip
async def test_controls_are_sent_kept_and_asked_for(
    window: Window, path: str, feature: str, body: dict[str, Any], wrong: dict[str, Any]
) -> None:
    url = f"{path}?device_uid=D1"
    assert (await bad(window, "GET", url))[0] == 100_007
    async with online(window, device := simulated()):
        assert (await good(window, "POST", path, {"device_uid": "D1", **body}))["data"] == ""
        assert device.settings[feature, 0].items() >= body.items()
        assert (await good(window, "GET", url))["data"] == {"device_uid": "D1", **body}
        device.settings[feature, 0]["period"] = 700
        synced = (await good(window, "PUT", f"{path}/sync?device_uid=D1"))["data"]
        assert synced.items() >= {"device_uid": "D1", **body, "period": 700}.items()
        assert (await good(window, "GET", url))["data"] == synced
    code, message = await bad(window, "POST", path, {"device_uid": "D1", **body, **wrong})
    assert (code, next(iter(wrong)) in message) == (100_001, True)


def test_controls_know_the_fields_of_their_pages() -> None:
    assert len(ReactivePowerControl.__struct_fields__) == 10
    assert len(VoltageControl.__struct_fields__) == 15


PCS = ["pcs_fault_reset", "pcs_device_startup", "pcs_device_stop", "pcs_remote_emergency_stop"]
PCS += ["pcs_reset_cumulative_charge", "pcs_reset_cumulative_discharge", "pcs_remote_local_setting"]


async def test_orders_to_pcs_and_bms(window: Window) -> None:
    async with scripted(window, saying()) as asked:
        for command in range(1, 8):
            said = await good(window, "POST", "/pcs-control", {"device_uid": "D1", "command": command})
            assert (said["message"], said["data"]) == ("PCS控制下发成功", "")
        for command in range(1, 4):
            await good(window, "POST", "/bms-control", {"device_uid": "D1", "command": command})
    assert [data for name, data in asked if name == "pcs_control/set"] == [{name: 1} for name in PCS]
    assert [data for name, data in asked if name == "bms_control/set"] == [
        {"battery_system_reset": 1}, {"high_voltage_command": 1}, {"high_voltage_command": 0},
    ]  # fmt: skip
    assert (await bad(window, "POST", "/pcs-control", {"device_uid": "D1", "command": 8}))[0] == 100_001
    assert (await bad(window, "POST", "/bms-control", {"device_uid": "D1", "command": 0}))[0] == 100_001


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_states_of_pcs_and_bms_as_reported(window: Window, version: str) -> None:
    assert (await bad(window, "GET", "/pcs-control?device_uid=D1"))[0] == 100_007
    assert (await bad(window, "GET", "/bms-control?device_uid=D1"))[0] == 100_007
    async with online(window, simulated(version)):
        shown = (await good(window, "GET", "/pcs-control?device_uid=D1"))["data"]
        states = ("status_stop", "status_standby", "status_running")
        assert sum(shown[name] for name in states) == 1
        assert (shown["fault_status"], shown["alarm_status"], shown["device_uid"]) == (0, 0, "D1")
        synced = (await good(window, "PUT", "/pcs-control/sync?device_uid=D1"))["data"]
        assert synced == {**shown, **{name: 1 - shown[name] for name in states}}
        battery = (await good(window, "GET", "/bms-control?device_uid=D1"))["data"]
        assert battery["operating_status"] in (1, 2, 3, 4)
        assert (await good(window, "PUT", "/bms-control/sync?device_uid=D1"))["data"] == battery


async def test_an_emus_states(window: Window) -> None:
    async with online(window, simulated("emu")):
        shown = (await good(window, "GET", "/pcs-control?device_uid=D1"))["data"]
        assert set(shown.values()) <= {0, 1, "D1"}
        assert (await good(window, "GET", "/bms-control?device_uid=D1"))["data"]["operating_status"] in (1, 2, 3, 4)
        assert (await bad(window, "PUT", "/pcs-control/sync?device_uid=D1"))[0] == 140_001


STREAMING, OVERDEMAND = "/level2-protection-strategy/streaming", "/level2-protection-strategy/overdemand"
LIMIT = {"elec_meter_ids": [10, 11], "status": 1, "baseline": 700}


async def test_limits_of_a_site(window: Window) -> None:
    async with online(window, device := simulated()):
        shelf = device.shelves["streaming_overdemand"].items
        (installed,) = shelf.values()
        (row,) = await rows(window, f"{OVERDEMAND}?device_uid=D1")
        assert row["elec_meter_ids"] == [installed["ele_meter_id"]]
        assert (row["status"], row["baseline"]) == (1, max(installed["over_demand_condition"]))
        assert await rows(window, STREAMING) == []
        await good(window, "POST", STREAMING, {"device_uid": "D1", **LIMIT})
        *_, row = await rows(window, STREAMING)
        assert row == {"id": row["id"], "device_uid": "D1", **LIMIT}
        made = [fields for fields in shelf.values() if fields["ele_meter_id"] in (10, 11)]
        assert [(one["streaming_status"], one["over_demand_status"]) for one in made] == [(1, 2)] * 2
        url = f"?device_uid=D1&strategy_id={row['id']}"
        await good(window, "PATCH", STREAMING + url, {"elec_meter_ids": [11, 12], "status": 0, "baseline": 800})
        assert sorted(fields["ele_meter_id"] for fields in shelf.values())[-2:] == [11, 12]
        assert {fields["streaming_status"] for fields in shelf.values() if fields["ele_meter_id"] > 10} == {2}
        *_, row = await rows(window, STREAMING)
        assert (row["elec_meter_ids"], row["status"], row["baseline"]) == ([11, 12], 0, 800)
        assert (await bad(window, "PATCH", OVERDEMAND + url, LIMIT))[0] == 100_007
        await good(window, "POST", OVERDEMAND, {"device_uid": "D1", **LIMIT, "elec_meter_ids": [10]})
        *_, row = await rows(window, OVERDEMAND)
        url = f"?device_uid=D1&strategy_id={row['id']}"
        await good(window, "PATCH", OVERDEMAND + url, {**LIMIT, "elec_meter_ids": [10], "baseline": 900})
        (limit,) = [fields for fields in shelf.values() if fields["ele_meter_id"] == 10]
        assert (limit["over_demand_status"], limit["over_demand_condition"]) == (1, [900] * 12)
        assert (await bad(window, "POST", STREAMING, {"device_uid": "D1", **LIMIT, "elec_meter_ids": []}))[0] == 100_001


async def test_one_side_of_a_limit_leaves_the_other(window: Window) -> None:
    async with online(window, device := simulated()):
        shelf = device.shelves["streaming_overdemand"].items
        (key,) = shelf
        before = dict(shelf[key])
        (row,) = await rows(window, OVERDEMAND)
        body = {"elec_meter_ids": row["elec_meter_ids"], "status": 1 - row["status"], "baseline": 123}
        await good(window, "PATCH", f"{OVERDEMAND}?device_uid=D1&strategy_id={row['id']}", body)
        assert (shelf[key]["over_demand_condition"], shelf[key]["over_demand_status"]) == ([123] * 12, 2)
        for name in ("streaming_status", "streaming_condition", "created_at"):
            assert shelf[key].get(name) == before.get(name)


async def test_a_limit_that_fails_half_way_is_taken_back(window: Window) -> None:
    def script(name: str, data: Any) -> tuple[int, Any]:
        if name == "streaming_overdemand/create":
            return (200, {"id": 5}) if data["ele_meter_id"] == 10 else (400, None)
        return 200, None

    async with scripted(window, script) as asked:
        assert (await bad(window, "POST", STREAMING, {"device_uid": "D1", **LIMIT}))[0] == 140_001
    assert asked[-1] == ("streaming_overdemand/delete", {"id": 5})
    assert await rows(window, STREAMING) == []


async def test_a_limit_that_the_device_gave_no_id_for_is_found_by_its_meter(window: Window) -> None:
    listing: dict[str, Any] = {
        "id": 8, "ele_meter_id": 10, "over_demand_status": 2, "over_demand_condition": [0] * 12, "streaming_status": 1,
        "dynamic_demand_percentage": 100, "streaming_condition": 701,
    }  # fmt: skip
    told: list[Any] = []

    def script(name: str, _data: Any) -> tuple[int, Any]:
        return 200, (told or None) if name == "streaming_overdemand/sync" else None

    async with scripted(window, script) as asked:
        await good(window, "POST", STREAMING, {"device_uid": "D1", **LIMIT, "elec_meter_ids": [10]})
        (row,) = await rows(window, STREAMING)
        url = f"{STREAMING}?device_uid=D1&strategy_id={row['id']}"
        assert (await bad(window, "PATCH", url, {**LIMIT, "elec_meter_ids": [10]}))[0] == 140_005
        told.append(listing)
        await good(window, "POST", "/protection-strategy", {"device_uid": "D1", **PROTECTION})
        assert await rows(window, STREAMING) == [{**row, "baseline": 701}]
        await good(window, "PATCH", url, {**LIMIT, "elec_meter_ids": [10]})
    assert asked[-1][1]["id"] == 8


async def test_a_limit_that_was_refused_shows_what_was(window: Window) -> None:
    def script(name: str, _data: Any) -> tuple[int, Any]:
        return {"streaming_overdemand/create": (200, {"id": 5}), "streaming_overdemand/update": (400, None)}.get(
            name, (200, None)
        )

    async with scripted(window, script):
        await good(window, "POST", STREAMING, {"device_uid": "D1", **LIMIT, "elec_meter_ids": [10]})
        (row,) = await rows(window, STREAMING)
        url = f"{STREAMING}?device_uid=D1&strategy_id={row['id']}"
        assert (await bad(window, "PATCH", url, {**LIMIT, "elec_meter_ids": [10], "baseline": 1}))[0] == 140_001
        assert await rows(window, STREAMING) == [row]


async def test_what_stands_below_a_device(window: Window) -> None:
    url = "/sub-device?device_uid=D1&subdevice_type="
    assert (await bad(window, "GET", url + "1"))[0] == 140_002
    async with online(window, device := simulated()):
        cabinets = await rows(window, url + "1")
        assert [row["id"] for row in cabinets] == [sub.id for sub in device.identity.cabinets]
        assert set(cabinets[0]) == {"id", "name", "device_type", "running_status"}
        meters = await rows(window, url + "2")
        assert set(meters[0]) == {"id", "uid", "device_type", "factor", "running_status"}
    assert await rows(window, url + "1") == cabinets
    assert await rows(window, url + "2&page-size=1&page=2") == meters[1:2]
    assert (await bad(window, "GET", url + "3"))[0] == 100_001


async def test_faults_are_told_once_each_as_they_are_now(window: Window) -> None:
    alarm = {
        "id": 3, "content": "hot", "device_type": "PCS", "alarm_type": "ems", "level": 2, "handle_status": 1,
        "occur_time": "2024-06-06T08:59:20.21309056Z",
    }  # fmt: skip
    async with await window.connect("D1") as line:
        for data in (alarm, [{**alarm, "id": 4, "occur_time": "soon"}], {**alarm, "handle_status": 2}):
            body = {**messages.report_of("D1", {}), "type": "alarm_details", "data": data, "sub_device_id": 2}
            await line.stored(messages.topic("D1", "alarm/details/post"), json.dumps(body).encode())
    newest, older = await rows(window, "/sub-device-fault")
    assert older == {
        "id": 3, "device_uid": "D1", "status": 2, "sub_device_id": 2, "timestamp": 1717664360213, "level": 2,
        "fault_device_type": "PCS",
    }  # fmt: skip
    assert (newest["id"], newest["status"]) == (4, 1)
    assert await rows(window, "/sub-device-fault?device_uid=D2") == []
    assert (await good(window, "GET", "/sub-device-fault?page-size=1"))["data"]["total"] == 2
