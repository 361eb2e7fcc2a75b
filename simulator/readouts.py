"""What the instruments of a site show: phases, meters, a cabinet's battery and cooling. Plain numbers, no message form.

Keys are the vendor's field names (CATALOG.md, pages device-event and device-event-1); kW, kWh, signs as in `site`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from simulator.profile import ambient_c, noise
from simulator.site import PV, STORAGE, Meter, State

Fields = dict[str, Any]

CELLS = 104
"""Cells in series in one cabinet (LFP, 314 Ah), one temperature sensor for every four."""

IDLE_KW = 0.05
_PHASE_SHARE = (0.338, 0.331)


class Cabinet(NamedTuple):
    """One cabinet's share of the storage: kW positive when charging; AC side, DC side; kWh; V; A; °C."""

    running_status: int
    ac_kw: float
    dc_kw: float
    soc: float
    chargeable_kwh: float
    dischargeable_kwh: float
    max_charge_kw: float
    max_discharge_kw: float
    cell_v: float
    voltage: float
    current: float
    cell_c: float
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


def cabinet(state: State) -> Cabinet:
    """One of the site's equal cabinets."""
    battery, marks, meter = state.spec.battery, state.marks, state.meters[STORAGE]
    n = battery.cabinets
    ac = state.storage_kw / n
    dc = ac * battery.charge_efficiency if ac >= 0 else ac / battery.discharge_efficiency
    soc = state.soc
    capacity = battery.capacity_kwh / n
    cell = _cell_voltage(soc)
    ambient = ambient_c(state.spec.seed, state.at, state.spec.utc_offset_s, state.spec.latitude)
    charged, discharged = sum(meter.forward) / n, sum(meter.reverse) / n
    share = battery.power_kw / n
    return Cabinet(
        running_status=2 if abs(ac) < IDLE_KW else 3 if ac > 0 else 4,
        ac_kw=ac,
        dc_kw=dc,
        soc=soc,
        chargeable_kwh=max(0.0, battery.soc_max - soc) * capacity,
        dischargeable_kwh=max(0.0, soc - battery.soc_min) * capacity,
        max_charge_kw=share if soc < battery.soc_max - 1e-6 else 0.0,
        max_discharge_kw=share if soc > battery.soc_min + 1e-6 else 0.0,
        cell_v=cell,
        voltage=cell * CELLS,
        current=dc * 1000.0 / (cell * CELLS),
        cell_c=23.0 + 0.12 * (ambient - 15.0) + 4.0 * abs(ac) / share,
        ambient_c=ambient,
        dc_charged_kwh=state.dc_charged_kwh / n,
        dc_discharged_kwh=state.dc_discharged_kwh / n,
        ac_charged_kwh=charged,
        ac_discharged_kwh=discharged,
        dc_charged_today_kwh=(state.dc_charged_kwh - marks.dc_charged_kwh) / n,
        dc_discharged_today_kwh=(state.dc_discharged_kwh - marks.dc_discharged_kwh) / n,
        ac_charged_today_kwh=charged - marks.charged_kwh / n,
        ac_discharged_today_kwh=discharged - marks.discharged_kwh / n,
        capacity_kwh=capacity,
    )


