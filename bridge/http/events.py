"""Server-sent events: readings, command states, presence, alarms; messages and dead letters when asked for.

Each stream's queue is bounded: a reader that does not keep up loses the oldest events and is told how many (`event: lost`).
Nothing is kept for a reader that was away: Last-Event-ID is not supported, and events carry no id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from bridge.core.events import TYPES, Event, Listener
from bridge.errors import Unprocessable
from bridge.http.devices import visible_device
from bridge.http.errors import begin, problem
from bridge.http.shapes import EventsQuery
from bridge.http.table import Answer, Call, Route

STREAMS = web.AppKey("streams", set[asyncio.Task[object]])
"""The tasks that serve open streams."""
RETRY_MS = 3_000
"""How soon a client shall connect again."""


async def stream(call: Call) -> Answer:
    """GET /api/v1/events"""
    query = call.query(EventsQuery)
    types = _types(query.types)
    if query.device is not None:
        await visible_device(call, query.device)
    streams, limits = call.request.app[STREAMS], call.services.limits
    if len(streams) >= limits.max_streams:
        return problem(503, "too_many_streams", f"{limits.max_streams} event streams are open already")
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a handler runs in a task
    streams.add(task)
    try:
        return await _serve(call, types, query.device)
    finally:
        streams.discard(task)


async def _serve(call: Call, types: frozenset[str], device: str | None) -> web.StreamResponse:
    services, principal = call.services, call.principal
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    with services.events.subscribe(
        types, lambda uid: uid == device if device else services.may_read(principal, uid)
    ) as listener:
        await begin(call.request, response)
        await response.write(f"retry: {RETRY_MS}\n: events of {','.join(sorted(types))}\n\n".encode())
        told = 0
        async for event in _until_closing(listener, services.closing, services.limits.heartbeat_s):
            text = _text(event) if event is not None else b": heartbeat\n\n"
            if listener.lost > told:
                text = b'event: lost\ndata: {"lost":%d}\n\n' % (listener.lost - told) + text
                told = listener.lost
            await response.write(text)
    await response.write_eof()
    return response


async def _until_closing(listener: Listener, closing: asyncio.Event, heartbeat_s: float) -> AsyncIterator[Event | None]:
    """The listener's events, and None after each silence of `heartbeat_s`; ends when `closing` is set."""
    events = aiter(listener)
    stop = asyncio.ensure_future(closing.wait())
    following: asyncio.Future[Event] | None = None
    try:
        while not closing.is_set():
            if following is None:
                following = asyncio.ensure_future(anext(events))
            both: set[asyncio.Future[Any]] = {following, stop}
            await asyncio.wait(both, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                event, following = following.result(), None
                yield event
            elif not stop.done():
                yield None
    finally:
        stop.cancel()
        if following is not None:
            following.cancel()


def _types(text: str) -> frozenset[str]:
    wanted = frozenset(filter(None, text.split(",")))
    if unknown := sorted(wanted - set(TYPES)):
        raise Unprocessable("invalid", f"unknown event type {unknown[0][:40]!r}; known: {', '.join(TYPES)}", "?types")
    if not wanted:
        raise Unprocessable("invalid", f"no event type; known: {', '.join(TYPES)}", "?types")
    return wanted


def _text(event: Event) -> bytes:
    data = event.data if "device" in event.data else {"device": event.device, **event.data}
    line = msgspec.json.format(
        msgspec.json.encode(data), indent=-1
    )  # a stored payload may have line breaks between its tokens
    return b"event: %b\ndata: %b\n\n" % (event.type.encode(), line)


ROUTES = (
    Route(
        "GET",
        "/api/v1/events",
        stream,
        "Server-sent events. Last-Event-ID is not supported: after a gap, read /messages, /commands and /readings",
        {200: ("text/event-stream", "events until you or the server ends"), 503: (None, "too many streams")},
        EventsQuery,
        tag="events",
    ),
)
