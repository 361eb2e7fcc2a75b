"""Over-demand limits: streaming (reverse flow) and demand of one meter's branch. Source: overdemand page.

One table of the vendor serves reports and commands; what a sender cannot know (`id` on create, times, authors, present
limits, the meter's record) is required of reports only where every sample has it, and never of a sender.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.meters import EleDeviceType
from schemas.scalars import KW, Anything, Maybe, Number, OnOff, Port, RecordId, Text, Whole, values


class OverdemandEleMeter(Struct, kw_only=True):
    """The meter that a limit watches. The table says `elec_device_type`, the samples `ele_device_type`."""

    uid: Text = UNSET
    station_name: Text = UNSET
    port: Maybe[Port] = UNSET
    name: Text = UNSET
    elec_device_type: Maybe[EleDeviceType] = UNSET
    ele_device_type: Maybe[EleDeviceType] = UNSET
    ele_device_type_id: Whole = UNSET
    rate: Number = UNSET
    running_status: Whole = UNSET
    id: Whole = UNSET
    proto_type: Whole = UNSET
    proto_id: Whole = UNSET
    slave_id: Whole = UNSET
    host: Text = UNSET
    com_addr: Text = UNSET
    com_no: Whole = UNSET
    baud_rate: Whole = UNSET
    data_bits: Whole = UNSET
    stop_bits: Whole = UNSET
    parity: Text = UNSET
    direction: Whole = UNSET
    pt: Number = UNSET
    ct: Number = UNSET
    purpose: Whole = UNSET
    meter_ids: Anything = UNSET
    associate_meters: Anything = UNSET


class OverdemandEmsDevice(Struct, kw_only=True):
    """A storage device under a limit. PV and charging piles (device_type 3 and 4) have no table of their own here."""

    uid: Text = UNSET
    name: Text = UNSET
    site_name: Text = UNSET
    location: Text = UNSET
    longitude: Number = UNSET
    latitude: Number = UNSET
    level: Whole = UNSET
    type: Text = UNSET
    running_status: Whole = UNSET
    host: Text = UNSET
    port: Maybe[Port] = UNSET
    license: Text = UNSET
    id: Whole = UNSET
    statistics_port: Whole = UNSET
    cooling_method: Whole = UNSET
    charges: Anything = UNSET
    pcs_reboot: Whole = UNSET
    bms_reboot: Whole = UNSET
    proto_type: Whole = UNSET
    proto_id: Whole = UNSET
    slave_id: Whole = UNSET
    com_addr: Text = UNSET
    com_no: Whole = UNSET
    baud_rate: Whole = UNSET
    data_bits: Whole = UNSET
    stop_bits: Whole = UNSET
    parity: Text = UNSET
    created_at: Text = UNSET
    updated_at: Text = UNSET


class StreamingOverDemand(Struct, kw_only=True):
    """A limit as the device reports it. `over_demand_condition` holds January to December in kW."""

    ele_meter_id: int
    over_demand_status: OnOff
    over_demand_condition: list[int | float]
    streaming_status: OnOff
    dynamic_demand_percentage: int | float
    id: Whole = UNSET
    device_type: Maybe[Annotated[int, values(_2="storage", _3="photovoltaic", _4="charging pile")]] = UNSET
    devices: Maybe[list[OverdemandEmsDevice]] = UNSET
    elemeter: Maybe[OverdemandEleMeter] = UNSET
    ele_meter: Maybe[OverdemandEleMeter] = UNSET
    streaming_condition: KW = UNSET
    individual_phase_streaming_status: Maybe[OnOff] = UNSET
    individual_phase_streaming_condition: KW = UNSET
    dynamic_demand_status: Maybe[OnOff] = UNSET
    dynamic_demand: KW = UNSET
    current_over_demand_condition: KW = UNSET
    updated_by: Text = UNSET
    created_at: Text = UNSET
    updated_at: Text = UNSET


class StreamingOverDemandCreated(Struct, kw_only=True):
    """The id that the device gave; absent when it refused."""

    id: Whole = UNSET


Switch: TypeAlias = Literal[1, 2]
Power: TypeAlias = Annotated[int, Meta(ge=0, extra_json_schema={"x-unit": "kW"})]
Months: TypeAlias = Annotated[list[Power], Meta(min_length=12, max_length=12)]
Percentage: TypeAlias = Annotated[float, Meta(ge=0)]


class _Sent(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a sender says of a limit. The rest of the fields is the device's: taken, when a sender repeats it."""

    ele_meter_id: RecordId
    over_demand_status: Switch
    over_demand_condition: Months
    streaming_status: Switch
    individual_phase_streaming_status: Switch
    dynamic_demand_percentage: Percentage
    streaming_condition: Power | UnsetType = UNSET
    individual_phase_streaming_condition: Power | UnsetType = UNSET
    dynamic_demand_status: Switch | UnsetType = UNSET
    device_type: Literal[2, 3, 4] | UnsetType = UNSET
    devices: Maybe[list[dict[str, Any]]] = UNSET
    elemeter: Maybe[dict[str, Any]] = UNSET
    ele_meter: Maybe[dict[str, Any]] = UNSET
    dynamic_demand: Maybe[Power] = UNSET
    current_over_demand_condition: Maybe[Power] = UNSET
    updated_by: Maybe[str] = UNSET
    created_at: Maybe[str] = UNSET
    updated_at: Maybe[str] = UNSET


class OverDemandCreate(_Sent):
    """streaming_overdemand/create: the device gives the id."""

    id: RecordId | UnsetType = UNSET


class OverDemandUpdate(_Sent):
    """streaming_overdemand/update: the whole limit `id` anew."""

    id: RecordId


class OverDemandReplace(_Sent):
    """One limit of streaming_overdemand/update_all. Whether the batch replaces or adds is not stated."""

    id: RecordId | UnsetType = UNSET


class OverDemandDelete(Struct, kw_only=True, forbid_unknown_fields=True):
    """streaming_overdemand/delete."""

    id: RecordId
