"""EnOS's APIs as its clients call them: an application, its key, its signatures."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:
    from conftest import Window

KEY, SECRET = "7b1c9f64-1f0a-4c3e-9a52-0d6b5b2f9e11", "52d1a3c8-9be7-4f60-8c14-6f2a7d90b3e5"
OTHER_KEY, OTHER_SECRET = "0f0e0d0c-0b0a-4a4b-8c8d-111213141516", "a1b2c3d4-e5f6-4a5b-8c7d-9e8f7a6b5c4d"
APPS = [
    {"key": KEY, "secret": SECRET, "account": "backend"},
    {"key": OTHER_KEY, "secret": OTHER_SECRET, "account": "narrow"},
]
TOKENS = "/apim-token-service/v2.0/token"
RAW = "/tsdb-service/v2.0/raw"
ASK = {
    "orgId": "o1", "assetIds": "D1.meter.1,D2.meter.1", "measurepoints": "p", "startTime": "2001-01-01T00:00:00Z",
    "endTime": "2100-01-01T00:00:00Z",
}  # fmt: skip
_PRIVATE = rsa.generate_private_key(65_537, 2_048)


def private_key(folder: Path) -> str:
    """A PEM file of our key."""
    path = folder / "enos.pem"
    path.write_bytes(_PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


def public_key() -> str:
    """What a client of ours is told."""
    return b64encode(_PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


async def fill(window: Window) -> None:
    """A reading of this moment of D1 and of D2, and the account `narrow`, which may see D2 alone."""
    at = int(time.time() * 1000) - 1
    rows = [{"asset": f"{uid}.meter.1", "timestamp": at, "values": {"p": 1.0, "state": 2.0}} for uid in ("D1", "D2")]
    status, said, _ = await window.call("POST", "/ingest/v1/power", rows, headers={"Content-Type": "application/json"})
    assert status == 200, said
    await window.house.registry.add_account("narrow", [("user", "other")])


def now() -> str:
    """The time in ms, never the same twice: the same encryption twice is refused."""
    _told.append(max(int(time.time() * 1000), _told.pop() + 1))
    return str(_told[0])


_told = [0]


def hashed(*words: str | bytes) -> str:
    return hashlib.sha256(b"".join(word if isinstance(word, bytes) else word.encode() for word in words)).hexdigest()


async def token_of(
    window: Window, key: str = KEY, secret: str = SECRET, at: str | None = None, way: str = "get", **more: Any
) -> dict[str, Any]:
    """What the token service says."""
    at = at or now()
    body = {"appKey": key, "encryption": hashed(key, at, secret), "timestamp": int(at), **more}
    body = {name: value for name, value in body.items() if value is not ...}
    status, said, _ = await window.call("POST", f"{TOKENS}/{way}", body, key="")
    assert (status, said["business"]) == (200, "apim-token-service"), said
    found: dict[str, Any] = said
    return found


async def access_token(window: Window, key: str = KEY, secret: str = SECRET) -> str:
    text: str = (await token_of(window, key, secret))["data"]["accessToken"]
    return text


def signed(
    token: str, query: dict[str, str], body: bytes = b"", at: str | None = None, secret: str = SECRET
) -> dict[str, str]:
    """The headers of a call."""
    at = now() if at is None else at
    told = "".join(f"{name}{query[name]}" for name in sorted(query))
    return {
        "apim-accesstoken": token, "apim-timestamp": at, "apim-signature": hashed(token, told, body, at, secret),
        "Content-Type": "application/json",
    }  # fmt: skip


def legacy(query: dict[str, str], body: bytes = b"", at: str | None = None, secret: str = SECRET) -> dict[str, str]:
    """The query of a call of the old SDK."""
    query = {**query, "requestTimestamp": at or now()}
    told = "".join(f"{name}{query[name]}" for name in sorted(query))
    sign = hashlib.sha1(f"{KEY}{told}".encode() + body + secret.encode()).hexdigest().upper()
    return {**query, "accessKey": KEY, "sign": sign}


async def ask(
    window: Window, query: dict[str, str], headers: dict[str, str], path: str = RAW, body: Any = None, key: str = ""
) -> dict[str, Any]:
    """The answer to a call, whose HTTP status is always 200."""
    given = json.dumps(body).encode() if isinstance(body, dict) else body
    method = "GET" if given is None else "POST"
    status, said, _ = await window.call(method, f"{path}?{urlencode(query)}", given, key=key, headers=headers)
    assert status == 200, said
    found: dict[str, Any] = said
    return found


def assets(said: dict[str, Any]) -> list[str]:
    """Whose items an answer has."""
    assert said["status"] == 0, said
    return [item["assetId"] for item in said["data"]["items"]]
