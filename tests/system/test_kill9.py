"""kill -9 at random moments (issue "The main job runs", Reliability; PRODUCT.md §4.1, §4.3, §4.4).

Fifty devices publish, two backends send commands, a sink fails now and then; the bridge is killed again and again over one
data directory. What was acknowledged must be there, every reading must reach the sink and count once, every command must end
once. EMS_KILL9_ROUNDS and EMS_KILL9_SEED change the run; a failure prints its seed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from itertools import pairwise
from random import Random

import aiohttp
import pytest
from harness.backend import Backend, MqttBackend
from harness.fleet import provision
from harness.process import Bridge, Secret
from harness.sink import Batch, Sink, cut
from harness.wire import Client
from harness.witness import Fleet, Witness

ROUNDS = int(os.environ.get("EMS_KILL9_ROUNDS", "30"))
SEED = int(os.environ.get("EMS_KILL9_SEED", "20240424"))
DEVICES = 50
ACKS = 400
"""A round is killed after 1 to so many acknowledgements, and up to JITTER_S later."""
JITTER_S = 0.03
SETTLE_S = 60.0

CONFIG = """
[commands]
timeout_s = 3.0
hold_s = 4.0

[[mirror.sinks]]
name = "witness"
url = "{url}"
format = "samples"
batch_rows = 200
batch_age_s = 0.05
timeout_s = 5.0
"""


class Unsteady:
    """A sink's verdict that fails one batch in eight: before it keeps it, after it kept it, or with 500."""

    def __init__(self, sink: Sink, rng: Random) -> None:
        self.sink, self.rng = sink, rng

    async def __call__(self, batch: Batch) -> aiohttp.web.StreamResponse | None:
        chance = self.rng.random()
        if chance < 0.04:
            cut(batch.request)
        elif chance < 0.08:
            self.sink.keep(batch)
            cut(batch.request)
        elif chance < 0.12:
            return aiohttp.web.Response(status=500)
        return None


@pytest.mark.system
@pytest.mark.timeout(60 + 25 * max(ROUNDS, 4))
async def test_kill_9_loses_nothing(make_bridge, sink: Sink, web: aiohttp.ClientSession) -> None:
    print(f"EMS_KILL9_SEED={SEED} EMS_KILL9_ROUNDS={ROUNDS}")
    rng = Random(SEED)
    sink.verdict = Unsteady(sink, Random(SEED))
    bridge: Bridge = make_bridge(CONFIG.format(url=sink.url))
    people = await provision(bridge.data, [f"KILL{number:03d}" for number in range(DEVICES)])
    account = bridge.account("backend")
    witness = Witness()
    fleet = Fleet(people, witness, rng)
    by_http = Backend(people, account, witness, rng, web)
    by_mqtt = MqttBackend(people, account, witness, rng)

    await asyncio.to_thread(bridge.start)
    await by_mqtt.settle(bridge)
    bridge.kill()
    for number in range(ROUNDS):
        await asyncio.to_thread(bridge.start)
        await check_presence(bridge, account)
        await check_stored(bridge, web, account.secret, witness)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run) for run in (fleet.run(bridge), by_http.run(bridge), by_mqtt.run(bridge))]
            await witness.until(witness.acks + rng.randint(1, ACKS))
            await asyncio.sleep(rng.uniform(0, JITTER_S))
            bridge.kill()
            for task in tasks:
                task.cancel()
        await check_directory(bridge, f"round {number}")

    await asyncio.to_thread(bridge.start)
    async with asyncio.timeout(SETTLE_S):
        await fleet.settle(bridge)
        await by_mqtt.settle(bridge)
        await by_http.settle(bridge)
    stored = await check_stored(bridge, web, account.secret, witness)
    async with by_mqtt.following(bridge):
        await witness.heard(await check_commands(bridge, web, account.secret, witness))
    await check_sink(sink, stored)
    assert await asyncio.to_thread(bridge.stop) == 0, bridge.tail()
    await check_directory(bridge, "after the stop")
    print(f"{len(witness.reports)} reports, {len(witness.commands)} commands, {sink.attempts} posts")


async def check_directory(bridge: Bridge, when: str) -> None:
    """`ems-bridge verify` finds nothing in a directory whose process is dead."""
    done = await asyncio.to_thread(bridge.cli, "verify", expect=None)
    assert done.returncode == 0, f"{when}: {done.stdout}{done.stderr}"


async def check_stored(bridge: Bridge, web: aiohttp.ClientSession, key: str, witness: Witness) -> list[tuple[str, int]]:
    """Every acknowledged message is in the store; gives (device, timestamp) of each stored report."""
    since = witness.since
    while True:
        url = f"{bridge.http}/api/v1/messages?since={since}&limit=1000"
        async with web.get(url, headers={"X-API-Key": key}) as answer:
            assert answer.status == 200, await answer.text()
            page = await answer.json()
        for message in page["messages"]:
            witness.stored[message["mid"]] += 1
            if message["suffix"] == "report/regular/post":
                witness.readings.append((message["device"], message["timestamp"]))
        if page["next"] == since:
            break
        since = page["next"]
    witness.since = since
    lost = [mid for mid in witness.acked if mid not in witness.stored]
    assert not lost, f"{len(lost)} acknowledged messages are not in the store, such as {lost[:3]}"
    return witness.readings


async def check_presence(bridge: Bridge, account: Secret) -> None:
    """As soon as the doors are open nobody is told to be there who is not."""
    async with await Client.open(bridge.mqtt, "onlooker", *account) as client:
        await client.subscribe("bridge/v1/PK001/+/presence", "bridge/v1/end")
        await client.stored("v1/wudun/PK001/NONE/report/regular/post", b"{}")  # what is retained has come before
        while not client.inbox.empty():
            got = client.inbox.get_nowait()
            assert not json.loads(got.payload)["online"], got


async def check_commands(
    bridge: Bridge, web: aiohttp.ClientSession, key: str, witness: Witness
) -> dict[str, list[str]]:
    """Exactly one outcome for every command that was taken, the one that everybody was told; changing ones one at a time, in
    their order. Gives the moves of each."""
    assert witness.commands
    wrong, moves, changes = [], {}, defaultdict(list)
    for mid in witness.commands:
        async with web.get(f"{bridge.http}/api/v1/commands/{mid}?wait_s=20", headers={"X-API-Key": key}) as answer:
            assert answer.status == 200, f"{mid}: {answer.status} {await answer.text()}"
            command = await answer.json()
        moves[mid] = [step["state"] for step in command["history"]]
        if command["action"] == "delete" and command["sent_at"] is not None:
            changes[command["device"]].append((command["sent_at"], command["settled_at"], mid))
        if fault := witness.fault(command):
            wrong.append(f"{mid}: {fault}")
    assert not wrong, "\n".join(wrong[:10])
    for walks in changes.values():
        for (_, ended, before), (sent, _, after) in pairwise(sorted(walks)):
            assert ended <= sent, f"{after} was sent while {before} was under way"
    return moves


async def check_sink(sink: Sink, stored: list[tuple[str, int]]) -> None:
    """Every reading of every stored report is at the sink, counted once."""
    expected = sorted((f"{uid}.meter.7", "total_active_power", at) for uid, at in stored)
    await sink.until(lambda: sink.readings().total() >= len(expected), SETTLE_S)
    assert sorted(sink.readings().elements()) == expected
    assert sink.faults == []
