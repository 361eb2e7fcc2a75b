"""The vendor's platform API: level2-protection-strategy, against reverse flow (streaming) and too much demand (overdemand).

A strategy names meters; on the device it is a limit for each, of which it owns one side. Limits that a device tells of, and no
strategy made, are strategies of one meter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import UNSET

from bridge.http.table import Answer, Call, Route
from bridge.http.vendor import (
    AFTER_MS,
    BAD_PARAMETERS,
    BASE,
    DIALECT,
    NOT_FOUND,
    NOT_UPDATED,
    Failed,
    alone,
    busy,
    carry,
    latest,
    listed,
    many,
    meant,
    owned,
    page,
)
from bridge.http.vendor_shapes import Done, Listing, PageData, PagedDevice, StrategyQuery
from bridge.store.platform import Kept
from schemas import carriage
from schemas.carriage import LIMITS, NO_LIMIT, limit_told
from schemas.overdemand import StreamingOverDemand
from schemas.platform import Limit, LimitChange

Fields = dict[str, Any]
Meters = dict[str, int | None]
"""Meter -> the device's limit; None where the device gave no id."""


class Side(NamedTuple):
    """One side of a limit: what it is called here, what a strategy makes of it, what it shows."""

    sort: str
    part: Callable[[Limit | LimitChange], Fields]
    shown: Callable[[Fields], tuple[int, Any]]


SIDES = (
    Side("streaming", carriage.streaming_part, carriage.streaming_shown),
    Side("overdemand", carriage.overdemand_part, carriage.overdemand_shown),
)


def creator(side: Side) -> Callable[[Call], Any]:
    """POST of a side."""

    async def create(call: Call) -> Answer:
        body = call.body(Limit)
        uid = body.device_uid
        await owned(call, uid)
        async with alone(call, uid):
            made: Meters = {}
            try:
                for meter in dict.fromkeys(body.elec_meter_ids):
                    made[str(meter)] = await _create(call, uid, meter, side.part(body))
            except Failed as failed:
                left = await _undo(call, uid, made)
                if left:
                    await _keep(call, uid, side, body, left)
                    raise Failed(failed.number, f"{failed.detail}; meters {', '.join(left)} have it") from None
                raise
            await _keep(call, uid, side, body, made)
        return Done(0, "策略创建成功")

    return create


def changer(side: Side) -> Callable[[Call], Any]:
    """PATCH of a side."""

    async def change(call: Call) -> Answer:
        query, body = call.query(StrategyQuery), call.body(LimitChange)
        uid = query.device_uid
        if body.id not in (UNSET, query.strategy_id):
            raise Failed(BAD_PARAMETERS, f"$.id: strategy_id is {query.strategy_id}")
        await owned(call, uid)
        async with alone(call, uid):
            kept = next(
                (each for each in await _kept(call, side, [uid], held=True) if each.id == query.strategy_id), None
            )
            if kept is None:
                raise Failed(NOT_FOUND, f"{uid} has no such strategy")
            await _change(call, kept, side, body)
        return Done(0, "策略更新成功")

    return change


def lister(side: Side) -> Callable[[Call], Any]:
    """GET of a side."""

    async def listing(call: Call) -> Answer:
        query = call.query(PagedDevice)
        found = page(await _kept(call, side, await meant(call, query.device_uid)), query)
        return Listing(0, "", PageData(found["total"], [_shown(kept) for kept in found["list"]]))

    return listing


async def _create(call: Call, uid: str, meter: int, part: Fields) -> int | None:
    """A limit for a meter; gives the device's id of it."""
    answer = await carry(call, uid, LIMITS.create, carriage.to_device(NO_LIMIT | part | {"ele_meter_id": meter}))
    made = getattr(answer, LIMITS.named, None)
    return made if isinstance(made, int) else None


async def _undo(call: Call, uid: str, made: Meters) -> Meters:
    """Take back what was made before something failed; gives what could not be."""
    left: Meters = {}
    for meter, remote in made.items():
        try:
            if remote is None:
                left[meter] = remote
            else:
                await carry(call, uid, LIMITS.delete, {"id": remote})
        except Failed:
            left[meter] = remote
    return left


