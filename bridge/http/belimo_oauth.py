"""/oauth/token and /oauth/authorize: from HTTP to oauthlib and back, with the bridge's accounts as users (docs/belimo.md)."""

from __future__ import annotations

import html
import logging
import sqlite3
from base64 import b64decode
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote_plus, urlencode

import msgspec
from aiohttp import web
from msgspec import Struct
from oauthlib.oauth2 import FatalClientError, OAuth2Error

from bridge.cloud.body import read
from bridge.core.attempts import Attempts
from bridge.core.registry import Account
from bridge.errors import Exhausted, Refused, StoreError
from bridge.http.auth import REFUSED
from bridge.http.belimo_grants import Asking, Clients
from bridge.http.belimo_shapes import TokenFailure
from bridge.http.door import peer_of
from bridge.http.errors import CODES
from bridge.http.services import Receiving
from bridge.http.table import RECEIVING, Route

log = logging.getLogger(__name__)

TOKEN, AUTHORIZE = "/oauth/token", "/oauth/authorize"
BODY_BYTES: Final = 64 << 10
MAX_FIELDS: Final = 100
HERE: Final = "https://bridge.invalid"
"""oauthlib wants a whole address; nothing is read from its host."""
NOT_KEPT: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>EMS bridge</title><style>body{{font:16px system-ui;max-width:22em;margin:4em auto;padding:0 1em}}
input,button{{font:inherit;display:block;width:100%;box-sizing:border-box;margin:.3em 0 1em;padding:.5em}}</style>
<h1>Log in</h1><p><b>{client}</b> asks for: {scope}</p><p role="alert">{trouble}</p>
<form method="post"><label>Account<input name="username" autocomplete="username" required autofocus></label>
<label>Password or key<input name="password" type="password" autocomplete="current-password" required></label>
<button>Allow</button></form></html>"""


def add_routes(app: web.Application) -> None:
    """Put both into `app`."""
    app.router.add_post(TOKEN, token)
    app.router.add_get(AUTHORIZE, authorize)
    app.router.add_post(AUTHORIZE, allow)


async def token(request: web.Request) -> web.Response:
    """POST /oauth/token"""
    try:
        return await _token(request)
    except Exhausted as error:
        return _error(429, "access_denied", error.detail)
    except Refused as refused:
        response = _error(CODES.get(refused.code, 400), "invalid_request", refused.detail)
        if refused.code in CODES:
            response.force_close()
        return response
    except (StoreError, sqlite3.Error):
        log.exception("a token could not be stored")
        return _error(503, "temporarily_unavailable", "the ledger cannot be written at the moment")


async def _token(request: web.Request) -> web.Response:
    receiving, belimo = request.app[RECEIVING], request.app[RECEIVING].belimo
    text, fields = await _form(request)
    shown = _basic(request)
    if not any(belimo.clients.find(name) for name, _ in shown or [(fields.get("client_id", ""), "")]):
        await receiving.registry.refresh()
    basic = _fitting(belimo.clients, shown) if shown else None
    name = basic[0] if basic is not None else fields.get("client_id", "")
    host = peer_of(request).host
    if receiving.attempts.banned(host, f"client {name}"):
        raise Exhausted("too_many_failures", "too many failures came from this address; try again later")
    user = None
    if fields.get("grant_type") == "password":
        user = await logged_in(receiving, host, fields.get("username", ""), fields.get("password", ""))
    asking = Asking(belimo.tokens, belimo.clients, belimo.settings.lifetimes, user, basic)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        _, body, status = asking.server.create_token_response(HERE + TOKEN, "POST", text, headers)
    except (OAuth2Error, ValueError) as error:
        if not isinstance(error, OAuth2Error):
            return _error(400, "invalid_request", "the request is no form")
        body, status = error.json, error.status_code
    if asking.wrong_client:
        receiving.attempts.failed(host, f"client {name}")
        receiving.counts.add(REFUSED, (("cause", "wrong_client"),))
    elif status == HTTPStatus.OK:
        receiving.attempts.succeeded(host, f"client {name}")
    if asking.put or asking.gone:
        await belimo.tokens.change(asking.put, asking.gone)
    response = web.Response(status=status, text=body, content_type="application/json", headers=NOT_KEPT)
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="ems-bridge"'
    return response


async def authorize(request: web.Request) -> web.Response:
    """GET /oauth/authorize: the login page."""
    return await _authorized(request, {})


async def allow(request: web.Request) -> web.Response:
    """POST /oauth/authorize: name and password of the page."""
    try:
        _, fields = await _form(request)
    except Refused as refused:
        return _page(CODES.get(refused.code, 400), "this page", "", refused.detail)
    return await _authorized(request, fields)


async def _authorized(request: web.Request, fields: dict[str, str]) -> web.Response:
    receiving, belimo = request.app[RECEIVING], request.app[RECEIVING].belimo
    uri = f"{HERE}{AUTHORIZE}?{request.rel_url.raw_query_string}"
    asking = Asking(belimo.tokens, belimo.clients, belimo.settings.lifetimes)
    try:
        scopes, info = asking.server.validate_authorization_request(uri)
    except FatalClientError as error:
        return _page(400, "nobody known", "", f"{error.error}: {error.description or 'it cannot be answered'}")
    except OAuth2Error as error:
        return _redirect(error.in_uri(error.redirect_uri))
    except ValueError:
        return _page(400, "nobody known", "", "invalid_request")
    client, scope = info["client_id"], " ".join(scopes)
    if not fields:
        return _page(200, client, scope, "")
    try:
        user = await logged_in(receiving, peer_of(request).host, fields.get("username", ""), fields.get("password", ""))
    except Exhausted as error:
        return _page(429, client, scope, error.detail)
    if user is None:
        return _page(403, client, scope, "Name or password is wrong.")
    asking = Asking(belimo.tokens, belimo.clients, belimo.settings.lifetimes, user)
    headers, _, _ = asking.server.create_authorization_response(uri, scopes=scopes)
    return _redirect(headers["Location"])


async def logged_in(receiving: Receiving, host: str, name: str, password: str) -> Account | None:
    """The account of that name, when the password is its own or its key; wrong ones count as at MQTT's door. Raises Exhausted."""
    attempts: Attempts = receiving.attempts
    if not name or not password:
        return None
    if attempts.banned(host, name):
        raise Exhausted("too_many_failures", "too many failed logins; try again later")
    found = await receiving.registry.authenticate(name, password)
    if found is None or found.kind != "account":
        attempts.failed(host, name)
        receiving.counts.add(REFUSED, (("cause", "wrong_password"),))
        return None
    attempts.succeeded(host, name)
    return receiving.registry.account(found.name)


