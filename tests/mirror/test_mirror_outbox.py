"""The outbox: cursors, pruning, bounds that say what they drop."""

from __future__ import annotations

from pathlib import Path

import pytest
from mirror_post import DAY_MS, START, opened

from bridge.mirror.rows import decode_row, readings, samples
from bridge.store.outbox import OutboxLine


async def test_lines_are_read_in_bounds(tmp_path: Path) -> None:
    async with opened(tmp_path) as post:
        await post.reports(10)
        assert [line.seq for line in await post.outbox.lines(3, 4)] == [4, 5, 6, 7]
        assert [line.seq for line in await post.outbox.lines(0, 100, up_to=2)] == [1, 2]
        size = len((await post.outbox.lines(0, 1))[0].samples)
        assert len(await post.outbox.lines(0, 100, max_bytes=2 * size)) == 2
        assert len(await post.outbox.lines(0, 100, max_bytes=1)) == 1
        line = (await post.outbox.lines(0, 1))[0]
        assert (line.at, line.device) == (START, "DEV1")


async def test_a_cursor_never_goes_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as post:
        await post.outbox.advance("s", 5)
        await post.outbox.advance("s", 3)
        assert await post.outbox.cursor("s") == 5
        assert await post.outbox.cursor("unknown") == 0


async def test_lines_go_when_every_active_sink_has_passed(tmp_path: Path) -> None:
    async with opened(tmp_path, "a", "b") as post:
        await post.reports(10)
        await post.outbox.advance("a", 8)
        await post.outbox.keep(post.clock.ms)
        assert await post.left() == list(range(1, 11))
        await post.outbox.advance("b", 6)
        await post.outbox.keep(post.clock.ms)
        assert await post.left() == [7, 8, 9, 10]
        assert await post.outbox.prune(7) == 0
    async with opened(tmp_path, "a") as post:  # b is no longer configured: it holds nothing back
        await post.outbox.keep(post.clock.ms)
        assert await post.left() == [9, 10]
    async with opened(tmp_path, "a", "b") as post:
        assert await post.outbox.cursor("b") == 6


async def test_the_newest_line_stays(tmp_path: Path) -> None:
    """The next sequence number is counted from it after a restart; a cursor must never be ahead of new lines."""
    async with opened(tmp_path) as post:
        await post.reports(3)
        await post.outbox.advance("s", 3)
        await post.outbox.keep(post.clock.ms)
        assert await post.left() == [3]
        assert post.outbox.oldest_at is None
        assert post.outbox.alarm == ""


async def test_bytes_are_bounded_and_drops_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path, "slow", "quick", max_bytes=10_000) as post:
        line = [["M", START, {f"p{n}": 1.0 for n in range(10)}]]
        await post.write(*((seq, line) for seq in range(1, 61)))
        size = len((await post.outbox.lines(0, 1))[0].samples)
        await post.outbox.advance("quick", 60)
        await post.outbox.begin("slow", 5, "readings/8")
        await post.outbox.keep(post.clock.ms)
        assert 0.8 <= post.outbox.fill <= 1
        assert post.outbox.alarm
        assert "outbox" in caplog.text
        assert await post.outbox.drops() == []
        await post.write(*((seq, line) for seq in range(61, 81)), at=START + 1000)
        await post.outbox.keep(post.clock.ms)
        left = await post.left()
        assert post.outbox.bytes == len(left) * size <= 9_000
        (drop,) = await post.outbox.drops()
        assert (drop.sink, drop.cause, drop.first_seq, drop.last_seq) == ("slow", "bytes", 1, left[0] - 1)
        assert (drop.lines, drop.at, drop.first_at) == (left[0] - 1, post.clock.ms, START)
        assert post.counts.value("ems_bridge_outbox_dropped", (("sink", "slow"), ("cause", "bytes"))) == drop.lines
        assert await post.outbox.position("slow") == (left[0] - 1, None, "readings/8", 0)
        assert await post.outbox.cursor("quick") == 60
        await post.outbox.advance("slow", 80)
        await post.outbox.advance("quick", 80)
        await post.outbox.keep(post.clock.ms)
        assert (await post.left(), post.outbox.bytes) == ([80], size)
        assert post.outbox.alarm == ""


async def test_age_is_bounded_but_never_below_a_week(tmp_path: Path) -> None:
    async with opened(tmp_path, max_age_ms=1) as post:
        await post.reports(5)
        await post.write((6, []), (7, []), at=START + DAY_MS)
        await post.outbox.keep(START + 6 * DAY_MS)
        assert post.outbox.alarm
        await post.outbox.keep(START + 7 * DAY_MS)
        assert len(await post.left()) == 7
        await post.outbox.keep(START + 7 * DAY_MS + 1)
        assert await post.left() == [6, 7]
        (drop,) = await post.outbox.drops()
        assert (drop.cause, drop.first_seq, drop.last_seq, drop.lines) == ("age", 1, 5, 5)
        await post.outbox.keep(START + 9 * DAY_MS)
        assert (await post.left(), await post.outbox.cursor("s")) == ([7], 7)


async def test_bytes_are_counted_again_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as post:
        await post.reports(10)
        await post.outbox.keep(post.clock.ms)
        held = post.outbox.bytes
    async with opened(tmp_path) as post:
        await post.outbox.keep(post.clock.ms)
        assert post.outbox.bytes == held > 0


async def test_housekeeping_outlives_a_store_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as post:
        await post.reports(3)
        await post.outbox.advance("s", 3)
        await post.database.maintain(lambda connection: connection.execute("PRAGMA query_only = ON").fetchall())
        await post.outbox.keep(post.clock.ms)
        assert "cannot be tidied" in caplog.text
        assert await post.left() == [1, 2, 3]
        await post.database.maintain(lambda connection: connection.execute("PRAGMA query_only = OFF").fetchall())
        await post.outbox.keep(post.clock.ms)
        assert await post.left() == [3]


def test_a_buried_row_reads_back_in_both_formats() -> None:
    line = OutboxLine(1, START, "EMS1", '[["EMS1.meter.1",5,{"p":1.5,"q":-2}]]')
    assert [decode_row(row.body) for row in readings(line)] == [
        ("EMS1.meter.1", 5, {"p": 1.5}),
        ("EMS1.meter.1", 5, {"q": -2.0}),
    ]
    assert [decode_row(row.body) for row in samples(line)] == [("EMS1.meter.1", 5, {"p": 1.5, "q": -2.0})]
