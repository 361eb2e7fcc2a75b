"""Events of equipment: who follows it, what was sampled, who was trained; told by people or their systems, not by devices."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.cloud.body import read
from bridge.errors import Conflict, NotFound, Unprocessable
from bridge.http.bodies import decode
from bridge.http.statistics_shapes import (
    EventBody,
    EventList,
    EventsQuery,
    EventsRemoved,
    EventsStored,
    NewEvent,
)
from bridge.http.table import Answer, Call, Route
from bridge.http.times import milliseconds
from bridge.store.equipment import Event

MAX_BATCH = 10_000
"""Events of one request."""
FUTURE_MS = 86_400_000
"""Clocks may be a day ahead, as those of devices."""

_MANY: Any = list[NewEvent]
BASE = "/api/v1/equipment/{uid}/events"


async def add(call: Call) -> Answer:
    """POST …/events: one, or an array; all or none."""
    uid = await _equipment(call)
    body = await read(call.request, call.receiving.limits.max_body_bytes)
    one = not body.lstrip().startswith(b"[")
    given: list[NewEvent] = [decode(body, NewEvent)] if one else decode(body, _MANY)
    if len(given) > MAX_BATCH:
        raise Unprocessable("too_many_events", f"{MAX_BATCH} events at most in one request", "$")
    latest = call.receiving.cloud.clock() + FUTURE_MS
    events = [_event(each, "$" if one else f"$[{place}]", latest) for place, each in enumerate(given)]
    try:
        new = await call.receiving.statistics.equipment.add(uid, events, call.receiving.cloud.clock())
    except Conflict as error:
        raise Conflict(error.code, error.detail, "$.id" if one else error.path) from None
    return EventsStored(new, len(events) - new)


async def listing(call: Call) -> Answer:
    """GET …/events"""
    uid = await _equipment(call)
    query = call.query(EventsQuery)
    since, until = milliseconds(query.since, "since"), milliseconds(query.until, "until")
    found = await call.receiving.statistics.equipment.events(
        uid, query.type, since, until, query.after, query.limit + 1
    )
    page = found[: query.limit]
    bodies = [EventBody(each.number, *each.event) for each in page]  # type: ignore[arg-type]  # its type was checked
    return EventList(bodies, page[-1].number if len(found) > len(page) else None)


async def remove(call: Call) -> Answer:
    """DELETE …/events/{event}"""
    uid, event = await _equipment(call), call.path("event")
    if not await call.receiving.statistics.equipment.remove(uid, event):
        raise NotFound("unknown_event", f"there is no event {event[:128]!r}")
    return EventsRemoved(1)


def _event(given: NewEvent, path: str, latest: int) -> Event:
    try:
        at = milliseconds(str(given.at), "at")
    except Unprocessable as error:
        raise Unprocessable(error.code, error.detail, f"{path}.at") from None
    if at is None or at > latest:
        raise Unprocessable("bad_timestamp", "more than a day in the future", f"{path}.at")
    if given.approved and given.type != "training":
        raise Unprocessable("invalid", "only a training is approved", f"{path}.approved")
    return Event(given.id, given.type, at, given.count, given.approved, given.user, given.note)


async def _equipment(call: Call) -> str:
    """The uid in the path. NotFound when there is no such device, and in the same words when it is somebody else's."""
    uid, registry = call.path("uid"), call.receiving.registry
    device = await registry.find_device(uid)
    if device is None or not registry.may_touch(call.principal, device):
        raise NotFound("unknown_equipment", f"there is no equipment {uid[:128]!r}")
    return uid


def _bodies() -> dict[str, Any]:
    """One event or an array of them, for the document."""
    (one,), components = msgspec.json.schema_components([NewEvent])
    schema = components["NewEvent"] if "$ref" in one else one
    return {"application/json": {"anyOf": [schema, {"type": "array", "items": schema, "maxItems": MAX_BATCH}]}}


ROUTES = (
    Route(
        "POST",
        BASE,
        add,
        "Tell events of an equipment, one or an array; all or none, each id once",
        {
            200: (EventsStored, "how many are new"),
            404: (None, "no such equipment"),
            409: (None, "an id came with other content before"),
            429: (None, "a device has a million events at most"),
        },
        body=_bodies(),
        tag="statistics",
    ),
    Route(
        "GET",
        BASE,
        listing,
        "Events of an equipment, in the order of coming",
        {200: (EventList, "a page of events"), 404: (None, "no such equipment")},
        EventsQuery,
        tag="statistics",
    ),
    Route(
        "DELETE",
        f"{BASE}/{{event}}",
        remove,
        "Remove an event that was told by mistake",
        {200: (EventsRemoved, "it is gone"), 404: (None, "no such equipment or event")},
        tag="statistics",
    ),
)
