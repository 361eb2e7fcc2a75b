"""Periodic report of an EMU. Source: emu-device-event page."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import UNSET, Struct

from schemas.emu_battery import EmuBatteryArrayData
from schemas.emu_rack import EmuBatteryRackData
from schemas.rules import Rule, any_of
from schemas.scalars import KVA, KW, Amp, DegC, Hertz, KVar, KWh, Many, Maybe, Number, Percent, Volt, Whole, values


class EmuAirconData(Struct, gc=False, kw_only=True):
    """Air conditioner."""

    version: Whole = UNSET
    machine_status: Whole = UNSET
    indoor_fan: Whole = UNSET
    outdoor_fan: Whole = UNSET
    compressor: Whole = UNSET
    electric_heat: Whole = UNSET
    emergency_fan: Whole = UNSET
    coil_temp: DegC = UNSET
    outdoor_temp: DegC = UNSET
    condensing_temp: DegC = UNSET
    indoor_temp: DegC = UNSET
    humidity: Percent = UNSET
    exhaust_temp: DegC = UNSET
    current: Amp = UNSET
    ac_voltage: Volt = UNSET
    dc_voltage: Volt = UNSET
    high_temp_alarm: Whole = UNSET
    low_temp_alarm: Whole = UNSET
    high_humidity_alarm: Whole = UNSET
    low_humidity_alarm: Whole = UNSET
    coil_anti_freeze: Whole = UNSET
    exhaust_high_temp_alarm: Whole = UNSET
    coil_temp_sensor_failure: Whole = UNSET
    outdoor_temp_sensor_failure: Whole = UNSET
    condensing_temp_sensor_failure: Whole = UNSET
    indoor_temp_sensor_failure: Whole = UNSET
    humidity_sensor_failure: Whole = UNSET
    indoor_fan_failure: Whole = UNSET
    outdoor_fan_failure: Whole = UNSET
    compressor_failure: Whole = UNSET
    electric_heat_failure: Whole = UNSET
    emergency_fan_failure: Whole = UNSET
    high_pressure_alarm: Whole = UNSET
    low_pressure_alarm: Whole = UNSET
    water_immersion_alarm: Whole = UNSET
    smoke_alarm: Whole = UNSET
    access_control_alarm: Whole = UNSET
    high_pressure_lock: Whole = UNSET
    low_pressure_lock: Whole = UNSET
    exhaust_lock: Whole = UNSET
    ac_overvoltage: Whole = UNSET
    ac_undervoltage: Whole = UNSET
    ac_power_loss: Whole = UNSET
    phase_loss: Whole = UNSET
    frequency_abnormality: Whole = UNSET
    reverse_phase: Whole = UNSET
    dc_overvoltage: Whole = UNSET
    dc_undervoltage: Whole = UNSET
    cooling_point: DegC = UNSET
    cooling_hysteresis: DegC = UNSET
    heating_poing: DegC = UNSET
    heating_hysteresis: DegC = UNSET
    high_temp_point: DegC = UNSET
    low_temp_point: DegC = UNSET
    high_humidity_point: Percent = UNSET
    indoor_fan_stop_point: DegC = UNSET
    remote_fan_stop_point: Whole = UNSET
    exhaust_temp_sensor_failure: Whole = UNSET
    heating_point: Whole = UNSET
    remote_control_power: Whole = UNSET


class EmuFireData(Struct, gc=False, kw_only=True):
    """Fire protection, in register resolutions."""

    warning: Maybe[
        Annotated[
            int,
            values(
                _0="normal", _1="level 1", _2="level 2", _3="level 3", _8="extinguishing started", _9="detector fault"
            ),
        ]
    ] = UNSET
    heartbeat: Whole = UNSET
    temperature: DegC = UNSET
    co: Whole = UNSET
    deflating: Maybe[Annotated[int, values(_0="not started", _1="started")]] = UNSET
    electric_explosion_volve: Maybe[Annotated[int, values(_0="normal", _1="fault")]] = UNSET
    smog: Whole = UNSET
    voc: Whole = UNSET
    temperature_status: Maybe[
        Annotated[int, values(_0="normal", _1="first warning", _2="second warning", _3="sensor fault")]
    ] = UNSET
    co_status: Maybe[
        Annotated[int, values(_0="normal", _1="first warning", _2="second warning", _3="sensor fault")]
    ] = UNSET
    smog_status: Maybe[
        Annotated[int, values(_0="normal", _1="first warning", _2="second warning", _3="sensor fault")]
    ] = UNSET
    voc_status: Maybe[
        Annotated[int, values(_0="normal", _1="first warning", _2="second warning", _3="sensor fault")]
    ] = UNSET


class EmuPcsData(Struct, gc=False, kw_only=True):
    """Power conversion system. DCDC currents are labelled V in the table."""

    disconnected: Maybe[Annotated[int, values(_0="connected", _1="connection abnormal")]] = UNSET
    fault_reset: Whole = UNSET
    device_startup: Whole = UNSET
    device_shutdown: Whole = UNSET
    remote_emergency_stop: Whole = UNSET
    reset_cumulative_charge: Whole = UNSET
    reset_cumulative_discharge: Whole = UNSET
    remote_local_setting: Whole = UNSET
    shutdown_status: Whole = UNSET
    standby_status: Whole = UNSET
    running_status: Whole = UNSET
    total_fault_status: Whole = UNSET
    total_alarm_status: Whole = UNSET
    remote_local_status: Whole = UNSET
    emergency_stop_input_status: Whole = UNSET
    grid_connected_status: Whole = UNSET
    off_grid_status: Whole = UNSET
    overload_derating_status: Whole = UNSET
    bms_dry_contact_input: Whole = UNSET
    pcs_voltage_phase_a: Volt = UNSET
    pcs_voltage_phase_b: Volt = UNSET
    pcs_voltage_phase_c: Volt = UNSET
    pcs_current_phase_a: Amp = UNSET
    pcs_current_phase_b: Amp = UNSET
    pcs_current_phase_c: Amp = UNSET
    grid_frequency: Hertz = UNSET
    pcs_active_power_phase_a: KW = UNSET
    pcs_active_power_phase_b: KW = UNSET
    pcs_active_power_phase_c: KW = UNSET
    pcs_total_active_power: KW = UNSET
    pcs_reactive_power_phase_a: KVar = UNSET
    pcs_reactive_power_phase_b: KVar = UNSET
    pcs_reactive_power_phase_c: KVar = UNSET
    pcs_total_reactive_power: KVar = UNSET
    pcs_apparent_power_phase_a: KVA = UNSET
    pcs_apparent_power_phase_b: KVA = UNSET
    pcs_apparent_power_phase_c: KVA = UNSET
    pcs_total_apparent_power: KVA = UNSET
    pcs_power_factor_phase_a: Number = UNSET
    pcs_power_factor_phase_b: Number = UNSET
    pcs_power_factor_phase_c: Number = UNSET
    pcs_total_power_factor: Number = UNSET
    pcs_input_power: KW = UNSET
    pcs_input_voltage: Volt = UNSET
    pcs_input_current: Amp = UNSET
    pcs_heat_sink_temp: DegC = UNSET
    pcs_ac_charge_accumulated_energy_low: KWh = UNSET
    pcs_ac_charge_accumulated_energy_high: KWh = UNSET
    pcs_ac_discharge_accumulated_energy_low: KWh = UNSET
    pcs_ac_discharge_accumulated_energy_high: KWh = UNSET
    pcs_dc_charge_accumulated_energy_low: KWh = UNSET
    pcs_dc_charge_accumulated_energy_high: KWh = UNSET
    pcs_dc_discharge_accumulated_energy_low: KWh = UNSET
    pcs_dc_discharge_accumulated_energy_high: KWh = UNSET
    pcs_communication_status: Whole = UNSET
    system_clock_seconds: Whole = UNSET
    system_clock_minutes: Whole = UNSET
    system_clock_hours: Whole = UNSET
    system_clock_day: Whole = UNSET
    system_clock_month: Whole = UNSET
    system_clock_year: Whole = UNSET
    pcs_software_version: Whole = UNSET
    fpga_software_version: Whole = UNSET
    phase_n_current_rms: Amp = UNSET
    pcs_status_query_code_1: Whole = UNSET
    pcs_status_query_code_2: Whole = UNSET
    pcs_status_query_code_3: Whole = UNSET
    pcs_status_query_code_4: Whole = UNSET
    pcs_status_query_code_5: Whole = UNSET
    pcs_status_query_code_6: Whole = UNSET
    pcs_status_query_code_7: Whole = UNSET
    pcs_status_query_code_8: Whole = UNSET
    pcs_fault_word_5: Whole = UNSET
    dcdc_input_voltage: Volt = UNSET
    dcdc_output_voltage: Volt = UNSET
    dcdc_input_current: Volt = UNSET
    dcdc_output_current: Volt = UNSET
    dcdc_input_power: KW = UNSET
    dcdc_heat_sink_temp: Whole = UNSET
    dcdc_software_version: Whole = UNSET
    pcs_fault_word_1: Whole = UNSET
    pcs_fault_word_2: Whole = UNSET
    pcs_fault_word_3: Whole = UNSET
    pcs_fault_word_4: Whole = UNSET
    dcdc_fault_word_1: Whole = UNSET
    dcdc_fault_word_2: Whole = UNSET
    dcdc_fault_word_3: Whole = UNSET
    dcdc_fault_word_4: Whole = UNSET
    bms_cms_operating_command: Maybe[
        Annotated[
            int,
            values(
                _0x1111="charging barred",
                _0x2222="discharging barred",
                _0x5555="standby",
                _0xaaaa="fault",
                _0xbbbb="normal",
                _0xcccc="alarm",
            ),
        ]
    ] = UNSET
    bms_cms_allowed_charge_current: Amp = UNSET
    bms_cms_allowed_discharge_current: Amp = UNSET
    bms_cms_soc: Percent = UNSET
    bms_cms_usable_charge_capacity: KWh = UNSET
    bms_cms_usable_discharge_capacity: KWh = UNSET
    bms_cms_total_voltage: Volt = UNSET
    bms_cms_total_current: Amp = UNSET
    bms_cms_single_highest_soc: Percent = UNSET
    bms_cms_single_lowest_soc: Percent = UNSET
    bms_cms_single_highest_voltage: Volt = UNSET
    bms_cms_single_lowest_voltage: Volt = UNSET
    bms_cms_single_highest_temp: DegC = UNSET
    bms_cms_single_lowest_temp: DegC = UNSET
    bms_cms_allowed_charge_power: KW = UNSET
    bms_cms_allowed_discharge_power: KW = UNSET
    run_mode_selection: Maybe[
        Annotated[
            int,
            values(_0="none", _1="constant-current charge", _2="constant-voltage charge", _3="constant-power charge"),
        ]
    ] = UNSET
    constant_voltage_charging_voltage_setting: Volt = UNSET
    constant_current_charging_current_setting: Amp = UNSET
    constant_power_active_power_desired: KW = UNSET
    constant_power_reactive_power_desired: KVar = UNSET
    grid_tie_setting: Maybe[Annotated[int, values(_0="grid-connected", _1="islanded")]] = UNSET
    grid_tie_output_voltage_setting: Volt = UNSET
    grid_tie_output_frequency_setting: Hertz = UNSET
    phase_control_active_power_a: KW = UNSET
    phase_control_active_power_b: KW = UNSET
    phase_control_active_power_c: KW = UNSET
    phase_control_reactive_power_a: KVar = UNSET
    phase_control_reactive_power_b: KVar = UNSET
    phase_control_reactive_power_c: KVar = UNSET
    grid_tie_output_voltage_phase_setting_a: Volt = UNSET
    grid_tie_output_voltage_phase_setting_b: Volt = UNSET
    discharge_over_current_level_1_threshold: Amp = UNSET
    grid_tie_output_voltage_phase_setting_c: Volt = UNSET
    microgrid_dc_voltage_droop_coefficient: Volt = UNSET
    primary_frequency_deadband: Hertz = UNSET
    primary_frequency_k_value: Whole = UNSET
    battery_ultracapacitor_allowable_charging_voltage: Volt = UNSET
    battery_ultracapacitor_allowable_discharge_voltage: Volt = UNSET
    battery_ultracapacitor_allowable_charging_current: Amp = UNSET
    battery_ultracapacitor_allowable_discharge_current: Amp = UNSET
    time_synchronization_seconds: Whole = UNSET
    time_synchronization_minutes: Whole = UNSET
    time_synchronization_hours: Whole = UNSET
    time_synchronization_day: Whole = UNSET
    time_synchronization_month: Whole = UNSET
    time_synchronization_year: Whole = UNSET


class EmuReportRegular(Struct, gc=False, kw_only=True):
    """Five optional groups, told from the other reports by having no `type`. Racks may come as one or as several."""

    aircon: Maybe[EmuAirconData] = UNSET
    battery_array: Maybe[EmuBatteryArrayData] = UNSET
    battery_rack: Maybe[Many[EmuBatteryRackData]] = UNSET
    fire: Maybe[EmuFireData] = UNSET
    pcs: Maybe[EmuPcsData] = UNSET

    rules: ClassVar[tuple[Rule, ...]] = (any_of("aircon", "battery_array", "battery_rack", "fire", "pcs"),)


def is_emu(data: EmuReportRegular) -> bool:
    """Whether any group is there."""
    groups = (data.aircon, data.battery_array, data.battery_rack, data.fire, data.pcs)
    return any(group is not UNSET for group in groups)
