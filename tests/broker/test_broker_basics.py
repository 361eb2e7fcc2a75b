"""CONNECT, subscriptions, delivery, retained messages and wills, packet by packet."""

from __future__ import annotations

import asyncio

import pytest
from broker_rig import Rig, rig

from bridge.broker.limits import Limits
from bridge.mqtt import packets
from bridge.mqtt.packets import Connect, Will

# CONNECT


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        (b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x00\x00\x00", 1),  # MQTT 6
        (b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00", 1),  # MQTT 3.1
        (packets.encode_connect(Connect("", clean_session=False)), 2),
        (packets.encode_connect(Connect("x" * 257)), 2),
        (packets.encode_connect(Connect("c", username="EMS1", password=b"wrong")), 4),
        (packets.encode_connect(Connect("c", username="nobody")), 4),
        (packets.encode_connect(Connect("c", username="EMS1", password=b"\xff")), 4),
    ],
)
async def test_connect_is_refused_with_the_code_that_says_why(connect: bytes, code: int) -> None:
    async with rig() as made:
        client = await made.raw()
        client.send(connect)
        assert await client.closed() == [(0x20, "", 0, bytes((0, code)))]
        assert sum(value for (name, _), value in made.counts.values.items() if name == "ems_bridge_mqtt_refused") == 1
        await client.vanish()


async def test_without_credentials_nobody_comes_in_unless_anonymous_is_allowed() -> None:
    async with rig() as made:
        made.hub.access = made.hub.access._replace(allow_anonymous=False)  # type: ignore[attr-defined]
        client = made.client()
        assert (await client.log_in())[0] == 5
        await client.vanish()


async def test_one_connection_too_many_hears_that_the_server_is_unavailable() -> None:
    async with rig(Limits(max_connections=1)) as made, made.client("a"):
        client = made.client("b")
        assert (await client.log_in())[0] == 3
        await client.vanish()


async def test_one_persistent_session_too_many() -> None:
    async with rig(Limits(max_sessions=1)) as made, made.client("a", clean_session=False):
        client = made.client("b", clean_session=False)
        assert (await client.log_in())[0] == 3
        await client.vanish()


@pytest.mark.parametrize(
    "data",
    [
        packets.PINGREQ_BYTES,
        packets.encode_publish("a", b""),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x10\x0b\x00\x04MQTX\x04\x02\x00\x00\x00\x00",
        b"\x00" * 100,
        b"\xff" * 100,
    ],
)
async def test_what_does_not_begin_with_a_connect_is_closed_without_an_answer(data: bytes) -> None:
    async with rig() as made:
        client = await made.raw()
        client.send(data)
        assert await client.closed() == []
        await client.vanish()
        async with made.client():
            pass


async def test_a_second_connect_closes() -> None:
    async with rig() as made, made.client() as client:
        client.send(packets.encode_connect(Connect("c")))
        assert await client.closed() == []


async def test_an_empty_client_id_gets_a_name_of_its_own() -> None:
    async with rig() as made, made.client("") as one, made.client("") as two:
        await one.quiet()
        await two.quiet()
        assert len({client for _, client, _ in made.presence}) == 2


async def test_packets_behind_the_connect_need_not_wait_for_the_connack() -> None:
    async with rig() as made:
        client = await made.raw()
        client.send(
            packets.encode_connect(Connect("c")),
            packets.encode_subscribe(1, [("a", 0)]),
            packets.encode_publish("a", b"1"),
        )
        assert [(await client.frame())[0] for _ in range(3)] == [0x20, 0x90, 0x30]
        await client.vanish()


async def test_connect_deadline_and_keep_alive_are_held() -> None:
    async with rig() as made, made.client("k", keep_alive=10, will=Will("w", b"gone")) as kept:
        slow = await made.raw()
        slow.send(b"\x10")
        async with made.client("watch", keep_alive=0) as watch:
            await watch.subscribe(("w", 0))
            start = made.hub.turn.now
            made.broker.sweep(start + 9.9)
            await kept.quiet()
            made.broker.sweep(start + 10.6)
            assert await slow.closed() == []
            made.broker.sweep(start + 24.9)  # 1.5 × 10 s after it was heard at 9.9
            assert await kept.quiet() == []
            made.broker.sweep(start + 24.9 + 15.4)
            assert await kept.quiet() == []
            made.broker.sweep(start + 24.9 + 15.4 + 15.6)
            assert await kept.closed() == []
            assert (await watch.message())[:2] == ("w", b"gone")
            assert await watch.quiet() == []
        assert made.counts.value("ems_bridge_mqtt_closed", (("cause", "keep_alive"),)) == 1
        assert made.counts.value("ems_bridge_mqtt_closed", (("cause", "connect_timeout"),)) == 1
        await slow.vanish()


# Take-over and sessions


