"""KINDS: one row a message. Topics, validation, storage, answers, documents and tests follow from it.

Source: CATALOG.md, Messages. A new message is a Struct and a row.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct

from schemas.alarms import AlarmData
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
from schemas.emu import EmuReportRegular, is_emu
from schemas.emu_schedule import EmuChargeSetting
from schemas.envelope import Message, encode
from schemas.errors import Invalid
from schemas.explain import FAILURES, depth, explain
from schemas.kind import Kind, many
from schemas.merge import merge, unknown
from schemas.meters import EleMeter
from schemas.nodes import PowerNode
from schemas.ota import EmuUpgrade, EmuUpgradeDownload, EmuVersion, OtaUpgrade, OtaUpgradeStatus, downloaded, upgraded
from schemas.overdemand import (
    OverDemandCreate,
    OverDemandDelete,
    OverDemandReplace,
    OverDemandUpdate,
    StreamingOverDemand,
    StreamingOverDemandCreated,
)
from schemas.protection import ChargePercentage, SafetyPolicy
from schemas.regulation import GridFmReceive
from schemas.reports_v1 import ReportV1, is_v1
from schemas.reports_v2 import ReportV2, is_v2, loose_v2
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

__all__ = ["KINDS", "Kind", "Message", "command", "encode", "find", "resolve", "result_of", "roundtrip", "unknown_keys"]

_OVERDEMAND = "streaming_overdemand"
_PHOTOVOLTAIC = "charge_photovoltaic"
_PAIL = "charge_pail"
_ALARM = ("alarms_details",)
_PHOTOVOLTAIC_CREATE = ("charge_photovoltaic_create",)
_PHOTOVOLTAIC_DELETE = ("charge_delete",)
_PAIL_CREATE = ("pail_charge_list",)
_FOREIGN = ("device_info/sync/result",)

UPGRADE_S = 1_800.0
"""An EMS fetches an image, prepares, restarts and says what became of it; until then it takes no other change."""
DOWNLOAD_S = 300.0
"""An EMS fetches and unpacks the image for an EMU before it answers."""

KINDS: tuple[Kind, ...] = (
    # sub-device
    Kind("device_info", "details", "post", "device_info_details", many(DeviceInfo)),
    Kind("device_info", "sync", "command", "device_info_sync"),
    Kind("device_info", "sync", "result", "device_info_sync", many(DeviceInfo)),
    Kind("device_info", "list", "command", "device_info_list"),
    Kind("device_info", "list", "result", "device_info_list", many(DeviceInfo)),
    # sub-elemeter
    Kind("elemeter_info", "details", "post", "elemeter_info_details", many(EleMeter)),
    Kind("elemeter_info", "sync", "command", "elemeter_info_sync"),
    Kind("elemeter_info", "sync", "result", "elemeter_info_sync", many(EleMeter)),
    Kind("elemeter_info", "list", "command", "elemeter_info_list"),
    Kind("elemeter_info", "list", "result", "elemeter_info_list", many(EleMeter)),
    # charge-strategy
    Kind("charge", "list", "post", "charge_list", many(ChargeDetail)),
    Kind("charge", "sync", "command", "charge_sync"),
    Kind("charge", "sync", "result", "charge_sync", many(ChargeDetail)),
    Kind("charge", "create", "command", "charge_create", ChargeCreate, changes=True),
    Kind("charge", "create", "result", "charge_create", PolicyCreated),
    Kind("charge", "update", "command", "charge_update", ChargeUpdate, changes=True),
    Kind("charge", "update", "result", "charge_update"),
    Kind("charge", "delete", "command", "charge_delete", PolicyDelete, changes=True),
    Kind("charge", "delete", "result", "charge_delete"),
    Kind("charge", "update_all", "command", "charge_update_all", list[ChargeCreate], changes=True),
    Kind("charge", "update_all", "result", "charge_update_all"),
    Kind("charge", "by_node", "command", "charge_by_node", ChargeByNode, changes=True),
    Kind("charge", "by_node", "result", "charge_by_node", PolicyCreated),
    # photovoltaic_charge-strategy
    Kind(_PHOTOVOLTAIC, "list", "post", "photovoltaic_charge_list", many(PhotovoltaicChargeDetail)),
    Kind(_PHOTOVOLTAIC, "sync", "command", "photovoltaic_charge_sync"),
    Kind(_PHOTOVOLTAIC, "sync", "result", "photovoltaic_charge_sync", many(PhotovoltaicChargeDetail)),
    Kind(
        _PHOTOVOLTAIC,
        "create",
        "command",
        "photovoltaic_charge_create",
        PhotovoltaicChargeCreate,
        changes=True,
        aliases=_PHOTOVOLTAIC_CREATE,
    ),
    Kind(_PHOTOVOLTAIC, "create", "result", "photovoltaic_charge_create", PolicyCreated, aliases=_PHOTOVOLTAIC_CREATE),
    Kind(_PHOTOVOLTAIC, "update", "command", "photovoltaic_charge_update", PhotovoltaicChargeUpdate, changes=True),
    Kind(_PHOTOVOLTAIC, "update", "result", "photovoltaic_charge_update"),
    Kind(
        _PHOTOVOLTAIC,
        "delete",
        "command",
        "photovoltaic_charge_delete",
        PolicyDelete,
        changes=True,
        aliases=_PHOTOVOLTAIC_DELETE,
    ),
    Kind(_PHOTOVOLTAIC, "delete", "result", "photovoltaic_charge_delete", aliases=_PHOTOVOLTAIC_DELETE),
    Kind(
        _PHOTOVOLTAIC,
        "update_all",
        "command",
        "photovoltaic_charge_update_all",
        list[PhotovoltaicChargeCreate],
        changes=True,
    ),
    Kind(_PHOTOVOLTAIC, "update_all", "result", "photovoltaic_charge_update_all"),
    # photovoltaic_charge-strategy-1: charging piles
    Kind(_PAIL, "list", "post", "pail_charge_list", many(PailChargeDetail)),
    Kind(_PAIL, "sync", "command", "pail_charge_sync"),
    Kind(_PAIL, "sync", "result", "pail_charge_sync", many(PailChargeDetail)),
    Kind(_PAIL, "create", "command", "pail_charge_create", PailChargeCreate, changes=True, aliases=_PAIL_CREATE),
    Kind(_PAIL, "create", "result", "pail_charge_create", PolicyCreated, aliases=_PAIL_CREATE),
    Kind(_PAIL, "update", "command", "pail_charge_update", PailChargeUpdate, changes=True),
    Kind(_PAIL, "update", "result", "pail_charge_update"),
    Kind(_PAIL, "delete", "command", "pail_charge_delete", PolicyDelete, changes=True),
    Kind(_PAIL, "delete", "result", "pail_charge_delete"),
    Kind(_PAIL, "update_all", "command", "pail_charge_update_all", list[PailChargeCreate], changes=True),
    Kind(_PAIL, "update_all", "result", "pail_charge_update_all"),
    # overdemand
    Kind(_OVERDEMAND, "list", "post", "streaming_overdemand_list", many(StreamingOverDemand)),
    Kind(_OVERDEMAND, "sync", "command", "streaming_overdemand_sync"),
    Kind(_OVERDEMAND, "sync", "result", "streaming_overdemand_sync", many(StreamingOverDemand)),
    Kind(_OVERDEMAND, "create", "command", "streaming_overdemand_create", OverDemandCreate, changes=True),
    Kind(_OVERDEMAND, "create", "result", "streaming_overdemand_create", StreamingOverDemandCreated),
    Kind(_OVERDEMAND, "update", "command", "streaming_overdemand_update", OverDemandUpdate, changes=True),
    Kind(_OVERDEMAND, "update", "result", "streaming_overdemand_update"),
    Kind(_OVERDEMAND, "delete", "command", "streaming_overdemand_delete", OverDemandDelete, changes=True),
    Kind(_OVERDEMAND, "delete", "result", "streaming_overdemand_delete"),
    Kind(
        _OVERDEMAND, "update_all", "command", "streaming_overdemand_update_all", list[OverDemandReplace], changes=True
    ),
    Kind(_OVERDEMAND, "update_all", "result", "streaming_overdemand_update_all"),
    # charge-depth: the vendor prints device_info/sync for the result
    Kind("charge_percentage", "details", "post", "charge_percentage_details", ChargePercentage),
    Kind("charge_percentage", "sync", "command", "charge_percentage_sync"),
    Kind("charge_percentage", "sync", "result", "charge_percentage_sync", ChargePercentage, also=_FOREIGN),
    # safety
    Kind("safety", "details", "post", "safety_details", SafetyPolicy),
    Kind("safety", "sync", "command", "safety_sync"),
    Kind("safety", "sync", "result", "safety_sync", SafetyPolicy),
    # pcs-control, bms-control, condition-control
    Kind("pcs_control", "set", "command", "pcs_set", PcsSet, changes=True),
    Kind("pcs_control", "set", "result", "pcs_set"),
    Kind("pcs_control", "sync", "command", "pcs_sync"),
    Kind("pcs_control", "sync", "result", "pcs_sync", PcsControl),
    Kind("bms_control", "set", "command", "bms_set", BmsSet, changes=True),
    Kind("bms_control", "set", "result", "bms_set"),
    Kind("bms_control", "sync", "command", "bms_sync"),
    Kind("bms_control", "sync", "result", "bms_sync", BmsControl),
    Kind("condition_control", "set", "command", "condition_set", CoolingSet, changes=True),
    Kind("condition_control", "set", "result", "condition_set"),
    Kind("condition_control", "sync", "command", "condition_sync"),
    Kind("condition_control", "sync", "result", "condition_sync", CoolingControl),
    # power-node
    Kind("power_node", "list", "post", "power_node_list", many(PowerNode)),
    Kind("power_node", "sync", "command", "power_node_sync"),
    Kind("power_node", "sync", "result", "power_node_sync", many(PowerNode)),
    # device-event: V2, V1 and EMU on one topic and type
    Kind("report", "regular", "post", "report_regular", ReportV2, variant="v2", fits=is_v2, loose=loose_v2),
    Kind("report", "regular", "post", "report_regular", ReportV1, variant="v1", fits=is_v1),
    Kind("report", "regular", "post", "report_regular", EmuReportRegular, variant="emu", fits=is_emu),
    # fault-alarm
    Kind("alarm", "details", "post", "alarm_details", many(AlarmData), aliases=_ALARM, event="alarm"),
    # ota
    Kind("ota", "upgrade", "command", "ota_upgrade", OtaUpgrade, changes=True, timeout_s=UPGRADE_S),
    Kind("ota", "upgrade", "result", "ota_upgrade", OtaUpgradeStatus, verdict=upgraded),
    # ota-emu
    Kind("ota", "emu_version", "command", "emu_version"),
    Kind("ota", "emu_version", "result", "emu_version", many(EmuVersion)),
    Kind("ota", "emu_upgrade", "command", "emu_upgrade", EmuUpgrade, changes=True, timeout_s=DOWNLOAD_S),
    Kind("ota", "emu_upgrade", "result", "emu_upgrade", EmuUpgradeDownload, verdict=downloaded),
    Kind("ota", "emu_upgrade_result", "command", "emu_upgrade_result"),
    Kind("ota", "emu_upgrade_result", "result", "emu_upgrade_result", EmuVersion),
    # grid-fm-passively
    Kind("grid_fm", "receive", "post", "grid_fm_receive", GridFmReceive),
    # emu-charge-policy
    Kind("charge", "setting", "command", "charge_setting", EmuChargeSetting, changes=True),
    Kind("charge", "setting", "result", "charge_setting"),
    # this bridge's own: what the vendor's platform API sets and no MQTT page carries (docs/vendor.md)
    Kind("charge_percentage", "set", "command", "charge_percentage_set", ChargePercentageSet, changes=True),
    Kind("charge_percentage", "set", "result", "charge_percentage_set"),
    Kind("safety", "set", "command", "safety_set", SafetySet, changes=True),
    Kind("safety", "set", "result", "safety_set"),
    Kind("air_strategy", "set", "command", "air_strategy_set", AirStrategySet, changes=True),
    Kind("air_strategy", "set", "result", "air_strategy_set"),
    Kind("air_strategy", "sync", "command", "air_strategy_sync"),
    Kind("air_strategy", "sync", "result", "air_strategy_sync", AirStrategy),
    Kind("reactive_power_control", "set", "command", "reactive_power_set", ReactivePowerSet, changes=True),
    Kind("reactive_power_control", "set", "result", "reactive_power_set"),
    Kind("reactive_power_control", "sync", "command", "reactive_power_sync"),
    Kind("reactive_power_control", "sync", "result", "reactive_power_sync", ReactivePower),
    Kind("voltage_control", "set", "command", "voltage_set", VoltageSet, changes=True),
    Kind("voltage_control", "set", "result", "voltage_set"),
    Kind("voltage_control", "sync", "command", "voltage_sync"),
    Kind("voltage_control", "sync", "result", "voltage_sync", Voltage),
)


def find(suffix: str) -> tuple[Kind, ...]:
    """The kinds that come on `feature/action/kind`; empty when there is none."""
    return _BY_SUFFIX.get(suffix, ())


def resolve(suffix: str, payload: bytes) -> tuple[Kind, Message]:
    """The kind of a device's payload on a topic suffix, by type and then by shape, and its message. Raise Invalid."""
    kinds = _BY_SUFFIX.get(suffix)
    if kinds is None:
        raise Invalid("unknown_type", "", f"no message is known on {suffix}")
    if len(kinds) == 1:
        return kinds[0], kinds[0].decode(payload)
    return _by_shape(_by_type(suffix, payload, kinds), payload)


