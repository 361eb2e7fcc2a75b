"""Care of a data directory while the service runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge.app import care
from bridge.config import Config
from bridge.counts import Counts
from bridge.store.database import Database
from bridge.store.ledger import Ledger


async def test_a_full_disk_does_not_end_retention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(care, "TRIM_EVERY_S", 0.001)
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    await database.maintain(lambda connection: connection.execute("PRAGMA query_only = 1"))
    running = asyncio.create_task(care.trim_forever(Ledger(database), Config(), Counts(), lambda: 0))
    async with asyncio.timeout(10):
        while len(caplog.records) < 2 and not running.done():  # noqa: ASYNC110 - the log rings no bell
            await asyncio.sleep(0)
    assert [record.message[:9] for record in caplog.records[:2]] == ["retention"] * 2
    running.cancel()
    await asyncio.wait({running})
    await database.close()
