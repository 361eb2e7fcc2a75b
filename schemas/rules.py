"""What fields of one Struct ask of each other, as JSON Schema. A Struct says it as `rules`, beside the code that checks it."""

from __future__ import annotations

from itertools import combinations
from typing import Any

Rule = dict[str, Any]


def any_of(*names: str) -> Rule:
    """At least one of these fields is there."""
    return {"anyOf": [{"required": [name]} for name in names]}


def by_value(name: str, value: int, *wanted: str, otherwise: tuple[str, ...]) -> Rule:
    """Where `name` has the value, `wanted` are required, else `otherwise`."""
    return {
        "if": {"properties": {name: {"const": value}}},
        "then": {"required": list(wanted)},
        "else": {"required": list(otherwise)},
    }


def one_of(*lists: str, flag: str, needed: bool) -> Rule:
    """At most one of the lists and the flag says something, and one must where it is `needed`. [] and false say nothing."""
    said: list[Rule] = [{"required": [name], "properties": {name: {"minItems": 1}}} for name in lists]
    said.append({"required": [flag], "properties": {flag: {"const": True}}})
    if needed:
        return {"oneOf": said}
    return {"not": {"anyOf": [{"allOf": list(pair)} for pair in combinations(said, 2)]}}
