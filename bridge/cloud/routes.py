"""The cloud's routes: ingestion here, EnOS's tsdb-service beside it. They authorise by themselves: a key may lie in a
body."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from bridge.cloud import body as bodies
from bridge.cloud import enos_routes
from bridge.cloud.body import error, key_of
from bridge.cloud.cloud import Cloud
from bridge.cloud.ingest import Ingest
from bridge.errors import Refused, StoreError

__all__ = ["Cloud", "add_routes", "key_of"]

log = logging.getLogger(__name__)

INGEST = "/ingest/v1/power"
_STATUS = {
    "too_large": 413,
    "too_many_rows": 413,
    "timeout": 408,
    "unsupported_encoding": 415,
    "idempotency_key_reused": 422,
}


def add_routes(app: web.Application, cloud: Cloud) -> None:
    """Put ingestion and EnOS's queries into `app`."""
    ingest = Ingest(cloud)

    async def power(request: web.Request) -> web.Response:
        return await _ingest(cloud, ingest, request)

    app.router.add_post(INGEST, power)
    enos_routes.add_routes(app, cloud)


async def _ingest(cloud: Cloud, ingest: Ingest, request: web.Request) -> web.Response:
    principal = await cloud.authorize(request, key_of(request))
    if principal is None:
        response = error(401, Refused("unauthorized", "a key is needed: Authorization: Bearer …, or X-API-Key"))
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
        return error(_STATUS.get(refused.code, 400), refused)
    except StoreError:
        log.exception("ingestion could not be stored")
        response = error(503, Refused("unavailable", "the store cannot be written at the moment"))
        response.headers["Retry-After"] = "5"
        return response
    return web.Response(status=status, text=text, content_type="application/json")
