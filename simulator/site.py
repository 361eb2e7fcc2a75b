"""A site: load, PV, charging piles, storage and meters, stepped by a pure function of its state.

`step(state, dt)` knows no clock and does no I/O. Powers are kW, energies kWh, times epoch seconds (UTC). Signs: import and
charging are positive, `pv` is what the inverter delivers and its meter counts forward: `gateway = load - pv + storage` at every
step. A power holds for the whole step, and every register is the integral of its power.
"""

from __future__ import annotations

import math
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from simulator import battery as cabinets
from simulator import grid, piles, program, protection
from simulator.battery import COP, Battery, Pack, Setting
from simulator.meter import BLOCK_S, FLAT, PEAK, SHARP, VALLEY, Meter, count, turn_month
from simulator.outlook import outlook, to_hold
from simulator.piles import Piles, Yard
from simulator.plan import Grid, Order, Plan, edges
from simulator.profile import DAY_S, ambient_c, cloudiness, irradiance, load_kw
from simulator.state import (
    BUILDING,
    GATEWAY,
    LOAD,
    PILES,
    PV,
    STORAGE,
    TARIFF,
    Marks,
    Spec,
    State,
    begin,
    demand_limit,
    local_time,
    replan,
    reset,
)

__all__ = [
    "BLOCK_S",
    "BUILDING",
    "FLAT",
    "GATEWAY",
    "LOAD",
    "MAX_STEP_S",
    "PEAK",
    "PILES",
    "PV",
    "SHARP",
    "STORAGE",
    "TARIFF",
    "VALLEY",
    "Battery",
    "Marks",
    "Meter",
    "Order",
    "Piles",
    "Plan",
    "Setting",
    "Spec",
    "State",
    "advance",
    "begin",
    "demand_limit",
    "local_time",
    "refreshed",
    "replan",
    "reset",
    "step",
]

MAX_STEP_S = 300.0
"""`advance` takes no longer step: load and sun change little in five minutes."""

_EPOCH_ORDINAL = 719_163
_NO_GRID = Grid()
_IDLE = (0.0, 0.0)


def advance(state: State, to: float) -> State:
    """Step to `to`, splitting at quarter hours (tariff and demand blocks begin there), at edges of slots and at `MAX_STEP_S`."""
    plan, offset = state.plan, state.spec.utc_offset_s
    within = (
        edges(plan.orders, plan.pv_orders, plan.pile_orders)
        if plan.orders or plan.pv_orders or plan.pile_orders
        else ()
    )
    while state.at < to:
        dt = min(to - state.at, (math.floor(state.at / BLOCK_S) + 1) * BLOCK_S - state.at, MAX_STEP_S)
        if within:
            second = (state.at + offset) % DAY_S
            dt = min((edge - second for edge in within if 1e-3 < edge - second < dt), default=dt)
        state = step(state, dt)
    return state


def step(state: State, dt: float) -> State:
    """The site `dt` seconds later. The energy of the step is booked under the tariff period of its middle."""
    if dt <= 0.0:
        return state
    spec, plan, hours = state.spec, state.plan, dt / 3600.0
    middle, at = state.at + dt / 2, state.at + dt
    local, outside, available, building, shares = _surroundings(spec, middle)
    pv = min(available, program.pv_limit(plan, local))
    state = refreshed(state)
    building += sum(abs(pack.air_kw) for pack in state.packs) / COP
    yard, pile = _piles(state, hours, local, building - pv)
    load = building + pile
    if pile:
        shares = grid.with_piles(building, shares, pile)
    kws = _storage(state, local, load, pv, shares, dt)
    storage = sum(kws)
    pv = min(pv, _pv_ceiling(plan, spec, load, storage, shares))
    packs, energy, charged, discharged = _run(state, kws, outside, hours)
    powers = (load - pv + storage, storage, pv)
    period = spec.tariff[local.hour]
    old, parts = state.meters, grid.on_phases(load, shares, pv, storage)
    reactive = load * math.tan(math.acos(spec.power_factor))
    loads = count(old[LOAD], load, period, hours, at)
    parted = (
        (count(old[PILES], pile, period, hours, at), count(old[BUILDING], building, period, hours, at))
        if spec.piles.count
        else (old[PILES], loads)
    )
    kvar = 0.0
    if plan.grid != _NO_GRID:
        rated = spec.battery.power_kw * sum(state.setting(n).works for n in range(len(packs))) / len(packs)
        kvar = grid.compensation(
            plan.grid, spec.seed, at, powers[0], reactive, storage, rated, spec.transformer_kva
        )  # fmt: skip
    return _turned(
        State(
            spec,
            at,
            state.marks,
            plan,
            load,
            pv,
            storage,
            energy,
            state.dc_charged_kwh + charged,
            state.dc_discharged_kwh + discharged,
            (
                count(old[0], powers[0], period, hours, at),
                count(old[1], powers[1], period, hours, at),
                count(old[2], powers[2], period, hours, at),
                loads,
                *parted,
            ),
            (
                count(state.phases[0], parts[0], period, hours, at),
                count(state.phases[1], parts[1], period, hours, at),
                count(state.phases[2], parts[2], period, hours, at),
            ),
            packs,
            yard,
            pile,
            available - pv,
            kvar,
            state.faults,
            state.outlook_day,
            state.held,
        )
    )


