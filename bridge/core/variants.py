"""Which of several reports on one topic a message is."""

from __future__ import annotations

from schemas.envelope import Message
from schemas.kinds import Kind

VARIANTS = 10_000
"""Shapes of reports that are remembered."""
LONGEST = 512
"""Characters of one that is remembered: its words are the sender's."""

_variants: dict[tuple[object, ...], str] = {}


def variant(kind: Kind, message: Message) -> str:
    """Which of several reports on one topic this is: its shape, entry types and sub-device. Each keeps its newest."""
    data = message.data
    entries = data if data.__class__ is list else (data,)
    types = tuple([getattr(entry, "type", None) for entry in entries])
    sub_device = message.sub_device_uid or message.sub_device_id or ""
    key = (kind.key, types, sub_device)
    known = _variants.get(key)
    if known is None:
        known = _variant(*key)
        if len(_variants) >= VARIANTS:
            _variants.clear()
        if len(known) <= LONGEST:
            _variants[key] = known
    return known


def _variant(key: str, types: tuple[object, ...], sub_device: object) -> str:
    words = sorted({word for word in types if isinstance(word, str)})
    _, _, form = key.partition(":")
    return ":".join(part for part in (form, "+".join(words), str(sub_device)) if part)
