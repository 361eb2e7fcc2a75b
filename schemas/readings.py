"""Report -> readings: which part of the device, which points, which sign (PRODUCT.md §6; CATALOG.md, Power readings).

Parts, and the families that `signs` speaks of (the word before the first dot; `ems` for the device itself):

    ""  ems total                          branch.<ele_meter_id>     meter.<id>
    pcs.<sub_device_id>.<index>            battery.<…>.<index>       mppt.<…>.<index>     cooling.<…>.<index>
    pv_meter.<sub_device_id>.<index>       inverter.<…>.<index>      pile_meter, pile_ac, pile_dc likewise
    pcs, battery, rack.<n>                 of an EMU itself       regulation.<sub_device_id>
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import UNSET, Struct

from schemas.emu import EmuPcsData, EmuReportRegular
from schemas.emu_battery import EmuBatteryArrayData
from schemas.emu_rack import EmuBatteryRackData
from schemas.envelope import Message
from schemas.kind import Kind
from schemas.meters_v2 import (
    AlternatingChargePailData,
    DirectChargePailData,
    PhotovoltaicInverterData,
    SubEleMeterDataV2,
)
from schemas.points import POINTS, Point
from schemas.regulation import POWER, GridFmReceive
from schemas.reports_v1 import (
    EMSDataStatisticsV1,
    EMSDataTotalV1,
    EMSEntryV1,
    MeterEntryV1,
    MetersEntryV1,
    RegularReportBMSV1,
    RegularReportPCSV1,
    SubEleMeterDataV1,
    SubEMSEntryV1,
)
from schemas.reports_v2 import (
    AlternatingPailEntry,
    BatteryEntry,
    DirectPailEntry,
    EMSEntry,
    InverterEntry,
    LiquidconEntry,
    MeterEntry,
    MetersEntry,
    MpptEntry,
    PailMeterEntry,
    PcsEntry,
    PhotovoltaicMeterEntry,
)
from schemas.storage_v2 import (
    EMSDataStatisticsV2,
    EMSDataTotalV2,
    RegularReportSubEMSBMSV2,
    RegularReportSubEMSLiquidconV2,
    RegularReportSubEMSMPPTV2,
    RegularReportSubEMSPCSV2,
)

__all__ = ["MEASURED", "POINTS", "Point", "Sample", "extract", "parts_of"]


class Sample(NamedTuple):
    """The readings of one part at one moment. `timestamp` is the message's, in ms; `values` is {point: value}, never empty."""

    part: str
    timestamp: int
    values: dict[str, float]


def extract(kind: Kind, message: Message, signs: Mapping[str, float] | None = None) -> list[Sample]:  # noqa: ARG001
    """The readings of a decoded message; none for messages that carry none. Null and absent values give no reading.

    `signs` maps part families to +1 or -1, so that import and charging become positive; counters, limits and apparent power
    stay as they are. The kind is the message's; what is read hangs on the Structs of its data.
    """
    data = message.data
    samples: list[Sample] = []
    for entry in data if data.__class__ is list else (data,):
        parts = _PARTS.get(entry.__class__)
        if parts is None:
            continue
        for part, source in parts(entry, message):
            names, read, signed, words = _READERS[source.__class__]
            values = {n: v for n, v in zip(names, read(source), strict=True) if v is not None and v is not UNSET}
            if words:
                _add_words(values, source, words)
            if signs and signed and signs.get(part.partition(".")[0] or "ems", 1.0) < 0:
                for name in signed.intersection(values):
                    values[name] = 0.0 - values[name]
            if values:
                samples.append(Sample(part, message.timestamp, values))
    return samples


Found = list[tuple[str, Struct]]
"""(part, what measures it)."""


def parts_of(message: Message) -> Found:
    """The parts that a decoded message tells of, whatever it tells of them."""
    data = message.data
    found: Found = []
    for entry in data if data.__class__ is list else (data,):
        parts = _PARTS.get(entry.__class__)
        if parts is not None:
            found += parts(entry, message)
    return found


def _behind_sub_device(family: str) -> Callable[[Any, Message], Found]:
    """One unit of a level-1 EMS: `family.<sub_device_id>.<index>`."""

    def parts(entry: Any, message: Message) -> Found:
        if not entry.data:
            return []
        return [(f"{family}.{_sub_device(message)}.{entry.index or 0}", entry.data)]

    return parts


def _meters(entry: Any, message: Message) -> Found:  # noqa: ARG001
    meters = entry.data
    if meters.__class__ is not list:
        meters = (meters,)
    return [(f"meter.{_meter_key(meter, at)}", meter) for at, meter in enumerate(meters) if meter]


def _meter_key(meter: Any, at: int) -> str:
    """A meter's id; else its uid, else its place in the report."""
    number = meter.id if meter.__class__ is SubEleMeterDataV1 else meter.device_id
    if number is not None and number is not UNSET:
        return str(number)[:_LONGEST]
    return _name(meter.uid) if meter.uid else str(at)


def _ems(entry: Any, message: Message) -> Found:  # noqa: ARG001
    data = entry.data
    if not data:
        return []
    found: Found = [("", data.total)] if data.total else []
    for at, branch in enumerate(data.statistics or ()):
        number = branch.ele_meter_id
        found.append((f"branch.{str(at if number is None or number is UNSET else number)[:_LONGEST]}", branch))
    return found


