"""Acknowledgement after COMMIT, QoS 2 both ways, redelivery, queues, back-pressure, commands to devices."""

from __future__ import annotations

from contextlib import suppress

import pytest
from broker_rig import Client, Rig, rig

from bridge.broker.limits import Limits
from bridge.core.record import Record, Route
from bridge.mqtt import packets


async def _submitted(made: Rig, count: int) -> None:
    async with made.client("probe") as probe:
        while len(made.submitted) < count:
            await probe.quiet()


# Inbound


async def test_no_ack_and_no_delivery_before_commit_and_acks_in_order() -> None:
    async with rig() as made, made.client("a") as client, made.client("s") as sub:
        await sub.subscribe(("#", 0))
        made.hold = True
        client.send(
            packets.encode_publish("t", b"1", 1, packet_id=9),
            packets.encode_publish("t", b"2", 2, packet_id=4),
            packets.encode_publish("t", b"3", 1, packet_id=5),
        )
        assert await client.quiet() == []
        assert await sub.quiet() == []
        made.let_go()
        assert [await client.frame() for _ in range(3)] == [(0x40, "", 9, b""), (0x50, "", 4, b""), (0x40, "", 5, b"")]
        assert [(await sub.message())[1] for _ in range(3)] == [b"1", b"2", b"3"]


