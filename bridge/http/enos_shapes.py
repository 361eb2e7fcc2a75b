"""Rows of EnOS's tsdb-service, which the cloud room serves, for the OpenAPI document (docs/enos.md)."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, defstruct

from bridge.cloud.enos import NAMES, Version
from bridge.cloud.enos_routes import OPERATIONS, VERSIONS, Operation, path_of
from bridge.http.table import Route

_ITEMS: dict[str, Any] = {
    "type": ["object", "null"],
    "properties": {"items": {"type": "array", "items": {"type": "object"}}},
    "required": ["items"],
}
_TEXTS: dict[str, Any] = {"msg": {"type": "string"}, "submsg": {"type": ["string", "null"]}, "data": _ITEMS}
ENVELOPES: Final[dict[Version, dict[str, Any]]] = {
    "v2.0": {
        "type": "object",
        "properties": {
            "status": {"type": "integer", "description": "0 is success"},
            "requestId": {"type": ["string", "null"]},
            **_TEXTS,
        },
        "required": ["status", "requestId", "msg", "submsg", "data"],
    },
    "v2.1": {
        "type": "object",
        "properties": {"code": {"type": "integer", "description": "0 is success"}, **_TEXTS},
        "required": ["code", "msg", "submsg", "data"],
    },
}
EVERYWHERE: dict[int, tuple[Any, str]] = {413: (None, "the body or the query is too large")}
BODIES: Final = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")

Word = Annotated[str, Meta(description="true or false, in any case")]
Names = Annotated[str, Meta(description="parted by commas")]
Time = Annotated[str, Meta(description="YYYY-MM-DD HH:MM:SS, each asset's own; or ISO 8601 with an offset")]
Page = Annotated[int, Meta(ge=1, description="of each asset and point")]
Field = tuple[str, Any] | tuple[str, Any, Any]

_SHAPE: list[Field] = [
    ("modelId", str | None, None),
    ("localTimeAccuracy", Word, "false"),
    ("localTimeFormat", Annotated[int, Meta(ge=0, le=1)], 0),
    ("itemFormat", Annotated[int, Meta(ge=0, le=2)], 0),
]
_RANGE: list[Field] = [("startTime", Time), ("endTime", Time)]
_WINDOW: list[Field] = [
    ("timeWindow", Annotated[int, Meta(ge=0, description="minutes")] | None, None),
    ("ifWithLocalTime", Word, "false"),
]


def _fields(operation: Operation, version: Version) -> list[Field]:
    """Its parameters but orgId, assetIds and those of every operation."""
    expressions, points, point = (NAMES[each][version] for each in ("expressions", "points", "point"))
    readings: list[Field] = [(points, Names), *_RANGE, ("pageSize", Page, 1000), ("withQuality", Word, "false")]
    aggregated: list[Field] = [
        (expressions, Annotated[str, Meta(description="such as sum(p1),avg(p2); bare points for interval 0")]),
        ("interval", Annotated[int, Meta(ge=0, le=1440, description="minutes")]),
        *_RANGE,
        ("pageSize", Page, 1000),
    ]
    filtered: list[Field] = [
        (point, str),
        ("operator", Annotated[str, Meta(description="eq, nq, gt, lt, ge, le, between or in")]),
        ("valueFilter", Names),
        *_WINDOW,
    ]
    known: dict[str, list[Field]] = {
        "electric-power": aggregated,
        "ai-normalized": aggregated,
        "electric-power/current-day": [(points, Names)],
        "raw": [*readings, ("orderBy", Annotated[str, Meta(description="timestamp asc or timestamp desc")], "timestamp asc")],
        "di": [(points, Names), *_RANGE, ("pageSize", Page, 1000), ("autoInterpolate", Word, "false")],
        "di/duration": [(points, Names), *_RANGE, ("status", Names | None, None), ("ifWithUnknown", Word, "true")],
        "latest": [(points, Names), *_WINDOW],
        "latest/filter": filtered,
    }  # fmt: skip
    return known.get(operation.name, readings)


def _struct(operation: Operation, version: Version) -> type[Struct]:
    name = "Enos" + "".join(
        word.capitalize() for word in f"{operation.name}-{version[1:]}".replace("/", "-").split("-")
    )
    fields: list[Field] = [("orgId", str), ("assetIds", Names), *_fields(operation, version), *_SHAPE]
    required = [field for field in fields if len(field) == 2]
    return defstruct(name.replace(".", ""), [*required, *(field for field in fields if len(field) == 3)], frozen=True)


def _rows(operation: Operation, version: Version) -> tuple[Route, Route]:
    """GET and POST. The query of a POST may hold some of its parameters."""
    asked, answers = _struct(operation, version), {200: (ENVELOPES[version], "EnOS's envelope"), **EVERYWHERE}
    schema = dict(msgspec.json.schema(asked)["$defs"][asked.__name__])
    del schema["required"]
    path = path_of(operation, version)
    told = not operation.name.startswith("latest")
    get = Route("GET", path, None, operation.text, answers, asked, key_in_query="accessKey", quality=told, tag="enos")
    post = Route(
        "POST", path, None, f"{operation.text}; with its parameters in the body", answers, body=dict.fromkeys(BODIES, schema),
        optional_body=True, key_in_query="accessKey", quality=told, tag="enos",
    )  # fmt: skip
    return get, post


ROUTES = tuple(row for version in VERSIONS for operation in OPERATIONS for row in _rows(operation, version))
