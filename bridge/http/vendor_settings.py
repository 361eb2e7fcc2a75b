"""The vendor's platform API: what a device has one of. air-strategy, reactive-power-control, voltage-control: sent, kept, asked
for; pcs-control, bms-control: ordered, and their states as the device reports them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from bridge.http.table import Answer, Call, Route
from bridge.http.vendor import (
    BASE,
    DIALECT,
    NOT_FOUND,
    TOO_MANY,
    Failed,
    alone,
    carry,
    many,
    meant,
    owned,
    page,
    recent,
    told,
)
from bridge.http.vendor_shapes import DeviceQuery, Done, Listing, PageData, PagedDevice
from schemas import carriage
from schemas.carriage import BMS, BMS_COMMANDS, PCS, PCS_COMMANDS, Setting
from schemas.platform import Air, AirChange, BmsCommand, PcsCommand, ReactivePowerControl, VoltageControl
from schemas.readings import parts_of
from schemas.states import battery_state, pcs_state, together_batteries, together_pcs

Fields = dict[str, Any]


class Kept(NamedTuple):
    """A setting that is kept: path, message, body, what success is called."""

    path: str
    setting: Setting
    body: type[msgspec.Struct]
    sent: str
    synced: str


AIR = Kept("/air-strategy", carriage.AIR, Air, "策略创建成功", "策略更新成功")
CONTROLS = (
    Kept("/reactive-power-control", carriage.REACTIVE, ReactivePowerControl, "无功治理下发成功", "无功治理同步成功"),
    Kept("/voltage-control", carriage.VOLTAGE, VoltageControl, "电压治理下发成功", "电压治理同步成功"),
)


def sort_of(row: Kept) -> str:
    """What its strategies are kept as."""
    return row.path.removeprefix("/")


def setter(row: Kept, once: bool) -> Callable[[Call], Any]:
    """POST; with `once` a device that has one is told to be changed instead."""

    async def post(call: Call) -> Answer:
        fields = msgspec.to_builtins(call.body(row.body))
        uid = fields.pop("device_uid")
        await owned(call, uid)
        async with alone(call, uid):
            if once and await call.services.platform.strategies([uid], sort_of(row)):
                raise Failed(TOO_MANY, "the device has one; PATCH changes it")
            await _set(call, row, uid, fields)
        return Done(0, row.sent, "")

    return post


async def change_air(call: Call) -> Answer:
    """PATCH /air-strategy"""
    uid, fields = call.query(DeviceQuery).device_uid, msgspec.to_builtins(call.body(AirChange))
    fields.pop("device_uid", None)
    await owned(call, uid)
    async with alone(call, uid):
        if uid not in await _known(call, AIR, [uid]):
            raise Failed(NOT_FOUND, f"{uid} has no air strategy")
        await _set(call, AIR, uid, fields)
    return Done(0, "策略更新成功")


async def list_air(call: Call) -> Answer:
    """GET /air-strategy"""
    query = call.query(PagedDevice)
    found = await _known(call, AIR, await meant(call, query.device_uid))
    shown = page(list(found.values()), query)
    return Listing(0, "", PageData(shown["total"], shown["list"]))


def getter(row: Kept) -> Callable[[Call], Any]:
    """GET of one device."""

    async def get(call: Call) -> Answer:
        uid = call.query(DeviceQuery).device_uid
        await owned(call, uid)
        found = (await _known(call, row, [uid])).get(uid)
        if found is None:
            raise Failed(NOT_FOUND, f"nothing is known of {uid}; sync asks it")
        return Done(0, "", found)

    return get


def syncer(row: Kept) -> Callable[[Call], Any]:
    """PUT /sync"""

    async def sync(call: Call) -> Answer:
        uid = call.query(DeviceQuery).device_uid
        await owned(call, uid)
        async with alone(call, uid):
            fields = carriage.plain(many(await carry(call, uid, row.setting.sync))[0])
            await _keep(call, row, uid, fields)
        return Done(0, row.synced, {"device_uid": uid, **fields})

    return sync


async def _set(call: Call, row: Kept, uid: str, fields: Fields) -> None:
    await carry(call, uid, row.setting.set, fields)
    await _keep(call, row, uid, fields)


async def _keep(call: Call, row: Kept, uid: str, fields: Fields) -> None:
    platform, now = call.services.platform, call.receiving.cloud.clock()
    kept = await platform.strategies([uid], sort_of(row))
    if kept:
        await platform.change(kept[0].id, fields, now)
    else:
        await platform.add(uid, sort_of(row), None, fields, now)


async def _known(call: Call, row: Kept, devices: list[str]) -> dict[str, Fields]:
    """By device: as it was set, or as the device has told since."""
    kept = {each.device: each for each in await call.services.platform.strategies(devices, sort_of(row))}
    said = await told(call, devices, row.setting.lists)
    found: dict[str, Fields] = {}
    for uid in devices:
        mine = kept.get(uid)
        if uid in said and (mine is None or said[uid][0] > mine.at):
            found[uid] = {"device_uid": uid, **carriage.plain(said[uid][1])}
        elif mine is not None:
            found[uid] = {"device_uid": uid, **mine.body}
    return found


# PCS and BMS.


async def order_pcs(call: Call) -> Answer:
    """POST /pcs-control"""
    body = call.body(PcsCommand)
    await owned(call, body.device_uid)
    await carry(call, body.device_uid, PCS.set, PCS_COMMANDS[body.command])
    return Done(0, "PCS控制下发成功", "")


async def order_bms(call: Call) -> Answer:
    """POST /bms-control"""
    body = call.body(BmsCommand)
    await owned(call, body.device_uid)
    await carry(call, body.device_uid, BMS.set, BMS_COMMANDS[body.command])
    return Done(0, "BMS控制下发成功", "")


async def pcs(call: Call) -> Answer:
    """GET /pcs-control: 1 is yes."""
    uid = call.query(DeviceQuery).device_uid
    await owned(call, uid)
    return Done(0, "", await _pcs(call, uid, yes=1))


async def sync_pcs(call: Call) -> Answer:
    """PUT /pcs-control/sync: of its three states 0 is yes, as its page has it; of fault and alarm 1 is."""
    uid = call.query(DeviceQuery).device_uid
    await owned(call, uid)
    await carry(call, uid, PCS.sync)
    return Done(0, "PCS状态同步成功", await _pcs(call, uid, yes=0))


async def bms(call: Call) -> Answer:
    """GET /bms-control"""
    uid = call.query(DeviceQuery).device_uid
    await owned(call, uid)
    return Done(0, "", await _bms(call, uid))


async def sync_bms(call: Call) -> Answer:
    """PUT /bms-control/sync"""
    uid = call.query(DeviceQuery).device_uid
    await owned(call, uid)
    await carry(call, uid, BMS.sync)
    return Done(0, "BMS状态同步成功", await _bms(call, uid))


async def _pcs(call: Call, uid: str, yes: int) -> Fields:
    state = together_pcs((await _newest_states(call, uid, pcs_state)).values())
    if state is None:
        raise Failed(NOT_FOUND, f"{uid} has not reported a PCS lately")
    words = {"status_stop": state.stopped, "status_standby": state.standby, "status_running": state.running}
    shown = {name: yes if true else 1 - yes for name, true in words.items()}
    return {"device_uid": uid, **shown, "fault_status": int(state.fault), "alarm_status": int(state.alarm)}


async def _bms(call: Call, uid: str) -> Fields:
    state = together_batteries((await _newest_states(call, uid, battery_state)).values())
    if state is None:
        raise Failed(NOT_FOUND, f"{uid} has not reported a battery lately")
    return {"device_uid": uid, "alarm_status": state.alarms, "operating_status": state.doing}


async def _newest_states(call: Call, uid: str, read: Callable[[Any], Any]) -> dict[str, Any]:
    """Part -> its state in the newest report that tells it."""
    found: dict[str, Any] = {}
    for _, message in await recent(call, uid):
        for part, struct in parts_of(message):
            state = read(struct)
            if state is not None:
                found.setdefault(part, state)
    return found


def _route(method: str, path: str, handler: Any, summary: str, shape: Any = Done, **more: Any) -> Route:
    answers = {200: (shape, "done")}
    return Route(method, f"{BASE}{path}", handler, summary, answers, tag="vendor", dialect=DIALECT, **more)


def _control(path: str, handlers: tuple[Any, Any, Any], body: type[msgspec.Struct]) -> list[Route]:
    post, get, sync = handlers
    what = path.removeprefix("/").replace("-", " ")
    return [
        _route("POST", path, post, f"Send a {what} to a device", body=body),
        _route("GET", path, get, f"The {what} of a device as last known", query=DeviceQuery),
        _route("PUT", f"{path}/sync", sync, f"The {what} of a device now", query=DeviceQuery),
    ]


ROUTES = (
    _route("POST", AIR.path, setter(AIR, once=True), "What the air conditioning keeps to", body=Air),
    _route("GET", AIR.path, list_air, "Air strategies", Listing, query=PagedDevice),
    _route("PATCH", AIR.path, change_air, "Another air strategy", query=DeviceQuery, body=AirChange),
    _route("PUT", f"{AIR.path}/sync", syncer(AIR), "The air strategy of a device now", query=DeviceQuery),
    *_control("/pcs-control", (order_pcs, pcs, sync_pcs), PcsCommand),
    *_control("/bms-control", (order_bms, bms, sync_bms), BmsCommand),
    *(
        route
        for row in CONTROLS
        for route in _control(row.path, (setter(row, once=False), getter(row), syncer(row)), row.body)
    ),
)
