"""The receiving side of webhooks: is this event from the bridge, and of now?"""

from __future__ import annotations

import hashlib
import hmac
from time import time
from typing import Any, Final

import msgspec
from msgspec import Struct

from bridge.errors import Denied, Unprocessable

HEADER: Final = "EMS-Signature"
TOLERANCE_S: Final = 300.0
"""How old a signature may be, or how far ahead: clocks differ, and a recorded request must not be good for ever."""


class Hooked(Struct, frozen=True):
    """An event. The same `id` again is the same event: count it once. `at` is epoch ms; `device` is None where there is none."""

    id: str
    type: str
    at: int
    device: str | None
    data: dict[str, Any]


def read(secret: str, signature: str, body: bytes, *, now: float | None = None) -> Hooked:
    """The event in `body`, after a look at the header EMS-Signature (`signature`). Raises Denied when it is not signed with
    `secret`, or not lately; Unprocessable when it is no event."""
    fields = dict(part.strip().split("=", 1) for part in signature.split(",") if "=" in part)
    at = fields.get("t", "")
    if not (at.isascii() and at.isdigit() and len(at) < 16):
        raise Denied("bad_signature", f"{HEADER} has no time: t=…,v1=… would be right")
    digest = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(digest.encode(), fields.get("v1", "").encode("utf-8", "replace")):
        raise Denied("bad_signature", "it is not signed with this secret")
    if abs((time() if now is None else now) - int(at)) > TOLERANCE_S:
        raise Denied("old_signature", f"it was signed more than {TOLERANCE_S:g} s ago, or a clock is wrong")
    try:
        return msgspec.json.decode(body, type=Hooked)
    except (ValueError, RecursionError) as error:
        raise Unprocessable("not_json", f"no event: {error}") from None
