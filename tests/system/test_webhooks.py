"""Webhooks from the outside: a real service, a real receiver that is down, slow, refuses, and a bridge that is killed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import aiohttp
import pytest
from harness import messages
from harness.api import Api
from harness.hook import Hook
from harness.process import ROOT, Bridge
from harness.wire import Client

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

UID = "HOOK001"
SAMPLES = ROOT / "tests" / "data"
MakeBridge = Callable[..., Bridge]


class House(NamedTuple):
    """A running bridge that tells `hook`, and an account."""

    bridge: Bridge
    hook: Hook
    api: Api
    secret: str

    async def device(self) -> Client:
        """The device's connection; it answers nothing by itself."""
        client = await Client.open(self.bridge.mqtt, UID, UID, self.secret)
        await client.subscribe(f"v1/wudun/PK001/{UID}/+/+/command")
        return client

    async def settle(self, count: int) -> list[str]:
        """Commands that end at once, one after the other: the device is away."""
        mids = [str(uuid.uuid4()) for _ in range(count)]
        for mid in mids:
            body = {"feature": "safety", "action": "sync", "mid": mid, "now": True, "wait_s": 5}
            assert (await self.api.post(f"/api/v1/devices/{UID}/commands", body))["state"] == "undeliverable"
        return mids

    async def told(self, mids: list[str]) -> None:
        """Each of these once, in their order, signed."""
        await self.hook.until(lambda: len(self.hook.of("command")) >= len(mids), 60)
        assert [event["data"]["mid"] for event in self.hook.of("command")] == mids
        assert self.hook.faults == []


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with Hook() as running:
        yield running


@pytest.fixture
async def house(make_bridge: MakeBridge, hook: Hook, web: aiohttp.ClientSession) -> House:
    bridge = make_bridge(hook.config)
    secret, account = bridge.device(UID), bridge.account("tester")
    await asyncio.to_thread(bridge.start)
    return House(bridge, hook, Api(web, bridge, account), secret.secret)


async def test_what_is_told(house: House) -> None:
    """Presence, a command's outcome with its answer, an alarm, a refused message."""
    async with await house.device() as device:
        await house.hook.until(lambda: len(house.hook.of("presence")) == 1)
        mid = str(uuid.uuid4())
        body = {"feature": "streaming_overdemand", "action": "delete", "data": {"id": 1}, "mid": mid, "wait_s": 10}
        asking = asyncio.create_task(house.api.post(f"/api/v1/devices/{UID}/commands", body))
        got = await device.get()
        await device.stored(got.topic.replace("/command", "/result"), messages.answer(got.payload, UID, data={"é": 1}))
        assert (await asking)["state"] == "succeeded"
        sample = json.loads((SAMPLES / "fault-alarm__alarm_details_post.json").read_text("utf-8"))
        sample |= {"mid": str(uuid.uuid4()), "device_uid": UID, "timestamp": messages.now_ms()}
        await device.stored(messages.topic(UID, "alarm/details/post"), json.dumps(sample, indent=1).encode())
        await device.stored(messages.topic(UID, messages.REPORT), b"{")
        await house.hook.until(lambda: len(house.hook.events) == 4)
    await house.hook.until(lambda: len(house.hook.events) == 5)
    assert house.hook.faults == []
    came, command, alarmed, dead, left = house.hook.events
    assert [event["device"] for event in house.hook.events] == [UID] * 5
    assert (came["type"], came["data"]["online"]) == ("presence", True)
    assert command["data"] | {"created_at": 0, "settled_at": 0} == {
        "mid": mid, "command": "streaming_overdemand/delete", "state": "succeeded", "code": 200, "msg": "",
        "cause": "the device answered", "answer": {"é": 1}, "sender": "account:tester", "via": "http",
        "created_at": 0, "settled_at": 0,
    }  # fmt: skip
    assert (alarmed["type"], alarmed["data"]["body"]) == ("alarm", sample)
    assert (dead["type"], dead["data"]["reason"], dead["data"]["source"]) == ("dead_letter", "not_json", "mqtt")
    assert (left["type"], left["data"]["online"]) == ("presence", False)
    metrics = await house.api.metrics()
    assert metrics["ems_bridge_webhook_events_total{webhook=test}"] == 5
    assert metrics["ems_bridge_webhook_attempts_total"] == 5


