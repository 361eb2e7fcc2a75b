"""The Belimo-compatible API: devices as it shows them, and what there is to say of an account."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from bridge.cloud.belimo_points import (
    CITY,
    COUNTRY,
    DEVICE_NAME,
    OWNER,
    PROFILE,
    PROJECT,
    REMOTE,
    VERSION,
    Datapoint,
    datapoints,
    profile_id,
)
from bridge.cloud.belimo_series import Values, at_time
from bridge.core.registry import Device
from bridge.errors import NotFound
from bridge.http.belimo import MISSING, collection, get, iso, ordered, reply, spend
from bridge.http.belimo_shapes import COLLECTION, DEVICE, OBJECT, Devices, Owned
from bridge.http.services import Receiving, Services
from bridge.http.table import Answer, Call
from bridge.store.series import Asset
from schemas import kinds
from schemas.carriage import FAULTS_TOLD
from schemas.errors import Invalid

IDS: Final = UUID("5f0c6d0e-7c1b-5f52-9d1c-6a2f1c8e4b10")
"""Namespace of device ids: the id of a device is the UUID, version 5, of its uid."""
ONLINE_MS: Final = 5 * 60_000
DAY_MS: Final = 86_400_000
TOGETHER: Final = 50
"""Devices that are written out before others have their turn."""
API: Final = "3.5.0"
"""The version of Belimo's document that this follows."""
NOBODY: Final = "unassigned"
HANDLED: Final = 2
SERIOUS: Final = 2
"""Alarms of this level and above are errors, those below warnings."""


class Place(NamedTuple):
    """A device as this API knows it: from the registry, from its readings, or both."""

    uid: str
    device: Device | None
    assets: Sequence[Asset]

    @property
    def id(self) -> str:
        """Its id in this API."""
        return device_id(self.uid)

    @property
    def owner(self) -> str:
        """The name of its first owner."""
        return self.device.owners[0][1] if self.device is not None and self.device.owners else NOBODY

    @property
    def owners(self) -> set[str]:
        """Everything by which an owner may be asked for."""
        return {owner for _, owner in self.device.owners} if self.device is not None else {NOBODY}

    def datapoints(self, si: bool) -> dict[str, Datapoint]:
        """What it tells, by id."""
        return datapoints(self.uid, self.assets, si)

    @property
    def since(self) -> int | None:
        """The first reading, ms."""
        return min((asset.first_at for asset in self.assets), default=None)

    @property
    def until(self) -> int | None:
        """The last reading, ms."""
        return max((asset.last_at for asset in self.assets), default=None)


@lru_cache(100_000)
def device_id(uid: str) -> str:
    """The id of a device in this API."""
    return str(uuid5(IDS, uid))


def places(call: Call) -> list[Place]:
    """All devices that the caller may see, by uid."""
    return seen(call.receiving, call.principal)


def seen(receiving: Receiving, principal: Any) -> list[Place]:
    """All devices that `principal` may see, by uid."""
    registry, by_device = receiving.registry, receiving.belimo.assets()
    found = {
        device.uid: Place(device.uid, device, by_device.get(device.uid, ()))
        for device in registry.devices()
        if registry.may_touch(principal, device)
    }
    for uid, assets in by_device.items():
        if uid not in found and receiving.may_read(principal, uid):
            found[uid] = Place(uid, registry.device(uid), assets)
    return [found[uid] for uid in sorted(found)]


async def place(call: Call) -> Place:
    """The device of the path, by its id or its uid. Raises NotFound, in the same words when it is somebody else's."""
    name = call.path("device")
    uid = uid_of(call.receiving, name)
    await call.receiving.registry.find_device(uid)
    found = place_at(call.receiving, call.principal, uid)
    if found is None:
        raise NotFound("not_found", f"there is no device {name[:128]!r}")
    return found


def place_at(receiving: Receiving, principal: Any, uid: str) -> Place | None:
    """The device, if it is there and `principal` may see it."""
    device, assets = receiving.registry.device(uid), receiving.belimo.assets().get(uid, ())
    if (device is None and not assets) or not receiving.may_read(principal, uid):
        return None
    return Place(uid, device, assets)


def uid_of(receiving: Receiving, name: str) -> str:
    """The uid of a device that is named by its id, or by its uid already."""
    if len(name) != len(str(IDS)) or receiving.registry.device(name) is not None:
        return name
    belimo = receiving.belimo
    state = receiving.registry.revision, len(receiving.cloud.series.assets)
    if belimo.uids_of != state:
        uids = {device.uid for device in receiving.registry.devices()} | belimo.assets().keys()
        belimo.uids, belimo.uids_of = {device_id(uid): uid for uid in uids}, state
    return belimo.uids.get(name.lower(), name)


