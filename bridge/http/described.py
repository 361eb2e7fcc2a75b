"""The row of ingestion, which the cloud room serves, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from bridge.cloud.routes import INGEST
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
)
