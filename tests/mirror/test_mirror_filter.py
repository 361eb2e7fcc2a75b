"""Several sinks, each with what it wants and at its own pace."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from harness.sink import Batch, Sink
from mirror_post import START, Post, killed, opened, running, until

from bridge.mirror.courier import Courier
from bridge.mirror.sieve import Sieve
from bridge.mirror.sink import Filter, SinkConfig
from bridge.store.outbox import OutboxLine

PATIENCE_S = 20.0
OWNERS = {"DEV0": ("PK001",), "DEV1": ("acme", "PK002"), "DEV2": ()}


async def settled(post: Post, seq: int, name: str = "s") -> None:
    async def passed() -> bool:
        return await post.outbox.cursor(name) >= seq

    await until(passed, PATIENCE_S)


def owned(post: Post, url: str, name: str = "s", **options: Any) -> Courier:
    sink = SinkConfig(name=name, url=url, **{"batch_rows": 8, "batch_age_s": 0.5, **options})
    return Courier(
        sink,
        post.outbox,
        post.counts,
        owners=lambda device: OWNERS[device],
        clock=post.clock.now,
        sleep=post.clock.sleep,
    )


SAMPLES = [["DEV1.meter.1", START, {"a_power": 1, "energy": 2}], ["DEV1.pcs.2", START, {"a_power": 3, "soc": 4}]]


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Filter(devices=("DEV2", "D*1")), SAMPLES),
        (Filter(devices=("DEV",)), None),
        (Filter(devices=("dev1",)), None),
        (Filter(owners=("PK*",)), SAMPLES),
        (Filter(owners=("PK001", "umbrella")), None),
        (Filter(assets=("*.meter.*",)), [SAMPLES[0]]),
        (Filter(points=("*_power", "soc")), [["DEV1.meter.1", START, {"a_power": 1}], SAMPLES[1]]),
        (Filter(assets=("*.pcs.[12]",), points=("s?c",)), [["DEV1.pcs.2", START, {"soc": 4}]]),
        (Filter(assets=("*.pcs.*",), points=("energy",)), None),
        (Filter(devices=("DEV1",), owners=("PK001",)), None),
    ],
)
def test_what_is_wanted(wanted: Filter, left: list[Any] | None) -> None:
    sieve = Sieve(wanted, lambda device: OWNERS[device])
    found = sieve.pass_on(OutboxLine(1, START, "DEV1", json.dumps(SAMPLES)), {}, {})
    assert (None if found is None else json.loads(found.samples)) == left


async def test_each_sink_gets_what_it_wants(tmp_path: Path, sink: Sink) -> None:
    """A cursor passes what is not wanted, so that the outbox is emptied."""
    async with opened(tmp_path, "zero", "none", "all") as post:
        await post.reports(60)
        async with Sink() as other, Sink() as third:
            couriers = (
                owned(post, sink.url, "zero", filter=Filter(devices=("DEV0",))),
                owned(post, other.url, "none", filter=Filter(assets=("X*",))),
                owned(post, third.url, "all"),
            )
            async with running(*couriers):
                for name in ("zero", "none", "all"):
                    await settled(post, 60, name)
            assert sorted(sink.readings()) == [("M", "p", START + n) for n in range(3, 61, 3)]
            assert (other.attempts, third.readings().total()) == (0, 60)
        await post.outbox.keep(post.clock.ms)
        assert await post.left() == [60]


async def test_at_most_one_reading_in_an_interval(post: Post, sink: Sink) -> None:
    """By the clock of the readings, over batches; a waiting batch that is looked at again does not lose any."""
    await post.write(
        *((n, [["M", START + n * 1000, {"p": n}], ["N", START + n * 1000, {"p": n}]]) for n in range(1, 100))
    )
    async with running(owned(post, sink.url, filter=Filter(min_interval_s=10))):
        await settled(post, 99)
        await post.write(*((n, [["M", START + n * 1000, {"p": n}]]) for n in range(100, 150)))
        await settled(post, 149)
    assert sorted(at - START for asset, _, at in sink.readings() if asset == "M") == [
        1000,
        *range(10_000, 150_000, 10_000),
    ]
    assert sorted(at - START for asset, _, at in sink.readings() if asset == "N") == [
        1000,
        *range(10_000, 100_000, 10_000),
    ]


async def test_a_slow_sink_holds_up_no_other(tmp_path: Path, sink: Sink) -> None:
    hold = asyncio.Event()

    async def slow(batch: Batch) -> None:
        await hold.wait()

    async with Sink() as quick, opened(tmp_path, "slow", "quick") as post:
        sink.verdict = slow
        await post.reports(40)
        async with running(owned(post, sink.url, "slow"), owned(post, quick.url, "quick")):
            await settled(post, 40, "quick")
            assert quick.readings().total() == 40
            assert await post.outbox.cursor("slow") == 0
            hold.set()
            await settled(post, 40, "slow")
        assert sink.readings().total() == 40


async def test_a_filter_that_changes_while_a_batch_is_cut(tmp_path: Path, sink: Sink) -> None:
    """Two bad rows of a begun batch, a crash, and the filter is another one: every row that is wanted now arrives."""
    crash, hold = asyncio.Event(), asyncio.Event()
    bad = {3.0}

    async def verdict(batch: Batch) -> web.StreamResponse | None:
        if sink.attempts == 6:
            crash.set()
            await hold.wait()
        return web.Response(status=422) if bad & {row.value for row in batch.rows} else None

    sink.verdict = verdict
    async with opened(tmp_path) as first:
        await first.reports(8)
        await killed(owned(first, sink.url, filter=Filter(devices=("DEV*",))), crash)
        assert (await first.outbox.position("s")).settled > 0
    hold.set()
    async with opened(tmp_path) as second:
        async with running(owned(second, sink.url, filter=Filter(devices=("DEV[012]",), points=("p",)))):
            await settled(second, 8)
        assert [json.loads(letter["context"])["seq"] for letter in await second.dead()] == [3]
    sink.verdict = verdict
    async with opened(tmp_path, "t") as third:
        await third.reports(8, first=9)
        bad.clear()
        async with running(owned(third, sink.url, "t", filter=Filter(devices=("DEV0",)))):
            await settled(third, 16, "t")
    assert {at - START for _, _, at in sink.readings()} >= {1, 2, 4, 5, 6, 7, 8, 9, 12, 15}


async def test_a_format_that_changes_while_a_batch_is_under_way(tmp_path: Path, sink: Sink) -> None:
    """Begun as our own rows, and the sink is InfluxDB by now: the batch is begun anew, nothing is buried."""
    taken, lines = asyncio.Event(), list[str]()

    async def verdict(batch: Batch) -> web.StreamResponse:
        taken.set()
        return web.Response(status=503)

    async def write(request: web.Request) -> web.Response:
        lines.extend((await request.text()).splitlines())
        return web.Response(status=204)

    sink.verdict = verdict
    sink.routes["/write"] = write
    async with opened(tmp_path) as first:
        await first.reports(8)
        await killed(first.courier(sink.url), taken)
    async with opened(tmp_path) as second:
        async with running(second.courier(sink.url.replace("/rows", "/write?db=x"), format="influx")):
            await settled(second, 8)
        assert await second.dead() == []
    assert len(lines) == 8
