"""EnOS's token service: /apim-token-service/v2.0/token/get and …/refresh (http_apis.md A.4, docs/enos.md)."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from bridge.cloud.body import TooLarge, error, read
from bridge.cloud.enos_routes import of_body
from bridge.errors import Exhausted, Refused, StoreError
from bridge.http.door import peer_of
from bridge.http.enos_apps import Enos
from bridge.http.enos_signing import App, encryption, same
from bridge.http.table import RECEIVING, Route

log = logging.getLogger(__name__)

BASE: Final = "/apim-token-service/v2.0/token"
BODY_BYTES: Final = 64 << 10
BUSINESS: Final = "apim-token-service"
OK, TOO_MANY, REPEATED, UNKNOWN, WRONG, BAD, INTERNAL, NULL, EXPIRED, NOT_REFRESHED = (
    *(0, 429), *(1001, 1002, 1003, 1004, 1005), *(1202, 1203, 1204),
)  # fmt: skip
NOT_KEPT: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Failed(Exception):
    """A request that gets this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def add_routes(app: web.Application) -> None:
    """Put both into `app`."""
    app.router.add_post(f"{BASE}/get", _handler(_get))
    app.router.add_post(f"{BASE}/refresh", _handler(_refresh))


def _handler(
    issued: Callable[[web.Request, Enos], Awaitable[tuple[str, int]]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            token, seconds = await issued(request, request.app[RECEIVING].enos)
        except Failed as failed:
            return _said(failed.status, failed.text)
        except TooLarge as refused:
            return error(413, refused)
        except Exhausted as refused:
            return _said(TOO_MANY, refused.detail)
        except Refused as refused:
            return _said(BAD, refused.detail)
        except (StoreError, sqlite3.Error):
            log.exception("a token could not be given")
            return _said(INTERNAL, "the ledger cannot be read at the moment")
        return _said(OK, "SUCCESS", {"accessToken": token, "expire": seconds})

    return handle


async def _get(request: web.Request, enos: Enos) -> tuple[str, int]:
    app, _ = await _authentic(request, enos, ("appKey", "encryption", "timestamp"))
    return enos.issue(app)


async def _refresh(request: web.Request, enos: Enos) -> tuple[str, int]:
    app, fields = await _authentic(request, enos, ("appKey", "encryption", "timestamp", "accessToken"))
    found = enos.read(fields["accessToken"])
    if found is None or found[0] != app:
        raise Failed(NOT_REFRESHED, "the accessToken is not one of this appKey")
    if found[1] <= enos.clock():
        raise Failed(EXPIRED, "the accessToken has expired")
    return enos.issue(app, fresh=True)


async def _authentic(request: web.Request, enos: Enos, names: tuple[str, ...]) -> tuple[App, dict[str, str]]:
    """Who asks, and what. Raises Failed, Refused."""
    params = of_body(request, await read(request, BODY_BYTES))
    fields = {name: next(iter(params.get(name, ())), "").strip() for name in names}
    empty = next((name for name, value in fields.items() if not value), None)
    if empty is not None:
        raise Failed(NULL, f"{empty} is null")
    key, shown, timestamp = (fields[name] for name in ("appKey", "encryption", "timestamp"))
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise Failed(BAD, "timestamp is not a time in milliseconds")
    app, host = enos.app(key), peer_of(request).host
    if app is None:
        enos.refuse(host)
        raise Failed(UNKNOWN, "the appKey is unknown")
    if not same(shown, encryption(app.key, timestamp, app.secret)):
        enos.refuse(host, app.key)
        raise Failed(WRONG, "the encryption is wrong")
    if not enos.near(timestamp):
        raise Failed(BAD, "timestamp is too far from the time here")
    if not enos.first(shown):
        raise Failed(REPEATED, "the encryption was used before")
    return app, fields


def _said(status: int, text: str, data: Any = None) -> web.Response:
    """HTTP is 200 whatever the status."""
    said = {"status": status, "msg": text, "business": BUSINESS, "data": data}
    return web.Response(
        body=msgspec.json.encode(said), content_type="application/json", charset="utf-8", headers=NOT_KEPT
    )


class TokenAsked(Struct, frozen=True):
    """What asks for a token."""

    appKey: str  # noqa: N815 - EnOS's names
    encryption: Annotated[str, Meta(description="lowercase hex of SHA-256(appKey + timestamp + appSecret)")]
    timestamp: Annotated[int | str, Meta(description="ms")]


class RefreshAsked(TokenAsked, frozen=True):
    """What asks for a fresh one."""

    accessToken: str  # noqa: N815


_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["status", "msg", "business", "data"],
    "properties": {
        "status": {"enum": [OK, TOO_MANY, REPEATED, UNKNOWN, WRONG, BAD, INTERNAL, NULL, EXPIRED, NOT_REFRESHED]},
        "msg": {"type": "string"},
        "business": {"const": BUSINESS},
        "data": {
            "type": ["object", "null"],
            "required": ["accessToken", "expire"],
            "properties": {"accessToken": {"type": "string"}, "expire": {"type": "integer", "description": "seconds"}},
        },
    },
}


def _row(name: str, text: str, body: type[Struct]) -> Route:
    schema = msgspec.json.schema(body)["$defs"][body.__name__]
    answers: dict[int, tuple[Any, str]] = {200: (_ANSWER, "status 0 is success"), 413: (None, "the body is too large")}
    return Route(
        "POST", f"{BASE}/{name}", None, text, answers, body={"application/json": schema}, open=True, tag="enos"
    )


ROUTES = (
    _row("get", "A token of an application, the same until it expires", TokenAsked),
    _row("refresh", "A fresh token for one that has not expired", RefreshAsked),
)
"""Rows of these routes, for the OpenAPI document."""