async def _form(request: web.Request) -> tuple[str, dict[str, str]]:
    """The body as a form, also where it came as JSON; and its fields, the first of each name. Raises Refused."""
    body = await read(request, BODY_BYTES)
    text = body.decode("utf-8", "replace")
    if request.content_type == "application/json":
        try:
            given = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused("not_json", "the body is no JSON object") from error
        text = urlencode([(key, value) for key, value in given.items() if isinstance(value, str)], errors="replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError as error:
        raise Refused("too_many_parameters", f"more than {MAX_FIELDS} parameters") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return urlencode(pairs, errors="replace"), fields


def _basic(request: web.Request) -> list[tuple[str, str]]:
    """Client id and secret of the Authorization header, if there is one: as they stand, and form-decoded. The standard has them
    encoded, few clients do."""
    scheme, _, packed = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        name, _, secret = b64decode(packed.strip(), validate=True).decode().partition(":")
    except ValueError:
        return [("", "")]
    return [(name, secret), (unquote_plus(name), unquote_plus(secret))]


def _fitting(clients: Clients, shown: list[tuple[str, str]]) -> tuple[str, str]:
    """The reading of a header that is a client's, else the first."""
    for name, secret in shown:
        client = clients.find(name)
        if client is not None and clients.authentic(client, secret):
            return name, secret
    return shown[0]


def _error(status: int, error: str, description: str) -> web.Response:
    body = msgspec.json.encode({"error": error, "error_description": description})
    return web.Response(status=status, body=body, content_type="application/json", headers=NOT_KEPT)


def _redirect(uri: str) -> web.Response:
    return web.Response(status=302, headers={"Location": uri, "Referrer-Policy": "no-referrer", **NOT_KEPT})


def _page(status: int, client: str, scope: str, trouble: str) -> web.Response:
    text = PAGE.format(client=html.escape(client), scope=html.escape(scope or "nothing"), trouble=html.escape(trouble))
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        "Referrer-Policy": "no-referrer",
        **NOT_KEPT,
    }
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


_TOKEN_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"enum": ["password", "refresh_token", "client_credentials", "authorization_code"]},
        **{
            name: {"type": "string"}
            for name in (
                *("client_id", "client_secret", "username", "password", "refresh_token"),
                *("code", "code_verifier", "redirect_uri", "scope", "audience"),
            )
        },
    },
}
_TOKEN_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        **{name: {"type": "string"} for name in ("access_token", "refresh_token", "scope")},
        "token_type": {"const": "Bearer"},
        "expires_in": {"type": "integer", "minimum": 1},
    },
}


class Asked(Struct, frozen=True):
    """GET and POST /oauth/authorize"""

    response_type: Literal["code"]
    client_id: str
    redirect_uri: str | None = None
    scope: str | None = None
    state: str | None = None
    code_challenge: str | None = None
    code_challenge_method: Literal["S256"] | None = None


def _page_row(method: str, text: str, **more: Any) -> Route:
    answers: dict[int, tuple[Any, str]] = {
        200: ("text/html", "the login page"),
        302: ("text/plain", "back to the client, with a code or an error"),
        400: ("text/html", "client or redirect_uri are not known"),
        403: ("text/html", "name or password is wrong"),
        413: ("text/html", "the body is too large"),
        429: ("text/html", "too many failed logins"),
    }
    return Route(method, AUTHORIZE, None, text, answers, Asked, open=True, tag="belimo", **more)


ROUTES = (
    Route(
        "POST",
        TOKEN,
        None,
        "OAuth2 tokens; the client is named in the form or by HTTP Basic",
        {
            200: (_TOKEN_ANSWER, "the tokens"),
            **{
                status: (TokenFailure, text)
                for status, text in {
                    400: "RFC 6749, 5.2",
                    401: "the client's id or secret is wrong",
                    408: "the body did not come in time",
                    413: "the body is too large",
                    415: "a Content-Encoding other than gzip",
                    429: "too many failed logins",
                    503: "the ledger cannot be written",
                }.items()
            },
        },
        body=dict.fromkeys(("application/x-www-form-urlencoded", "application/json"), _TOKEN_FORM),
        open=True,
        tag="belimo",
    ),
    _page_row("GET", "The page where a user lets a client act for him (RFC 6749, 4.1; PKCE: RFC 7636)"),
    _page_row(
        "POST",
        "What the page sends",
        body={
            "application/x-www-form-urlencoded": {
                "type": "object",
                "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
            }
        },
    ),
)
"""Rows of these routes, for the OpenAPI document."""
