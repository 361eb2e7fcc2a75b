"""Who posts an event, and when: a signature over the time and the body (docs/webhooks.md). Pure."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "EMS-Signature"


def sign(secret: str, at_s: int, body: bytes) -> str:
    """`t=<epoch s>,v1=<hex>`: HMAC-SHA256 of `<t>.<body>` with the secret."""
    digest = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"
