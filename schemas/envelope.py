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

UUID = r"^(urn:)?(uuid:)?\{*(-*[0-9a-fA-F]){32}-*\}*$"
"""Any form of a UUID, as the uuid module reads them: with or without dashes, braces and `urn:uuid:`."""
LONGEST_MID = 200
"""Characters: dashes and braces may stand anywhere, but not without end."""
CODE_ACCEPTED = 200
CODE_INVALID = 400


class Message(Struct, kw_only=True, omit_defaults=True):
    """One message, whatever its kind. Absent and null are both None here; the raw payload keeps the difference.

    `mid` is a UUID in any of its forms, `timestamp` epoch milliseconds, `reply` the mid that is answered,
    `code` 200 or 400 in a result. `sub_device_*` name the level-1 EMS for which a level-2 EMS speaks.
    """

    mid: Annotated[str, Meta(description="a UUID", extra_json_schema={"pattern": UUID, "maxLength": LONGEST_MID})]
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
    if not is_mid(mid):
        raise Invalid("invalid", "$.mid", f"{mid[:80]!r} is not a UUID")


def is_mid(text: str) -> bool:
    """Whether `text` is a UUID."""
    return _CANONICAL(text) is not None or (len(text) <= LONGEST_MID and _ANY(text) is not None)


def new_mid() -> str:
    """A fresh random mid."""
    return str(uuid.uuid4())


_encode = msgspec.json.Encoder().encode
_ANY = re.compile(UUID.removesuffix("$")).fullmatch
_CANONICAL = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
