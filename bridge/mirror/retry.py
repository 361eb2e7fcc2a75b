"""When to try again, and whether: pure."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random

FIRST_S = 0.5
LONGEST_S = 30.0
"""A sink that comes back is noticed within half a minute."""
LONGEST_ASKED_S = 3_600.0
"""A Retry-After beyond an hour is taken for a mistake."""

AGAIN = frozenset({408, 425, 429})
ADDRESS = frozenset({401, 403, 404, 405, 407})
"""The sink refuses us or the address, not a row: cutting the batch would bury every reading while a token is out of date."""


def refused(status: int) -> bool:
    """Whether the sink refuses what is in the batch; any other failure is tried again as it is."""
    return 400 <= status < 500 and status not in AGAIN and status not in ADDRESS


def backoff(attempt: int, random: Random) -> float:
    """Seconds to wait after failure number `attempt` (from 0): doubling, between half and all of it."""
    return min(LONGEST_S, FIRST_S * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)


def retry_after(value: str | None, now: float) -> float:
    """Seconds that a Retry-After header asks for: a number, or an HTTP date against `now` (epoch s); 0 when it asks nothing."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return 0.0
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), LONGEST_ASKED_S) if seconds == seconds else 0.0
