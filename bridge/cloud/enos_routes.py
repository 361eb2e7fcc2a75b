"""The routes of EnOS's tsdb-service: which question each path asks, how a request carries its parameters, and who asks."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from email import message_from_bytes, policy
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from bridge.cloud import body as bodies
from bridge.cloud.body import key_of
from bridge.cloud.cloud import Cloud, Settings
from bridge.cloud.enos import BAD_REQUEST, SERVICE, TEXT_KEY, TOO_MANY, EnosError, Version, envelope, query
from bridge.cloud.enos_current import asked_current_day, asked_filter, asked_latest, current_day, latest
from bridge.cloud.enos_history import asked_changes, asked_durations, asked_history, durations, history
from bridge.cloud.enos_items import Told
from bridge.cloud.power import electric_power
from bridge.cloud.quality import quality
from bridge.errors import Exhausted, Refused, StoreError

log = logging.getLogger(__name__)

BASE: Final = "/tsdb-service"
VERSIONS: Final[tuple[Version, ...]] = ("v2.0", "v2.1")
MAX_PARAMETERS: Final = 1_000
MAX_PARTS: Final = 100
"""Of a multipart body: each costs the library a tenth of a millisecond."""
QUERY_BYTES: Final = 64 << 10
"""Of the body of a query, as much as of a GET's line: it is read before it is known who asks, whose key may lie in it."""
KNOWN_BYTES: Final = 1 << 20
"""Of who has shown a good key in a header."""

Parameters = dict[str, list[str]]
Ask = Callable[[Settings, Parameters, Version], Any]
"""Parameters, checked: what is asked. Raises EnosError."""
Answer = Callable[[Cloud, Any, Any], Awaitable[Told]]
"""(cloud, what is asked, principal) -> the answer."""


class Operation(NamedTuple):
    """One thing that can be asked, in both versions."""

    name: str
    ask: Ask
    answer: Answer
    text: str


def _plain(read: Callable[[Parameters, Version], Any]) -> Ask:
    return lambda _settings, params, version: read(params, version)


def _power(settings: Settings, params: Parameters, version: Version) -> Any:
    return query(params, settings.lenient_interval, version)


def _normalized(settings: Settings, params: Parameters, version: Version) -> Any:
    return query(params, settings.lenient_interval, version, normalized=True)


LARGE: Final = 1 << 20
PIECE: Final = 256 << 10

OPERATIONS: Final = (
    Operation(
        "electric-power", _power, electric_power, "Energy and power by intervals; a counter's sum is its increments"
    ),
    Operation(
        "electric-power/current-day", _plain(asked_current_day), current_day, "What was used since local midnight"
    ),
    Operation("ai-normalized", _normalized, electric_power, "Readings kept by the minute, by intervals"),
    Operation("ai", _plain(asked_history), history, "Readings as they came"),
    Operation("raw", _plain(asked_history), history, "Readings as they came, in either order"),
    Operation("generic", _plain(asked_history), history, "Readings as they came"),
    Operation("unified-raw", _plain(asked_history), history, "Readings as they came"),
    Operation("di", _plain(asked_changes), history, "Readings that differ from the one before"),
    Operation("di/duration", _plain(asked_durations), durations, "How long each state was"),
    Operation("latest", _plain(asked_latest), latest, "The newest readings"),
    Operation("latest/filter", _plain(asked_filter), latest, "The newest readings of one point that a filter leaves"),
)


def path_of(operation: Operation, version: Version) -> str:
    """Its path."""
    return f"{BASE}/{version}/{operation.name}"


def add_routes(app: web.Application, cloud: Cloud) -> None:
    """Put all into `app`."""
    for version in VERSIONS:
        for operation in OPERATIONS:
            handler = partial(_handle, cloud, operation, version)
            app.router.add_get(path_of(operation, version), handler)
            app.router.add_post(path_of(operation, version), handler)


