"""The OpenAPI 3.1 document, made from the rows of the route table and their Structs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from bridge.http.errors import ErrorBody
from bridge.http.table import NoQuery, Route

REFERENCES = "#/components/schemas/{name}"
COMMON = {401: "no key, or a wrong one", 422: "a parameter or the body is not what it should be"}


def openapi(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of `routes`."""
    rows = list(routes)
    structs: dict[str, Any] = {"ErrorBody": ErrorBody}
    for row in rows:
        common = row.dialect.common.values() if row.dialect is not None else ()
        for shape in (row.body, *(shape for shape, _ in (*common, *row.answers.values()))):
            for kind in shape if isinstance(shape, tuple) else (shape,):
                if isinstance(kind, type):
                    structs[kind.__name__] = kind
    _, components = msgspec.json.schema_components(structs.values(), ref_template=REFERENCES)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EMS bridge",
            "version": version,
            "description": "Devices, commands, readings and dead letters. Times are epoch milliseconds.",
        },
        "security": [{"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": components,
        },
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
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", row.path)
    ]
    parameters += _query(row.query)
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = {"required": True, "content": _body(row.body)}
    answers = {**(row.dialect.common if row.dialect is not None else {}), **row.answers}
    if row.open:
        operation["security"] = []
    elif row.dialect is None:
        for status, text in COMMON.items():
            answers.setdefault(status, (None, text))
    if row.body is not None and row.dialect is None:
        answers.setdefault(400, (None, "not JSON"))
        answers.setdefault(413, (None, "the body is too large"))
    for status, (shape, text) in sorted(answers.items()):
        operation["responses"][str(status)] = {"description": text, "content": _content(shape)}
    return operation


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
