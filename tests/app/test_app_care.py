"""Care of a data directory while the service runs."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from bridge.app import care
from bridge.config import Config
from bridge.counts import Counts
from bridge.errors import ConfigError
from bridge.store.database import Database
from bridge.store.ledger import Ledger


def test_a_process_may_open_as_many_files_as_it_promises_connections(caplog: pytest.LogCaptureFixture) -> None:
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
        care.open_files(500)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (500 + care.OTHER_FILES, most)
        assert not caplog.records
        care.open_files(1 << 40)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
        assert "LimitNOFILE" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


@pytest.mark.parametrize("name", ["file", "file/below", "n" * 300])
def test_a_data_directory_that_cannot_be_made_says_which_and_why(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="directory"):
        care.Lock(tmp_path / name)


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
