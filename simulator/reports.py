"""`report/regular/post` of a level-2 EMS: the same site state in the vendor's V1 form and in its V2 form.

A report is several messages, as in the vendor's own samples: one or two for the site, one for each cabinet (its level-1 EMS).
"""

from __future__ import annotations

from typing import NamedTuple

from simulator import readouts
from simulator.identity import METER_IDS, Identity, SubDevice
from simulator.profile import cloudiness, irradiance
from simulator.protection import fire_status
from simulator.readouts import Cabinet, Fields
from simulator.site import BUILDING, GATEWAY, LOAD, PILES, PV, STORAGE, State

_SCENARIO = {STORAGE: 1, PV: 2, PILES: 3}


class Body(NamedTuple):
    """One message's data, and the level-1 EMS that it speaks for (None: the device itself)."""

    data: object
    sub: SubDevice | None = None


def report_v2(identity: Identity, state: State) -> list[Body]:
    """V2: arrays of entries, by type and index."""
    shown = [readouts.cabinet(state, place) for place in range(len(identity.cabinets))]
    site = [
        _entry("ems", {"total": _totals_v2(state, shown), "statistics": _statistics(state)}),
        _entry("sub_elemeters", [_meter_v2(state, place) for place in _heard(state, GATEWAY, STORAGE, LOAD, BUILDING)]),
        _entry("photovoltaic_meter", _meter_v2(state, PV)),
        _entry("photovoltaic_inverter", _inverter(state, shown[0].ambient_c)),
        _entry("pail_meter", _meter_v2(state, PILES)),
        _entry("direct_pail", readouts.pile(state)),
    ]
    each = zip(shown, identity.cabinets, strict=True)
    return [Body(site), *(Body(_cabinet_v2(state, one, sub), sub) for one, sub in each)]


def report_v1(identity: Identity, state: State) -> list[Body]:
    """V1: one object of one type a message."""
    shown = [readouts.cabinet(state, place) for place in range(len(identity.cabinets))]
    return [
        Body({"type": "ems", "data": {"total": _totals(state, shown), "statistics": _statistics(state)}}),
        Body(
            {
                "type": "sub_elemeters",
                "data": [_meter_v1(state, n) for n in _heard(state, *range(len(METER_IDS)))],
            }
        ),
        *(
            Body({"type": "sub_ems", "data": _cabinet_v1(state, one, sub)}, sub)
            for one, sub in zip(shown, identity.cabinets, strict=True)
        ),
    ]


def _heard(state: State, *places: int) -> list[int]:
    """The meters that can be read."""
    lost = any(name == "meter" for name, _ in state.faults)
    return [place for place in places if place != GATEWAY or not lost]


def _entry(kind: str, data: object) -> Fields:
    return {"type": kind, "index": 0, "data": data}


def _totals(state: State, shown: list[Cabinet]) -> Fields:
    phases = readouts.feeder(state, STORAGE)
    return {
        "running_status": 2,
        "soc": round(state.soc * 100.0, 2),
        "pcs_total_active_power": phases["total_active_power"],
        "pcs_total_reactive_power": phases["total_reactive_power"],
        "current_chargeable_energy": round(sum(one.chargeable_kwh for one in shown), 2),
        "current_dischargeable_energy": round(sum(one.dischargeable_kwh for one in shown), 2),
    }


def _totals_v2(state: State, shown: list[Cabinet]) -> Fields:
    return _totals(state, shown) | {
        "max_charge_power": round(sum(one.max_charge_kw for one in shown), 1),
        "max_discharge_power": round(sum(one.max_discharge_kw for one in shown), 1),
        "device_count": len(shown),
    }


def _statistics(state: State) -> list[Fields]:
    """All of a simulated site's storage is below its gateway meter."""
    return [
        {
            "ele_meter_id": METER_IDS[GATEWAY],
            "running_status": 2,
            "pcs_total_active_power": round(state.storage_kw, 3),
            "soc": round(state.soc * 100.0, 2),
        }
    ]


def _meter_v1(state: State, place: int) -> Fields:
    phases = readouts.feeder(state, place)
    purpose = 1 if place == GATEWAY else 2
    return {
        "id": METER_IDS[place],
        "uid": "",
        "purpose": purpose,
        **phases,
        **readouts.registers(state.meters[place]),
    }


