"""How a courier says who it is: fixed headers, OAuth2 client credentials, EnOS's signature. Secrets are never logged."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, quote_plus, urlsplit

import aiohttp
import msgspec

from bridge.errors import BridgeError
from bridge.mirror.sink import AuthConfig, SinkConfig

EARLY_S: Final = 60.0
"""A token is fetched anew so long before it ends, or a tenth of its life where that is less."""
UNTOLD_S: Final = 300.0
"""How long a token is used whose end nobody told."""
REPLY_BYTES: Final = 64 << 10

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class NoToken(BridgeError):
    """No token could be had; the text says why in a word or two."""


class Auth(Protocol):
    """`headers` for one request; `forget` after the sink did not accept them: True when others may be accepted at once."""

    async def headers(self, session: aiohttp.ClientSession, url: str, body: bytes) -> dict[str, str]:
        """Raises NoToken, and what aiohttp raises."""

    def forget(self) -> bool:
        """What was shown is not good, or no longer."""


class Fixed:
    """The same headers for every request."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    async def headers(self, session: aiohttp.ClientSession, url: str, body: bytes) -> dict[str, str]:
        """They depend on nothing."""
        _ = session, url, body
        return self._headers

    def forget(self) -> bool:
        """There are no others."""
        return False


class Held:
    """A token that is held until shortly before its end. `now` gives ms."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._token = ""
        self._until_ms = 0.0

    def forget(self) -> bool:
        """The next request fetches another one."""
        self._token = ""
        return True

    def _holds(self) -> bool:
        return bool(self._token) and self._now() < self._until_ms

    def _hold(self, token: object, life: object) -> str:
        if not (isinstance(token, str) and token.isprintable() and token.isascii()):
            raise NoToken("token: the answer has none")
        try:
            life_s = float(life) if isinstance(life, int | float | str) else UNTOLD_S
        except (ValueError, OverflowError):
            life_s = UNTOLD_S
        self._token = token
        self._until_ms = self._now() + 1000 * max(life_s - min(EARLY_S, life_s / 10), 0.0)
        return token


class OAuth2(Held):
    """A bearer token by client credentials (RFC 6749, 4.4)."""

    def __init__(self, config: AuthConfig, now: Callable[[], int]) -> None:
        super().__init__(now)
        self._url = config.token_url
        wanted = {"grant_type": "client_credentials", "scope": config.scope, "audience": config.audience}
        self._form = {name: value for name, value in wanted.items() if value}
        self._login: dict[str, str] = {}
        if config.client_auth == "body":
            self._form |= {"client_id": config.client_id, "client_secret": config.client_secret}
        else:
            self._login = _basic(quote_plus(config.client_id), quote_plus(config.client_secret))

    async def headers(self, session: aiohttp.ClientSession, url: str, body: bytes) -> dict[str, str]:
        """Authorization: Bearer."""
        _ = url, body
        token = self._token if self._holds() else await self._fetch(session)
        return {"Authorization": f"Bearer {token}"}

    async def _fetch(self, session: aiohttp.ClientSession) -> str:
        headers = {**self._login, "Accept": "application/json"}
        found = await _asked(session, self._url, {"data": self._form, "headers": headers})
        return self._hold(found.get("access_token"), found.get("expires_in"))


class Enos(Held):
    """An application's token of EnOS, and the signature of each request (apim-signature)."""

    def __init__(self, config: AuthConfig, now: Callable[[], int]) -> None:
        super().__init__(now)
        self._url, self._key, self._secret = config.token_url, config.client_id, config.client_secret

    async def headers(self, session: aiohttp.ClientSession, url: str, body: bytes) -> dict[str, str]:
        """apim-accesstoken, apim-timestamp, apim-signature."""
        token = self._token if self._holds() else await self._fetch(session)
        at = self._now()
        digest = enos_signature(token, parse_qsl(urlsplit(url).query, keep_blank_values=True), body, at, self._secret)
        return {"apim-accesstoken": token, "apim-timestamp": str(at), "apim-signature": digest}

    async def _fetch(self, session: aiohttp.ClientSession) -> str:
        at = self._now()
        digest = hashlib.sha256(f"{self._key}{at}{self._secret}".encode()).hexdigest()
        body = {"appKey": self._key, "encryption": digest, "timestamp": at}
        found = await _asked(session, self._url, {"json": body})
        status = found.get("status")
        if status not in (0, "0"):
            raise NoToken(f"token: EnOS status {status if isinstance(status, int) else 'unknown'}")
        data = found.get("data")
        inside = data if isinstance(data, dict) else {}
        return self._hold(inside.get("accessToken"), inside.get("expire"))


def enos_signature(token: str, query: list[tuple[str, str]], body: bytes, at_ms: int, secret: str) -> str:
    """Of the token, the parameters sorted by name with their plain values, the body, the time and the secret."""
    parameters = "".join(name + value for name, value in sorted(query))
    return hashlib.sha256(f"{token}{parameters}".encode() + body + f"{at_ms}{secret}".encode()).hexdigest()


def auth_of(sink: SinkConfig, now: Callable[[], int]) -> Auth:
    """What the sink's `auth` says; of type bearer its `token`, which InfluxDB 2 wants under another name."""
    config = sink.auth
    if config.type == "oauth2":
        return OAuth2(config, now)
    if config.type == "enos":
        return Enos(config, now)
    if config.type == "basic":
        return Fixed(_basic(config.username, config.password))
    if config.type == "api_key":
        return Fixed({config.header: config.key})
    second = sink.format == "influx" and "/api/v2/" in sink.url
    return Fixed({"Authorization": f"{'Token' if second else 'Bearer'} {sink.token}"} if sink.token else {})


def _basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def _asked(session: aiohttp.ClientSession, url: str, what: dict[str, Any]) -> dict[str, Any]:
    """The JSON object that a token endpoint answers. Raises NoToken."""
    async with session.post(url, allow_redirects=False, **what) as response:
        text = await read_most(response, REPLY_BYTES)
        try:
            found = _decode(text)
        except (ValueError, RecursionError):
            found = {}
        if response.status != 200:
            word = found.get("error")
            told = f" {word[:60]}" if isinstance(word, str) and word.isprintable() else ""
            raise NoToken(f"token: HTTP {response.status}{told}")
        return found


async def read_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body as far as it is looked at; what comes behind ends the connection."""
    found = bytearray()
    while len(found) < most and (chunk := await response.content.read(most - len(found))):
        found += chunk
    return bytes(found)
