"""Request bodies and query strings to typed values."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
from aiohttp import web
from msgspec import Struct

from bridge.errors import Unprocessable
from bridge.http.errors import BadRequest

T = TypeVar("T", bound=msgspec.Struct)

EXACT = 2**53
"""Up to here a float is as exact as an integer."""


def decode(payload: bytes, kind: type[T]) -> T:
    """`payload` as `kind`. Raises BadRequest with the byte position (not JSON) or Unprocessable with the JSON path."""
    with _reading(payload):
        return msgspec.json.decode(payload, type=kind)


def decode_loosely(payload: bytes) -> Any:
    """JSON values, as others write the same: a member that is null is absent, 30.0 is 30. Raises BadRequest."""
    with _reading(payload):
        return _plain(msgspec.json.decode(payload))


def convert(value: Any, kind: type[T]) -> T:
    """JSON values as `kind`. Raises Unprocessable with the JSON path."""
    with _reading(b""):
        return msgspec.convert(value, kind)


@contextmanager
def _reading(payload: bytes) -> Iterator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        raise Unprocessable("invalid", *_where(str(error))) from None
    except msgspec.DecodeError as error:
        raise BadRequest("not_json", _at_byte(str(error), payload)) from None
    except (UnicodeDecodeError, RecursionError) as error:
        detail = "the body is not UTF-8" if isinstance(error, UnicodeDecodeError) else "the body is nested too deep"
        raise BadRequest("not_json", detail) from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and abs(value) <= EXACT and value.is_integer() else value


def take_parameters(body: Any, kind: type[Struct], shape: type[Struct] | None) -> dict[str, Any]:
    """Query parameters of `kind` that stand in a body instead; those that its `shape` does not have too are taken out of it."""
    if not isinstance(body, dict):
        return {}
    known = _fields(shape) if shape is not None else {}
    found = {name: body[name] for name in _fields(kind) if name in body}
    for name in found:
        if name not in known:
            del body[name]
    return found


def lacks(request: web.Request, kind: type[Struct]) -> bool:
    """Whether a parameter that must be there is not in the query string."""
    given = {name.replace("-", "_") for name in request.query}
    return any(info.required and name.replace("-", "_") not in given for name, info in _fields(kind).items())


def query(
    request: web.Request,
    kind: type[T],
    loose: bool = False,
    spare: Mapping[str, Any] | None = None,
    *,
    ignoring: bool = False,
) -> T:
    """The query string as `kind`. Unknown, repeated and ill-typed parameters raise Unprocessable naming them. With `loose`
    - and _ mean the same; `spare` has what may stand elsewhere; `ignoring` lets unknown ones pass."""
    known = _fields(kind)
    values: dict[str, Any] = {}
    for written, value in request.query.items():
        name = _nearest(written, known) if loose else written
        if name not in known and ignoring:
            continue
        if name not in known:
            wanted = f"known: {', '.join(known)}" if known else "this route takes none"
            raise Unprocessable(
                "unknown_parameter", f"unknown query parameter {name[:60]!a}; {wanted}", f"?{name[:60]}"
            )
        if name in values:
            raise Unprocessable("invalid", f"query parameter {name} is given twice", f"?{name}")
        values[name] = _boolean(value) if known[name].type is bool else _literal(value, known[name].type)
    for name, value in (spare or {}).items():
        if str(values.setdefault(name, value)) != str(value):
            raise Unprocessable(
                "invalid", f"the query says {name} {values[name]!r}, the body {value!r}"[:200], f"?{name}"
            )
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        detail, path = _where(str(error))
        name = path.removeprefix("$.")
        if name in known and (choices := _choices(known[name].type)):
            detail += "; one of " + ", ".join(choices)
        raise Unprocessable("invalid", detail, f"?{name}") from None


def _nearest(name: str, known: Container[str]) -> str:
    spellings = (name, name.replace("_", "-"), name.replace("-", "_"))
    return next((spelling for spelling in spellings if spelling in known), name)


@cache
def _fields(kind: type[Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {info.encode_name: info for info in msgspec.structs.fields(kind)}


def _choices(kind: Any) -> list[str]:
    """The words of a Literal, also of one that may be absent."""
    if get_origin(kind) is Literal:
        return list(map(str, get_args(kind)))
    return [word for part in get_args(kind) for word in _choices(part)]


def _literal(text: str, kind: Any) -> str:
    """What msgspec would read as no value or as no number, made into what it refuses; text stays as it is."""
    return f"{text} " if text.lower().lstrip("+-") in _WORDS and not _takes_text(kind) else text


_WORDS = frozenset({"null", "nan", "inf", "infinity"})


@cache
def _takes_text(kind: Any) -> bool:
    return kind is str or any(_takes_text(part) for part in get_args(kind) if get_origin(kind) is not Literal)


def _boolean(text: str) -> object:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def _where(text: str) -> tuple[str, str]:
    """msgspec's `Expected `int`, got `str` - at `$.a`` to (detail, path)."""
    detail, _, path = text.partition(" - at `")
    if missing := re.fullmatch(r"Object missing required field `(.+)`", detail):
        return f"{missing[1]} is missing", f"{path.rstrip('`') or '$'}.{missing[1]}"
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", detail):
        return f"unknown key {unknown[1]}", f"{path.rstrip('`') or '$'}.{unknown[1]}"
    return detail.replace("`", ""), path.rstrip("`") or "$"


def _at_byte(text: str, payload: bytes) -> str:
    if found := re.search(r"\(byte (\d+)\)", text):
        at = int(found[1])
        line = payload.count(b"\n", 0, at) + 1
        column = at - payload.rfind(b"\n", 0, at)
        return text.replace(found[0], f"(byte {at}, line {line}, column {column})")
    return f"{text} (byte {len(payload)})"
