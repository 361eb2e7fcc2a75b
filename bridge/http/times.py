"""Timestamps of queries: epoch milliseconds or ISO 8601 with an offset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bridge.errors import Unprocessable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = 100_000_000_000, 253_402_300_800_000
"""1973 and the end of year 9999: smaller numbers are seconds by mistake."""


def milliseconds(text: str | None, name: str) -> int | None:
    """Epoch milliseconds of query parameter `name`; None stays None. Raises Unprocessable."""
    if text is None:
        return None
    path = f"?{name}"
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        value = int(text) if len(text) <= 16 else LAST
        if not FIRST <= value < LAST:
            raise Unprocessable("bad_timestamp", f"{text[:20]} is no epoch time in milliseconds since 1973", path)
        return value
    moment = _parsed(text)
    if moment is None and " " in text:  # an unescaped + arrives as a space
        head, _, offset = text.rpartition(" ")
        moment = _parsed(f"{head}+{offset}") if "T" in head else None
    if moment is None:
        wanted = "epoch milliseconds or ISO 8601 with an offset, such as 2024-06-01T00:00:00+02:00 (+ written %2B)"
        raise Unprocessable("bad_timestamp", f"{text[:40]!r} is no time: {wanted}", path)
    if moment.tzinfo is None:
        raise Unprocessable("bad_timestamp", f"{text[:40]!r} has no offset: end it with Z or +HH:MM", path)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
