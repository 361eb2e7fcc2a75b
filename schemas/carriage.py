"""Which message carries what the vendor's platform API asks, and how values change on the way (docs/vendor.md).

The API's switches are 0 off and 1 on; those of overdemand limits are 1 enabled and 2 disabled on MQTT: SWITCHED names them, and
`to_device` and `from_device` turn them, whatever the route. All else has the same values on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct

from schemas import kinds
from schemas.alarms import AlarmData
from schemas.charging import ChargeDetail
from schemas.devices import DeviceInfo
from schemas.kind import Kind
from schemas.meters import EleMeter
from schemas.overdemand import StreamingOverDemand
from schemas.platform import ChargeDepth, Limit, LimitChange, Overdemand, Safety, Streaming
from schemas.protection import ChargePercentage, SafetyPolicy
from schemas.schedules import BY_WEEKDAY

Fields = dict[str, Any]


def _command(feature: str, action: str) -> Kind:
    found = kinds.command(feature, action)
    assert found is not None  # noqa: S101 - a row of the table
    return found


class Policy(NamedTuple):
    """How policies of one sort are made, changed and asked for; `lists` are the suffixes on which a device tells all of them,
    `named` what a new one's id is called in the answer, `shape` one of them."""

    create: Kind
    update: Kind
    delete: Kind
    sync: Kind
    named: str
    shape: type[Struct]
    lists: tuple[str, ...]


class Setting(NamedTuple):
    """Something that a device has one of: `set` writes it, `sync` reads it, as `shape`; `lists` as above."""

    set: Kind
    sync: Kind
    shape: type[Struct] | None
    lists: tuple[str, ...]


def _policy(feature: str, named: str, shape: type[Struct]) -> Policy:
    create, update, delete, sync = (_command(feature, action) for action in ("create", "update", "delete", "sync"))
    return Policy(create, update, delete, sync, named, shape, (f"{feature}/list/post", f"{feature}/sync/result"))


def _setting(feature: str, shape: type[Struct] | None, *told: str) -> Setting:
    return Setting(_command(feature, "set"), _command(feature, "sync"), shape, (*told, f"{feature}/sync/result"))


SCHEDULES = _policy("charge", "policy_id", ChargeDetail)
LIMITS = _policy("streaming_overdemand", "id", StreamingOverDemand)
EMU_SCHEDULE = _command("charge", "setting")
"""An EMU has one schedule, which replaces the one before."""
DEPTH = _setting("charge_percentage", ChargePercentage, "charge_percentage/details/post")
SAFETY = _setting("safety", SafetyPolicy, "safety/details/post")
AIR = _setting("air_strategy", None)
REACTIVE = _setting("reactive_power_control", None)
VOLTAGE = _setting("voltage_control", None)
PCS = _setting("pcs_control", None)
BMS = _setting("bms_control", None)
CABINETS = _command("device_info", "list")
METERS = _command("elemeter_info", "list")
CABINETS_TOLD, METERS_TOLD = "device_info/list/result", "elemeter_info/list/result"
FAULTS_TOLD = "alarm/details/post"
REPORTS_TOLD = "report/regular/post"

PCS_COMMANDS: Mapping[int, Fields] = {
    1: {"pcs_fault_reset": 1},
    2: {"pcs_device_startup": 1},
    3: {"pcs_device_stop": 1},
    4: {"pcs_remote_emergency_stop": 1},
    5: {"pcs_reset_cumulative_charge": 1},
    6: {"pcs_reset_cumulative_discharge": 1},
    7: {"pcs_remote_local_setting": 1},
}
"""The API's 7 says "remote / local": whoever commands a PCS from afar wants it in remote."""
BMS_COMMANDS: Mapping[int, Fields] = {
    1: {"battery_system_reset": 1},
    2: {"high_voltage_command": 1},
    3: {"high_voltage_command": 0},
}
"""That 1 closes the contactor is not stated by the vendor; it is what the reports' `high_voltage_closed_status` says."""

SWITCHED = frozenset({"streaming_status", "over_demand_status", "individual_phase_streaming_status"})
"""Fields that are 0 and 1 in the API, 1 enabled and 2 disabled on MQTT."""
_ON_MQTT = {0: 2, 1: 1}
_IN_API = {2: 0, 1: 1}


