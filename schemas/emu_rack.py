"""Battery rack of an EMU. Source: emu-device-event page."""

from __future__ import annotations

from msgspec import UNSET, Struct

from schemas.scalars import KW, Amp, DegC, Maybe, Percent, Volt, Whole


class EmuBatteryRackData(Struct, gc=False, kw_only=True):
    """One battery rack."""

    cell_voltage: Maybe[list[float | None]] = UNSET
    cell_temp: Maybe[list[float | None]] = UNSET
    cell_status: Maybe[int | list[int]] = UNSET
    online_status: Whole = UNSET
    operational_status: Whole = UNSET
    soc: Percent = UNSET
    soh: Percent = UNSET
    voltage: Volt = UNSET
    current: Amp = UNSET
    power: KW = UNSET
    average_cell_voltage: Volt = UNSET
    highest_cell_voltage: Volt = UNSET
    lowest_cell_voltage: Volt = UNSET
    average_temp: DegC = UNSET
    highest_temp: DegC = UNSET
    lowest_temp: DegC = UNSET
    voltage_difference: Volt = UNSET
    temp_difference: DegC = UNSET
    pole_temp: DegC = UNSET
    highest_voltage_id_pack: Whole = UNSET
    highest_voltage_id_cell: Whole = UNSET
    lowest_voltage_id_pack: Whole = UNSET
    lowest_voltage_id_cell: Whole = UNSET
    highest_temp_id_pack: Whole = UNSET
    highest_temp_id_cell: Whole = UNSET
    lowest_temp_id_pack: Whole = UNSET
    lowest_temp_id_cell: Whole = UNSET
    current_available_capacity_low: Whole = UNSET
    current_available_capacity_high: Whole = UNSET
    insulation_resistance: Whole = UNSET
    fan_status: Whole = UNSET
    contactor_status: Whole = UNSET
    circuit_breaker_status: Whole = UNSET
    cell_over_voltage_level_1_alarm: Whole = UNSET
    cell_under_voltage_level_1_alarm: Whole = UNSET
    cell_high_temp_level_1_alarm: Whole = UNSET
    cell_low_temp_level_1_alarm: Whole = UNSET
    voltage_difference_high_level_1_alarm: Whole = UNSET
    temp_difference_high_level_1_alarm: Whole = UNSET
    total_voltage_over_voltage_level_1_alarm: Whole = UNSET
    total_voltage_under_voltage_level_1_alarm: Whole = UNSET
    soh_low_level_1_alarm: Whole = UNSET
    soc_low_level_1_alarm: Whole = UNSET
    soc_high_level_1_alarm: Whole = UNSET
    charge_overcurrent_level_1_alarm: Whole = UNSET
    discharge_overcurrent_level_1_alarm: Whole = UNSET
    charge_overtemp_level_1_alarm: Whole = UNSET
    discharge_overtemp_level_1_alarm: Whole = UNSET
    charge_lowtemp_level_1_alarm: Whole = UNSET
    discharge_lowtemp_level_1_alarm: Whole = UNSET
    connector_temp_exception_level_1_alarm: Whole = UNSET
    insulation_resistance_level_1_alarm: Whole = UNSET
    cell_over_voltage_level_2_alarm: Whole = UNSET
    cell_under_voltage_level_2_alarm: Whole = UNSET
    cell_high_temp_level_2_alarm: Whole = UNSET
    cell_low_temp_level_2_alarm: Whole = UNSET
    voltage_difference_high_level_2_alarm: Whole = UNSET
    temp_difference_high_level_2_alarm: Whole = UNSET
    total_voltage_over_voltage_level_2_alarm: Whole = UNSET
    total_voltage_under_voltage_level_2_alarm: Whole = UNSET
    soh_low_level_2_alarm: Whole = UNSET
    soc_low_level_2_alarm: Whole = UNSET
    soc_high_level_2_alarm: Whole = UNSET
    charge_overcurrent_level_2_alarm: Whole = UNSET
    discharge_overcurrent_level_2_alarm: Whole = UNSET
    charge_overtemp_level_2_alarm: Whole = UNSET
    discharge_overtemp_level_2_alarm: Whole = UNSET
    charge_lowtemp_level_2_alarm: Whole = UNSET
    discharge_lowtemp_level_2_alarm: Whole = UNSET
    connector_temp_exception_level_2_alarm: Whole = UNSET
    insulation_resistance_level_2_alarm: Whole = UNSET
    cell_over_voltage_level_3_alarm: Whole = UNSET
    cell_under_voltage_level_3_alarm: Whole = UNSET
    cell_high_temp_level_3_alarm: Whole = UNSET
    cell_low_temp_level_3_alarm: Whole = UNSET
    voltage_difference_high_level_3_alarm: Whole = UNSET
    temp_difference_high_level_3_alarm: Whole = UNSET
    total_voltage_over_voltage_level_3_alarm: Whole = UNSET
    total_voltage_under_voltage_level_3_alarm: Whole = UNSET
    soh_low_level_3_alarm: Whole = UNSET
    soc_low_level_3_alarm: Whole = UNSET
    soc_high_level_3_alarm: Whole = UNSET
    charge_overcurrent_level_3_alarm: Whole = UNSET
    discharge_overcurrent_level_3_alarm: Whole = UNSET
    charge_overtemp_level_3_alarm: Whole = UNSET
    discharge_overtemp_level_3_alarm: Whole = UNSET
    charge_lowtemp_level_3_alarm: Whole = UNSET
    discharge_lowtemp_level_3_alarm: Whole = UNSET
    connector_temp_exception_level_3_alarm: Whole = UNSET
    insulation_resistance_level_3_alarm: Whole = UNSET
    precharge_fault: Whole = UNSET
    relay_adhesion: Whole = UNSET
    contactor_fault: Whole = UNSET
    current_sensor_fault: Whole = UNSET
    temp_sensor_fault: Whole = UNSET
    bmu_to_bcu_communication_fault: Whole = UNSET
    bcu_to_bau_communication_fault: Whole = UNSET
    fan_fault: Whole = UNSET
