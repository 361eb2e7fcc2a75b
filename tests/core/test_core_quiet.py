"""Log lines that a flood cannot multiply."""

from __future__ import annotations

import logging

import pytest

from bridge.quiet import EVERY_S, Quiet


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_line_at_once_and_then_a_number(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    quiet = Quiet(logging.getLogger("flood"), clock)
    for number in range(1000):
        quiet.warn("knock", "from %d", number)
    quiet.warn("other", "something %s", "else")
    quiet.tell()
    assert lines(caplog) == ["from 0", "something else"]
    clock.now += EVERY_S
    quiet.tell()
    assert lines(caplog) == ["knock: 999 more in the last 60 s"]
    quiet.warn("knock", "again")
    quiet.warn("other", "at once: nothing was left out of it")
    assert lines(caplog) == ["at once: nothing was left out of it"]
    clock.now += EVERY_S * 2
    quiet.tell()
    assert lines(caplog) == ["knock: 1 more in the last 120 s"]
    clock.now += EVERY_S
    quiet.tell()
    quiet.tell()
    assert lines(caplog) == []
    assert not quiet._sorts


def test_without_anybody_who_tells_the_number_comes_with_the_next_warning(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    quiet = Quiet(logging.getLogger("flood"), clock)
    for _ in range(5):
        quiet.warn("knock", "first")
    clock.now += 300
    quiet.warn("knock", "second")
    assert lines(caplog) == ["first", "knock: 4 more in the last 300 s"]
    clock.now += 300
    quiet.warn("knock", "third")
    assert lines(caplog) == ["knock: 1 more in the last 300 s"]
    clock.now += 50
    quiet.tell()
    assert lines(caplog) == []


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found
