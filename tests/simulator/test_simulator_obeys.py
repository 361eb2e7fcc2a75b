"""What a device is told shows at its gateway: limits, schedules, protection, controls, regulation, faults."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from schemas import kinds
from simulator import readouts
from simulator.battery import lfp
from simulator.device import Device
from simulator.identity import Identities, Version, device_specs
from simulator.piles import Piles
from simulator.plan import Order, Plan
from simulator.program import RARE_SHARE, instructed
from simulator.protection import FAULTS
from simulator.site import GATEWAY, Spec, State, advance, begin

START = 1_750_003_200.0  # 2025-06-16 00:00 at UTC+8, a Monday
HOUR = 3600.0
DATA: dict[str, Any] = msgspec.json.decode((Path(__file__).parents[1] / "data" / "commands.json").read_bytes())


def make(cabinets: int = 2, version: Version = "v2", **changes: Any) -> Device:
    """A device with a site that is known: no piles, no faults of its own, half full."""
    for spec in device_specs(60, versions=(version,)):
        identity, _ = Identities().of(spec)
        if len(identity.cabinets) == cabinets:
            break
    battery = lfp(104.5 * cabinets, 50.0 * cabinets, cabinets)
    site = Spec(seed=11, base_kw=40.0, swing_kw=160.0, pv_peak_kw=100.0, battery=battery)
    device = Device(spec, identity, msgspec.structs.replace(site, **changes), START, 60.0)
    device.site = msgspec.structs.replace(device.site, energy_kwh=battery.capacity_kwh / 2)
    return device


def say(device: Device, what: str, data: object, now: float = START, **extra: object) -> dict[str, Any]:
    """The device's first answer to a command that it takes."""
    kind = kinds.command(*what.split("/"))
    assert kind is not None
    head = {"mid": str(uuid.uuid4()), "type": kind.type, "device_uid": device.spec.uid, "timestamp": int(now * 1000)}
    body = msgspec.json.encode(head | ({} if data is None else {"data": data}) | extra)
    answer: dict[str, Any] = msgspec.json.decode(
        device.handle(f"v1/wudun/PK1/{device.spec.uid}/{kind.suffix}", body, now)[0][1]
    )
    assert answer["code"] == 200, answer["msg"]
    return answer


def at(device: Device, now: float) -> State:
    """The device's site at a time."""
    device.follow(device.site.plan, now)
    return device.site


def schedule(start: int, end: int, mode: int, power: int, **more: Any) -> dict[str, Any]:
    slot = {"start_hour": start, "start_minute": 0, "end_hour": end % 24, "end_minute": 0}
    head = {"charge_type": 1, "status": 1, "mode": 2, "month": list(range(12)), "week_day": list(range(7))}
    return (
        head | {"settings": [slot | {"cdc_enable_mode": mode, "run_power": power}]} | (more or {"apply_to_all": True})
    )


def limit(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1, "ele_meter_id": 9, "over_demand_status": 2, "over_demand_condition": [900] * 12, "streaming_status": 2,
        "individual_phase_streaming_status": 2, "dynamic_demand_percentage": 100,
    } | changes  # fmt: skip


