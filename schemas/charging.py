"""Timed strategies of storage (charge), photovoltaics (charge_photovoltaic) and charging piles (charge_pail).

Source: the three charge-strategy pages. Their tables differ in the devices and in what a slot may say.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from schemas.meters import EleDeviceType
from schemas.rules import Rule
from schemas.scalars import Anything, Maybe, Number, Port, RecordId, Text, Whole
from schemas.schedules import PhotovoltaicSlotSent, Schedule, ScheduleDevice, ScheduleSent, SlotSent, pick_one, rules_of


class ChargeDetail(Schedule, kw_only=True):
    """A storage strategy."""

    ems_devices: Maybe[list[ScheduleDevice]] = UNSET


class PhotovoltaicChargeDetail(Schedule, kw_only=True):
    """A photovoltaic strategy. The table says `devices`, the list sample `ems_devices`."""

    devices: Maybe[list[ScheduleDevice]] = UNSET
    ems_devices: Maybe[list[ScheduleDevice]] = UNSET


class PailDevice(Struct, kw_only=True):
    """A charging pile. The table is a copy of the EMS device's; samples show a pile with serial and Modbus settings."""

    uid: str
    name: str
    running_status: int
    host: str
    port: Port
    id: Whole = UNSET
    site_name: Text = UNSET
    location: Text = UNSET
    longitude: Number = UNSET
    latitude: Number = UNSET
    level: Whole = UNSET
    type: Text = UNSET
    license: Text = UNSET
    statistics_port: Whole = UNSET
    proto_id: Whole = UNSET
    proto_type: Whole = UNSET
    application_proto_type: Whole = UNSET
    com_addr: Text = UNSET
    com_no: Whole = UNSET
    baud_rate: Whole = UNSET
    data_bits: Whole = UNSET
    stop_bits: Whole = UNSET
    parity: Text = UNSET
    dlt_addr: Text = UNSET
    slave_id: Whole = UNSET
    station_name: Text = UNSET
    model: Whole = UNSET
    ele_meter_id: Whole = UNSET
    pt: Number = UNSET
    ct: Number = UNSET
    direction: Whole = UNSET
    charge_power: Number = UNSET
    point_table_proto_type: Maybe[EleDeviceType] = UNSET
    charges: Anything = UNSET
    power_node_pail: Anything = UNSET


class PailChargeDetail(Schedule, kw_only=True):
    """A charging-pile strategy."""

    devices: Maybe[list[PailDevice]] = UNSET


class ChargeCreate(ScheduleSent, kw_only=True):
    """charge/create, and one strategy of charge/update_all. Whether the batch replaces or adds is not stated."""

    settings: list[SlotSent]
    ems_device_uids: list[str] | UnsetType = UNSET
    ems_device_ids: list[RecordId] | UnsetType = UNSET

    rules: ClassVar[tuple[Rule, ...]] = rules_of("ems_device_ids", "ems_device_uids")

    def __post_init__(self) -> None:
        super().__post_init__()
        pick_one(self, "ems_device_ids", "ems_device_uids")


class ChargeUpdate(ChargeCreate, kw_only=True):
    """charge/update: the whole strategy `id` anew."""

    id: RecordId


class ChargeByNode(ScheduleSent, kw_only=True):
    """charge/by_node: the strategy of one branch node, made or changed. The node stands for its devices."""

    node_id: RecordId
    settings: list[SlotSent]
    ems_device_uids: list[str] | UnsetType = UNSET
    ems_device_ids: list[RecordId] | UnsetType = UNSET

    rules: ClassVar[tuple[Rule, ...]] = rules_of("ems_device_ids", "ems_device_uids", needed=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        pick_one(self, "ems_device_ids", "ems_device_uids", needed=False)


class PhotovoltaicChargeCreate(ScheduleSent, kw_only=True):
    """charge_photovoltaic/create, and one strategy of charge_photovoltaic/update_all."""

    settings: list[PhotovoltaicSlotSent]
    device_ids: list[RecordId] | UnsetType = UNSET

    rules: ClassVar[tuple[Rule, ...]] = rules_of("device_ids")

    def __post_init__(self) -> None:
        super().__post_init__()
        pick_one(self, "device_ids")


class PhotovoltaicChargeUpdate(PhotovoltaicChargeCreate, kw_only=True):
    """charge_photovoltaic/update: the whole strategy `id` anew."""

    id: RecordId


class PailChargeCreate(ScheduleSent, kw_only=True):
    """charge_pail/create, and one strategy of charge_pail/update_all."""

    settings: list[SlotSent]
    device_ids: list[RecordId] | UnsetType = UNSET

    rules: ClassVar[tuple[Rule, ...]] = rules_of("device_ids")

    def __post_init__(self) -> None:
        super().__post_init__()
        pick_one(self, "device_ids")


class PailChargeUpdate(PailChargeCreate, kw_only=True):
    """charge_pail/update: the whole strategy `id` anew."""

    id: RecordId


class PolicyDelete(Struct, kw_only=True, forbid_unknown_fields=True):
    """Delete of a strategy of any of the three."""

    id: RecordId
