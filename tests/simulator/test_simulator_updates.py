"""Updates over the air: two answers of an EMS with time between them, the stages of an EMU, and no power meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted_broker import Address
from test_simulator_answers import DATA, START, cabinets_of, make, say, told
from test_simulator_scenario import HEAD, ems_sim

from bridge.testing import Bridge, Clock, Fleet
from simulator.device import Device
from simulator.faults import parse_faults
from simulator.fleet import Fleet as Simulated
from simulator.identity import device_specs
from simulator.updates import EMU_S, UNFINISHED, UPGRADE_S, UPGRADED

IMAGE = DATA["ota/upgrade"]


def second(device: Device, now: float) -> list[dict[str, Any]]:
    return [msgspec.json.decode(payload) for _, payload in device.finished(now)]


def test_an_update_is_prepared_then_done() -> None:
    device = make()
    (first,) = say(device, "ota/upgrade", IMAGE, START)
    assert first["data"]["status"] == 2
    assert device.done_at == START + UPGRADE_S
    assert second(device, START + UPGRADE_S - 0.001) == []
    (last,) = second(device, START + UPGRADE_S)
    assert (last["data"]["status"], device.done_at) == (4, None)
    assert first["reply"] == last["reply"]
    assert first["mid"] != last["mid"]
    assert last["timestamp"] - first["timestamp"] == UPGRADE_S * 1000
    assert first["data"]["version"] == "v1.0.0"
    assert last["data"]["version"] == last["data"]["final_version"] == first["data"]["target_version"] == "v1.1.0"
    assert second(device, START + 99) == []
    say(device, "ota/upgrade", IMAGE, START + 100)
    assert second(device, START + 200)[0]["data"]["final_version"] == "v1.2.0"


def test_the_same_command_again_gets_what_was_said() -> None:
    device, mid = make(), "8a7c0b0e-7d0e-4a51-9a65-0d9f8b1b3c11"
    first = say(device, "ota/upgrade", IMAGE, START, mid=mid)
    assert say(device, "ota/upgrade", IMAGE, START + 1, mid=mid) == first
    last = second(device, START + UPGRADE_S)
    assert say(device, "ota/upgrade", IMAGE, START + 60, mid=mid) == first + last
    assert device.done_at is None


def test_another_update_meanwhile_is_refused() -> None:
    device = make()
    say(device, "ota/upgrade", IMAGE, START)
    (refused,) = say(device, "ota/upgrade", IMAGE, START + 1)
    assert (refused["code"], refused["data"]["status"]) == (200, 1)
    assert second(device, START + UPGRADE_S)[0]["data"]["status"] == 4


def test_a_power_cut_rolls_an_update_back() -> None:
    device = make()
    device.due(START)
    (first,) = say(device, "ota/upgrade", IMAGE, START)
    device.restart(START + 5)
    assert device.finished(START + 60) == []
    (last,) = [
        msgspec.json.decode(body) for topic, body in device.due(START + 61) if topic.endswith("ota/upgrade/result")
    ]
    assert (last["reply"], last["data"]["status"], last["data"]["final_version"]) == (first["reply"], 5, "v1.0.0")
    device.restart(START + 70)
    assert not [topic for topic, _ in device.due(START + 71) if topic.endswith("/result")]
    (again,) = say(device, "ota/upgrade", IMAGE, START + 80)
    assert again["data"]["target_version"] == "v1.1.0"


def test_an_emu_is_updated_by_stages_through_its_ems() -> None:
    device = cabinets_of(2)

    def seen(after_s: float) -> tuple[Any, ...]:
        (answer,) = say(device, "ota/emu_upgrade_result", now=START + after_s, sub_device_id=2)
        shown = answer["data"]
        return shown["emu_upgrade_status"], shown["emu_upgrade_content"], shown["emu_product_sn"]

    def order(after_s: float) -> Any:
        return say(device, "ota/emu_upgrade", DATA["ota/emu_upgrade"], START + after_s, sub_device_id=2)[0]["data"]

    assert [emu["emu_product_sn"] for emu in told(device, "ota/emu_version")] == ["emu-v1.0.0"] * 2
    assert seen(-1) == (None, None, "emu-v1.0.0")
    assert order(0) == {"device_id": 2, "download_status": 1}
    assert order(1) == {"device_id": 2, "download_status": 6}
    stages = [seen(EMU_S * share) for share in (0.0, 0.15, 0.3, 0.45, 0.9)]
    assert [stage for stage, _, _ in stages] == [1, 2, 3, 3, 4]
    assert [sent for _, sent, _ in stages] == [0, 0, 20, 50, 100]
    assert seen(EMU_S) == (5, 100, "emu-v1.1.0")
    (done,) = say(device, "ota/emu_upgrade_result", now=START + EMU_S, sub_device_id=2)
    assert done["data"]["emu_upgrade_success"] == UPGRADED
    other, updated = say(device, "ota/emu_version", now=START + EMU_S)[0]["data"]
    assert (other["emu_product_sn"], other["emu_upgrade_status"]) == ("emu-v1.0.0", None)
    assert updated == done["data"]
    assert order(EMU_S + 1)["download_status"] == 1


def test_a_power_cut_leaves_an_emu_as_it_was() -> None:
    device = cabinets_of(2)
    say(device, "ota/emu_upgrade", DATA["ota/emu_upgrade"], START, sub_device_id=1)
    say(device, "ota/emu_upgrade", DATA["ota/emu_upgrade"], START + 10, sub_device_id=2)
    device.restart(START + EMU_S)
    first, second_one = say(device, "ota/emu_version", now=START + 99)[0]["data"]
    assert (first["emu_product_sn"], first["emu_upgrade_success"]) == ("emu-v1.1.0", UPGRADED)
    assert (second_one["emu_product_sn"], second_one["emu_upgrade_success"]) == ("emu-v1.0.0", UNFINISHED)


def test_the_bridge_sees_both_steps(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    device = ems_fleet("D1", interval_s=3600).device("D1")
    asked = ems_bridge.send("D1", "ota/upgrade", IMAGE, wait_s=0)
    ems_clock.advance(UPGRADE_S - 1)
    assert ems_bridge.state(asked.mid) == "delivered"
    assert len(ems_bridge.messages("D1", "ota/upgrade/result")) == 1
    other = ems_bridge.send("D1", "safety/set", {"bms_2_kw": 10}, wait_s=0)
    ems_clock.advance(0.5)
    assert device.got("safety/set") == []
    ems_clock.advance(1)
    ems_bridge.until(lambda: ems_bridge.state(asked.mid) == "succeeded")
    ems_bridge.until(lambda: ems_bridge.state(other.mid) == "succeeded")

    asked = ems_bridge.send("D1", "ota/upgrade", IMAGE, wait_s=0)
    ems_clock.advance(1)
    device.faulty("power_cut=2")
    ems_clock.advance(2)
    ems_bridge.until(lambda: device.is_online)
    ems_clock.advance(1)
    ems_bridge.until(lambda: ems_bridge.state(asked.mid) == "rejected")
    answers = ems_bridge.messages("D1", "ota/upgrade/result")
    assert [said.data["status"] for said in answers if said.body["reply"] == asked.mid] == [2, 5]


@pytest.mark.ems_bridge({"broker.allow_anonymous": True})
def test_updates_in_the_dialect_of_the_documents_are_understood(ems_bridge: Bridge, tmp_path: Path) -> None:
    """Neither answer says what it answers."""
    path = tmp_path / "updates.toml"
    path.write_text(
        f"""{HEAD}time_scale = 10.0