async def _change(call: Call, kept: Kept, side: Side, body: LimitChange) -> None:
    """Limits of meters that stay are changed on this side alone; others are made and deleted. What was done is kept."""
    uid, wanted = kept.device, [str(meter) for meter in dict.fromkeys(body.elec_meter_ids)]
    limits: Meters = dict(kept.body["limits"])
    answer = await carry(call, uid, LIMITS.sync)
    known = {limit.id: limit for limit in (many(answer) if answer is not None else ())}
    shown: Fields = {}
    try:
        for meter in wanted:
            if meter not in limits:
                limits[meter] = await _create(call, uid, int(meter), side.part(body))
                continue
            number = _number(limits, meter)
            old = limit_told(known[number]) if number in known else NO_LIMIT
            fields = old | side.part(body) | {"ele_meter_id": int(meter), "id": number}
            await carry(call, uid, LIMITS.update, carriage.to_device(fields))
        for meter in [each for each in limits if each not in wanted]:
            await carry(call, uid, LIMITS.delete, {"id": _number(limits, meter)})
            del limits[meter]
        shown = {"status": body.status, "baseline": body.baseline}
    finally:
        now = call.receiving.cloud.clock()
        await call.services.platform.change(kept.id, {**kept.body, **shown, "limits": limits}, now)


def _number(limits: Meters, meter: str) -> int:
    number = limits[meter]
    if number is None:
        raise Failed(NOT_UPDATED, f"the device gave no id for the limit of meter {meter}")
    return number


async def _keep(call: Call, uid: str, side: Side, body: Limit, made: Meters) -> None:
    kept = {"status": body.status, "baseline": body.baseline, "limits": made}
    await call.services.platform.add(uid, side.sort, None, kept, call.receiving.cloud.clock())


async def _kept(call: Call, side: Side, devices: list[str], held: bool = False) -> list[Kept]:
    """The strategies of devices, by id, after what they have told since. `held`: the caller is `alone` with the one device; else
    a device that is being changed is shown as it is kept."""
    platform = call.services.platform
    found = await platform.strategies(devices, side.sort)
    changed = False
    for uid, (at, data) in (await listed(call, devices, LIMITS.lists, latest(found))).items():
        if held:
            changed |= await _fold(call, uid, side, data, at)
        elif not busy(call, uid):
            async with alone(call, uid):
                changed |= await _fold(call, uid, side, data, at)
    return await platform.strategies(devices, side.sort) if changed else found


async def _fold(call: Call, uid: str, side: Side, told_limits: list[StreamingOverDemand], at: int) -> bool:
    """A device told all its limits: those that have gone leave their strategies, those that nobody made become some."""
    platform = call.services.platform
    limits = {limit.id: limit_told(limit) for limit in told_limits if isinstance(limit.id, int)}
    changed = False
    for kept in await platform.strategies([uid], side.sort):
        if kept.at > at:
            return True
        left = _found(kept.body["limits"], limits)
        here = [limits.pop(remote) for remote in left.values() if remote in limits]
        if not left:
            await platform.remove(kept.id)
            changed = True
        elif here:
            status, baseline = side.shown(here[0])
            await platform.change(kept.id, {"status": status, "baseline": baseline, "limits": left}, at + AFTER_MS)
            changed = True
    for remote, fields in limits.items():
        status, baseline = side.shown(fields)
        if status or baseline:
            body = {"status": status, "baseline": baseline, "limits": {str(fields["ele_meter_id"]): remote}}
            await platform.add(uid, side.sort, None, body, at + AFTER_MS)
            changed = True
    return changed


def _found(kept: Meters, limits: dict[int, Fields]) -> Meters:
    """Those that are there still. What the device gave no id for is found by its meter, once it tells."""
    found: Meters = {}
    for meter, remote in kept.items():
        if remote is None:
            remote = next((number for number, limit in limits.items() if str(limit["ele_meter_id"]) == meter), None)
        elif remote not in limits:
            continue
        found[meter] = remote
    return found


def _shown(kept: Kept) -> Fields:
    return {
        "id": kept.id,
        "device_uid": kept.device,
        "elec_meter_ids": [int(meter) for meter in kept.body["limits"]],
        "status": kept.body["status"],
        "baseline": kept.body["baseline"],
    }


def _routes(side: Side) -> list[Route]:
    path, what = (
        f"{BASE}/level2-protection-strategy/{side.sort}",
        {"streaming": "reverse flow"}.get(side.sort, side.sort),
    )

    def row(method: str, handler: Any, summary: str, shape: Any = Done, **more: Any) -> Route:
        return Route(method, path, handler, summary, {200: (shape, "done")}, tag="vendor", dialect=DIALECT, **more)

    return [
        row("POST", creator(side), f"Limit {what} at meters", body=Limit),
        row("GET", lister(side), f"What limits {what}", Listing, query=PagedDevice),
        row("PATCH", changer(side), f"Limit {what} otherwise", query=StrategyQuery, body=LimitChange),
    ]


ROUTES = tuple(row for side in SIDES for row in _routes(side))
