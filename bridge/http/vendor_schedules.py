"""The vendor's platform API: charge strategies, of one cabinet (charge-strategy) and of a site (level2-charge-strategy).

Both are schedules of the device. A level-1 index is the strategy's place in this API, from 0; a level-2 index is the device's id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from bridge.http.table import Answer, Call, Route
from bridge.http.vendor import (
    AFTER_MS,
    BAD_PARAMETERS,
    BASE,
    DIALECT,
    NOT_FOUND,
    NOT_UPDATED,
    TOO_MANY,
    Failed,
    alone,
    busy,
    carry,
    is_emu,
    latest,
    listed,
    many,
    meant,
    owned,
    page,
)
from bridge.http.vendor_shapes import DeviceQuery, Done, IndexQuery, Listing, PageData, PagedDevice
from bridge.store.platform import Kept
from schemas import carriage
from schemas.carriage import CABINET_IDS, SCHEDULES, schedule_kept, schedule_sent, schedule_told
from schemas.platform import ScheduleChange, ScheduleCreate, SiteScheduleChange, SiteScheduleCreate

SORT = "schedule"
MOST = 4
"""Strategies of a device that charge-strategy makes."""
REMARK = "remark"

Change = ScheduleChange | SiteScheduleChange
Index = Callable[[Kept], int]


async def create(call: Call) -> Answer:
    """POST /charge-strategy"""
    body = call.body(ScheduleCreate)
    await owned(call, body.device_uid)
    async with alone(call, body.device_uid):
        known = await _kept(call, [body.device_uid], held=True)
        emu = await is_emu(call, body.device_uid)
        if len(known) >= (1 if emu else MOST):
            raise Failed(TOO_MANY, f"the device has {len(known)}")
        await _make(call, body.device_uid, msgspec.to_builtins(body), None, emu)
    return Done(0, "策略创建成功")


async def create_site(call: Call) -> Answer:
    """POST /level2-charge-strategy"""
    body = call.body(SiteScheduleCreate)
    await owned(call, body.device_uid)
    async with alone(call, body.device_uid):
        cabinets = None if body.ems_device_ids is UNSET else body.ems_device_ids
        await _make(call, body.device_uid, msgspec.to_builtins(body), cabinets)
    return Done(0, "策略创建成功")


async def listing(call: Call) -> Answer:
    """GET /charge-strategy"""
    return await _list(call, _place)


async def listing_site(call: Call) -> Answer:
    """GET /level2-charge-strategy"""
    return await _list(call, _remote)


async def change_by_id(call: Call) -> Answer:
    """PATCH /charge-strategy/{id}"""
    return await _change_by_id(call, call.body(ScheduleChange))


async def change_site_by_id(call: Call) -> Answer:
    """PATCH /level2-charge-strategy/{id}"""
    return await _change_by_id(call, call.body(SiteScheduleChange))


async def change_by_index(call: Call) -> Answer:
    """PATCH /charge-strategy"""
    return await _change_by_index(call, call.body(ScheduleChange), _place)


async def change_site_by_index(call: Call) -> Answer:
    """PATCH /level2-charge-strategy"""
    return await _change_by_index(call, call.body(SiteScheduleChange), _remote)


async def sync(call: Call) -> Answer:
    """PUT /charge-strategy/sync"""
    return await _sync(call, _place)


async def sync_site(call: Call) -> Answer:
    """PUT /level2-charge-strategy/sync"""
    return await _sync(call, _remote)


def _place(kept: Kept) -> int:
    return kept.slot


def _remote(kept: Kept) -> int:
    """The device's id; of a device that gives none its place takes it."""
    return kept.slot if kept.remote is None else kept.remote


async def _list(call: Call, index: Index) -> Listing:
    query = call.query(PagedDevice)
    found = page(await _kept(call, await meant(call, query.device_uid)), query)
    return Listing(0, "", PageData(found["total"], [_shown(kept, index) for kept in found["list"]]))


async def _change_by_id(call: Call, body: Change) -> Done:
    text = call.path("id")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
    kept = await call.services.platform.strategy(number)
    if kept is None or kept.sort != SORT or not call.services.may_read(call.principal, kept.device):
        raise Failed(NOT_FOUND, f"strategy {text[:20]}")
    for name, value in (("charge_id", number), ("device_uid", kept.device)):
        if getattr(body, name) not in (UNSET, value):
            raise Failed(BAD_PARAMETERS, f"$.{name}: strategy {number} has {value}")
    return await _change(call, kept.device, body, lambda each: each.id == number)


async def _change_by_index(call: Call, body: Change, index: Index) -> Done:
    query = call.query(IndexQuery)
    await owned(call, query.device_uid)
    return await _change(call, query.device_uid, body, lambda each: index(each) == query.index)


