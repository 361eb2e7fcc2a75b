"""`/dashboard` and `/charts`: statistics of equipment as yiqikong answers them (docs/statistics.md)."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from bridge.cloud.body import read
from bridge.cloud.quality import quality
from bridge.cloud.routes import key_of
from bridge.cloud.statistics_asked import BODY_BYTES, CHARTS, DASHBOARD, Asked, asked, values
from bridge.core.principal import Principal
from bridge.errors import Exhausted, Refused, StoreError
from bridge.http.auth import REFUSED
from bridge.http.errors import CODES
from bridge.http.statistics_shapes import ChartsAnswer, ChartsQuery, DashboardAnswer, DashboardQuery
from bridge.http.table import RECEIVING, Route

log = logging.getLogger(__name__)

WRONG: Final = "参数错误"
UNKNOWN: Final = "没有找到对应的仪器"
BROKEN: Final = "服务器异常"
NO_KEY: Final = "没有权限"
BUSY: Final = "请求过于频繁"
"""The bodies of errors, each a bare JSON string: the first three are a sister service's, the others ours."""
REASON: Final = "X-Reason"
"""Header of an error: what is wrong, in English."""
BEHIND: Final = "X-Statistics-Behind"
"""Header of an answer: so many stored messages were not looked at yet."""

SAID: dict[str, Any] = {"type": "string"}


def add_routes(app: web.Application) -> None:
    """Put both into `app`."""
    for path, resources, units in (("/dashboard", DASHBOARD, False), ("/charts", CHARTS, True)):
        app.router.add_get(path, _handler(resources, units))


def _handler(resources: tuple[str, ...], units: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return await _answer(request, resources, units)
        except Exhausted as error:
            return _error(429, BUSY, error.detail)
        except Refused as error:
            return _error(CODES.get(error.code, 400), WRONG, f"{error.path} {error.detail}".strip())
        except (StoreError, sqlite3.Error):
            log.exception("statistics failed")
            response = _error(503, BROKEN, "the store cannot be read at the moment")
            response.headers["Retry-After"] = "5"
            return response
        except (ConnectionError, web.HTTPException):
            raise
        except Exception:
            incident = secrets.token_hex(8)
            log.exception("incident %s: %s", incident, request.rel_url.raw_path)
            return _error(500, BROKEN, f"an internal error; the server's log tells more under {incident}")

    return handle


async def _answer(request: web.Request, resources: tuple[str, ...], units: bool) -> web.Response:
    receiving = request.app[RECEIVING]
    principal = await receiving.authorise(request, key_of(request))
    if principal is None:
        receiving.counts.add(REFUSED, (("cause", "unauthorized"),))
        response = _error(401, NO_KEY, "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
        response.headers["WWW-Authenticate"] = 'Bearer realm="ems-bridge"'
        return response
    body = await read(request, BODY_BYTES)
    question = asked(values(request.rel_url.raw_query_string, body), resources, units)
    unknown = await _unknown(request, principal, question)
    if unknown is not None:
        return _error(404, UNKNOWN, f"there is no equipment {unknown[:128]!a}")
    told = await receiving.statistics.answer(question)
    headers = await quality(receiving.cloud, told.spans)
    if told.behind:
        headers[BEHIND] = str(told.behind)
    return web.Response(body=msgspec.json.encode(told.body), content_type="application/json", headers=headers)


async def _unknown(request: web.Request, principal: Principal, question: Asked) -> str | None:
    """The first equipment that is not there, or is somebody else's."""
    receiving = request.app[RECEIVING]
    if any(receiving.registry.device(each) is None for each in question.equipment):
        await receiving.registry.refresh()
    measured: set[str] | None = None
    for each in question.equipment:
        device = receiving.registry.device(each)
        if device is not None and receiving.registry.may_touch(principal, device):
            continue
        if device is None and principal.grants is None:
            if measured is None:
                measured = {asset.device for asset in receiving.cloud.series.assets.values()}
            if each in measured:
                continue
        return each
    return None


def _error(status: int, said: str, reason: str) -> web.Response:
    response = web.Response(status=status, body=msgspec.json.encode(said), content_type="application/json")
    response.headers[REASON] = reason.encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\r", " ")
    if status in (408, 413, 415):
        response.force_close()  # the rest of the body is not wanted
    return response


def _row(path: str, summary: str, answer: type[msgspec.Struct], query: type[msgspec.Struct]) -> Route:
    answers: dict[int, tuple[Any, str]] = {
        200: (answer, "by the resources that were asked for"),
        400: (SAID, f"{WRONG}: a parameter is not what it should be; {REASON} says which"),
        401: (SAID, f"{NO_KEY}: no key, or a wrong one"),
        404: (SAID, f"{UNKNOWN}: an equipment is not there, or is somebody else's"),
        413: (SAID, f"{WRONG}: a body over 4 KiB"),
        429: (SAID, f"{BUSY}: too many wrong keys came from this address"),
        503: (SAID, f"{BROKEN}: the store cannot be read at the moment"),
    }
    return Route("GET", path, None, summary, answers, query, tag="statistics", quality=True)


ROUTES = (
    _row("/dashboard", "Statistics of equipment over a time: totals and by equipment", DashboardAnswer, DashboardQuery),
    _row("/charts", "The same by day or month", ChartsAnswer, ChartsQuery),
)
