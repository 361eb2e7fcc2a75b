"""The vendor's platform API: the same request as other clients write it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from http_vendor_rig import BASE, SCHEDULE, SLOT, bad, good, online, scripted, simulated

if TYPE_CHECKING:
    from conftest import Window

INDEXED = "/charge-strategy?device_uid=D1&index=0"


async def test_a_null_is_as_if_it_were_absent_and_a_whole_number_may_have_a_point(window: Window) -> None:
    """What Java's serialisers make of optional fields and doubles."""
    await good(window, "PATCH", "/device", {"uid": "D1", "name": "hall", "code": 1, "location": "here"})
    await good(window, "PATCH", "/device", {"uid": "D1", "name": "hall", "code": 7.0, "location": None})
    (row,) = [row for row in (await good(window, "GET", "/device"))["data"]["list"] if row["uid"] == "D1"]
    assert (row["code"], row["location"]) == (7, "here")
    for code, path in ((None, "$.code: code is missing"), (7.5, "$.code: Expected int"), ("7", "$.code: Expected int")):
        number, message = await bad(window, "PATCH", "/device", {"uid": "D1", "name": "hall", "code": code})
        assert (number, path in message) == (100_001, True), message
    async with scripted(window, lambda _name, _data: (200, {"policy_id": 7})) as asked:
        slot = {**SLOT, "run_power": 30.0}
        await good(window, "POST", "/charge-strategy", {"device_uid": "D1", **SCHEDULE, "settings": [slot]})
    (_, sent) = asked[-1]
    assert json.dumps(sent["settings"][0]["run_power"]) == "30"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"x"',
        b"{",
        b"uid=D1&name=x&code=1",
        b"\xff\xfe{}",
        b"[" * 50_000,
        b'{"uid":' * 50_000,
    ],
)
async def test_what_is_no_object_is_said_so(window: Window, body: bytes) -> None:
    for method, path in (("PATCH", "/device"), ("POST", "/pcs-control"), ("PUT", "/common-sync?device_uid=D1")):
        assert (await bad(window, method, path, body))[0] == 100_001


async def test_the_content_type_does_not_matter(window: Window) -> None:
    body = {"uid": "D1", "name": "hall", "code": 1}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8", "odd"):
        await good(window, "PATCH", "/device", body, headers={"Content-Type": kind})


async def test_parameters_may_stand_in_the_body_but_may_not_differ(window: Window) -> None:
    async with online(window, simulated()):
        await good(window, "POST", "/charge-strategy", {"device_uid": "D1", **SCHEDULE})
        await good(window, "PUT", "/charge-strategy/sync", {"device_uid": "D1"})
        await good(window, "PUT", "/common-sync", {"device_uid": "D1", "fields": ["soc"]})
        await good(window, "PATCH", "/charge-strategy", {**SCHEDULE, "device_uid": "D1", "index": 0})
        await good(window, "PATCH", INDEXED, {**SCHEDULE, "device_uid": "D1", "index": 0})
        wrongs: list[tuple[str, str, Any]] = [
            ("PATCH", INDEXED, {**SCHEDULE, "device_uid": "D2"}),
            ("PATCH", INDEXED, {**SCHEDULE, "index": 1}),
            ("PATCH", "/charge-strategy", {**SCHEDULE, "device_uid": "D1"}),
            ("PATCH", "/charge-strategy", {**SCHEDULE, "device_uid": "D1", "index": "x"}),
            ("PATCH", "/charge-strategy", {**SCHEDULE, "device_uid": ["D1"], "index": 0}),
            ("PUT", "/common-sync?device_uid=D1", {"device_uid": "D2", "fields": ["soc"]}),
            ("PUT", "/pcs-control/sync", {"device_uid": 1}),
            ("PUT", "/pcs-control/sync", b"{"),
            ("PUT", "/pcs-control/sync", []),
        ]
        for method, path, body in wrongs:
            code, message = await bad(window, method, path, body)
            assert code == 100_001, (path, body, message)
        (row,) = (await good(window, "GET", "/charge-strategy"))["data"]["list"]
        by_id = f"/charge-strategy/{row['charge_id']}"
        await good(window, "PATCH", by_id, row)
        assert (await bad(window, "PATCH", by_id, {**row, "charge_id": 99}))[0] == 100_001
        assert (await bad(window, "PATCH", by_id, {**row, "device_uid": "D2"}))[0] == 100_001


async def test_a_limit_of_another_id_is_not_changed(window: Window) -> None:
    async with online(window, simulated()):
        path, limit = "/level2-protection-strategy/streaming", {"elec_meter_ids": [10], "status": 1, "baseline": 7}
        await good(window, "POST", path, {"device_uid": "D1", **limit})
        listed = (await good(window, "GET", path))["data"]["list"]
        key = listed[-1]["id"]
        await good(window, "PATCH", path, {**limit, "device_uid": "D1", "strategy_id": key})
        await good(window, "PATCH", f"{path}?device_uid=D1&strategy_id={key}", {**limit, "id": key})
        assert (await bad(window, "PATCH", f"{path}?device_uid=D1&strategy_id={key}", {**limit, "id": 0}))[0] == 100_001


async def test_a_sites_schedule_without_cabinets_is_for_all(window: Window) -> None:
    async with online(window, device := simulated()):
        await good(window, "POST", "/level2-charge-strategy", {"device_uid": "D1", **SCHEDULE, "remark": "all"})
        (kept,) = device.shelves["charge"].items.values()
        assert kept["apply_to_all"] is True
        (row,) = (await good(window, "PUT", "/level2-charge-strategy/sync?device_uid=D1"))["data"]["list"]
        assert row["remark"] == "all"
    async with online(window, simulated("emu")):
        code, _ = await bad(window, "POST", "/level2-charge-strategy", {"device_uid": "D1", **SCHEDULE})
        assert code == 140_001, "an EMU has no cabinets"


async def test_live_values_of_an_emu_which_cannot_be_asked(window: Window) -> None:
    path = f"{BASE}/common-sync?device_uid=D1"
    async with online(window, simulated("emu")):
        status, said, _ = await window.call("PUT", path, {"fields": ["soc", "pv_high_pressure_power"]})
        assert (status, said["code"], set(said["data"])) == (200, 0, {"soc"}), said
        assert (await bad(window, "PUT", "/common-sync?device_uid=D1", {"fields": ["vehicle_soc"]}))[0] == 100_007
    assert (await bad(window, "PUT", "/common-sync?device_uid=D1", {"fields": ["soc"]}))[0] == 140_002