# Demand


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0.3, 1.2), st.floats(0, 1), st.floats(0.08, 0.96),
    st.lists(st.floats(1, 900), min_size=10, max_size=60),
)  # fmt: skip
@example(230186106, 2, 0.3125, 1.0, 0.75, [1, 1, 1, 1, 1, 370, 899.5, 899.25, 899.75, 527])
def test_a_demand_over_its_limit_had_the_battery_at_its_own(
    seed: int, cabinets: int, share: float, sun: float, soc: float, dts: list[float]
) -> None:
    """However the time is cut: a quarter hour over the limit ends with a storage that could give no more."""
    spec = Spec(
        seed, 30.0, 200.0, 200.0 * sun, lfp(104.5 * cabinets, 50.0 * cabinets, cabinets), piles=Piles(1, 60.0, 9.0)
    )
    most = share * 230.0
    state = begin(spec, START + 7 * HOUR, soc, Plan(demand_kw=(most,) * 12))
    for dt in dts:
        to, top = state.at + dt, state.meters[GATEWAY].demand_forward_kw
        while state.at < to:
            before = state
            state = advance(state, min(to, (state.at // 900 + 1) * 900))
            demand = state.meters[GATEWAY].demand_forward_kw
            if state.at % 900 == 0 and demand > max(top, most + 1e-6):
                rated = spec.battery.power_kw
                assert state.storage_kw <= -rated + 1e-6 or state.soc < 0.0805 or state.gateway_kw < 1e-6, before.at
            top = max(top, demand)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0.5, 1.0), st.floats(0, 1), st.floats(0.1, 0.9),
    st.integers(0, 360), st.sampled_from([0.0, 9.5, 17.0]), st.booleans(), st.integers(0, 2),
)  # fmt: skip
def test_demand_stays_under_its_limit_whenever_the_battery_could_keep_it_there(
    seed: int, cabinets: int, share: float, sun: float, soc: float, day: int, hour: float, scheduled: bool, piles: int
) -> None:
    """A battery that charges whenever the limit lets it keeps every limit that can be kept. What that one keeps, the EMS keeps
    at 1.5 % more, beside its habit of serving the peak, or a schedule of wild discharges, and whoever comes to charge."""
    battery = lfp(104.5 * cabinets, 50.0 * cabinets, cabinets)
    spec = Spec(seed, 30.0, 200.0, 200.0 * sun, battery, piles=Piles(piles, 60.0, 9.0 * piles))
    most, start = share * 230.0, START + day * 86_400 + hour * HOUR
    greedy = Plan(demand_kw=(most / 1.015,) * 12, orders=(Order(0, 1440, battery.power_kw, frozenset(range(12))),))
    assume(highest(spec, greedy, start, soc) <= most / 1.015 + 1e-6)
    device = make(cabinets)
    device.site = begin(spec, start, soc)
    if scheduled:
        say(device, "charge/create", schedule(8, 22, 2, 50), start)
    bound = msgspec.structs.replace(device.site.plan, demand_kw=(most,) * 12)
    assert highest(spec, bound, start, soc) <= most + 1e-6


def highest(spec: Spec, plan: Plan, start: float, soc: float) -> float:
    """The highest demand of three days."""
    state, top = begin(spec, start, soc, plan), 0.0
    for _ in range(3 * 96):
        state = advance(state, state.at + 900.0)
        top = max(top, state.meters[GATEWAY].demand_forward_kw)
    return top


def test_the_limit_of_the_month_shows_at_the_gateway() -> None:
    bound, free = make(), make()
    say(
        bound,
        "streaming_overdemand/update",
        limit(over_demand_status=1, over_demand_condition=[500] * 5 + [165] + [500] * 6),
    )
    say(free, "streaming_overdemand/update", limit())
    assert at(bound, START + 24 * HOUR).meters[GATEWAY].demand_forward_kw <= 165 + 1e-6
    assert at(free, START + 24 * HOUR).meters[GATEWAY].demand_forward_kw > 180


def test_dynamic_demand_follows_what_the_month_has_had() -> None:
    """A limit that was passed costs nothing more: the highest demand is followed, and no less than the monthly limit is kept."""
    plan = Plan(demand_kw=(100.0,) * 12, dynamic_share=0.9)
    assert plan.demand_limit(6, 0.0, 500.0) == 100.0
    assert plan.demand_limit(6, 200.0, 0.0) == 180.0
    alone = Plan(dynamic_share=0.9)
    assert alone.demand_limit(6, 0.0, 0.0) is None
    assert alone.demand_limit(6, 10.0, 200.0) == 180.0
    device = make(1)
    say(device, "streaming_overdemand/update", limit(
        over_demand_status=1, over_demand_condition=[60] * 12, dynamic_demand_status=1, dynamic_demand_percentage=95.0,
    ))  # fmt: skip
    monday = at(device, START + 24 * HOUR).meters[GATEWAY].demand_forward_kw
    assert monday > 100  # one cabinet cannot keep 60 kW
    assert device.site.plan.demand_limit(6, monday, 0.0) == pytest.approx(monday * 0.95)
    assert at(device, START + 5 * 24 * HOUR).meters[GATEWAY].demand_forward_kw <= monday * 1.05


# Reverse flow


@pytest.mark.parametrize("phased", [False, True])
def test_reverse_flow_prevention_shows_at_the_gateway(phased: bool) -> None:
    changes = {"pv_peak_kw": 600.0, "swing_kw": 60.0, "phases": (0.5, 0.3, 0.2)}
    bound, free = make(**changes), make(**changes)
    name = "individual_phase_streaming" if phased else "streaming"
    say(bound, "streaming_overdemand/update", limit(**{f"{name}_status": 1, f"{name}_condition": 5}))
    say(free, "streaming_overdemand/update", limit())
    lows: list[float] = []
    for n in range(24 * 12):
        state = at(bound, START + n * 300)
        lows.append(min(phase.power_kw for phase in state.phases) if phased else state.gateway_kw)
    assert min(lows) >= -5 - 1e-6
    assert bound.site.meters[2].forward != free.site.meters[2].forward
    assert sum(at(free, START + 24 * HOUR).meters[GATEWAY].reverse) > 100


# Schedules


def test_each_cabinet_follows_its_own_schedule() -> None:
    device = make(2)
    say(device, "streaming_overdemand/update", limit())
    say(device, "charge/create", schedule(1, 3, 1, 20, ems_device_ids=[1]))
    say(device, "charge/create", schedule(1, 3, 2, 15, ems_device_ids=[2]))
    state = at(device, START + 2 * HOUR)
    assert [pack.ac_kw for pack in state.packs] == [pytest.approx(20.0), pytest.approx(-15.0)]
    assert state.storage_kw == pytest.approx(5.0)
    assert [readouts.cabinet(state, n).running_status for n in (0, 1)] == [3, 4]
    assert at(device, START + 3.1 * HOUR).packs[1].ac_kw == pytest.approx(30.0)  # the valley again


def test_a_slot_is_half_open() -> None:
    device = make(1)
    device.site = msgspec.structs.replace(device.site, at=START + 9 * HOUR)
    say(device, "charge/create", schedule(10, 11, 1, 7), START + 9 * HOUR)
    assert at(device, START + 10 * HOUR).storage_kw != pytest.approx(7.0)
    assert at(device, START + 10 * HOUR + 60).storage_kw == pytest.approx(7.0)
    assert at(device, START + 11 * HOUR).storage_kw == pytest.approx(7.0)
    assert at(device, START + 11 * HOUR + 60).storage_kw != pytest.approx(7.0)


def test_a_slot_is_kept_to_the_minute() -> None:
    device = make(1)
    slot = {"start_hour": 2, "start_minute": 2, "end_hour": 2, "end_minute": 17, "cdc_enable_mode": 1, "run_power": 20}
    idle = slot | {"start_minute": 17, "end_hour": 4, "cdc_enable_mode": 0}
    before = slot | {"start_hour": 0, "start_minute": 0, "end_minute": 2, "cdc_enable_mode": 0}
    say(device, "charge/create", schedule(0, 1, 0, 0) | {"settings": [before, slot, idle]})
    state = at(device, START + 3 * HOUR)
    assert sum(state.meters[1].forward) == pytest.approx(5.0)


def test_photovoltaics_keep_to_their_schedule() -> None:
    device = make()
    say(device, "charge_photovoltaic/create", schedule(11, 12, 2, 30))
    say(device, "charge_photovoltaic/create", schedule(12, 13, 0, 0))
    assert at(device, START + 10.9 * HOUR).pv_kw > 35
    bound = at(device, START + 11.5 * HOUR)
    assert bound.pv_kw == 30
    assert bound.curtailed_kw > 10
    assert at(device, START + 12.5 * HOUR).pv_kw == 0
    assert at(device, START + 13.5 * HOUR).pv_kw > 30


def test_charging_piles_keep_to_their_schedule_and_the_transformer() -> None:
    piles = Piles(3, 60.0, 400.0)
    device = make(piles=piles)
    say(device, "charge_pail/create", schedule(9, 10, 1, 11))
    say(device, "charge_pail/create", schedule(10, 11, 0, 0))
    assert at(device, START + 8.9 * HOUR).pile_kw > 60
    assert 0 < at(device, START + 9.5 * HOUR).pile_kw <= 33 + 1e-9
    assert at(device, START + 10.5 * HOUR).pile_kw == 0
    small = make(piles=piles, transformer_kva=200.0)
    for n in range(20, 24):
        state = at(small, START + n * HOUR / 2)
        assert state.load_kw - state.pv_kw <= max(190.0, state.load_kw - state.pile_kw - state.pv_kw) + 1e-6


def test_a_branch_is_a_cabinet() -> None:
    device = make(2)
    say(device, "streaming_overdemand/update", limit())
    plain = schedule(1, 3, 0, 0)
    del plain["apply_to_all"]
    say(device, "charge/by_node", plain | {"node_id": 6})
    state = at(device, START + 2 * HOUR)
    assert state.packs[1].ac_kw == 0.0
    assert state.pack_soc(1) == pytest.approx(0.7, abs=0.1)
    assert state.pack_soc(0) > state.pack_soc(1) + 0.1


# Controls and protection


def test_stop_means_stop() -> None:
    device = make(2)
    say(device, "pcs_control/set", {"pcs_device_stop": 1}, sub_device_id=2)
    state = at(device, START + HOUR)
    assert state.packs[1].ac_kw == 0.0
    assert state.packs[0].ac_kw > 0
    assert readouts.cabinet(state, 1).running_status == 1
    say(device, "pcs_control/set", {"pcs_remote_emergency_stop": 1}, START + HOUR)
    assert at(device, START + 2 * HOUR).storage_kw == 0.0
    say(device, "pcs_control/set", {"pcs_device_startup": 1}, START + 2 * HOUR)
    assert at(device, START + 2.2 * HOUR).storage_kw == 0.0  # the emergency stop lasts
    say(device, "pcs_control/set", {"pcs_fault_reset": 1}, START + 2.2 * HOUR)
    assert at(device, START + 2.5 * HOUR).packs[1].ac_kw > 0
    say(device, "bms_control/set", {"high_voltage_command": 0}, START + 2.5 * HOUR)
    assert at(device, START + 2.7 * HOUR).storage_kw == 0.0
    assert not readouts.cabinet(device.site).closed
    say(device, "bms_control/set", {"high_voltage_command": 1}, START + 2.7 * HOUR)
    say(device, "pcs_control/set", {"pcs_remote_local_setting": 0}, START + 2.7 * HOUR)
    assert at(device, START + 2.8 * HOUR).storage_kw == 0.0
    say(device, "pcs_control/set", {"pcs_remote_local_setting": 1}, START + 2.8 * HOUR)
    assert at(device, START + 3 * HOUR).storage_kw > 0


def test_counters_are_set_to_zero() -> None:
    device = make(2)
    at(device, START + 2 * HOUR)
    meter = sum(device.site.meters[1].forward)
    say(device, "pcs_control/set", {"pcs_reset_cumulative_charge": 1}, START + 2 * HOUR, sub_device_id=1)
    shown = [readouts.cabinet(device.site, n) for n in (0, 1)]
    assert shown[0].ac_charged_kwh == shown[0].ac_charged_today_kwh == shown[0].dc_charged_kwh == 0.0
    assert shown[1].ac_charged_kwh > 10
    assert sum(device.site.meters[1].forward) == meter


def test_cooling_keeps_the_point_that_it_was_given_and_heat_takes_power_away() -> None:
    device = make(1)
    say(device, "condition_control/set", {"target_cooling_point": 20.0})
    say(device, "charge/create", schedule(0, 8, 1, 10))
    assert at(device, START + 2 * HOUR).packs[0].temp_c == pytest.approx(20.0, abs=0.1)
    assert readouts.cooling(readouts.cabinet(device.site))["cooling_point"] == 20.0
    say(
        device,
        "air_strategy/set",
        DATA["air_strategy/set"] | {"cooling_point": 22, "heating_point": 10},
        START + 2 * HOUR,
    )
    assert device.site.setting(0).cooling_c == 22.0
    assert 20.1 < at(device, START + 3 * HOUR).packs[0].temp_c <= 22.0
    say(device, "condition_control/set", {"power_on": 0}, START + 3 * HOUR)
    say(device, "charge/update_all", [schedule(0, 8, 1, 50)], START + 3 * HOUR)
    hot = msgspec.structs.replace(device.site.packs[0], temp_c=50.0)
    device.site = msgspec.structs.replace(device.site, packs=(hot,), energy_kwh=30.0)
    say(device, "safety/set", {"temp": 0, "bms_2": 0, "bms_3": 0}, START + 3 * HOUR)
    assert at(device, START + 3 * HOUR + 60).storage_kw == pytest.approx(25.0, abs=0.5)  # derated to a half
    say(device, "safety/set", {"temp": 1, "temp_celsius": 45}, START + 3 * HOUR + 60)
    assert at(device, START + 3 * HOUR + 120).storage_kw == 0.0


def test_the_charge_depth_is_kept() -> None:
    device = make(1)
    depth = DATA["charge_percentage/set"] | {
        "charge_depth_on": 1, "charge_energy_soc_1": 60, "charge_cell_power_1": 0,
        "charge_energy_soc_2": 55, "charge_cell_power_2": 5, "charge_energy_soc_3": 0, "charge_energy_soc_4": 0,
        "charge_cell_voltage_1": 0, "charge_cell_voltage_2": 0,
    }  # fmt: skip
    say(device, "charge_percentage/set", depth | {"charge_cell_voltage_3": 0, "charge_cell_voltage_4": 0})
    say(device, "charge/create", schedule(0, 8, 1, 50))
    assert at(device, START + 300).storage_kw == pytest.approx(50.0)
    assert at(device, START + 0.5 * HOUR).storage_kw == pytest.approx(5.0)
    assert at(device, START + 5 * HOUR).soc == pytest.approx(0.6, abs=1e-3)
    assert device.site.storage_kw == pytest.approx(0.0, abs=1e-6)


def test_a_charge_depth_below_nothing_is_none() -> None:
    device = make(2)
    steps = {f"{way}_cell_power_{n}": -1e9 for way in ("charge", "discharge") for n in (1, 2, 3, 4)}
    steps |= {f"{way}_energy_soc_{n}": 50 for way in ("charge", "discharge") for n in (1, 2, 3, 4)}
    depth = {"charge_depth_on": 1, "discharge_depth_on": 1}
    say(device, "charge_percentage/set", DATA["charge_percentage/set"] | steps | depth)
    for hour in range(1, 25):
        at(device, START + hour * HOUR)
        assert 0.0 <= device.site.soc <= 1.0
        assert all(pack.temp_c < 60.0 for pack in device.site.packs)


FAULT_STOPS = [("smoke", 0.0, {}), ("flooding", 0.0, {}), ("hot_cell", 0.0, {}), ("meter", 5.0, {}), ("cooling", 10.0, {}),
               ("ground", 5.0, {"grounded": 1})]  # fmt: skip


@pytest.mark.parametrize(("fault", "minutes", "safety"), FAULT_STOPS)
def test_a_fault_stops_the_storage_raises_its_alarm_and_clears_it(
    fault: str, minutes: float, safety: dict[str, int]
) -> None:
    device = make(1)
    device.due(START)
    if safety:
        say(device, "safety/set", safety)
    raised: list[tuple[str, int]] = []

    def look(now: float) -> State:
        device.next_due = now
        for topic, payload in device.due(now):
            if topic.endswith("alarm/details/post"):
                data = msgspec.json.decode(payload)["data"]
                raised.append((data["content"], data["handle_status"]))
        return device.site

    assert look(START + HOUR).storage_kw > 0
    device.afflict(START + HOUR, fault)
    if minutes:
        assert look(START + HOUR + minutes * 30).storage_kw > 0
    assert look(START + HOUR + minutes * 60 + 300).storage_kw == 0.0
    (first,) = [each for each in raised if "告警" in each[0] and "PCS" not in each[0]]
    assert first[1] == 1
    device.afflict(START + 1.5 * HOUR)
    assert look(START + 1.6 * HOUR).storage_kw > 0
    assert (first[0], 2) in raised
    with pytest.raises(ValueError, match="no fault fire"):
        device.afflict(START + 2 * HOUR, "fire")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("version", ["v1", "v2", "emu"])
def test_reports_tell_of_faults_in_the_vendors_fields(fault: str, version: Version) -> None:
    device = make(1, version)
    device.due(START)
    device.afflict(START, fault)
    device.next_due = START + 600
    for topic, payload in device.due(START + 600):
        if topic.endswith("report/regular/post"):
            kind, _ = kinds.resolve("report/regular/post", payload)
            assert kinds.unknown_keys(kind, payload) == ()
            if fault == "meter":
                assert b'"purpose":1' not in payload


def test_a_weak_cell_costs_power_only() -> None:
    device = make(1)
    say(device, "charge/create", schedule(0, 8, 1, 50))
    device.afflict(START, "weak_cell")
    assert at(device, START + 300).storage_kw == pytest.approx(25.0)


# The grid


def test_the_grids_instruction_goes_before_the_schedule() -> None:
    device = make(1, pv_peak_kw=0.0)
    say(device, "streaming_overdemand/update", limit())
    say(device, "charge/create", schedule(0, 12, 0, 0))
    say(device, "charge/create", schedule(12, 24, 0, 0))
    window = next(n for n in range(int(START // 900), 10**8) if instructed(11, n * 900.0) is not None)
    share = instructed(11, window * 900.0)
    assert share is not None
    device.site = begin(device.site.spec, window * 900.0 - 60, 0.5, device.site.plan)
    assert at(device, window * 900.0).storage_kw == 0.0
    assert at(device, window * 900.0 + 60).storage_kw == pytest.approx(50.0 * share)
    assert at(device, window * 900.0 + 960).storage_kw == pytest.approx(0.0)
    assert sum(instructed(11, n * 900.0) is not None for n in range(20_000)) == pytest.approx(
        20_000 * RARE_SHARE, rel=0.3
    )


def test_reactive_power_keeps_the_power_factor() -> None:
    device = make(2, power_factor=0.75, pv_peak_kw=0.0)
    say(device, "streaming_overdemand/update", limit())
    say(device, "charge/create", schedule(0, 8, 0, 0))
    say(device, "reactive_power_control/set", {"phase_min_power_factor_a": 0.0, "mode": 1})
    assert readouts.feeder(at(device, START + 3 * HOUR), GATEWAY)["total_power_factor"] == pytest.approx(0.75, abs=0.01)
    say(device, "reactive_power_control/set", {"phase_min_power_factor_a": 0.95, "mode": 1}, START + 3 * HOUR)
    state = at(device, START + 3.5 * HOUR)
    assert readouts.feeder(state, GATEWAY)["total_power_factor"] == pytest.approx(0.95, abs=0.01)
    assert state.kvar > 10
    assert state.gateway_kw == pytest.approx(state.load_kw)


def test_reactive_power_holds_the_voltage() -> None:
    device = make(3, pv_peak_kw=0.0, transformer_kva=300.0, seed=5)
    say(device, "streaming_overdemand/update", limit())
    free = readouts.feeder(at(device, START + 10 * HOUR), GATEWAY)["voltage_phase_b"]
    say(device, "voltage_control/set", {
        "phase_rated_voltage_a": 230, "phase_voltage_lower_limit_threshold_a": int(free) + 3,
        "phase_voltage_upper_limit_threshold_a": int(free) + 9,
    }, START + 10 * HOUR)  # fmt: skip
    held = readouts.feeder(at(device, START + 10 * HOUR + 60), GATEWAY)["voltage_phase_b"]
    assert device.site.kvar > 0
    assert held >= int(free) + 2.8
    assert datetime.fromtimestamp(device.site.at, UTC).hour == 2
