"""What settings of a device make its site do: converters, batteries and cooling of each cabinet, protection, reactive power.

Nobody states which value of `high_voltage_command` closes a contactor, or the unit of the powers of the charge depth: here 1
closes, and they are kW of a cabinet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from simulator.battery import Setting, Steps
from simulator.plan import Grid, Plan, Safety
from simulator.readouts import Fields
from simulator.site import reset

if TYPE_CHECKING:
    from simulator.device import Device

_STEPS = (1, 2, 3, 4)


def delivered(charge_depth: Fields, reactive: Fields) -> Plan:
    """The plan of a new EMS: protected, and under instructions of the grid."""
    plan = Plan(regulation=True, grid=Grid(power_factor=_lowest(reactive, "phase_min_power_factor")))
    return _depth(plan, charge_depth)


def policy_acts(device: Device, feature: str, kept: Fields, now: float) -> None:
    """A setting of the whole EMS was changed."""
    plan, replace = device.site.plan, msgspec.structs.replace
    if feature == "charge_percentage":
        plan = _depth(plan, kept)
    elif feature == "safety":
        plan = replace(plan, safety=msgspec.convert(kept, Safety, strict=False))
    elif feature == "reactive_power_control":
        factor = _lowest(kept, "phase_min_power_factor") if kept["mode"] == 1 else None
        plan = replace(plan, grid=replace(plan.grid, power_factor=factor))
    elif feature == "voltage_control":
        low = _highest(kept, "phase_voltage_lower_limit_threshold")
        high = _lowest(kept, "phase_voltage_upper_limit_threshold")
        plan = replace(plan, grid=replace(plan.grid, volts_low=low, volts_high=high))
    elif feature == "air_strategy":
        points = {"cooling_c": float(kept["cooling_point"]), "heating_c": float(kept["heating_point"])}
        plan = replace(plan, settings=tuple(replace(told, **points) for told in _settings(device)))
    device.follow(plan, now)


def control_acts(device: Device, feature: str, place: int, kept: Fields, wanted: Fields, now: float) -> None:
    """A cabinet was set. A stop lasts until a start, an emergency stop until the faults are reset."""
    settings = _settings(device)
    told = settings[place]
    if feature == "pcs_control":
        told = _converter(told, kept, wanted)
    elif feature == "bms_control":
        told = msgspec.structs.replace(told, closed=kept["high_voltage_command"] != 0)
    else:
        told = msgspec.structs.replace(
            told,
            cooled=kept["power_on"] != 0,
            heating_c=float(kept["target_heating_point"]),
            cooling_c=float(kept["target_cooling_point"]),
        )
    settings[place] = told
    device.follow(msgspec.structs.replace(device.site.plan, settings=tuple(settings)), now)
    charged, discharged = (wanted.get(f"pcs_reset_cumulative_{way}") == 1 for way in ("charge", "discharge"))
    if charged or discharged:
        device.site = reset(device.site, place, charged, discharged)


def _converter(told: Setting, kept: Fields, wanted: Fields) -> Setting:
    if wanted.get("pcs_device_startup") == 1 and wanted.get("pcs_device_stop") != 1:
        kept["pcs_device_stop"] = 0
    if wanted.get("pcs_fault_reset") == 1 and wanted.get("pcs_remote_emergency_stop") != 1:
        kept["pcs_remote_emergency_stop"] = 0
    running = kept["pcs_device_stop"] != 1 and kept["pcs_remote_emergency_stop"] != 1
    return msgspec.structs.replace(told, running=running, remote=kept["pcs_remote_local_setting"] == 1)


def _settings(device: Device) -> list[Setting]:
    return [device.site.setting(place) for place in range(len(device.identity.cabinets))]


def _depth(plan: Plan, fields: Fields) -> Plan:
    return msgspec.structs.replace(
        plan, charge_steps=_steps(fields, "charge"), discharge_steps=_steps(fields, "discharge")
    )


def _steps(fields: Fields, way: str) -> Steps:
    if not fields[f"{way}_depth_on"]:
        return ()
    found = (
        tuple(float(fields[f"{way}_{name}_{n}"]) for name in ("energy_soc", "cell_voltage", "cell_power"))
        for n in _STEPS
    )
    return tuple((soc / 100.0, volts, power) for soc, volts, power in found if soc or volts)


def _lowest(fields: Fields, stem: str) -> float | None:
    return min(_phases(fields, stem), default=None)


def _highest(fields: Fields, stem: str) -> float | None:
    return max(_phases(fields, stem), default=None)


def _phases(fields: Fields, stem: str) -> list[Any]:
    """What is set of the three phases; 0 is nothing."""
    return [fields[name] for name in (f"{stem}_{phase}" for phase in "abc") if fields.get(name)]
