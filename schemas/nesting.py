"""How deep a JSON document is nested: what is read here is read, merged and written again elsewhere, on stacks with less room."""

from __future__ import annotations

import re
from itertools import accumulate

DEEPEST = 200
"""Levels of arrays and objects; the vendor's own messages have seven."""


def too_deep(payload: bytes) -> bool:
    """Whether a document that is JSON has more levels than DEEPEST. Cheap where it has fewer brackets than that."""
    if payload.count(b"[") + payload.count(b"{") <= DEEPEST:
        return False
    steps = _STRINGS.sub(b"", payload).translate(_STEPS, _OTHERS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > DEEPEST


_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))
