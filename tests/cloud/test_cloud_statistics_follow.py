"""Stored messages to runs: in any order, in steps of any size, each once."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.cloud import statistics_follow
from bridge.cloud.statistics import Run, intervals
from bridge.cloud.statistics_follow import Follower
from bridge.store.database import Database
from bridge.store.equipment import Equipment

START = 1_717_200_000_000
MINUTE = 60_000
HOLD = 20 * MINUTE


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "bridge.db", "bridge")
    yield opened
    await opened.close()


def body(at: int, doing: int) -> str:
    entry = {"type": "sub_ems_pcs", "index": 0, "data": {"running_status": doing}}
    envelope = {"mid": str(uuid.uuid4()), "type": "report_regular", "device_uid": "D", "timestamp": at}
    return json.dumps({**envelope, "sub_device_id": 1, "data": [entry]})


async def store(database: Database, device: str, told: list[tuple[int, int]], first: int) -> int:
    rows = [
        (first + n, START, device, "t", "report/regular/post", "m", at, body(at, doing))
        for n, (at, doing) in enumerate(told)
    ]
    sql = "INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    await database.write(lambda connection: connection.executemany(sql, rows))
    return first + len(rows)


async def test_any_order_gives_the_runs_of_the_right_one(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, seq = random.Random(11), 1
    equipment = Equipment(database)
    follower = Follower(equipment, HOLD)
    for trial in range(60):
        monkeypatch.setattr(statistics_follow, "STEP", draw.randint(1, 40))
        minutes = sorted(draw.sample(range(150), draw.randint(1, 40)))
        told = [(START + minute * MINUTE, draw.choice((2, 3, 3, 3))) for minute in minutes]
        shuffled = told + draw.sample(told, len(told) // 3)
        draw.shuffle(shuffled)
        half = draw.randint(0, len(shuffled))
        seq = await store(database, f"D{trial}", shuffled[:half], seq)
        assert await follower.catch_up() == 0
        seq = await store(database, f"D{trial}", shuffled[half:], seq)
        assert await follower.catch_up() == 0
        found = await equipment.read(lambda look, trial=trial: look.all_runs(f"D{trial}", 0, 1 << 62))
        expected = intervals([Run(at, at, int(doing == 3)) for at, doing in told], 1, HOLD)
        joined: list[tuple[int, int]] = []
        for start, end in expected:
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        assert intervals([Run(*run) for run in found["pcs.1.0"]], 1, HOLD) == joined, trial


async def test_messages_of_an_older_release_are_passed_over(database: Database) -> None:
    rows = [
        (n, START, "D", "t", suffix, "m", START, "{}")
        for n, suffix in enumerate(("report/regular/post", "alarm/details/post"), 1)
    ]
    await database.write(lambda c: c.executemany("INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows))
    assert await Follower(Equipment(database), HOLD).catch_up() == 0
    assert await Equipment(database).read(lambda look: (look.seen(), look.newest())) == (2, 2)