def three_phases(state: State, power_kw: float, power_factor: float) -> Fields:
    """Power, voltage, current, power factor and frequency of one feeder, in total and by phase. Phases add up to the total."""
    seed, at = state.spec.seed, state.at
    tangent = math.sqrt(1.0 - power_factor * power_factor) / power_factor
    active = _split(power_kw)
    reactive = _split(abs(power_kw) * tangent)
    frequency = round(50.0 + 0.02 * noise(seed ^ 0x81, at, 20.0), 3)
    swing = 2.0 * noise(seed ^ 0x82, at, 120.0)
    out: Fields = {
        "total_active_power": active[3],
        "total_reactive_power": reactive[3],
        "total_apparent_power": round(math.hypot(active[3], reactive[3]), 3),
        "total_power_factor": _factor(active[3], reactive[3]),
        "frequency_grid": frequency,
    }
    for n, phase in enumerate("abc"):
        volts = round(231.0 + swing + 0.4 * n, 1)
        apparent = round(math.hypot(active[n], reactive[n]), 3)
        out[f"active_power_phase_{phase}"] = active[n]
        out[f"reactive_power_phase_{phase}"] = reactive[n]
        out[f"apparent_power_phase_{phase}"] = apparent
        out[f"power_factor_phase_{phase}"] = _factor(active[n], reactive[n])
        out[f"voltage_phase_{phase}"] = volts
        out[f"current_phase_{phase}"] = round(apparent * 1000.0 / volts, 2)
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
    return {
        "max_demand_forward_active_power": round(meter.demand_forward_kw, 3),
        "occurred_time_forward_active": meter.demand_forward_at,
        "max_demand_reverse_active_power": round(meter.demand_reverse_kw, 3),
        "occurred_time_reverse_active": meter.demand_reverse_at,
        "max_demand_forward_reactive_power": round(meter.demand_forward_kw * tangent, 3),
        "occurred_time_forward_reactive": meter.demand_forward_at,
        "max_demand_reverse_reactive_power": round(meter.demand_reverse_kw * tangent, 3),
        "occurred_time_reverse_reactive": meter.demand_reverse_at,
        "instantaneous_apparent_power": apparent_kva,
    }


def cells(state: State, shown: Cabinet, which: int) -> tuple[list[float], list[float]]:
    """Voltages (V) and temperatures (°C) of a cabinet's cells: every cell has its own small, lasting offset."""
    start = (state.spec.seed + 37 * which) % CELLS
    volts = [round(shown.cell_v + x, 3) for x in _OFFSETS[start : start + CELLS]]
    temps = [round(shown.cell_c + 150.0 * x, 1) for x in _OFFSETS[start : start + CELLS // 4]]
    return volts, temps


def cooling(shown: Cabinet) -> Fields:
    """The cabinet's air conditioner, with the set-points that it keeps."""
    cools, heats = shown.cell_c > 25.0, shown.cell_c < 15.0
    indoor = round(shown.cell_c - 2.0, 1)
    return {
        "machine_status": 2 if cools else 3 if heats else 4,
        "cooling_status": int(cools),
        "heating_status": int(heats),
        "outdoor_temp": round(shown.ambient_c, 1),
        "coil_temp": round(indoor - (9.0 if cools else 1.0), 1),
        "indoor_temp": indoor,
        "exhaust_temp": round(indoor - (7.0 if cools else 0.5), 1),
        "condensing_temp": round(shown.ambient_c + (12.0 if cools else 1.0), 1),
        "cooling_point": 25.0,
        "heating_point": 15.0,
        "cooling_diff": 3.0,
        "heating_diff": 3.0,
    }


def pv_energy(state: State) -> tuple[float, float, float, float]:
    """PV energy in kWh: lifetime, today, this month, this year."""
    total, marks = sum(state.meters[PV].forward), state.marks
    return total, total - marks.pv_day_kwh, total - marks.pv_month_kwh, total - marks.pv_year_kwh


def _cell_voltage(soc: float) -> float:
    """Open-circuit voltage of an LFP cell: flat in the middle, steep at both ends."""
    return 3.20 + 0.14 * soc + 0.10 * math.exp(-(1.0 - soc) / 0.04) - 0.35 * math.exp(-soc / 0.04)


def _split(power_kw: float) -> tuple[float, float, float, float]:
    """(a, b, c, total), rounded to watts so that a + b + c = total."""
    total = round(power_kw, 3) + 0.0
    a, b = round(total * _PHASE_SHARE[0], 3), round(total * _PHASE_SHARE[1], 3)
    return a, b, round(total - a - b, 3), total


def _factor(active: float, reactive: float) -> float:
    apparent = math.hypot(active, reactive)
    return round(active / apparent, 3) if apparent else 1.0


_PERIODS = ("sharp", "peak", "flat", "valley")
_OFFSETS = tuple(round(0.006 * noise(0x5EED, n, 0.7), 4) for n in range(2 * CELLS))
