"""The receiver's check: what the bridge signs is taken, anything else is not."""

from __future__ import annotations

import pytest

from bridge.client.webhooks import Hooked, read
from bridge.errors import Denied, Unprocessable
from bridge.mirror.signature import sign

SECRET = "sixteen letters!"
BODY = b'{"id":"e1","type":"alarm","at":1760000000000,"device":"D1","data":{"seq":1}}'
AT = 1_760_000_000


def test_what_the_bridge_signs() -> None:
    event = read(SECRET, sign(SECRET, AT, BODY), BODY, now=AT + 299)
    assert event == Hooked("e1", "alarm", AT * 1000, "D1", {"seq": 1})


@pytest.mark.parametrize(
    ("signature", "body", "now", "code"),
    [
        (sign("another secret!!", AT, BODY), BODY, AT, "bad_signature"),
        (sign(SECRET, AT, BODY), BODY + b" ", AT, "bad_signature"),
        (sign(SECRET, AT, BODY).replace(str(AT), str(AT + 1)), BODY, AT, "bad_signature"),
        (sign(SECRET, AT, BODY), BODY, AT + 301, "old_signature"),
        (sign(SECRET, AT, BODY), BODY, AT - 301, "old_signature"),
        ("", BODY, AT, "bad_signature"),
        ("t=,v1=", BODY, AT, "bad_signature"),
        ("t=٣,v1=ü", BODY, AT, "bad_signature"),
        (f"t={AT},v1=ü", BODY, AT, "bad_signature"),
        (f"t={AT},v1=\udcff", BODY, AT, "bad_signature"),  # bytes of a header that are no text
    ],
)
def test_what_is_refused(signature: str, body: bytes, now: int, code: str) -> None:
    with pytest.raises(Denied) as refused:
        read(SECRET, signature, body, now=now)
    assert refused.value.code == code


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[" * 5_000])
def test_no_event(body: bytes) -> None:
    with pytest.raises(Unprocessable):
        read(SECRET, sign(SECRET, AT, body), body, now=AT)