async def test_down_for_a_while(house: House) -> None:
    await house.hook.down()
    mids = await house.settle(150)
    await house.hook.up()
    await house.told(mids)
    metrics = await house.api.metrics()
    assert metrics["ems_bridge_webhook_failures_total{cause=connection}"] >= 1


@pytest.mark.parametrize("status", [500, 503, 429, 302, 404, None])
async def test_tried_again(house: House, status: int | None) -> None:
    """The same event until it is taken; none overtakes it."""
    failures = 0

    async def verdict(event: dict[str, Any]) -> int | None:
        nonlocal failures
        if event["type"] == "command" and failures < 3:
            failures += 1
            return status
        return 204

    house.hook.verdict = verdict
    await house.told(await house.settle(5))
    assert (await house.api.get("/api/v1/dead-letters"))["dead_letters"] == []


async def test_poison(house: House) -> None:
    """What is plainly refused is a dead letter, without an event of its own; the next ones go on; it can be posted again."""
    poisoned: list[str] = []

    async def verdict(event: dict[str, Any]) -> int:
        if event["type"] == "command" and not poisoned:
            poisoned.append(event["id"])
            return 422
        return 200

    house.hook.verdict = verdict
    first, *others = await house.settle(4)
    await house.told(others)
    page = await house.api.get("/api/v1/dead-letters", source="webhook")
    (letter,) = page["dead_letters"]
    assert (letter["reason"], letter["detail"]) == ("webhook_refused_422", "HTTP 422: no")
    assert letter["context"]["sink"] == "test"
    assert house.hook.of("dead_letter") == []
    await house.api.post(f"/api/v1/dead-letters/{letter['id']}/replay", {})
    await house.told([*others, first])
    assert house.hook.events[-1]["id"] == poisoned[0]
    assert "to" not in house.hook.events[-1]


@pytest.mark.parametrize("rounds", [5])
async def test_kill_9_loses_none(house: House, rounds: int) -> None:
    """Killed while the receiver takes, fails and hangs; each event comes, in order, under one id."""
    number = 0

    async def unsteady(event: dict[str, Any]) -> int | None:
        nonlocal number
        number += 1
        await asyncio.sleep(0.005)
        return {4: 500, 9: None}.get(number % 15, 200)

    house.hook.verdict = unsteady
    mids: list[str] = []
    for turn in range(rounds):
        mids += await house.settle(30)
        goal = turn * 12
        await house.hook.until(lambda goal=goal: len(house.hook.of("command")) > goal)  # type: ignore[misc]
        house.bridge.kill()
        await asyncio.to_thread(house.bridge.start)
    await house.told(mids)
    assert await asyncio.to_thread(house.bridge.stop) == 0
    assert (await asyncio.to_thread(house.bridge.cli, "verify")).returncode == 0


async def test_a_stop_repeats_nothing(house: House) -> None:
    """Where a batch was left is known at the next start."""

    async def slow(event: dict[str, Any]) -> int:
        await asyncio.sleep(0.02)
        return 200

    await house.hook.down()
    mids = await house.settle(60)
    house.hook.verdict = slow
    await house.hook.up()
    await house.hook.until(lambda: len(house.hook.of("command")) > 10)
    assert await asyncio.to_thread(house.bridge.stop) == 0
    assert len(house.hook.of("command")) < 60
    await asyncio.to_thread(house.bridge.start)
    await house.told(mids)
    assert house.hook.attempts == len(house.hook.events)


async def test_nothing_is_kept_without_a_webhook(make_bridge: MakeBridge, web: aiohttp.ClientSession) -> None:
    bridge = make_bridge()
    secret, account = bridge.device(UID), bridge.account("tester")
    await asyncio.to_thread(bridge.start)
    await House(bridge, Hook(), Api(web, bridge, account), secret.secret).settle(3)
    bridge.stop()
    with sqlite3.connect(bridge.data / "bridge.db") as connection:
        assert connection.execute("SELECT count(*) FROM webhook_events").fetchone() == (0,)
    connection.close()
