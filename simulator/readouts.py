"""What the instruments of a site show: phases, meters, a cabinet's battery and cooling. Plain numbers, no message form.

Keys are the vendor's field names (CATALOG.md, pages device-event and device-event-1); kW, kWh, signs as in `site`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from simulator import grid
from simulator.battery import cell_voltage
from simulator.piles import EFFICIENCY, demand_kw
from simulator.profile import ambient_c, noise
from simulator.protection import HOT_C, LOW_V, hottest_c, level, lowest_v
from simulator.site import BUILDING, GATEWAY, LOAD, PILES, PV, STORAGE, Meter, State

Fields = dict[str, Any]

CELLS = 104
"""Cells in series in one cabinet (LFP, 314 Ah), one temperature sensor for every four."""

IDLE_KW = 0.05


class Cabinet(NamedTuple):
    """One cabinet's share of the storage: kW positive when charging; AC side, DC side; kWh; V; A; °C."""

    running_status: int
    ac_kw: float
    dc_kw: float
    kvar: float
    soc: float
    soh: float
    chargeable_kwh: float
    dischargeable_kwh: float
    max_charge_kw: float
    max_discharge_kw: float
    cell_v: float
    voltage: float
    current: float
    cell_c: float
    air_kw: float
    ambient_c: float
    dc_charged_kwh: float
    dc_discharged_kwh: float
    ac_charged_kwh: float
    ac_discharged_kwh: float
    dc_charged_today_kwh: float
    dc_discharged_today_kwh: float
    ac_charged_today_kwh: float
    ac_discharged_today_kwh: float
    capacity_kwh: float
    cooling_c: float
    heating_c: float
    cooled: bool
    closed: bool
    hottest_c: float
    lowest_v: float
    battery_level: int


def cabinet(state: State, place: int = 0) -> Cabinet:
    """One of the site's cabinets."""
    battery, pack, told = state.spec.battery, state.packs[place], state.setting(place)
    n = battery.cabinets
    faults = frozenset(name for name, _ in state.faults)
    soc = state.pack_soc(place)
    capacity = battery.capacity_kwh / n * pack.soh
    cell = cell_voltage(soc)
    share = battery.power_kw / n
    able = share if told.works else 0.0
    hottest, lowest = hottest_c(pack, faults), lowest_v(soc, faults)
    today = [now - then for now, then in zip(pack.counters, pack.day, strict=True)]
    return Cabinet(
        running_status=running_status(pack.ac_kw, told.running and told.closed),
        ac_kw=pack.ac_kw,
        dc_kw=pack.dc_kw,
        kvar=state.kvar / n,
        soc=soc,
        soh=pack.soh,
        chargeable_kwh=max(0.0, battery.soc_max - soc) * capacity,
        dischargeable_kwh=max(0.0, soc - battery.soc_min) * capacity,
        max_charge_kw=able if soc < battery.soc_max - 1e-6 else 0.0,
        max_discharge_kw=able if soc > battery.soc_min + 1e-6 else 0.0,
        cell_v=cell,
        voltage=cell * CELLS,
        current=pack.dc_kw * 1000.0 / (cell * CELLS),
        cell_c=pack.temp_c,
        air_kw=pack.air_kw,
        ambient_c=ambient_c(state.spec.seed, state.at, state.spec.utc_offset_s, state.spec.latitude),
        ac_charged_kwh=pack.ac_charged_kwh,
        ac_discharged_kwh=pack.ac_discharged_kwh,
        dc_charged_kwh=pack.dc_charged_kwh,
        dc_discharged_kwh=pack.dc_discharged_kwh,
        ac_charged_today_kwh=today[0],
        ac_discharged_today_kwh=today[1],
        dc_charged_today_kwh=today[2],
        dc_discharged_today_kwh=today[3],
        capacity_kwh=capacity,
        cooling_c=told.cooling_c,
        heating_c=told.heating_c,
        closed=told.closed,
        cooled=told.cooled and "cooling" not in faults,
        hottest_c=hottest,
        lowest_v=lowest,
        battery_level=max(level(hottest, HOT_C), level(lowest, LOW_V)),
    )


def running_status(ac_kw: float, running: bool) -> int:
    """What a converter says of itself: 1 stopped, 2 standby, 3 charging, 4 discharging."""
    if not running:
        return 1
    return 2 if abs(ac_kw) < IDLE_KW else 3 if ac_kw > 0 else 4


