"""The couriers of sinks and webhooks: what each is up to."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bridge.errors import Denied
from bridge.http.table import Answer, Call, Route


class SinkState(Struct, frozen=True):
    """One sink or webhook. `failing` is why it takes nothing at the moment, since when (epoch ms); `taken_at` when it last
    answered for good or bad, `lag_s` the age of the oldest line that it has not taken. `rows` and `buried` (refused for good)
    count since the start."""

    name: str
    kind: Literal["sink", "webhook"]
    format: str
    host: str
    failing: str | None
    failing_since: int | None
    taken_at: int | None
    lag_s: float
    rows: int
    buried: int


class SinkList(Struct, frozen=True):
    """All of them, as configured."""

    sinks: list[SinkState]


async def listing(call: Call) -> Answer:
    """GET /api/v1/sinks"""
    if call.principal.grants is not None:
        raise Denied("not_authorised", "sinks are everybody's: they are told to accounts of every owner (--all) alone")
    return SinkList([SinkState(**state) for state in call.receiving.sinks()])


ROUTES = (
    Route(
        "GET",
        "/api/v1/sinks",
        listing,
        "The sinks of the mirror and the webhooks: who takes nothing, since when and why",
        {200: (SinkList, "each with its state"), 403: (None, "the account has owners of its own")},
        tag="operation",
    ),
)
