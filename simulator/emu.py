"""`report/regular/post` of an EMU: one cabinet's registers, as the page emu-device-event lists them.

Powers kW, positive when charging; array energies in units of 0.1 kWh (hWh) and converter energies in kWh, both as 16-bit low and
high words; fire figures at the register's resolution (temperature 1 °C with offset -40, smoke 0.0001 dB/m).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from simulator import protection, readouts
from simulator.readouts import CELLS, Cabinet, Fields
from simulator.site import State

_LEVELS = (1, 2, 3)
_PCS_NORMAL = 0xBBBB


def report_emu(state: State) -> Fields:
    """The five groups of one cabinet. Level thresholds are the ones that a healthy LFP array is delivered with."""
    shown = readouts.cabinet(state)
    volts, temps = readouts.cells(state, shown, 1)
    return {
        "aircon": _aircon(shown),
        "battery_array": _array(shown, volts, temps),
        "battery_rack": _rack(shown, volts, temps),
        "fire": _fire(state, shown),
        "pcs": _pcs(state, shown, volts, temps),
    }


def words(name: str, value: float) -> Fields:
    """A number as two 16-bit words, `name`_low and `name`_high."""
    whole = max(0, int(value))
    return {f"{name}_low": whole & 0xFFFF, f"{name}_high": whole >> 16 & 0xFFFF}


def _extremes(volts: list[float], temps: list[float]) -> tuple[float, float, float, float]:
    return max(volts), min(volts), max(temps), min(temps)


def _aircon(shown: Cabinet) -> Fields:
    air = readouts.cooling(shown)
    cools = air["cooling_status"]
    return {
        **_AIRCON_QUIET,
        "machine_status": air["machine_status"],
        "indoor_fan": 1,
        "outdoor_fan": cools,
        "compressor": cools,
        "electric_heat": air["heating_status"],
        "coil_temp": air["coil_temp"],
        "outdoor_temp": air["outdoor_temp"],
        "condensing_temp": air["condensing_temp"],
        "indoor_temp": air["indoor_temp"],
        "exhaust_temp": air["exhaust_temp"],
        "humidity": 45.0,
        "current": 3.2 if cools else 0.4,
    }


def _array(shown: Cabinet, volts: list[float], temps: list[float]) -> Fields:
    high_v, low_v, high_t, low_t = _extremes(volts, temps)
    limit_a = 1000.0 / shown.voltage
    return {
        **_ARRAY_QUIET,
        "operating_status": shown.running_status if shown.closed else 1,
        "soc": round(shown.soc * 100.0, 2),
        "charge_power_limit": round(shown.max_charge_kw, 1),
        "discharge_power_limit": round(shown.max_discharge_kw, 1),
        "charge_current_limit": round(shown.max_charge_kw * limit_a, 1),
        "discharge_current_limit": round(shown.max_discharge_kw * limit_a, 1),
        "total_voltage": round(shown.voltage, 1),
        "total_current": round(shown.current, 2) + 0.0,
        "total_power": round(shown.dc_kw, 3) + 0.0,
        "average_cell_voltage": round(sum(volts) / len(volts), 3),
        "max_cell_voltage": high_v,
        "min_cell_voltage": low_v,
        "average_temp": round(sum(temps) / len(temps), 1),
        "max_temp": high_t,
        "min_temp": low_t,
        "pressure_difference": round(high_v - low_v, 3),
        "temp_difference": round(high_t - low_t, 1),
        "max_temp_id_cell": temps.index(high_t) + 1,
        "min_temp_id_cell": temps.index(low_t) + 1,
        "max_voltage_id_cell": volts.index(high_v) + 1,
        "min_voltage_id_cell": volts.index(low_v) + 1,
        "soh": round(shown.soh * 100.0, 1),
        "battery_cycle_count": int(shown.dc_charged_kwh / shown.capacity_kwh),
        **_raised("single_high_temp", protection.level(shown.hottest_c, protection.HOT_C)),
        **_raised("single_under_voltage", protection.level(shown.lowest_v, protection.LOW_V)),
        **words("battery_charge_total_energy", shown.dc_charged_kwh * 10),
        **words("battery_discharge_total_energy", shown.dc_discharged_kwh * 10),
        **words("current_chargeable_energy", shown.chargeable_kwh * 10),
        **words("current_dischargeable_energy", shown.dischargeable_kwh * 10),
    }


def _rack(shown: Cabinet, volts: list[float], temps: list[float]) -> Fields:
    high_v, low_v, high_t, low_t = _extremes(volts, temps)
    return {
        **_RACK_QUIET,
        "soh": round(shown.soh * 100.0, 1),
        "cell_voltage": volts,
        "cell_temp": temps,
        "cell_status": [0] * CELLS,
        "operational_status": shown.running_status,
        "soc": round(shown.soc * 100.0, 2),
        "voltage": round(shown.voltage, 1),
        "current": round(shown.current, 2) + 0.0,
        "power": round(shown.dc_kw, 3) + 0.0,
        "average_cell_voltage": round(sum(volts) / len(volts), 3),
        "highest_cell_voltage": high_v,
        "lowest_cell_voltage": low_v,
        "average_temp": round(sum(temps) / len(temps), 1),
        "highest_temp": high_t,
        "lowest_temp": low_t,
        "voltage_difference": round(high_v - low_v, 3),
        "temp_difference": round(high_t - low_t, 1),
        "pole_temp": round(high_t + 1.5, 1),
        "highest_voltage_id_cell": volts.index(high_v) + 1,
        "lowest_voltage_id_cell": volts.index(low_v) + 1,
        "highest_temp_id_cell": temps.index(high_t) + 1,
        "lowest_temp_id_cell": temps.index(low_t) + 1,
        **words("current_available_capacity", shown.dischargeable_kwh * 1000.0 / (3.2 * CELLS)),
    }


def _raised(stem: str, reached: int) -> Fields:
    """The alarms of the levels that are reached."""
    return {f"{stem}_level_{n}": int(n <= reached) for n in _LEVELS}


def _fire(state: State, shown: Cabinet) -> Fields:
    smoke = protection.fire_status(state.faults)
    return {
        "warning": 3 * smoke,
        "heartbeat": int(state.at) % 256,
        "temperature": round(shown.cell_c - 1.0) + 40,
        "co": 2,
        "deflating": 0,
        "electric_explosion_volve": 0,
        "smog": 12 + 400 * smoke,
        "voc": 15,
        "temperature_status": 0,
        "co_status": 0,
        "smog_status": 2 * smoke,
        "voc_status": 0,
    }


def _pcs(state: State, shown: Cabinet, volts: list[float], temps: list[float]) -> Fields:
    phases = readouts.three_phases(state, shown.ac_kw, -shown.kvar)
    fields: Fields = dict(_PCS_QUIET)
    for name, value in phases.items():
        if "frequency" not in name:
            fields[f"pcs_{name}"] = value
    idle = shown.running_status == 2
    fields |= {
        "standby_status": int(idle),
        "running_status": int(shown.running_status > 2),
        "shutdown_status": int(shown.running_status == 1),
        "grid_frequency": phases["frequency_grid"],
        "pcs_communication_status": int(state.at) % 65_536,
        "pcs_input_power": round(shown.dc_kw, 3) + 0.0,
        "pcs_input_voltage": round(shown.voltage, 1),
        "pcs_input_current": round(shown.current, 2) + 0.0,
        "pcs_heat_sink_temp": round(shown.ambient_c + 8.0 + 0.3 * abs(shown.ac_kw)),
        "phase_n_current_rms": round(0.02 * phases["current_phase_a"], 2),
        "dcdc_input_voltage": round(shown.voltage, 1),
        "dcdc_output_voltage": 720.0,
        "dcdc_input_current": round(shown.current, 2) + 0.0,
        "dcdc_output_current": round(shown.dc_kw * 1000.0 / 720.0, 2) + 0.0,
        "dcdc_input_power": round(shown.dc_kw, 3) + 0.0,
        "dcdc_heat_sink_temp": round(shown.ambient_c + 6.0 + 0.2 * abs(shown.ac_kw)),
        "constant_power_active_power_desired": round(shown.ac_kw, 1) + 0.0,
    }
    for name, kwh in (
        ("pcs_ac_charge", shown.ac_charged_kwh),
        ("pcs_ac_discharge", shown.ac_discharged_kwh),
        ("pcs_dc_charge", shown.dc_charged_kwh),
        ("pcs_dc_discharge", shown.dc_discharged_kwh),
    ):
        fields |= words(f"{name}_accumulated_energy", kwh)
    return fields | _pcs_battery(shown, volts, temps) | _clock(state)


def _pcs_battery(shown: Cabinet, volts: list[float], temps: list[float]) -> Fields:
    high_v, low_v, high_t, low_t = _extremes(volts, temps)
    soc = round(shown.soc * 100.0, 2)
    return {
        "bms_cms_operating_command": _PCS_NORMAL,
        "bms_cms_allowed_charge_current": round(shown.max_charge_kw * 1000.0 / shown.voltage, 1),
        "bms_cms_allowed_discharge_current": round(shown.max_discharge_kw * 1000.0 / shown.voltage, 1),
        "bms_cms_soc": soc,
        "bms_cms_usable_charge_capacity": round(shown.chargeable_kwh, 2),
        "bms_cms_usable_discharge_capacity": round(shown.dischargeable_kwh, 2),
        "bms_cms_total_voltage": round(shown.voltage, 1),
        "bms_cms_total_current": round(shown.current, 2) + 0.0,
        "bms_cms_single_highest_soc": soc,
        "bms_cms_single_lowest_soc": soc,
        "bms_cms_single_highest_voltage": high_v,
        "bms_cms_single_lowest_voltage": low_v,
        "bms_cms_single_highest_temp": high_t,
        "bms_cms_single_lowest_temp": low_t,
        "bms_cms_allowed_charge_power": round(shown.max_charge_kw, 1),
        "bms_cms_allowed_discharge_power": round(shown.max_discharge_kw, 1),
    }


def _clock(state: State) -> Fields:
    now = datetime.fromtimestamp(state.at + state.spec.utc_offset_s, UTC)
    fields: Fields = {}
    for unit in ("seconds", "minutes", "hours", "day", "month", "year"):
        value = getattr(now, unit.rstrip("s"))
        fields[f"system_clock_{unit}"] = value
        fields[f"time_synchronization_{unit}"] = value
    return fields


def _thresholds() -> Fields:
    """Alarm thresholds of the array: level 1 is the mildest; an alarm clears at the neighbouring milder value."""
    fields: Fields = {}
    for name, values, clear in _THRESHOLDS:
        for level, limit in zip(_LEVELS, values, strict=True):
            fields[f"{name}_level_{level}_threshold"] = limit
            suffix = "threshol" if name == "single_high_temp" and level > 1 else "threshold"
            fields[f"{name}_clear_level_{level}_{suffix}"] = round(limit + clear, 3)
    return fields


_THRESHOLDS: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("single_over_voltage", (3.55, 3.6, 3.65), -0.05),
    ("single_under_voltage", (2.9, 2.8, 2.7), 0.1),
    ("single_high_temp", (45.0, 50.0, 55.0), -5.0),
    ("single_low_temp", (5.0, 0.0, -5.0), 3.0),
    ("voltage_difference_high", (0.3, 0.4, 0.5), -0.05),
    ("temp_difference_high", (8.0, 10.0, 12.0), -2.0),
    ("total_voltage_over_voltage", (369, 374, 379), -5),
    ("total_voltage_under_voltage", (302, 292, 281), 10),
    ("soh_low", (80.0, 75.0, 70.0), 1.0),
    ("soc_low", (8.0, 5.0, 3.0), 2.0),
    ("soc_high", (97.0, 98.0, 99.0), -1.0),
    ("charge_over_current", (160.0, 170.0, 180.0), -10.0),
    ("discharge_over_current", (160.0, 170.0, 180.0), -10.0),
    ("charge_high_temp", (45.0, 50.0, 55.0), -5.0),
    ("discharge_high_temp", (50.0, 55.0, 60.0), -5.0),
    ("charge_low_temp", (5.0, 2.0, 0.0), 3.0),
    ("discharge_low_temp", (-10.0, -15.0, -20.0), 3.0),
    ("connector_temp_abnormal", (80.0, 90.0, 100.0), -5.0),
)

_ARRAY_ALARMS = """single_over_voltage single_under_voltage single_high_temp single_low_temp voltage_difference_high
temp_difference_high total_over_voltage total_under_voltage soh_low soc_low soc_high charge_over_current discharge_over_current
charge_high_temp discharge_high_temp charge_low_temp discharge_low_temp connector_temp_abnormal insulation_resistance_low"""

_ARRAY_FAULTS = """
machine_fault emergency_stop charge_prohibited discharge_prohibited precharge_fault contactor_stuck contactor_fault
current_sensor_fault temp_sensor_fault fan_fault system_balancing_fault bmu_to_bcu_comm_fault bcu_to_bau_comm_fault
bau_external_comm_fault pcs_comm_fault air_conditioning_comm_fault air_conditioning_fault air_conditioning_alarm
fire_communication_fault fire_fault fire_alarm liquid_cooling_comm_fault liquid_cooling_fault liquid_cooling_alarm
water_immersion_comm_fault water_immersion_fault water_immersion_alarm temp_comm_fault temp_fault temp_alarm humidity_comm_fault
humidity_fault humidity_alarm disconnected alarm_status"""

_RACK_ALARMS = """cell_over_voltage cell_under_voltage cell_high_temp cell_low_temp voltage_difference_high temp_difference_high
total_voltage_over_voltage total_voltage_under_voltage soh_low soc_low soc_high charge_overcurrent discharge_overcurrent
charge_overtemp discharge_overtemp charge_lowtemp discharge_lowtemp connector_temp_exception insulation_resistance"""

_RACK_FAULTS = """precharge_fault relay_adhesion contactor_fault current_sensor_fault temp_sensor_fault
bmu_to_bcu_communication_fault bcu_to_bau_communication_fault fan_fault"""

_AIRCON_FAULTS = """
high_temp_alarm low_temp_alarm high_humidity_alarm low_humidity_alarm coil_anti_freeze exhaust_high_temp_alarm
coil_temp_sensor_failure outdoor_temp_sensor_failure condensing_temp_sensor_failure indoor_temp_sensor_failure
humidity_sensor_failure indoor_fan_failure outdoor_fan_failure compressor_failure electric_heat_failure
emergency_fan_failure high_pressure_alarm low_pressure_alarm water_immersion_alarm smoke_alarm access_control_alarm
high_pressure_lock low_pressure_lock exhaust_lock ac_overvoltage ac_undervoltage ac_power_loss phase_loss
frequency_abnormality reverse_phase dc_overvoltage dc_undervoltage emergency_fan"""

_PCS_ZERO = """disconnected fault_reset device_startup device_shutdown remote_emergency_stop reset_cumulative_charge
reset_cumulative_discharge shutdown_status total_fault_status total_alarm_status emergency_stop_input_status off_grid_status
overload_derating_status bms_dry_contact_input pcs_status_query_code_1 pcs_status_query_code_2 pcs_status_query_code_3
pcs_status_query_code_4 pcs_status_query_code_5 pcs_status_query_code_6 pcs_status_query_code_7 pcs_status_query_code_8
pcs_fault_word_1 pcs_fault_word_2 pcs_fault_word_3 pcs_fault_word_4 pcs_fault_word_5 dcdc_fault_word_1 dcdc_fault_word_2
dcdc_fault_word_3 dcdc_fault_word_4 constant_power_reactive_power_desired grid_tie_setting phase_control_active_power_a
phase_control_active_power_b phase_control_active_power_c phase_control_reactive_power_a phase_control_reactive_power_b
phase_control_reactive_power_c"""


def _flags(*stems: str) -> Fields:
    return {name: 0 for stem in stems for name in stem.split()}


def _levels(stems: str, tail: str) -> Fields:
    return {f"{stem}_level_{level}{tail}": 0 for level in _LEVELS for stem in stems.split()}


_AIRCON_QUIET: Mapping[str, object] = MappingProxyType(
    {
        **_flags(_AIRCON_FAULTS),
        "version": 103,
        "ac_voltage": 231,
        "dc_voltage": 48.1,
        "cooling_point": 25,
        "cooling_hysteresis": 3,
        "heating_poing": 15,
        "heating_hysteresis": 3,
        "high_temp_point": 45,
        "low_temp_point": 0,
        "high_humidity_point": 80,
        "indoor_fan_stop_point": 15,
        "remote_fan_stop_point": 1,
    }
)

_ARRAY_QUIET: Mapping[str, object] = MappingProxyType(
    {
        **_flags(_ARRAY_FAULTS),
        **_thresholds(),
        **_levels(_ARRAY_ALARMS, ""),
        "contactor_status": 1,
        "circuit_breaker_status": 1,
        "fan_status_reserved": 2,
        "soh": 98.5,
        "max_temp_id_rack": 1,
        "max_temp_id_pack": 1,
        "min_temp_id_rack": 1,
        "min_temp_id_pack": 1,
        "max_voltage_id_rack": 1,
        "max_voltage_id_pack": 1,
        "min_voltage_id_rack": 1,
        "min_voltage_id_pack": 1,
        "physical_battery_cluster_count": 1,
        "actual_battery_cluster_count": 1,
        "battery_stack_insulation_resistance": 2200,
        "system_control_high_voltage": 0,
    }
)

_RACK_QUIET: Mapping[str, object] = MappingProxyType(
    {
        **_flags(_RACK_FAULTS),
        **_levels(_RACK_ALARMS, "_alarm"),
        "online_status": 1,
        "soh": 98.5,
        "highest_voltage_id_pack": 1,
        "lowest_voltage_id_pack": 1,
        "highest_temp_id_pack": 1,
        "lowest_temp_id_pack": 1,
        "insulation_resistance": 2200,
        "fan_status": 2,
        "contactor_status": 1,
        "circuit_breaker_status": 1,
    }
)

_PCS_QUIET: Mapping[str, object] = MappingProxyType(
    {
        **_flags(_PCS_ZERO),
        "remote_local_setting": 1,
        "remote_local_status": 1,
        "grid_connected_status": 1,
        "pcs_software_version": 210,
        "fpga_software_version": 104,
        "dcdc_software_version": 117,
        "run_mode_selection": 3,
        "constant_voltage_charging_voltage_setting": 369,
        "constant_current_charging_current_setting": 150,
        "grid_tie_output_voltage_setting": 400,
        "grid_tie_output_frequency_setting": 50.0,
        "grid_tie_output_voltage_phase_setting_a": 230,
        "grid_tie_output_voltage_phase_setting_b": 230,
        "grid_tie_output_voltage_phase_setting_c": 230,
        "discharge_over_current_level_1_threshold": 160.0,
        "microgrid_dc_voltage_droop_coefficient": 5,
        "primary_frequency_deadband": 0.05,
        "primary_frequency_k_value": 20,
        "battery_ultracapacitor_allowable_charging_voltage": 379,
        "battery_ultracapacitor_allowable_discharge_voltage": 281,
        "battery_ultracapacitor_allowable_charging_current": 160,
        "battery_ultracapacitor_allowable_discharge_current": 160,
    }
)
