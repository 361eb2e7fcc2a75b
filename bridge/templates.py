"""JSON texts with places to fill in: `{"id": "{asset}", "at": "{timestamp}", "label": "unit {device}"}`.

A string that is nothing but one place becomes the value with its own JSON type; within a longer string, or as a key, a value
is put in as text. `{{` and `}}` are braces. A text is read once; what is wrong with it is said with its JSON path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

ROW_NAMES: Final = (
    ("asset", "device", "timestamp", "seconds", "time", "point", "value", "unit", "values"),
    ("values",),
)
BATCH_NAMES: Final = (("rows", "count"), ("rows",))
"""What a sink's templates may name, and what of that stands alone."""

Values = Mapping[str, Any]
Piece = bytes | Callable[[Values], bytes]

_encode = msgspec.json.Encoder().encode
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """What is wrong, and at which JSON path."""


class Template:
    """`text` read, with the names that may stand in it; those of `whole` stand alone, for they are no text. `used` are those
    that it has."""

    def __init__(self, text: str, names: Collection[str], whole: Collection[str] = ()) -> None:
        try:
            tree = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            raise TemplateError(f"not JSON: {error}") from None
        self._names, self._whole = tuple(names), frozenset(whole)
        self.used: set[str] = set()
        self._pieces: list[Piece] = []
        self._add(tree, "$")
        self._pieces = _joined(self._pieces)

    def render(self, values: Values) -> bytes:
        """JSON with the values in their places. A value of type msgspec.Raw is put in as it is."""
        return b"".join([piece if isinstance(piece, bytes) else piece(values) for piece in self._pieces])

    def _add(self, node: Any, path: str) -> None:
        if isinstance(node, dict):
            self._between(b"{}", [(key, path, value, f"{path}.{key}") for key, value in node.items()])
        elif isinstance(node, list):
            self._between(b"[]", [(None, path, value, f"{path}[{index}]") for index, value in enumerate(node)])
        elif isinstance(node, str):
            self._pieces.append(self._string(node, path, alone=True))
        else:
            self._pieces.append(_encode(node))

    def _between(self, marks: bytes, items: list[tuple[str | None, str, Any, str]]) -> None:
        self._pieces.append(marks[:1])
        for number, (key, at, value, path) in enumerate(items):
            self._pieces.append(b"," if number else b"")
            if key is not None:
                self._pieces += [self._string(key, at, alone=False), b":"]
            self._add(value, path)
        self._pieces.append(marks[1:])

    def _string(self, text: str, path: str, *, alone: bool) -> Piece:
        parts = self._parts(text, path)
        places = [part for part in parts if isinstance(part, _Place)]
        if not places:
            return _encode("".join(str(part) for part in parts))
        if alone and len(parts) == 1:
            name = places[0].name
            return lambda values: _encode(values[name])
        for place in places:
            if place.name in self._whole:
                raise TemplateError(f"{path}: {{{place.name}}} has to be a value of its own, with nothing beside it")
        return lambda values: _encode(
            "".join(_text(values[part.name]) if isinstance(part, _Place) else part for part in parts)
        )

    def _parts(self, text: str, path: str) -> list[str | _Place]:
        parts: list[str | _Place] = []
        at = 0
        for found in _TOKEN.finditer(text):
            if found.start() > at:
                parts.append(text[at : found.start()])
            at = found.end()
            if found[0] in ("{{", "}}"):
                parts.append(found[0][0])
            elif found[1] is None:
                raise TemplateError(f"{path}: a lone {found[0]} in {text!r}; {found[0] * 2} is the character itself")
            elif found[1] not in self._names:
                raise TemplateError(f"{path}: {found[0]} is no place; there are {', '.join(self._names)}")
            else:
                self.used.add(found[1])
                parts.append(_Place(found[1]))
        if at < len(text):
            parts.append(text[at:])
        return parts


class _Place:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbours that never change, as one."""
    found: list[Piece] = []
    for piece in pieces:
        if found and isinstance(piece, bytes) and isinstance(found[-1], bytes):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def row_template(text: str) -> Template:
    """A sink's row: a reading, or a sample with all its values. Raises TemplateError."""
    found = Template(text, *ROW_NAMES)
    single = sorted(found.used & {"point", "value", "unit"})
    if "values" in found.used and single:
        raise TemplateError(f"{{values}} is a whole sample, {{{single[0]}}} one reading of it: one or the other")
    if not found.used & {"values", "value"}:
        raise TemplateError("neither {value} nor {values} stands in it")
    return found


def batch_template(text: str) -> Template:
    """What is around a sink's rows. Raises TemplateError."""
    found = Template(text, *BATCH_NAMES)
    if "rows" not in found.used:
        raise TemplateError("{rows} does not stand in it")
    return found