def to_device(fields: Fields) -> Fields:
    """Values of the API as MQTT has them."""
    return {name: _ON_MQTT.get(value, value) if name in SWITCHED else value for name, value in fields.items()}


def from_device(fields: Fields) -> Fields:
    """Values of MQTT as the API has them."""
    return {name: _IN_API.get(value, value) if name in SWITCHED else value for name, value in fields.items()}


def plain(value: Any) -> Any:
    """A Struct's fields as JSON values; a float that is a whole number becomes one."""
    return _whole(msgspec.to_builtins(value))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Schedules.

_SCHEDULE = ("status", "month", "week_day")
_SLOT = ("start_hour", "start_minute", "end_hour", "end_minute", "cdc_enable_mode", "run_power")
CABINET_IDS = "ems_device_ids"


def schedule_sent(body: Fields, cabinets: list[int] | None) -> Fields:
    """A schedule of the API as the device takes it: by weekday, for these cabinets, or for all (None)."""
    whom: Fields = {"apply_to_all": True} if cabinets is None else {CABINET_IDS: cabinets}
    sent = {name: body[name] for name in _SCHEDULE}
    return {"charge_type": 1, "mode": BY_WEEKDAY, "settings": body["settings"], **sent, **whom}


def schedule_kept(body: Fields) -> Fields:
    """What a list of the API shows of a schedule that was sent."""
    return {name: body[name] for name in (*_SCHEDULE, "settings")}


def schedule_told(detail: ChargeDetail) -> Fields:
    """What a list of the API shows of a schedule that a device tells. One that goes by date has no weekdays."""
    told = plain(detail)
    slots = [{name: slot[name] for name in _SLOT} for slot in told["settings"]]
    shown = {
        "status": told["status"],
        "month": told["month"],
        "week_day": told.get("week_day") or [],
        "settings": slots,
    }
    if not told["apply_to_all"]:
        shown[CABINET_IDS] = [device["id"] for device in told.get("ems_devices") or []]
    return shown


# Limits.

NO_LIMIT: Fields = {
    "over_demand_status": 0,
    "over_demand_condition": [0] * 12,
    "streaming_status": 0,
    "streaming_condition": 0,
    "individual_phase_streaming_status": 0,
    "individual_phase_streaming_condition": 0,
    "dynamic_demand_percentage": 100,
}
"""A limit that limits nothing, with the switches of the API."""
_LIMIT = (*NO_LIMIT, "ele_meter_id", "dynamic_demand_status", "device_type")


def limit_told(told: StreamingOverDemand) -> Fields:
    """What a sender repeats of a limit that a device tells, with the switches of the API."""
    found = from_device(plain(told))
    return NO_LIMIT | {name: found[name] for name in _LIMIT if found.get(name) is not None}


def streaming_part(body: Limit | LimitChange) -> Fields:
    """The reverse flow side of a limit."""
    return {"streaming_status": body.status, "streaming_condition": body.baseline}


def overdemand_part(body: Limit | LimitChange) -> Fields:
    """The demand side of a limit: the same in every month."""
    return {"over_demand_status": body.status, "over_demand_condition": [body.baseline] * 12}


def streaming_shown(fields: Fields) -> tuple[int, Any]:
    """(status, baseline) of a limit's reverse flow side."""
    return fields["streaming_status"], fields["streaming_condition"]


def overdemand_shown(fields: Fields) -> tuple[int, Any]:
    """(status, baseline) of a limit's demand side; of months that differ the highest."""
    return fields["over_demand_status"], max(fields["over_demand_condition"], default=0)


def protection_part(streaming: Streaming, overdemand: Overdemand) -> tuple[Fields, list[str]]:
    """Both sides of a limit, and the fields of the API that MQTT has no place for. Of margins that differ by phase the highest
    counts, since MQTT has one: it protects more."""
    phases = ("a", "b", "c")
    margins = {f"margin_{phase}": getattr(streaming, f"margin_{phase}") for phase in phases}
    given = {name: value for name, value in margins.items() if value is not UNSET}
    lost = [f"streaming.{name}" for name, value in given.items() if value != max(given.values())]
    demands = (f"demand_{phase}" for phase in phases)
    lost += [f"overdemand.{name}" for name in demands if getattr(overdemand, name) is not UNSET]
    fields: Fields = {
        "streaming_status": streaming.status,
        "streaming_condition": streaming.total_margin,
        "individual_phase_streaming_status": 1 if streaming.status and given else 0,
        "individual_phase_streaming_condition": max(given.values(), default=0),
        "over_demand_status": overdemand.status,
        "over_demand_condition": [overdemand.total_demand] * 12,
    }
    return fields, lost


