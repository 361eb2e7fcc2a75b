"""What faults make of the messages of a device: pure, one message in, one out."""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any, Final

import msgspec

from schemas import export, kinds
from schemas.regulation import STATUS
from simulator.faults import Behaviour, spoil

Post = tuple[str, bytes]

STRANGER = "NOBODY"
"""The device that a message names instead of its own."""
MEASUREMENTS: Final = ("/report/regular/post", "/grid_fm/receive/post")
_KILO: Final = ("kW", "kVar", "kVA", "kWh", "V")
_UNTOLD: Final = ("cell_voltage",)
"""Voltages whose Struct says no unit."""


def disturbs(behaviour: Behaviour) -> bool:
    """Whether it changes messages at all."""
    return bool(
        behaviour.wrong_device
        or behaviour.wrong_units
        or behaviour.skew_s
        or behaviour.jump_s
        or behaviour.huge_bytes
        or behaviour.corrupt
    )


def disturbed(post: Post, behaviour: Behaviour, chance: float) -> Post:
    """A message as a device with these faults sends it; `chance` in [0, 1) is how far its clock jumps."""
    topic, payload = post
    body = _object(payload)
    if body is not None:
        if behaviour.wrong_device:
            body["device_uid"] = STRANGER
        if behaviour.wrong_units and topic.endswith(MEASUREMENTS):
            body["data"] = _in_small_units(body.get("data"))
        shift = behaviour.skew_s + behaviour.jump_s * (2.0 * chance - 1.0)
        if shift and isinstance(body.get("timestamp"), int):
            body["timestamp"] += int(shift * 1000)
        if behaviour.huge_bytes:
            body["padding"] = "x" * int(behaviour.huge_bytes)
        payload = msgspec.json.encode(body)
    return topic, spoil(payload) if behaviour.corrupt else payload


def misanswered(post: Post, behaviour: Behaviour) -> Post:
    """An answer with the wrong `reply`, with none, or as broken JSON."""
    topic, payload = post
    body = _object(payload)
    if body is not None and (behaviour.wrong_reply or behaviour.no_reply):
        if behaviour.no_reply:
            body.pop("reply", None)
        else:
            body["reply"] = str(uuid.uuid5(uuid.NAMESPACE_OID, str(body.get("reply"))))
        payload = msgspec.json.encode(body)
    return topic, spoil(payload) if behaviour.garbage else payload


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return body if isinstance(body, dict) else None


def _in_small_units(value: Any, name: str = "") -> Any:
    """Every power, energy and voltage a thousand times as large."""
    if isinstance(value, dict):
        if value.get("type") == STATUS:
            return value
        return {key: _in_small_units(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_small_units(each, name) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and name in _measured():
        return value * 1000
    return value


@cache
def _measured() -> frozenset[str]:
    """The fields of measurements in units with a smaller sister: W, var, VA, Wh, mV. What the vendor's table calls a current is
    none of them, whatever unit it prints, and half a register has no unit."""
    rows = tuple(kind for kind in kinds.KINDS if f"/{kind.suffix}" in MEASUREMENTS)
    _, structs = export.schemas(rows, "#/{name}")
    found = {
        name
        for struct in structs.values()
        for name, field in struct.get("properties", {}).items()
        if _unit(field) in _KILO and not name.endswith(("_current", "_low", "_high"))
    }
    return frozenset(found | set(_UNTOLD))


def _unit(field: dict[str, Any]) -> str | None:
    """The unit of a field, or of one of its alternatives."""
    return next((each["x-unit"] for each in (field, *field.get("anyOf", ())) if "x-unit" in each), None)
