"""The window, put together: every route of this room and of the cloud room on one aiohttp application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from bridge.cloud.routes import add_routes
from bridge.http import (
    belimo,
    belimo_data,
    belimo_definitions,
    belimo_devices,
    belimo_jobs,
    belimo_oauth,
    belimo_stream,
    commands,
    contracts,
    dead,
    described,
    devices,
    enos,
    enos_shapes,
    events,
    health,
    messages,
    pages,
    plots,
    readings,
    sinks,
    statistics,
    statistics_events,
    vendor,
    vendor_devices,
    vendor_forecast,
    vendor_limits,
    vendor_parts,
    vendor_protection,
    vendor_schedules,
    vendor_settings,
)
from bridge.http.door import guard
from bridge.http.errors import Handler, errors
from bridge.http.mqtt import Mqtt, add_route
from bridge.http.openapi import openapi
from bridge.http.services import Receiving, Services
from bridge.http.table import RECEIVING, SERVICES, Route, serve
from schemas.asyncapi import asyncapi

log = logging.getLogger(__name__)

_BELIMO: tuple[Route, ...] = (
    *belimo_oauth.ROUTES,
    *belimo_stream.ROUTES,
    *belimo_devices.ROUTES,
    *belimo_data.ROUTES,
    *belimo_definitions.ROUTES,
    belimo_jobs.METADATA_ROUTE,
)
ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *devices.ROUTES,
    *commands.ROUTES,
    *readings.ROUTES,
    *plots.ROUTES,
    *plots.ALARM_ROUTES,
    *messages.ROUTES,
    *dead.ROUTES,
    *sinks.ROUTES,
    *events.ROUTES,
    *statistics.ROUTES,
    *statistics_events.ROUTES,
    *vendor_devices.ROUTES,
    *vendor_schedules.ROUTES,
    *vendor_protection.ROUTES,
    *vendor_settings.ROUTES,
    *vendor_limits.ROUTES,
    *vendor_parts.ROUTES,
    *vendor_forecast.ROUTES,
    contracts.OPENAPI,
    contracts.ASYNCAPI,
    *_BELIMO,
    *belimo_jobs.ROUTES,
    *described.ROUTES,
    *enos_shapes.ROUTES,
    *enos.ROUTES,
    *pages.ROUTES,
)
"""Every route, one row each."""
RECEIVING_ROUTES: tuple[Route, ...] = (
    *health.ROUTES,
    *readings.ROUTES,
    *plots.ROUTES,
    *statistics.ROUTES,
    *statistics_events.ROUTES,
    contracts.OPENAPI,
    *_BELIMO,
    *described.ROUTES,
    *enos_shapes.ROUTES,
    *enos.ROUTES,
    *pages.ROUTES,
)
"""Those of the receiving side alone."""

ID = r"(?!sync$)[^/]+"
"""What an id may be in a path: anything but the word of the route beside it."""
SHUTDOWN_S = 5.0
"""Requests in flight get this long when the server stops; streams and long polls end at once."""
KEEP_ALIVE_S = 75.0
MAX_LINE = 64 * 1024
"""Bytes of a request line or header: EnOS clients put hundreds of assets into the query of a GET."""


def build(services: Services, mqtt: Mqtt | None = None) -> web.Application:
    """The application of a whole bridge, with MQTT over WebSocket. Serve it with `runner`."""
    app = _application(ROUTES, services)
    if mqtt is not None:
        add_route(app, mqtt)
    app[SERVICES] = services
    app[events.STREAMS] = set[asyncio.Task[object]]()
    app[contracts.DOCUMENTS][contracts.ASYNCAPI.path] = _asyncapi
    return app


def build_mqtt(mqtt: Mqtt) -> web.Application:
    """MQTT over WebSocket alone, at /mqtt and at /. Serve it with `runner`."""
    app = web.Application(middlewares=[_once, errors])
    add_route(app, mqtt, "/")
    return app


def build_receiving(receiving: Receiving) -> web.Application:
    """The application of the receiving side alone. Serve it with `runner`."""
    return _application(RECEIVING_ROUTES, receiving)


def _application(routes: tuple[Route, ...], receiving: Receiving) -> web.Application:
    app = web.Application(middlewares=[errors, vendor.envelope, belimo.envelope])
    app[RECEIVING] = receiving
    documents: dict[str, Callable[[], bytes]] = {contracts.OPENAPI.path: partial(_openapi, routes is ROUTES)}
    app[contracts.DOCUMENTS] = documents
    for route in routes:
        if route.handler is not None:
            path = route.path.replace("{id}", f"{{id:{ID}}}")
            app.router.add_route(route.method, path, serve(route))
    add_routes(app, receiving.cloud)
    belimo_oauth.add_routes(app)
    enos.add_routes(app)
    statistics.add_routes(app)
    pages.add_routes(app, whole=routes is ROUTES)
    app.on_shutdown.append(_close)
    return app


def runner(app: web.Application) -> web.AppRunner:
    """A runner with this room's bounds, for a Door: bodies arrive as sent (each route unpacks within its limit)."""
    guard(app)
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        logger=_quiet(),
        keepalive_timeout=KEEP_ALIVE_S,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        shutdown_timeout=SHUTDOWN_S,
    )


def openapi_document(routes: tuple[Route, ...] = ROUTES) -> dict[str, Any]:
    """OpenAPI 3.1 of `routes`."""
    return openapi(routes, version("ems-bridge"))


def asyncapi_document() -> dict[str, Any]:
    """AsyncAPI 3 of devices and platforms."""
    return asyncapi(version("ems-bridge"))


@cache
def _openapi(whole: bool) -> bytes:
    return msgspec.json.encode(openapi_document(ROUTES if whole else RECEIVING_ROUTES))


@cache
def _asyncapi() -> bytes:
    return msgspec.json.encode(asyncapi_document())


def _quiet() -> logging.Logger:
    """What is no HTTP is the sender's fault: it gets its 400, and a line of ours at debug level instead of a traceback."""
    logger = logging.getLogger("bridge.http.protocol")
    if not any(isinstance(each, _NoTracebacks) for each in logger.filters):
        logger.addFilter(_NoTracebacks())
    return logger


class _NoTracebacks(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, BadHttpMessage):
            return True
        log.debug("not HTTP: %s", type(error).__name__)  # its words may show a header, and with it a secret
        return False


@web.middleware
async def _once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nobody stays at a port for MQTT without speaking it: the broker does not count him."""
    answer = await handler(request)
    if not isinstance(answer, web.WebSocketResponse):
        answer.force_close()
    return answer


async def _close(app: web.Application) -> None:
    app[RECEIVING].closing.set()
