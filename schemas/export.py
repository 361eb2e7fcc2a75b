"""JSON Schema 2020-12 of every message. Commands are shown as a platform must send them (strict), posts and results as devices
may send them.

What the decoders ask beyond the types of the fields stands in the schemas too: the rules of a Struct (`rules.py`), and the
entries of unknown types that a loose reading takes. JSON Schema cannot say that 1.0 is no integer here, that a key may come
once, or how long a number may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from schemas.examples import examples
from schemas.kind import Kind
from schemas.kinds import KINDS, find

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCES = "#/$defs/{name}"

Document = dict[str, Any]


def jsonschema(kind: Kind) -> Document:
    """JSON Schema 2020-12 of one kind's message, envelope included."""
    _, found = schemas((kind,), REFERENCES)
    name = model(kind).__name__
    body = found.pop(name)
    shown = [example.payload for example in examples(kind)]
    return {"$schema": DIALECT, **body, **({"examples": shown} if shown else {}), "$defs": found}


def jsonschemas() -> dict[str, Document]:
    """JSON Schema of every message, by the kind's key."""
    return {kind.key: jsonschema(kind) for kind in KINDS}


def model(kind: Kind) -> Any:
    """The Struct that the documents show of a kind."""
    return kind.strict_model if kind.kind == "command" else kind.model


def schemas(kinds: tuple[Kind, ...], references: str) -> tuple[list[Document], dict[str, Document]]:
    """(a reference to each kind's schema, all schemas by name), which refer to each other by `references`."""
    refs, components = msgspec.json.schema_components([model(kind) for kind in kinds], ref_template=references)
    for kind in kinds:
        for struct in (kind.data, *get_args(kind.data)):
            rules = getattr(struct, "rules", ())
            if rules:
                components[struct.__name__]["allOf"] = list(rules)
        if kind.loose is not None:
            _let_in_others(components[model(kind).__name__], kind)
    for component in components.values():
        for union in _unions(component):
            del union["discriminator"]  # OpenAPI's; each alternative says its own type anyway
    return list(refs), components


def _let_in_others(schema: Document, kind: Kind) -> None:
    """An entry of a type that no table lists is taken as it came: in an array, what this kind does not know; alone, what no
    kind of the topic knows."""
    mine = {name for union in _unions(schema) for name in union["discriminator"]["mapping"]}
    for array in (node for node in _nodes(schema) if "discriminator" in node.get("items", {})):
        array["items"]["anyOf"].append(_other(mine))
    inside = [id(node["items"]) for node in _nodes(schema) if "items" in node]
    known = mine.union(*(_types(twin) for twin in find(kind.suffix)))
    for union in _unions(schema):
        if id(union) not in inside:
            union["anyOf"].append(_other(known))


def _types(kind: Kind) -> set[str]:
    """The types of entries that a kind's body is told apart by."""
    return {
        name for union in _unions(msgspec.json.schema(kind.model)) for name in union["discriminator"].get("mapping", ())
    }


def _other(known: set[str]) -> Document:
    return {
        "type": "object",
        "description": "An entry of a type that no table lists, kept as it came.",
        "properties": {"type": {"type": "string", "not": {"enum": sorted(known)}}},
        "required": ["type"],
    }


def _unions(schema: Document) -> list[Document]:
    return [node for node in _nodes(schema) if "discriminator" in node]


def _nodes(node: Any) -> Iterator[Document]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)