async def test_commits_that_end_out_of_order_do_not_change_the_order_of_acks() -> None:
    async with rig() as made, made.client("a") as client:
        made.hold = True
        client.send(*(packets.encode_publish("t", b"", 1, packet_id=number) for number in (1, 2, 3)))
        await client.quiet()
        first = made._kept.pop(0)
        made._kept.reverse()
        made.let_go()
        assert await client.quiet() == []
        first()
        assert [(await client.frame())[2] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_failed_commit_closes_without_an_ack_and_delivers_nothing(qos: int) -> None:
    async with rig() as made, made.client("a") as client, made.client("s", clean_session=False) as sub:
        await sub.subscribe(("#", 2))
        made.commit = False
        client.send(packets.encode_publish("t", b"1", qos, packet_id=9))
        assert await client.closed() == []
        made.commit = True
        assert await sub.quiet() == []
        assert made.hub.sessions.get(("anonymous", "anonymous", "s")).out.entries == {}  # type: ignore[union-attr]


async def test_a_repeated_qos_2_publish_is_stored_once() -> None:
    async with rig() as made, made.client("a", clean_session=False) as client:
        publish = packets.encode_publish("t", b"1", 2, packet_id=9)
        client.send(publish, publish)
        assert [await client.frame() for _ in range(2)] == [(0x50, "", 9, b"")] * 2
        async with made.client("a", clean_session=False) as again:
            again.send(packets.encode_publish("t", b"1", 2, dup=True, packet_id=9))
            assert await again.frame() == (0x50, "", 9, b"")
            assert len(made.submitted) == 1
            again.send(packets.encode_pubrel(9), packets.encode_pubrel(9))
            assert [await again.frame() for _ in range(2)] == [(0x70, "", 9, b"")] * 2
            again.send(publish)
            assert await again.frame() == (0x50, "", 9, b"")
            assert len(made.submitted) == 2


async def test_a_qos_2_publish_that_is_committed_after_a_reconnect_is_acknowledged_there() -> None:
    async with rig() as made, made.client("a", clean_session=False) as client:
        made.hold = True
        publish = packets.encode_publish("t", b"1", 2, packet_id=9)
        client.send(publish)
        await client.quiet()
        again = made.client("a", clean_session=False)
        assert await again.log_in() == (0, True)
        again.send(publish)
        assert await again.quiet() == []
        made.let_go()
        assert await again.frame() == (0x50, "", 9, b"")
        assert len(made.submitted) == 1
        await again.vanish()


async def test_a_packet_id_is_released_on_disk_before_pubcomp() -> None:
    async with rig() as made, made.client("a", clean_session=False) as client:
        client.send(packets.encode_publish("t", b"1", 2, packet_id=9))
        assert await client.frame() == (0x50, "", 9, b"")
        made.hold = True
        client.send(packets.encode_pubrel(9))
        assert await client.quiet() == []
        made.let_go()
        assert await client.frame() == (0x70, "", 9, b"")


async def test_qos_2_ids_that_are_never_released_are_bounded() -> None:
    async with rig(Limits(inbound=3)) as made, made.client("a") as client:
        client.send(*(packets.encode_publish("t", b"", 2, packet_id=number) for number in range(1, 5)))
        assert await client.closed() == [(0x50, "", number, b"") for number in (1, 2, 3)]


async def test_a_client_with_too_much_uncommitted_is_not_read() -> None:
    async with rig(Limits(inbound=2)) as made, made.client("a") as client:
        made.hold = True
        client.send(*(packets.encode_publish("t", b"", 1, packet_id=number) for number in (1, 2, 3)))
        await _submitted(made, 3)
        client.send(packets.PINGREQ_BYTES)
        with pytest.raises(TimeoutError):
            await client.frame(0.1)
        made.let_go()
        assert [(await client.frame())[0] for _ in range(4)] == [0x40, 0x40, 0x40, 0xD0]


async def test_pressure_of_the_writer_stops_those_who_publish() -> None:
    async with rig() as made, made.client("a") as client:
        made.hub.pressure(True)
        client.send(packets.encode_publish("t", b"", 1, packet_id=1))
        assert (await client.frame())[0] == 0x40
        client.send(packets.PINGREQ_BYTES)
        with pytest.raises(TimeoutError):
            await client.frame(0.1)
        made.hub.pressure(False)
        assert (await client.frame())[0] == 0xD0


# Outbound


async def _backlog(made: Rig, filters: tuple[tuple[str, int], ...], messages: list[tuple[str, bytes, int]]) -> None:
    """A persistent session `s` that has missed `messages`."""
    async with made.client("s", clean_session=False) as sub:
        await sub.subscribe(*filters)
        await sub.disconnect()
    async with made.client("p") as pub:
        for topic, payload, qos in messages:
            await pub.publish(topic, payload, qos)


async def test_an_absent_session_gets_what_it_missed_but_not_qos_0() -> None:
    async with rig() as made:
        await _backlog(made, (("a", 2), ("b", 0)), [("a", b"0", 0), ("a", b"1", 1), ("a", b"2", 2), ("b", b"3", 1)])
        async with made.client("s", clean_session=False) as sub:
            assert sub.present
            assert [(await sub.message())[:4] for _ in range(2)] == [("a", b"1", 1, 1), ("a", b"2", 2, 2)]
            assert await sub.quiet() == []


async def test_what_is_not_acknowledged_comes_again_with_its_id_and_dup() -> None:
    async with rig() as made:
        await _backlog(made, (("a", 2),), [("a", b"1", 1), ("a", b"2", 2), ("a", b"3", 2), ("a", b"4", 1)])
        async with made.client("s", clean_session=False) as sub:
            for _ in range(4):
                assert (await sub.message())[5] is False
            sub.send(packets.encode_puback(1), packets.encode_pubrec(2))
            assert await sub.frame() == (0x62, "", 2, b"")
        async with made.client("s", clean_session=False) as sub:
            assert await sub.frame() == (0x62, "", 2, b"")
            assert await sub.message() == ("a", b"3", 2, 3, False, True)
            assert await sub.message() == ("a", b"4", 1, 4, False, True)
            sub.send(packets.encode_pubcomp(2), packets.encode_pubrec(3), packets.encode_puback(4))
            assert await sub.frame() == (0x62, "", 3, b"")
            sub.send(packets.encode_pubcomp(3))
            await sub.quiet()
        async with made.client("s", clean_session=False) as sub:
            assert await sub.quiet() == []


async def test_the_window_bounds_what_is_unacknowledged() -> None:
    async with rig(Limits(inflight=2)) as made, made.client("s") as sub, made.client("p") as pub:
        await sub.subscribe(("t", 1))
        for number in range(5):
            await pub.publish("t", bytes((number,)), 1)
        assert [(await sub.message())[3] for _ in range(2)] == [1, 2]
        assert await sub.quiet() == []
        sub.send(packets.encode_puback(2))
        assert (await sub.message())[1:4] == (b"\2", 1, 3)
        sub.send(
            packets.encode_puback(2), packets.encode_puback(77), packets.encode_puback(1), packets.encode_puback(3)
        )
        assert [(await sub.message())[3] for _ in range(2)] == [4, 5]


@pytest.mark.parametrize("limits", [Limits(queue_messages=3), Limits(queue_bytes=36)])
async def test_the_queue_is_bounded_and_drops_the_newest(limits: Limits) -> None:
    async with rig(limits) as made:
        await _backlog(made, (("a", 1),), [("a", b"%d" % number * 10, 1) for number in range(5)])
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "queue_full"),)) == 2
        async with made.client("s", clean_session=False) as sub:
            assert [(await sub.message())[1][:1] for _ in range(3)] == [b"0", b"1", b"2"]
            assert await sub.quiet() == []


