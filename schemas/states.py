"""What a PCS and a battery do, as the three forms of a report tell it, in the words of the vendor's platform API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from schemas.emu import EmuPcsData
from schemas.emu_battery import EmuBatteryArrayData
from schemas.meters_v2 import DirectChargePailData, PhotovoltaicInverterData
from schemas.reports_v1 import RegularReportBMSV1, RegularReportPCSV1
from schemas.storage_v2 import (
    EMSDataTotalV2,
    RegularReportSubEMSBMSV2,
    RegularReportSubEMSMPPTV2,
    RegularReportSubEMSPCSV2,
)

STOPPED, STANDBY, CHARGING, DISCHARGING, RUNNING, FAULT = 1, 2, 3, 4, 5, 7
"""`running_status` of a level-1 EMS's parts."""
OPEN, RESTING = 1, 2
"""`operating_status` of a battery, beside CHARGING and DISCHARGING: contactor open, or closed and at rest."""


class PcsState(NamedTuple):
    """Of one PCS."""

    stopped: bool
    standby: bool
    running: bool
    fault: bool
    alarm: bool


class BatteryState(NamedTuple):
    """Of one battery: how many alarms there are, and what it does (OPEN, RESTING, CHARGING, DISCHARGING)."""

    alarms: int
    doing: int


def pcs_state(part: Struct) -> PcsState | None:
    """The state that a report's part tells; None when it is no PCS or tells none."""
    if isinstance(part, EmuPcsData):
        words = (part.shutdown_status, part.standby_status, part.running_status)
        if not any(isinstance(word, int) for word in words):
            return None
        stopped, standby, running = (word == 1 for word in words)
        return PcsState(stopped, standby, running, part.total_fault_status == 1, part.total_alarm_status == 1)
    if isinstance(part, RegularReportPCSV1 | RegularReportSubEMSPCSV2) and isinstance(part.running_status, int):
        doing = part.running_status
        running = doing in (CHARGING, DISCHARGING, RUNNING)
        fault = part.pcs_fault_status == 1 or doing == FAULT
        return PcsState(doing == STOPPED, doing == STANDBY, running, fault, part.pcs_alarm_status == 1)
    return None


def battery_state(part: Struct) -> BatteryState | None:
    """The state that a report's part tells; None when it is no battery or tells none."""
    if isinstance(part, EmuBatteryArrayData) and isinstance(part.operating_status, int):
        return BatteryState(part.alarm_status if isinstance(part.alarm_status, int) else 0, part.operating_status)
    if isinstance(part, RegularReportBMSV1 | RegularReportSubEMSBMSV2) and isinstance(part.running_status, int):
        alarms = (part.total_alarm_status == 1) + (part.total_fault_status == 1)
        if part.running_status in (CHARGING, DISCHARGING):
            return BatteryState(alarms, part.running_status)
        closed = part.high_voltage_closed_status == 1 or part.running_status in (STANDBY, RUNNING)
        return BatteryState(alarms, RESTING if closed else OPEN)
    return None


def together_pcs(states: Iterable[PcsState]) -> PcsState | None:
    """Several PCS as one: it runs when one does, stands by when one does and none runs, has stopped when all have."""
    found = list(states)
    if not found:
        return None
    running = any(state.running for state in found)
    standby = not running and any(state.standby for state in found)
    stopped = all(state.stopped for state in found)
    return PcsState(stopped, standby, running, any(state.fault for state in found), any(state.alarm for state in found))


def together_batteries(states: Iterable[BatteryState]) -> BatteryState | None:
    """Several batteries as one: the alarms of all, and what the busiest does."""
    found = list(states)
    if not found:
        return None
    return BatteryState(sum(state.alarms for state in found), max(state.doing for state in found))


class Activity(NamedTuple):
    """Whether a part is at work, and whether it has a fault, as far as one report tells."""

    running: bool
    fault: bool


def activity(part: Struct) -> Activity | None:
    """What a report's part tells of its work; None when it is nothing that works, or tells nothing of it.

    A PCS and a battery work while they charge or discharge, an inverter and an MPPT while they are on, a pile while a vehicle is
    charged from it or gives back, the EMS itself while it says so.
    """
    words = _ACTIVITY.get(part.__class__)
    if words is None:
        return None
    doing = getattr(part, words.doing)
    faulty = getattr(part, words.fault) if words.fault else None
    if doing.__class__ is not int and faulty.__class__ is not int:
        return None
    return Activity(doing in words.running, faulty == 1 or doing in words.faults)


class _Words(NamedTuple):
    """Which field tells what a part does, with the values that mean work and fault; and which one that it has a fault."""

    doing: str
    running: frozenset[int]
    faults: frozenset[int] = frozenset()
    fault: str = ""


_BUSY = frozenset({CHARGING, DISCHARGING, RUNNING})
_PCS = _Words("running_status", _BUSY, frozenset({FAULT}), "pcs_fault_status")
_BATTERY = _Words("running_status", _BUSY, frozenset({FAULT}), "total_fault_status")
_ACTIVITY: dict[type, _Words] = {
    RegularReportPCSV1: _PCS,
    RegularReportSubEMSPCSV2: _PCS,
    EmuPcsData: _Words("running_status", frozenset({1}), frozenset(), "total_fault_status"),
    RegularReportBMSV1: _BATTERY,
    RegularReportSubEMSBMSV2: _BATTERY,
    EmuBatteryArrayData: _Words("operating_status", frozenset({CHARGING, DISCHARGING}), frozenset(), "machine_fault"),
    PhotovoltaicInverterData: _Words("running_status", frozenset({RUNNING}), frozenset({FAULT})),
    RegularReportSubEMSMPPTV2: _Words("pv_running_status", frozenset({2}), frozenset(), "pv_fault_status"),
    DirectChargePailData: _Words("charging_status", frozenset({1, 5, 8}), frozenset({2})),
    EMSDataTotalV2: _Words("running_status", frozenset({2})),
}
