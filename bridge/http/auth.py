"""Who asks: an API key in `Authorization: Bearer`, `X-API-Key` or, for EnOS clients, the query's `accessKey`."""

from __future__ import annotations

from aiohttp import web

from bridge.core.principal import ANONYMOUS, Principal
from bridge.http.errors import Handler, problem
from bridge.http.table import PRINCIPAL, SERVICES

OPEN = frozenset({"/healthz", "/readyz"})
"""Routes that need no key: probes have none."""
TSDB = "/tsdb-service/"
MAX_KEY = 512
"""Characters of a key that are looked at; ours have 43."""


@web.middleware
async def auth(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find the principal, or answer 401. The EnOS routes say in their own words that a key is wrong."""
    principal = await identify(request)
    if principal is None and request.path not in OPEN and not request.path.startswith(TSDB):
        return problem(401, "unauthorised", "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
    if principal is not None or request.path in OPEN:
        request[PRINCIPAL] = principal or NOBODY
    return await handler(request)


async def authorise(request: web.Request) -> Principal | None:
    """The principal of a request that `auth` has let through; what the cloud room is given."""
    return request.get(PRINCIPAL)


async def identify(request: web.Request) -> Principal | None:
    """The principal of the key that the request carries; ANONYMOUS where everybody may come in; else None."""
    services = request.app[SERVICES]
    key = presented_key(request)
    principal = await services.registry.authenticate_key(key) if key and len(key) <= MAX_KEY else None
    if principal is None and services.allow_anonymous:
        return ANONYMOUS
    return principal


def presented_key(request: web.Request) -> str | None:
    """The key as sent, or None."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    if "X-API-Key" in request.headers:
        return request.headers["X-API-Key"]
    return request.query.get("accessKey") if request.path.startswith(TSDB) else None


NOBODY = Principal("anonymous", "nobody", frozenset())
"""Who asks an open route without a key."""
