"""The database file: durable, migrated, refused when it is newer, one bad record never fails its neighbours."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from bridge.core.record import Record
from bridge.counts import Counts
from bridge.errors import StoreError
from bridge.store.database import Database
from bridge.store.dead import Wanted
from bridge.store.ledger import STATEMENTS, TRIM_STEP, Ledger
from bridge.store.writer import HIGH_WATER, HIGH_WATER_BYTES, Writer


def report(
    seq: int, device: str = "D1", received_at: int = 1_000, suffix: str = "report/regular/post", variant: str = "v2"
) -> tuple[str, tuple[object, ...]]:
    return "report", (
        seq,
        received_at,
        device,
        f"v1/user/T/{device}/{suffix}",
        suffix,
        "m",
        5,
        variant,
        b"{}",
    )


def record(*rows: tuple[str, tuple[object, ...]]) -> Record:
    made = Record()
    made.rows.extend(rows)
    return made


async def test_the_writer_syncs_every_commit(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    try:
        assert await database.maintain(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
        assert await database.maintain(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    finally:
        await database.close()


async def test_readers_cannot_write(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    try:
        with pytest.raises(sqlite3.OperationalError):
            await database.rows("DELETE FROM reports")
    finally:
        await database.close()


async def test_a_failed_write_keeps_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('x', 1)")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    try:
        with pytest.raises(StoreError):
            await database.write(half)
        assert await database.rows("SELECT * FROM meta WHERE key = 'x'") == []
    finally:
        await database.close()


async def test_a_newer_file_is_refused_and_says_so(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    await database.write(lambda c: c.execute("INSERT INTO migrations VALUES (9999, 'later', 0)"))
    await database.close()
    with pytest.raises(StoreError, match="newer version"):
        await Database.open(tmp_path / "bridge.db", "bridge")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").write_bytes(b"not a database at all, but long enough to be one" * 40)
    with pytest.raises(StoreError, match=r"bridge\.db"):
        await Database.open(tmp_path / "bridge.db", "bridge")


async def test_a_file_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").mkdir()
    threads = set(threading.enumerate())
    with pytest.raises(StoreError, match="unable to open"):
        await Database.open(tmp_path / "bridge.db", "bridge")
    assert set(threading.enumerate()) <= threads


async def test_done_and_effects_run_in_order_after_commit(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    seen: list[str] = []
    writer = Writer(database, STATEMENTS, Counts(), after_commit=lambda _record: seen.append("after"))
    running = asyncio.create_task(writer.run())
    first, second, empty = record(report(1)), record(report(2)), record()
    first.effects.append(lambda: seen.append("effect 1"))
    second.effects.append(lambda: seen.append("effect 2"))
    empty.effects.append(lambda: seen.append("effect 3"))
    writer.submit(first, lambda ok: seen.append(f"done {ok}"))
    writer.submit(second)
    writer.submit(empty)
    assert seen == []
    writer.close()
    await running
    assert seen == ["done True", "after", "effect 1", "after", "effect 2", "after", "effect 3"]
    assert await database.rows("SELECT seq FROM reports ORDER BY seq") == [(1,), (2,)]
    await database.close()


async def test_a_record_without_rows_passes_at_once_when_nothing_waits(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    writer = Writer(database, STATEMENTS, Counts())
    done: list[bool] = []
    writer.submit(record(), done.append)
    assert done == [True]
    await database.close()


async def test_one_bad_record_fails_alone(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    writer = Writer(database, STATEMENTS, Counts())
    running = asyncio.create_task(writer.run())
    told: dict[int, bool] = {}
    for seq in (1, 2, 1, 3):
        writer.submit(record(report(seq)), partial(told.__setitem__, len(told)))
        told[len(told)] = False
    writer.close()
    await running
    assert told == {0: True, 1: True, 2: False, 3: True}
    assert await database.rows("SELECT seq FROM reports ORDER BY seq") == [(1,), (2,), (3,)]
    await database.close()


async def test_a_value_that_sqlite_cannot_hold_fails_alone_and_costs_few_commits(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    counts = Counts()
    writer = Writer(database, STATEMENTS, counts)
    told: list[tuple[int, bool]] = []
    for seq in range(1, 1_001):
        bad = ("device_seen", ("D1", "PK", None, 2**63))
        writer.submit(record(bad) if seq == 500 else record(report(seq)), lambda ok, seq=seq: told.append((seq, ok)))  # type: ignore[misc]
    writer.close()
    await writer.run()
    assert told == [(seq, seq != 500) for seq in range(1, 1_001)]
    assert counts.value("ems_bridge_commits") <= 10
    await database.close()


async def test_a_full_disk_acknowledges_nothing_and_recovers(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    counts = Counts()
    writer = Writer(database, STATEMENTS, counts)
    running = asyncio.create_task(writer.run())
    pages = await database.maintain(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await database.maintain(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 1}").fetchone())
    big = record(*(("report", (seq, 0, "D", "t", "s", "m", 1, "v2", b"x" * 4000)) for seq in range(100)))
    with pytest.raises(StoreError, match="full"):
        await writer.commit(big)
    assert "full" in writer.failing
    assert counts.value("ems_bridge_commit_failures") == 1
    await database.maintain(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
    await writer.commit(big)
    assert writer.failing == ""
    assert (await database.rows("SELECT count(*) FROM reports"))[0] == (100,)
    writer.close()
    await running
    await database.close()


async def test_pressure_is_told_at_the_high_water_mark_and_when_it_has_passed(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    told: list[bool] = []
    writer = Writer(database, STATEMENTS, Counts(), pressure=told.append)
    for seq in range(HIGH_WATER + 1):
        writer.submit(record(report(seq)))
    assert told == [True]
    running = asyncio.create_task(writer.run())
    writer.close()
    await running
    assert told == [True, False]
    await database.close()


async def test_retention_keeps_the_newest_of_each_sort(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    writer, ledger = Writer(database, STATEMENTS, Counts()), Ledger(database)
    running = asyncio.create_task(writer.run())
    rows = [report(1, "D1", 1, "alarm/details/post", "")]
    rows += [report(seq, f"D{seq % 2}", received_at=seq) for seq in range(2, 11)]
    await writer.commit(record(*rows))
    gone = await ledger.trim(cutoff=9, max_bytes=1 << 40, dead_cutoff=0, dead_rows=100)
    assert gone["reports"] == 7
    assert [row["seq"] for row in await ledger.messages(None, None, None, 0, 100)] == [1, 9, 10]
    assert [row["suffix"] for row in await ledger.latest("D1")] == ["alarm/details/post", "report/regular/post"]
    writer.close()
    await running
    await database.close()


async def test_old_reports_that_stay_do_not_hide_those_behind_them(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    writer, ledger = Writer(database, STATEMENTS, Counts()), Ledger(database)
    running = asyncio.create_task(writer.run())
    kept = range(1, TRIM_STEP + 2)
    rows = [report(seq, "D1", 1, "alarm/details/post", str(seq)) for seq in kept]
    rows += [report(seq, received_at=1) for seq in range(kept[-1] + 1, kept[-1] + 12)]
    await writer.commit(record(*rows))
    gone = await ledger.trim(cutoff=9, max_bytes=1 << 40, dead_cutoff=0, dead_rows=100)
    assert gone["reports"] == 10
    assert await database.rows("SELECT count(*), max(seq) FROM reports") == [(len(kept) + 1, kept[-1] + 11)]
    writer.close()
    await running
    await database.close()


async def test_dead_letters_are_bounded_by_age_and_number(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    writer, ledger = Writer(database, STATEMENTS, Counts()), Ledger(database)
    running = asyncio.create_task(writer.run())
    letters = [("dead_letter", (at, "mqtt", "D1", "t", "s", "invalid", "", "", b"x", "{}")) for at in range(1, 21)]
    await writer.commit(record(*letters))
    assert (await ledger.trim(cutoff=0, max_bytes=1 << 40, dead_cutoff=6, dead_rows=100))["dead_letters"] == 5
    assert (await ledger.trim(cutoff=0, max_bytes=1 << 40, dead_cutoff=0, dead_rows=10))["dead_letters"] == 5
    assert [letter["at"] for letter in await ledger.dead.find(Wanted(None), 100)] == list(range(20, 10, -1))
    writer.close()
    await running
    await database.close()


async def test_a_commit_does_not_wait_for_a_reader_of_a_long_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.database.RESTART_PAGES", 256)
    monkeypatch.setattr("bridge.store.database.CHECKPOINT_PAGES", 256)
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    reader = sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM reports").fetchone()
    begun = monotonic()
    for seq in range(1, 9):
        row = (seq, 0, "D", "t", "s", "m", 1, "x" * (1 << 19))
        await database.write(
            lambda connection, row=row: connection.execute("INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        )
    assert monotonic() - begun < 5
    log = tmp_path / "bridge.db-wal"
    assert log.stat().st_size > 4 << 20
    reader.close()
    for seq in range(9, 15):
        row = (seq, 0, "D", "t", "s", "m", 1, "x" * (1 << 19))
        await database.write(
            lambda connection, row=row: connection.execute("INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        )
    await database.close()
    assert not log.exists()


async def test_the_log_begins_anew_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.store.database.RESTART_PAGES", 256)
    monkeypatch.setattr("bridge.store.database.CHECKPOINT_PAGES", 128)
    database = await Database.open(tmp_path / "bridge.db", "bridge")

    async def write(first: int) -> None:
        for seq in range(first, first + 500):
            row = (seq, 0, "D", "t", "s", "m", 1, "x" * 8000)
            await database.write(
                lambda connection, row=row: connection.execute(
                    "INSERT INTO reports VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row
                )
            )

    await asyncio.gather(write(0), write(1_000))
    assert (tmp_path / "bridge.db-wal").stat().st_size < 4_000 * 4096 / 2  # of some 4,000 pages that were written
    await database.close()


async def test_sorts_that_a_device_makes_up_do_not_keep_their_reports_for_ever(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    writer, ledger = Writer(database, STATEMENTS, Counts()), Ledger(database)
    running = asyncio.create_task(writer.run())
    rows = [report(seq, "D1", variant=f"v{seq}") for seq in range(1, 11)] + [report(11, "D2")]
    await writer.commit(record(*rows))
    assert await ledger.trim_latest(3) == 7
    assert [row["variant"] for row in await ledger.latest("D1")] == ["v10", "v8", "v9"]
    assert len(await ledger.latest("D2")) == 1
    writer.close()
    await running
    await database.close()


async def test_large_records_press_by_their_bytes(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    told: list[bool] = []
    writer = Writer(database, STATEMENTS, Counts(), pressure=told.append)
    for seq in range(2):
        large = record(report(seq))
        large.size = HIGH_WATER_BYTES * 2 // 3
        writer.submit(large)
    running = asyncio.create_task(writer.run())
    writer.close()
    await running
    assert told == [True, False]
    await database.close()


async def test_retention_by_size(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    writer, ledger = Writer(database, STATEMENTS, Counts()), Ledger(database)
    running = asyncio.create_task(writer.run())
    await writer.commit(
        record(*(("report", (seq, 5, "D", "t", "s", "m", 1, "v2", b"x" * 900)) for seq in range(1, 2_001)))
    )
    gone = await ledger.trim(cutoff=0, max_bytes=1 << 20, dead_cutoff=0, dead_rows=100)
    assert gone["reports"] == 1_999
    writer.close()
    await running
    await database.close()