def _sub_ems(entry: Any, message: Message) -> Found:
    data = entry.data
    if not data:
        return []
    place = f"{_sub_device(message, data.uid)}.{entry.index or 0}"
    return [(f"{family}.{place}", one) for family, one in (("pcs", data.pcs), ("battery", data.bms)) if one]


def _emu(report: Any, message: Message) -> Found:  # noqa: ARG001
    found: Found = [(part, one) for part, one in (("pcs", report.pcs), ("battery", report.battery_array)) if one]
    racks = report.battery_rack
    if racks:
        found += [(f"rack.{at}", rack) for at, rack in enumerate(racks if racks.__class__ is list else (racks,))]
    return found


def _set_point(instruction: Any, message: Message) -> Found:
    """A start or a stop is no power."""
    return [(f"regulation.{_sub_device(message)}", instruction)] if instruction.type == POWER else []


def _sub_device(message: Message, uid: Any = None) -> str:
    """The sub-device's id; else its uid; else 0."""
    number = message.sub_device_id
    if number.__class__ is int:
        return str(number)
    return _name(number or message.sub_device_uid or uid or "0")


def _name(text: Any) -> str:
    """`text` as one word of a part's name: asset ids know dots, commas and slashes as marks."""
    return _MARKS.sub("_", str(text))[:_LONGEST] or "0"


_MARKS = re.compile(r"[^\w-]")
_LONGEST = 64

_PARTS: dict[type, Callable[[Any, Message], Found]] = {
    EMSEntryV1: _ems,
    EMSEntry: _ems,
    SubEMSEntryV1: _sub_ems,
    MeterEntryV1: _meters,
    MetersEntryV1: _meters,
    MeterEntry: _meters,
    MetersEntry: _meters,
    PcsEntry: _behind_sub_device("pcs"),
    BatteryEntry: _behind_sub_device("battery"),
    MpptEntry: _behind_sub_device("mppt"),
    LiquidconEntry: _behind_sub_device("cooling"),
    PhotovoltaicMeterEntry: _behind_sub_device("pv_meter"),
    InverterEntry: _behind_sub_device("inverter"),
    PailMeterEntry: _behind_sub_device("pile_meter"),
    AlternatingPailEntry: _behind_sub_device("pile_ac"),
    DirectPailEntry: _behind_sub_device("pile_dc"),
    EmuReportRegular: _emu,
    GridFmReceive: _set_point,
}

_KWH_PER_UNIT = {"kWh": 1, "hWh": 10}
"""The divisor that makes kWh of a register's unit."""


class _Word(NamedTuple):
    """A register in two 16-bit words: low + 65536 × high, in units of which `divisor` make a kWh. A coefficient that the
    device has applied to both words passes through the sum."""

    name: str
    low: str
    high: str
    divisor: int


def _word(name: str, unit: str) -> _Word:
    return _Word(name, f"{name}_low", f"{name}_high", _KWH_PER_UNIT[unit])


_WORDS: dict[type[Struct], tuple[_Word, ...]] = {
    EmuPcsData: tuple(
        _word(f"pcs_{side}_{way}_accumulated_energy", "kWh") for side in ("ac", "dc") for way in ("charge", "discharge")
    ),
    EmuBatteryArrayData: (
        _word("battery_charge_total_energy", "hWh"),
        _word("battery_discharge_total_energy", "hWh"),
        _word("current_chargeable_energy", "hWh"),
        _word("current_dischargeable_energy", "hWh"),
    ),
}

_WORD = 65536.0


def _add_words(values: dict[str, float], source: Struct, words: tuple[_Word, ...]) -> None:
    """Half a register is no reading."""
    for name, low_field, high_field, divisor in words:
        low, high = getattr(source, low_field), getattr(source, high_field)
        if low is None or low is UNSET or high is None or high is UNSET:
            continue
        value = (high * _WORD + low) / divisor
        if math.isfinite(value):
            values[name] = value


class _Reader(NamedTuple):
    names: tuple[str, ...]
    read: Callable[[Any], tuple[Any, ...]]
    signed: frozenset[str]
    words: tuple[_Word, ...]


def _reader(struct: type[Struct]) -> _Reader:
    names = tuple(name for name in struct.__struct_fields__ if name in POINTS)
    signed = frozenset(name for name in names if POINTS[name].signed)
    read = attrgetter(*names)
    return _Reader(names, read if len(names) > 1 else lambda source: (read(source),), signed, _WORDS.get(struct, ()))


_READERS: dict[type, _Reader] = {
    struct: _reader(struct)
    for struct in (
        AlternatingChargePailData,
        DirectChargePailData,
        EMSDataStatisticsV1,
        EMSDataStatisticsV2,
        EMSDataTotalV1,
        EMSDataTotalV2,
        EmuBatteryArrayData,
        EmuBatteryRackData,
        EmuPcsData,
        GridFmReceive,
        PhotovoltaicInverterData,
        RegularReportBMSV1,
        RegularReportPCSV1,
        RegularReportSubEMSBMSV2,
        RegularReportSubEMSLiquidconV2,
        RegularReportSubEMSMPPTV2,
        RegularReportSubEMSPCSV2,
        SubEleMeterDataV1,
        SubEleMeterDataV2,
    )
}
"""By Struct."""

MEASURED: tuple[type[Struct], ...] = tuple(_READERS)
"""Every Struct that readings are read from."""