def protection_shown(fields: Fields) -> Fields:
    """`streaming` and `overdemand` of the API, of a limit."""
    streaming = dict(zip(("status", "total_margin"), streaming_shown(fields), strict=True))
    if fields["individual_phase_streaming_status"] == 1:
        margin = fields["individual_phase_streaming_condition"]
        streaming |= {f"margin_{phase}": margin for phase in ("a", "b", "c")}
    overdemand = dict(zip(("status", "total_demand"), overdemand_shown(fields), strict=True))
    return {"streaming": streaming, "overdemand": overdemand}


# Charge depth and safety.

_WAYS = (("charge", "charge_max_vol"), ("discharge", "discharge_min_vol"))
_STEPS = (2, 3, 4)


def depth_sent(depth: ChargeDepth) -> Fields:
    """The four steps of each way: the first is the end, where no power is left; the second where it slows down."""
    sent: Fields = {}
    for way, cell in _WAYS:
        sent[f"{way}_depth_on"] = 1
        steps = (
            (getattr(depth, f"{way}_depth"), getattr(depth, cell), 0),
            (getattr(depth, f"{way}_slow"), 0, getattr(depth, f"{way}_pcs")),
            (0, 0, 0),
            (0, 0, 0),
        )
        for number, (soc, voltage, power) in enumerate(steps, 1):
            sent[f"{way}_energy_soc_{number}"] = soc
            sent[f"{way}_cell_voltage_{number}"] = voltage
            sent[f"{way}_cell_power_{number}"] = power
    return sent


def depth_shown(told: ChargePercentage) -> Fields:
    """`charge_depth` of the API, of a device's steps; it slows down from the last step that is configured."""
    steps = plain(told)
    shown: Fields = {}
    for way, cell in _WAYS:
        last = max((n for n in _STEPS if steps[f"{way}_energy_soc_{n}"]), default=1)
        shown[f"{way}_depth"] = steps[f"{way}_energy_soc_1"]
        shown[f"{way}_slow"] = steps[f"{way}_energy_soc_{last}"]
        shown[cell] = steps[f"{way}_cell_voltage_1"]
        shown[f"{way}_pcs"] = steps[f"{way}_cell_power_{last}"]
    return {"charge_depth": shown}


def safety_shown(told: SafetyPolicy) -> Fields:
    """`safety` of the API."""
    return {"safety": plain(told)}


def safety_sent(safety: Safety) -> Fields:
    """What is named is sent."""
    sent: Fields = plain(safety)
    return sent


# What else a device tells.


def cabinet_told(told: DeviceInfo) -> Fields:
    """A storage device below a level-2 EMS. No message tells its uid."""
    return {
        "id": told.id,
        "name": told.name,
        "device_type": told.type,
        "running_status": told.running_status,
    }


def meter_told(told: EleMeter) -> Fields:
    """A meter below a level-2 EMS; its factor is that of both transformers."""
    found = plain(told)
    sort = found.get("ele_device_type") or {}
    return {
        "id": found["id"],
        "uid": found.get("uid") or "",
        "device_type": sort.get("name", ""),
        "factor": (found.get("pt") or 1) * (found.get("ct") or 1),
        "running_status": found["running_status"],
    }


def fault_told(told: AlarmData, device: str, sub_device: object, at: int, number: int) -> Fields:
    """An alarm as a fault. `at` in ms; `number` stands for an id that the device does not give."""
    return {
        "id": told.id if isinstance(told.id, int) else number,
        "device_uid": device,
        "status": told.handle_status,
        "sub_device_id": sub_device,
        "timestamp": at,
        "level": told.level,
        "fault_device_type": told.device_type,
    }
