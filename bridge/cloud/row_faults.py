"""What is wrong with a row of readings, and where in it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

_AT = re.compile(r"(.*) - at `(.*)`", re.DOTALL)
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Bad(Exception):
    """What is wrong with a row, and where."""

    def __init__(self, path: str, detail: str) -> None:
        super().__init__(detail)
        self.path = path
        self.detail = detail


def explained(body: bytes, error: Exception) -> Bad:
    """Where in the row the mistake is, and what it is."""
    if isinstance(error, msgspec.ValidationError):
        found = _AT.fullmatch(str(error))
        detail, path = found.groups() if found else (str(error), "$")
        if path == "$.values[...]":
            path = _bad_value(body) or path
        if detail.startswith("Object missing required field"):
            path = f"{path}.{detail.split('`')[1]}"
        return Bad(path, detail)
    try:
        path = _not_finite(json.loads(body), "$")
    except RecursionError:
        return Bad("$", "nested too deeply")
    except ValueError as told:
        return Bad("$", f"not JSON: {told}")
    return Bad(path, "not a finite number") if path else Bad("$", f"not JSON: {error}")


def _bad_value(body: bytes) -> str | None:
    try:
        values = json.loads(body, strict=False)["values"]
    except (ValueError, RecursionError):
        return None
    for point, value in values.items() if isinstance(values, dict) else ():
        try:
            msgspec.convert(value, float | None)
        except msgspec.ValidationError:
            return f"$.values.{_sayable(point)}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"$.values.{_sayable(point)}"
    return None


def _sayable(key: str) -> str:
    """A key as an answer can carry it: Python's reader takes half a surrogate pair, UTF-8 has none."""
    return key[:128].encode("utf-8", "replace").decode()


def _not_finite(value: Any, path: str) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found = _not_finite(item, f"{path}.{_sayable(key)}" if isinstance(key, str) else f"{path}[{key}]")
        if found:
            return found
    return ""
