"""Devices: registry, presence, what they said last."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.core.registry import Device
from bridge.errors import NotFound
from bridge.http.shapes import DeviceBody, DeviceDetail, DeviceList, DevicesQuery, Presence, StoredMessage
from bridge.http.table import Answer, Call, Route
from schemas import kinds


async def listing(call: Call) -> Answer:
    """GET /api/v1/devices"""
    query = call.query(DevicesQuery)
    found: list[DeviceBody] = []
    for device in call.services.registry.devices():
        if query.after is not None and device.uid <= query.after:
            continue
        if query.product_key not in (None, device.product_key) or query.tenant not in (None, device.tenant):
            continue
        if not call.services.registry.may_touch(call.principal, device):
            continue
        body = _body(call, device)
        if query.online not in (None, body.presence.online):
            continue
        if len(found) == query.limit:
            return DeviceList(found, found[-1].uid)
        found.append(body)
    return DeviceList(found, None)


async def detail(call: Call) -> Answer:
    """GET /api/v1/devices/{uid}"""
    body = _body(call, await visible_device(call, call.path("uid")))
    latest = await call.services.ledger.latest(body.uid)
    values = {name: getattr(body, name) for name in body.__struct_fields__}
    return DeviceDetail(**values, latest=[StoredMessage(**row) for row in latest], strategies=_strategies(latest))


async def visible_device(call: Call, uid: str) -> Device:
    """The device; NotFound when there is none, and in the same words when it is somebody else's."""
    device = await call.services.registry.find_device(uid)
    if device is None or not call.services.registry.may_touch(call.principal, device):
        raise NotFound("unknown_device", f"there is no device {uid[:128]!r}")
    return device


def _body(call: Call, device: Device) -> DeviceBody:
    presence = call.services.presence(device.uid)
    return DeviceBody(
        device.uid,
        device.product_key,
        device.tenant,
        device.name,
        device.timezone or call.services.limits.timezone,
        device.signs,
        device.enabled,
        device.created_at,
        Presence(presence.online, presence.since, presence.scheme),
    )


def _strategies(latest: list[dict[str, Any]]) -> dict[str, Any]:
    """Feature -> data, of the newest list report of each feature that commands can change."""
    found: dict[str, tuple[int, Any]] = {}
    changeable = {kind.feature for kind in kinds.KINDS if kind.changes}
    for row in latest:
        feature, action, sort = row["suffix"].split("/")
        if action == "list" and sort == "post" and feature in changeable:
            at, _ = found.get(feature, (-1, None))
            if row["received_at"] > at:
                data = msgspec.json.decode(row["body"], type=dict[str, msgspec.Raw]).get("data")
                found[feature] = (row["received_at"], data)
    return {feature: data for feature, (_, data) in found.items()}


ROUTES = (
    Route(
        "GET",
        "/api/v1/devices",
        listing,
        "The devices that you may see, with their presence",
        {200: (DeviceList, "a page of devices")},
        DevicesQuery,
        tag="devices",
    ),
    Route(
        "GET",
        "/api/v1/devices/{uid}",
        detail,
        "One device: registry, presence, its newest message of each sort, its strategies as last reported",
        {200: (DeviceDetail, "the device"), 404: (None, "no such device")},
        tag="devices",
    ),
)
