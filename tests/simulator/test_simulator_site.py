"""Site physics: powers balance, registers integrate, limits hold, the seed decides everything."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator import battery as cabinets
from simulator import profile
from simulator.battery import COP
from simulator.site import (
    GATEWAY,
    LOAD,
    MAX_STEP_S,
    PV,
    STORAGE,
    TARIFF,
    VALLEY,
    Battery,
    Plan,
    Spec,
    State,
    advance,
    begin,
    replan,
    step,
)

START = 1_750_003_200.0  # 2025-06-16 00:00 at UTC+8, a Monday

batteries = st.builds(
    Battery,
    capacity_kwh=st.floats(20, 2000),
    power_kw=st.floats(5, 1000),
    cabinets=st.integers(1, 4),
    charge_efficiency=st.floats(0.85, 1.0),
    discharge_efficiency=st.floats(0.85, 1.0),
)
specs = st.builds(
    Spec,
    seed=st.integers(0, 2**32 - 1),
    base_kw=st.floats(1, 200),
    swing_kw=st.floats(0, 800),
    pv_peak_kw=st.floats(0, 900),
    battery=batteries,
    latitude=st.floats(-50, 60),
    longitude=st.floats(-180, 180),
)
months = st.lists(st.floats(0, 900), min_size=12, max_size=12).map(tuple)
plans = st.builds(Plan, demand_kw=st.none() | months, export_kw=st.none() | st.floats(0, 500))
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
few = settings(calm, max_examples=25)
steps = st.lists(st.floats(0.5, 1800), min_size=1, max_size=30)


def forward(state: State, place: int) -> float:
    return math.fsum(state.meters[place].forward)


def reverse(state: State, place: int) -> float:
    return math.fsum(state.meters[place].reverse)


@calm
@given(specs, plans, st.floats(0.1, 0.9), steps)
def test_powers_add_up_and_registers_are_the_integral_of_power(
    spec: Spec, plan: Plan, soc: float, dts: list[float]
) -> None:
    state = begin(spec, START, soc, plan)
    imported = exported = charged = discharged = generated = consumed = 0.0
    for dt in dts:
        state = step(state, dt)
        hours = dt / 3600
        assert state.gateway_kw == state.load_kw - state.pv_kw + state.storage_kw
        assert state.load_kw >= 0
        assert state.pv_kw >= 0
        imported += max(state.gateway_kw, 0) * hours
        exported += max(-state.gateway_kw, 0) * hours
        charged += max(state.storage_kw, 0) * hours
        discharged += max(-state.storage_kw, 0) * hours
        generated += state.pv_kw * hours
        consumed += state.load_kw * hours
    assert forward(state, GATEWAY) == pytest.approx(imported, abs=1e-6)
    assert reverse(state, GATEWAY) == pytest.approx(exported, abs=1e-6)
    assert forward(state, STORAGE) == pytest.approx(charged, abs=1e-6)
    assert reverse(state, STORAGE) == pytest.approx(discharged, abs=1e-6)
    assert (forward(state, PV), reverse(state, PV)) == (pytest.approx(generated, abs=1e-6), 0)
    assert (forward(state, LOAD), reverse(state, LOAD)) == (pytest.approx(consumed, abs=1e-6), 0)
    assert imported + generated + discharged == pytest.approx(consumed + charged + exported, abs=1e-6)


@calm
@given(specs, plans, st.floats(0.1, 0.9), steps)
def test_the_battery_keeps_its_limits_and_its_energy(spec: Spec, plan: Plan, soc: float, dts: list[float]) -> None:
    battery = spec.battery
    state = begin(spec, START, soc, plan)
    for dt in dts:
        before, state = state, step(state, dt)
        assert abs(state.storage_kw) <= battery.power_kw + 1e-9
        assert battery.soc_min - 1e-9 <= state.soc <= battery.soc_max + 1e-9
        moved = state.energy_kwh - before.energy_kwh
        share = battery.charge_efficiency if state.storage_kw >= 0 else 1 / battery.discharge_efficiency
        assert moved == pytest.approx(state.storage_kw * share * dt / 3600, abs=1e-6)
    booked = state.dc_charged_kwh - state.dc_discharged_kwh
    assert state.energy_kwh == pytest.approx(soc * battery.capacity_kwh + booked, abs=1e-6)


@calm
@given(specs, plans, st.floats(0.1, 0.9), steps)
def test_limits_hold_whenever_the_battery_can_keep_them(spec: Spec, plan: Plan, soc: float, dts: list[float]) -> None:
    battery = spec.battery
    state = begin(spec, START, soc, plan)
    for dt in dts:
        state = step(state, dt)
        month = datetime.fromtimestamp(state.at - dt / 2 + spec.utc_offset_s, UTC).month
        if plan.demand_kw is not None and state.gateway_kw > plan.demand_kw[month - 1] + 1e-6:
            at_full_power = state.storage_kw <= -battery.power_kw + 1e-6
            empty = state.soc <= battery.soc_min + 1e-6
            assert at_full_power or empty
        if plan.export_kw is not None:
            assert state.gateway_kw >= -plan.export_kw - 1e-6


@calm
@given(specs, steps)
def test_registers_only_grow(spec: Spec, dts: list[float]) -> None:
    state = begin(spec, START)
    for dt in dts:
        before, state = state, step(state, dt)
        for old, new in zip(before.meters, state.meters, strict=True):
            assert all(a <= b for a, b in zip(old.forward + old.reverse, new.forward + new.reverse, strict=True))


@few
@given(specs, plans)
def test_the_same_seed_gives_the_same_day(spec: Spec, plan: Plan) -> None:
    one = advance(begin(spec, START, plan=plan), START + 86_400)
    two = advance(begin(spec, START, plan=plan), START + 86_400)
    assert one == two


@few
@given(specs, st.lists(st.floats(1, 7200), min_size=1, max_size=12))
def test_advance_arrives_however_it_is_split(spec: Spec, dts: list[float]) -> None:
    """Load and sun are functions of time, so registers of two ways through a day differ by the step error only."""
    end = START + math.fsum(dts)
    once = advance(begin(spec, START), end)
    state = begin(spec, START)
    for dt in dts:
        state = advance(state, state.at + dt)
    state = advance(state, end)
    assert state.at == pytest.approx(end, abs=1e-5)
    assert once.at == pytest.approx(end, abs=1e-5)
    total = forward(once, LOAD)
    air = 2 * cabinets._AIR_SHARE * spec.battery.power_kw / COP * MAX_STEP_S / 3600.0  # what cools follows a step later
    assert forward(state, LOAD) == pytest.approx(total, rel=0.02, abs=air)


@pytest.fixture
def site() -> Spec:
    return Spec(seed=7, base_kw=60, swing_kw=300, pv_peak_kw=250, battery=Battery(209, 100, 2))


def test_energy_is_booked_under_the_tariff_of_its_hour(site: Spec) -> None:
    for hour in range(24):
        state = advance(begin(site, START + hour * 3600), START + (hour + 1) * 3600)
        booked = [period for period, kwh in enumerate(state.meters[LOAD].forward) if kwh > 0]
        assert booked == [TARIFF[hour]]


def test_the_battery_charges_in_the_valley_and_serves_the_peak(site: Spec) -> None:
    night = advance(begin(site, START, soc=0.3), START + 3600)
    assert TARIFF[0] == VALLEY
    assert night.storage_kw > 0
    peak = advance(begin(site, START + 10 * 3600, soc=0.9), START + 10.5 * 3600)
    assert peak.storage_kw < 0
    assert peak.gateway_kw >= 0


def test_a_surplus_of_sun_charges_no_faster_than_the_battery_can() -> None:
    sunny = Spec(seed=7, base_kw=10, swing_kw=0, pv_peak_kw=900, battery=Battery(2000, 50))
    noon = advance(begin(sunny, START + 12 * 3600, soc=0.3), START + 12.2 * 3600)
    assert noon.pv_kw - noon.load_kw > 60
    assert noon.storage_kw == 50
    empty = advance(begin(sunny, START + 18 * 3600, soc=0.9, plan=Plan(demand_kw=(0,) * 12)), START + 19 * 3600)
    assert empty.storage_kw >= -50


def test_demand_is_the_mean_of_the_quarter_hour(site: Spec) -> None:
    state, energy, best, best_at = begin(site, START), 0.0, 0.0, 0.0
    for n in range(1, 60 * 24 + 1):
        state = advance(state, START + n * 60)
        energy += state.load_kw / 60
        if n % 15 == 0:
            if energy * 4 > best:
                best, best_at = energy * 4, state.at
            energy = 0.0
    meter = state.meters[LOAD]
    assert meter.demand_forward_kw == pytest.approx(best)
    assert meter.demand_forward_at == best_at


def test_a_lower_limit_shows_at_the_gateway(site: Spec) -> None:
    begun = begin(site, START + 8 * 3600, soc=0.95)
    free = advance(begun, START + 9 * 3600)
    limit = free.gateway_kw - 60
    held = advance(replan(begun, Plan(demand_kw=(limit,) * 12)), START + 9 * 3600)
    assert free.gateway_kw > limit
    assert held.gateway_kw <= limit + 1e-6


def test_a_new_local_day_starts_new_marks(site: Spec) -> None:
    state = advance(begin(site, START + 86_400 - 1800), START + 86_400 - 900)
    assert state.marks.charged_kwh == 0
    state = advance(state, START + 86_400)
    assert state.marks.day == datetime(2025, 6, 17, tzinfo=UTC).toordinal()
    assert state.marks.charged_kwh == pytest.approx(forward(state, STORAGE))


def test_the_sun_follows_day_and_season() -> None:
    noon_june = 1_750_478_400.0  # 2025-06-21 12:00 at UTC+8, about solar noon at 120° E
    assert profile.irradiance(noon_june, 31.2, 120) > 900
    assert profile.irradiance(noon_june + 43_200, 31.2, 120) == 0
    noon_december = noon_june + 183 * 86_400
    assert 300 < profile.irradiance(noon_december, 31.2, 120) < 700
    assert profile.irradiance(noon_december, -31.2, 120) > 900


def test_working_days_draw_more_than_weekends() -> None:
    def day(n: int) -> float:
        at = START + n * 86_400
        return sum(profile.load_kw(3, at + 600 * k, 28_800, 50, 300, 31.2) for k in range(144))

    assert [profile.weekday(START + 28_800 + n * 86_400) for n in range(7)] == list(range(7))
    assert min(day(n) for n in range(5)) > 1.5 * max(day(5), day(6))


def test_noise_is_smooth_and_bounded() -> None:
    values = [profile.noise(5, at, 300) for at in range(0, 30_000, 3)]
    assert all(-1 <= value <= 1 for value in values)
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.05
    assert max(values) > 0.5
    assert min(values) < -0.5