async def test_the_same_client_takes_its_session_over() -> None:
    async with rig() as made, made.client("watch") as watch:
        await watch.subscribe(("w", 1))
        async with made.device("EMS1", clean_session=False, will=Will("w", b"will")) as first:
            await first.subscribe(("v1/wudun/PK/EMS1/#", 1))
            async with made.device("EMS1", clean_session=False) as second:
                assert second.present
                assert await first.closed() == []
                assert (await watch.message())[1] == b"will"
                await watch.publish("v1/wudun/PK/EMS1/a", b"1")
                assert (await second.message())[1] == b"1"
                assert [each for each in made.presence if each[0] == "EMS1"] == [("EMS1", "EMS1-client", True)]
        await watch.quiet()
        assert made.presence[-1] == ("EMS1", "EMS1-client", False)


async def test_nobody_takes_over_the_session_of_another_principal() -> None:
    async with rig() as made, made.device("backend", clean_session=False) as mine:
        await mine.subscribe(("v1/#", 1))
        foreign = made.client("backend-client", username="other", password=b"other-secret", clean_session=False)
        async with foreign:
            assert not foreign.present
            await mine.publish("v1/wudun/PK/EMS1/x", b"1", 0)
            await foreign.publish("v1/x", b"2", 0)
            assert await foreign.quiet() == []


async def test_a_clean_session_forgets_a_persistent_one() -> None:
    async with rig() as made:
        async with made.client(clean_session=False) as client:
            await client.subscribe(("a", 1))
        async with made.client(clean_session=True) as client:
            assert not client.present
        async with made.client(clean_session=False) as client:
            assert not client.present
            await client.publish("a", b"")
            assert await client.quiet() == []


# Subscriptions and delivery


async def test_delivery_is_at_the_lower_qos() -> None:
    async with rig() as made, made.client("pub") as pub:
        for granted in (0, 1, 2):
            async with made.client(f"sub{granted}") as sub:
                assert await sub.subscribe(("t", granted)) == [granted]
                for sent in (0, 1, 2):
                    await pub.publish("t", b"x", sent)
                    assert (await sub.message())[2] == min(granted, sent)


async def test_overlapping_filters_deliver_once_at_the_highest_qos() -> None:
    async with rig() as made, made.client("a") as client, made.client("p") as pub:
        await client.subscribe(("a/#", 0), ("a/+", 2), ("a/b", 1))
        await pub.publish("a/b", b"x", 2)
        assert (await client.message())[2] == 2
        assert await client.quiet() == []


async def test_a_topic_and_its_twins_deliver_once() -> None:
    async with rig() as made, made.client("a") as client, made.client("b") as other, made.client("p") as pub:
        made.twins = lambda topic: (topic, f"twin/{topic}")
        await client.subscribe(("#", 1))
        await other.subscribe(("twin/#", 1))
        await pub.publish("a", b"x", 1)
        assert (await client.message())[0] == "a"
        assert (await other.message())[0] == "twin/a"
        assert await client.quiet() == []


async def test_wildcards_leave_out_dollar_topics() -> None:
    async with rig() as made, made.client("a") as client, made.client("p") as pub:
        await client.subscribe(("#", 0), ("+/x", 0))
        await pub.publish("$x/x", b"1")
        assert await client.quiet() == []
        await client.subscribe(("$x/#", 0))
        await pub.publish("$x/x", b"2")
        assert (await client.message())[1] == b"2"


async def test_an_equal_subscription_replaces_the_old_one_and_sends_retained_again() -> None:
    async with rig() as made, made.client("a") as client, made.client("p") as pub:
        await pub.publish("t", b"kept", 1, retain=True)
        await client.subscribe(("t", 1))
        assert (await client.message())[::2] == ("t", 1, True)
        await client.subscribe(("t", 0))
        assert (await client.message())[::2] == ("t", 0, True)
        await pub.publish("t", b"live", 1, retain=True)
        assert await client.message() == ("t", b"live", 0, 0, False, False)
        assert await client.quiet() == []


async def test_unsubscribe() -> None:
    async with rig() as made, made.client("a") as client:
        await client.subscribe(("a/+", 1), ("b", 1))
        await client.unsubscribe("a/+", "never")
        await client.publish("a/1", b"")
        client.send(packets.encode_publish("b", b"x"))
        assert (await client.message())[0] == "b"


async def test_what_may_not_be_subscribed_is_refused() -> None:
    async with (
        rig(Limits(subscriptions=2, topic_levels=5)) as made,
        made.device("EMS1") as device,
        made.client() as other,
    ):
        assert await device.subscribe(("v1/wudun/PK/EMS1/#", 1), ("v1/wudun/PK/EMS2/#", 1), ("#", 1)) == [1, 0x80, 0x80]
        assert await other.subscribe(("a/b/c/d/e", 1), ("a/b/c/d/e/f", 1), ("b", 2), ("c", 2), ("b", 0)) == [
            1,
            0x80,
            2,
            0x80,
            0,
        ]


