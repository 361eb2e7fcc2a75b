"""A site: load, PV, storage and meters, stepped by a pure function of its state.

`step(state, dt)` knows no clock and does no I/O. Powers are kW, energies kWh, times epoch seconds (UTC). Signs: import and
charging are positive, `pv` is what the inverter delivers and its meter counts forward: `gateway = load - pv + storage` at every
step. A power holds for the whole step, and every register is the integral of its power.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec

from simulator.profile import DAY_S, cloudiness, irradiance, load_kw

BLOCK_S = 900.0
"""Demand is the mean of a quarter of an hour, aligned to the clock."""

MAX_STEP_S = 300.0
"""`advance` takes no longer step: load and sun change little in five minutes."""

SHARP, PEAK, FLAT, VALLEY = range(4)
TARIFF = (
    (VALLEY,) * 8 + (FLAT, FLAT, PEAK, PEAK) + (FLAT,) * 3 + (PEAK,) * 3 + (SHARP, SHARP, SHARP, PEAK) + (FLAT, FLAT)
)
"""The tariff period of each local hour: sharp, peak, flat, valley."""

GATEWAY, STORAGE, PV, LOAD = range(4)
"""Places of a site's meters in `State.meters`."""

_PV_LOSSES = 0.86
_EPOCH_ORDINAL = 719_163


class Battery(msgspec.Struct, frozen=True, gc=False):
    """Storage of a site: `cabinets` equal cabinets that share every order equally. Figures are of the whole site."""

    capacity_kwh: float
    power_kw: float
    cabinets: int = 1
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    soc_min: float = 0.08
    soc_max: float = 0.96


class Spec(msgspec.Struct, frozen=True):
    """What a site is built of; never changes."""

    seed: int
    base_kw: float
    swing_kw: float
    pv_peak_kw: float
    battery: Battery
    latitude: float = 31.2
    longitude: float = 121.5
    utc_offset_s: float = 28_800.0
    transformer_kva: float = 1000.0
    power_factor: float = 0.95


class Order(msgspec.Struct, frozen=True):
    """A slot of a schedule: from minute `start` to minute `end` of the days that it is for, the storage runs at `kw` (positive:
    charge). Months, weekdays (0 = Monday) and dates count from 0; None is any."""

    start: int
    end: int
    kw: float
    months: frozenset[int]
    week_days: frozenset[int] | None = None
    dates: frozenset[int] | None = None
    year: int | None = None

    def holds(self, local: datetime) -> bool:
        """Whether it is for this moment."""
        return (
            self.start <= local.hour * 60 + local.minute < self.end
            and local.month - 1 in self.months
            and (self.week_days is None or local.weekday() in self.week_days)
            and (self.dates is None or local.day - 1 in self.dates)
            and self.year in (None, local.year)
        )


class Plan(msgspec.Struct, frozen=True):
    """What the EMS was told. `demand_kw` are twelve monthly import limits, January first; `export_kw` bounds what flows back;
    the first of `orders` that holds says what the storage does, within those limits."""

    demand_kw: tuple[float, ...] | None = None
    export_kw: float | None = None
    orders: tuple[Order, ...] = ()


class Meter(msgspec.Struct, frozen=True):
    """A meter. `forward` and `reverse` are kWh by tariff period (sharp, peak, flat, valley) and only grow."""

    power_kw: float = 0.0
    forward: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    reverse: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    block_forward: float = 0.0
    block_reverse: float = 0.0
    demand_forward_kw: float = 0.0
    demand_forward_at: int = 0
    demand_reverse_kw: float = 0.0
    demand_reverse_at: int = 0


class Marks(msgspec.Struct, frozen=True):
    """Register readings at the start of the local day, month and year, for the energies "today", "this month"."""

    day: int
    month: int
    year: int
    charged_kwh: float = 0.0
    discharged_kwh: float = 0.0
    dc_charged_kwh: float = 0.0
    dc_discharged_kwh: float = 0.0
    pv_day_kwh: float = 0.0
    pv_month_kwh: float = 0.0
    pv_year_kwh: float = 0.0


class State(msgspec.Struct, frozen=True):
    """A site at one instant. Powers are those of the step that ended there."""

    spec: Spec
    at: float
    marks: Marks
    plan: Plan = Plan()
    load_kw: float = 0.0
    pv_kw: float = 0.0
    storage_kw: float = 0.0
    energy_kwh: float = 0.0
    dc_charged_kwh: float = 0.0
    dc_discharged_kwh: float = 0.0
    meters: tuple[Meter, Meter, Meter, Meter] = (Meter(), Meter(), Meter(), Meter())

    @property
    def soc(self) -> float:
        """State of charge, 0 to 1."""
        return self.energy_kwh / self.spec.battery.capacity_kwh

    @property
    def gateway_kw(self) -> float:
        """Import at the gateway, kW; negative when the site feeds back."""
        return self.meters[GATEWAY].power_kw


def begin(spec: Spec, at: float, soc: float = 0.5, plan: Plan | None = None) -> State:
    """A site that wakes at `at`, its registers at zero."""
    local = _local(spec, at)
    marks = Marks(local.toordinal(), local.month, local.year)
    return State(spec, at, marks, plan or Plan(), energy_kwh=soc * spec.battery.capacity_kwh)


def replan(state: State, plan: Plan) -> State:
    """The same site under another plan."""
    return msgspec.structs.replace(state, plan=plan)


def advance(state: State, to: float) -> State:
    """Step to `to`, splitting at quarter hours (tariff and demand blocks begin there) and at `MAX_STEP_S`."""
    while state.at < to:
        edge = (math.floor(state.at / BLOCK_S) + 1) * BLOCK_S
        state = step(state, min(to - state.at, edge - state.at, MAX_STEP_S))
    return state


