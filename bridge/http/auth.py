"""Who asks: API key -> principal. How a request carries its key is known in the cloud room."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.core.attempts import Attempts
from bridge.core.principal import ANONYMOUS, Principal
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.errors import Exhausted
from bridge.http.door import peer_of
from bridge.quiet import Quiet

log = logging.getLogger(__name__)

MAX_KEY = 512
"""Characters of a key that are looked at; ours have 43."""

Authorise = Callable[[web.Request, str | None], Awaitable[Principal | None]]
"""(request, the key that it carries) -> its principal, or None: not let in."""

REFUSED = "ems_bridge_http_refused"
BANS = "ems_bridge_bans"


def authoriser(
    registry: Registry, allow_anonymous: bool, attempts: Attempts | None = None, counts: Counts | None = None
) -> Authorise:
    """Looks keys up in the registry; without a good one everybody is ANONYMOUS where that is allowed. Raises Exhausted for who
    has shown too many wrong keys, and shows another one. Make it once: it keeps count of what it does not log."""
    quiet = Quiet(log)

    def refuse(cause: str, host: str) -> None:
        quiet.warn(cause, "HTTP refused: %s, from %s", cause, host)
        if counts is not None:
            counts.add(REFUSED, (("cause", cause),))

    async def look_up(host: str, key: str) -> Principal | None:
        if attempts is None or allow_anonymous:
            return await registry.authenticate_key(key)
        if attempts.banned(host, None):  # good keys open still, wrong ones cost nothing
            known = registry.known_key(key)
            if known is None:
                refuse("banned", host)
                raise Exhausted("too_many_failures", "too many wrong keys came from this address; try again later")
            return known
        found = await registry.authenticate_key(key)
        if found is None:
            refuse("wrong_key", host)
            if attempts.failed(host, None):
                quiet.warn(
                    "ban", "too many wrong keys, banned for a while: %s, for who has not logged in from there", host
                )
                if counts is not None:
                    counts.add(BANS, (("scope", "address"),))
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
