"""Belimo Cloud's Client API v3: who asks, its errors, its collections and its times (docs/belimo.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from bridge.core.principal import Principal
from bridge.errors import Conflict, Denied, Exhausted, NotFound, Refused, StoreError, Unprocessable
from bridge.http.belimo_shapes import BelimoFailure, BelimoFault, Paged, TokenFailure
from bridge.http.errors import CODES, STARTED, Handler, logged
from bridge.http.table import RECEIVING, Call, Dialect, NoQuery, Route, json

PLACES: Final = ("/api/v3/", "/oauth/")
BASE: Final = "/api/v3"
READ, WRITE, PROFILES = "public.read", "public.write", "read:dataprofile"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 and 9999, ms."""


class TooFast(Refused):
    """More requests than [belimo] data_rate."""


def errors(status: int, code: str, message: str) -> web.Response:
    """What goes wrong in this API, except who asks."""
    return json(BelimoFailure([BelimoFault(code, message)]), status)


async def who(request: web.Request, key: str | None) -> Principal | None:
    """The bearer of an access token, as far as its scope goes, or of an API key. Raises Denied and Exhausted."""
    receiving = request.app[RECEIVING]
    tokens = receiving.belimo.tokens
    token = tokens.find(key) if key else None
    if token is None or token.sort != "access":
        return None if token is not None else await receiving.authorise(request, key)
    principal = tokens.good(token)
    if principal is not None:
        _check_scope(request, frozenset(token.scope.split()))
    return principal


def _check_scope(request: web.Request, scope: frozenset[str]) -> None:
    """Reading takes public.read or public.write, definitions read:dataprofile too; all else takes public.write. Asking for a
    change stream is reading."""
    wanted = {WRITE}
    if request.method in ("GET", "HEAD") or request.path.endswith("/change-stream"):
        wanted = {READ, WRITE, PROFILES} if request.path.startswith(f"{BASE}/definitions/") else {READ, WRITE}
    if not wanted & scope:
        raise Denied("insufficient_scope", f"the token's scope has none of {', '.join(sorted(wanted))}")


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except Refused as refused:
        return _refusal(refused)
    if response.status == HTTPStatus.UNAUTHORIZED:
        return unauthorized()
    return response


def unauthorized() -> web.Response:
    """What clients take as the sign to log in again."""
    body = TokenFailure("invalid_token", "the access token is missing, expired or wrong")
    return json(body, 401, {"WWW-Authenticate": 'Bearer realm="ems-bridge", error="invalid_token"'})


def _refusal(refused: Refused) -> web.Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(refused, kind)), CODES.get(refused.code, 400))
    where = f"{refused.path}: " if refused.path else ""
    response = errors(status, refused.code, where + refused.detail)
    if refused.code in CODES:
        response.force_close()  # what follows of the body is not read
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers["Retry-After"] = "1"
    return response


_STATUS: Final[dict[type[Refused], int]] = {
    NotFound: 404, Denied: 403, Exhausted: 429, TooFast: 429, Conflict: 409, Unprocessable: 400,
}  # fmt: skip


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What goes wrong under /api/v3 and /oauth before it comes to a route, or in one unexpectedly, is said in its words too."""
    if not request.path.startswith(PLACES):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        response = errors(error.status, HTTPStatus(error.status).name.lower(), error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except (StoreError, sqlite3.Error) as error:
        if request.get(STARTED) is not None:
            raise
        response = errors(503, "unavailable", f"the store cannot be used at the moment ({logged(request, error)})")
        response.headers["Retry-After"] = "5"
        return response


DIALECT: Final = Dialect(
    _answer,
    loose=False,
    common={
        400: (BelimoFailure, "a parameter or the body makes no sense"),
        401: (TokenFailure, "no access token, or one that holds no more"),
        403: (BelimoFailure, "the token's scope does not reach so far"),
        413: (BelimoFailure, "the body is too large"),
        429: (BelimoFailure, "too many requests, or wrong keys"),
        503: (BelimoFailure, "the store cannot be used at the moment"),
    },
    ignoring=True,
    who=who,
)


MISSING: Final = {404: (BelimoFailure, "there is none that you may see")}


def get(path: str, handler: Any, text: str, shape: Any, query: Any = NoQuery, more: Any = None) -> Route:
    """A row of the table for a GET."""
    answers = {200: (shape, "as Belimo's document has it"), **(more or {})}
    return Route("GET", BASE + path, handler, text, answers, query, tag="belimo", dialect=DIALECT)


def spend(call: Call) -> None:
    """Count a request for device data. Raises TooFast."""
    if not call.receiving.belimo.rate.spend(call.principal.name):
        raise TooFast("rate_limit", "too many requests for device data; see [belimo] data_rate")


def collection(
    items: Sequence[Any], asked: Paged, by: str, total: int | None = None, only: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A page as every collection answers it. `items` are all of them, or the page itself where `total` says how many
    there are."""
    page = items[asked.offset : asked.offset + asked.limit] if total is None else items
    found = {
        "data": list(page),
        "paging": {"total": len(items) if total is None else total, "offset": asked.offset, "limit": asked.limit},
        "sorting": {"field": by, "direction": asked.sortDirection},
    }
    given = {name: value for name, value in (only or {}).items() if value is not None}
    return {**found, "filter": given} if only is not None else found


def ordered(items: Iterable[Any], key: Callable[[Any], Any], asked: Paged) -> list[Any]:
    """Sorted; what has no value comes last, in either direction."""
    with_key = [(key(item), item) for item in items]
    known = sorted((each for each in with_key if each[0] is not None), key=lambda each: each[0])
    if asked.sortDirection == "DESC":
        known.reverse()
    return [item for _, item in known] + [item for value, item in with_key if value is None]


def moment(text: str | None, name: str) -> int | None:
    """Epoch ms of a query parameter: ISO 8601, without an offset in UTC, or epoch milliseconds. Raises Unprocessable."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return min(int(text), LATEST)
    for spelling in (text, "+".join(text.rsplit(" ", 1))):  # an unescaped + arrives as a space
        try:
            when = datetime.fromisoformat(spelling)
        except ValueError:
            continue
        when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
        return max(EARLIEST, min(LATEST, (when - EPOCH) // timedelta(milliseconds=1)))
    wanted = "ISO 8601, such as 2017-12-01T00:00:00Z, or epoch milliseconds"
    raise Unprocessable("invalid", f"{text[:40]!r} is no time: {wanted}", f"?{name}")


def iso(at: int, exact: bool = False) -> str:
    """UTC as Belimo writes it: seconds, or with `exact` milliseconds."""
    when = EPOCH + timedelta(milliseconds=max(EARLIEST, min(LATEST, at)))
    return when.replace(tzinfo=None).isoformat(timespec="milliseconds" if exact else "seconds") + "Z"


def reply(value: Any, headers: dict[str, str] | None = None) -> web.Response:
    """200 with JSON."""
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", headers=headers)
