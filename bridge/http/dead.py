"""Dead letters: list, show, replay, purge."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import UNSET

from bridge.errors import NotFound, Unprocessable
from bridge.http.shapes import (
    DeadFilter,
    DeadLetter,
    DeadLetterList,
    DeadQuery,
    Purged,
    PurgeQuery,
    Replayed,
    ReplayedList,
    ReplayQuery,
)
from bridge.http.table import Answer, Call, Route
from bridge.http.times import milliseconds
from bridge.store.dead import Wanted

PURGE_STEP = 1_000
"""Dead letters deleted at a time: a purge of a million holds the writer up for none."""


async def listing(call: Call) -> Answer:
    """GET /api/v1/dead-letters"""
    query = call.query(DeadQuery)
    rows = await call.services.ledger.dead.heads(_wanted(call, query), query.limit)
    following = rows[-1]["id"] if len(rows) == query.limit else None
    return DeadLetterList([_letter(row) for row in rows], following)


async def show(call: Call) -> Answer:
    """GET /api/v1/dead-letters/{id}"""
    return _letter(await _visible(call))


async def replay(call: Call) -> Answer:
    """POST /api/v1/dead-letters/{id}/replay"""
    row = await _visible(call)
    return msgspec.convert(await call.services.replays.one(row["id"]), Replayed)


async def replay_some(call: Call) -> Answer:
    """POST /api/v1/dead-letters/replay"""
    query = call.query(ReplayQuery)
    wanted = _wanted(call, query, all=query.all)
    before = query.before if query.before is not None else await call.services.ledger.dead.newest() + 1
    results = await call.services.replays.some(wanted._replace(after=query.after, before=before), query.limit)
    rejected = [msgspec.convert(result, Replayed) for result in results if result["outcome"] != "accepted"]
    following = results[-1]["id"] if len(results) == query.limit else None
    return ReplayedList(len(results) - len(rejected), rejected, before, following)


async def remove(call: Call) -> Answer:
    """DELETE /api/v1/dead-letters/{id}"""
    number = (await _visible(call))["id"]
    return Purged(await call.services.ledger.dead.purge(Wanted(after=number - 1, before=number + 1), 1))


async def purge(call: Call) -> Answer:
    """DELETE /api/v1/dead-letters"""
    query = call.query(PurgeQuery)
    wanted = _wanted(call, query, all=query.all)
    gone, dead = 0, call.services.ledger.dead
    before = query.before if query.before is not None else await dead.newest() + 1
    while step := await dead.purge(wanted._replace(before=before), PURGE_STEP):
        gone += step
    return Purged(gone)


def _wanted(call: Call, query: DeadFilter, all: bool | None = None) -> Wanted:  # noqa: A002  the parameter's own name
    """What the filter means for the asker. Where something is done to them, `all` has to be said when nothing else is."""
    since, until = milliseconds(query.since, "since"), milliseconds(query.until, "until")
    chosen = (query.device, query.source, query.reason, query.topic, since, until, query.before)
    if all is False and not any(chosen):
        raise Unprocessable(
            "invalid", "name device, source, reason, topic, since, until or before, or say all=true", "?all"
        )
    if query.topic is not None and ("+" in query.topic or "#" in query.topic.removesuffix("/#")):
        raise Unprocessable("invalid", "of wildcards only /# at the end of a topic is known here", "?topic")
    visible = call.services.registry.visible(call.principal)
    return Wanted(visible, query.device, query.source, query.reason, query.topic, since, until, before=query.before)


async def _visible(call: Call) -> dict[str, Any]:
    text = call.path("id")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    row = await call.services.ledger.dead.get(number) if number is not None else None
    if row is None or not call.services.may_read(call.principal, row["device"]):
        raise NotFound("unknown_dead_letter", f"there is no dead letter {text[:32]!r}")
    return row


def _letter(row: dict[str, Any]) -> DeadLetter:
    """With its payload, unless the row has only the size of it."""
    payload = row["payload"]
    raw = None if isinstance(payload, int) else bytes(payload)
    text: str | None = None
    try:
        text = raw.decode() if raw is not None else None
    except UnicodeDecodeError:
        text = None
    return DeadLetter(
        **{name: row[name] for name in ("id", "at", "source", "device", "topic", "sender", "reason", "path", "detail")},
        context=msgspec.Raw(row["context"].encode()),
        replayed_at=row["replayed_at"],
        payload_bytes=payload if raw is None else len(raw),
        payload=text if text is not None else UNSET,
        payload_base64=base64.b64encode(raw).decode() if raw is not None and text is None else UNSET,
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/dead-letters",
        listing,
        "What was refused, newest first, without payloads",
        {200: (DeadLetterList, "a page of dead letters")},
        DeadQuery,
        tag="dead letters",
    ),
    Route(
        "DELETE",
        "/api/v1/dead-letters",
        purge,
        "Delete dead letters by filter",
        {200: (Purged, "how many")},
        PurgeQuery,
        tag="dead letters",
    ),
    Route(
        "GET",
        "/api/v1/dead-letters/{id}",
        show,
        "One dead letter with its payload",
        {200: (DeadLetter, "the dead letter"), 404: (None, "no such dead letter")},
        tag="dead letters",
    ),
    Route(
        "DELETE",
        "/api/v1/dead-letters/{id}",
        remove,
        "Delete one dead letter",
        {200: (Purged, "how many"), 404: (None, "no such dead letter")},
        tag="dead letters",
    ),
    Route(
        "POST",
        "/api/v1/dead-letters/replay",
        replay_some,
        "Send dead letters through the pipeline again, by filter; those that were replayed are passed over",
        {200: (ReplayedList, "what became of them")},
        ReplayQuery,
        tag="dead letters",
    ),
    Route(
        "POST",
        "/api/v1/dead-letters/{id}/replay",
        replay,
        "Send a dead letter through the pipeline again",
        {200: (Replayed, "what became of it"), 404: (None, "no such dead letter")},
        tag="dead letters",
    ),
)
