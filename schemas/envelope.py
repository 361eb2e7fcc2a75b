"""The envelope of every message, and building one.

Source: CATALOG.md, Envelope; catalog.json general.envelope_base and envelope_other.
"""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from schemas.errors import Invalid
from schemas.scalars import LARGEST, SMALLEST, EpochMillis, SubDeviceId

_HEX = "[0-9a-fA-F]"
_DIGITS = f"{_HEX}{{8}}-?(?:{_HEX}{{4}}-?){{3}}{_HEX}{{12}}"
UUID = rf"^(?:[uU][rR][nN]:[uU][uU][iI][dD]:)?(?:{_DIGITS}|\{{{_DIGITS}\}})$"
"""What `check_mid` takes, as JSON Schema says it."""
CODE_ACCEPTED = 200
CODE_INVALID = 400


class Message(Struct, kw_only=True, omit_defaults=True):
    """One message, whatever its kind. Absent and null are both None here; the raw payload keeps the difference.

    `mid` is a UUID in any form that the uuid module reads, `timestamp` epoch milliseconds, `reply` the mid that is answered,
    `code` 200 or 400 in a result. `sub_device_*` name the level-1 EMS for which a level-2 EMS speaks.
    """

    mid: Annotated[str, Meta(description="a UUID", extra_json_schema={"pattern": UUID})]
    type: str
    device_uid: str
    timestamp: EpochMillis
    data: Any = None
    reply: str | None = None
    code: Annotated[int, Meta(ge=SMALLEST, le=LARGEST)] | None = None
    msg: str | None = None
    trace_id: str | None = None
    sub_device_uid: str | None = None
    sub_device_id: SubDeviceId | None = None
    sub_device_name: str | None = None


def encode(message: Message) -> bytes:
    """The message as JSON. Fields that are None are left out."""
    return _encode(message)


def check_mid(mid: str) -> None:
    """Raise Invalid at `$.mid` unless `mid` is a UUID."""
    if _CANONICAL(mid) is None and _UUID(mid) is None:
        raise Invalid("invalid", "$.mid", f"{mid[:80]!r} is not a UUID")


def canonical(mid: str) -> str | None:
    """The one spelling of a UUID, in which two that are the same are equal: lower case with hyphens. None when it is no UUID."""
    if _CANONICAL(mid) is not None:
        return mid.lower()
    found = _UUID(mid)
    return None if found is None else "-".join(found.groups()[1:]).lower()


def new_mid() -> str:
    """A fresh random mid."""
    return str(uuid.uuid4())


_encode = msgspec.json.Encoder().encode
_CANONICAL = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_UUID = re.compile(
    r"(?:urn:uuid:)?({)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?(1)})",
    re.IGNORECASE | re.ASCII,
).fullmatch
"""Narrower than uuid.UUID, which takes signs, spaces and line breaks: a mid stands in topics and headers."""