def step(state: State, dt: float) -> State:
    """The site `dt` seconds later. The energy of the step is booked under the tariff period of its middle."""
    spec = state.spec
    battery = spec.battery
    middle = state.at + dt / 2
    local = _local(spec, middle)
    period = TARIFF[local.hour]
    load = load_kw(spec.seed, middle, spec.utc_offset_s, spec.base_kw, spec.swing_kw)
    sun = irradiance(middle, spec.latitude, spec.longitude) * cloudiness(spec.seed, middle)
    pv = spec.pv_peak_kw * _PV_LOSSES * sun / 1000.0
    storage = _settle(state, _wish(state.plan, battery, local, period, load, pv), dt)
    export = state.plan.export_kw
    if export is not None:
        pv = min(pv, max(0.0, load + storage + export))
    direct = storage * battery.charge_efficiency if storage >= 0 else storage / battery.discharge_efficiency
    hours = dt / 3600.0
    moved = direct * hours
    at = state.at + dt
    powers = (load - pv + storage, storage, pv, load)
    old = state.meters
    return State(
        spec,
        at,
        _turn(state, at),
        state.plan,
        load,
        pv,
        storage,
        min(max(state.energy_kwh + moved, 0.0), battery.capacity_kwh),
        state.dc_charged_kwh + max(moved, 0.0),
        state.dc_discharged_kwh + max(-moved, 0.0),
        (
            _count(old[0], powers[0], period, hours, at),
            _count(old[1], powers[1], period, hours, at),
            _count(old[2], powers[2], period, hours, at),
            _count(old[3], powers[3], period, hours, at),
        ),
    )


def _local(spec: Spec, at: float) -> datetime:
    return datetime.fromtimestamp(at + spec.utc_offset_s, UTC)


def _wish(plan: Plan, battery: Battery, local: datetime, period: int, load: float, pv: float) -> float:
    """What the EMS asks of the storage, kW: what its schedule says; else charge in the valley and from surplus sun, and serve the
    load at the peak. Either way it keeps the gateway between the export and the demand limit."""
    net = load - pv
    wish = 0.0
    order = next((order for order in plan.orders if order.holds(local)), None) if plan.orders else None
    if order is not None:
        wish = order.kw
    elif period == VALLEY:
        wish = 0.6 * battery.power_kw
    elif period in (SHARP, PEAK):
        wish = -min(battery.power_kw, max(net, 0.0))
    if net < 0 and order is None:
        wish = max(wish, -net)
    if plan.demand_kw is not None:
        wish = min(wish, plan.demand_kw[local.month - 1] - net)
    if plan.export_kw is not None:
        wish = max(wish, -plan.export_kw - net)
    return wish


def _settle(state: State, wish: float, dt: float) -> float:
    """What the storage can do of a wish: power limit, and the energy that it has or has room for."""
    battery = state.spec.battery
    hours = dt / 3600.0
    if hours <= 0:
        return 0.0
    if wish >= 0:
        room = max(0.0, battery.soc_max * battery.capacity_kwh - state.energy_kwh)
        return min(wish, battery.power_kw, room / battery.charge_efficiency / hours)
    left = max(0.0, state.energy_kwh - battery.soc_min * battery.capacity_kwh)
    return -min(-wish, battery.power_kw, left * battery.discharge_efficiency / hours)


def _count(meter: Meter, power: float, period: int, hours: float, at: float) -> Meter:
    """The meter after a step at `power`; a demand block closes when `at` reaches or passes its end."""
    forward, reverse = meter.forward, meter.reverse
    energy = power * hours
    if energy >= 0:
        forward = _book(forward, period, energy)
        ahead, back = meter.block_forward + energy, meter.block_reverse
    else:
        reverse = _book(reverse, period, -energy)
        ahead, back = meter.block_forward, meter.block_reverse - energy
    top, top_at = meter.demand_forward_kw, meter.demand_forward_at
    low, low_at = meter.demand_reverse_kw, meter.demand_reverse_at
    if at // BLOCK_S > (at - hours * 3600.0) // BLOCK_S:
        mean = BLOCK_S / 3600.0
        if ahead / mean > top:
            top, top_at = ahead / mean, int(at)
        if back / mean > low:
            low, low_at = back / mean, int(at)
        ahead = back = 0.0
    return Meter(power, forward, reverse, ahead, back, top, top_at, low, low_at)


def _book(
    registers: tuple[float, float, float, float], period: int, energy: float
) -> tuple[float, float, float, float]:
    a, b, c, d = registers
    if period == SHARP:
        return (a + energy, b, c, d)
    if period == PEAK:
        return (a, b + energy, c, d)
    if period == FLAT:
        return (a, b, c + energy, d)
    return (a, b, c, d + energy)


def _turn(state: State, at: float) -> Marks:
    """New marks when the local day has changed by `at`. The registers of the step that crosses midnight count to its day."""
    marks = state.marks
    if int((at + state.spec.utc_offset_s) // DAY_S) + _EPOCH_ORDINAL == marks.day:
        return marks
    local = _local(state.spec, at)
    storage, pv = state.meters[STORAGE], sum(state.meters[PV].forward)
    return Marks(
        local.toordinal(),
        local.month,
        local.year,
        sum(storage.forward),
        sum(storage.reverse),
        state.dc_charged_kwh,
        state.dc_discharged_kwh,
        pv,
        pv if local.month != marks.month else marks.pv_month_kwh,
        pv if local.year != marks.year else marks.pv_year_kwh,
    )