def _meter_v2(state: State, place: int) -> Fields:
    fields = _meter_v1(state, place)
    head: Fields = {"device_id": fields.pop("id"), "uid": fields.pop("uid"), "purpose": fields.pop("purpose")}
    if place in _SCENARIO:
        head["scenario"] = _SCENARIO[place]
    meter = state.meters[place]
    factor = max(0.1, abs(fields["total_power_factor"])) if fields["total_active_power"] else 1.0
    tail = readouts.demands(meter, factor, fields["total_apparent_power"])
    return head | fields | readouts.numbered_registers(fields) | tail


def _cabinet_v1(state: State, shown: Cabinet, sub: SubDevice) -> Fields:
    cooling = readouts.cooling(shown)
    for newer in ("condensing_temp", "cooling_diff", "heating_diff"):
        del cooling[newer]
    return {
        "uid": sub.uid,
        "bms": _bms_v1(state, shown, sub),
        "pcs": _pcs(state, shown) | _pcs_sensors(shown),
        "ems": {"mode": 1},
        "cooling_method": "air",
        "cooling": cooling,
        "fire": {"fire_status": fire_status(state.faults)},
    }


def _cabinet_v2(state: State, shown: Cabinet, sub: SubDevice) -> list[Fields]:
    fire = {
        "fire_status": fire_status(state.faults),
        "fire_flammable_gas_alarm_status": 0,
        "fire_safety_equipments_status": 0,
        "fire_safety_system": 0,
        "fire_temperature_sensor": round(shown.cell_c - 1.0, 1),
        "fire_humidity_sensor": 45.0,
    }
    return [
        _entry("sub_ems_bms", _bms_v2(state, shown, sub)),
        _entry("sub_ems_pcs", _pcs(state, shown)),
        _entry("sub_ems_aircon", readouts.cooling(shown)),
        _entry("sub_ems_fire", fire),
    ]


def _bms_v1(state: State, shown: Cabinet, sub: SubDevice) -> Fields:
    volts, temps = readouts.cells(state, shown, sub.id)
    high_v, low_v, high_t, low_t = max(volts), min(volts), max(temps), min(temps)
    return {
        "running_status": shown.running_status,
        "total_alarm_status": int(shown.battery_level > 0),
        "total_fault_status": int(shown.battery_level > 2),
        "high_voltage_closed_status": int(shown.closed),
        "soc": round(shown.soc * 100.0, 2),
        "soh": round(shown.soh * 100.0, 1),
        "current_chargeable_energy": round(shown.chargeable_kwh, 2),
        "current_dischargeable_energy": round(shown.dischargeable_kwh, 2),
        "charge_accumulated_energy": round(shown.dc_charged_kwh, 2),
        "discharge_accumulated_energy": round(shown.dc_discharged_kwh, 2),
        "daily_charge_energy": round(shown.dc_charged_today_kwh, 2),
        "daily_discharge_energy": round(shown.dc_discharged_today_kwh, 2),
        "total_voltage": round(shown.voltage, 1),
        "total_current": round(shown.current, 2) + 0.0,
        "power": round(shown.dc_kw, 3) + 0.0,
        "max_allowed_charge_current": round(shown.max_charge_kw * 1000.0 / shown.voltage, 1),
        "max_allowed_discharge_current": round(shown.max_discharge_kw * 1000.0 / shown.voltage, 1),
        "lowest_cell_temp": low_t,
        "lowest_temp_id": temps.index(low_t) + 1,
        "highest_cell_temp": high_t,
        "highest_temp_id": temps.index(high_t) + 1,
        "temp_diff": round(high_t - low_t, 1),
        "lowest_cell_voltage": low_v,
        "lowest_voltage_id": volts.index(low_v) + 1,
        "highest_cell_voltage": high_v,
        "highest_voltage_id": volts.index(high_v) + 1,
        "voltage_diff": round(high_v - low_v, 3),
        "cell_voltage": volts,
        "cell_temp": temps,
    }


def _bms_v2(state: State, shown: Cabinet, sub: SubDevice) -> Fields:
    fields = _bms_v1(state, shown, sub)
    volts, temps = fields["cell_voltage"], fields["cell_temp"]
    fields["current_dis_chargeable_energy"] = fields.pop("current_dischargeable_energy")
    fields["max_allowed_dis_charge_current"] = fields.pop("max_allowed_discharge_current")
    return fields | {
        "max_allowed_charge_power": round(shown.max_charge_kw, 1),
        "max_allowed_discharge_power": round(shown.max_discharge_kw, 1),
        "highest_voltage_pack": 1,
        "lowest_voltage_pack": 1,
        "highest_temp_pack": 1,
        "lowest_temp_pack": 1,
        "average_cell_voltage": round(sum(volts) / len(volts), 3),
        "average_cell_temperature": round(sum(temps) / len(temps), 1),
    }