dialect = "vendor-docs"
expect = ["commands.succeeded == 20", "commands.sent == 20"]
[[phase]]
at = 0.5
duration = 1.0
commands = [{{ command = "ota/emu_upgrade", data = {json.dumps(DATA["ota/emu_upgrade"]).replace('":', '" =')} }}]
[[phase]]
commands = [{{ command = "ota/upgrade", data = {json.dumps(IMAGE).replace('":', '" =')} }}]
"""
    )
    done = ems_sim(ems_bridge, path)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize(("faults", "replies"), [("", True), ("no_reply", False), ("slow=0.3", True)])
async def test_both_answers_come_over_a_connection(mosquitto: Address, faults: str, replies: bool) -> None:
    said: list[dict[str, Any]] = []

    def overhear(_uid: str, ours: bool, topic: str, payload: bytes) -> None:
        if ours and topic.endswith("ota/upgrade/result"):
            said.append(msgspec.json.decode(payload))

    async with Simulated(
        device_specs(1), mosquitto, faults=parse_faults(faults), time_scale=100, interval_s=60_000, overhear=overhear
    ) as fleet:
        await fleet.connected(10)
        member = fleet.device("EMS00001")
        body = {"mid": "8a7c0b0e-7d0e-4a51-9a65-0d9f8b1b3c11", "type": "ota_upgrade", "device_uid": "EMS00001",
                "timestamp": 1, "data": IMAGE}  # fmt: skip
        member.message(f"{member.device.prefix}/ota/upgrade/command", msgspec.json.encode(body))
        await fleet.until(lambda: len(said) == 2 and not member.link.pending)
    assert [each["data"]["status"] for each in said] == [2, 4]
    assert {"reply" in each for each in said} == {replies}
