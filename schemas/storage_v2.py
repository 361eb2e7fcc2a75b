"""What a V2 report says of storage. Source: device-event-1 page."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct

from schemas.scalars import KW, Amp, Bar, DegC, Hertz, KVar, KWh, Maybe, Number, Percent, Volt, Whole, values


class RegularReportSubEMSFireV2(Struct, gc=False, kw_only=True):
    """Entry `sub_ems_fire`."""

    fire_status: Maybe[Annotated[int, values(_0="no smoke alarm", _1="smoke alarm")]] = UNSET
    fire_flammable_gas_alarm_status: Maybe[Annotated[int, values(_0="no gas alarm", _1="gas alarm")]] = UNSET
    fire_safety_equipments_status: Maybe[Annotated[int, values(_0="normal", _1="activated")]] = UNSET
    fire_safety_system: Maybe[Annotated[int, values(_0="normal", _1="fault")]] = UNSET
    fire_temperature_sensor: Number = UNSET
    fire_humidity_sensor: Number = UNSET


class RegularReportSubEMSAirconV2(Struct, gc=False, kw_only=True):
    """Entry `sub_ems_aircon`."""

    machine_status: Maybe[
        Annotated[
            int,
            values(
                _0="unknown",
                _1="off",
                _2="cooling",
                _3="heating",
                _4="self-circulation",
                _5="auto",
                _6="standby",
                _7="fan only",
            ),
        ]
    ] = UNSET
    cooling_status: Maybe[Annotated[int, values(_0="stopped", _1="running")]] = UNSET
    heating_status: Maybe[Annotated[int, values(_0="stopped", _1="running")]] = UNSET
    coil_temp: DegC = UNSET
    condensing_temp: DegC = UNSET
    exhaust_temp: DegC = UNSET
    outdoor_temp: DegC = UNSET
    indoor_temp: DegC = UNSET
    cooling_point: DegC = UNSET
    heating_point: DegC = UNSET
    cooling_diff: Number = UNSET
    heating_diff: Number = UNSET


class RegularReportSubEMSLiquidconV2(Struct, gc=False, kw_only=True):
    """Entry `sub_ems_liquidcon`."""

    machine_status: Maybe[
        Annotated[
            int,
            values(
                _0="unknown",
                _1="off",
                _2="cooling",
                _3="heating",
                _4="self-circulation",
                _5="auto",
                _6="standby",
                _7="fan only",
            ),
        ]
    ] = UNSET
    indoor_temp: DegC = UNSET
    inlet_temp: DegC = UNSET
    outlet_temp: DegC = UNSET
    inlet_pressure: Bar = UNSET
    outlet_pressure: Bar = UNSET
    ambient_temperature: DegC = UNSET
    compressor_power: KW = UNSET
    cooling_point: DegC = UNSET
    heating_point: DegC = UNSET
    cooling_diff: Number = UNSET
    heating_diff: Number = UNSET


class RegularReportSubEMSBMSV2(Struct, gc=False, kw_only=True):
    """Entry `sub_ems_bms`. Sampled cell voltages look like millivolts under the label V."""

    running_status: Maybe[
        Annotated[
            int,
            values(
                _0="unknown",
                _1="stopped",
                _2="standby",
                _3="charging",
                _4="discharging",
                _5="running",
                _6="offline",
                _7="fault",
            ),
        ]
    ] = UNSET
    total_alarm_status: Maybe[Annotated[int, values(_0="normal", _1="alarm")]] = UNSET
    total_fault_status: Maybe[Annotated[int, values(_0="normal", _1="fault")]] = UNSET
    high_voltage_closed_status: Maybe[Annotated[int, values(_0="open", _1="closed")]] = UNSET
    soc: Percent = UNSET
    soh: Percent = UNSET
    current_chargeable_energy: KWh = UNSET
    current_dis_chargeable_energy: KWh = UNSET
    total_voltage: Volt = UNSET
    total_current: Amp = UNSET
    power: KW = UNSET
    charge_accumulated_energy: KWh = UNSET
    discharge_accumulated_energy: KWh = UNSET
    daily_charge_energy: KWh = UNSET
    daily_discharge_energy: KWh = UNSET
    max_allowed_charge_power: KW = UNSET
    max_allowed_discharge_power: KW = UNSET
    max_allowed_charge_current: Amp = UNSET
    max_allowed_dis_charge_current: Amp = UNSET
    highest_cell_voltage: Volt = UNSET
    highest_voltage_pack: Whole = UNSET
    highest_voltage_id: Whole = UNSET
    lowest_cell_voltage: Volt = UNSET
    lowest_voltage_pack: Whole = UNSET
    lowest_voltage_id: Whole = UNSET
    average_cell_voltage: Volt = UNSET
    highest_cell_temp: DegC = UNSET
    highest_temp_pack: Whole = UNSET
    highest_temp_id: Whole = UNSET
    lowest_cell_temp: DegC = UNSET
    lowest_temp_pack: Whole = UNSET
    lowest_temp_id: Whole = UNSET
    average_cell_temperature: DegC = UNSET
    voltage_diff: Volt = UNSET
    temp_diff: DegC = UNSET
    cell_voltage: Maybe[list[float | None]] = UNSET
    cell_temp: Maybe[list[float | None]] = UNSET
    highest_voltage_id_cell: Whole = UNSET
    lowest_voltage_id_cell: Whole = UNSET
    cell_voltage_range: Number = UNSET
    cell_temperature_range: Number = UNSET


class RegularReportSubEMSPCSV2(Struct, gc=False, kw_only=True):
    """Entry `sub_ems_pcs`."""

    running_status: Maybe[
        Annotated[
            int,
            values(
                _0="unknown",
                _1="stopped",
                _2="standby",
                _3="charging",
                _4="discharging",
                _5="running",
                _6="offline",
                _7="fault",
            ),
        ]
    ] = UNSET
    pcs_total_active_power: KW = UNSET
    pcs_active_power_phase_a: KW = UNSET
    pcs_active_power_phase_b: KW = UNSET
    pcs_active_power_phase_c: KW = UNSET
    pcs_total_reactive_power: KVar = UNSET
    pcs_reactive_power_phase_a: KVar = UNSET
    pcs_reactive_power_phase_b: KVar = UNSET
    pcs_reactive_power_phase_c: KVar = UNSET
    pcs_voltage_phase_a: Volt = UNSET
    pcs_voltage_phase_b: Volt = UNSET
    pcs_voltage_phase_c: Volt = UNSET
    pcs_current_phase_a: Amp = UNSET
    pcs_current_phase_b: Amp = UNSET
    pcs_current_phase_c: Amp = UNSET
    pcs_total_power_factor: Number = UNSET
    pcs_power_factor_phase_a: Number = UNSET
    pcs_power_factor_phase_b: Number = UNSET
    pcs_power_factor_phase_c: Number = UNSET
    pcs_frequency_grid: Hertz = UNSET
    pcs_frequency_phase_a: Hertz = UNSET
    pcs_frequency_phase_b: Hertz = UNSET
    pcs_frequency_phase_c: Hertz = UNSET
    pcs_ac_daily_charge_energy: KWh = UNSET
    pcs_ac_daily_discharge_energy: KWh = UNSET
    pcs_ac_charge_accumulated_energy: KWh = UNSET
    pcs_ac_discharge_accumulated_energy: KWh = UNSET
    pcs_input_power: KW = UNSET
    pcs_input_voltage: Volt = UNSET
    pcs_input_current: Amp = UNSET
    pcs_alarm_status: Maybe[Annotated[int, values(_0="normal", _1="alarm")]] = UNSET
    pcs_fault_status: Maybe[Annotated[int, values(_0="normal", _1="fault")]] = UNSET
    pcs_grid_voltage_ab: Volt = UNSET
    pcs_grid_voltage_bc: Volt = UNSET
    pcs_grid_voltage_ca: Volt = UNSET
    pcs_internal_temp: DegC = UNSET
    igbt_temp_phase_a: DegC = UNSET
    igbt_temp_phase_b: DegC = UNSET
    igbt_temp_phase_c: DegC = UNSET


class RegularReportSubEMSMPPTV2(Struct, gc=False, kw_only=True):
    """Entry `sub_ems_mppt`, sampled and tabled but not listed."""

    pv_running_status: Maybe[Annotated[int, values(_1="off", _2="on")]] = UNSET
    pv_low_pressure_1_status: Maybe[Annotated[int, values(_1="off", _2="on")]] = UNSET
    pv_low_pressure_2_status: Maybe[Annotated[int, values(_1="off", _2="on")]] = UNSET
    pv_low_pressure_3_status: Maybe[Annotated[int, values(_1="off", _2="on")]] = UNSET
    pv_low_pressure_4_status: Maybe[Annotated[int, values(_1="off", _2="on")]] = UNSET
    pv_fault_status: Maybe[Annotated[int, values(_0="normal", _1="fault")]] = UNSET
    pv_alarm_status: Maybe[Annotated[int, values(_0="normal", _1="alarm")]] = UNSET
    pv_steady_function_mode: Maybe[
        Annotated[int, values(_1="high-side voltage and current regulation", _2="low-side current regulation")]
    ] = UNSET
    pv_high_pressure_steady_voltage_value: Volt = UNSET
    pv_high_pressure_steady_current_value: Amp = UNSET
    pv_low_pressure_1_voltage: Volt = UNSET
    pv_low_pressure_1_current: Amp = UNSET
    pv_low_pressure_1_power: KW = UNSET
    pv_low_pressure_2_voltage: Volt = UNSET
    pv_low_pressure_2_current: Amp = UNSET
    pv_low_pressure_2_power: KW = UNSET
    pv_low_pressure_3_voltage: Volt = UNSET
    pv_low_pressure_3_current: Amp = UNSET
    pv_low_pressure_3_power: KW = UNSET
    pv_low_pressure_4_voltage: Volt = UNSET
    pv_low_pressure_4_current: Amp = UNSET
    pv_low_pressure_4_power: KW = UNSET
    pv_high_pressure_voltage: Volt = UNSET
    pv_high_pressure_current: Amp = UNSET
    pv_high_pressure_power: KW = UNSET
    pv_igbt_temperature: DegC = UNSET
    pv_power_generation: KWh = UNSET
    pv_daily_power_generation: KWh = UNSET
    pv_daily_low_pressure_1_power_generation: KWh = UNSET
    pv_daily_low_pressure_2_power_generation: KWh = UNSET
    pv_daily_low_pressure_3_power_generation: KWh = UNSET
    pv_daily_low_pressure_4_power_generation: KWh = UNSET


class EMSDataTotalV2(Struct, gc=False, kw_only=True):
    """The storage of the whole site."""

    running_status: Maybe[Annotated[int, values(_0="unknown", _1="stopped", _2="running")]] = UNSET
    soc: Number = UNSET
    pcs_total_active_power: KW = UNSET
    pcs_total_reactive_power: KVar = UNSET
    current_chargeable_energy: KWh = UNSET
    current_dischargeable_energy: KWh = UNSET
    max_charge_power: KW = UNSET
    max_discharge_power: KW = UNSET
    device_count: Whole = UNSET


class EMSDataStatisticsV2(Struct, gc=False, kw_only=True):
    """The storage under one meter."""

    ele_meter_id: Whole = UNSET
    running_status: Maybe[Annotated[int, values(_0="unknown", _1="stopped", _2="running")]] = UNSET
    pcs_total_active_power: KW = UNSET
    soc: Number = UNSET


class EMSDataV2(Struct, gc=False, kw_only=True):
    """Entry `ems`."""

    total: Maybe[EMSDataTotalV2] = UNSET
    statistics: Maybe[list[EMSDataStatisticsV2]] = UNSET
