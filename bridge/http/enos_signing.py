"""How applications of EnOS sign: the digests of the API gateway, of its token service and of the legacy SDK, our tokens, and
what was signed before (http_apis.md A.4). Pure."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha1, sha256
from typing import Final, NamedTuple

MOST_SEEN: Final = 200_000
"""Signatures of one span of time: 300 a second with the default of five minutes. Some 20 MiB."""

Query = Mapping[str, Sequence[str]]
"""Parameters of a URL, decoded: name -> all values."""


class App(NamedTuple):
    """An application: its appKey and appSecret, and the account whose data it may see."""

    key: str
    secret: str
    account: str


def encryption(key: str, timestamp: str, secret: str) -> str:
    """What asks the token service for a token."""
    return sha256(f"{key}{timestamp}{secret}".encode(errors="surrogatepass")).hexdigest()


def signature(token: str, query: Query, body: bytes, timestamp: str, secret: str) -> str:
    """What a call carries as apim-signature."""
    signed = f"{token}{_told(query)}".encode(errors="surrogatepass") + body
    return sha256(signed + f"{timestamp}{secret}".encode(errors="surrogatepass")).hexdigest()


def legacy_signature(key: str, query: Query, body: bytes, secret: str) -> str:
    """What a call of the legacy SDK carries as `sign`."""
    signed = f"{key}{_told(query, ('accessKey', 'sign'))}".encode(errors="surrogatepass") + body
    return sha1(signed + secret.encode()).hexdigest().upper()  # noqa: S324 - the vendor's choice


def same(one: str, other: str) -> bool:
    """Whether both are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))


def _told(query: Query, but: Collection[str] = ()) -> str:
    return "".join(f"{name}{value}" for name in sorted(query) if name not in but for value in query[name])


# Tokens: whose they are and until when they hold is in them, under the application's secret. So they outlive a restart,
# nothing has to be kept of them, and they end with the secret.

_TOKEN: Final = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{8,12})\.([A-Za-z0-9_-]{43})")


def token(app: App, expires_at: int) -> str:
    """A token that holds until then, in ms."""
    seal = hmac.digest(app.secret.encode(), f"access token\n{app.key}\n{expires_at}".encode(), "sha256")
    return f"{name_of(app.key)}.{expires_at:x}.{urlsafe_b64encode(seal).rstrip(b'=').decode()}"


def name_of(key: str) -> str:
    """What stands for an appKey in its tokens."""
    return sha256(key.encode()).hexdigest()[:16]


def read_token(text: str, apps: Mapping[str, App]) -> tuple[App, int] | None:
    """Whose token it is and until when it holds; None for one that was not made here. `apps` are by `name_of` their keys."""
    found = _TOKEN.fullmatch(text)
    app = apps.get(found[1]) if found else None
    if found is None or app is None:
        return None
    expires_at = int(found[2], 16)
    return (app, expires_at) if same(token(app, expires_at), text) else None


class Seen:
    """What was signed within the last `span` ms, and perhaps a little longer: none of it counts twice."""

    def __init__(self, span: int, most: int = MOST_SEEN) -> None:
        self._span = span
        self._most = most
        self._since = 0
        self._now: set[bytes] = set()
        self._before: set[bytes] = set()

    def full(self, now: int) -> bool:
        """Whether no more can be remembered."""
        self._turn(now)
        return len(self._now) >= self._most

    def add(self, what: str, now: int) -> bool:
        """Whether it is new."""
        self._turn(now)
        name = sha256(what.encode(errors="surrogatepass")).digest()[:8]
        if name in self._now or name in self._before:
            return False
        self._now.add(name)
        return True

    def _turn(self, now: int) -> None:
        if now - self._since >= self._span:
            self._before = self._now if now - self._since < 2 * self._span else set()
            self._now, self._since = set(), now
