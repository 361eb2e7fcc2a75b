"""Stored messages, as the devices sent them."""

from __future__ import annotations

from bridge.http.shapes import MessageList, MessagesQuery, StoredMessage
from bridge.http.table import Answer, Call, Route


async def listing(call: Call) -> Answer:
    """GET /api/v1/messages"""
    query = call.query(MessagesQuery)
    visible = call.services.registry.visible(call.principal)
    rows = await call.services.ledger.messages(visible, query.device, query.suffix, query.since, query.limit)
    return MessageList([StoredMessage(**row) for row in rows], rows[-1]["seq"] if rows else query.since)


ROUTES = (
    Route(
        "GET",
        "/api/v1/messages",
        listing,
        "Stored messages in the order of their coming",
        {200: (MessageList, "a page of messages")},
        MessagesQuery,
        tag="devices",
    ),
)
