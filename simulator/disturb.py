"""What faults make of the messages of a device: pure, one message in, one out."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from simulator.faults import Behaviour, spoil

Post = tuple[str, bytes]

STRANGER = "NOBODY"
"""The device that a message names instead of its own."""
WATTS = 1000


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
        if behaviour.wrong_units and topic.endswith("/post"):
            body["data"] = _in_watts(body.get("data"))
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


def _in_watts(value: Any, name: str = "") -> Any:
    """Every power a thousand times as large."""
    if isinstance(value, dict):
        return {key: _in_watts(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_watts(each, name) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and name.endswith("_power"):
        return value * WATTS
    return value
