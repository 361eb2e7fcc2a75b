"""Bodies of the vendor's platform API (http_apis.md, part D), as its pages have them. Switches are 0 off and 1 on everywhere.

Months and weekdays (0 = Monday) count from 0. Bodies are read strictly; what a client may send back from a GET is taken.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.scalars import LARGEST
from schemas.schedules import Months, SlotSent, WeekDays
from schemas.settings import AirStrategySet, ReactivePowerSet, VoltageSet

Switch: TypeAlias = Literal[0, 1]
Word: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
Percent: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Id: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST)]
Uid: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=47, pattern=r"^\S+$")]
Location: TypeAlias = Annotated[str, Meta(max_length=255)]
MeterIds: TypeAlias = Annotated[list[Id], Meta(min_length=1, max_length=16)]
FIELDS = 64
"""Fields that one common-sync may ask for."""


class DeviceChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """PATCH /device."""

    uid: Uid
    name: Name
    code: Id
    location: Location | UnsetType = UNSET


class DeviceBind(Struct, kw_only=True, forbid_unknown_fields=True):
    """POST /device/bind-owner."""

    license_code: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Name
    code: Id
    location: Location | UnsetType = UNSET


class Fields(Struct, kw_only=True, forbid_unknown_fields=True):
    """PUT /common-sync."""

    fields: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(min_length=1, max_length=FIELDS)]


class ScheduleChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """PATCH /charge-strategy: all of it anew."""

    charge_type: Literal[1]
    status: Switch
    month: Months
    week_day: WeekDays
    settings: Annotated[list[SlotSent], Meta(min_length=1, max_length=12)]
    charge_id: Id | UnsetType = UNSET
    device_uid: Uid | UnsetType = UNSET
    index: Id | UnsetType = UNSET


class ScheduleCreate(Struct, kw_only=True, forbid_unknown_fields=True):
    """POST /charge-strategy."""

    device_uid: Uid
    charge_type: Literal[1]
    status: Switch
    month: Months
    week_day: WeekDays
    settings: Annotated[list[SlotSent], Meta(min_length=1, max_length=12)]


class SiteScheduleChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """PATCH /level2-charge-strategy: all of it anew, but for the cabinets, where it does not name them."""

    status: Switch
    month: Months
    week_day: WeekDays
    settings: Annotated[list[SlotSent], Meta(min_length=1, max_length=8)]
    remark: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    ems_device_ids: Annotated[list[Id], Meta(min_length=1)] | UnsetType = UNSET
    charge_type: Literal[1] | UnsetType = UNSET
    charge_id: Id | UnsetType = UNSET
    device_uid: Uid | UnsetType = UNSET
    index: Id | UnsetType = UNSET


class SiteScheduleCreate(Struct, kw_only=True, forbid_unknown_fields=True):
    """POST /level2-charge-strategy: for the cabinets that it names, else for all."""

    device_uid: Uid
    status: Switch
    month: Months
    week_day: WeekDays
    settings: Annotated[list[SlotSent], Meta(min_length=1, max_length=8)]
    ems_device_ids: Annotated[list[Id], Meta(min_length=1)] | UnsetType = UNSET
    charge_type: Literal[1] | UnsetType = UNSET
    remark: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET


class Streaming(Struct, kw_only=True, forbid_unknown_fields=True):
    """Against reverse flow: what is kept between the grid and 0 kW."""

    status: Switch
    total_margin: Word
    margin_a: Word | UnsetType = UNSET
    margin_b: Word | UnsetType = UNSET
    margin_c: Word | UnsetType = UNSET


class Overdemand(Struct, kw_only=True, forbid_unknown_fields=True):
    """Against too much demand, kW."""

    status: Switch
    total_demand: Word
    demand_a: Word | UnsetType = UNSET
    demand_b: Word | UnsetType = UNSET
    demand_c: Word | UnsetType = UNSET


class ChargeDepth(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where charging and discharging slow down and end: % of charge, V of a cell, % of the PCS's power."""

    charge_depth: Percent
    charge_slow: Percent
    charge_max_vol: Word
    charge_pcs: Percent
    discharge_depth: Percent
    discharge_slow: Percent
    discharge_min_vol: Word
    discharge_pcs: Percent


class Safety(Struct, kw_only=True, forbid_unknown_fields=True):
    """What stops the storage or takes power from it."""

    bms_3: Switch
    bms_2: Switch
    aircon: Switch
    temp: Switch
    grounded: Switch
    fire_control: Switch
    flooding: Switch
    bms_2_kw: Word | UnsetType = UNSET
    aircon_mins: Word | UnsetType = UNSET
    temp_celsius: Word | UnsetType = UNSET
    grounded_mins: Word | UnsetType = UNSET
    meter_offline_power0: Switch | UnsetType = UNSET
    meter_offline_mins: Word | UnsetType = UNSET


class ProtectionChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """PATCH /protection-strategy: all of it anew."""

    streaming: Streaming
    overdemand: Overdemand
    charge_depth: ChargeDepth
    safety: Safety
    device_uid: Uid | UnsetType = UNSET


class Protection(ProtectionChange, kw_only=True, forbid_unknown_fields=True):
    """POST /protection-strategy."""

    device_uid: Uid


class AirChange(AirStrategySet, kw_only=True, forbid_unknown_fields=True):
    """PATCH /air-strategy: all of it anew."""

    device_uid: Uid | UnsetType = UNSET


class Air(AirStrategySet, kw_only=True, forbid_unknown_fields=True):
    """POST /air-strategy."""

    device_uid: Uid


class ReactivePowerControl(ReactivePowerSet, kw_only=True, forbid_unknown_fields=True):
    """POST /reactive-power-control."""

    device_uid: Uid


class VoltageControl(VoltageSet, kw_only=True, forbid_unknown_fields=True):
    """POST /voltage-control."""

    device_uid: Uid


class PcsCommand(Struct, kw_only=True, forbid_unknown_fields=True):
    """POST /pcs-control."""

    device_uid: Uid
    command: Annotated[
        Literal[1, 2, 3, 4, 5, 6, 7],
        Meta(
            description="1 fault reset, 2 start, 3 stop, 4 emergency stop, 5 clear charged energy, 6 clear discharged energy,"
            " 7 remote"
        ),
    ]


class BmsCommand(Struct, kw_only=True, forbid_unknown_fields=True):
    """POST /bms-control."""

    device_uid: Uid
    command: Annotated[Literal[1, 2, 3], Meta(description="1 fault reset, 2 close the contactor, 3 open it")]


class LimitChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """PATCH /level2-protection-strategy/streaming and /overdemand: all of it anew."""

    elec_meter_ids: MeterIds
    status: Switch
    baseline: Annotated[Word, Meta(description="kW that it begins at")]
    device_uid: Uid | UnsetType = UNSET
    id: Id | UnsetType = UNSET


class Limit(Struct, kw_only=True, forbid_unknown_fields=True):
    """POST /level2-protection-strategy/streaming and /overdemand."""

    device_uid: Uid
    elec_meter_ids: MeterIds
    status: Switch
    baseline: Annotated[Word, Meta(description="kW that it begins at")]
