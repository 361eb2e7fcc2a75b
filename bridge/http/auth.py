"""Who asks: API key -> principal. How a request carries its key is known in the cloud room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from bridge.core.principal import ANONYMOUS, Principal
from bridge.core.registry import Registry

MAX_KEY = 512
"""Characters of a key that are looked at; ours have 43."""

Authorise = Callable[[web.Request, str | None], Awaitable[Principal | None]]
"""(request, the key that it carries) -> its principal, or None: not let in."""


def authoriser(registry: Registry, allow_anonymous: bool) -> Authorise:
    """Looks keys up in the registry; without a good one everybody is ANONYMOUS where that is allowed."""

    async def authorise(_request: web.Request, key: str | None) -> Principal | None:
        principal = await registry.authenticate_key(key) if key and len(key) <= MAX_KEY else None
        return ANONYMOUS if principal is None and allow_anonymous else principal

    return authorise


def may_read(registry: Registry, principal: Principal, uid: str | None) -> bool:
    """Whether `principal` may see what belongs to device `uid`; what belongs to none is for unrestricted accounts."""
    if principal.grants is None:
        return True
    device = registry.device(uid) if uid else None
    return device is not None and registry.may_touch(principal, device)