class _Health(NamedTuple):
    state: str
    description: str
    seen: int | None
    online: bool


async def _health(receiving: Receiving, wanted: Sequence[Place]) -> dict[str, _Health]:
    """Contact by MQTT or by readings; trouble by the newest alarms that a device told."""
    now = receiving.cloud.clock()
    alarms = await _alarms(receiving, [each.uid for each in wanted])
    found = {}
    for each in wanted:
        last, online = each.until, False
        if isinstance(receiving, Services):
            presence = receiving.presence(each.uid)
            online = presence.online
            last = now if online else max((at for at in (last, presence.since) if at is not None), default=None)
        state, text = alarms.get(each.uid, ("OK" if last is not None else "UNKNOWN", ""))
        found[each.uid] = _Health(state, text, last, online or (last is not None and last >= now - ONLINE_MS))
    return found


async def _alarms(receiving: Receiving, uids: Iterable[str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    if not isinstance(receiving, Services):
        return found
    for told in await receiving.platform.newest(uids, [FAULTS_TOLD]):
        try:
            data = kinds.resolve(told.suffix, told.body)[1].data
        except Invalid:  # taken by an older release, which knew fewer fields
            continue
        worst = max(
            (
                alarm
                for alarm in (data if isinstance(data, list) else [data])
                if alarm and alarm.handle_status != HANDLED
            ),
            key=lambda alarm: alarm.level,
            default=None,
        )
        if worst is not None:
            found[told.device] = "ERROR" if worst.level >= SERIOUS else "WARNING", worst.content
        else:
            found.pop(told.device, None)
    return found


async def bodies(
    receiving: Receiving, wanted: Sequence[Place], only: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """Devices with their states, as answers have them; of datapoints `only` these, unless it is empty."""
    metadata = await receiving.belimo.metadata.of([each.uid for each in wanted])
    healths = await _health(receiving, wanted)
    latest = await receiving.belimo.latest.of([asset for each in wanted for asset in each.assets])
    found = []
    for number, each in enumerate(wanted):
        if number % TOGETHER == TOGETHER - 1:
            await asyncio.sleep(0)  # a page of 2,000 takes half a second: others go on meanwhile
        found.append(_body(receiving, each, metadata.get(each.uid, {}), healths[each.uid], latest, only))
    return found


def _body(
    receiving: Receiving,
    each: Place,
    metadata: dict[str, Any],
    health: _Health,
    latest: dict[str, Values],
    only: frozenset[str],
) -> dict[str, Any]:
    device, reference = each.device, profile_id(each.uid, each.assets)
    name = (device.name if device is not None else "") or metadata.get(DEVICE_NAME) or each.uid
    made = device.created_at if device is not None else each.since or 0
    remote = device is not None and isinstance(receiving, Services)
    told = {
        **metadata, OWNER: each.owner, PROFILE: f"{reference}/{VERSION}", REMOTE: remote, DEVICE_NAME: name,
    }  # fmt: skip
    days = 0 if each.since is None or each.until is None else each.until // DAY_MS - each.since // DAY_MS + 1
    return {
        "id": each.id,
        "productionId": each.uid,
        "displayName": name,
        "serialNumber": each.uid,
        "materialNumber": (device.product_key if device is not None else None) or "",
        "deviceType": (device.product_key if device is not None else None) or "ems",
        "productionDate": iso(made, exact=True),
        "purpose": "PRODUCT",
        "dataprofile": {
            "entityId": f"{reference}/{VERSION}",
            "ref": f"/definitions/dataprofiles/{reference}/{VERSION}",
            "displayName": f"ems-bridge.{reference}/{VERSION}",
        },
        "health": {
            **({} if health.seen is None else {"lastSeen": iso(health.seen, exact=True)}),
            "onlineDays": days,
            "state": health.state,
            "description": health.description,
        },
        "owner": {"entityId": each.owner, "ref": f"/users/{each.owner}", "displayName": each.owner},
        "projectName": metadata.get(PROJECT, ""),
        "addressCity": metadata.get(CITY, ""),
        "addressCountry": metadata.get(COUNTRY, ""),
        "remoteControlEnabled": remote,
        "claimingProtectionActive": False,
        "state": state(each, latest, told, receiving.belimo.settings.si, receiving.cloud.clock(), only),
    }


def state(
    each: Place,
    latest: dict[str, Values],
    metadata: dict[str, Any],
    si: bool,
    at: int,
    only: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The newest values of a device, and when the newest of them was so: at `at`, where it has none."""
    found: dict[str, Any] = {}
    newest: int | None = None
    for name, point in each.datapoints(si).items():
        told = latest.get(point.asset, {}).get(point.point)
        if told is not None and (not only or name in only):
            found[name] = {"value": told[1] * point.factor}
            newest = told[0] if newest is None else max(newest, told[0])
    found |= {name: {"value": value} for name, value in metadata.items() if not only or name in only}
    return {"timestamp": iso(at if newest is None else newest, exact=True), "datapoints": found}


async def data_at(call: Call, each: Place, at: int | None) -> dict[str, Any]:
    """`state` of a device, now or at a time."""
    belimo = call.receiving.belimo
    if at is None:
        (body,) = await bodies(call.receiving, [each])
        found: dict[str, Any] = body["state"]
        return found
    latest = await at_time(call.receiving.cloud, each.assets, at)
    return state(each, latest, {}, belimo.settings.si, at)


async def stats(call: Call) -> Answer:
    """GET /devices/stats"""
    owner = call.query(Owned).owner
    found = [each for each in places(call) if owner is None or owner in each.owners]
    healths = (await _health(call.receiving, found)).values()
    online = sum(health.online for health in healths)
    problem = sum(health.state in ("WARNING", "ERROR") for health in healths)
    return reply(
        {
            "totalDevices": len(found),
            "connection": {"offline": len(found) - online, "online": online},
            "health": {"problem": problem, "ok": len(found) - problem},
            "transfer": {"incoming": 0, "outgoing": 0},
        }
    )


async def listing(call: Call) -> Answer:
    """GET /devices"""
    asked = call.query(Devices)
    spend(call)
    found = [each for each in places(call) if asked.owner is None or asked.owner in each.owners]
    if asked.state in ("REGISTERED", "UNREGISTERED"):
        healths = await _health(call.receiving, found)
        found = [each for each in found if (healths[each.uid].seen is not None) == (asked.state == "REGISTERED")]
    by = "displayName" if asked.sortBy == "name" else asked.sortBy
    only = {"state": asked.state, "search": asked.search, "owner": asked.owner}
    metadata = await call.receiving.belimo.metadata.of([each.uid for each in found])
    if asked.search is not None:
        text = asked.search.lower()
        found = [each for each in found if text in _name(each, metadata).lower() or text in each.uid.lower()]
    found = await _sorted(call, found, by, asked, metadata)
    page = await bodies(call.receiving, found[asked.offset : asked.offset + asked.limit])
    return reply(collection(page, asked, by, len(found), only))


def _name(each: Place, metadata: dict[str, dict[str, Any]]) -> str:
    own = each.device.name if each.device is not None else ""
    return own or metadata.get(each.uid, {}).get(DEVICE_NAME) or each.uid


async def _sorted(
    call: Call, found: list[Place], by: str, asked: Devices, metadata: dict[str, dict[str, Any]]
) -> list[Place]:
    """By what costs nothing, or by health, which has to be asked for."""
    fields = {"projectName": PROJECT, "addressCity": CITY, "addressCountry": COUNTRY}
    if by in ("health.state", "health.lastSeen"):
        healths = await _health(call.receiving, found)
        return ordered(
            found, lambda each: healths[each.uid].state if by == "health.state" else healths[each.uid].seen, asked
        )
    if by in fields:
        return ordered(found, lambda each: metadata.get(each.uid, {}).get(fields[by], ""), asked)
    keys = {
        "id": lambda each: each.id,
        "displayName": lambda each: _name(each, metadata),
        "deviceType": lambda each: (each.device.product_key if each.device else None) or "ems",
        "owner.displayName": lambda each: each.owner,
        "dataprofile.displayName": lambda each: profile_id(each.uid, each.assets),
        "software.displayName": lambda _each: "",
    }
    return ordered(found, keys.get(by, lambda each: each.uid), asked)


async def detail(call: Call) -> Answer:
    """GET /devices/{device}"""
    spend(call)
    (body,) = await bodies(call.receiving, [await place(call)])
    return reply(body)


async def api_info(_call: Call) -> Answer:
    """GET /api-info"""
    return reply({"version": API})


async def user(call: Call) -> Answer:
    """GET /user: the account that asks."""
    name = call.principal.name
    return reply(
        {
            "id": name, "email": name, "accountActivated": True, "locale": "en", "roles": [], "firstName": "",
            "lastName": name,
        }
    )  # fmt: skip


ROUTES: Final = (
    get("/api-info", api_info, "The version of Belimo's document that is followed", OBJECT),
    get("/user", user, "The account that asks", OBJECT),
    get("/devices/stats", stats, "How many devices there are, are online, have trouble", OBJECT, Owned),
    get("/devices", listing, "Devices with their newest values", COLLECTION, Devices),
    get("/devices/{device}", detail, "One device with its newest values", DEVICE, more=MISSING),
)
