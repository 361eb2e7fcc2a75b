"""Rows of the routes that the cloud room serves, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bridge.cloud.routes import ELECTRIC_POWER, INGEST
from bridge.http.table import Route

READING: dict[str, Any] = {
    "type": "object",
    "required": ["asset", "timestamp"],
    "properties": {
        "asset": {"type": "string"},
        "timestamp": {"type": "integer", "description": "epoch milliseconds"},
        "point": {"type": "string"},
        "value": {"type": "number"},
        "unit": {"type": "string"},
        "kind": {"enum": ["gauge", "counter"]},
        "values": {"type": "object", "additionalProperties": {"type": "number"}, "description": "point -> value"},
    },
    "description": "one value (point, value) or all of an instant (values)",
}
BATCH: dict[str, Any] = {
    "application/json": {
        "anyOf": [
            READING,
            {"type": "array", "items": READING},
            {
                "type": "object",
                "properties": {"readings": {"type": "array", "items": READING}},
                "required": ["readings"],
            },
        ]
    },
    "application/x-ndjson": {"type": "string", "description": "one reading a line"},
}
TAKEN: dict[str, Any] = {
    "type": "object",
    "properties": {
        "accepted": {"type": "integer"},
        "rejected": {"type": "integer"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
ENOS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "requestId": {"type": ["string", "null"]},
        "msg": {"type": "string"},
        "submsg": {"type": ["string", "null"]},
        "data": {"type": ["object", "null"]},
    },
}
FORM: dict[str, Any] = {
    media: {"type": "object"}
    for media in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
}


class ElectricPower(Struct, frozen=True):
    """Parameters of the EnOS query (docs/cloud.md)."""

    orgId: str  # noqa: N815 - EnOS's names
    assetIds: Annotated[str, Meta(description="parted by commas")]  # noqa: N815
    measurepointsWithLogic: Annotated[str, Meta(description="such as sum(p1),avg(p2); bare points for interval 0")]  # noqa: N815
    interval: Annotated[int, Meta(ge=0, le=1440, description="minutes")]
    startTime: str  # noqa: N815
    endTime: str  # noqa: N815
    modelId: str | None = None  # noqa: N815
    pageSize: int = 1000  # noqa: N815
    accessKey: Annotated[str | None, Meta(description="an API key")] = None  # noqa: N815
    localTimeAccuracy: Literal["true", "false"] = "false"  # noqa: N815


ROUTES = (
    Route(
        "POST",
        INGEST,
        None,
        "A batch of readings, gzip or plain; with an Idempotency-Key the same batch counts once",
        {
            200: (TAKEN, "all rows stored"),
            400: (None, "not JSON"),
            413: (None, "the body is too large"),
            422: (TAKEN, "the bad rows by number and path; the good ones are stored"),
        },
        body=BATCH,
        tag="cloud",
    ),
    Route(
        "GET",
        ELECTRIC_POWER,
        None,
        "Aggregated power data as EnOS answers it; errors come with HTTP status 200",
        {200: (ENOS, "EnOS's envelope")},
        ElectricPower,
        tag="cloud",
    ),
    Route(
        "POST",
        ELECTRIC_POWER,
        None,
        "The same with its parameters in the body",
        {200: (ENOS, "EnOS's envelope"), 413: (None, "the body is too large")},
        body=FORM,
        tag="cloud",
    ),
)
