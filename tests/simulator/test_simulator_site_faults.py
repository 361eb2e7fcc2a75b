"""Faults of a site by the plugin, a SPEC and a scenario file: alarms that come up and go away, seen at the bridge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_broker import Address
from test_simulator_scenario import HEAD, UIDS, ems_sim

from bridge.testing import Bridge, Clock, Fleet
from simulator.faults import HONEST, Behaviour, parse_faults
from simulator.fleet import Fleet as Simulated
from simulator.identity import device_specs
from simulator.protection import FAULTS

anonymous = pytest.mark.ems_bridge({"broker.allow_anonymous": True})


def raised(bridge: Bridge, uid: str, content: str) -> list[int]:
    """What alarms of this content said of themselves: 1 up, 2 gone."""
    said = bridge.messages(uid, "alarm/details/post", way="up")
    return [each.data["handle_status"] for each in said if each.data["content"] == content]


def newest(bridge: Bridge, uid: str) -> Any:
    found = {alarm["device"]: alarm["body"] for alarm in bridge.get("/api/v1/alarms")["alarms"]}
    return found[uid]["data"] if uid in found else None


def test_every_fault_of_a_site_has_its_switch() -> None:
    for name in FAULTS:
        (fault,) = parse_faults(f"{name}=1")
        assert fault.behaviour.site == (name,)
        assert fault.behaviour == HONEST.with_site([name])
    assert Behaviour(smoke=True, silent=True).with_site(["meter", "ground"]) == Behaviour(
        silent=True, meter=True, ground=True
    )
    with pytest.raises(ValueError, match="no fault fire; there are smoke"):
        HONEST.with_site(["fire"])


def test_an_alarm_comes_up_at_once_and_goes_away(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    device = ems_fleet("D1", interval_s=3600).device("D1").afflict("smoke")
    ems_bridge.until(lambda: raised(ems_bridge, "D1", "烟雾告警") == [1])
    assert newest(ems_bridge, "D1")["level"] == 3
    assert "smoke" in device.state()
    device.afflict("smoke", "ground")
    ems_bridge.until(lambda: raised(ems_bridge, "D1", "接地断开告警") == [1])
    device.afflict("ground")
    ems_bridge.until(lambda: raised(ems_bridge, "D1", "烟雾告警") == [1, 2])
    device.honest()
    ems_bridge.until(lambda: raised(ems_bridge, "D1", "接地断开告警") == [1, 2])
    shown = newest(ems_bridge, "D1")
    assert (shown["content"], shown["handle_status"]) == ("接地断开告警", 2)
    assert shown["handle_time"] >= shown["occur_time"]
    with pytest.raises(ValueError, match="no fault fire"):
        device.afflict("fire")


def test_a_lost_meter_is_missing_in_reports_and_stops_the_storage(
    ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock
) -> None:
    device = ems_fleet("D1", interval_s=60).device("D1")

    def meters() -> set[int]:
        ems_clock.advance(60)
        said = ems_bridge.messages("D1", "report/regular/post", way="up")
        entries = [entry for each in said[-8:] for entry in each.data if entry["type"] == "sub_elemeters"]
        return {meter["device_id"] for meter in entries[-1]["data"]}

    assert 9 in meters()
    device.faulty("meter")
    assert 9 not in meters()
    ems_clock.advance(360)
    assert ems_bridge.messages("D1", "report/regular/post", way="up")
    device.honest()
    assert 9 in meters()
    ems_bridge.until(lambda: raised(ems_bridge, "D1", "关口电表离线告警") == [1, 2])


async def test_an_alarm_waits_for_the_connection_and_for_power(mosquitto: Address) -> None:
    said: list[str] = []

    def overhear(_uid: str, ours: bool, topic: str, payload: bytes) -> None:
        if ours and topic.endswith("alarm/details/post"):
            said.append(json.loads(payload)["data"]["content"])

    faults = parse_faults("flooding")
    async with Simulated(device_specs(1), mosquitto, faults=faults, interval_s=0.2, overhear=overhear) as fleet:
        await fleet.until(lambda: said == ["水浸告警"])  # from the start on: with the first report
        member = fleet.device("EMS00001")
        member.offline()
        member.afflict("smoke")
        assert member.behaviour.names() == ["offline", "smoke"]
        await fleet.until(lambda: not member.is_online)
        member.behave(member.behaviour._replace(offline=False))
        await fleet.until(lambda: member.is_online and not member.link.pending)
        assert said == ["水浸告警", "烟雾告警", "水浸告警"]
        member.power_cut(0.1)
        member.afflict()
        await fleet.until(lambda: len(said) == 4)
        assert said[-1] == "烟雾告警"


@anonymous
def test_a_scenario_has_faults_of_sites(ems_bridge: Bridge, tmp_path: Path) -> None:
    path = tmp_path / "smoke.toml"
    path.write_text(
        f"""{HEAD}
expect = ["acked_share == 100%", "online == 10"]
[[phase]]
name = "smoke"
at = 0.5
duration = 1.0
faults = "smoke=2, weak_cell=EMS00001"
[[phase]]
name = "calm"
duration = 0.7
"""
    )
    done = ems_sim(ems_bridge, path)
    assert (done.returncode, done.stderr.splitlines()) == (0, ["ems-sim: phase smoke", "ems-sim: phase calm"])
    assert sorted(up for uid in UIDS for up in [raised(ems_bridge, uid, "烟雾告警")] if up) == [[1, 2], [1, 2]]
    assert raised(ems_bridge, "EMS00001", "电芯欠压告警") == [1, 2]
