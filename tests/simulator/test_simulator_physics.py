"""Physics of a real site: powers balance, energy is conserved over a year, cabinets keep their limits, hand sums agree."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator import battery as cabinets
from simulator.battery import Battery, Setting, Steps, lfp
from simulator.meter import Meter, count, turn_month
from simulator.piles import EFFICIENCY, Piles, Vehicle, Yard, charge, turn, wanted
from simulator.plan import Grid, Order, Plan, Safety
from simulator.profile import ambient_c, load_kw
from simulator.protection import FAULTS
from simulator.site import (
    GATEWAY,
    LOAD,
    PV,
    STORAGE,
    VALLEY,
    Spec,
    State,
    advance,
    begin,
    replan,
    reset,
    step,
)

START = 1_750_003_200.0  # 2025-06-16 00:00 at UTC+8, a Monday
EVER = frozenset(range(12))


def real(cabinet_count: int, **changes: object) -> Spec:
    n = cabinet_count
    spec = Spec(seed=n, base_kw=30.0, swing_kw=200.0, pv_peak_kw=120.0, battery=lfp(104.5 * n, 50.0 * n, n))
    return msgspec.structs.replace(spec, **changes)


phases = st.tuples(st.floats(0.15, 0.4), st.floats(0.15, 0.4)).map(lambda ab: (*ab, 1.0 - sum(ab)))
specs = st.builds(
    Spec,
    seed=st.integers(0, 2**32 - 1),
    base_kw=st.floats(1, 100),
    swing_kw=st.floats(0, 400),
    pv_peak_kw=st.floats(0, 600),
    battery=st.builds(lfp, st.floats(20, 2000), st.floats(5, 1000), st.integers(1, 4)),
    latitude=st.floats(-60, 60),
    longitude=st.floats(-180, 180),
    utc_offset_s=st.sampled_from([-18_000.0, 0.0, 20_700.0, 28_800.0]),
    transformer_kva=st.floats(50, 1500),
    power_factor=st.floats(0.7, 1.0),
    phases=phases,
    piles=st.builds(Piles, st.integers(0, 6), st.floats(7, 180), st.floats(0, 300)),
    fault_share=st.sampled_from([0.0, 0.02, 0.3]),
)
orders = st.builds(
    Order,
    start=st.integers(0, 700),
    end=st.integers(700, 1440),
    kw=st.floats(-1500, 1500),
    months=st.just(EVER),
    week_days=st.none() | st.frozensets(st.integers(0, 6)),
    cabinets=st.none() | st.frozensets(st.integers(0, 3), min_size=1),
)
positive = orders.map(lambda order: msgspec.structs.replace(order, kw=abs(order.kw)))


def steps(rising: bool) -> st.SearchStrategy[Steps]:
    """Four steps of a charge depth, from mild to severe."""
    each = st.tuples(st.floats(0.5, 1.0) if rising else st.floats(0.0, 0.5), st.just(0.0), st.floats(0, 60))
    return st.lists(each, max_size=4).map(tuple)


told = st.builds(
    Setting, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.floats(15, 40), st.floats(-5, 15)
)
plans = st.builds(
    Plan,
    demand_kw=st.none() | st.lists(st.floats(0, 900), min_size=12, max_size=12).map(tuple),
    export_kw=st.none() | st.floats(0, 300),
    orders=st.lists(orders, max_size=3).map(tuple),
    phase_export_kw=st.none() | st.floats(0, 100),
    dynamic_share=st.none() | st.floats(0, 1),
    pv_orders=st.lists(positive, max_size=2).map(tuple),
    pile_orders=st.lists(positive, max_size=2).map(tuple),
    charge_steps=steps(True),
    discharge_steps=steps(False),
    safety=st.builds(Safety, *[st.booleans()] * 2, st.floats(0, 60), *[st.booleans()] * 3),
    grid=st.builds(Grid, *[st.none() | st.floats(a, b) for a, b in ((0.5, 1.0), (200, 230), (231, 260))]),
    settings=st.lists(told, max_size=4).map(tuple),
    faults=st.frozensets(st.sampled_from(FAULTS)),
    regulation=st.booleans(),
)
socs = st.floats(0.08, 0.96)
dts = st.lists(st.floats(0.5, 1800), min_size=1, max_size=40)
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def forward(state: State, place: int) -> float:
    return math.fsum(state.meters[place].forward)


def reverse(state: State, place: int) -> float:
    return math.fsum(state.meters[place].reverse)


def stored(state: State) -> float:
    return math.fsum(state.energy_kwh * pack.share for pack in state.packs)


@calm
@given(specs, plans, socs, dts)
def test_every_power_has_a_place_at_every_step(spec: Spec, plan: Plan, soc: float, dts: list[float]) -> None:
    state = begin(spec, START, soc, plan)
    for dt in dts:
        before, state = state, step(state, dt)
        assert state.gateway_kw == state.load_kw - state.pv_kw + state.storage_kw
        assert math.fsum(phase.power_kw for phase in state.phases) == pytest.approx(state.gateway_kw, abs=1e-6)
        assert math.fsum(pack.ac_kw for pack in state.packs) == pytest.approx(state.storage_kw, abs=1e-6)
        assert state.load_kw >= state.pile_kw >= 0
        assert state.pv_kw >= 0
        assert state.curtailed_kw >= 0
        assert state.energy_kwh == pytest.approx(stored(state), abs=1e-6)
        moved = math.fsum(pack.dc_kw for pack in state.packs) * dt / 3600
        assert state.energy_kwh - before.energy_kwh == pytest.approx(moved, abs=1e-6)
        for place, pack in enumerate(state.packs):
            works = state.setting(place).works
            assert abs(pack.ac_kw) <= (spec.battery.power_kw / spec.battery.cabinets + 1e-6 if works else 0.0)
            assert pack.dc_kw <= pack.ac_kw + 1e-9
            assert state.pack_soc(place) >= min(spec.battery.soc_min, soc) - 1e-6
            assert state.pack_soc(place) <= max(spec.battery.soc_max, soc) + 1e-3  # ageing shrinks what is full
            assert -90 < pack.temp_c < 150
        for phase, after in zip(before.phases, state.phases, strict=True):
            assert sum(after.forward) >= sum(phase.forward)
            assert sum(after.reverse) >= sum(phase.reverse)
    booked = state.dc_charged_kwh - state.dc_discharged_kwh
    assert state.energy_kwh == pytest.approx(soc * spec.battery.capacity_kwh + booked, abs=1e-6)
    assert state.yard.kwh == pytest.approx(state.yard.drawn_kwh * EFFICIENCY, abs=1e-6)
    came = forward(state, GATEWAY) + forward(state, PV) + reverse(state, STORAGE)
    assert came == pytest.approx(forward(state, LOAD) + forward(state, STORAGE) + reverse(state, GATEWAY), abs=1e-6)


@calm
@given(specs, plans, socs, dts)
def test_reverse_flow_stays_under_its_conditions(spec: Spec, plan: Plan, soc: float, dts: list[float]) -> None:
    """In all and in each phase, whatever else is asked."""
    state = begin(spec, START + 9 * 3600, soc, plan)
    for dt in dts:
        state = step(state, dt)
        if plan.export_kw is not None:
            assert state.gateway_kw >= -plan.export_kw - 1e-6
        if plan.phase_export_kw is not None:
            assert min(phase.power_kw for phase in state.phases) >= -plan.phase_export_kw - 1e-6


@calm
@given(specs, plans, socs, st.lists(st.floats(1, 900), min_size=1, max_size=12))
def test_the_same_state_steps_the_same(spec: Spec, plan: Plan, soc: float, dts: list[float]) -> None:
    one, two = begin(spec, START, soc, plan), begin(spec, START, soc, plan)
    for dt in dts:
        one = advance(one, one.at + dt)
    for dt in dts:
        two = advance(two, two.at + dt)
    assert one == two


@pytest.fixture(scope="module")
def year() -> tuple[State, dict[str, float], list[float]]:
    """A real site from one new year to the next: the end, integrals of its powers, the highest demand of each month."""
    spec = real(2, piles=Piles(2, 60.0, 12.0), fault_share=1 / 4000)
    start = datetime(2025, 1, 1, tzinfo=UTC).timestamp() - spec.utc_offset_s
    state = begin(spec, start, 0.5, Plan(demand_kw=(210.0,) * 12, export_kw=40.0, phase_export_kw=15.0))
    sums = dict.fromkeys(("gateway", "load", "pv", "charged", "discharged", "lost"), 0.0)
    tops = [0.0] * 12
    for n in range(365 * 96):
        month = datetime.fromtimestamp(state.at + spec.utc_offset_s, UTC).month
        state = step(state, 900.0)
        tops[month - 1] = max(tops[month - 1], state.gateway_kw)
        sums["gateway"] += state.gateway_kw / 4
        sums["load"] += state.load_kw / 4
        sums["pv"] += state.pv_kw / 4
        sums["charged"] += max(state.storage_kw, 0.0) / 4
        sums["discharged"] += max(-state.storage_kw, 0.0) / 4
        sums["lost"] += sum(pack.ac_kw - pack.dc_kw for pack in state.packs) / 4
        if n == 17_000:  # in the middle of the year
            state = replan(state, msgspec.structs.replace(state.plan, dynamic_share=0.9))
    return state, sums, tops


def test_energy_is_conserved_over_a_year(year: tuple[State, dict[str, float], list[float]]) -> None:
    state, sums, _ = year
    assert forward(state, GATEWAY) - reverse(state, GATEWAY) == pytest.approx(sums["gateway"], abs=1e-3)
    assert sums["gateway"] + sums["pv"] == pytest.approx(sums["load"] + sums["charged"] - sums["discharged"], abs=1e-3)
    start_kwh = 0.5 * state.spec.battery.capacity_kwh
    assert sums["charged"] - sums["discharged"] == pytest.approx(state.energy_kwh - start_kwh + sums["lost"], abs=1e-3)
    parts = [sum(phase.forward) - sum(phase.reverse) for phase in state.phases]
    assert math.fsum(parts) == pytest.approx(sums["gateway"], abs=1e-3)
    assert state.yard.kwh == pytest.approx(state.yard.drawn_kwh * EFFICIENCY, rel=1e-9)


@settings(calm, max_examples=3)
@given(specs, plans, socs)
def test_energy_is_conserved_over_any_year(spec: Spec, plan: Plan, soc: float) -> None:
    """What came in is what was used, what flowed back, what was lost and what is in the cells; of all and by phase."""
    state = begin(spec, START, soc, plan)
    lost = 0.0
    for _ in range(365 * 48):
        state = step(state, 1800.0)
        lost += math.fsum(pack.ac_kw - pack.dc_kw for pack in state.packs) / 2
    came = forward(state, GATEWAY) + forward(state, PV)
    kept = state.energy_kwh - soc * spec.battery.capacity_kwh
    assert came == pytest.approx(forward(state, LOAD) + reverse(state, GATEWAY) + kept + lost, rel=1e-9, abs=1e-3)
    parts = math.fsum(sum(phase.forward) - sum(phase.reverse) for phase in state.phases)
    assert parts == pytest.approx(forward(state, GATEWAY) - reverse(state, GATEWAY), rel=1e-9, abs=1e-3)
    assert state.yard.kwh == pytest.approx(state.yard.drawn_kwh * EFFICIENCY, rel=1e-9)


def test_a_year_looks_like_one(year: tuple[State, dict[str, float], list[float]]) -> None:
    """Round trip, cycles, age, yield and vehicles are what such a site has."""
    state, sums, tops = year
    capacity = state.spec.battery.capacity_kwh
    assert 0.80 < sums["discharged"] / sums["charged"] < 0.92
    assert 100 < state.dc_charged_kwh / capacity < 700
    assert 0.95 < state.soh < 0.99
    assert 950 < sums["pv"] / state.spec.pv_peak_kw < 1250
    assert 3000 < state.yard.served + state.yard.turned_away < 5500
    last = datetime.fromtimestamp(state.at + state.spec.utc_offset_s - 1, UTC)
    assert last.month == 12
    assert state.meters[GATEWAY].last_demand_kw == pytest.approx(tops[11])
    assert state.meters[GATEWAY].demand_forward_kw == 0.0


# Batteries, by hand


@pytest.mark.parametrize(
    ("ac_kw", "dc_kw"),
    [
        (50.0, 50 * 0.965 - (0.006 + 0.03) * 50),  # all of it: 48.25 - 1.8
        (25.0, 25 * 0.965 - (0.006 + 0.03 / 4) * 50),
        (-50.0, -(50 / 0.965 + (0.006 + 0.03) * 50)),
        (-5.0, -(5 / 0.965 + (0.006 + 0.0003) * 50)),
        (0.0, 0.0),
    ],
)
def test_losses_follow_the_load(ac_kw: float, dc_kw: float) -> None:
    assert cabinets.direct_kw(lfp(104.5, 50.0, 1), ac_kw) == pytest.approx(dc_kw)


@calm
@given(st.floats(1e-3, 60.0), st.sampled_from([Battery(100.0, 50.0), lfp(100.0, 50.0, 1)]))
def test_what_fits_is_what_arrives(dc_kw: float, battery: Battery) -> None:
    """`direct_kw` turned round, both ways."""
    assert cabinets.direct_kw(battery, cabinets._taken(battery, dc_kw)) == pytest.approx(dc_kw, abs=1e-9)
    given_kw = cabinets._given(battery, dc_kw)
    if given_kw > 0:
        assert cabinets.direct_kw(battery, -given_kw) == pytest.approx(-dc_kw, abs=1e-9)
    else:
        assert dc_kw <= battery.standby_share * 50.0


@pytest.mark.parametrize(("temp", "charge", "discharge"), [(-25, 0, 0), (-15, 0, 0.5), (0, 0, 1), (5, 0.5, 1), (25, 1, 1),
                                                           (50, 0.5, 1), (55, 0, 0.5), (61, 0, 0)])  # fmt: skip
def test_cold_and_heat_take_power_away(temp: float, charge: float, discharge: float) -> None:
    assert cabinets.charge_share(temp) == pytest.approx(charge)
    assert cabinets.discharge_share(temp) == pytest.approx(discharge)


def test_a_cabinet_warms_as_its_heat_capacity_says() -> None:
    """100 kWh of cells hold 0.4 kWh for 1 °C and lose 0.03 kW for 1 °C: without cooling, 60 % of 1 kW lost warms them by
    0.6 / 0.4 = 1.5 °C in the first hour, less what leaves, and by 0.6 / 0.03 = 20 °C in the end."""
    battery = Battery(100.0, 50.0, charge_efficiency=0.98)
    (pack,) = cabinets.fresh(battery)
    uncooled = Setting(cooled=False)
    first, _ = cabinets.run(battery, pack, 50.0, 50.0, 25.0, 1.0, uncooled)
    assert first.temp_c == pytest.approx(25 + 20 * (1 - math.exp(-0.075)))
    assert 1.4 < first.temp_c - 25 < 1.5
    long, _ = cabinets.run(battery, pack, 50.0, 50.0, 25.0, 1000.0, uncooled)
    assert long.temp_c == pytest.approx(45.0)
    halves = cabinets.run(battery, pack, 50.0, 50.0, 25.0, 0.5, uncooled)[0]
    assert cabinets.run(battery, halves, 50.0, 50.0, 25.0, 0.5, uncooled)[0].temp_c == pytest.approx(first.temp_c)
    cooled, _ = cabinets.run(battery, pack, 50.0, 50.0, 25.0, 1.0, Setting(cooling_c=25.5))
    assert cooled.temp_c == pytest.approx(25.5)
    assert 0 < cooled.air_kw < 0.6


def test_a_battery_ages_by_time_heat_and_cycles() -> None:
    battery = Battery(100.0, 50.0, calendar_fade=0.02, cycle_fade=0.0001)
    (pack,) = cabinets.fresh(battery)
    idle, _ = cabinets.run(battery, pack, 50.0, 0.0, 25.0, 8766.0, Setting())
    assert idle.soh == pytest.approx(0.98)
    warm, _ = cabinets.run(battery, msgspec.structs.replace(pack, temp_c=35.0), 50.0, 0.0, 35.0, 8766.0, Setting())
    assert warm.soh == pytest.approx(0.96)
    still = msgspec.structs.replace(battery, calendar_fade=0.0)
    full, _ = cabinets.run(still, pack, 0.0, 100 / 0.95, 25.0, 1.0, Setting())
    back, energy = cabinets.run(still, full, 100.0, -95.0, 25.0, 1.0, Setting())
    assert (back.soh, energy) == (pytest.approx(0.9999), pytest.approx(0.0))


def test_the_charge_depth_throttles_towards_full_and_empty() -> None:
    battery = Battery(100.0, 50.0, charge_efficiency=1.0, discharge_efficiency=1.0, soc_min=0.0, soc_max=1.0)
    (pack,) = cabinets.fresh(battery)
    up: Steps = ((0.9, 0.0, 0.0), (0.8, 0.0, 10.0))
    down: Steps = ((0.1, 0.0, 0.0), (0.2, 0.0, 20.0))

    def able(soc: float, hours: float = 0.01) -> tuple[float, float]:
        return cabinets.limits(battery, pack, 100.0 * soc, hours, 50.0, (up, down))

    assert able(0.5) == (50.0, 50.0)
    assert able(0.8) == (50.0, 10.0)
    assert able(0.9)[1] == 0.0
    assert able(0.2) == (20.0, 50.0)
    assert able(0.1)[0] == 0.0
    assert able(0.79, hours=1.0)[1] == pytest.approx(1.0)  # up to the step, not past it
    volts: Steps = ((0.0, 3.3, 5.0),)
    assert cabinets.limits(battery, pack, 90.0, 0.01, 50.0, (volts, ()))[1] == 5.0


def test_cabinets_that_go_apart_come_together_again() -> None:
    """A stopped cabinet keeps its charge; afterwards each takes by what it can."""
    state = begin(real(2), START, 0.5, Plan(settings=(Setting(running=False), Setting())))
    state = advance(state, START + 3600)
    assert state.packs[0].ac_kw == 0.0
    assert state.pack_soc(0) == pytest.approx(0.5, abs=1e-4)
    assert state.pack_soc(1) > 0.6
    state = advance(replan(state, Plan()), START + 7 * 3600)
    assert state.pack_soc(0) == pytest.approx(state.pack_soc(1), abs=1e-3)
    assert state.packs[0].ac_charged_kwh == pytest.approx(state.packs[1].ac_charged_kwh, rel=0.05)
    fresh = reset(state, 0, charged=True, discharged=False)
    assert (fresh.packs[0].ac_charged_kwh, fresh.packs[0].dc_charged_kwh) == (0.0, 0.0)
    assert fresh.packs[1] is state.packs[1]


# Meters


@calm
@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(1, 4000)), min_size=1, max_size=30))
def test_demand_is_the_mean_of_each_quarter_hour_however_it_is_stepped(parts: list[tuple[float, float]]) -> None:
    at, meter, blocks = START, Meter(), dict[int, float]()
    for power, dt in parts:
        left, now = dt, at
        while left > 1e-9:
            edge = min(left, (math.floor(now / 900 + 1e-12) + 1) * 900 - now)
            blocks[int(now // 900)] = blocks.get(int(now // 900), 0.0) + max(power, 0.0) * edge / 900
            now, left = now + edge, left - edge
        at += dt
        meter = count(meter, power, VALLEY, dt / 3600, at)
    closed = [mean for block, mean in blocks.items() if (block + 1) * 900 <= at]
    assert meter.demand_forward_kw == pytest.approx(max(closed, default=0.0), abs=1e-5)


def test_demand_begins_anew_every_month() -> None:
    spec = real(1)
    july = datetime(2025, 7, 1, tzinfo=UTC).timestamp() - spec.utc_offset_s
    state = advance(begin(spec, july - 7200, 0.5), july - 900)
    june = state.meters[GATEWAY].demand_forward_kw
    state = advance(state, july)
    assert state.meters[GATEWAY].demand_forward_kw == 0.0
    assert state.meters[GATEWAY].last_demand_kw >= june > 0
    assert state.phases[0].last_demand_kw > 0
    after = advance(state, july + 900).meters[GATEWAY]
    assert (after.demand_forward_at, after.demand_forward_kw > 0) == (int(july) + 900, True)
    assert turn_month(after).forward == after.forward


# Piles


def test_vehicles_take_what_they_want_under_every_limit() -> None:
    piles = Piles(2, 60.0, 0.0)
    one = Vehicle(60.0, 0.5, 0.8, 90.0, START + 9999)
    two = Vehicle(60.0, 0.9, 1.0, 90.0, START + 9999)
    assert wanted(piles, one, 0.1) == 60.0
    assert wanted(piles, one, 10.0) == pytest.approx(0.3 * 60 / EFFICIENCY / 10)
    assert wanted(piles, two, 0.01) == pytest.approx(90 * 0.55)
    yard, drawn = charge(piles, Yard((one, two)), 0.01, math.inf, math.inf)
    assert drawn == pytest.approx(60 + 49.5)
    assert yard.kwh == pytest.approx(drawn * 0.01 * EFFICIENCY)
    assert charge(piles, Yard((one, two)), 0.01, 20.0, math.inf)[1] == 40.0
    assert charge(piles, Yard((one, two)), 0.01, math.inf, 30.0)[1] == pytest.approx(30.0)
    assert charge(piles, Yard((one, two)), 0.01, math.inf, -5.0)[1] == 0.0


def test_who_finds_no_pile_waits_and_who_finds_no_place_drives_on() -> None:
    piles = Piles(1, 7.0, 500.0)
    yard = turn(piles, Yard(), 3, START + 8 * 3600, START + 12 * 3600, 28_800.0)
    assert yard.stalls[0] is not None
    assert len(yard.queue) == 2
    assert yard.turned_away > 20
    later = turn(piles, yard, 3, START + 20 * 3600, START + 20 * 3600 + 1, 28_800.0)
    assert later.served == 1


def test_it_is_colder_at_night_in_winter_and_in_the_north() -> None:
    june, december = START + 15 * 3600, START + (183 * 24 + 15) * 3600
    assert ambient_c(1, june, 28_800, 31.0) > ambient_c(1, december, 28_800, 31.0) + 8
    assert ambient_c(1, june, 28_800, 31.0) > ambient_c(1, june + 12 * 3600, 28_800, 31.0)
    assert ambient_c(1, december, 28_800, 45.0) < ambient_c(1, december, 28_800, 31.0)


def test_a_load_is_highest_in_the_summer_of_its_half_of_the_earth() -> None:
    january, july = (datetime(2025, month, 15, 12, tzinfo=UTC).timestamp() for month in (1, 7))
    for latitude, summer, winter in ((31.2, july, january), (-33.9, january, july)):
        hot, cold = (
            sum(load_kw(1, at + n * 3600.0, 0.0, 60.0, 240.0, latitude) for n in range(7 * 24))
            for at in (summer, winter)
        )
        assert hot > 1.2 * cold
