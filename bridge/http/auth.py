"""Who asks: API key -> principal. How a request carries its key is known in the cloud room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.core.attempts import Attempts
from bridge.core.principal import ANONYMOUS, Principal
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.errors import Exhausted
from bridge.http.door import peer_of

MAX_KEY = 512
"""Characters of a key that are looked at; ours have 43."""

Authorise = Callable[[web.Request, str | None], Awaitable[Principal | None]]
"""(request, the key that it carries) -> its principal, or None: not let in."""


REFUSED = "ems_bridge_http_refused"


def authoriser(
    registry: Registry, allow_anonymous: bool, attempts: Attempts | None = None, counts: Counts | None = None
) -> Authorise:
    """Looks keys up in the registry; without a good one everybody is ANONYMOUS where that is allowed. Raises Exhausted for who
    has shown too many wrong keys, and shows another one."""

    async def look_up(host: str, key: str) -> Principal | None:
        if attempts is None or allow_anonymous:
            return await registry.authenticate_key(key)
        if attempts.banned(host, None):  # good keys open still, wrong ones cost nothing
            known = registry.known_key(key)
            if known is None:
                _count(counts, "banned")
                raise Exhausted("too_many_failures", "too many wrong keys came from this address; try again later")
            return known
        found = await registry.authenticate_key(key)
        if found is None:
            _count(counts, "wrong_key")
            attempts.failed(host, None)
        return found

    async def authorise(request: web.Request, key: str | None) -> Principal | None:
        host = peer_of(request).host
        principal = await look_up(host, key) if key and len(key) <= MAX_KEY else None
        return ANONYMOUS if principal is None and allow_anonymous else principal

    return authorise


def may_read(registry: Registry, principal: Principal, uid: str | None) -> bool:
    """Whether `principal` may see what belongs to device `uid`; what belongs to none is for unrestricted accounts."""
    if principal.grants is None:
        return True
    device = registry.device(uid) if uid else None
    return device is not None and registry.may_touch(principal, device)


def _count(counts: Counts | None, cause: str) -> None:
    if counts is not None:
        counts.add(REFUSED, (("cause", cause),))
