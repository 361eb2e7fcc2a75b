"""The contract as documents: JSON Schema of every message, AsyncAPI 3 of the whole table.

Commands are shown as a platform must send them (strict), posts and results as devices may send them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.kind import Kind
from schemas.kinds import KINDS, find, result_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI = "3.0.0"
TITLE = "ems-bridge devices"

Document = dict[str, Any]


def jsonschema(kind: Kind) -> Document:
    """JSON Schema 2020-12 of one kind's message, envelope included."""
    return {"$schema": DIALECT, **msgspec.json.schema(_model(kind))}


def jsonschemas() -> dict[str, Document]:
    """JSON Schema of every message, by the kind's key."""
    return {kind.key: jsonschema(kind) for kind in KINDS}


def asyncapi(version: str = "1") -> Document:
    """AsyncAPI 3 of all topics and messages, from where a platform stands: it sends commands, receives posts and results."""
    schemas, components = msgspec.json.schema_components(
        [_model(kind) for kind in KINDS], ref_template="#/components/schemas/{name}"
    )
    suffixes = tuple(dict.fromkeys(suffix for kind in KINDS for suffix in (kind.suffix, *kind.also)))
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": TITLE, "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {_word(suffix): _channel(suffix) for suffix in suffixes},
        "operations": {_word(suffix): _operation(suffix) for suffix in suffixes},
        "components": {
            "messages": {_name(kind): _message(kind, schema) for kind, schema in zip(KINDS, schemas, strict=True)},
            "parameters": _PARAMETERS,
            "schemas": components,
        },
    }


_DESCRIPTION = (
    "Topics are {prefix}/{device}/{feature}/{action}/{kind}. Prefixes shown are v1 and v2 of the schemes wudun and user; "
    "a configuration may name others. Devices are read tolerantly, commands strictly."
)

_PARAMETERS: Document = {
    "version": {"description": "Version of the scheme.", "enum": ["v1", "v2"]},
    "scheme": {"description": "wudun: by product key; user: by tenant.", "enum": ["wudun", "user"]},
    "owner": {"description": "The product key or the tenant."},
    "device": {"description": "uid of the device that owns the connection."},
}


def _model(kind: Kind) -> Any:
    return kind.strict_model if kind.kind == "command" else kind.model


def _name(kind: Kind) -> str:
    return str(kind.model.__name__)


def _word(suffix: str) -> str:
    return suffix.replace("/", "_")


def _channel(suffix: str) -> Document:
    return {
        "address": f"{{version}}/{{scheme}}/{{owner}}/{{device}}/{suffix}",
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in _PARAMETERS},
        "messages": {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"} for kind in find(suffix)},
    }


def _operation(suffix: str) -> Document:
    kinds = find(suffix)
    operation: Document = {
        "action": "send" if kinds[0].kind == "command" else "receive",
        "channel": {"$ref": f"#/channels/{_word(suffix)}"},
        "messages": [_reference(suffix, kind) for kind in kinds],
    }
    answer = result_of(kinds[0])
    if answer is not None:
        operation["reply"] = {
            "channel": {"$ref": f"#/channels/{_word(answer.suffix)}"},
            "messages": [_reference(answer.suffix, answer)],
        }
    return operation


def _reference(suffix: str, kind: Kind) -> Document:
    return {"$ref": f"#/channels/{_word(suffix)}/messages/{_name(kind)}"}


def _message(kind: Kind, schema: Document) -> Document:
    field = "reply" if kind.kind == "result" else "mid"
    return {
        "name": kind.type,
        "title": kind.key,
        "contentType": "application/json",
        "correlationId": {"location": f"$message.payload#/{field}"},
        "payload": schema,
    }