def _pcs(state: State, shown: Cabinet) -> Fields:
    phases = readouts.three_phases(state, shown.ac_kw, -shown.kvar)
    fields: Fields = {"running_status": shown.running_status}
    for name, value in phases.items():
        if "apparent" not in name:
            fields[f"pcs_{name}"] = value
    line = round(phases["voltage_phase_a"] * 3**0.5, 1)
    heat = 0.15 * abs(shown.ac_kw)
    return fields | {
        "pcs_ac_daily_charge_energy": round(shown.ac_charged_today_kwh, 2),
        "pcs_ac_daily_discharge_energy": round(shown.ac_discharged_today_kwh, 2),
        "pcs_ac_charge_accumulated_energy": round(shown.ac_charged_kwh, 2),
        "pcs_ac_discharge_accumulated_energy": round(shown.ac_discharged_kwh, 2),
        "pcs_input_power": round(shown.dc_kw, 3) + 0.0,
        "pcs_input_voltage": round(shown.voltage, 1),
        "pcs_input_current": round(shown.current, 2) + 0.0,
        "pcs_alarm_status": 0,
        "pcs_fault_status": 0,
        "pcs_grid_voltage_ab": line,
        "pcs_grid_voltage_bc": round(line + 0.3, 1),
        "pcs_grid_voltage_ca": round(line - 0.2, 1),
        "pcs_internal_temp": round(shown.ambient_c + 6.0 + heat, 1),
        "igbt_temp_phase_a": round(shown.ambient_c + 9.0 + 2 * heat, 1),
        "igbt_temp_phase_b": round(shown.ambient_c + 9.4 + 2 * heat, 1),
        "igbt_temp_phase_c": round(shown.ambient_c + 9.1 + 2 * heat, 1),
    }


def _pcs_sensors(shown: Cabinet) -> Fields:
    warm = round(shown.ambient_c + 9.2 + 0.3 * abs(shown.ac_kw), 1)
    return {"soc_temp": round(warm + 4.0, 1)} | {f"igbt_temp_{n}": round(warm + 0.1 * n, 1) for n in range(1, 5)}


def _inverter(state: State, outside_c: float) -> Fields:
    spec, at = state.spec, state.at
    phases = readouts.feeder(state, PV)
    power, efficiency = phases["total_active_power"], 0.983
    direct = round(power / efficiency, 3)
    volts = 640.0 if power > 0.0 else 0.0
    amps = round(direct * 1000.0 / volts, 2) if volts else 0.0
    total, today, month, year = readouts.pv_energy(state)
    sun = irradiance(at, spec.latitude, spec.longitude) * cloudiness(spec.seed, at)
    fields: Fields = {
        "direct_current_voltage": volts,
        "direct_current_current": amps,
        "direct_current_input_power": direct,
        "alternating_current_output_power": power,
        "total_active_power": power,
        "total_reactive_power": phases["total_reactive_power"],
        "alternating_current_output_frequency": phases["frequency_grid"],
        "inverter_efficiency": round(efficiency * 100.0, 1) if power else 0.0,
        "inverter_internal_temp": round(outside_c + 5.0 + 0.05 * power, 1),
        "inverter_heatsink_temp": round(outside_c + 8.0 + 0.08 * power, 1),
        "running_status": 5 if power > 0.0 else 2,
        "fault_status": 0,
        "alternating_current_output_power_factor": phases["total_power_factor"],
        "ambient_temp": round(outside_c, 1),
        "irradiance": round(sun, 1),
        "cumulative_power_generation": round(total, 2),
        "cumulative_power_generation_today": round(today, 2),
        "cumulative_power_generation_month": round(month, 2),
        "cumulative_power_generation_year": round(year, 2),
    }
    for phase in "abc":
        fields[f"alternating_current_voltage_{phase}"] = phases[f"voltage_phase_{phase}"]
        fields[f"alternating_current_current_{phase}"] = phases[f"current_phase_{phase}"]
    for n in range(1, 21):
        fields[f"dc_voltage_{n}"] = volts
        fields[f"dc_current_{n}"] = round(amps / 20.0, 2)
    return fields
