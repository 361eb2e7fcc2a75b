"""Bad bytes: the right refusal, the process lives, memory is bounded."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from broker_rig import Rig, rig

from bridge.broker.limits import KIB, Limits
from bridge.mqtt import packets
from bridge.mqtt.packets import Connect

BROKEN = {
    "reserved flags": b"\x83\x06\x00\x01\x00\x01a\x00",
    "QoS 3": b"\x36\x05\x00\x01a\x00\x01",
    "topic is not UTF-8": b"\x32\x05\x00\x01\xff\x00\x01",
    "topic with U+0000": b"\x30\x03\x00\x01\x00",
    "publish to a wildcard": b"\x30\x05\x00\x03a/#",
    "packet id 0": b"\x32\x05\x00\x01a\x00\x00",
    "subscribe to nothing": b"\x82\x02\x00\x01",
    "subscribe with QoS 3": b"\x82\x06\x00\x01\x00\x01a\x03",
    "subscribe to a bad filter": b"\x82\x07\x00\x01\x00\x02a#\x00",
    "unsubscribe from nothing": b"\xa2\x02\x00\x01",
    "a server's packet": b"\x20\x02\x00\x00",
    "a second CONNECT": packets.encode_connect(Connect("c")),
    "length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "ping with a body": b"\xc0\x01\x00",
}


async def _lives(made: Rig) -> None:
    async with made.client("probe") as probe:
        await probe.publish("probe", b"", 2)


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_packet_closes_and_what_came_before_it_counts(data: bytes) -> None:
    async with rig() as made, made.client("c") as client:
        client.send(packets.encode_publish("good", b"1", 1, packet_id=1), data, packets.encode_publish("late", b"", 0))
        assert await client.closed() == [(0x40, "", 1, b"")]
        assert [each[1] for each in made.submitted] == ["good"]
        assert made.counts.value("ems_bridge_mqtt_closed", (("cause", "protocol_error"),)) == 1
        await _lives(made)


async def test_an_oversized_packet_is_refused_from_its_header() -> None:
    async with rig() as made, made.client("c") as client:
        client.send(b"\x30" + packets.encode_length(256 * KIB))
        assert await client.closed() == []
        assert made.counts.value("ems_bridge_mqtt_closed", (("cause", "packet_too_large"),)) == 1
        async with made.client("c") as again:
            await again.publish("t", b"x" * (256 * KIB - 20), 1)
        await _lives(made)


async def test_an_oversized_connect_is_refused_before_anybody_is_known() -> None:
    async with rig() as made:
        client = await made.raw()
        client.send(b"\x10" + packets.encode_length(65 * KIB))
        assert await client.closed() == []
        await client.vanish()
        await _lives(made)


async def test_truncated_packets_wait_and_are_bounded() -> None:
    """Two hundred clients that never finish a packet hold no more than what they have sent."""
    async with rig(Limits(max_packet_bytes=64 * KIB)) as made:
        clients = [made.client(f"c{number}") for number in range(200)]
        for client in clients:
            assert await client.log_in() == (0, False)
        tracemalloc.start()
        try:
            for client in clients:
                client.send(b"\x30" + packets.encode_length(60 * KIB) + b"\x00\x01a" + b"x" * 10_000)
                await client.writer.drain()
            await _lives(made)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 200 * 64 * KIB
        for client in clients:
            await client.vanish()


async def test_a_slowloris_holds_its_socket_until_the_deadline_only() -> None:
    async with rig() as made:
        clients = [await made.raw() for _ in range(20)]
        start = made.hub.turn.now
        for second, byte in enumerate(b"\x10\x20\x00\x04MQT"):
            for client in clients:
                client.send(bytes((byte,)))
                await client.writer.drain()
            made.broker.sweep(start + second)
        await _lives(made)
        made.broker.sweep(start + 11)
        for client in clients:
            assert await client.closed() == []
            await client.vanish()
        assert made.counts.value("ems_bridge_mqtt_closed", (("cause", "connect_timeout"),)) == 20


@pytest.mark.parametrize("seed", range(4))
async def test_random_bytes_before_and_after_the_login(seed: int) -> None:
    chance = random.Random(seed)
    async with rig(Limits(max_packet_bytes=10_000)) as made:
        for number in range(60):
            client = made.client(f"c{number}")
            if number % 2:
                await client.log_in()
            else:
                await client.open()
            good = packets.encode_publish("t/x", b"payload", 1, packet_id=1) + packets.encode_subscribe(1, [("a/+", 1)])
            data = bytearray(good * 3 if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 400)))
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            client.send(bytes(data))
            await client.writer.drain()
            await client.vanish()
        await _lives(made)
        assert len(made.hub.connections) <= 1
        assert made.hub.sessions.subscriptions.count == 0


async def test_topic_names_of_an_attacker_do_not_pile_up() -> None:
    async with rig(Limits(publish_rate=0)) as made, made.client("c") as client:
        for start in range(0, 70_000, 1_000):
            client.send(*(packets.encode_publish(f"t/{number}", b"") for number in range(start, start + 1_000)))
            await client.writer.drain()
        await client.quiet()
        assert len(made.submitted) == 70_000
        assert len(made.hub.names) <= 65_536
