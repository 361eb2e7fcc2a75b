"""What the reports of one device say fits together: powers in all and by phase, registers, demands, piles, transformers."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_simulator_answers import SLOT, START, say

from bridge.testing import Bridge, Fleet
from schemas import kinds
from simulator.device import Device
from simulator.identity import Identities, Version, device_specs
from simulator.piles import EFFICIENCY

DAY = 86_400.0
METERS = {9: "gateway", 10: "storage", 11: "pv", 12: "load", 13: "piles", 14: "building"}
PERIODS = ("sharp", "peak", "flat", "valley")
WATT = 0.001
ALWAYS = {"charge_type": 1, "status": 1, "mode": 2, "month": list(range(12)), "week_day": list(range(7)),
          "apply_to_all": True}  # fmt: skip


def make(version: Version, n: int) -> Device:
    spec = device_specs(n + 1, versions=(version,))[n]
    identity, site = Identities().of(spec)
    return Device(spec, identity, msgspec.structs.replace(site, fault_share=0.0), START, 60.0)


def look(device: Device, at: float) -> dict[str, dict[str, Any]]:
    """The meters and the pile of a report, by what they measure."""
    found: dict[str, dict[str, Any]] = {}
    device.next_due = at
    for topic, payload in device.due(at):
        if not topic.endswith("report/regular/post"):
            continue
        _, message = kinds.resolve("report/regular/post", payload)
        for entry in message.data if isinstance(message.data, list) else [message.data]:
            for body in entry.data if isinstance(entry.data, list) else [entry.data]:
                fields = {name: value for name, value in msgspec.to_builtins(body).items() if value is not None}
                number = fields.get("device_id", fields.get("id"))
                if number in METERS:
                    found[METERS[number]] = fields
                elif "connector_status" in fields:
                    found["pile"] = fields
    return found


@given(
    version=st.sampled_from(["v1", "v2"]),
    n=st.integers(0, 60),
    first=st.floats(60, 300 * DAY),
    gaps=st.lists(st.floats(1, 9_000), min_size=1, max_size=6),
    modes=st.sampled_from([None, 1, 2, 0]),
    pile_kw=st.sampled_from([None, 0, 7, 40]),
)
@settings(max_examples=100)
def test_what_one_device_reports_balances(
    version: Version, n: int, first: float, gaps: list[float], modes: int | None, pile_kw: int | None
) -> None:
    device = make(version, n)
    device.due(START)
    device.site = msgspec.structs.replace(device.site, at=START + first - 60)
    if modes is not None:
        slot = SLOT | {"start_hour": 0, "start_minute": 0, "end_hour": 23, "end_minute": 59}
        (answer,) = say(
            device, "charge/create", ALWAYS | {"settings": [slot | {"cdc_enable_mode": modes, "run_power": 45}]}
        )
        assert answer["code"] == 200
    if pile_kw is not None:
        slot = SLOT | {"start_hour": 6, "start_minute": 0, "end_hour": 0, "end_minute": 0}
        slot |= {"cdc_enable_mode": 1, "run_power": pile_kw}
        assert say(device, "charge_pail/create", ALWAYS | {"settings": [slot]})[0]["code"] == 200
    before: dict[str, dict[str, Any]] = {}
    for at in itertools.accumulate(gaps, initial=START + first):
        shown = look(device, at)
        assert set(shown) == set(METERS.values()) | ({"pile"} if version == "v2" else set())
        balanced(shown)
        for name, meter in shown.items():
            if name == "pile":
                pile(meter, shown["piles"])
            else:
                metered(meter, before.get(name), at)
        before = shown


def balanced(shown: dict[str, dict[str, Any]]) -> None:
    """gateway = load - pv + storage and load = building + piles, in all and by phase."""
    for field in ("total_active_power", *(f"active_power_phase_{phase}" for phase in "abc")):
        gateway, storage, pv, load, piles, building = (shown[name][field] for name in METERS.values())
        assert gateway == pytest.approx(load - pv + storage, abs=3.5 * WATT), field
        assert load == pytest.approx(building + piles, abs=2.5 * WATT), field
        assert piles >= 0.0 < building, field
    for field in ("total_forward_active_energy", *(f"forward_active_energy_{period}" for period in PERIODS)):
        load, piles, building = (shown[name][field] for name in ("load", "piles", "building"))
        assert load == pytest.approx(building + piles, abs=5 * WATT)
    flows = {
        name: meter["total_forward_active_energy"] - meter["total_reverse_active_energy"]
        for name, meter in shown.items()
        if name != "pile"
    }
    assert flows["gateway"] == pytest.approx(flows["load"] - flows["pv"] + flows["storage"], abs=20 * WATT)


def metered(meter: dict[str, Any], before: dict[str, Any] | None, at: float) -> None:
    """Phases add up, figures follow from each other, registers only grow, periods add up to the total."""
    for stem in ("active_power", "reactive_power"):
        assert sum(meter[f"{stem}_phase_{phase}"] for phase in "abc") == pytest.approx(meter[f"total_{stem}"], abs=1e-6)
    for phase in "abc":
        active, reactive = meter[f"active_power_phase_{phase}"], meter[f"reactive_power_phase_{phase}"]
        apparent = meter[f"apparent_power_phase_{phase}"]
        assert apparent == pytest.approx((active**2 + reactive**2) ** 0.5, abs=WATT)
        assert abs(meter[f"power_factor_phase_{phase}"]) <= 1.0
        assert meter[f"power_factor_phase_{phase}"] * apparent == pytest.approx(active, abs=0.01 + 0.001 * apparent)
        volts, amps = meter[f"voltage_phase_{phase}"], meter[f"current_phase_{phase}"]
        assert volts * amps / 1000.0 == pytest.approx(apparent, abs=0.005)
        assert 210 < volts < 250
    for way in ("forward", "reverse"):
        registers = [meter[f"{way}_active_energy_{period}"] for period in PERIODS]
        assert sum(registers) == pytest.approx(meter[f"total_{way}_active_energy"], abs=1e-6)
        if "forward_active_energy_1" in meter:
            assert registers == [meter[f"{way}_active_energy_{number}"] for number in range(1, 5)]
            ended = meter[f"occurred_time_{way}_active"]
            assert ended <= at
            assert ended % 900 == 0
            assert (ended > 0) == (meter[f"max_demand_{way}_active_power"] > 0)
    if before is not None:
        for name, value in before.items():
            if "_active_energy" in name:
                assert meter[name] >= value, name


def pile(shown: dict[str, Any], meter: dict[str, Any]) -> None:
    """The pile and its meter say the same; what comes out goes into the vehicle."""
    assert shown["input_power"] == shown["total_active"] == meter["total_active_power"]
    assert shown["total_electric_energy"] == meter["total_forward_active_energy"]
    assert meter["total_reverse_active_energy"] == 0.0
    assert shown["output_power"] == pytest.approx(EFFICIENCY * shown["input_power"], abs=WATT)
    assert shown["output_voltage"] * shown["output_current"] / 1000 == pytest.approx(shown["output_power"], abs=0.01)
    assert shown["current_electric_energy"] <= shown["total_electric_energy"] + WATT
    assert shown["input_power"] <= shown["vehicle_demand"] + WATT
    if shown["connector_status"]:
        assert 0 < shown["vehicle_soc"] <= 100
        assert shown["charging_status"] in (1, 4, 5)
        assert (shown["charging_status"] == 4) == (shown["input_power"] == 0)
    else:
        assert (shown["charging_status"], shown["input_power"], shown["vehicle_demand"]) == (0, 0, 0)


def test_piles_are_seen_at_work() -> None:
    device = make("v2", 3)
    device.due(START)
    seen = [look(device, START + n * 600.0)["pile"] for n in range(1, 6 * 72)]
    assert {each["charging_status"] for each in seen} >= {0, 1}
    sessions = [each["current_electric_energy"] for each in seen if each["connector_status"]]
    assert max(sessions) > 5
    assert seen[-1]["total_electric_energy"] > max(sessions)
    assert say(
        device,
        "charge_pail/create",
        ALWAYS | {"settings": [SLOT | {"start_hour": 0, "run_power": 3, "cdc_enable_mode": 1}]},
    )
    limited = [look(device, START + 3 * DAY + n * 600.0)["pile"] for n in range(1, 144)]
    inside = [each["input_power"] for each in limited if each["charging_status"] == 5]
    assert inside
    assert max(inside) <= 3


@pytest.mark.parametrize("n", range(12))
def test_current_transformers_fit_what_they_carry(n: int) -> None:
    """Readings are primary: what 5 A make of them is never more than their ratio says."""
    device = make("v2", n)
    device.due(START)
    cards = {card["id"]: card for card in say(device, "elemeter_info/list")[0]["data"]}
    nodes = {node["device"]["name"]: node["device"] for node in say(device, "power_node/sync")[0]["data"]}
    assert set(cards) == set(METERS)
    most = dict.fromkeys(METERS, 0.0)
    for hour in range(1, 48):
        shown = look(device, START + hour * 3600.0)
        for number, name in METERS.items():
            most[number] = max(most[number], *(shown[name][f"current_phase_{phase}"] for phase in "abc"))
    for number, card in cards.items():
        assert card["pt"] == 1
        assert card["ct"] > 1
        assert nodes[card["name"]]["rate"] == card["ct"] * card["pt"]
        assert most[number] / card["ct"] <= 6.0, card["name"]
    assert most[9] / cards[9]["ct"] > 0.5


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_bridge_takes_readings_as_they_are(ems_bridge: Bridge, ems_fleet: Fleet, version: Version) -> None:
    """It tells ct and pt, and multiplies by neither."""
    ems_fleet("D1", version=version, interval_s=0.2)

    def newest(asset: str, point: str) -> float | None:
        found = ems_bridge.get("/api/v1/latest", device="D1", point=point)["readings"]
        return next((each["value"] for each in found if each["asset"] == f"D1.{asset}"), None)

    ems_bridge.until(lambda: newest("meter.12", "total_active_power") is not None)
    ems_fleet.device("D1").offline()
    told = [
        said
        for said in ems_bridge.messages("D1", "report/regular/post", way="up")
        if b'"device_id":12' in said.payload or b'"id":12' in said.payload
    ]
    entries = told[-1].data if isinstance(told[-1].data, list) else [told[-1].data]
    (load,) = [
        meter
        for entry in entries
        if entry["type"] == "sub_elemeters"
        for meter in entry["data"]
        if 12 in (meter.get("id"), meter.get("device_id"))
    ]
    ems_bridge.until(lambda: newest("meter.12", "total_active_power") == load["total_active_power"])
    assert newest("meter.12", "total_forward_active_energy") == load["total_forward_active_energy"]
    pile = "meter.13" if version == "v1" else "pile_meter.0.0"
    assert newest(pile, "total_active_power") is not None
    if version == "v2":
        assert newest("pile_dc.0.0", "total_active") == newest(pile, "total_active_power")
