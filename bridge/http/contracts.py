"""The contracts as documents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from bridge.http.table import Answer, Call, Route

DOCUMENTS = web.AppKey("documents", dict[str, Callable[[], bytes]])
"""Path -> what makes the document, in a thread: a fifth of a second for the first who asks."""
ANY = {"type": "object"}


async def document(call: Call) -> Answer:
    """GET /api/v1/openapi.json, /api/v1/asyncapi.json"""
    body = await asyncio.to_thread(call.request.app[DOCUMENTS][call.request.path])
    return web.Response(body=body, content_type="application/json")


OPENAPI = Route("GET", "/api/v1/openapi.json", document, "This document", {200: (ANY, "OpenAPI 3.1")}, tag="contracts")
ASYNCAPI = Route(
    "GET",
    "/api/v1/asyncapi.json",
    document,
    "The messages of devices and platforms",
    {200: (ANY, "AsyncAPI 3")},
    tag="contracts",
)
