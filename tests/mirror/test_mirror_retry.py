"""When to try again, and whether."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mirror.retry import FIRST_S, LONGEST_ASKED_S, LONGEST_S, backoff, refused, retry_after


@given(st.integers(0, 10_000), st.integers())
def test_the_wait_doubles_to_a_bound_with_jitter(attempt: int, seed: int) -> None:
    whole = min(LONGEST_S, FIRST_S * 2 ** min(attempt, 60))
    assert whole / 2 <= backoff(attempt, Random(seed)) <= whole


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("3", 3),
        ("2.5", 2.5),
        ("0", 0),
        ("-1", 0),
        ("nan", 0),
        ("inf", LONGEST_ASKED_S),
        ("1e9", LONGEST_ASKED_S),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:02:00 -0000", 20),
        ("soon", 0),
        ("99 Foo 1970", 0),
    ],
)
def test_retry_after(value: str | None, seconds: float) -> None:
    assert retry_after(value, 100.0) == seconds


def test_which_statuses_blame_the_rows() -> None:
    assert [status for status in range(100, 600) if refused(status)] == [
        status for status in range(400, 500) if status not in (401, 403, 404, 405, 407, 408, 425, 429)
    ]
