"""A route is one row: what it takes, what it gives, what it is for. Serving and the OpenAPI document both follow the row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from bridge.cloud.body import read
from bridge.cloud.routes import key_of
from bridge.core.principal import Principal
from bridge.errors import Exhausted
from bridge.http.auth import REFUSED
from bridge.http.bodies import convert, decode, decode_loosely, lacks, query, take_parameters
from bridge.http.errors import Handler, problem
from bridge.http.services import Receiving, Services

RECEIVING = web.AppKey("receiving", Receiving)
SERVICES = web.AppKey("services", Services)
"""The same object, in an application that serves a whole bridge."""

NOBODY = Principal("anonymous", "nobody", frozenset())
"""Who asks an open route without a key."""

S = TypeVar("S", bound=msgspec.Struct)


class Call:
    """One request on its way through a route: who asks, with which typed query and body."""

    __slots__ = ("_body", "_query", "principal", "receiving", "request")

    def __init__(self, request: web.Request, principal: Principal, values: Any, body: Any) -> None:
        self.request = request
        self.receiving = request.app[RECEIVING]
        self.principal = principal
        self._query = values
        self._body = body

    @property
    def services(self) -> Services:
        """For the routes of a whole bridge."""
        return self.request.app[SERVICES]

    def query(self, kind: type[S]) -> S:
        """The query string, which the row declares as `kind`."""
        assert isinstance(self._query, kind)  # noqa: S101 - the row and the handler are one idea in two places
        return self._query

    def body(self, kind: type[S]) -> S:
        """The body, which the row declares as `kind`."""
        assert isinstance(self._body, kind)  # noqa: S101
        return self._body

    def path(self, name: str) -> str:
        """A variable part of the path."""
        return self.request.match_info[name]


Answer = msgspec.Struct | web.StreamResponse


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A route without query parameters."""


class Dialect(NamedTuple):
    """How an API that is not ours says what ours says. `answer(request, handler)` calls the handler and turns what it gives or
    raises; `loose` takes - and _ in query parameters for each other, parameters that stand in the body, null for absent and
    30.0 for 30; `common` are the answers of every route of it; `ignoring` lets unknown query parameters and keys of bodies pass;
    `who(call's request, key it carries)` says who asks where that is not the bearer of an API key alone."""

    answer: Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]
    loose: bool
    common: dict[int, tuple[Any, str]]
    ignoring: bool = False
    who: Callable[[web.Request, str | None], Awaitable[Principal | None]] | None = None


class Route(NamedTuple):
    """One row. `answers` maps a status to (the Struct or media type of its body, what it means)."""

    method: str
    path: str
    handler: Callable[[Call], Awaitable[Answer]] | None
    """None: the cloud room serves it, the row only describes it."""
    summary: str
    answers: dict[int, tuple[Any, str]]
    query: type[msgspec.Struct] = NoQuery
    body: Any = None
    """The Struct of its body; of a route that reads it by itself, or is only described, media type -> schema."""
    headers: Mapping[str, tuple[dict[str, Any], str]] = MappingProxyType({})
    """Name of a request header -> (its schema, what it is for)."""
    key_in_query: str = ""
    """The query parameter that may hold the key instead of a header. Such a route answers all errors in its own way."""
    optional_body: bool = False
    open: bool = False
    """Whether it needs no key."""
    quality: bool = False
    """Whether an answer may say how good its data are (bridge/cloud/quality.py)."""
    tag: str = "bridge"
    dialect: Dialect | None = None


def serve(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a row that has one."""
    answering, dialect = route.handler, route.dialect
    assert answering is not None  # noqa: S101 - rows without one are not served here
    typed = _loosely if dialect is not None and dialect.loose else _strictly

    async def handle(request: web.Request) -> web.StreamResponse:
        receiving = request.app[RECEIVING]
        principal = await _principal(request, receiving, route)
        if principal is None and not route.open:
            receiving.counts.add(REFUSED, (("cause", "unauthorized"),))
            return problem(401, "unauthorized", "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
        values, body = await typed(request, route, receiving.limits.max_body_bytes)
        answer = await answering(Call(request, principal or NOBODY, values, body))
        return json(answer) if isinstance(answer, msgspec.Struct) else answer

    if dialect is None:
        return handle
    spoken = dialect.answer

    async def speak(request: web.Request) -> web.StreamResponse:
        return await spoken(request, handle)

    return speak


async def _strictly(request: web.Request, route: Route, limit: int) -> tuple[Any, Any]:
    ignoring = route.dialect is not None and route.dialect.ignoring
    values = query(request, route.query, ignoring=ignoring)
    by_itself = route.body is None or isinstance(route.body, dict)
    return values, None if by_itself else decode(await read(request, limit), route.body)


async def _loosely(request: web.Request, route: Route, limit: int) -> tuple[Any, Any]:
    body, elsewhere = None, request.can_read_body and lacks(request, route.query)
    if route.body is not None or elsewhere:
        body = decode_loosely(await read(request, limit))
    values = query(request, route.query, True, take_parameters(body, route.query, route.body))
    return values, None if route.body is None else convert(body, route.body)


async def _principal(request: web.Request, receiving: Receiving, route: Route) -> Principal | None:
    who = receiving.authorise if route.dialect is None else route.dialect.who or receiving.authorise
    try:
        return await who(request, key_of(request))
    except Exhausted:
        if route.open:
            return None
        raise


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
