"""The vendor's platform API: what stands below a level-2 EMS, and its faults."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bridge.http.table import Answer, Call, Route
from bridge.http.vendor import BASE, DIALECT, TIMED_OUT, Failed, carry, many, meant, owned, page, told
from bridge.http.vendor_shapes import Listing, PageData, PagedDevice, SubDeviceQuery
from schemas import carriage, kinds
from schemas.errors import Invalid
from schemas.kind import Kind

KINDS: dict[int, tuple[Kind, str, Callable[[Any], dict[str, Any]]]] = {
    1: (carriage.CABINETS, carriage.CABINETS_TOLD, carriage.cabinet_told),
    2: (carriage.METERS, carriage.METERS_TOLD, carriage.meter_told),
}
"""subdevice_type -> the command that asks, where its answer is kept, how one is shown."""
FAULTS = 2_000
"""Newest alarm messages of a device that are looked at."""


async def sub_devices(call: Call) -> Answer:
    """GET /sub-device: asked of the device when it is there, else as it told last."""
    query = call.query(SubDeviceQuery)
    await owned(call, query.device_uid)
    command, suffix, shown = KINDS[query.subdevice_type]
    try:
        found = many(await carry(call, query.device_uid, command))
    except Failed as failed:
        said = await told(call, [query.device_uid], [suffix])
        if failed.number != TIMED_OUT or query.device_uid not in said:
            raise
        found = many(said[query.device_uid][1])
    listed = page([shown(each) for each in found], query)
    return Listing(0, "", PageData(listed["total"], listed["list"]))


async def faults(call: Call) -> Answer:
    """GET /sub-device-fault: newest first, each alarm as it was told last."""
    query = call.query(PagedDevice)
    found: list[dict[str, Any]] = []
    for uid in await meant(call, query.device_uid):
        found += await _faults(call, uid)
    found.sort(key=lambda fault: fault["timestamp"], reverse=True)
    listed = page(found, query)
    return Listing(0, "", PageData(listed["total"], listed["list"]))


async def _faults(call: Call, uid: str) -> list[dict[str, Any]]:
    known: dict[object, dict[str, Any]] = {}
    for seq, at, body in await call.services.platform.faults(uid, FAULTS):
        try:
            _, message = kinds.resolve(carriage.FAULTS_TOLD, body)
        except Invalid:  # taken by an older release, which knew fewer fields
            continue
        number = message.sub_device_id if isinstance(message.sub_device_id, int) else 0
        for alarm in message.data if isinstance(message.data, list) else [message.data]:
            name = alarm.id if isinstance(alarm.id, int) else (alarm.device_type, alarm.alarm_type, alarm.occur_time)
            if (number, name) not in known:
                when = _milliseconds(alarm.occur_time, at)
                known[number, name] = carriage.fault_told(alarm, uid, number, when, seq)
    return list(known.values())


def _milliseconds(text: str, otherwise: int) -> int:
    """RFC 3339 as epoch ms; of what is none, when it came."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


ROUTES = (
    Route(
        "GET",
        f"{BASE}/sub-device",
        sub_devices,
        "Storage devices or meters below a device",
        {200: (Listing, "a page")},
        SubDeviceQuery,
        tag="vendor",
        dialect=DIALECT,
    ),
    Route(
        "GET",
        f"{BASE}/sub-device-fault",
        faults,
        "Faults of what stands below devices",
        {200: (Listing, "a page")},
        PagedDevice,
        tag="vendor",
        dialect=DIALECT,
    ),
)
