"""Every command of the table of kinds, typed. Generated: `python -m bridge.client.generate`."""

from __future__ import annotations

from typing import Any

from bridge.client.command import AnyDevice, Feature, Read, Rows, Write
from schemas.charging import (
    ChargeByNode,
    ChargeCreate,
    ChargeDetail,
    ChargeUpdate,
    PailChargeCreate,
    PailChargeDetail,
    PailChargeUpdate,
    PhotovoltaicChargeCreate,
    PhotovoltaicChargeDetail,
    PhotovoltaicChargeUpdate,
    PolicyDelete,
)
from schemas.controls import BmsControl, BmsSet, CoolingControl, CoolingSet, PcsControl, PcsSet
from schemas.devices import DeviceInfo
from schemas.emu_schedule import EmuChargeSetting
from schemas.meters import EleMeter
from schemas.nodes import PowerNode
from schemas.ota import EmuUpgrade, EmuUpgradeDownload, EmuVersion, OtaUpgrade, OtaUpgradeStatus
from schemas.overdemand import (
    OverDemandCreate,
    OverDemandDelete,
    OverDemandReplace,
    OverDemandUpdate,
    StreamingOverDemand,
    StreamingOverDemandCreated,
)
from schemas.protection import ChargePercentage, SafetyPolicy
from schemas.schedules import PolicyCreated
from schemas.settings import (
    AirStrategy,
    AirStrategySet,
    ChargePercentageSet,
    ReactivePower,
    ReactivePowerSet,
    SafetySet,
    Voltage,
    VoltageSet,
)


class DeviceInfoCommands(Feature):
    """device_info"""

    sync: Read[DeviceInfo | Rows[DeviceInfo]]
    list: Read[DeviceInfo | Rows[DeviceInfo]]


class ElemeterInfoCommands(Feature):
    """elemeter_info"""

    sync: Read[EleMeter | Rows[EleMeter]]
    list: Read[EleMeter | Rows[EleMeter]]


class ChargeCommands(Feature):
    """charge"""

    sync: Read[ChargeDetail | Rows[ChargeDetail]]
    create: Write[ChargeCreate, PolicyCreated]
    update: Write[ChargeUpdate, Any]
    delete: Write[PolicyDelete, Any]
    update_all: Write[Rows[ChargeCreate], Any]
    by_node: Write[ChargeByNode, PolicyCreated]
    setting: Write[EmuChargeSetting, Any]


class ChargePhotovoltaicCommands(Feature):
    """charge_photovoltaic"""

    sync: Read[PhotovoltaicChargeDetail | Rows[PhotovoltaicChargeDetail]]
    create: Write[PhotovoltaicChargeCreate, PolicyCreated]
    update: Write[PhotovoltaicChargeUpdate, Any]
    delete: Write[PolicyDelete, Any]
    update_all: Write[Rows[PhotovoltaicChargeCreate], Any]


class ChargePailCommands(Feature):
    """charge_pail"""

    sync: Read[PailChargeDetail | Rows[PailChargeDetail]]
    create: Write[PailChargeCreate, PolicyCreated]
    update: Write[PailChargeUpdate, Any]
    delete: Write[PolicyDelete, Any]
    update_all: Write[Rows[PailChargeCreate], Any]


class StreamingOverdemandCommands(Feature):
    """streaming_overdemand"""

    sync: Read[StreamingOverDemand | Rows[StreamingOverDemand]]
    create: Write[OverDemandCreate, StreamingOverDemandCreated]
    update: Write[OverDemandUpdate, Any]
    delete: Write[OverDemandDelete, Any]
    update_all: Write[Rows[OverDemandReplace], Any]


class ChargePercentageCommands(Feature):
    """charge_percentage"""

    sync: Read[ChargePercentage]
    set: Write[ChargePercentageSet, Any]


class SafetyCommands(Feature):
    """safety"""

    sync: Read[SafetyPolicy]
    set: Write[SafetySet, Any]


class PcsControlCommands(Feature):
    """pcs_control"""

    set: Write[PcsSet, Any]
    sync: Read[PcsControl]


class BmsControlCommands(Feature):
    """bms_control"""

    set: Write[BmsSet, Any]
    sync: Read[BmsControl]


class ConditionControlCommands(Feature):
    """condition_control"""

    set: Write[CoolingSet, Any]
    sync: Read[CoolingControl]


class PowerNodeCommands(Feature):
    """power_node"""

    sync: Read[PowerNode | Rows[PowerNode]]


class OtaCommands(Feature):
    """ota"""

    upgrade: Write[OtaUpgrade, OtaUpgradeStatus]
    emu_version: Read[EmuVersion | Rows[EmuVersion]]
    emu_upgrade: Write[EmuUpgrade, EmuUpgradeDownload]
    emu_upgrade_result: Read[EmuVersion]


class AirStrategyCommands(Feature):
    """air_strategy"""

    set: Write[AirStrategySet, Any]
    sync: Read[AirStrategy]


class ReactivePowerControlCommands(Feature):
    """reactive_power_control"""

    set: Write[ReactivePowerSet, Any]
    sync: Read[ReactivePower]


class VoltageControlCommands(Feature):
    """voltage_control"""

    set: Write[VoltageSet, Any]
    sync: Read[Voltage]


class Device(AnyDevice):
    """A device: its commands by feature and action."""

    device_info: DeviceInfoCommands
    elemeter_info: ElemeterInfoCommands
    charge: ChargeCommands
    charge_photovoltaic: ChargePhotovoltaicCommands
    charge_pail: ChargePailCommands
    streaming_overdemand: StreamingOverdemandCommands
    charge_percentage: ChargePercentageCommands
    safety: SafetyCommands
    pcs_control: PcsControlCommands
    bms_control: BmsControlCommands
    condition_control: ConditionControlCommands
    power_node: PowerNodeCommands
    ota: OtaCommands
    air_strategy: AirStrategyCommands
    reactive_power_control: ReactivePowerControlCommands
    voltage_control: VoltageControlCommands
