"""Failed logins and what they cost, on a clock of the tests' own; chosen passwords and their checks."""

from __future__ import annotations

import asyncio

import pytest

from bridge.core import secrets
from bridge.core.attempts import (
    CALM_S,
    PER_ADDRESS,
    PER_ADDRESS_LOCAL,
    REMEMBERED,
    WINDOW_S,
    AttemptLimits,
    Attempts,
)
from bridge.core.passwords import CHECKS, KNOWN, WAITING, WAITING_ALL, Passwords
from bridge.core.peer import LOCAL_SOCKET
from bridge.errors import Exhausted

HOST = "192.0.2.1"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(attempts: Attempts, times: int, host: str = HOST, name: str | None = "a") -> list[str]:
    return [attempts.failed(host, name) for _ in range(times)]


def test_a_ban_begins_ends_grows_and_is_forgotten_after_a_calm(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=3, ban_s=10, ban_max_s=35), clock)
    for seconds in (10, 20, 35, 35):
        assert fail(attempts, 3) == ["", "", "user"]
        assert attempts.banned(HOST, "a") == "user"
        clock.now += seconds - 0.1
        assert attempts.banned(HOST, "a") == "user"
        clock.now += 0.2
        assert attempts.banned(HOST, "a") == ""
    clock.now += CALM_S
    assert fail(attempts, 3)[-1] == "user"
    clock.now += 10.1
    assert attempts.banned(HOST, "a") == ""


def test_failures_count_within_a_window_and_a_login_forgets_them(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=3), clock)
    for _ in range(10):
        assert fail(attempts, 2) == ["", ""]
        clock.now += WINDOW_S + 0.1
    for _ in range(10):
        assert fail(attempts, 2) == ["", ""]
        attempts.succeeded(HOST, "a")


def test_what_was_under_way_when_a_ban_began_does_not_lengthen_it(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=3, ban_s=10), clock)
    assert fail(attempts, 50).count("user") == 1
    clock.now += 10.1
    assert attempts.banned(HOST, "a") == ""


def test_other_names_and_other_addresses_go_on(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=3), clock)
    fail(attempts, 3)
    assert attempts.banned(HOST, "b") == attempts.banned("192.0.2.2", "a") == attempts.banned(HOST, None) == ""


@pytest.mark.parametrize(("host", "most"), [(HOST, PER_ADDRESS), ("127.0.0.1", PER_ADDRESS_LOCAL), ("::1", 1000)])
def test_an_address_that_tries_many_names_is_banned_but_not_who_logged_in_there_before(
    clock: Clock, host: str, most: int
) -> None:
    attempts = Attempts(AttemptLimits(ban_s=10), clock)
    attempts.succeeded(host, "good")
    found = [attempts.failed(host, f"name{number}") for number in range(most)]
    assert found == [""] * (most - 1) + ["address"]
    assert attempts.banned(host, "new") == attempts.banned(host, None) == "address"
    assert attempts.banned(host, "good") == ""
    clock.now += 10.1
    assert attempts.banned(host, "new") == ""


def test_keys_without_a_name_count_for_the_address(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_address=4), clock)
    assert fail(attempts, 4, name=None) == ["", "", "", "address"]
    assert attempts.banned(HOST, "anybody") == "address"


def test_a_v6_network_is_one_address(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=3), clock)
    assert [attempts.failed(f"2001:db8::{number}", "a") for number in (1, 2, 3)][-1] == "user"
    assert attempts.banned("2001:db8::ffff", "a") == "user"
    assert attempts.banned("2001:db8:0:1::1", "a") == ""


def test_a_unix_socket_is_no_address(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=3, per_address=5), clock)
    assert fail(attempts, 3, LOCAL_SOCKET)[-1] == "user"
    for number in range(50):
        assert attempts.failed(LOCAL_SOCKET, f"name{number}") == ""
    assert attempts.banned(LOCAL_SOCKET, "new") == ""


def test_a_changed_secret_ends_the_bans_of_names(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=1, per_address=2), clock)
    fail(attempts, 1, name="a")
    fail(attempts, 1, name="b")
    attempts.credentials_changed()
    assert attempts.banned(HOST, "a") == "address", "who guesses from there still waits"
    assert attempts.banned("192.0.2.2", "a") == ""


def test_memory_is_bounded_also_with_names_of_64_kilobytes(clock: Clock) -> None:
    attempts = Attempts(AttemptLimits(per_user=2), clock)
    for number in range(REMEMBERED + 100):
        host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        attempts.failed(host, f"{number}" + "x" * 60_000)
        attempts.succeeded(host, "good")
    sizes = [len(kept) for kept in (attempts._pairs, attempts._places, attempts._good)]
    assert sizes == [REMEMBERED] * 3
    assert max(len(name) for _, name in attempts._pairs) <= 128
    assert fail(attempts, 2, name="y" * 60_000)[-1] == "user"
    assert attempts.banned(HOST, "y" * 60_000) == "user"


@pytest.fixture(scope="module")
def stored() -> str:
    return asyncio.run(secrets.hash_password("right"))


async def test_a_password_that_was_right_costs_no_second_check(stored: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords()
    assert await passwords.check("a", "right", stored)
    assert not await passwords.check("a", "wrong", stored)
    checks: list[str] = []

    async def check(password: str, _stored: str) -> bool:
        checks.append(password)
        return False

    monkeypatch.setattr(secrets, "check_password", check)
    assert await passwords.check("a", "right", stored)
    assert checks == []
    assert not await passwords.check("b", "right", stored), "remembered for the name that it opened"
    assert not await passwords.check("a", "right", "another hash"), "a changed password opens no more"
    assert checks == ["right", "right"]


async def test_checks_are_bounded_by_name_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, running, most = asyncio.Event(), 0, 0

    async def check(password: str, _stored: str) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        return password == "right"

    monkeypatch.setattr(secrets, "check_password", check)
    passwords = Passwords()
    guesses = [asyncio.create_task(passwords.check("a", f"guess{number}", "h")) for number in range(10)]
    await asyncio.sleep(0)
    refused = [guess for guess in guesses if guess.done()]
    assert len(refused) == 10 - WAITING
    for guess in refused:
        with pytest.raises(Exhausted, match="try again later"):
            guess.result()
    others = [asyncio.create_task(passwords.check(f"n{number}", "right", "h")) for number in range(WAITING_ALL)]
    await asyncio.sleep(0)
    assert sum(other.done() for other in others) == WAITING
    go_on.set()
    found = await asyncio.gather(*guesses, *others, return_exceptions=True)
    assert found.count(True) == WAITING_ALL - WAITING
    assert most == CHECKS
    assert not passwords._waiting


async def test_a_check_that_nobody_waits_for_any_more_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_password: str, _stored: str) -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(secrets, "check_password", check)
    passwords = Passwords()
    for _ in range(3):
        tasks = [asyncio.create_task(passwords.check("a", "x", "h")) for _ in range(WAITING)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in found)
    assert not passwords._waiting


async def test_passwords_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_password: str, _stored: str) -> bool:
        return True

    monkeypatch.setattr(secrets, "check_password", check)
    passwords = Passwords()
    for number in range(KNOWN + 50):
        assert await passwords.check(f"a{number}", "x", "h")
    assert len(passwords._right) == KNOWN