def command(feature: str, action: str) -> Kind | None:
    """The command `feature/action`."""
    return _COMMANDS.get((feature, action))


def result_of(kind: Kind) -> Kind | None:
    """The result that answers a command; None for posts and results."""
    return _RESULTS.get(kind.key)


def roundtrip(kind: Kind, payload: bytes) -> bytes:
    """`payload` decoded and encoded again, with the keys that the Structs do not know. Raise Invalid."""
    raw, message = _both(kind, payload)
    return msgspec.json.encode(merge(raw, msgspec.to_builtins(message)))


def unknown_keys(kind: Kind, payload: bytes) -> tuple[str, ...]:
    """JSON paths of the keys that the Structs do not know. Raise Invalid. Not for the hot path."""
    raw, message = _both(kind, payload)
    return tuple(unknown(raw, message))


class _Type(Struct):
    type: Any = UNSET


_read_type = msgspec.json.Decoder(_Type).decode


def _by_type(suffix: str, payload: bytes, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Those of `kinds` that the payload's type means. One type needs no look."""
    types = _TYPES[suffix]
    if len(types) == 1:
        return kinds
    try:
        found = _read_type(payload).type
    except FAILURES as error:
        raise explain(error, _Type) from None
    chosen = tuple(kind for kind in kinds if found == kind.type or found in kind.aliases)
    if not chosen:
        what = "required, but missing" if found is UNSET else repr(str(found)[:80])
        raise Invalid("unknown_type", "$.type", f"{what}; expected one of {', '.join(types)}")
    return chosen


def _by_shape(kinds: tuple[Kind, ...], payload: bytes) -> tuple[Kind, Message]:
    """The first kind, in the order of the table, that reads the payload and whose shape it has."""
    refused: list[tuple[Kind, msgspec.ValidationError]] = []
    for kind in kinds:
        try:
            message = kind.read(payload)
        except msgspec.ValidationError as error:
            refused.append((kind, error))
            continue
        except FAILURES as error:
            raise explain(error, kind.model) from None
        if kind.fits is None or kind.fits(message.data):
            return kind, kind.check(message)
    return _by_loose_shape(kinds, payload, refused)


def _by_loose_shape(
    kinds: tuple[Kind, ...], payload: bytes, refused: list[tuple[Kind, msgspec.ValidationError]]
) -> tuple[Kind, Message]:
    """The kind whose loose reading takes what all types refused; else the deepest error."""
    errors: list[Invalid] = []
    for kind, error in refused:
        try:
            if kind.loose is None:
                raise explain(error, kind.model)
            message = kind.decode_loose(payload, error)
        except Invalid as invalid:
            errors.append(invalid)
            continue
        if kind.fits is None or kind.fits(message.data):
            return kind, message
    if not errors:
        raise Invalid("invalid", "$.data", f"has the shape of none of {', '.join(kind.key for kind in kinds)}")
    raise max(errors, key=lambda invalid: depth(invalid.path))


def _both(kind: Kind, payload: bytes) -> tuple[Any, Message]:
    message = kind.decode(payload)
    try:
        return msgspec.json.decode(payload), message
    except FAILURES as error:
        raise explain(error, Any) from None


def _index(rows: tuple[Kind, ...]) -> dict[str, tuple[Kind, ...]]:
    found: dict[str, tuple[Kind, ...]] = {}
    for row in rows:
        for suffix in (row.suffix, *row.also):
            found[suffix] = (*found.get(suffix, ()), row)
    return found


_BY_SUFFIX = _index(KINDS)
_TYPES = {
    suffix: tuple(dict.fromkeys(name for row in rows for name in (row.type, *row.aliases)))
    for suffix, rows in _BY_SUFFIX.items()
}
_COMMANDS = {(row.feature, row.action): row for row in KINDS if row.kind == "command"}
_RESULTS = {
    row.key: answer
    for row in KINDS
    if row.answers is not None
    for answer in _BY_SUFFIX.get(row.answers, ())
    if answer.suffix == row.answers
}
