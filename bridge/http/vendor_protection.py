"""The vendor's platform API: protection-strategy. One of them is three things on a device: a limit, charge depth, safety.

A part that the device has already is not sent again. Parts are not one transaction: a failure says which of them were done.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.http.table import Answer, Call, Route
from bridge.http.vendor import (
    BASE,
    DIALECT,
    NOT_CREATED,
    NOT_FOUND,
    TOO_MANY,
    Failed,
    alone,
    carry,
    many,
    meant,
    owned,
    page,
    told,
)
from bridge.http.vendor_shapes import DeviceQuery, Done, Listing, PageData, PagedDevice
from bridge.store.platform import Kept
from schemas import carriage
from schemas.carriage import DEPTH, LIMITS, SAFETY, limit_told, protection_part, protection_shown
from schemas.platform import Protection, ProtectionChange

SORT = "protection"
GATEWAY = 1
"""`purpose` of the meter between a site and the grid."""


async def create(call: Call) -> Answer:
    """POST /protection-strategy"""
    body = call.body(Protection)
    await owned(call, body.device_uid)
    async with alone(call, body.device_uid):
        if await call.services.platform.strategies([body.device_uid], SORT):
            raise Failed(TOO_MANY, "the device has one; PATCH changes it")
        lost = await _apply(call, body.device_uid, body)
        await call.services.platform.add(body.device_uid, SORT, None, _body(body), call.receiving.cloud.clock())
    return Done(0, "策略创建成功", _lost(lost))


async def change(call: Call) -> Answer:
    """PATCH /protection-strategy"""
    uid, body = call.query(DeviceQuery).device_uid, call.body(ProtectionChange)
    await owned(call, uid)
    async with alone(call, uid):
        platform, now = call.services.platform, call.receiving.cloud.clock
        kept = await platform.strategies([uid], SORT)
        if not kept and uid not in await _strategies(call, [uid]):
            raise Failed(NOT_FOUND, f"{uid} has no protection strategy")
        lost = await _apply(call, uid, body)
        if kept:
            await platform.change(kept[0].id, _body(body), now())
        else:
            await platform.add(uid, SORT, None, _body(body), now())
    return Done(0, "策略更新成功", _lost(lost))


async def listing(call: Call) -> Answer:
    """GET /protection-strategy"""
    query = call.query(PagedDevice)
    found = await _strategies(call, await meant(call, query.device_uid))
    shown = page(list(found.values()), query)
    return Listing(0, "", PageData(shown["total"], shown["list"]))


async def sync(call: Call) -> Answer:
    """PUT /protection-strategy/sync"""
    uid = call.query(DeviceQuery).device_uid
    await owned(call, uid)
    many(await carry(call, uid, LIMITS.sync))
    many(await carry(call, uid, DEPTH.sync))
    many(await carry(call, uid, SAFETY.sync))
    found = list((await _strategies(call, [uid])).values())
    return Done(0, "策略更新成功", PageData(len(found), found))


async def _strategies(call: Call, devices: list[str]) -> dict[str, dict[str, Any]]:
    """What each device is protected by: each part as it was set here, or as the device has told it since."""
    kept = {each.device: each for each in await call.services.platform.strategies(devices, SORT)}
    limits, depths, safeties = [await told(call, devices, each.lists) for each in (LIMITS, DEPTH, SAFETY)]
    found: dict[str, dict[str, Any]] = {}
    for uid in devices:
        mine = kept.get(uid)
        shown: dict[str, Any] = {"device_uid": uid, **(mine.body if mine else {})}
        if uid in limits and _later(limits[uid], mine) and (first := many(limits[uid][1])[:1]):
            shown |= _with_demands(protection_shown(limit_told(first[0])), mine)
        if uid in depths and _later(depths[uid], mine):
            shown |= carriage.depth_shown(depths[uid][1])
        if uid in safeties and _later(safeties[uid], mine):
            shown |= carriage.safety_shown(safeties[uid][1])
        if len(shown) > 1:
            found[uid] = shown
    return found


def _later(said: tuple[int, Any], kept: Kept | None) -> bool:
    return kept is None or said[0] >= kept.at


def _with_demands(shown: dict[str, Any], kept: Kept | None) -> dict[str, Any]:
    """What MQTT has no place for stays as it was set."""
    if kept is not None:
        old = kept.body["overdemand"]
        shown["overdemand"] |= {name: old[name] for name in old if name.startswith("demand_")}
    return shown


async def _apply(call: Call, uid: str, body: ProtectionChange) -> list[str]:
    """Have the device take it; gives the fields that no message carries."""
    part, lost = protection_part(body.streaming, body.overdemand)
    done: list[str] = []
    try:
        await _limit(call, uid, part)
        done.append("streaming, overdemand")
        depth = carriage.depth_sent(body.charge_depth)
        if not await _has(call, uid, DEPTH, depth):
            await carry(call, uid, DEPTH.set, depth)
        done.append("charge_depth")
        safety = carriage.safety_sent(body.safety)
        if not await _has(call, uid, SAFETY, safety):
            await carry(call, uid, SAFETY.set, safety)
    except Failed as failed:
        if not done:
            raise
        raise Failed(failed.number, f"{failed.detail}; done before: {', '.join(done)}") from None
    return lost


async def _has(call: Call, uid: str, setting: carriage.Setting, wanted: dict[str, Any]) -> bool:
    """Whether the device says that it is set so."""
    said = await carry(call, uid, setting.sync)
    has = {} if said is None else carriage.plain(said)
    return all(has.get(name) == value for name, value in wanted.items())


async def _limit(call: Call, uid: str, part: dict[str, Any]) -> None:
    """The device's first limit gets both sides; one that has none gets one for its gateway meter."""
    known = await carry(call, uid, LIMITS.sync)
    first = many(known)[:1] if known is not None else []
    if first and isinstance(first[0].id, int):
        fields = limit_told(first[0]) | part | {"id": first[0].id}
        await carry(call, uid, LIMITS.update, carriage.to_device(fields))
        return
    meters = many(await carry(call, uid, carriage.METERS))
    if not meters:
        raise Failed(NOT_CREATED, "the device has no meter")
    meter = next((each for each in meters if each.purpose == GATEWAY), meters[0])
    fields = carriage.NO_LIMIT | part | {"ele_meter_id": meter.id}
    await carry(call, uid, LIMITS.create, carriage.to_device(fields))


def _body(body: ProtectionChange) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.to_builtins(body)
    kept.pop("device_uid", None)
    return kept


def _lost(lost: list[str]) -> str:
    return f"MQTT carries one value for all phases; kept here alone: {', '.join(lost)}" if lost else ""


def _route(method: str, tail: str, handler: Any, summary: str, shape: Any = Done, **more: Any) -> Route:
    path = f"{BASE}/protection-strategy{tail}"
    return Route(method, path, handler, summary, {200: (shape, "done")}, tag="vendor", dialect=DIALECT, **more)


ROUTES = (
    _route("POST", "", create, "Protect a device", body=Protection),
    _route("GET", "", listing, "What protects devices", Listing, query=PagedDevice),
    _route("PATCH", "", change, "Protect a device otherwise", query=DeviceQuery, body=ProtectionChange),
    _route("PUT", "/sync", sync, "What protects a device now", query=DeviceQuery),
)
