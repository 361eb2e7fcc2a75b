"""Bans at the broker: guesses wait, what nobody guesses comes in."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.broker.access import Builtin
from bridge.broker.guarded import BANS, FAILURES, Guarded
from bridge.core.attempts import AttemptLimits, Attempts
from bridge.core.peer import Peer
from bridge.core.principal import Principal
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.errors import Denied
from bridge.mqtt.packets import Connect
from bridge.quiet import Quiet
from bridge.store.database import Database

HOST = "192.0.2.1"
log = logging.getLogger("test")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Guarded over a real registry with devices D1 and D2, and account `backend` with a chosen password."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.clock = Clock()
        self.counts = Counts()
        self.secrets: dict[str, str] = {}
        access = Builtin(
            registry.authenticate,
            registry.find,
            lambda _who, _filter: True,
            lambda _who, _topic: True,
            False,
            registry.certified,
            registry.recognised,
            registry.certain,
        )
        attempts = Attempts(AttemptLimits(per_user=3, per_address=10, ban_s=10), self.clock)
        quiet = Quiet(log, self.clock)
        self.guarded = Guarded(access, attempts, self.counts, lambda: registry.revision, quiet)

    async def log_in(
        self, name: str | None, password: str | None = None, host: str = HOST, identity: str | None = None
    ) -> str:
        """The name that came in, "nobody", or the code of Denied."""
        connect = Connect("c", username=name, password=None if password is None else password.encode())
        try:
            found = await self.guarded.authenticate(connect, "c", Peer(host, 1, identity))
        except Denied as denied:
            return denied.code
        return found.name if found is not None else "nobody"

    async def ban_address(self) -> None:
        for number in range(10):
            assert await self.log_in(f"guess{number}", "x") == "nobody"
        assert await self.log_in("guess", "x") == "banned"

    def failures(self, cause: str) -> float:
        return self.counts.value(FAILURES, (("cause", cause),))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    registry = Registry(database)
    made = Desk(registry)
    for uid in ("D1", "D2"):
        made.secrets[uid] = await registry.add_device(uid, "PK")
    made.secrets["backend"] = await registry.add_account("backend", None, password="chosen")
    yield made
    await database.close()


async def test_a_name_that_failed_waits_and_others_go_on(desk: Desk) -> None:
    for _ in range(3):
        assert await desk.log_in("D1", "wrong") == "nobody"
    assert await desk.log_in("D1", desk.secrets["D1"]) == "banned"
    assert await desk.log_in("D2", desk.secrets["D2"]) == "D2"
    assert await desk.log_in("D1", desk.secrets["D1"], host="192.0.2.2") == "D1"
    desk.clock.now += 10.1
    assert await desk.log_in("D1", desk.secrets["D1"]) == "D1"
    assert (desk.failures("wrong_credentials"), desk.failures("banned_user")) == (3, 1)
    assert desk.counts.value(BANS, (("scope", "user"),)) == 1


async def test_an_address_that_guesses_keeps_no_device_out_behind_the_same_nat(desk: Desk) -> None:
    await desk.ban_address()
    assert await desk.log_in("D1", desk.secrets["D1"]) == "D1", "its secret is no guess"
    assert await desk.log_in("D2", "wrong") == "banned"
    assert await desk.log_in("backend", desk.secrets["backend"]) == "backend", "nor is a generated key"
    assert desk.counts.value(BANS, (("scope", "address"),)) == 1


async def test_a_chosen_password_cannot_be_guessed_behind_the_ban_of_an_address(desk: Desk) -> None:
    assert await desk.log_in("backend", "chosen", host="192.0.2.9") == "backend"
    await desk.ban_address()
    assert await desk.log_in("backend", "chosen") == "banned", "also if it was right elsewhere"
    desk.clock.now += 10.1
    assert await desk.log_in("backend", "chosen") == "backend"


async def test_who_logged_in_before_the_ban_of_the_address_goes_on(desk: Desk) -> None:
    assert await desk.log_in("backend", "chosen") == "backend"
    await desk.ban_address()
    assert await desk.log_in("backend", "chosen") == "backend"
    assert [await desk.log_in("backend", "wrong") for _ in range(4)] == ["nobody"] * 3 + ["banned"]


async def test_a_certificate_is_no_guess(desk: Desk) -> None:
    for _ in range(3):
        assert await desk.log_in("D1", "wrong") == "nobody"
    assert await desk.log_in(None, identity="D1") == "D1"
    assert await desk.log_in("D1", identity="D1") == "D1"
    assert await desk.log_in("D1", desk.secrets["D1"]) == "banned", "and lifts no ban"
    await desk.registry.remove_device("D1")
    assert await desk.log_in(None, identity="D1") == "nobody"


@pytest.mark.parametrize("identity", ["", "nobody", "backend"])
async def test_a_certificate_that_names_no_device_is_counted(desk: Desk, identity: str) -> None:
    assert [await desk.log_in(None, identity=identity) for _ in range(4)] == ["nobody"] * 3 + ["banned"]
    assert desk.failures("unknown_certificate") == 3


async def test_a_certificate_with_another_name_is_counted(desk: Desk) -> None:
    for _ in range(3):
        assert await desk.log_in("D2", desk.secrets["D2"], identity="D1") == "wrong_identity"
    assert await desk.log_in("D2", desk.secrets["D2"], identity="D1") == "banned"
    assert desk.failures("wrong_identity") == 3


async def test_without_a_name_nothing_is_counted(desk: Desk) -> None:
    for _ in range(50):
        assert await desk.log_in(None) == "nobody"
    assert await desk.log_in("D1", desk.secrets["D1"]) == "D1"


async def test_a_new_secret_opens_at_once(desk: Desk) -> None:
    for _ in range(3):
        assert await desk.log_in("D1", "wrong") == "nobody"
    desk.secrets["D1"] = await desk.registry.rotate_device("D1")
    assert await desk.log_in("D1", desk.secrets["D1"]) == "D1"


async def test_log_lines_are_few_and_short(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(500):
        assert await desk.log_in(f"{number}\n" + "x" * 60_000, "y") in ("nobody", "banned")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3, lines
    assert max(map(len, lines)) < 400
    assert not any("\n" in line for line in lines)
    assert Principal("device", "D1") == desk.registry.find("device", "D1")