async def _change(call: Call, uid: str, body: Change, fits: Callable[[Kept], bool]) -> Done:
    async with alone(call, uid):
        kept = next((each for each in await _kept(call, [uid], held=True) if fits(each)), None)
        if kept is None:
            raise Failed(NOT_FOUND, f"{uid} has no such strategy")
        wanted = msgspec.to_builtins(body)
        cabinets = wanted.get(CABINET_IDS, kept.body.get(CABINET_IDS))
        if await is_emu(call, uid):
            await carry(call, uid, carriage.EMU_SCHEDULE, _emu(wanted))
        else:
            if cabinets == []:
                raise Failed(NOT_UPDATED, "the device does not tell which cabinets it is for; name ems_device_ids")
            sent = schedule_sent(wanted, cabinets) | {"id": _remote(kept)}
            await carry(call, uid, SCHEDULES.update, sent)
        changed = _body(wanted, cabinets)
        if REMARK in kept.body and _remark(body) is UNSET:
            changed[REMARK] = kept.body[REMARK]
        await call.services.platform.change(kept.id, changed, call.receiving.cloud.clock())
    return Done(0, "策略更新成功")


async def _sync(call: Call, index: Index) -> Done:
    uid = call.query(DeviceQuery).device_uid
    await owned(call, uid)
    async with alone(call, uid):
        details = many(await carry(call, uid, SCHEDULES.sync))
        await _take(call, uid, details, call.receiving.cloud.clock() + AFTER_MS)
        found = await call.services.platform.strategies([uid], SORT)
    return Done(0, "策略更新成功", PageData(len(found), [_shown(kept, index) for kept in found]))


async def _make(call: Call, uid: str, body: dict[str, Any], cabinets: list[int] | None, emu: bool = False) -> None:
    """A new strategy on the device, and in what is kept."""
    made = None
    if emu:
        await carry(call, uid, carriage.EMU_SCHEDULE, _emu(body))
    else:
        answer = await carry(call, uid, SCHEDULES.create, schedule_sent(body, cabinets))
        made = getattr(answer, SCHEDULES.named, None)
    remote = made if isinstance(made, int) else None
    await call.services.platform.add(uid, SORT, remote, _body(body, cabinets), call.receiving.cloud.clock())


def _body(body: dict[str, Any], cabinets: list[int] | None) -> dict[str, Any]:
    """What is kept of a strategy."""
    kept = schedule_kept(body)
    if cabinets is not None:
        kept[CABINET_IDS] = cabinets
    if REMARK in body:
        kept[REMARK] = body[REMARK]
    return kept


def _remark(body: Change) -> Any:
    """The remark that a change carries; UNSET where it carries none."""
    return body.remark if isinstance(body, SiteScheduleChange) else UNSET


def _emu(body: dict[str, Any]) -> dict[str, Any]:
    return {"charge_type": 1, **schedule_kept(body)}


async def _kept(call: Call, devices: list[str], held: bool = False) -> list[Kept]:
    """The strategies of devices, by id, after what they have told since. `held`: the caller is `alone` with the one device; else
    a device that is being changed is shown as it is kept."""
    platform = call.services.platform
    found = await platform.strategies(devices, SORT)
    since = latest(found)
    changed = False
    for uid, (at, data) in (await listed(call, devices, SCHEDULES.lists, since)).items():
        if not data and uid not in since:
            continue
        if held:
            await _take(call, uid, data, at)
        elif not busy(call, uid):
            async with alone(call, uid):
                await _take(call, uid, data, at)
        changed = True
    return await platform.strategies(devices, SORT) if changed else found


async def _take(call: Call, uid: str, details: list[Any], at: int) -> None:
    """What a device told of its strategies is what is kept, unless that is newer; remarks stay, which it does not know."""
    platform = call.services.platform
    known = await platform.strategies([uid], SORT)
    if any(kept.at > at for kept in known):
        return
    remarks = {kept.remote: kept.body[REMARK] for kept in known if REMARK in kept.body}
    bodies = []
    for detail in details:
        body = schedule_told(detail)
        if detail.id in remarks:
            body[REMARK] = remarks[detail.id]
        bodies.append((detail.id, body))
    await platform.replace(uid, SORT, bodies, at + AFTER_MS)


def _shown(kept: Kept, index: Index) -> dict[str, Any]:
    return {"charge_id": kept.id, "device_uid": kept.device, "index": index(kept), "charge_type": 1, **kept.body}


def _routes(path: str, handlers: tuple[Any, ...], bodies: tuple[type, type], what: str) -> list[Route]:
    made, shown, by_id, by_index, synced = handlers

    def row(method: str, tail: str, handler: Any, summary: str, shape: Any = Done, **more: Any) -> Route:
        answers = {200: (shape, "done")}
        return Route(method, f"{BASE}{path}{tail}", handler, summary, answers, tag="vendor", dialect=DIALECT, **more)

    return [
        row("POST", "", made, f"A new charge strategy of {what}", body=bodies[0]),
        row("GET", "", shown, f"Charge strategies of {what}", Listing, query=PagedDevice),
        row("PATCH", "", by_index, f"Another charge strategy of {what}, by index", query=IndexQuery, body=bodies[1]),
        row("PATCH", "/{id}", by_id, f"Another charge strategy of {what}, by id", body=bodies[1]),
        row("PUT", "/sync", synced, f"Charge strategies of {what} as the device has them now", query=DeviceQuery),
    ]


ROUTES = (
    *_routes(
        "/charge-strategy",
        (create, listing, change_by_id, change_by_index, sync),
        (ScheduleCreate, ScheduleChange),
        "a cabinet",
    ),
    *_routes(
        "/level2-charge-strategy",
        (create_site, listing_site, change_site_by_id, change_site_by_index, sync_site),
        (SiteScheduleCreate, SiteScheduleChange),
        "a site",
    ),
)