async def test_packet_ids_wrap_and_skip_those_in_use() -> None:
    async with rig() as made, made.client("s") as sub, made.client("p") as pub:
        await sub.subscribe(("t", 1))
        await pub.publish("t", b"first", 1)
        assert (await sub.message())[3] == 1
        made.hub.sessions.get(("anonymous", "anonymous", "s")).out._last = 65_534  # type: ignore[union-attr]
        for expected in (65_535, 2):
            await pub.publish("t", b"x", 1)
            assert (await sub.message())[3] == expected


async def test_a_slow_consumer_loses_qos_0_keeps_qos_1_and_holds_nobody_up() -> None:
    limits = Limits(write_buffer_bytes=10_000, queue_messages=200, inflight=50)
    async with rig(limits) as made, made.client("slow") as slow, made.client("p") as pub:
        await slow.subscribe(("q0", 0), ("q1", 1))
        slow.writer.transport.pause_reading()
        big = b"x" * 60_000
        while not made.counts.value("ems_bridge_mqtt_dropped", (("cause", "slow_consumer"),)):
            await pub.publish("q0", big)
        for number in range(3):
            await pub.publish("q1", b"%d" % number, 1)
        slow.writer.transport.resume_reading()
        found = []
        while len(found) < 3:
            topic, payload, *_ = await slow.message()
            if topic == "q1":
                found.append(payload)
        assert found == [b"0", b"1", b"2"]


async def test_a_client_that_publishes_but_never_reads_is_cut_off() -> None:
    async with rig(Limits(write_buffer_bytes=1_000, write_buffer_max_bytes=5_000)) as made:
        client = made.client("deaf")
        await client.log_in()
        client.writer.transport.pause_reading()
        cut_off = (("cause", "slow_consumer"),)
        with suppress(ConnectionError):
            while not made.counts.value("ems_bridge_mqtt_closed", cut_off):
                client.send(packets.PINGREQ_BYTES * 50_000)
                await client.writer.drain()
        assert made.counts.value("ems_bridge_mqtt_closed", cut_off) == 1
        client.writer.transport.abort()


# Commands


async def test_a_command_goes_to_the_first_topic_that_the_device_listens_on() -> None:
    acked: list[str] = []
    topics = ("v1/user/T/EMS1/f/a/command", "v1/wudun/PK/EMS1/f/a/command")
    async with rig() as made, made.device("EMS1") as device:
        assert made.hub.command("EMS1", topics, b"{}", lambda: acked.append("x")) is None
        assert not made.hub.online("EMS1")
        await device.subscribe(("v1/wudun/PK/EMS1/+/+/command", 2))
        assert made.reached == ["EMS1"]
        assert made.hub.online("EMS1")
        assert made.hub.command("EMS1", topics, b"{}", lambda: acked.append("x")) == topics[1]
        assert made.hub.command("EMS2", topics, b"{}", lambda: acked.append("x")) is None
        assert await device.message() == (topics[1], b"{}", 1, 1, False, False)
        assert acked == []
        device.send(packets.encode_puback(1))
        await device.quiet()
        assert acked == ["x"]
    assert not made.hub.online("EMS1")


