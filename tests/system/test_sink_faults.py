"""A sink that is down, slow, or refuses (PRODUCT.md §4.4): nothing is lost, the rest flows. Real processes, real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiohttp import web as server
from harness import messages
from harness.api import Api
from harness.process import Bridge
from harness.sink import Batch, Sink
from harness.wire import Client

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

UID = "SINK001"
ASSET = f"{UID}.meter.{messages.METER}"
POINT = "total_active_power"
REPORTS = 120
PATIENCE_S = 60.0
TIMEOUT_S = 1.0

CONFIG = """
[[mirror.sinks]]
name = "{name}"
url = "{url}"
batch_rows = 25
batch_age_s = 0.05
timeout_s = 1.0
"""


class House(NamedTuple):
    """A running bridge that mirrors to `sink`, and a device."""

    bridge: Bridge
    sink: Sink
    api: Api
    device: Client

    async def report(self, count: int = REPORTS, first: int = 0) -> list[int]:
        """Publish reports with one reading each and wait for every PUBACK; their timestamps. Value n is `first + n`."""
        start = messages.now_ms() - 100_000 + first * 10
        times = [start + number for number in range(count)]
        topic = messages.topic(UID, messages.REPORT)
        for number, at in enumerate(times):
            ended = self.device.publish(topic, messages.short_report(UID, float(first + number), at=at))
            if number % 20 == 19 or at == times[-1]:
                await asyncio.wait_for(ended, PATIENCE_S)
        return times

    async def arrived(self, times: list[int]) -> None:
        """Every reading is at the sink, each once over distinct keys, and no key came with two bodies."""
        await self.sink.until(lambda: self.sink.readings().total() >= len(times), PATIENCE_S)
        assert sorted(self.sink.readings().elements()) == [(ASSET, POINT, at) for at in times]
        assert self.sink.faults == []

    async def failures(self) -> None:
        """Wait until the courier met the fault at least once."""
        await self.sink.until(lambda: self.sink.attempts > 0, PATIENCE_S)


@pytest.fixture
async def house(make_bridge, sink: Sink, web) -> AsyncIterator[House]:
    bridge: Bridge = make_bridge(CONFIG.format(name="witness", url=sink.url))
    secret = bridge.device(UID)
    account = bridge.account("tester")
    await asyncio.to_thread(bridge.start)
    async with await Client.open(bridge.mqtt, UID, *secret) as device:
        yield House(bridge, sink, Api(web, bridge, account), device)


async def test_a_good_sink_gets_everything_once(house: House) -> None:
    await house.arrived(await house.report())


async def test_down_for_a_while(house: House) -> None:
    """While it is down, devices are acknowledged and our own queries go on."""
    await house.sink.down()
    times = await house.report()
    found = await house.api.until(
        lambda: house.api.readings(ASSET, POINT, limit=1000), lambda found: len(found) == REPORTS, PATIENCE_S
    )
    assert sorted(found) == times
    assert house.sink.attempts == 0
    await house.sink.up()
    await house.arrived(times)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_status_that_is_retried(house: House, status: int) -> None:
    """The same batch comes again under the same key until it is taken."""
    refused: list[str] = []

    async def verdict(batch: Batch) -> server.StreamResponse | None:
        if len(refused) < 2:
            refused.append(batch.key)
            return server.Response(status=status)
        return None

    house.sink.verdict = verdict
    await house.arrived(await house.report(30))
    assert refused[0] == refused[1]
    assert refused[0] in house.sink.accepted
    assert await dead(house) == []


async def test_retry_after_is_waited_for(house: House) -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []

    async def verdict(_batch: Batch) -> server.StreamResponse | None:
        seen.append(loop.time())
        return server.Response(status=429, headers={"Retry-After": "3"}) if len(seen) == 1 else None

    house.sink.verdict = verdict
    await house.arrived(await house.report(30))
    assert seen[1] - seen[0] >= 2.9


async def test_slow(house: House) -> None:
    """The first answers come after the courier's patience: the rows were taken, and come again under the same key."""
    slow = 2

    async def verdict(batch: Batch) -> server.StreamResponse | None:
        nonlocal slow
        if slow:
            slow -= 1
            house.sink.keep(batch)
            await asyncio.sleep(2 * TIMEOUT_S)
        return None

    house.sink.verdict = verdict
    await house.arrived(await house.report())
    assert house.sink.attempts > len(house.sink.accepted)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_one_bad_row_is_buried_alone(house: House, status: int) -> None:
    """The batch is cut until the bad row alone is a dead letter; all others arrive."""
    poison = 37.0

    async def verdict(batch: Batch) -> server.StreamResponse | None:
        return server.Response(status=status, text="no") if any(row.value == poison for row in batch.rows) else None

    house.sink.verdict = verdict
    times = await house.report()
    buried = times[int(poison)]
    await house.arrived([at for at in times if at != buried])
    letters = await house.api.until(lambda: dead(house), bool, PATIENCE_S)
    assert len(letters) == 1
    letter = await house.api.get(f"/api/v1/dead-letters/{letters[0]['id']}")
    row = json.loads(letter["payload"])
    assert (row["asset"], row["timestamp"]) == (ASSET, buried)
    assert str(status) in letter["reason"] + letter["detail"]
    assert house.bridge.running()


async def test_one_dead_endpoint_stops_no_other(make_bridge, sink: Sink, web) -> None:
    """One sink refuses connections for good; the other one, and our own endpoint, get everything."""
    async with Sink() as gone:
        dead_url = gone.url
    bridge: Bridge = make_bridge(CONFIG.format(name="gone", url=dead_url) + CONFIG.format(name="good", url=sink.url))
    secret = bridge.device(UID)
    account = bridge.account("tester")
    await asyncio.to_thread(bridge.start)
    async with await Client.open(bridge.mqtt, UID, *secret) as device:
        house = House(bridge, sink, Api(web, bridge, account), device)
        times = await house.report()
        await house.arrived(times)
        await house.api.until(
            lambda: house.api.readings(ASSET, POINT, limit=1000), lambda found: sorted(found) == times, PATIENCE_S
        )
        assert await asyncio.to_thread(bridge.stop) == 0, "a dead sink holds up the stop"


async def test_unsent_readings_survive_a_restart(house: House) -> None:
    await house.sink.down()
    times = await house.report()
    house.bridge.kill()
    await house.sink.up()
    await asyncio.to_thread(house.bridge.start)
    await house.arrived(times)


async def dead(house: House) -> list[dict[str, object]]:
    found = await house.api.get("/api/v1/dead-letters", source="mirror")
    letters: list[dict[str, object]] = found["dead_letters"]
    return letters
