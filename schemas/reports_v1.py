"""Periodic report, V1 (deprecated, still sent). Source: device-event page."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Struct

from schemas.scalars import (
    KVA,
    KW,
    Amp,
    Anything,
    Bar,
    DegC,
    Hertz,
    KVar,
    KWh,
    Many,
    Maybe,
    Number,
    Percent,
    Text,
    Volt,
    Whole,
    values,
)


class RegularReportBMSV1(Struct, gc=False, kw_only=True):
    """Battery of a level-1 EMS."""

    running_status: Maybe[
        Annotated[int, values(_0="unknown", _1="stopped", _2="standby", _3="charging", _4="discharging")]
    ] = UNSET
    total_alarm_status: Maybe[Annotated[int, values(_0="normal", _1="alarm")]] = UNSET
    total_fault_status: Maybe[Annotated[int, values(_0="normal", _1="fault")]] = UNSET
    high_voltage_closed_status: Maybe[Annotated[int, values(_0="open", _1="closed")]] = UNSET
    soc: Percent = UNSET
    soh: Percent = UNSET
    current_chargeable_energy: KWh = UNSET
    current_dischargeable_energy: KWh = UNSET
    charge_accumulated_energy: KWh = UNSET
    discharge_accumulated_energy: KWh = UNSET
    daily_charge_energy: KWh = UNSET
    daily_discharge_energy: KWh = UNSET
    total_voltage: Volt = UNSET
    total_current: Amp = UNSET
    power: KW = UNSET
    max_allowed_charge_current: Amp = UNSET
    max_allowed_discharge_current: Amp = UNSET
    lowest_cell_temp: DegC = UNSET
    lowest_temp_id: Whole = UNSET
    highest_cell_temp: DegC = UNSET
    highest_temp_id: Whole = UNSET
    lowest_cell_voltage: Volt = UNSET
    lowest_voltage_id: Whole = UNSET
    highest_cell_voltage: Volt = UNSET
    highest_voltage_id: Whole = UNSET
    cell_voltage: Maybe[list[float | None]] = UNSET
    cell_temp: Maybe[list[float | None]] = UNSET
    temp_diff: Number = UNSET
    voltage_diff: Number = UNSET


class RegularReportPCSV1(Struct, gc=False, kw_only=True):
    """Power conversion system of a level-1 EMS."""

    running_status: Maybe[
        Annotated[int, values(_0="unknown", _1="stopped", _2="standby", _3="charging", _4="discharging")]
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
    soc_temp: DegC = UNSET
    igbt_temp_1: DegC = UNSET
    igbt_temp_2: DegC = UNSET
    igbt_temp_3: DegC = UNSET
    igbt_temp_4: DegC = UNSET


class RegularReportEMSV1(Struct, gc=False, kw_only=True):
    """Mode of a level-1 EMS."""

    mode: Maybe[Annotated[int, values(_0="local debug", _1="local automatic", _2="remote passive")]] = UNSET
    charge_strategy: Anything = UNSET
    protection_strategy: Anything = UNSET


class RegularReportCoolingV1(Struct, gc=False, kw_only=True):
    """Air or liquid cooling, as `cooling_method` says: `coil_temp`, `outdoor_temp`, `exhaust_temp` and the two states are
    air's, inlet and outlet liquid's."""

    machine_status: Maybe[
        Annotated[int, values(_1="running", _2="cooling", _3="heating", _4="self-circulation", _5="auto", _6="standby")]
    ] = UNSET
    cooling_status: Maybe[Annotated[int, values(_0="stopped", _1="running")]] = UNSET
    heating_status: Maybe[Annotated[int, values(_0="stopped", _1="running")]] = UNSET
    outdoor_temp: DegC = UNSET
    coil_temp: DegC = UNSET
    indoor_temp: DegC = UNSET
    exhaust_temp: DegC = UNSET
    inlet_temp: DegC = UNSET
    outlet_temp: DegC = UNSET
    inlet_pressure: Bar = UNSET
    outlet_pressure: Bar = UNSET
    cooling_point: DegC = UNSET
    heating_point: DegC = UNSET


class RegularReportFireV1(Struct, gc=False, kw_only=True):
    """Fire protection; the key is `fire_status` in the table, `fire_alarm_status` in the sample."""

    fire_status: Maybe[Annotated[int, values(_0="none", _1="smoke reported")]] = UNSET
    fire_alarm_status: Whole = UNSET


class SubEMSDataV1(Struct, gc=False, kw_only=True):
    """All that a level-1 EMS reports."""

    uid: Text = UNSET
    bms: Maybe[RegularReportBMSV1] = UNSET
    pcs: Maybe[RegularReportPCSV1] = UNSET
    ems: Maybe[RegularReportEMSV1] = UNSET
    cooling: Maybe[RegularReportCoolingV1] = UNSET
    cooling_method: Text = UNSET
    fire: Maybe[RegularReportFireV1] = UNSET


class EMSDataTotalV1(Struct, gc=False, kw_only=True):
    """The storage of the whole site."""

    running_status: Maybe[Annotated[int, values(_0="unknown", _1="stopped", _2="running")]] = UNSET
    soc: Number = UNSET
    pcs_total_active_power: KW = UNSET
    pcs_total_reactive_power: KVar = UNSET
    current_chargeable_energy: KWh = UNSET
    current_dischargeable_energy: KWh = UNSET


class EMSDataStatisticsV1(Struct, gc=False, kw_only=True):
    """The storage under one meter."""

    ele_meter_id: Whole = UNSET
    running_status: Maybe[Annotated[int, values(_0="unknown", _1="stopped", _2="running")]] = UNSET
    pcs_total_active_power: KW = UNSET
    soc: Number = UNSET


class EMSDataV1(Struct, gc=False, kw_only=True):
    """Entry `ems`."""

    total: Maybe[EMSDataTotalV1] = UNSET
    statistics: Maybe[list[EMSDataStatisticsV1]] = UNSET


class SubEleMeterDataV1(Struct, gc=False, kw_only=True):
    """One meter, keyed by `id`."""

    id: Whole = UNSET
    uid: Text = UNSET
    purpose: Maybe[Annotated[int, values(_1="gateway meter", _2="metering meter")]] = UNSET
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
    total_forward_active_energy: KWh = UNSET
    forward_active_energy_sharp: KWh = UNSET
    forward_active_energy_peak: KWh = UNSET
    forward_active_energy_flat: KWh = UNSET
    forward_active_energy_valley: KWh = UNSET
    total_reverse_active_energy: KWh = UNSET
    reverse_active_energy_sharp: KWh = UNSET
    reverse_active_energy_peak: KWh = UNSET
    reverse_active_energy_flat: KWh = UNSET
    reverse_active_energy_valley: KWh = UNSET


class SubEMSEntryV1(Struct, tag_field="type", tag="sub_ems", gc=False, kw_only=True):
    """One level-1 EMS."""

    index: Whole = UNSET
    data: SubEMSDataV1 | None = None


class EMSEntryV1(Struct, tag_field="type", tag="ems", gc=False, kw_only=True):
    """The site's storage."""

    index: Whole = UNSET
    data: EMSDataV1 | None = None


class MeterEntryV1(Struct, tag_field="type", tag="sub_elemeter", gc=False, kw_only=True):
    """One meter."""

    index: Whole = UNSET
    data: Many[SubEleMeterDataV1] | None = None


class MetersEntryV1(Struct, tag_field="type", tag="sub_elemeters", gc=False, kw_only=True):
    """Several meters."""

    index: Whole = UNSET
    data: Many[SubEleMeterDataV1] | None = None


ReportV1: TypeAlias = SubEMSEntryV1 | EMSEntryV1 | MeterEntryV1 | MetersEntryV1
"""The body of report/regular/post, V1: one entry."""


def is_v1(data: ReportV1) -> bool:
    """Whatever V1's types read, and V2 did not claim, is V1."""
    return isinstance(data, ReportV1)
