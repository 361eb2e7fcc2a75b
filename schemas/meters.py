"""Electricity meters. Source: sub-elemeter page."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct

from schemas.scalars import Anything, Maybe, Port, Text, Whole, values


class EleDeviceType(Struct, gc=False, kw_only=True):
    """A meter model."""

    id: Whole = UNSET
    device_type: Whole = UNSET
    name: Text = UNSET


class EleMeter(Struct, kw_only=True):
    """An electricity meter. `direction` is its orientation (1 or -1)."""

    id: int
    station_name: str
    virtual_type: Annotated[int, values(_1="virtual", _2="physical")]
    proto_type: Annotated[int, values(_1="tcp", _2="rtu")]
    application_proto_type: Annotated[int, values(_1="DL/T 645", _2="Modbus")]
    slave_id: Whole = UNSET
    dlt_addr: Text = UNSET
    host: Text = UNSET
    port: Maybe[Port] = UNSET
    com_addr: Text = UNSET
    com_no: Whole = UNSET
    baud_rate: Whole = UNSET
    data_bits: Whole = UNSET
    stop_bits: Whole = UNSET
    parity: Text = UNSET
    name: str
    ele_device_type_id: int
    ele_device_type: EleDeviceType
    pt: int
    ct: int
    direction: int
    running_status: int
    purpose: Maybe[Annotated[int, values(_1="gateway meter", _2="metering meter")]] = UNSET
    associate_meters: Maybe[list[EleMeter]] = UNSET
    proto_id: Whole = UNSET
    uid: Text = UNSET
    meter_ids: Anything = UNSET
