"""What an answer of a sink means: taken, refused, or to be tried again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bridge.mirror.retry import refused


class Refusal(NamedTuple):
    """A status that says that the rows are not wanted, and the beginning of what came with it."""

    status: int
    text: str


class Partial(NamedTuple):
    """Some rows were taken: those at `bad` were refused, those at `again` have to be posted once more (positions in the
    request). Fewer are posted again than came."""

    bad: Sequence[int]
    again: Sequence[int]
    refusal: Refusal


class Failure(NamedTuple):
    """An attempt to repeat. `wait` is what the sink asked for, s; `login` means that it did not accept who we are."""

    cause: str
    wait: float = 0.0
    login: bool = False


Answer = Refusal | Partial | Failure | None
"""None: everything was taken."""

EXCERPT = 500
"""Characters of a refusal that are kept: enough to say which field was wrong."""


def by_status(status: int, text: str, wait: float) -> Answer:
    """What a status alone says."""
    if 200 <= status < 300:
        return None
    if refused(status):
        return Refusal(status, text[:EXCERPT])
    return Failure(f"HTTP {status}", wait, status in (401, 403))
