"""One message or more of each kind, for the documents: the vendor's own samples, and ours where it prints none."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import msgspec

from schemas.kind import Kind


class Example(NamedTuple):
    """`source` is the vendor's page and file, or "" where the example is ours."""

    source: str
    payload: Any


def examples(kind: Kind) -> tuple[Example, ...]:
    """The kind's examples, the vendor's first."""
    return tuple(Example(source, payload) for source, payload in _read().get(kind.key, ()))


@cache
def _read() -> dict[str, list[tuple[str, Any]]]:
    text = resources.files("schemas").joinpath("examples.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, list[tuple[str, Any]]])
