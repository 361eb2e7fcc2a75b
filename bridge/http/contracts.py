"""The contracts as documents."""

from __future__ import annotations

from aiohttp import web

from bridge.http.table import Answer, Call, Route

DOCUMENTS = web.AppKey("documents", dict[str, bytes])
"""Path -> document, made when the application is put together."""
ANY = {"type": "object"}


async def document(call: Call) -> Answer:
    """GET /api/v1/openapi.json, /api/v1/asyncapi.json"""
    body = call.request.app[DOCUMENTS][call.request.path]
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
