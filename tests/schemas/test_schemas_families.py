"""Strategies, controls, protection, nodes and updates: what a sender is told, and what a device may say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest_schemas import COMMAND_DATA, DATA, message

from schemas.errors import Invalid
from schemas.kind import Verdict
from schemas.kinds import KINDS, Kind, command, find, resolve, result_of, roundtrip, unknown_keys

WITH_DATA = [kind for kind in KINDS if kind.kind == "command" and kind.data is not None]
SLOT = COMMAND_DATA["charge/create"]["settings"][0]
BY_WEEKDAY = {key: value for key, value in COMMAND_DATA["charge/create"].items() if key != "ems_device_ids"}
BY_DATE = {key: value for key, value in BY_WEEKDAY.items() if key not in {"year", "week_day"}} | {"mode": 1}
ALL = {"apply_to_all": True}


def kind_of(name: str) -> Kind:
    kind = command(*name.split("/"))
    assert kind is not None
    return kind


def refusal(name: str, data: Any) -> Invalid:
    kind = kind_of(name)
    with pytest.raises(Invalid) as caught:
        kind.data_strict(data)
    with pytest.raises(Invalid) as again:
        kind.decode_strict(json.dumps(message(kind.type) | {"data": data}).encode())
    assert again.value.path == caught.value.path
    assert caught.value.reason == "invalid"
    return caught.value


def slots(**changes: Any) -> dict[str, Any]:
    return BY_WEEKDAY | ALL | {"settings": [SLOT, SLOT | changes]}


STRICT: list[tuple[str, Any, str, str]] = [
    ("charge/create", BY_DATE | ALL, "$.data.year", "required in mode 1"),
    ("charge/create", BY_DATE | ALL | {"year": 2024}, "$.data.dates", "required in mode 1"),
    ("charge/create", BY_DATE | ALL | {"mode": 2}, "$.data.week_day", "required in mode 2"),
    ("charge/create", BY_DATE | ALL | {"mode": 3}, "$.data.mode", "one of 1, 2"),
    ("charge/create", BY_WEEKDAY, "$.data.ems_device_ids", "all are missing"),
    ("charge/create", BY_WEEKDAY | {"ems_device_ids": []}, "$.data.ems_device_ids", "all are missing"),
    ("charge/create", BY_WEEKDAY | {"apply_to_all": False}, "$.data.ems_device_ids", "all are missing"),
    ("charge/create", BY_WEEKDAY | ALL | {"ems_device_ids": [1]}, "$.data.apply_to_all", "only one of"),
    ("charge/create", BY_WEEKDAY | {"ems_device_uids": ["a"], "ems_device_ids": [1]}, "$.data.ems_device_uids", "only one"),
    ("charge/create", BY_WEEKDAY | {"device_ids": [1]}, "$.data.device_ids", "unknown key"),
    ("charge/create", BY_WEEKDAY | ALL | {"month": [0, 12]}, "$.data.month[1]", "<= 11"),
    ("charge/create", BY_WEEKDAY | ALL | {"week_day": [7]}, "$.data.week_day[0]", "<= 6"),
    ("charge/create", BY_WEEKDAY | ALL | {"dates": [31]}, "$.data.dates[0]", "<= 30"),
    ("charge/create", BY_WEEKDAY | ALL | {"charge_type": 2}, "$.data.charge_type", "one of 1"),
    ("charge/create", BY_WEEKDAY | ALL | {"status": 2}, "$.data.status", "one of 0, 1"),
    ("charge/create", slots(start_hour=24), "$.data.settings[1].start_hour", "<= 23"),
    ("charge/create", slots(end_minute=60), "$.data.settings[1].end_minute", "<= 59"),
    ("charge/create", slots(run_power=-1), "$.data.settings[1].run_power", ">= 0"),
    ("charge/create", slots(run_power=65_536), "$.data.settings[1].run_power", "<= 65535"),
    ("charge/create", slots(cdc_enable_mode=21), "$.data.settings[1].cdc_enable_mode", "one of 0, 1, 2"),
    ("charge_photovoltaic/create", slots(cdc_enable_mode=1), "$.data.settings[1].cdc_enable_mode", "one of 0, 2"),
    ("charge_pail/create", slots(cdc_enable_mode=3), "$.data.settings[1].cdc_enable_mode", "one of 0, 1, 2"),
    ("charge/update", BY_WEEKDAY | ALL, "$.data.id", "required"),
    ("charge/update_all", [BY_WEEKDAY | ALL, BY_DATE | ALL], "$.data[1].year", "required in mode 1"),
    ("charge/by_node", BY_WEEKDAY, "$.data.node_id", "required"),
    ("charge/by_node", BY_WEEKDAY | ALL | {"node_id": 1, "ems_device_ids": [1]}, "$.data.apply_to_all", "only one"),
    ("charge_pail/create", BY_WEEKDAY, "$.data.device_ids", "one of device_ids, apply_to_all"),
    ("charge_pail/delete", {"id": -1}, "$.data.id", ">= 0"),
    ("charge/setting", {"charge_type": 1, "status": 1, "month": [], "settings": []}, "$.data.week_day", "required"),
    ("charge/setting", COMMAND_DATA["charge/setting"] | {"mode": 2}, "$.data.mode", "unknown key"),
    ("pcs_control/set", {"pcs_fault_reset": 2}, "$.data.pcs_fault_reset", "one of 0, 1"),
    ("pcs_control/set", {"pcs_fault_reset": None}, "$.data.pcs_fault_reset", "null"),
    ("bms_control/set", {"high_voltage": 1}, "$.data.high_voltage", "known are battery_system_reset"),
    ("condition_control/set", {"target_heating_point": -0.5}, "$.data.target_heating_point", ">= 0.0"),
    ("ota/upgrade", {"source": "a", "download_url": "b"}, "$.data.md5_code", "required"),
    ("ota/upgrade", {"source": "a", "download_url": "", "md5_code": "c"}, "$.data.download_url", "length >= 1"),
    ("ota/emu_upgrade", COMMAND_DATA["ota/upgrade"], "$.data.source", "unknown key"),
    ("ota/emu_version", {"device_id": 1}, "$.data.device_id", "unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "path", "words"), STRICT)
def test_a_senders_data_is_judged_strictly_with_its_path(name: str, data: Any, path: str, words: str) -> None:
    told = refusal(name, data)
    assert told.path == path
    assert words in told.detail


@pytest.mark.parametrize("kind", WITH_DATA, ids=repr)
def test_an_unknown_key_and_no_data_are_refused_of_every_sender(kind: Kind) -> None:
    name = f"{kind.feature}/{kind.action}"
    data = COMMAND_DATA[name]
    several = isinstance(data, list)
    odd = [data[0] | {"x_odd": 1}] if several else data | {"x_odd": 1}
    assert refusal(name, odd).path == ("$.data[0].x_odd" if several else "$.data.x_odd")
    assert refusal(name, None).path == "$.data"
    assert refusal(name, {} if several else []).path == "$.data"
    for key in ("code", "reply", "msg", "trace_id"):
        body = message(kind.type, data) | {key: 200 if key == "code" else "ee2e8f09-b280-4e4d-bcb9-1529b703cfed"}
        assert kind.decode_strict(json.dumps(body).encode()).data is not None


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("charge_photovoltaic/create", "charge_photovoltaic_create"),
        ("charge_photovoltaic/delete", "charge_delete"),
        ("charge_pail/create", "pail_charge_list"),
    ],
)
def test_the_vendors_other_spellings_are_taken_both_ways(name: str, type_: str) -> None:
    kind = kind_of(name)
    asked = message(type_, COMMAND_DATA[name])
    assert kind.decode_strict(json.dumps(asked).encode()).type == type_
    answered, read = resolve(f"{name}/result", json.dumps(message(type_, code=200)).encode())
    assert (answered, read.type) == (result_of(kind), type_)
    with pytest.raises(Invalid) as caught:
        kind.decode_strict(json.dumps(message("charge_update", COMMAND_DATA[name])).encode())
    assert caught.value.reason == "unknown_type"


DEPTH = json.loads((DATA / "charge-depth__charge_percentage_details_post.json").read_text("utf-8"))["data"]
FOREIGN = "device_info/sync/result"


@pytest.mark.parametrize("suffix", [FOREIGN, "charge_percentage/sync/result"])
def test_the_charge_depth_is_told_by_its_type_wherever_it_comes(suffix: str) -> None:
    payload = json.dumps(message("charge_percentage_sync", DEPTH, code=200)).encode()
    kind, read = resolve(suffix, payload)
    assert kind is result_of(kind_of("charge_percentage/sync"))
    assert (kind.key, read.data.discharge_cell_power_4) == ("charge_percentage/sync/result", 70)
    assert (json.loads(roundtrip(kind, payload)), unknown_keys(kind, payload)) == (json.loads(payload), ())


def test_the_topics_own_type_is_still_its_own() -> None:
    sample = (DATA / "sub-device__device_info_sync_result.json").read_bytes()
    assert resolve(FOREIGN, sample)[0] is result_of(kind_of("device_info/sync"))
    assert find("charge_percentage/sync/result") == (result_of(kind_of("charge_percentage/sync")),)
    body = message("device_info_sync", DEPTH)
    with pytest.raises(Invalid) as caught:
        resolve(FOREIGN, json.dumps(body).encode())
    assert (caught.value.reason, caught.value.path) == ("invalid", "$.data.id")
    for broken, words in (({"type": "safety_sync"}, "'safety_sync'"), ({}, "required, but missing")):
        body = {key: value for key, value in body.items() if key != "type"} | broken
        with pytest.raises(Invalid) as caught:
            resolve(FOREIGN, json.dumps(body).encode())
        assert (caught.value.reason, caught.value.path) == ("unknown_type", "$.type")
        assert words in caught.value.detail
        assert "device_info_sync, charge_percentage_sync" in caught.value.detail


NODE = {"id": 3, "name": "n", "type": 2, "parent_id": 2, "path": "-0-2-", "running_status": 0, "children": None}
SCHEDULE = {"id": 1, "charge_type": 1, "status": 1, "month": [1], "mode": 2, "apply_to_all": False}
SCHEDULE |= {"settings": [SLOT | {"cdc_enable_mode": 21, "run_power": 0.5}]}

TOLERATED: list[tuple[str, str, Any]] = [
    ("charge/list/post", "charge_list", []),
    ("charge/list/post", "charge_list", SCHEDULE | {"ems_devices": None}),
    ("charge/sync/result", "charge_sync", [SCHEDULE | {"year": None, "dates": None, "week_day": [9]}]),
    ("charge/sync/result", "charge_sync", None),
    ("charge_photovoltaic/list/post", "photovoltaic_charge_list", [SCHEDULE | {"ems_devices": [], "devices": None}]),
    ("charge_pail/sync/result", "pail_charge_sync", [SCHEDULE | {"devices": []}]),
    ("charge/create/result", "charge_create", {}),
    ("charge/create/result", "charge_create", {"policy_id": None}),
    ("pcs_control/sync/result", "pcs_sync", {"pcs_device_stop": 7, "pcs_fault_reset": None}),
    ("condition_control/sync/result", "condition_sync", {}),
    ("power_node/sync/result", "power_node_sync", NODE),
    ("power_node/list/post", "power_node_list", [NODE | {"type": 9, "device": None, "children": [NODE]}]),
    ("ota/upgrade/result", "ota_upgrade", {}),
    ("ota/upgrade/result", "ota_upgrade", {"status": 17, "version": None}),
    ("ota/emu_version/result", "emu_version", []),
    ("ota/emu_upgrade_result/result", "emu_upgrade_result", {"device_id": 1, "status": 2, "emu_upgrade_content": 4.5}),
    ("grid_fm/receive/post", "grid_fm_receive", {"type": "other", "value": -1, "receive_time": 0}),
]


@pytest.mark.parametrize(("suffix", "type_", "data"), TOLERATED)
def test_a_device_may_say_it_so(suffix: str, type_: str, data: Any) -> None:
    body = message(type_) | {"data": data}
    kind, _ = resolve(suffix, payload := json.dumps(body).encode())
    assert json.loads(roundtrip(kind, payload)) == body


REFUSED: list[tuple[str, str, Any, str]] = [
    ("charge/list/post", "charge_list", [SCHEDULE, {"id": 1}], "$.data[1].charge_type"),
    ("safety/details/post", "safety_details", {"bms_3": 1}, "$.data.fire_control"),
    ("charge_percentage/details/post", "charge_percentage_details", DEPTH | {"charge_depth_on": "1"}, "$.data.charge_depth_on"),
    ("power_node/list/post", "power_node_list", [NODE | {"children": [NODE | {"id": None}]}], "$.data[0].children[0].id"),
    ("grid_fm/receive/post", "grid_fm_receive", {"type": "power", "value": "7", "receive_time": 1}, "$.data.value"),
    ("grid_fm/receive/post", "grid_fm_receive", {"type": "power", "receive_time": 1}, "$.data.value"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "type_", "data", "path"), REFUSED)
def test_what_no_device_may_say(suffix: str, type_: str, data: Any, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        resolve(suffix, json.dumps(message(type_, data)).encode())
    assert (caught.value.reason, caught.value.path) == ("invalid", path)


VERDICTS = [
    *[("ota/upgrade", {"status": n}, "progress" if n == 2 else "succeeded" if n == 4 else "rejected") for n in range(1, 7)],
    ("ota/upgrade", {"status": 7}, "progress"),
    ("ota/upgrade", {"status": None}, None),
    ("ota/upgrade", {}, None),
    ("ota/upgrade", None, None),
    *[("ota/emu_upgrade", {"device_id": 1, "download_status": n}, "succeeded" if n == 1 else "rejected") for n in range(1, 7)],
    ("ota/emu_upgrade", {"device_id": 1, "download_status": 7}, None),
    ("ota/emu_upgrade", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "outcome"), VERDICTS)
def test_what_an_answers_data_says_of_its_command(name: str, data: Any, outcome: str | None) -> None:
    kind = result_of(kind_of(name))
    assert kind is not None
    assert kind.verdict is not None
    said = kind.verdict(kind.decode(json.dumps(message(kind.type, data)).encode()).data)
    assert (None if said is None else said.outcome) == outcome
    assert said is None or (isinstance(said, Verdict) and said.text)


def test_only_results_have_verdicts_and_only_posts_are_events() -> None:
    assert {kind.suffix for kind in KINDS if kind.verdict} == {"ota/upgrade/result", "ota/emu_upgrade/result"}
    assert {kind.suffix: kind.event for kind in KINDS if kind.event} == {"alarm/details/post": "alarm"}
