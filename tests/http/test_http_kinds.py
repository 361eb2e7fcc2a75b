"""Every command of the table by HTTP, over MQTT to a simulated device, and its outcome back; what an asker is told is wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness import messages

from schemas import kinds
from simulator.device import Device
from simulator.identity import DeviceSpec, Identities

if TYPE_CHECKING:
    from .conftest import Window

DATA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "commands.json").read_text("utf-8"))
COMMANDS = [kind for kind in kinds.KINDS if kind.kind == "command"]
EMU_ONLY = {"charge/setting"}
CHANGES = ["create", "update", "by_node", "delete", "update_all"]


def ordered() -> list[str]:
    """`feature/action` of every command; a strategy is created before it is changed."""
    names = [f"{kind.feature}/{kind.action}" for kind in COMMANDS if f"{kind.feature}/{kind.action}" not in EMU_ONLY]
    return sorted(names, key=lambda name: CHANGES.index(name.split("/")[1]) if name.split("/")[1] in CHANGES else -1)


async def outcome(window: Window, simulated: Device, line: Any, name: str) -> Any:
    """Ask by HTTP; what the device does with it goes back by MQTT."""
    feature, action = name.split("/")
    wanted = {"feature": feature, "action": action, "data": DATA.get(name), "wait_s": 15}
    asking = asyncio.create_task(window.call("POST", f"/api/v1/devices/{simulated.spec.uid}/commands", wanted))
    got = await line.get()
    for topic, payload in simulated.handle(got.topic, got.payload, messages.now_ms() / 1000):
        await line.stored(topic, payload)
    if simulated.done_at is not None:
        for topic, payload in simulated.finished(simulated.done_at):
            await line.stored(topic, payload)
    status, body, _ = await asking
    assert status == 200, (name, body)
    return body


def simulated(uid: str, version: Any) -> Device:
    spec = DeviceSpec(uid, "wudun", "PK001", version)
    identity, site = Identities().of(spec)
    return Device(spec, identity, site, messages.now_ms() / 1000, 60.0)


async def test_every_command_has_its_outcome_from_a_simulated_device(window: Window) -> None:
    ems = simulated("D1", "v2")
    async with await window.connect("D1") as line:
        for topic, payload in ems.due(ems.next_due):
            await line.stored(topic, payload)
        for name in ordered():
            body = await outcome(window, ems, line, name)
            assert (body["state"], body["code"], body["answers"]) == ("succeeded", 200, 1), (name, body)
            answer = kinds.result_of(next(kind for kind in COMMANDS if f"{kind.feature}/{kind.action}" == name))
            assert answer is not None
            assert (body["answer"] is not None) == (answer.data is not None), name
            if name == "ota/upgrade":
                assert [step["state"] for step in body["history"]].count("delivered") >= 1
                assert "prepared" in {step["msg"] for step in body["history"]}
        shown = await window.get("/api/v1/devices/D1")
    assert set(shown["strategies"]) == {"charge", "charge_photovoltaic", "charge_pail", "streaming_overdemand"}
    assert window.house.counts.value("ems_bridge_results_unsolicited") == 0
    assert window.house.counts.value("ems_bridge_results_repeated") == 0


async def test_an_emu_takes_its_own_command_and_refuses_the_others(window: Window) -> None:
    emu = simulated("D1", "emu")
    async with await window.connect("D1") as line:
        assert (await outcome(window, emu, line, "charge/setting"))["state"] == "succeeded"
        refused = await outcome(window, emu, line, "charge/create")
    assert (refused["state"], refused["code"]) == ("rejected", 400)
    assert refused["msg"] == "unknown command charge/create"


BAD = [
    ("charge/create", {"mode": 1}, "$.data.year"),
    ("charge_pail/update_all", [{"mode": 2}], "$.data[0].charge_type"),
    ("pcs_control/set", {"pcs_device_stop": 2}, "$.data.pcs_device_stop"),
    ("condition_control/set", {"target_cooling_point": -1}, "$.data.target_cooling_point"),
    ("ota/upgrade", {"source": "ems_II", "download_url": "http://x"}, "$.data.md5_code"),
    ("safety/sync", {"bms_3": 1}, "$.data.bms_3"),
]


@pytest.mark.parametrize(("name", "data", "path"), BAD)
async def test_a_bad_body_is_told_with_its_path(window: Window, name: str, data: Any, path: str) -> None:
    feature, action = name.split("/")
    if path == "$.data.year":
        data = {key: value for key, value in DATA[name].items() if key != "year"} | data
    wanted = {"feature": feature, "action": action, "data": data}
    status, body, _ = await window.call("POST", "/api/v1/devices/D1/commands", wanted)
    assert (status, body["error"]["path"]) == (422, path)


async def test_the_asyncapi_document_shows_every_command(window: Window) -> None:
    document = await window.get("/api/v1/asyncapi.json")
    for kind in COMMANDS:
        channel = document["channels"][kind.suffix.replace("/", "_")]
        assert channel["address"].endswith(f"/{{device}}/{kind.suffix}")
        assert document["operations"][kind.suffix.replace("/", "_")]["action"] == "send"
        assert "reply" in document["operations"][kind.suffix.replace("/", "_")]
