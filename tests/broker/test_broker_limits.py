"""Clients that are too fast, queues that are too large in all, and what `$SYS` says."""

from __future__ import annotations

import asyncio

import pytest
from broker_five import five
from broker_rig import rig

from bridge.broker import pace
from bridge.broker.limits import Limits
from bridge.broker.pace import Pace
from bridge.broker.system import System
from bridge.mqtt import packets, packets5
from bridge.mqtt import properties as p


def test_a_bucket_refills_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(pace, "monotonic", lambda: now)
    limits = Limits(publish_rate=10, publish_bytes_rate=1000, throttle_s=5)
    bucket = Pace(limits)
    assert bucket.spend(20, 100, limits) == 0
    assert bucket.spend(5, 0, limits) == pytest.approx(0.5)
    now += 0.5
    assert bucket.spend(0, 0, limits) == 0
    now += 10
    assert bucket.spend(0, 4000, limits) == pytest.approx(2)  # bytes count too; no bucket holds more than two seconds
    now += 100
    assert bucket.spend(21, 0, limits) == pytest.approx(0.1)
    for _ in range(49):
        now += 0.1
        assert bucket.spend(1, 0, limits) >= 0
    now += 0.2
    assert bucket.spend(10, 0, limits) < 0


async def test_who_is_too_fast_is_read_more_slowly_and_loses_nothing() -> None:
    async with rig(Limits(publish_rate=200)) as made, made.client("c") as client, made.client("d") as other:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(500):
            client.send(packets.encode_publish("t", b"%d" % number))
        await client.quiet()
        await client.quiet()  # is not read before the buckets have refilled
        assert loop.time() - began > 0.4
        assert len(made.submitted) == 500
        assert made.counts.value("ems_bridge_mqtt_throttled") >= 1
        await other.quiet()


async def test_who_stays_too_fast_is_disconnected_with_a_reason() -> None:
    async with rig(Limits(publish_rate=20, throttle_s=0.2)) as made, five(made) as client:
        for _ in range(60):
            client.send(packets5.encode_publish("t", b""))
        await made.until(lambda: made.counts.value("ems_bridge_mqtt_throttled") == 1)
        client.send(*(packets5.encode_publish("t", b"") for _ in range(60)))
        assert (await client.goodbye())[0] == 0x96


async def test_the_queues_of_all_clients_are_bounded_together() -> None:
    async with rig(Limits(queue_total_bytes=100)) as made, made.client("s") as sender:
        for name in "abc":
            async with five(made, name, {p.SESSION_EXPIRY: 100}) as client:
                await client.want(("t", 1))
        await sender.publish("t", b"x" * 40, 1)
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "queue_full"),)) == 1
        async with five(made, "a"):  # a clean start gives its room back
            pass
        async with five(made, "d", {p.SESSION_EXPIRY: 100}) as client:
            await client.want(("u", 1))
        await sender.publish("u", b"x" * 40, 1)
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "queue_full"),)) == 1


async def test_the_broker_says_how_it_is() -> None:
    async with rig(Limits(sys_interval_s=0)) as made, made.client("c") as client:
        now = 0.0
        made.hub.system = System(made.hub, lambda: now)
        await client.subscribe(("$SYS/#", 0))
        await client.publish("t", b"x", 1)
        made.broker.sweep(0)
        now = 60.0
        made.hub.system.publish()
        said = {}
        for first, topic, _, payload in await client.quiet():
            assert first == 0x30
            said[topic.removeprefix("$SYS/broker/")] = payload.decode()
        assert said["uptime"] == "60 seconds"
        assert said["version"].startswith("ems-bridge version ")
        assert (said["clients/connected"], said["clients/total"], said["clients/maximum"]) == ("1", "1", "1")
        assert said["publish/messages/received"] == "1"
        assert said["subscriptions/count"] == "1"
        await client.publish("t", b"y", 1)
        now = 120.0
        made.hub.system.publish()
        again = {topic: payload for _, topic, _, payload in await client.quiet()}
        assert again["$SYS/broker/publish/messages/received"] == b"2"
        assert float(again["$SYS/broker/load/publish/received/1min"]) == 1.0
        assert "$SYS/broker/clients/connected" not in again  # unchanged
        async with made.client("late") as late:
            assert await late.subscribe(("$SYS/broker/uptime", 0)) == [0]
            assert (await late.message())[1:2] == (b"120 seconds",)
        async with made.client("hash") as everything:
            await everything.subscribe(("#", 0))
            assert await everything.quiet() == []


async def test_it_says_so_by_itself() -> None:
    async with rig() as made, made.client("c") as client:
        await client.subscribe(("$SYS/broker/clients/connected", 0))
        made.broker.sweep(asyncio.get_running_loop().time() + 60)
        while (await client.message())[1] != b"1":
            pass


async def test_what_is_lost_is_said_once_and_counted_always(caplog: pytest.LogCaptureFixture) -> None:
    async with rig(Limits(queue_messages=1, subscriptions=1)) as made, made.client("s") as sender:
        async with five(made, "away", {p.SESSION_EXPIRY: 100}) as client:
            await client.want(("t", 1))
            await client.want(("more", 1))
        for _ in range(4):
            await sender.publish("t", b"x", 1)
        sender.send(b"\xff\xff")
        await made.until(lambda: made.counts.value("ems_bridge_mqtt_closed", (("cause", "protocol_error"),)) == 1)
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "queue_full"),)) == 3
        assert made.counts.value("ems_bridge_mqtt_subscriptions_refused", (("cause", "too_many_subscriptions"),)) == 1
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.count("dropped: queue_full, 't' for 'away'") == 1
    assert "not granted: too_many_subscriptions, 'more' to 'away'" in said
    assert [line for line in said if line.startswith("closed: protocol_error") and "'s' from 127.0.0.1" in line]
