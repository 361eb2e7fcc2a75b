"""Protection of storage: charge depth and safety stops. Source: charge-depth and safety pages.

A device reports both; nothing sets them over MQTT. The vendor gives cell voltages and powers no unit.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from schemas.scalars import values

Switch: TypeAlias = Annotated[int, values(_0="off", _1="on")]
Soc: TypeAlias = Annotated[float, Meta(extra_json_schema={"x-unit": "%", "description": "0: not configured"})]
Cell: TypeAlias = Annotated[
    float, Meta(extra_json_schema={"description": "limit of a cell's voltage; 0: not configured"})
]
Output: TypeAlias = Annotated[float, Meta(extra_json_schema={"description": "output power at this step"})]
Minutes: TypeAlias = Annotated[float, Meta(extra_json_schema={"x-unit": "min"})]


class ChargePercentage(Struct, gc=False, kw_only=True):
    """Four steps in which charging is throttled towards full, and four in which discharging is towards empty."""

    charge_depth_on: Switch
    charge_energy_soc_1: Soc
    charge_cell_voltage_1: Cell
    charge_cell_power_1: Output
    charge_energy_soc_2: Soc
    charge_cell_voltage_2: Cell
    charge_cell_power_2: Output
    charge_energy_soc_3: Soc
    charge_cell_voltage_3: Cell
    charge_cell_power_3: Output
    charge_energy_soc_4: Soc
    charge_cell_voltage_4: Cell
    charge_cell_power_4: Output
    discharge_depth_on: Switch
    discharge_energy_soc_1: Soc
    discharge_cell_voltage_1: Cell
    discharge_cell_power_1: Output
    discharge_energy_soc_2: Soc
    discharge_cell_voltage_2: Cell
    discharge_cell_power_2: Output
    discharge_energy_soc_3: Soc
    discharge_cell_voltage_3: Cell
    discharge_cell_power_3: Output
    discharge_energy_soc_4: Soc
    discharge_cell_voltage_4: Cell
    discharge_cell_power_4: Output


class SafetyPolicy(Struct, gc=False, kw_only=True):
    """What stops a device or takes power from it: alarms of level 3 and 2 of the battery, fire, water, heat, lost devices."""

    bms_3: Switch
    fire_control: Switch
    flooding: Switch
    aircon: Switch
    aircon_mins: Minutes
    temp: Switch
    temp_celsius: Annotated[float, Meta(extra_json_schema={"x-unit": "°C"})]
    grounded: Switch
    grounded_mins: Minutes
    bms_2: Switch
    bms_2_kw: Annotated[float, Meta(extra_json_schema={"x-unit": "kW"})]
    meter_offline_power0: Switch
    meter_offline_mins: Minutes
