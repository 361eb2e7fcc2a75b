"""One JSON shape for everything that goes wrong: {"error": {"code", "message", "path"}}. No traceback ever leaves."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import web

from bridge.errors import Conflict, Denied, Exhausted, NotFound, Refused, StoreError, Unprocessable

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: dict[type[Refused], int] = {NotFound: 404, Conflict: 409, Denied: 403, Unprocessable: 422, Exhausted: 429}
CODES = {"too_large": 413, "unsupported_encoding": 415, "timeout": 408}
"""Refusals of a body before it is read to its end; any other Refused is a 400."""


STARTED = web.RequestKey("started", web.StreamResponse)
"""The streamed answer whose head is out."""


class Problem(msgspec.Struct, frozen=True):
    """What went wrong. `code` is a stable word; `path` a JSON path into the body (`$.data.id`), `?name` for a query
    parameter, or empty; `id` stands in the server's log beside the cause of an internal error."""

    code: str
    message: str
    path: str = ""
    id: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is no success."""

    error: Problem


class BadRequest(Refused):
    """A body that is not JSON at all, or a request that makes no sense."""


def problem(status: int, code: str, message: str, path: str = "", *, incident: str | None = None) -> web.Response:
    """An error answer."""
    body = msgspec.json.encode(ErrorBody(Problem(code, message, path, incident)))
    response = web.Response(status=status, body=body, content_type="application/json")
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="ems-bridge"'
    if status in CODES.values():
        response.force_close()  # what follows of the body is not read
    return response


def refusal(error: Refused) -> web.Response:
    """The answer to a request that was refused."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), CODES.get(error.code, 400))
    return problem(status, error.code, error.detail, error.path)


async def begin(request: web.Request, response: web.StreamResponse) -> None:
    """Send the head of a streamed answer. An error after it cannot become an answer: it cuts the connection."""
    request[STARTED] = response
    await response.prepare(request)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into the one shape."""
    try:
        return await handler(request)
    except Refused as error:
        return refusal(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http(request, error)
    except Exception as error:
        return _unexpected(request, error)


def logged(request: web.Request, error: Exception) -> str:
    """Write what nobody expected into the log; gives the number that the answer may tell."""
    incident = secrets.token_hex(8)
    log.error("incident %s: %s %s", incident, request.method, request.rel_url.raw_path, exc_info=error)
    return incident


def _unexpected(request: web.Request, error: Exception) -> web.StreamResponse:
    """Logged; told without details; or, in the middle of a stream, the end of the connection."""
    started: web.StreamResponse | None = request.get(STARTED)
    if isinstance(error, ConnectionError):
        if started is not None:
            return started  # the reader went away
        raise error
    incident = logged(request, error)
    if started is not None:
        if request.transport is not None:
            request.transport.abort()
        return started
    if isinstance(error, StoreError):
        response = problem(
            503, "store_unavailable", "the ledger cannot be written or read at the moment", incident=incident
        )
        response.headers["Retry-After"] = "5"
        return response
    message = f"an internal error; the server's log tells more under {incident}"
    return problem(500, "internal", message, incident=incident)


def _http(request: web.Request, error: web.HTTPException) -> web.Response:
    if error.status == HTTPStatus.NOT_FOUND:
        return problem(404, "unknown_route", f"there is no {request.path}; GET /api/v1/openapi.json lists all routes")
    response = problem(error.status, HTTPStatus(error.status).name.lower(), error.reason)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
