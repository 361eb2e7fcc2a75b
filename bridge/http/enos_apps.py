"""Applications of EnOS: who has signed a call of the tsdb-service, and tokens (docs/enos.md). Secrets are compared in
constant time, and nothing that a request shows is logged."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from aiohttp import web

from bridge.cloud.enos import BAD_REQUEST, DENIED, SIGNATURE, TEXT_KEY, UNAUTHORIZED, EnosError
from bridge.core.attempts import Attempts
from bridge.core.peer import is_local
from bridge.core.principal import Principal
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.errors import Exhausted
from bridge.http import enos_poseidon as poseidon
from bridge.http.auth import REFUSED
from bridge.http.door import peer_of
from bridge.http.enos_signing import App, Query, Seen, legacy_signature, name_of, read_token, same, signature, token
from bridge.quiet import Quiet

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

log = logging.getLogger(__name__)

TOKEN, TIMESTAMP, SIGNED = "apim-accesstoken", "apim-timestamp", "apim-signature"
TEXT_UNSIGNED: Final = "the request is not signed"
TEXT_TOKEN: Final = "the accessToken is not valid"  # noqa: S105
TEXT_EXPIRED: Final = "the accessToken has expired"
TEXT_CLOCK: Final = "the timestamp is too far from the time here"
TEXT_SIGNATURE: Final = "the signature is wrong"
TEXT_REPLAYED: Final = "the signature was used before"
TEXT_ACCOUNT: Final = "the application's account is not there"
MAX_DIGITS: Final = 20

Unverified = Literal["off", "loopback", "anywhere"]


class Settings(NamedTuple):
    """The [enos] section. `unverified`: from where the vendor's client may come under the vendor's own key."""

    apps: tuple[App, ...] = ()
    token_s: int = 7_200
    clock_s: float = 300.0
    private_key: RSAPrivateKey | None = None
    unverified: Unverified = "off"


class Enos:
    """The applications of one bridge. `clock` gives ms."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        attempts: Attempts,
        counts: Counts,
        clock: Callable[[], int] = lambda: int(time() * 1000),
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._registry = registry
        self._attempts = attempts
        self._counts = counts
        self._quiet = Quiet(log)
        self._apps = {app.key: app for app in settings.apps}
        self._names = {name_of(app.key): app for app in settings.apps}
        self._clock_ms = int(settings.clock_s * 1000)
        self._seen = Seen(2 * self._clock_ms)
        self._tokens: dict[str, tuple[str, int]] = {}

    async def principal(self, request: web.Request, query: Query, body: bytes, access: str) -> Principal | None:
        """Who has signed a call: the account of the application; None for a call that no application could have made, so that
        a key is asked for. Raises EnosError, and Exhausted for who has guessed too often."""
        header, app = request.headers.get(TOKEN, "").strip(), self._apps.get(access)
        signs = "sign" in query
        if not self._apps or (access and app is None) or (not header and not signs and app is None):
            return None
        host = peer_of(request).host
        if header and (SIGNED in request.headers or not poseidon.looks_like_one(header)):
            app = self._by_token(request, header, query, body, host)
        elif header:
            app = await self._by_poseidon(header, host, app)
        elif signs and app is not None:
            self._by_legacy(app, query, body, host)
        else:
            raise EnosError(UNAUTHORIZED, TEXT_UNSIGNED)
        if access and access != app.key:
            raise EnosError(BAD_REQUEST, TEXT_KEY)
        self._attempts.succeeded(host, f"app {app.key}")
        return await self._account(app)

    # Tokens.

    def app(self, key: str) -> App | None:
        """The application of that appKey."""
        return self._apps.get(key)

    def issue(self, app: App, fresh: bool = False) -> tuple[str, int]:
        """A token and the seconds that it holds: the one before, unless it has expired or has to be `fresh`."""
        now = self.clock()
        text, expires_at = self._tokens.get(app.key, ("", 0))
        if fresh or expires_at < now + 1_000:
            expires_at = now + self.settings.token_s * 1_000
            text = token(app, expires_at)
            self._tokens[app.key] = text, expires_at
        return text, (expires_at - now) // 1_000

    def read(self, text: str) -> tuple[App, int] | None:
        """Whose token it is, and when it expires or did; None for one that was not made here."""
        return read_token(text, self._names)

    # What every way of signing has in common.

    def refuse(self, host: str, key: str = "") -> None:
        """Count something wrong, perhaps of the application with that appKey; what is right opens all the same. Raises
        Exhausted for who has shown too much of it."""
        self._quiet.warn("wrong_signature", "HTTP refused: %s, from %s", "wrong_signature", host)
        self._counts.add(REFUSED, (("cause", "wrong_signature"),))
        name = f"app {key}" if key else None
        self._attempts.failed(host, name)
        if self._attempts.banned(host, name):
            raise Exhausted("too_many_failures", "too many failures came from this address; try again later")

    def near(self, timestamp: str) -> bool:
        """Whether a time in ms is that of a clock that goes about right."""
        digits = timestamp if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < MAX_DIGITS else "0"
        return abs(int(digits) - self.clock()) <= self._clock_ms

    def first(self, what: str) -> bool:
        """Whether it was never signed before. Raises Exhausted when there is no more room to remember it."""
        now = self.clock()
        if self._seen.full(now):
            raise Exhausted("too_many_requests", "too many signed requests; try again later")
        return self._seen.add(what, now)

    async def _account(self, app: App) -> Principal:
        found = self._registry.find("account", app.account)
        if found is None:
            await self._registry.refresh()
            found = self._registry.find("account", app.account)
        if found is None:
            raise EnosError(DENIED, TEXT_ACCOUNT)
        return found

    # The ways.

    def _by_token(self, request: web.Request, text: str, query: Query, body: bytes, host: str) -> App:
        found = self.read(text)
        if found is None:
            self.refuse(host)
            raise EnosError(UNAUTHORIZED, TEXT_TOKEN)
        app, expires_at = found
        if expires_at <= self.clock():
            raise EnosError(UNAUTHORIZED, TEXT_EXPIRED)
        timestamp, shown = (request.headers.get(name, "").strip() for name in (TIMESTAMP, SIGNED))
        self._signed(app, shown, signature(text, query, body, timestamp, app.secret), timestamp, host)
        return app

    def _by_legacy(self, app: App, query: Query, body: bytes, host: str) -> None:
        shown, timestamp = (next(iter(query.get(name, ())), "") for name in ("sign", "requestTimestamp"))
        self._signed(app, shown, legacy_signature(app.key, query, body, app.secret), timestamp, host)

    def _signed(self, app: App, shown: str, right: str, timestamp: str, host: str) -> None:
        if not same(shown, right):
            self.refuse(host, app.key)
            raise EnosError(SIGNATURE, TEXT_SIGNATURE)
        if not self.near(timestamp):
            raise EnosError(SIGNATURE, TEXT_CLOCK)
        if not self.first(shown):
            raise EnosError(SIGNATURE, TEXT_REPLAYED)

    async def _by_poseidon(self, header: str, host: str, named: App | None) -> App:
        key = self.settings.private_key
        shown = None if key is None else await asyncio.to_thread(poseidon.decrypt, key, header)
        if shown is None:
            if named is not None and self._lets_in(host) and poseidon.looks_like_one(header, poseidon.VENDORS_LENGTH):
                return named
            self.refuse(host, named.key if named is not None else "")
            raise EnosError(UNAUTHORIZED, TEXT_TOKEN)
        app = self._apps.get(shown.key)
        right = app is not None and same(shown.secret, app.secret)
        if app is None or not right or shown.pin != poseidon.pin_of(app.key, app.secret):
            self.refuse(host, shown.key)
            raise EnosError(UNAUTHORIZED, TEXT_TOKEN)
        if not self.first(b64decode(header).hex()):  # base64 has several spellings of the same bytes
            raise EnosError(SIGNATURE, TEXT_REPLAYED)
        if await asyncio.to_thread(poseidon.made_at, shown, self.clock(), self._clock_ms) is None:
            raise EnosError(SIGNATURE, TEXT_CLOCK)
        return app

    def _lets_in(self, host: str) -> bool:
        return self.settings.unverified == "anywhere" or (self.settings.unverified == "loopback" and is_local(host))
