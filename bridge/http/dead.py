"""Dead letters: list, show, replay, purge."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import UNSET

from bridge.errors import NotFound, Unprocessable
from bridge.http.shapes import DeadLetter, DeadLetterList, DeadQuery, Purged, PurgeQuery, Replayed
from bridge.http.table import Answer, Call, Route

PURGE_STEP = 1_000
"""Dead letters found and deleted at a time: a purge of a million holds no list of a million."""


async def listing(call: Call) -> Answer:
    """GET /api/v1/dead-letters"""
    query = call.query(DeadQuery)
    visible = call.services.registry.visible(call.principal)
    rows = await call.services.ledger.dead_letters(
        visible, query.limit, query.before, query.source, query.reason, query.device
    )
    following = rows[-1]["id"] if len(rows) == query.limit else None
    return DeadLetterList([_letter(row, payload=False) for row in rows], following)


async def show(call: Call) -> Answer:
    """GET /api/v1/dead-letters/{id}"""
    return _letter(await _visible(call), payload=True)


async def replay(call: Call) -> Answer:
    """POST /api/v1/dead-letters/{id}/replay"""
    row = await _visible(call)
    result = await call.services.replay(row["id"])
    return msgspec.convert({"id": row["id"], **result}, Replayed)


async def remove(call: Call) -> Answer:
    """DELETE /api/v1/dead-letters/{id}"""
    row = await _visible(call)
    return Purged(await call.services.ledger.purge([row["id"]]))


async def purge(call: Call) -> Answer:
    """DELETE /api/v1/dead-letters"""
    query = call.query(PurgeQuery)
    if not (query.all or query.device or query.source or query.reason):
        raise Unprocessable("invalid", "name device, source or reason, or say all=true", "?all")
    visible = call.services.registry.visible(call.principal)
    ledger, gone, before = call.services.ledger, 0, None
    while True:
        rows = await ledger.dead_letters(visible, PURGE_STEP, before, query.source, query.reason, query.device)
        if not rows:
            return Purged(gone)
        gone += await ledger.purge(row["id"] for row in rows)
        before = rows[-1]["id"]


async def _visible(call: Call) -> dict[str, Any]:
    text = call.path("id")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    row = await call.services.ledger.dead_letter(number) if number is not None else None
    if row is None or not call.services.may_read(call.principal, row["device"]):
        raise NotFound("unknown_dead_letter", f"there is no dead letter {text[:32]!r}")
    return row


def _letter(row: dict[str, Any], *, payload: bool) -> DeadLetter:
    raw = bytes(row["payload"])
    text: str | None = None
    if payload:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = None
    return DeadLetter(
        **{name: row[name] for name in ("id", "at", "source", "device", "topic", "sender", "reason", "path", "detail")},
        context=msgspec.Raw(row["context"].encode()),
        replayed_at=row["replayed_at"],
        payload_bytes=len(raw),
        payload=text if text is not None else UNSET,
        payload_base64=base64.b64encode(raw).decode() if payload and text is None else UNSET,
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
        "/api/v1/dead-letters/{id}/replay",
        replay,
        "Send a dead letter through the pipeline again",
        {200: (Replayed, "what became of it"), 404: (None, "no such dead letter")},
        tag="dead letters",
    ),
)
