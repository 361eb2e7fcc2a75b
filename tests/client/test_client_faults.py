"""The clients where it is hard: a call that is given up, a thousand at once, large events; and both transports say the same."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from client_site import AWAY, BODIES, BOTH, PK, USER, Site
from harness import messages
from harness.process import ROOT
from harness.tasks import beside
from harness.wire import Client
from test_client_commands import LIMIT, TRANSPORTS

from bridge.client import Outcome
from bridge.errors import Denied, NotFound, Refused

MANY = 1_000


@asynccontextmanager
async def prompt(site: Site, answers: Callable[[], bool] = lambda: True) -> AsyncIterator[Counter[str]]:
    """AWAY is there, and answers at once; gives how often it got each command. Simulated devices drop answers above 64."""
    got: Counter[str] = Counter()

    async def serve(line: Client) -> None:
        while True:
            asked = await line.inbox.get()
            got[json.loads(asked.payload)["mid"]] += 1
            if answers():
                topic = asked.topic.removesuffix("command") + "result"
                await line.stored(topic, messages.answer(asked.payload, AWAY, data=[]))

    async with await Client.open(site.bridge.mqtt, AWAY, AWAY, site.secrets[AWAY]) as line:
        await line.subscribe(f"v1/wudun/{PK}/{AWAY}/+/+/command")
        async with beside(serve(line)):
            yield got


@TRANSPORTS
async def test_a_call_that_is_given_up(site: Site, transport: str) -> None:
    """The command goes on, nothing of the call stays behind, and the next one works."""
    device, simulated = site.device(transport, BOTH), site.fleet.device(BOTH)
    simulated.slow(1.0)
    mid = str(uuid.uuid4())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await device.streaming_overdemand.create(LIMIT, mid=mid)
    assert site.mqtt._waiters.open == {}
    again = await device.streaming_overdemand.create(LIMIT, mid=mid)
    assert (again.state, again.mid) == ("succeeded", mid)
    simulated.honest()
    assert (await device.streaming_overdemand.sync()).ok
    assert [found.mid async for found in site.http.commands(device=BOTH)].count(mid) == 1


@TRANSPORTS
async def test_calls_that_are_given_up_at_any_moment(site: Site, transport: str) -> None:
    device = site.device(transport, AWAY)

    async def brief(number: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(number / 4000):
                await device.streaming_overdemand.sync()

    async with prompt(site) as got:
        await asyncio.gather(*(brief(number) for number in range(200)))
        assert site.mqtt._waiters.open == {}
        assert (await device.streaming_overdemand.sync()).ok
        states = {
            (await site.http.command(each.mid, wait_s=10)).state async for each in site.http.commands(device=AWAY)
        }
        assert states == {"succeeded"}
        assert set(got.values()) == {1}


class TestWithTime:
    @pytest.fixture
    def config(self) -> str:
        return "[commands]\ntimeout_s = 40.0\nhold_s = 40.0\n"

    @TRANSPORTS
    async def test_a_thousand_at_once(self, site: Site, transport: str) -> None:
        device = site.device(transport, AWAY)
        async with prompt(site) as got:
            outcomes = await asyncio.gather(
                *(device.streaming_overdemand.sync() for _ in range(MANY)), return_exceptions=True
            )
        states = Counter(repr(each) if isinstance(each, BaseException) else each.state for each in outcomes)
        assert states == {"succeeded": MANY}
        assert all(isinstance(each, Outcome) and each.data == [] for each in outcomes)
        assert (len(got), set(got.values())) == (MANY, {1})


async def test_those_who_wait_do_not_keep_others_from_being_sent(site: Site) -> None:
    """More calls wait than the client has requests at a time; a bridge cuts off who has more."""
    device, other = site.http.device(AWAY), site.http.device(BOTH)
    async with prompt(site, lambda: False) as got:
        waiting = [asyncio.create_task(device.streaming_overdemand.sync(timeout_s=30)) for _ in range(600)]
        while len(got) < 600:
            assert not any(task.done() for task in waiting)
            await asyncio.sleep(0.05)
        assert (await asyncio.wait_for(other.safety.sync(), 10)).ok
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@TRANSPORTS
@pytest.mark.process
async def test_a_thousand_through_a_restart(site: Site, transport: str) -> None:
    """Whatever had been sent when the bridge was killed may be lost to its deadline; nothing is sent twice, nothing hangs."""
    device = site.device(transport, USER)
    calls = [asyncio.ensure_future(device.streaming_overdemand.sync()) for _ in range(300)]
    await asyncio.sleep(0.1)
    await site.restart()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    states = {repr(each) if isinstance(each, BaseException) else each.state for each in outcomes}
    assert states <= {"succeeded", "timed_out", "late_succeeded", "expired"}, states


async def test_who_gives_up_a_subscription_takes_it_from_nobody(site: Site) -> None:
    """The first command under a prefix is given up while it subscribes; so is the first reader of a filter."""
    device = site.mqtt.device(AWAY, f"v2/wudun/{PK}")
    async with prompt(site):
        calls = [asyncio.create_task(device.streaming_overdemand.sync()) for _ in range(3)]
        await asyncio.sleep(0)
        calls[0].cancel()
        for call in calls[1:]:
            assert (await call).data == []
        readers = [site.mqtt.messages("+/+/result", device=AWAY, prefix="v1/+/+") for _ in range(2)]
        first, second = [asyncio.ensure_future(anext(reader)) for reader in readers]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        while not second.done():
            await device.streaming_overdemand.sync()
        assert second.result().device == AWAY
    foreign = [site.mqtt.device("FOREIGN", "v1/wudun/PK999").safety.sync() for _ in range(3)]
    assert {type(each) for each in await asyncio.gather(*foreign, return_exceptions=True)} == {Denied}


async def test_both_transports_say_the_same(site: Site) -> None:
    async def outcome(transport: str, uid: str, feature: str, action: str, **options: Any) -> dict[str, Any]:
        try:
            got = await site.device(transport, uid).send(feature, action, BODIES.get(f"{feature}/{action}"), **options)
        except Refused as error:
            return {"error": type(error), "code": error.code, "path": error.path}
        return {
            name: getattr(got, name) for name in ("device", "command", "state", "code", "message", "ok", "settled")
        } | {"data": type(got.data)}

    async def same(uid: str, feature: str, action: str, **options: Any) -> dict[str, Any]:
        http, mqtt = [await outcome(transport, uid, feature, action, **options) for transport in ("http", "mqtt")]
        assert http == mqtt
        return http

    simulated = site.fleet.device(BOTH)
    assert (await same(BOTH, "streaming_overdemand", "sync"))["state"] == "succeeded"
    assert (await same(BOTH, "pcs_control", "set"))["state"] == "succeeded"
    assert (await same(AWAY, "safety", "sync"))["state"] == "expired"
    assert (await same(AWAY, "safety", "sync", wait_s=0.2))["state"] == "accepted"
    simulated.reject()
    assert (await same(BOTH, "streaming_overdemand", "create"))["state"] == "rejected"
    simulated.silence()
    assert (await same(BOTH, "streaming_overdemand", "sync"))["state"] == "timed_out"
    assert (await same("nobody", "safety", "sync"))["error"] is NotFound
    assert (await same("FOREIGN", "safety", "sync"))["error"] is NotFound


async def test_large_messages_and_events(site: Site) -> None:
    """An alarm of some hundred KB comes as one event, as one message, and as one that is stored."""
    words = "é\\n\\u0000\\u2028 data: x\\r\\n\\r\\n" * 6_000
    body = json.loads((ROOT / "tests" / "data" / "fault-alarm__alarm_details_post.json").read_text("utf-8"))
    body |= {"mid": str(uuid.uuid4()), "device_uid": AWAY, "timestamp": messages.now_ms()}
    body["data"]["content"] = words
    payload = json.dumps(body, ensure_ascii=False).encode()
    assert 180_000 < len(payload) < 262_000
    got_event: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    got_message: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def events() -> None:
        async for event in site.http.events(types=["alarm"]):
            got_event.set_result(event)
            return

    async def posts() -> None:
        async for got in site.mqtt.messages("alarm/details/post"):
            got_message.set_result(got)
            return

    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        group.create_task(events())
        group.create_task(posts())
        async with await Client.open(site.bridge.mqtt, AWAY, AWAY, site.secrets[AWAY]) as line:
            topic = f"v1/wudun/{PK}/{AWAY}/alarm/details/post"
            await line.stored(topic, payload)
            while not (got_event.done() and got_message.done()):
                await asyncio.sleep(0.2)  # whoever had not subscribed yet gets the next one
                await line.stored(topic, json.dumps({**body, "mid": str(uuid.uuid4())}).encode())
    assert got_message.result().message.data.content == words
    assert words in json.dumps(got_event.result().data, ensure_ascii=False) or "content" in str(got_event.result().data)
    stored = [message async for message in site.http.messages(device=AWAY, suffix="alarm/details/post")]
    assert stored[0].read()[1].data.content == words