class _Surroundings(NamedTuple):
    """What does not depend on what the EMS does."""

    local: datetime
    outside_c: float
    pv_kw: float
    building_kw: float
    shares: grid.Three


@lru_cache(maxsize=64)
def _surroundings(spec: Spec, at: float) -> _Surroundings:
    """Kept for the second run of an evaluation, which goes through the same moments beside the first."""
    outside = ambient_c(spec.seed, at, spec.utc_offset_s, spec.latitude)
    sun = irradiance(at, spec.latitude, spec.longitude)
    return _Surroundings(
        local_time(spec, at),
        outside,
        program.pv_kw(spec.pv_peak_kw, sun * cloudiness(spec.seed, at), outside) if sun else 0.0,
        load_kw(spec.seed, at, spec.utc_offset_s, spec.base_kw, spec.swing_kw, spec.latitude),
        grid.phase_shares(spec.phases, spec.seed, at),
    )


def refreshed(state: State) -> State:
    """The state with the faults that are there now, and with an outlook for this day. A step begins with it."""
    spec, plan = state.spec, state.plan
    if spec.fault_share or plan.faults or state.faults:
        there = protection.faults_at(plan, spec.seed, spec.fault_share, state.at)
        before = dict(state.faults)
        if there != before.keys():
            since = tuple((name, before.get(name, state.at)) for name in protection.FAULTS if name in there)
            state = msgspec.structs.replace(state, faults=since)
    if state.outlook_day == state.marks.day:
        return state
    held = () if demand_limit(state) is None else outlook(state)
    return msgspec.structs.replace(state, outlook_day=state.marks.day, held=held)


def _piles(state: State, hours: float, local: datetime, rest_kw: float) -> tuple[Yard, float]:
    """Vehicles come, charge within their schedule and what the transformer has left, and go."""
    spec = state.spec
    if not spec.piles.count:
        return state.yard, 0.0
    end = state.at + hours * 3600.0
    yard = piles.turn(spec.piles, state.yard, spec.seed, state.at, end, spec.utc_offset_s)
    left = spec.transformer_kva * spec.power_factor - rest_kw
    return piles.charge(spec.piles, yard, hours, program.pile_limit(state.plan, local), left)


def _storage(
    state: State, local: datetime, load: float, pv: float, shares: tuple[float, float, float], dt: float
) -> list[float]:
    """The power of every cabinet: what its plan wants, under what it can do and the limits of the site."""
    spec, plan, net, hours = state.spec, state.plan, load - pv, dt / 3600.0
    able = _abilities(state, hours)
    gives, takes = [give for give, _ in able], [take for _, take in able]
    carries = spec.transformer_kva * spec.power_factor
    high = max(0.0, carries - net)
    limit = demand_limit(state)
    if limit is not None:
        high = min(high, program.allowed_kw(limit, state.meters[GATEWAY].block_forward, state.at, dt) - net)
    low = -carries - net
    if plan.export_kw is not None:
        low = max(low, -plan.export_kw - net)
    if plan.phase_export_kw is not None:
        low = max(low, grid.storage_floor(load, shares, pv, plan.phase_export_kw))
    asked = program.instructed(spec.seed, state.at) if plan.regulation else None
    if asked is not None:
        wanted = [asked * spec.battery.power_kw / len(able)] * len(able)
    else:
        rated = spec.battery.power_kw / len(able)
        wanted = program.wishes(plan, local, spec.tariff[local.hour], net, gives, takes, rated)
    if state.held:
        floors, keeps = _keeping(state, able, hours)
        wanted, low = [max(pair) for pair in zip(wanted, floors, strict=True)], max(low, min(high, keeps))
    return program.spread(wanted, gives, takes, low, high)


