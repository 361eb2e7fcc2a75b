"""The OpenAPI 3.1 document, made from the rows of the route table and their Structs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from bridge.cloud.quality import HEADER as QUALITY
from bridge.http.errors import ErrorBody
from bridge.http.shapes import CommandRequest
from bridge.http.statistics_shapes import EVENT_ID
from bridge.http.table import NoQuery, Route
from schemas import export
from schemas.envelope import UUID
from schemas.examples import examples
from schemas.kind import Kind
from schemas.kinds import KINDS

REFERENCES = "#/components/schemas/{name}"
COMMANDS = tuple(kind for kind in KINDS if kind.kind == "command")
COMMON = {
    401: "no key, or a wrong one",
    422: "a parameter or the body is not what it should be",
    429: "too many wrong keys came from this address, or as many requests as may wait",
    503: "the store cannot be written or read at the moment",
}
OF_A_BODY = {
    400: "not JSON",
    408: "the body did not come in time",
    413: "the body is too large",
    415: "a Content-Encoding other than gzip",
}
HEADERS: dict[int, dict[str, dict[str, Any]]] = {
    202: {"Location": {"type": "string"}},
    401: {"WWW-Authenticate": {"type": "string"}},
    503: {"Retry-After": {"type": "integer"}},
}
"""Status -> the headers that such an answer may have."""
PATHS: dict[str, dict[str, Any]] = {
    "uid": {"type": "string", "minLength": 1, "maxLength": 128, "examples": ["EMS001"]},
    "mid": {"type": "string", "pattern": UUID},
    "event": {"type": "string", "pattern": EVENT_ID},
    "id": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    "device": {"type": "string", "minLength": 1, "maxLength": 128, "description": "a device's id, or its uid"},
    "datapoint": {"type": "string", "minLength": 1, "maxLength": 600, "examples": ["ems.total_active_power"]},
    "profile": {"type": "string", "minLength": 1, "maxLength": 128},
    "version": {"type": "string", "examples": ["1.0", "last"]},
    "job": {"type": "string", "pattern": UUID},
    "offer": {"type": "string", "minLength": 1, "maxLength": 128},
    "asset": {"type": "string", "minLength": 1, "maxLength": 400, "examples": ["EMS001.meter.1"]},
    "file": {"type": "string", "minLength": 1, "maxLength": 128, "examples": ["app.js"]},
}
"""Variable part of a path -> its schema."""


def openapi(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of `routes`."""
    rows = list(routes)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    in_query = {row.key_in_query for row in rows if row.key_in_query}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EMS bridge",
            "version": version,
            "description": "Devices, commands, readings and dead letters. Times are epoch milliseconds.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                **{name: {"type": "apiKey", "in": "query", "name": name} for name in sorted(in_query)},
            },
            "schemas": _components(rows),
        },
    }


def _components(rows: list[Route]) -> dict[str, Any]:
    structs: dict[str, Any] = {"ErrorBody": ErrorBody}
    for row in rows:
        common = row.dialect.common.values() if row.dialect is not None else ()
        for shape in (row.body, *(shape for shape, _ in (*common, *row.answers.values()))):
            for kind in shape if isinstance(shape, tuple) else (shape,):
                if isinstance(kind, type):
                    structs[kind.__name__] = kind
    _, found = msgspec.json.schema_components(structs.values(), ref_template=REFERENCES)
    components: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))  # defaults may be dates and tuples
    if CommandRequest.__name__ in components:
        _, commands = export.schemas(COMMANDS, REFERENCES)
        components[CommandRequest.__name__]["anyOf"] = [_request(commands, kind) for kind in COMMANDS]
        components = commands | components
    return components


def _request(components: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """What the body of a request for this command holds: the data of its message, whose envelope leaves `components`."""
    data = components.pop(export.model(kind).__name__)["properties"]["data"]
    shown = [example.payload["data"] for example in examples(kind) if example.payload.get("data") is not None]
    return {
        "title": f"{kind.feature}/{kind.action}",
        "properties": {
            "feature": {"const": kind.feature},
            "action": {"const": kind.action},
            "data": {**data, **({"examples": shown} if shown else {})},
        },
        "required": ["feature", "action", *(["data"] if kind.needs_data else [])],
    }


def _operation(row: Route) -> dict[str, Any]:
    words = re.findall(r"[a-z0-9]+", row.path.removeprefix("/api/v1"))
    operation: dict[str, Any] = {
        "operationId": "_".join([row.method.lower(), *words]),
        "summary": row.summary,
        "tags": [row.tag],
        "responses": {},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": PATHS[name]}
        for name in re.findall(r"\{(\w+)\}", row.path)
    ]
    parameters += _query(row.query)
    parameters += [
        {"name": name, "in": "header", "schema": schema, "description": text}
        for name, (schema, text) in row.headers.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = {"required": not row.optional_body, "content": _body(row.body)}
    if row.open:
        operation["security"] = []
    elif row.key_in_query:
        operation["security"] = [{"bearer": []}, {"key": []}, {row.key_in_query: []}]
    for status, (shape, text) in sorted(_answers(row).items()):
        headers = {name: {"schema": schema} for name, schema in HEADERS.get(status, {}).items()}
        if row.quality and status == 200:
            headers[QUALITY] = {"schema": {"type": "string", "examples": ["coverage=0.998, lag=42, late=3"]}}
        operation["responses"][str(status)] = {
            "description": text,
            **({"headers": headers} if headers else {}),
            "content": _content(shape),
        }
    return operation


def _answers(row: Route) -> dict[int, tuple[Any, str]]:
    """The row's own, then those of its dialect or of every route of ours."""
    if row.dialect is not None:
        return {**row.dialect.common, **row.answers}
    common: dict[int, str] = {}
    if row.body is not None and not row.key_in_query:
        common |= OF_A_BODY
    if not row.open and not row.key_in_query:
        common |= COMMON
    return {**{status: (None, text) for status, text in common.items()}, **row.answers}


def _body(shape: Any) -> dict[str, Any]:
    return (
        {media: {"schema": schema} for media, schema in shape.items()} if isinstance(shape, dict) else _content(shape)
    )


def _query(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    if kind is NoQuery:
        return []
    _, components = msgspec.json.schema_components([kind], ref_template=REFERENCES)
    schema = components[kind.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(inner)}
        for name, inner in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter's schema: an absent one is absent, not null."""
    if "anyOf" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    kept = [inner for inner in schema["anyOf"] if inner != {"type": "null"}]
    return {**kept[0], **rest} if len(kept) == 1 else {**rest, "anyOf": kept}


def _content(shape: Any) -> dict[str, Any]:
    if isinstance(shape, str):
        return {media: {"schema": {"type": "string"}} for media in shape.split(",")}
    if isinstance(shape, tuple):
        return {media: content for inner in shape for media, content in _content(inner).items()}
    if isinstance(shape, dict):
        return {"application/json": {"schema": shape}}
    return {"application/json": {"schema": {"$ref": REFERENCES.format(name=(shape or ErrorBody).__name__)}}}