async def test_an_unacknowledged_command_is_forgotten_with_its_connection() -> None:
    topic = "v1/wudun/PK/EMS1/f/a/command"
    async with rig() as made:
        async with made.device("EMS1", clean_session=False) as device:
            await device.subscribe(("v1/wudun/PK/EMS1/#", 1))
            made.hub.command("EMS1", (topic,), b"{}", lambda: None)
            await device.message()
        async with made.device("EMS1", clean_session=False) as device:
            assert device.present
            assert await device.quiet() == []
            assert made.reached == ["EMS1", "EMS1"]
            assert made.hub.command("EMS1", (topic,), b"{}", lambda: None) == topic


async def test_an_anonymous_client_is_the_device_that_its_filters_name() -> None:
    topic = "v1/wudun/PK/EMS9/f/a/command"
    async with rig() as made, made.client("watch") as watch, made.client("any") as client:
        await watch.subscribe(("#", 1), ("v1/wudun/PK/+/#", 1))
        assert not made.hub.online("EMS9")
        await client.subscribe(("v1/wudun/PK/EMS9/+/+/command", 0))
        assert made.hub.command("EMS9", (topic,), b"{}", lambda: None) == topic
        assert (await client.message())[:3] == (topic, b"{}", 0)
        await client.unsubscribe("v1/wudun/PK/EMS9/+/+/command")
        assert not made.hub.online("EMS9")


async def test_drop_closes_the_connections_of_a_principal() -> None:
    async with rig() as made, made.device("EMS1") as one, made.device("EMS2") as two:
        made.hub.drop("EMS1", "device")
        assert await one.closed() == []
        assert await two.quiet() == []


async def test_deliveries_of_the_bridge_itself() -> None:
    async with rig() as made, made.client("s") as sub:
        await sub.subscribe(("bridge/#", 1))
        record = Record()
        record.routes += [Route(("bridge/v1/x", "bridge/v1/y"), b"1", 1, True), Route(("bridge/v1/z",), b"2", 0)]
        made.hub.prepare(record)
        made.hub.deliver(record)
        assert [(await sub.message())[:2] for _ in range(2)] == [("bridge/v1/x", b"1"), ("bridge/v1/z", b"2")]
        late: Client
        async with made.client("late") as late:
            await late.subscribe(("bridge/v1/#", 0))
            assert (await late.message())[:2] in [("bridge/v1/x", b"1"), ("bridge/v1/y", b"1")]
            assert await late.quiet() == []


async def test_a_command_that_is_routed_too_reaches_its_device_once() -> None:
    """Watchers see the command as a message; the device itself gets it by `command` alone."""
    topic = "v1/wudun/PK/EMS1/f/a/command"
    lost: list[str] = []
    async with rig(unreachable=lost.append) as made, made.client("watch") as watch:
        async with made.device("EMS1", clean_session=False) as device:
            await device.subscribe(("v1/wudun/PK/EMS1/#", 1))
            await watch.subscribe(("v1/#", 1))
            record = Record()
            record.routes.append(Route((topic,), b"{}", 1, skip="EMS1"))
            made.hub.prepare(record)
            made.hub.deliver(record)
            made.hub.command("EMS1", (topic,), b"{}", lambda: None)
            assert (await device.message())[0] == topic
            assert await device.quiet() == []
            assert (await watch.message())[0] == topic
            assert lost == []
        await watch.quiet()
        assert lost == ["EMS1"]
