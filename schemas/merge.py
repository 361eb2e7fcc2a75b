"""What the Structs do not know of a payload: named, and merged back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs


def merge(raw: Any, known: Any) -> Any:
    """`known` values in the order of `raw`, with everything of `raw` that `known` lacks."""
    if isinstance(raw, dict) and isinstance(known, dict):
        return {key: merge(value, known[key]) if key in known else value for key, value in raw.items()}
    if isinstance(raw, list) and isinstance(known, list) and len(raw) == len(known):
        return [merge(one, other) for one, other in zip(raw, known, strict=True)]
    return known


def unknown(raw: Any, value: Any, path: str = "$") -> Iterator[str]:
    """JSON paths of the keys of `raw` that the Structs of `value` have no field for."""
    if isinstance(raw, dict) and isinstance(value, Struct):
        names = {field.encode_name: field.name for field in structs.fields(value)}
        tag = value.__struct_config__.tag_field
        for key, inner in raw.items():
            if key in names:
                yield from unknown(inner, getattr(value, names[key]), f"{path}.{key}")
            elif key != tag:
                yield f"{path}.{key}"
    elif isinstance(raw, list) and isinstance(value, list):
        for index, (one, other) in enumerate(zip(raw, value, strict=False)):
            yield from unknown(one, other, f"{path}[{index}]")
