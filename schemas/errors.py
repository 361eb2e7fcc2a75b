"""What the schemas say when a message is not what it should be."""

from __future__ import annotations

from typing import Literal

Reason = Literal["not_json", "invalid", "bad_timestamp", "unknown_type"]


class Invalid(ValueError):
    """A payload that its kind refuses.

    `reason` is a stable word, `path` a JSON path such as `$.data[0].id` (empty when there is no place to point at),
    `detail` what was wrong and what would be right.
    """

    def __init__(self, reason: Reason, path: str, detail: str) -> None:
        super().__init__(f"{path}: {detail}" if path else detail)
        self.reason: Reason = reason
        self.path = path
        self.detail = detail