async def test_deliveries_are_asked_about_and_asked_again_when_permissions_change() -> None:
    async with rig() as made, made.device("backend") as backend, made.device("other") as other, made.client("p") as pub:
        for account in (backend, other):
            assert await account.subscribe(("#", 0)) == [0]
        await pub.publish("v1/wudun/PK/EMS1/a", b"1")
        assert (await backend.message())[1] == b"1"
        assert await other.quiet() == []
        made.people["other"] = made.people["backend"]._replace(name="other")
        made.hub.permissions_changed()
        await pub.publish("v1/wudun/PK/EMS1/a", b"2")
        assert (await other.message())[1] == b"2"
        del made.people["other"]
        made.hub.permissions_changed()
        assert await other.closed() == []


# Retained


async def test_retained_messages_are_replaced_and_removed() -> None:
    async with rig() as made, made.client("p") as pub:
        for payload in (b"1", b"2"):
            await pub.publish("r/a", payload, 1, retain=True)
        await pub.publish("r/b", b"3", 0, retain=True)
        await pub.publish("r/b/c", b"4", 2, retain=True)
        async with made.client("s") as sub:
            await sub.subscribe(("r/#", 2))
            found = sorted([(await sub.message())[:3] for _ in range(3)])
            assert found == [("r/a", b"2", 1), ("r/b", b"3", 0), ("r/b/c", b"4", 2)]
            await pub.publish("r/a", b"", 1, retain=True)
            assert await sub.message() == ("r/a", b"", 1, 3, False, False)
        async with made.client("s") as sub:
            await sub.subscribe(("r/+", 0))
            assert await sub.message() == ("r/b", b"3", 0, 0, True, False)
            assert await sub.quiet() == []


async def test_retained_messages_are_bounded() -> None:
    async with rig(Limits(retained_messages=2, retained_bytes=100)) as made, made.client("p") as pub:
        for topic, payload in (("a", b"1"), ("b", b"x" * 200), ("c", b"1"), ("d", b"1"), ("a", b"2")):
            await pub.publish(topic, payload, 1, retain=True)
        async with made.client("s") as sub:
            await sub.subscribe(("#", 0))
            assert sorted([(await sub.message())[:2] for _ in range(2)]) == [("a", b"2"), ("c", b"1")]
            assert await sub.quiet() == []
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "retained_full"),)) == 2


async def test_more_retained_messages_than_the_window_and_the_queue_take() -> None:
    async with rig(Limits(inflight=2, queue_messages=4)) as made, made.client("p") as pub:
        for number in range(20):
            await pub.publish(f"r/{number}", b"x", 1, retain=True)
        async with made.client("s") as sub:
            await sub.subscribe(("r/#", 1))
            seen = set()
            for _ in range(20):
                topic, _, _, packet_id, _, _ = await sub.message()
                seen.add(topic)
                sub.send(packets.encode_puback(packet_id))
            assert len(seen) == 20


# Wills


@pytest.mark.parametrize("how", ["vanish", "protocol_error", "disconnect"])
async def test_a_will_is_published_unless_the_client_says_goodbye(how: str) -> None:
    async with rig() as made, made.client("w") as watch:
        await watch.subscribe(("will/#", 2))
        dying = made.client("d", will=Will("will/d", b"bye", 1, True))
        async with dying:
            if how == "protocol_error":
                dying.send(b"\x00\x00")
                assert await dying.closed() == []
            elif how == "disconnect":
                await dying.disconnect()
        if how == "disconnect":
            assert await watch.quiet() == []
        else:
            assert await watch.message() == ("will/d", b"bye", 1, 1, False, False)
            async with made.client("late") as late:
                await late.subscribe(("will/d", 0))
                assert (await late.message())[4]


async def test_presence_follows_connections() -> None:
    async with rig() as made:
        async with made.device("EMS1"):
            assert made.presence == [("EMS1", "EMS1-client", True)]
        async with made.client() as other:
            await other.quiet()
        assert made.presence[1] == ("EMS1", "EMS1-client", False)


async def test_stop_is_idempotent_and_closes_everybody() -> None:
    async with rig() as made, made.client("a", will=Will("w", b"")) as client:
        await made.broker.stop()
        await made.broker.stop()
        assert await client.closed() == []
        assert made.submitted == []
        with pytest.raises(ConnectionRefusedError):
            await made.raw()


async def test_stop_sends_the_acknowledgements_that_are_still_due() -> None:
    async with rig() as made, made.client("a") as client:
        made.hold = True
        client.send(packets.encode_publish("t", b"x", 1, packet_id=7))
        await _submitted(made, 1)
        stopping = asyncio.create_task(made.broker.stop())
        await asyncio.sleep(0)
        made.let_go()
        assert await client.closed() == [(0x40, "", 7, b"")]
        await stopping


async def _submitted(made: Rig, count: int) -> None:
    async with made.client("probe") as probe:
        while len(made.submitted) < count:
            await probe.quiet()
