"""The states of a command and how it may move: the whole rule as one table (PRODUCT.md §4.3)."""

from __future__ import annotations

import msgspec

from schemas.notices import OPEN

MOVES: dict[str, tuple[str, ...]] = {
    # state: from where it may be reached
    "sent": ("accepted",),
    "accepted": ("sent",),  # the device went away before a byte was written: it waits again
    "delivered": ("sent",),
    "succeeded": ("sent", "delivered"),
    "rejected": ("sent", "delivered"),
    "timed_out": ("sent", "delivered"),
    "late_succeeded": ("timed_out",),
    "late_rejected": ("timed_out",),
    "expired": ("accepted",),
    "undeliverable": ("accepted",),
    "cancelled": ("accepted",),
}
STATES = ("accepted", *(state for state in MOVES if state != "accepted"))
TERMINAL = frozenset(STATES) - frozenset(OPEN)

FROM = {state: msgspec.json.encode(sources).decode() for state, sources in MOVES.items()}
"""The same, as the JSON lists that the ledger's conditional UPDATE takes."""


def is_terminal(state: str) -> bool:
    """Whether a command in this state has its outcome."""
    return state in TERMINAL