async def _handle(cloud: Cloud, operation: Operation, version: Version, request: web.Request) -> web.StreamResponse:
    headers: dict[str, str] = {}
    principal = None
    try:
        asked = await _asked(cloud, request)
        principal = asked.principal
        text, spans = await operation.answer(
            cloud, operation.ask(cloud.settings, asked.params, version), asked.principal
        )
        headers = await quality(cloud, spans)
    except EnosError as error:
        text = envelope(error.status, error.text, version=version)
    except bodies.TooLarge as refused:
        return bodies.error(413, refused)
    except Exhausted as refused:
        text = envelope(TOO_MANY, refused.detail, version=version)
    except Refused as refused:
        text = envelope(BAD_REQUEST, refused.detail, version=version)
    except (StoreError, sqlite3.Error):
        log.exception("query failed")
        text = envelope(SERVICE, None, version=version)
    if len(text) <= LARGE:
        return web.Response(body=text, content_type="application/json", charset="utf-8", headers=headers)
    if not cloud.hold(len(text), principal):
        text = envelope(TOO_MANY, "too many large answers are being read at the moment", version=version)
        return web.Response(body=text, content_type="application/json", charset="utf-8")
    try:
        return await _written(request, text, headers)
    finally:
        cloud.release(len(text), principal)


async def _written(request: web.Request, text: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Sent piece by piece, as fast as it is read: the socket's buffer has no second copy."""
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8", **headers})
    response.content_length = len(text)
    await response.prepare(request)
    try:
        for first in range(0, len(text), PIECE):
            async with asyncio.timeout(bodies.READ_TIMEOUT_S):
                await response.write(text[first : first + PIECE])
        await response.write_eof()
    except ConnectionError:  # the reader went away
        pass
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()  # he reads no more: others want the room
    return response


class Asked(NamedTuple):
    """What a request says, and who says it."""

    params: Parameters
    principal: Any


async def _asked(cloud: Cloud, request: web.Request) -> Asked:
    """Raises EnosError for who is nobody, Refused for what cannot be read."""
    key, principal, limit = key_of(request), None, QUERY_BYTES
    if key is not None:
        principal = await cloud.authorize(request, key)
        limit = KNOWN_BYTES if principal is not None else limit
    raw = await bodies.read(request, min(limit, cloud.settings.max_body_bytes)) if request.method == "POST" else b""
    found = pairs(request.rel_url.raw_query_string)
    params = {**found, **of_body(request, raw)} if raw else found
    if key is None:
        access = next(iter(params.get("accessKey", ())), "").strip()
        principal = await cloud.signed(request, found, raw, access)
        if principal is None:
            principal = await cloud.authorize(request, access or None)
    if principal is None:
        raise EnosError(BAD_REQUEST, TEXT_KEY)
    return Asked(params, principal)


def of_body(request: web.Request, body: bytes) -> Parameters:
    """The parameters of a body: JSON, form or multipart. Raises Refused."""
    text = body.lstrip()
    if text.startswith(b"{"):  # the vendor's samples print JSON under a multipart header
        return _json(text)
    if request.content_type == "multipart/form-data":
        return _multipart(request.headers["Content-Type"], body)
    if request.content_type == "application/json" and text:
        raise Refused("not_json", "the body is no JSON object")
    return pairs(body.decode("utf-8", "replace"))


def pairs(text: str) -> Parameters:
    """The parameters of a query string or form. Raises Refused."""
    try:
        found_pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="replace")
    except ValueError as error:
        raise Refused("too_many_parameters", f"more than {MAX_PARAMETERS} parameters") from error
    found: Parameters = {}
    for name, value in found_pairs:
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
    if len(body) > QUERY_BYTES:
        raise bodies.TooLarge("too_large", f"a multipart body may have {QUERY_BYTES} bytes")
    if body.count(b"\n--") > MAX_PARTS:
        raise Refused("too_many_parameters", f"more than {MAX_PARTS} parts")
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=policy.HTTP)
    found: Parameters = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found.setdefault(name, []).append(payload.decode("utf-8", "replace"))
    return found
