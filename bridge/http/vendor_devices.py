"""The vendor's platform API: the key, devices, binding, and live values."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET

from bridge.core.peer import LOCAL_SOCKET
from bridge.core.principal import Principal
from bridge.core.registry import Device
from bridge.errors import Conflict, Exhausted, NotFound
from bridge.http.auth import BANS, REFUSED
from bridge.http.door import peer_of
from bridge.http.table import Answer, Call, Route
from bridge.http.vendor import (
    BAD_PARAMETERS,
    BASE,
    BIND,
    DIALECT,
    NAME_TAKEN,
    NOT_FOUND,
    NOT_OWNER,
    TIMED_OUT,
    UNKNOWN_DEVICE,
    Failed,
    alone,
    carry,
    is_emu,
    meant,
    owned,
    page,
    recent,
)
from bridge.http.vendor_shapes import DeviceQuery, Done, Listing, Ok, Paged, PageData, TimeQuery
from bridge.quiet import Quiet
from bridge.store.platform import Profile
from schemas import carriage
from schemas.platform import DeviceBind, DeviceChange, Fields
from schemas.points import FAMILIES, POINTS
from schemas.readings import extract

quiet = Quiet(logging.getLogger(__name__))

MANAGE = 1
"""`affiliation`: whoever may see a device here may manage it."""
WHOLE = FAMILIES[0]
"""The device itself."""
PLACES = frozenset({"branch", "meter"})
PERCENT = "%"
NAMING = ""
"""No uid: names are given by one request at a time, whatever the device."""


async def test_key(call: Call) -> Answer:  # noqa: ARG001 - whoever comes here has a good key
    """GET /test-apikey"""
    return Ok("ok")


async def listing(call: Call) -> Answer:
    """GET /device"""
    return await _devices(call, call.query(Paged), 0, None)


async def by_time(call: Call) -> Answer:
    """GET /device/by-time"""
    query = call.query(TimeQuery)
    end = None if query.end_time is None else query.end_time * 1000 + 999
    if end is not None and end < query.start_time * 1000:
        raise Failed(BAD_PARAMETERS, "end_time lies before start_time")
    return await _devices(call, query, query.start_time * 1000, end)


async def change(call: Call) -> Answer:
    """PATCH /device"""
    body = call.body(DeviceChange)
    async with alone(call, NAMING):
        await _describe(call, await owned(call, body.uid), body)
    return Done(0, "设备修改成功")


async def bind(call: Call) -> Answer:
    """POST /device/bind-owner"""
    body = call.body(DeviceBind)
    device = await _licensed(call, body.license_code)
    async with alone(call, NAMING):
        device = call.services.registry.device(device.uid) or device
        owner = None
        if not call.services.registry.may_touch(call.principal, device):
            owner = _new_owner(call.principal, device)
        await _describe(call, device, body, owner)
    return Done(0, "绑定成功")


async def common_sync(call: Call) -> Answer:
    """PUT /common-sync"""
    uid = call.query(DeviceQuery).device_uid
    wanted = call.body(Fields).fields
    unknown = [name for name in wanted if name not in POINTS]
    if unknown:
        raise Failed(BAD_PARAMETERS, f"$.fields: no such field: {unknown[0]}")
    await owned(call, uid)
    if not await is_emu(call, uid):
        await carry(call, uid, carriage.PCS.sync)
    elif not call.services.presence(uid).online:
        raise Failed(TIMED_OUT, f"{uid} is not connected")
    values = await _live(call, uid)
    found = {name: values[name] for name in wanted if name in values}
    if not found:
        raise Failed(NOT_FOUND, f"{uid} has reported none of these fields lately")
    return Done(0, "获取实时数据成功", found)


async def _devices(call: Call, asked: Paged, start: int, end: int | None) -> Listing:
    registry, platform = call.services.registry, call.services.platform
    profiles = await platform.profiles()
    found = []
    for uid in await meant(call, None):
        device, profile = registry.device(uid), profiles.get(uid, Profile(uid))
        if device is None:
            continue
        updated = max(device.created_at, device.rotated_at or 0, profile.updated_at)
        if start <= updated and (end is None or updated <= end):
            found.append((device, profile))
    shown = page(found, asked)
    heard = await platform.heard(device.uid for device, _ in shown["list"])
    devices = [_shown(call, device, profile, heard.get(device.uid)) for device, profile in shown["list"]]
    return Listing(0, "", PageData(shown["total"], devices))


def _shown(call: Call, device: Device, profile: Profile, heard: int | None) -> dict[str, Any]:
    shown = {
        "uid": device.uid,
        "license_code": profile.license_code or "",
        "name": device.name or device.uid,
        "code": profile.code,
        "location": profile.location,
        "affiliation": MANAGE,
    }
    at = heard if heard is not None else call.services.presence(device.uid).since
    if at is not None:
        shown["heartbeat_time"] = f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return shown


async def _describe(
    call: Call, device: Device, said: DeviceChange | DeviceBind, owner: tuple[str, str] | None = None
) -> None:
    """Keep what a device is called and where it is, and whose it is from now on. Raises Failed when the name is taken."""
    registry, platform = call.services.registry, call.services.platform
    for other in registry.devices():
        shared = set(other.owners) & {*device.owners, *((owner,) if owner else ())}
        if other.uid != device.uid and (other.name or other.uid) == said.name and shared:
            raise Failed(NAME_TAKEN, said.name)
    profile = await platform.profile(device.uid)
    location = profile.location if said.location is UNSET else said.location
    now = call.receiving.cloud.clock()
    try:
        await registry.describe_device(device.uid, said.name, owner)
    except Conflict as error:
        raise Failed(NOT_OWNER, error.detail) from None
    except NotFound:
        raise Failed(UNKNOWN_DEVICE, device.uid) from None
    await platform.put_profile(profile._replace(code=said.code, location=location, updated_at=now))


async def _licensed(call: Call, license_code: str) -> Device:
    """The device with that code. Raises Failed when there is none, Exhausted when the account or its address has tried too many:
    also of those that are asked at once only so many learn anything."""
    _put_off(call)
    profile = await call.services.platform.licensed(license_code)
    device = None if profile is None else await call.services.registry.find_device(profile.device)
    _put_off(call)
    if device is not None:
        return device
    counts, begun = call.services.counts, [call.services.licenses.failed(*who) for who in _guessers(call)]
    counts.add(REFUSED, (("cause", "wrong_license"),))
    if any(begun):
        counts.add(BANS, (("scope", "license"),))
        quiet.warn("ban", "too many wrong license codes, put off for a while: %s", call.principal.name)
    raise Failed(NOT_FOUND, "no device has this license_code")


def _put_off(call: Call) -> None:
    """Raise Exhausted for who guesses."""
    if any(call.services.licenses.banned(*who) for who in _guessers(call)):
        call.services.counts.add(REFUSED, (("cause", "banned_license"),))
        raise Exhausted("too_many_failures", "too many wrong license codes; try again later")


def _guessers(call: Call) -> list[tuple[str, str | None]]:
    """Who is counted, as Attempts asks: the address, and the account, from wherever it comes. Everybody may be anonymous."""
    places: list[tuple[str, str | None]] = [(peer_of(call.request).host, None)]
    return places if call.principal.kind == "anonymous" else [*places, (LOCAL_SOCKET, call.principal.name)]


def _new_owner(principal: Principal, device: Device) -> tuple[str, str]:
    """Under which of the caller's owners a device comes: the one tenant of an account, where the device has none; likewise the
    one product key. Raises Failed when it has an owner already, or the account's is not certain."""
    taken = {scheme for scheme, _ in device.owners}
    for scheme in ("user", "wudun"):
        mine = [grant for grant in principal.grants or () if grant[0] == scheme]
        if len(mine) == 1 and scheme not in taken:
            return mine[0]
    raise Failed(NOT_OWNER, "the device is bound already, or the account has not exactly one tenant to bind it to")


