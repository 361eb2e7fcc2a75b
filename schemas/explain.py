"""msgspec's errors told as Invalid: the JSON path of the field itself, what was wrong, what would be right."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from schemas.errors import Invalid, Reason

FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that decoding may raise. A ValidationError is a DecodeError."""

_SHOWN = 24
"""Known keys listed when a key is unknown; more would hide the answer."""


def explain(error: Exception, model: Any, root: str = "$") -> Invalid:
    """The Invalid that `error`, raised while decoding into `model`, means. Paths start at `root`."""
    if isinstance(error, msgspec.ValidationError):
        return _wrong_value(str(error), model, root)
    if isinstance(error, UnicodeDecodeError):
        return Invalid("not_json", "", f"not UTF-8: {error.reason} at byte {error.start}")
    if isinstance(error, RecursionError):
        return Invalid("not_json", "", "nested too deeply")
    return Invalid("not_json", "", f"not JSON: {error}; expected one JSON object")


def depth(path: str) -> int:
    """How far into the document a path points: of several readings of one payload the deepest error tells most."""
    return path.count(".") + path.count("[")


_PARTS = re.compile(r"(?s)(.*?)(?: - at `(key in )?(\$.*)`)?")
_FIELD = re.compile(r"(?s)Object (missing required|contains unknown) field `(.*)`")
_POINTED = re.compile(r"(?s)field '(\w+)' (.*)")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_REASONS: dict[str, Reason] = {"$.timestamp": "bad_timestamp", "$.type": "unknown_type"}


def _wrong_value(text: str, model: Any, root: str) -> Invalid:
    match = _PARTS.fullmatch(text)
    detail, path = (match[1], match[3] or "$") if match else (text, "$")
    if field := _FIELD.fullmatch(detail):
        missing = field[1] == "missing required"
        detail = "required, but missing" if missing else f"unknown key; known are {_known(model, path)}"
        path = f"{path}.{field[2]}"
    elif pointed := _POINTED.fullmatch(detail):
        path, detail = f"{path}.{pointed[1]}", pointed[2]
    elif detail.startswith(("Invalid enum value", "Invalid value")):
        detail += f"; expected {_allowed(model, path)}"
    path = root + path[1:]
    reason = _REASONS.get(path, "invalid")
    if reason == "bad_timestamp":
        detail += "; expected milliseconds since 1970 as a positive integer"
    return Invalid(reason, path, detail)


def _known(model: Any, path: str) -> str:
    names = sorted({field.encode_name for spot in _at(model, path) for field in getattr(spot, "fields", ())})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more


def _allowed(model: Any, path: str) -> str:
    found = [value for spot in _at(model, path) if isinstance(spot, inspect.LiteralType) for value in spot.values]
    if not found and path.endswith(".type"):
        owners = _at(model, path.removesuffix(".type"))
        found = [spot.tag for spot in owners if isinstance(spot, inspect.StructType) and spot.tag is not None]
    return f"one of {', '.join(map(str, found))}" if found else "another"


def _at(model: Any, path: str) -> list[inspect.Type]:
    """The types that may stand at `path`, unions taken apart."""
    spots = _apart(inspect.type_info(model))
    for step in _STEP.finditer(path):
        inside: list[inspect.Type] = []
        for spot in spots:
            if step[1] is not None and isinstance(spot, inspect.StructType):
                inside += [field.type for field in spot.fields if field.encode_name == step[1]]
            elif step[1] is None and isinstance(spot, inspect.ListType):
                inside.append(spot.item_type)
        spots = [part for spot in inside for part in _apart(spot)]
    return spots


def _apart(spot: inspect.Type) -> list[inspect.Type]:
    if isinstance(spot, inspect.Metadata):
        return _apart(spot.type)
    if isinstance(spot, inspect.UnionType):
        return [part for one in spot.types for part in _apart(one)]
    return [spot]
