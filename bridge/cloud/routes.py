"""The cloud's HTTP routes: ingestion and the EnOS tsdb-service. They authorise by themselves, since keys may lie in a body."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from bridge.cloud import body as bodies
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import BAD_REQUEST, SERVICE, TEXT_KEY, EnosError, envelope, query
from bridge.cloud.ingest import Ingest
from bridge.cloud.power import electric_power
from bridge.cloud.quality import quality
from bridge.errors import Refused, StoreError

__all__ = ["PATHS", "Cloud", "add_routes", "key_of"]

log = logging.getLogger(__name__)

INGEST = "/ingest/v1/power"
ELECTRIC_POWER = "/tsdb-service/v2.0/electric-power"
PATHS = (INGEST, ELECTRIC_POWER)
"""Routes whose handlers authorise by themselves."""
MAX_PARAMETERS = 1_000
QUERY_BYTES = 64 << 10
"""Of the body of a query, as much as of a GET's line: it is read before it is known who asks, whose key may lie in it."""
_STATUS = {
    "too_large": 413,
    "too_many_rows": 413,
    "timeout": 408,
    "unsupported_encoding": 415,
    "idempotency_key_reused": 422,
}

Parameters = dict[str, list[str]]


def add_routes(app: web.Application, cloud: Cloud) -> None:
    """Put ingestion and the EnOS query into `app`."""
    ingest = Ingest(cloud)

    async def power(request: web.Request) -> web.Response:
        return await _ingest(cloud, ingest, request)

    async def ask(request: web.Request) -> web.Response:
        return await _electric_power(cloud, request)

    app.router.add_post(INGEST, power)
    app.router.add_get(ELECTRIC_POWER, ask)
    app.router.add_post(ELECTRIC_POWER, ask)


def key_of(request: web.Request) -> str | None:
    """The API key in a request's headers: `Authorization: Bearer`, or `X-API-Key`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("X-API-Key") or None


async def _ingest(cloud: Cloud, ingest: Ingest, request: web.Request) -> web.Response:
    principal = await cloud.authorize(request, key_of(request))
    if principal is None:
        response = _error(401, Refused("unauthorized", "a key is needed: Authorization: Bearer …, or X-API-Key"))
        response.headers["WWW-Authenticate"] = "Bearer"
    else:
        response = await _ingested(cloud, ingest, request, principal)
    cloud.counts.add("ems_bridge_ingest_requests", (("status", str(response.status)),))
    return response


async def _ingested(cloud: Cloud, ingest: Ingest, request: web.Request, principal: Any) -> web.Response:
    try:
        body = await bodies.read(request, cloud.settings.max_body_bytes)
        key = request.headers.get("Idempotency-Key")
        status, text = await ingest.take(principal, body, request.content_type, key)
    except Refused as refused:
        return _error(_STATUS.get(refused.code, 400), refused)
    except StoreError:
        log.exception("ingestion could not be stored")
        response = _error(503, Refused("unavailable", "the store cannot be written at the moment"))
        response.headers["Retry-After"] = "5"
        return response
    return web.Response(status=status, text=text, content_type="application/json")


def _error(status: int, refused: Refused) -> web.Response:
    said = {"error": {"code": refused.code, "message": refused.detail, "path": refused.path}}
    response = web.json_response(said, status=status)
    if status in (408, 413):
        response.force_close()  # the rest of the body is not wanted
    return response


async def _electric_power(cloud: Cloud, request: web.Request) -> web.Response:
    headers: dict[str, str] = {}
    try:
        params = await _parameters(request, min(QUERY_BYTES, cloud.settings.max_body_bytes))
        key = key_of(request) or next(iter(params.get("accessKey", ())), None) or None
        principal = await cloud.authorize(request, key)
        if principal is None:
            body = envelope(BAD_REQUEST, TEXT_KEY)
        else:
            body, spans = await electric_power(cloud, query(params, cloud.settings.lenient_interval), principal)
            headers = await quality(cloud, spans)
    except EnosError as error:
        body = envelope(error.status, error.text)
    except bodies.TooLarge as refused:
        return _error(413, refused)
    except Refused as refused:
        body = envelope(BAD_REQUEST, refused.detail)
    except (StoreError, sqlite3.Error):
        log.exception("query failed")
        body = envelope(SERVICE, None)
    return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)


async def _parameters(request: web.Request, limit: int) -> Parameters:
    """All parameters by name: of the query, or, where a POST body names them, of the body (JSON, form or multipart)."""
    found = _pairs(request.rel_url.raw_query_string)
    if request.method != "POST":
        return found
    body = await bodies.read(request, limit)
    text = body.lstrip()
    if text.startswith(b"{"):  # the vendor's samples print JSON under a multipart header
        return {**found, **_json(text)}
    if request.content_type == "multipart/form-data":
        return {**found, **_multipart(request.headers["Content-Type"], body)}
    if request.content_type == "application/json" and text:
        raise Refused("not_json", "the body is no JSON object")
    return {**found, **_pairs(body.decode("utf-8", "replace"))}


def _pairs(text: str) -> Parameters:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="replace")
    except ValueError as error:
        raise Refused("too_many_parameters", f"more than {MAX_PARAMETERS} parameters") from error
    found: Parameters = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _json(text: bytes) -> Parameters:
    try:
        given = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("not_json", "the body is no JSON object") from error
    return {name: _words(value) for name, value in given.items() if value is not None}


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [_word(item) for item in value] if len(value) <= MAX_PARAMETERS * 10 else []
    return [_word(value)]


def _word(value: Any) -> str:
    return str(value) if not isinstance(value, Mapping | list) else ""


def _multipart(content_type: str, body: bytes) -> Parameters:
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=policy.HTTP)
    found: Parameters = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found.setdefault(name, []).append(payload.decode("utf-8", "replace"))
    return found