async def _live(call: Call, uid: str) -> dict[str, float]:
    """Points of the newest reports: those of the device itself; else of the first family of its parts that has them, the sum,
    or the mean of percentages. Meters measure different places: several of them make no sum."""
    families: dict[str, dict[str, dict[str, float]]] = {}
    for kind, message in await recent(call, uid):
        for sample in extract(kind, message):
            parts = families.setdefault(sample.part.partition(".")[0] or WHOLE, {})
            parts[sample.part] = sample.values | parts.get(sample.part, {})
    found: dict[str, float] = {}
    for family in FAMILIES:
        parts = families.get(family, {})
        if family not in PLACES or len(parts) == 1:
            found = _joined(list(parts.values())) | found
    return found


def _joined(parts: list[dict[str, float]]) -> dict[str, float]:
    gathered: dict[str, list[float]] = {}
    for values in parts:
        for name, value in values.items():
            gathered.setdefault(name, []).append(value)
    return {
        name: sum(values) / (len(values) if POINTS[name].unit == PERCENT else 1) for name, values in gathered.items()
    }


def _route(method: str, path: str, handler: Any, summary: str, shape: Any, **more: Any) -> Route:
    return Route(method, path, handler, summary, {200: (shape, "done")}, tag="vendor", dialect=DIALECT, **more)


ROUTES = (
    _route("GET", f"{BASE}/test-apikey", test_key, "Whether the key is good", Ok),
    _route("GET", f"{BASE}/device", listing, "The devices that you may see", Listing, query=Paged),
    _route("GET", f"{BASE}/device/by-time", by_time, "Those that were changed in a time", Listing, query=TimeQuery),
    _route("PATCH", f"{BASE}/device", change, "Name, code and place of a device", Done, body=DeviceChange),
    *(
        _route("POST", f"{base}/device/bind-owner", bind, "Bind a device by its license code", Done, body=DeviceBind)
        for base in (BIND, BASE)
    ),
    _route("PUT", f"{BASE}/common-sync", common_sync, "Live values of a device", Done, query=DeviceQuery, body=Fields),
)
