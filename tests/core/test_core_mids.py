"""One UUID is one command, however it is spelled, and what is told of it keeps its sender's spelling."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from core_house import BACKEND, House

from bridge.core.flow import OPEN_KEPT
from bridge.errors import Conflict, Unprocessable
from bridge.store.database import Database
from schemas.envelope import canonical

MID = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    lambda mid: mid.replace("-", ""),
    lambda mid: "{" + mid.upper() + "}",
    lambda mid: f"urn:uuid:{mid}",
)
FEATURE = "streaming_overdemand"


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("other", SPELLINGS)
async def test_another_spelling_is_the_same_command(
    house: House, spell: Callable[[str], str], other: Callable[[str], str]
) -> None:
    mid = spell(MID)
    command = await house.commands.request(BACKEND, "D1", FEATURE, "delete", {"id": 1}, mid=mid)
    again = await house.commands.request(BACKEND, "D1", FEATURE, "delete", {"id": 1}, mid=other(MID))
    with pytest.raises(Conflict):
        await house.commands.request(BACKEND, "D1", FEATURE, "delete", {"id": 2}, mid=other(MID))
    await house.settle()
    assert command.mid == again.mid == mid
    assert [body["mid"] for _, body in house.received] == [mid]
    await house.answer(other(MID), action="delete")
    done = await house.commands.wait(other(MID), 0)
    assert (done.mid, done.state) == (mid, "succeeded")
    assert house.states(mid) == ["accepted", "sent", "succeeded"]


async def test_spellings_survive_a_restart(house: House) -> None:
    house.online = False
    await house.commands.request(BACKEND, "D1", FEATURE, "delete", {"id": 1}, mid=MID.upper())
    house = await house.again()
    assert (await house.commands.cancel(BACKEND, MID)).mid == MID.upper()
    await house.settle()
    assert house.states(MID.upper()) == ["accepted", "cancelled"]


JUNK = [
    "", " ", "x", MID[:-1], f"{MID}0", f" {MID}", f"{MID}\n", "+" + MID[1:], "0x" + MID[2:], "1_" + MID[2:], "\n" + MID[1:],
    "１" + MID[1:], "{" + MID, MID + "}", "{{" + MID + "}}", MID.replace("-", "--"), f"{MID}\x00",
]  # fmt: skip
"""What is no UUID, though int(…, 16) and so uuid.UUID takes some of it: mids stand in topics and headers."""


@pytest.mark.parametrize("mid", JUNK)
async def test_what_is_no_uuid_is_no_mid(house: House, mid: str) -> None:
    assert canonical(mid) is None
    with pytest.raises(Unprocessable) as caught:
        await house.commands.request(BACKEND, "D1", FEATURE, "sync", None, mid=mid)
    assert caught.value.path == "$.mid"
    body = {"mid": mid, "type": f"{FEATURE}_sync", "device_uid": "D1", "timestamp": house.now}
    record = await house.publish(BACKEND, f"v1/user/T/D1/{FEATURE}/sync/command", body)
    assert record.reject is not None
    assert record.reject.path == "$.mid"
    assert house.received == []


async def test_a_reply_that_is_no_uuid_means_the_oldest_command(house: House) -> None:
    command = await house.commands.request(BACKEND, "D1", FEATURE, "delete", {"id": 1})
    await house.settle()
    await house.answer("+" + MID[1:], action="delete")
    assert (await house.commands.wait(command.mid, 0)).state == "succeeded"


async def test_a_burst_before_one_commit_is_bounded_too(house: House) -> None:
    """What is being committed counts, and counts no longer when the commit fails."""
    house.online = False

    def publish() -> str | None:
        body = {"mid": str(uuid.uuid4()), "type": f"{FEATURE}_sync", "device_uid": "D1", "timestamp": house.now}
        topic = f"v1/user/T/D1/{FEATURE}/sync/command"
        record = house.ingest.accept(BACKEND, topic, json.dumps(body).encode(), 1, False, house.now)
        house.submit(record)
        return record.reject.reason if record.reject is not None else None

    await house.fail(lambda: [publish() for _ in range(OPEN_KEPT)])
    said = [publish() for _ in range(OPEN_KEPT + 10)]
    assert said == [None] * OPEN_KEPT + ["quota_exceeded"] * 10
    await house.settle()
    assert len(house.flow.open) == OPEN_KEPT


async def test_commands_of_an_older_file_are_spelled_anew(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    _older(path, [MID.upper(), "{" + str(uuid.UUID(int=5)) + "}", str(uuid.UUID(int=6)), "+" + MID[1:]])
    twins = [str(uuid.UUID(int=0xA)), str(uuid.UUID(int=0xA)).upper()]
    _older(path, twins)
    database = await Database.open(path, "bridge")
    try:
        rows = await database.rows("SELECT mid, spelling FROM commands")
        events = await database.rows("SELECT DISTINCT mid FROM command_events")
        untold = await database.rows(
            "SELECT value = (SELECT max(id) FROM command_events) FROM meta WHERE key = 'statuses_told'"
        )
    finally:
        await database.close()
    assert set(rows) == {
        (MID, MID.upper()), (str(uuid.UUID(int=5)), "{" + str(uuid.UUID(int=5)) + "}"), (str(uuid.UUID(int=6)), ""),
        ("+" + MID[1:], ""), *((twin, "") for twin in twins),
    }  # fmt: skip
    assert {mid for (mid,) in events} == {mid for mid, _ in rows}
    assert untold == [(1,)]


def _older(path: Path, mids: list[str]) -> None:
    """A file as version 10 of the tables left it."""
    new = not path.exists()
    connection = sqlite3.connect(path, isolation_level=None)
    if new:
        connection.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)")
        for number, script in enumerate(_scripts()[:10], 1):
            connection.executescript(script)
            connection.execute("INSERT INTO migrations VALUES (?, '', 0)", (number,))
    for mid in mids:
        connection.execute(
            "INSERT INTO commands (mid, device, suffix, prefix, changes, immediate, digest, payload, sender, via, state,"
            " timeout_ms, created_at, hold_until, changed_at, number)"
            " VALUES (?, 'D1', 'a/b/command', 'p', 0, 0, x'', '{}', '', '', 'accepted', 1, 1, 1, 1, 1)",
            (mid,),
        )
    connection.close()


def _scripts() -> list[str]:
    folder = resources.files("bridge.store") / "migrations" / "bridge"
    return [
        each.read_text("utf-8")
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(".sql")
    ]