def feeder(state: State, place: int) -> Fields:
    """`three_phases` of one of the site's meters."""
    spec, storage = state.spec, state.storage_kw
    parts = (state.phases[0].power_kw, state.phases[1].power_kw, state.phases[2].power_kw)
    tangent = math.tan(math.acos(spec.power_factor))
    reactive = state.load_kw * tangent
    if place == GATEWAY:
        return three_phases(state, state.gateway_kw, reactive - state.kvar, parts)
    if place in (LOAD, BUILDING):
        piles = state.pile_kw if place == BUILDING else 0.0
        rest, power = (storage - state.pv_kw + piles) / 3.0, state.load_kw - piles
        return three_phases(state, power, power * tangent, (parts[0] - rest, parts[1] - rest, parts[2] - rest))
    if place == STORAGE:
        return three_phases(state, storage, -state.kvar)
    if place == PILES:
        return three_phases(state, state.pile_kw, state.pile_kw * tangent)
    return three_phases(state, state.pv_kw, 0.0)


def three_phases(state: State, power_kw: float, kvar: float, parts: grid.Three | None = None) -> Fields:
    """Power, voltage, current, power factor and frequency of one feeder, in total and by phase (equal ones without `parts`).
    Phases add up to the total."""
    seed, at = state.spec.seed, state.at
    third = power_kw / 3.0
    active = _split(power_kw, parts or (third, third, third))
    reactive = _split(kvar, (kvar / 3.0,) * 3)
    frequency = round(50.0 + 0.02 * noise(seed ^ 0x81, at, 20.0), 3)
    reactive_kvar = state.load_kw * math.tan(math.acos(state.spec.power_factor)) - state.kvar
    volts = grid.volts(seed, at, state.gateway_kw, reactive_kvar, state.spec.transformer_kva)
    out: Fields = {
        "total_active_power": active[3],
        "total_reactive_power": reactive[3],
        "total_apparent_power": round(math.hypot(active[3], reactive[3]), 3),
        "total_power_factor": _factor(active[3], reactive[3]),
        "frequency_grid": frequency,
    }
    for n, phase in enumerate("abc"):
        seen = round(volts + 0.4 * (n - 1), 1)
        apparent = round(math.hypot(active[n], reactive[n]), 3)
        out[f"active_power_phase_{phase}"] = active[n]
        out[f"reactive_power_phase_{phase}"] = reactive[n]
        out[f"apparent_power_phase_{phase}"] = apparent
        out[f"power_factor_phase_{phase}"] = _factor(active[n], reactive[n])
        out[f"voltage_phase_{phase}"] = seen
        out[f"current_phase_{phase}"] = round(apparent * 1000.0 / seen, 2)
        out[f"frequency_phase_{phase}"] = frequency
    return out


def registers(meter: Meter) -> Fields:
    """Forward and reverse energy of a meter: total and by tariff period."""
    out: Fields = {}
    for way, kwh in (("forward", meter.forward), ("reverse", meter.reverse)):
        periods = [round(x, 3) for x in kwh]
        out[f"total_{way}_active_energy"] = round(sum(periods), 3)
        for name, value in zip(_PERIODS, periods, strict=True):
            out[f"{way}_active_energy_{name}"] = value
    return out


def numbered_registers(fields: Fields) -> Fields:
    """The V2 names of the same registers: tariffs 1 to 4, forward, reverse and combined (their sum, as DL/T 645 has it)."""
    out: Fields = {
        "total_active_energy": round(fields["total_forward_active_energy"] + fields["total_reverse_active_energy"], 3)
    }
    for n, name in enumerate(_PERIODS, 1):
        forward, reverse = fields[f"forward_active_energy_{name}"], fields[f"reverse_active_energy_{name}"]
        out[f"forward_active_energy_{n}"] = forward
        out[f"reverse_active_energy_{n}"] = reverse
        out[f"total_active_energy_{n}"] = round(forward + reverse, 3)
    return out


def demands(meter: Meter, power_factor: float, apparent_kva: float) -> Fields:
    """Highest quarter-hour demands and when their quarter hours ended (epoch seconds, 0 = not yet)."""
    tangent = math.sqrt(1.0 - power_factor * power_factor) / power_factor
    forward, reverse = round(meter.demand_forward_kw, 3), round(meter.demand_reverse_kw, 3)
    forward_at, reverse_at = meter.demand_forward_at if forward else 0, meter.demand_reverse_at if reverse else 0
    return {
        "max_demand_forward_active_power": forward,
        "occurred_time_forward_active": forward_at,
        "max_demand_reverse_active_power": reverse,
        "occurred_time_reverse_active": reverse_at,
        "max_demand_forward_reactive_power": round(forward * tangent, 3),
        "occurred_time_forward_reactive": forward_at,
        "max_demand_reverse_reactive_power": round(reverse * tangent, 3),
        "occurred_time_reverse_reactive": reverse_at,
        "instantaneous_apparent_power": apparent_kva,
    }


