"""The courier against a real HTTP sink that fails in every way; the clock is held."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web
from harness.sink import Batch, Sink, cut
from mirror_post import START, Post, killed, opened, running, until

PATIENCE_S = 20.0


def answers(sink: Sink, *statuses: int | None, headers: dict[str, str] | None = None) -> list[str]:
    """The sink's next answers (None cuts the connection), then 200; gives the list of keys it will have seen."""
    keys: list[str] = []
    todo = list(statuses)

    async def verdict(batch: Batch) -> web.StreamResponse | None:
        keys.append(batch.key)
        if not todo:
            return None
        status = todo.pop(0)
        if status is None:
            cut(batch.request)
            return web.Response(status=500)
        return web.Response(status=status, headers=headers)

    sink.verdict = verdict
    return keys


async def arrived(sink: Sink, *seqs: int) -> None:
    """All rows are there, each once over distinct keys, and no key came with two bodies."""
    await sink.until(lambda: sink.readings().total() >= len(seqs), PATIENCE_S)
    assert sorted(sink.readings().elements()) == [("M", "p", START + seq) for seq in seqs]
    assert sink.faults == []


async def settled(post: Post, seq: int, name: str = "s") -> None:
    async def passed() -> bool:
        return await post.outbox.cursor(name) >= seq

    await until(passed, PATIENCE_S)


async def test_everything_arrives_once_in_full_batches(post: Post, sink: Sink) -> None:
    await post.reports(20)
    async with running(post.courier(sink.url)):
        await arrived(sink, *range(1, 21))
        assert sorted(len(rows) for rows in sink.accepted.values()) == [4, 8, 8]
        await post.reports(3, first=21)
        await arrived(sink, *range(1, 24))
        await settled(post, 23)
    labels = (("sink", "s"),)
    assert post.counts.value("ems_bridge_mirror_rows", labels) == 23
    assert post.counts.value("ems_bridge_mirror_attempts", labels) == 4
    assert post.counts.gauges["ems_bridge_mirror_lag_seconds", labels]() == 0


async def test_what_a_batch_looks_like(post: Post, sink: Sink) -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def verdict(batch: Batch) -> None:
        seen.append((dict(batch.request.headers), await batch.request.read()))

    sink.verdict = verdict
    samples = [["EMS1.meter.1", START, {"total_active_power": -1.5, "odd": 2}], ["EMS1", START + 1, {"odd": 3}]]
    async with running(post.courier(sink.url, token="secret")):
        await post.write((1, samples))
        await sink.until(lambda: len(seen) == 1, PATIENCE_S)
    async with (
        opened(post.database.path.parent, "t") as again,
        running(again.courier(sink.url, "t", format="samples", gzip=False)),
    ):
        await sink.until(lambda: len(seen) == 2, PATIENCE_S)
    (headers, narrow), (plain_headers, wide) = seen
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Idempotency-Key"] != plain_headers["Idempotency-Key"]
    assert "Content-Encoding" not in plain_headers
    assert "Authorization" not in plain_headers
    body = gzip.decompress(narrow) if narrow[:2] == b"\x1f\x8b" else narrow
    assert [json.loads(line) for line in body.splitlines()] == [
        {"asset": "EMS1.meter.1", "point": "total_active_power", "timestamp": START, "value": -1.5, "unit": "kW"},
        {"asset": "EMS1.meter.1", "point": "odd", "timestamp": START, "value": 2, "unit": ""},
        {"asset": "EMS1", "point": "odd", "timestamp": START + 1, "value": 3, "unit": ""},
    ]
    assert [json.loads(line) for line in wide.splitlines()] == [
        {"asset": asset, "device": "DEV1", "timestamp": at, "values": values} for asset, at, values in samples
    ]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599, 301, 307, 401, 403, 404, 405, 407, None])
async def test_what_is_tried_again_under_the_same_key(post: Post, sink: Sink, status: int | None) -> None:
    keys = answers(sink, status, status, status, headers={"Location": sink.url + "/elsewhere"})
    await post.reports(5)
    async with running(post.courier(sink.url)):
        await arrived(sink, 1, 2, 3, 4, 5)
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert await post.dead() == []
    waits = post.clock.slept[-3:]
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits)), waits
    cause = "connection" if status is None else f"status_{status}"
    assert post.counts.value("ems_bridge_mirror_failures", (("sink", "s"), ("cause", cause))) == 3


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("7", 7.0), (formatdate(START / 1000 + 90, usegmt=True), 89.5), ("soon", 0.25), ("-3", 0.25)],
)
async def test_retry_after(post: Post, sink: Sink, asked: str, expected: float) -> None:
    answers(sink, 429, headers={"Retry-After": asked})
    await post.reports(8)
    async with running(post.courier(sink.url)):
        await arrived(sink, *range(1, 9))
    (wait,) = post.clock.slept
    assert expected <= wait <= expected + 0.6