def _abilities(state: State, hours: float) -> list[tuple[float, float]]:
    """What each cabinet can give and take: nothing where it was stopped or must not run."""
    battery, plan, since = state.spec.battery, state.plan, dict(state.faults)
    if protection.stopped(plan.safety, since, state.at):
        return [_IDLE] * len(state.packs)
    found: list[tuple[float, float]] = []
    depth, faults = (plan.charge_steps, plan.discharge_steps), frozenset(since)
    for n, pack in enumerate(state.packs):
        if not state.setting(n).works:
            found.append(_IDLE)
            continue
        if n and pack is state.packs[n - 1] and found[n - 1] is not _IDLE:
            found.append(found[n - 1])
            continue
        rated = battery.power_kw / battery.cabinets
        cap = protection.cap_kw(plan.safety, pack, state.pack_soc(n), faults, rated)
        found.append(cabinets.limits(battery, pack, state.energy_kwh * pack.share, hours, cap, depth))
    return found


def _keeping(state: State, able: list[tuple[float, float]], hours: float) -> tuple[list[float], float]:
    """The least powers with which the storage holds what the outlook asks for: of each cabinet, since its power is wanted too,
    and of all together."""
    battery = state.spec.battery
    bottom = battery.soc_min * battery.capacity_kwh / battery.cabinets
    here = [
        max(0.0, state.energy_kwh * pack.share - bottom * pack.soh) if give or take else None
        for pack, (give, take) in zip(state.packs, able, strict=True)
    ]
    hold = to_hold(state.held, (state.at + hours * 3600.0 + state.spec.utc_offset_s) % DAY_S)
    held = [kwh for kwh in here if kwh is not None]
    each = [-math.inf if kwh is None else _floor(battery, kwh - hold / len(held), hours) for kwh in here]
    return each, _floor(battery, math.fsum(held) - hold, hours)


def _floor(battery: Battery, spare_kwh: float, hours: float) -> float:
    """The power that takes out what is spare, or puts in what is missing."""
    return -spare_kwh * (battery.discharge_efficiency if spare_kwh >= 0.0 else 1.0 / battery.charge_efficiency) / hours


def _pv_ceiling(
    plan: Plan, spec: Spec, load: float, storage: float, shares: tuple[float, float, float]
) -> float:  # fmt: skip
    """The most that PV may deliver: what the transformer carries and the limits of reverse flow allow."""
    most = load + storage + spec.transformer_kva * spec.power_factor
    if plan.export_kw is not None:
        most = min(most, load + storage + plan.export_kw)
    if plan.phase_export_kw is not None:
        most = min(most, grid.pv_ceiling(load, shares, storage, plan.phase_export_kw))
    return max(0.0, most)


def _run(
    state: State, kws: list[float], outside_c: float, hours: float
) -> tuple[tuple[Pack, ...], float, float, float]:
    """The cabinets after the step, the energy in them, and what went into and out of their cells."""
    battery, cools = state.spec.battery, not any(name == "cooling" for name, _ in state.faults)
    packs, energies, charged, discharged = [], [], 0.0, 0.0
    last, energy = state.packs[0], 0.0
    for n, (pack, kw) in enumerate(zip(state.packs, kws, strict=True)):
        if not (n and pack is state.packs[n - 1] and kw == kws[n - 1] and state.setting(n) == state.setting(n - 1)):
            told = state.setting(n) if cools else Setting(cooled=False)
            last, energy = cabinets.run(battery, pack, state.energy_kwh * pack.share, kw, outside_c, hours, told)
        charged += max(last.dc_kw, 0.0) * hours
        discharged += max(-last.dc_kw, 0.0) * hours
        packs.append(last)
        energies.append(energy)
    total = sum(energies)
    if total > 0.0 and any(pack is not last for pack in packs):
        packs = [cabinets.shared(pack, energy / total) for pack, energy in zip(packs, energies, strict=True)]
    return tuple(packs), total, charged, discharged


def _turned(state: State) -> State:
    """New marks when the local day has changed. The registers of the step that crosses midnight count to its day, and the demand
    of its quarter hour to its month."""
    marks, spec = state.marks, state.spec
    if int((state.at + spec.utc_offset_s) // DAY_S) + _EPOCH_ORDINAL == marks.day:
        return state
    local = local_time(spec, state.at)
    storage, pv = state.meters[STORAGE], sum(state.meters[PV].forward)
    new = Marks(
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
    state = msgspec.structs.replace(state, marks=new, packs=cabinets.new_day(state.packs))
    if local.month == marks.month:
        return state
    meters = tuple(turn_month(meter) for meter in state.meters)
    phases = tuple(turn_month(meter) for meter in state.phases)
    return msgspec.structs.replace(state, meters=meters, phases=phases)
