"""Periodic report, V2: entries told apart by `type`, several in an array or a single object. Source: device-event-1 page."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Struct

from schemas.explain import explain
from schemas.meters_v2 import (
    AlternatingChargePailData,
    DirectChargePailData,
    PhotovoltaicInverterData,
    SubEleMeterDataV2,
)
from schemas.reports_v1 import ReportV1
from schemas.scalars import Anything, Many, Whole
from schemas.storage_v2 import (
    EMSDataTotalV2,
    EMSDataV2,
    RegularReportSubEMSAirconV2,
    RegularReportSubEMSBMSV2,
    RegularReportSubEMSFireV2,
    RegularReportSubEMSLiquidconV2,
    RegularReportSubEMSMPPTV2,
    RegularReportSubEMSPCSV2,
)


class EntryV2(Struct, tag_field="type", gc=False, kw_only=True):
    """One entry. `index` counts units of one type behind one sub-device; single objects lack it."""

    index: Whole = UNSET


class FireEntry(EntryV2, tag="sub_ems_fire"):
    """Fire protection of a level-1 EMS."""

    data: RegularReportSubEMSFireV2 | None = None


class AirconEntry(EntryV2, tag="sub_ems_aircon"):
    """Air cooling of a level-1 EMS."""

    data: RegularReportSubEMSAirconV2 | None = None


class LiquidconEntry(EntryV2, tag="sub_ems_liquidcon"):
    """Liquid cooling of a level-1 EMS."""

    data: RegularReportSubEMSLiquidconV2 | None = None


class BatteryEntry(EntryV2, tag="sub_ems_bms"):
    """One battery of a level-1 EMS."""

    data: RegularReportSubEMSBMSV2 | None = None


class PcsEntry(EntryV2, tag="sub_ems_pcs"):
    """One power conversion system of a level-1 EMS."""

    data: RegularReportSubEMSPCSV2 | None = None


class MpptEntry(EntryV2, tag="sub_ems_mppt"):
    """One PV converter of a level-1 EMS."""

    data: RegularReportSubEMSMPPTV2 | None = None


class EMSEntry(EntryV2, tag="ems"):
    """The site's storage."""

    data: EMSDataV2 | None = None


class MeterEntry(EntryV2, tag="sub_elemeter"):
    """One meter."""

    data: Many[SubEleMeterDataV2] | None = None


class MetersEntry(EntryV2, tag="sub_elemeters"):
    """Several meters."""

    data: Many[SubEleMeterDataV2] | None = None


class PhotovoltaicMeterEntry(EntryV2, tag="photovoltaic_meter"):
    """The meter of a PV plant."""

    data: SubEleMeterDataV2 | None = None


class InverterEntry(EntryV2, tag="photovoltaic_inverter"):
    """One PV inverter."""

    data: PhotovoltaicInverterData | None = None


class AlternatingPailEntry(EntryV2, tag="alternating_pail"):
    """One AC charging pile."""

    data: AlternatingChargePailData | None = None


class DirectPailEntry(EntryV2, tag="direct_pail"):
    """One DC charging pile."""

    data: DirectChargePailData | None = None


class PailMeterEntry(EntryV2, tag="pail_meter"):
    """The meter of charging piles."""

    data: SubEleMeterDataV2 | None = None


class OtherEntry(Struct, kw_only=True):
    """An entry of a type that no table lists, kept as it came."""

    type: str
    index: Anything = UNSET
    data: Any = UNSET


Entry: TypeAlias = (
    FireEntry
    | AirconEntry
    | LiquidconEntry
    | BatteryEntry
    | PcsEntry
    | MpptEntry
    | EMSEntry
    | MeterEntry
    | MetersEntry
    | PhotovoltaicMeterEntry
    | InverterEntry
    | AlternatingPailEntry
    | DirectPailEntry
    | PailMeterEntry
)

ReportV2: TypeAlias = list[Entry] | Entry
"""The body of report/regular/post, V2. An array with unknown types holds OtherEntry for them."""


def is_v2(data: ReportV2 | OtherEntry) -> bool:
    """Whether a body that V2's types read is V2: V1 has the entries `ems` and `sub_elemeter(s)` too, never an array."""
    if data.__class__ is list:
        return True
    if isinstance(data, OtherEntry):
        return data.type not in _V1_TYPES
    if not isinstance(data, EMSEntry | MeterEntry | MetersEntry):
        return True
    return data.index is not UNSET or _only_in_v2(data.data)


def loose_v2(data: Any) -> list[Entry | OtherEntry] | Entry | OtherEntry:
    """Entries from plain JSON values, those of unknown types as they are. Raise Invalid."""
    if isinstance(data, list):
        return [_loose_entry(entry, f"$.data[{at}]") for at, entry in enumerate(data)]
    return _loose_entry(data, "$.data")


def _loose_entry(entry: Any, path: str) -> Entry | OtherEntry:
    name = entry.get("type") if isinstance(entry, dict) else None
    known = isinstance(name, str) and name in _V2_TYPES
    model: Any = Entry if known else OtherEntry
    try:
        found: Entry | OtherEntry = msgspec.convert(entry, model)
    except msgspec.ValidationError as error:
        raise explain(error, model, path) from None
    return found


def _only_in_v2(data: Any) -> bool:
    if isinstance(data, EMSDataV2):
        total = data.total
        if not isinstance(total, EMSDataTotalV2):
            return False
        return (total.max_charge_power, total.max_discharge_power, total.device_count) != (UNSET, UNSET, UNSET)
    meters = data if isinstance(data, list) else [data]
    return any(meter is not None and meter.device_id is not UNSET for meter in meters)


_V1_TYPES = frozenset(entry.__struct_config__.tag for entry in ReportV1.__args__)
_V2_TYPES = frozenset(entry.__struct_config__.tag for entry in Entry.__args__)
