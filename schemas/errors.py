"""What the schemas say when a message is not what it should be."""

from __future__ import annotations

from typing import Literal

Reason = Literal["not_json", "invalid", "bad_timestamp", "unknown_type"]

LONGEST_PATH = 200
LONGEST_DETAIL = 600
"""Characters kept: both may quote what a sender wrote, and both are stored and sent back."""


class Invalid(ValueError):
    """A payload that its kind refuses.

    `reason` is a stable word, `path` a JSON path such as `$.data[0].id` (empty when there is no place to point at),
    `detail` what was wrong and what would be right.
    """

    def __init__(self, reason: Reason, path: str, detail: str) -> None:
        path, detail = _cut(path, LONGEST_PATH), _cut(detail, LONGEST_DETAIL)
        super().__init__(f"{path}: {detail}" if path else detail)
        self.reason: Reason = reason
        self.path = path
        self.detail = detail


def at_field(name: str, detail: str) -> ValueError:
    """What a Struct's `__post_init__` raises when one of its fields is wrong: explain.py points at that field."""
    return ValueError(f"field {name!r} {detail}")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