async def test_down_then_up(post: Post, sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await sink.down()
    await post.reports(20)
    courier = post.courier(sink.url)
    async with running(courier):
        await until(lambda: len(post.clock.slept) >= 12)
        assert courier.failing.startswith("connection")
        assert courier.lag_s() > 60
        assert max(post.clock.slept) <= 30
        await sink.up()
        await arrived(sink, *range(1, 21))
        await settled(post, 20)
        assert courier.failing == ""
    assert len([one for one in caplog.messages if "fails" in one]) == 1, "a sink that is down is said once"
    assert any("answers again" in one for one in caplog.messages)


async def test_slow_beyond_the_timeout(post: Post, sink: Sink) -> None:
    """The sink took the rows and answered too late: they come again under the same key."""
    release, slow = asyncio.Event(), [True]

    async def verdict(batch: Batch) -> None:
        if slow:
            slow.clear()
            sink.keep(batch)
            await release.wait()

    sink.verdict = verdict
    await post.reports(8)
    async with running(post.courier(sink.url, timeout_s=0.2)):
        await settled(post, 8)
        release.set()
    await arrived(sink, *range(1, 9))
    assert sink.attempts == 2
    assert post.counts.value("ems_bridge_mirror_failures", (("sink", "s"), ("cause", "timeout"))) == 1


def refusing(sink: Sink, status: int, *bad: float) -> list[list[float]]:
    """The sink refuses batches with a bad value; gives the values of each attempt."""
    seen: list[list[float]] = []

    async def verdict(batch: Batch) -> web.StreamResponse | None:
        found = [row.value for row in batch.rows]
        seen.append(found)
        return web.Response(status=status, text="value: out of range") if set(bad) & set(found) else None

    sink.verdict = verdict
    return seen


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_one_bad_row_is_buried_alone(post: Post, sink: Sink, status: int) -> None:
    seen = refusing(sink, status, 6.0)
    await post.reports(20)
    async with running(post.courier(sink.url)):
        await arrived(sink, *(seq for seq in range(1, 21) if seq != 6))
        await settled(post, 20)
    (letter,) = await post.dead()
    assert (letter["source"], letter["device"], letter["reason"]) == ("mirror", "DEV0", f"sink_refused_{status}")
    assert letter["detail"] == f"HTTP {status}: value: out of range"
    assert json.loads(letter["payload"]) == {
        "asset": "M",
        "point": "p",
        "timestamp": START + 6,
        "value": 6.0,
        "unit": "",
    }
    assert json.loads(letter["context"]) == {"sink": "s", "seq": 6, "asset": "M", "timestamp": START + 6, "point": "p"}
    assert post.counts.value("ems_bridge_mirror_buried", (("sink", "s"),)) == 1
    assert len(seen) == 1 + 2 * 3 + 2, "a batch of 8 is cut three times"


async def test_all_rows_bad(post: Post, sink: Sink) -> None:
    refusing(sink, 400, *map(float, range(1, 9)))
    await post.reports(9)
    async with running(post.courier(sink.url)):
        await arrived(sink, 9)
        await settled(post, 9)
    assert [json.loads(letter["context"])["seq"] for letter in await post.dead()] == list(range(1, 9))


async def test_a_crash_repeats_the_batch_under_the_same_key(tmp_path: Path, sink: Sink) -> None:
    """The sink took the batch, and the courier died before it knew; more lines and another configuration came meanwhile."""
    taken, hold = asyncio.Event(), asyncio.Event()

    async def verdict(batch: Batch) -> None:
        sink.keep(batch)
        taken.set()
        await hold.wait()

    sink.verdict = verdict
    async with opened(tmp_path) as first:
        await first.reports(5)
        await killed(first.courier(sink.url), taken)
        assert await first.outbox.cursor("s") == 0
    hold.set()
    keys = answers(sink)
    async with opened(tmp_path) as second:
        await second.reports(5, first=6)
        async with running(second.courier(sink.url, batch_rows=100, format="samples", gzip=False)):
            await arrived(sink, *range(1, 11))
            await settled(second, 10)
    assert len(keys) == 2
    assert sink.attempts == 3
    assert len(sink.accepted) == 2


@pytest.mark.parametrize("crash_at", range(1, 12))
async def test_a_crash_while_a_batch_is_cut(tmp_path: Path, sink: Sink, crash_at: int) -> None:
    """Two bad rows among eight; the courier dies at each of its attempts. Rows count once, letters are written once."""
    crash, hold = asyncio.Event(), asyncio.Event()
    bad = {3.0, 6.0}

    async def verdict(batch: Batch) -> web.StreamResponse | None:
        refused = bool(bad & {row.value for row in batch.rows})
        if not refused:
            sink.keep(batch)
        if sink.attempts == crash_at:
            crash.set()
            await hold.wait()
        return web.Response(status=400) if refused else None

    sink.verdict = verdict
    async with opened(tmp_path) as first:
        await first.reports(8)
        await killed(first.courier(sink.url), crash)
    hold.set()
    async with opened(tmp_path) as second:
        async with running(second.courier(sink.url)):
            await settled(second, 8)
        assert [json.loads(letter["context"])["seq"] for letter in await second.dead()] == [3, 6]
    await arrived(sink, 1, 2, 4, 5, 7, 8)


async def test_a_report_larger_than_a_batch_goes_in_slices(post: Post, sink: Sink) -> None:
    await post.write((1, [["M", START + n, {"p": float(n)}] for n in range(1, 21)]))
    async with running(post.courier(sink.url)):
        await arrived(sink, *range(1, 21))
    assert [len(rows) for rows in sink.accepted.values()] == [8, 8, 4]


async def test_batches_are_bounded_in_bytes(post: Post, sink: Sink) -> None:
    await post.reports(20)
    async with running(post.courier(sink.url, batch_rows=1000, batch_bytes=300)):
        await arrived(sink, *range(1, 21))
        await settled(post, 20)
    assert [len(rows) for rows in sink.accepted.values()] == [4] * 5, "a row has some 70 bytes"


async def test_a_batch_waits_for_more_only_so_long(post: Post, sink: Sink) -> None:
    async with running(post.courier(sink.url, batch_age_s=2.0)):
        await post.reports(2)
        await arrived(sink, 1, 2)
    assert post.clock.slept == [2.0]
    assert len(sink.accepted) == 1


async def test_a_dead_sink_stops_no_other(tmp_path: Path, sink: Sink) -> None:
    async with Sink() as gone:
        dead_url = gone.url
    async with opened(tmp_path, "gone", "good") as post:
        await post.reports(20)
        async with running(post.courier(dead_url, "gone"), post.courier(sink.url, "good")):
            await arrived(sink, *range(1, 21))
            await settled(post, 20, "good")
        assert await post.outbox.cursor("gone") == 0
        await post.outbox.keep(post.clock.ms)
        assert await post.left() == list(range(1, 21))


async def test_stop_ends_a_long_wait(post: Post, sink: Sink) -> None:
    """A courier that waits for a sink, or for lines, returns at once; the attempt on its way is finished."""

    async def for_ever(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    waiting = asyncio.Event()
    post.clock.sleep = for_ever  # type: ignore[method-assign]
    answers(sink, 503, headers={"Retry-After": "3600"})
    await post.reports(8)
    async with asyncio.timeout(PATIENCE_S), running(post.courier(sink.url)):
        await waiting.wait()
    async with asyncio.timeout(PATIENCE_S), running(post.courier(sink.url)):
        await settled(post, 8)
    await arrived(sink, *range(1, 9))


async def test_a_certificate_that_nobody_signed_is_not_trusted(post: Post, sink: Sink) -> None:
    courier = post.courier(sink.url.replace("http:", "https:"))
    await post.reports(8)
    async with running(courier):
        await until(lambda: bool(courier.failing))
    assert "ssl" in courier.failing.lower()
    assert sink.attempts == 0


async def test_a_store_that_cannot_be_written_is_waited_for(
    post: Post, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk: nothing is posted before its batch is fixed in the store."""
    await post.reports(8)
    await post.database.maintain(lambda connection: connection.execute("PRAGMA query_only = ON").fetchall())
    async with running(post.courier(sink.url)):
        await until(lambda: len(post.clock.slept) >= 3)
        assert sink.attempts == 0
        await post.database.maintain(lambda connection: connection.execute("PRAGMA query_only = OFF").fetchall())
        await arrived(sink, *range(1, 9))
    assert "cannot be written" in caplog.text


async def test_readings_reach_our_own_endpoint(post: Post, tmp_path: Path) -> None:
    """Outbox → courier → POST /ingest/v1/power, in both formats; the queries see the values."""
    from bridge.cloud.cloud import Cloud
    from bridge.cloud.routes import INGEST, add_routes

    cloud = await Cloud.open(tmp_path / "series.db", clock=lambda: START)
    app = web.Application()
    add_routes(app, cloud)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{INGEST}"
    try:
        async with opened(tmp_path, "a", "b") as both:
            samples = [[f"DEV1.meter.{n}", START - n, {"total_active_power": float(n), "q": 1.0}] for n in range(20)]
            await both.write((1, samples))
            async with running(both.courier(url, "a", format="samples"), both.courier(url, "b")):
                await settled(both, 1, "a")
                await settled(both, 1, "b")
        assert len(await cloud.readings("DEV1")) == 40
        assert {asset.device for asset in cloud.assets()} == {"DEV1"}
    finally:
        await runner.cleanup()
        await cloud.close()
