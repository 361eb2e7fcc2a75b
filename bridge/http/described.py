"""Rows of the routes that the cloud room serves, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from bridge.cloud.routes import ELECTRIC_POWER, INGEST
from bridge.cloud.rows import ASSET, POINT
from bridge.http.table import Route

SORT: dict[str, Any] = {"enum": ["gauge", "counter", None]}
READING: dict[str, Any] = {
    "type": "object",
    "required": ["asset", "timestamp"],
    "properties": {
        "asset": {"type": "string", "pattern": f"^{ASSET}$", "examples": ["EMS001.meter.1"]},
        "timestamp": {
            "type": ["integer", "number", "string"],
            "description": "epoch milliseconds, or local time or ISO 8601 as text; not before 1973, at most a day ahead",
            "examples": [1705980251899, "2024-01-23T03:24:11Z"],
        },
        "point": {"type": "string", "pattern": f"^{POINT}$"},
        "value": {"type": "number"},
        "unit": {"type": ["string", "null"]},
        "kind": SORT,
        "values": {
            "type": "object",
            "additionalProperties": {"type": ["number", "null"]},
            "description": "point -> value",
        },
        "units": {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string"},
            "description": "point -> unit",
        },
        "kinds": {"type": ["object", "null"], "additionalProperties": {"enum": ["gauge", "counter"]}},
        "device": {"type": ["string", "null"], "description": "whose it is, where the asset's name does not say it"},
        "timezone": {"type": ["string", "null"], "description": "IANA name", "examples": ["Europe/Berlin"]},
    },
    "anyOf": [{"required": ["point", "value"]}, {"required": ["values"]}],
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
        "accepted": {"type": "integer", "minimum": 0},
        "rejected": {"type": "integer", "minimum": 0},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "row": {"type": "integer", "description": "from 0"},
                    "line": {"type": "integer", "description": "from 1, of NDJSON"},
                    "path": {"type": "string"},
                    "detail": {"type": "string"},
                },
                "required": ["row", "path", "detail"],
            },
        },
        "errors_omitted": {"type": "integer", "description": "how many more there are"},
    },
    "required": ["accepted", "rejected", "errors"],
}
REFUSED: dict[str, Any] = {"anyOf": [TAKEN, {"$ref": "#/components/schemas/ErrorBody"}]}
ENOS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "integer", "description": "0 is success"},
        "requestId": {"type": ["string", "null"]},
        "msg": {"type": "string"},
        "submsg": {"type": ["string", "null"]},
        "data": {
            "type": ["object", "null"],
            "properties": {"items": {"type": "array", "items": {"type": "object"}}},
            "required": ["items"],
        },
    },
    "required": ["status", "requestId", "msg", "submsg", "data"],
}
EVERYWHERE: dict[int, tuple[Any, str]] = {
    413: (None, "the body or the query is too large"),
    429: (None, "too many wrong keys came from this address"),
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
    pageSize: Annotated[int, Meta(ge=1)] = 1000  # noqa: N815
    localTimeAccuracy: Literal["true", "false"] = "false"  # noqa: N815


def _form() -> dict[str, Any]:
    """The same parameters as a body; the query may hold some of them."""
    schema = dict(msgspec.json.schema(ElectricPower)["$defs"]["ElectricPower"])
    del schema["required"]
    return dict.fromkeys(("application/json", "application/x-www-form-urlencoded", "multipart/form-data"), schema)


ROUTES = (
    Route(
        "POST",
        INGEST,
        None,
        "A batch of readings, gzip or plain; with an Idempotency-Key the same batch counts once",
        {
            200: (TAKEN, "all rows stored"),
            422: (REFUSED, "the bad rows by number and path; the good ones are stored"),
        },
        body=BATCH,
        headers={
            "Idempotency-Key": (
                {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
                "the same key with the same body gets the same answer, and nothing is stored twice",
            ),
            "Content-Encoding": ({"enum": ["identity", "gzip"]}, "how the body is packed"),
        },
        tag="cloud",
    ),
    Route(
        "GET",
        ELECTRIC_POWER,
        None,
        "Aggregated power data as EnOS answers it; errors come with HTTP status 200",
        {200: (ENOS, "EnOS's envelope"), **EVERYWHERE},
        ElectricPower,
        key_in_query="accessKey",
        quality=True,
        tag="cloud",
    ),
    Route(
        "POST",
        ELECTRIC_POWER,
        None,
        "The same with its parameters in the body",
        {200: (ENOS, "EnOS's envelope"), **EVERYWHERE},
        body=_form(),
        optional_body=True,
        key_in_query="accessKey",
        quality=True,
        tag="cloud",
    ),
)