def cells(state: State, shown: Cabinet, which: int) -> tuple[list[float], list[float]]:
    """Voltages (V) and temperatures (°C) of a cabinet's cells: every cell has its own small, lasting offset."""
    start = (state.spec.seed + 37 * which) % CELLS
    volts = [round(shown.cell_v + x, 3) for x in _OFFSETS[start : start + CELLS]]
    temps = [round(shown.cell_c + 150.0 * x, 1) for x in _OFFSETS[start : start + CELLS // 4]]
    if any(name == "weak_cell" for name, _ in state.faults):
        volts[0] = round(shown.lowest_v, 3)
    if any(name == "hot_cell" for name, _ in state.faults):
        temps[0] = round(shown.hottest_c, 1)
    return volts, temps


def cooling(shown: Cabinet) -> Fields:
    """The cabinet's air conditioner, with the set-points that it keeps."""
    cools, heats = shown.air_kw > 0.0, shown.air_kw < 0.0
    indoor = round(shown.cell_c - 2.0, 1)
    idle = 4 if shown.cooled else 6
    return {
        "machine_status": 2 if cools else 3 if heats else idle,
        "cooling_status": int(cools),
        "heating_status": int(heats),
        "outdoor_temp": round(shown.ambient_c, 1),
        "coil_temp": round(indoor - (9.0 if cools else 1.0), 1),
        "indoor_temp": indoor,
        "exhaust_temp": round(indoor - (7.0 if cools else 0.5), 1),
        "condensing_temp": round(shown.ambient_c + (12.0 if cools else 1.0), 1),
        "cooling_point": round(shown.cooling_c, 1),
        "heating_point": round(shown.heating_c, 1),
        "cooling_diff": 3.0,
        "heating_diff": 3.0,
    }


def pv_energy(state: State) -> tuple[float, float, float, float]:
    """PV energy in kWh: lifetime, today, this month, this year."""
    total, marks = sum(state.meters[PV].forward), state.marks
    return total, total - marks.pv_day_kwh, total - marks.pv_month_kwh, total - marks.pv_year_kwh


def pile(state: State) -> Fields:
    """The site's charging pile, which is a DC one, and the vehicle at it. Its energies are those that it draws."""
    phases, yard = feeder(state, PILES), state.yard
    vehicle = yard.stalls[0] if yard.stalls else None
    drawn, line = phases["total_active_power"], phases["voltage_phase_a"] * math.sqrt(3.0)
    given = round(drawn * EFFICIENCY, 3)
    volts = round(350.0 + 80.0 * vehicle.soc, 1) if vehicle is not None else 0.0
    asked = max(drawn, min(state.spec.piles.power_kw, demand_kw(vehicle))) if vehicle is not None else 0.0
    return {
        "input_power": drawn,
        "output_power": given,
        "input_voltage": round(line, 1),
        "output_voltage": volts,
        "input_current": round(phases["total_apparent_power"] * 1000.0 / (line * math.sqrt(3.0)), 2),
        "output_current": round(given * 1000.0 / volts, 2) if volts else 0.0,
        "total_apparent_power": phases["total_apparent_power"],
        "total_power_factor": phases["total_power_factor"],
        "total_electric_energy": registers(state.meters[PILES])["total_forward_active_energy"],
        "current_electric_energy": round(vehicle.kwh / EFFICIENCY, 3) if vehicle is not None else 0.0,
        "total_active": drawn,
        "total_reactive_power": phases["total_reactive_power"],
        **{f"{phase}_phase_voltage": phases[f"voltage_phase_{phase}"] for phase in "abc"},
        "frequency_grid": phases["frequency_grid"],
        "vehicle_soc": round(vehicle.soc * 100.0, 1) if vehicle is not None else None,
        "vehicle_demand": round(asked, 3),
        "connector_status": int(vehicle is not None),
        "charging_status": _charging(drawn, asked),
    }


def _charging(drawn: float, asked: float) -> int:
    """0 idle, 1 charging, 4 paused, 5 charging with less than the vehicle asks for."""
    if asked <= 0.0:
        return 0
    if drawn <= 0.0:
        return 4
    return 1 if drawn >= asked - IDLE_KW else 5


def _split(total: float, parts: grid.Three) -> tuple[float, float, float, float]:
    """(a, b, c, total), rounded to watts so that a + b + c = total."""
    whole = round(total, 3) + 0.0
    a, b = round(parts[0], 3) + 0.0, round(parts[1], 3) + 0.0
    return a, b, round(whole - a - b, 3) + 0.0, whole


def _factor(active: float, reactive: float) -> float:
    apparent = math.hypot(active, reactive)
    return round(active / apparent, 3) if apparent else 1.0


_PERIODS = ("sharp", "peak", "flat", "valley")
_OFFSETS = tuple(round(0.006 * noise(0x5EED, n, 0.7), 4) for n in range(2 * CELLS))
