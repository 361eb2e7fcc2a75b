"""One JSON shape for everything that goes wrong: {"error": {"code", "message", "path"}}. No traceback ever leaves."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import web

from bridge.errors import Conflict, Denied, NotFound, Refused, StoreError, Unprocessable

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: dict[type[Refused], int] = {NotFound: 404, Conflict: 409, Denied: 403, Unprocessable: 422}


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


class TooLarge(Refused):
    """A body over the limit."""


def problem(status: int, code: str, message: str, path: str = "", *, incident: str | None = None) -> web.Response:
    """An error answer."""
    body = msgspec.json.encode(ErrorBody(Problem(code, message, path, incident)))
    response = web.Response(status=status, body=body, content_type="application/json")
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="ems-bridge"'
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        response.force_close()
    return response


def refusal(error: Refused) -> web.Response:
    """The answer to a request that was refused."""
    if isinstance(error, TooLarge):
        return problem(413, error.code, error.detail, error.path)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 400)
    return problem(status, error.code, error.detail, error.path)


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
    except StoreError:
        log.exception("the ledger refused %s %s", request.method, request.path)
        response = problem(503, "store_unavailable", "the ledger cannot be written or read at the moment")
        response.headers["Retry-After"] = "5"
        return response
    except (ConnectionResetError, ConnectionAbortedError):
        raise
    except Exception:
        incident = secrets.token_hex(8)
        log.exception("incident %s: %s %s", incident, request.method, request.path)
        message = f"an internal error; the server's log tells more under {incident}"
        return problem(500, "internal", message, incident=incident)


def _http(request: web.Request, error: web.HTTPException) -> web.Response:
    if error.status == HTTPStatus.NOT_FOUND:
        return problem(404, "unknown_route", f"there is no {request.path}; GET /api/v1/openapi.json lists all routes")
    response = problem(error.status, HTTPStatus(error.status).name.lower(), error.reason)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
