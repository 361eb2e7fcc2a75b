"""What a V2 report says of meters, PV and charging piles. Source: device-event-1 page."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct

from schemas.scalars import (
    KVA,
    KW,
    Amp,
    DegC,
    EpochSeconds,
    Hertz,
    KVar,
    KWh,
    Maybe,
    Number,
    Percent,
    Text,
    Volt,
    WattPerM2,
    Whole,
    values,
)


class SubEleMeterDataV2(Struct, gc=False, kw_only=True):
    """One meter, keyed by `device_id`; PV and pile meters have neither that nor `purpose`."""

    device_id: Whole = UNSET
    uid: Text = UNSET
    purpose: Maybe[Annotated[int, values(_1="gateway meter", _2="metering meter")]] = UNSET
    scenario: Maybe[Annotated[int, values(_1="energy storage", _2="photovoltaic", _3="charging pile")]] = UNSET
    total_active_power: KW = UNSET
    active_power_phase_a: KW = UNSET
    active_power_phase_b: KW = UNSET
    active_power_phase_c: KW = UNSET
    total_reactive_power: KVar = UNSET
    reactive_power_phase_a: KVar = UNSET
    reactive_power_phase_b: KVar = UNSET
    reactive_power_phase_c: KVar = UNSET
    total_apparent_power: KVar = UNSET
    apparent_power_phase_a: KVA = UNSET
    apparent_power_phase_b: KVA = UNSET
    apparent_power_phase_c: KVA = UNSET
    total_power_factor: Number = UNSET
    power_factor_phase_a: Number = UNSET
    power_factor_phase_b: Number = UNSET
    power_factor_phase_c: Number = UNSET
    voltage_phase_a: Volt = UNSET
    voltage_phase_b: Volt = UNSET
    voltage_phase_c: Volt = UNSET
    current_phase_a: Amp = UNSET
    current_phase_b: Amp = UNSET
    current_phase_c: Amp = UNSET
    frequency_grid: Hertz = UNSET
    frequency_phase_a: Hertz = UNSET
    frequency_phase_b: Hertz = UNSET
    frequency_phase_c: Hertz = UNSET
    total_active_energy: KWh = UNSET
    total_active_energy_1: KWh = UNSET
    total_active_energy_2: KWh = UNSET
    total_active_energy_3: KWh = UNSET
    total_active_energy_4: KWh = UNSET
    total_forward_active_energy: KWh = UNSET
    forward_active_energy_sharp: KWh = UNSET
    forward_active_energy_peak: KWh = UNSET
    forward_active_energy_flat: KWh = UNSET
    forward_active_energy_valley: KWh = UNSET
    forward_active_energy_1: KWh = UNSET
    forward_active_energy_2: KWh = UNSET
    forward_active_energy_3: KWh = UNSET
    forward_active_energy_4: KWh = UNSET
    total_reverse_active_energy: KWh = UNSET
    reverse_active_energy_sharp: KWh = UNSET
    reverse_active_energy_peak: KWh = UNSET
    reverse_active_energy_flat: KWh = UNSET
    reverse_active_energy_valley: KWh = UNSET
    reverse_active_energy_1: KWh = UNSET
    reverse_active_energy_2: KWh = UNSET
    reverse_active_energy_3: KWh = UNSET
    reverse_active_energy_4: KWh = UNSET
    max_demand_forward_active_power: KVar = UNSET
    occurred_time_forward_active: EpochSeconds = UNSET
    max_demand_reverse_active_power: KVar = UNSET
    occurred_time_reverse_active: EpochSeconds = UNSET
    max_demand_forward_reactive_power: KVar = UNSET
    occurred_time_forward_reactive: EpochSeconds = UNSET
    max_demand_reverse_reactive_power: KVar = UNSET
    occurred_time_reverse_reactive: EpochSeconds = UNSET
    instantaneous_apparent_power: KVA = UNSET


class PhotovoltaicInverterData(Struct, gc=False, kw_only=True):
    """Entry `photovoltaic_inverter`."""

    direct_current_voltage: Volt = UNSET
    direct_current_current: Amp = UNSET
    alternating_current_voltage_a: Volt = UNSET
    alternating_current_voltage_b: Volt = UNSET
    alternating_current_voltage_c: Volt = UNSET
    alternating_current_current_a: Amp = UNSET
    alternating_current_current_b: Amp = UNSET
    alternating_current_current_c: Amp = UNSET
    direct_current_input_power: KW = UNSET
    alternating_current_output_power: KW = UNSET
    total_active_power: KW = UNSET
    total_reactive_power: KVar = UNSET
    alternating_current_output_frequency: Hertz = UNSET
    inverter_efficiency: Number = UNSET
    inverter_internal_temp: DegC = UNSET
    inverter_heatsink_temp: DegC = UNSET
    running_status: Maybe[Annotated[int, values(_1="stopped", _2="standby", _5="running", _7="fault")]] = UNSET
    fault_status: Whole = UNSET
    alternating_current_output_power_factor: Number = UNSET
    ambient_temp: DegC = UNSET
    irradiance: WattPerM2 = UNSET
    cumulative_power_generation: KWh = UNSET
    cumulative_power_generation_today: KWh = UNSET
    cumulative_power_generation_month: KWh = UNSET
    cumulative_power_generation_year: KWh = UNSET
    dc_voltage_1: Volt = UNSET
    dc_voltage_2: Volt = UNSET
    dc_voltage_3: Volt = UNSET
    dc_voltage_4: Volt = UNSET
    dc_voltage_5: Volt = UNSET
    dc_voltage_6: Volt = UNSET
    dc_voltage_7: Volt = UNSET
    dc_voltage_8: Volt = UNSET
    dc_voltage_9: Volt = UNSET
    dc_voltage_10: Volt = UNSET
    dc_voltage_11: Volt = UNSET
    dc_voltage_12: Volt = UNSET
    dc_voltage_13: Volt = UNSET
    dc_voltage_14: Volt = UNSET
    dc_voltage_15: Volt = UNSET
    dc_voltage_16: Volt = UNSET
    dc_voltage_17: Volt = UNSET
    dc_voltage_18: Volt = UNSET
    dc_voltage_19: Volt = UNSET
    dc_voltage_20: Volt = UNSET
    dc_current_1: Amp = UNSET
    dc_current_2: Amp = UNSET
    dc_current_3: Amp = UNSET
    dc_current_4: Amp = UNSET
    dc_current_5: Amp = UNSET
    dc_current_6: Amp = UNSET
    dc_current_7: Amp = UNSET
    dc_current_8: Amp = UNSET
    dc_current_9: Amp = UNSET
    dc_current_10: Amp = UNSET
    dc_current_11: Amp = UNSET
    dc_current_12: Amp = UNSET
    dc_current_13: Amp = UNSET
    dc_current_14: Amp = UNSET
    dc_current_15: Amp = UNSET
    dc_current_16: Amp = UNSET
    dc_current_17: Amp = UNSET
    dc_current_18: Amp = UNSET
    dc_current_19: Amp = UNSET
    dc_current_20: Amp = UNSET


class AlternatingChargePailData(Struct, gc=False, kw_only=True):
    """Entry `alternating_pail`."""

    total_active: KW = UNSET
    active_power_phase_a: KW = UNSET
    active_power_phase_b: KW = UNSET
    active_power_phase_c: KW = UNSET
    total_reactive_power: KVar = UNSET
    reactive_power_phase_a: KVar = UNSET
    reactive_power_phase_b: KVar = UNSET
    reactive_power_phase_c: KVar = UNSET
    total_apparent_power: KVar = UNSET
    apparent_power_phase_a: KVA = UNSET
    apparent_power_phase_b: KVA = UNSET
    apparent_power_phase_c: KVA = UNSET
    total_power_factor: Number = UNSET
    power_factor_phase_a: Number = UNSET
    power_factor_phase_b: Number = UNSET
    power_factor_phase_c: Number = UNSET
    a_phase_voltage: Volt = UNSET
    b_phase_voltage: Volt = UNSET
    c_phase_voltage: Volt = UNSET
    a_phase_current: Amp = UNSET
    b_phase_current: Amp = UNSET
    c_phase_current: Amp = UNSET
    frequency_grid: Hertz = UNSET
    frequency_phase_a: Hertz = UNSET
    frequency_phase_b: Hertz = UNSET
    frequency_phase_c: Hertz = UNSET
    total_electric_energy: Number = UNSET
    current_electric_energy: Number = UNSET


class DirectChargePailData(Struct, gc=False, kw_only=True):
    """Entry `direct_pail`."""

    input_power: KW = UNSET
    output_power: KW = UNSET
    input_voltage: Number = UNSET
    output_voltage: Number = UNSET
    input_current: Number = UNSET
    output_current: Number = UNSET
    total_apparent_power: KVar = UNSET
    total_power_factor: Number = UNSET
    total_electric_energy: Number = UNSET
    current_electric_energy: Number = UNSET
    total_active: KW = UNSET
    total_reactive_power: Number = UNSET
    a_phase_voltage: Volt = UNSET
    b_phase_voltage: Volt = UNSET
    c_phase_voltage: Volt = UNSET
    frequency_grid: Hertz = UNSET
    vehicle_soc: Percent = UNSET
    vehicle_demand: KW = UNSET
    connector_status: Maybe[Annotated[int, values(_0="not plugged", _1="plugged")]] = UNSET
    charging_status: Maybe[
        Annotated[
            int,
            values(
                _0="idle",
                _1="charging",
                _2="fault",
                _3="starting",
                _4="paused",
                _5="limited",
                _6="offline",
                _7="switching",
                _8="discharging",
                _9="secondary connector",
                _10="waiting",
                _11="paused by the vehicle",
                _12="paused by the charger",
            ),
        ]
    ] = UNSET
