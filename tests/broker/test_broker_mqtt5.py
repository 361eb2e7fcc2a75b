"""MQTT 5 beside 3.1.1: what its clients are told, and what their messages carry."""

from __future__ import annotations

from pathlib import Path

import pytest
from broker_five import Got, five
from broker_rig import rig

from bridge.broker.limits import Limits
from bridge.core.record import Reject
from bridge.mqtt import packets, packets5
from bridge.mqtt import properties as p
from bridge.mqtt.packets import Will
from bridge.mqtt.packets5 import NO_LOCAL, RETAIN_AS_PUBLISHED

EVERYTHING = {
    p.PAYLOAD_FORMAT: 1,
    p.CONTENT_TYPE: "application/json",
    p.RESPONSE_TOPIC: "answers/1",
    p.CORRELATION_DATA: b"\x00\xff",
    p.USER_PROPERTY: [("a", "1"), ("a", "2")],
}


async def test_what_a_connack_tells() -> None:
    async with rig(Limits(inbound=7, max_packet_bytes=999, topic_aliases=3, max_keep_alive_s=60)) as made:
        async with five(made, "", keep_alive=120) as client:
            assert client.found[p.RECEIVE_MAXIMUM] == 7
            assert client.found[p.MAXIMUM_PACKET_SIZE] == 999
            assert client.found[p.TOPIC_ALIAS_MAXIMUM] == 3
            assert client.found[p.SERVER_KEEP_ALIVE] == 60
            assert client.found[p.ASSIGNED_CLIENT_ID].startswith("auto-")
            assert p.SESSION_EXPIRY not in client.found
        async with five(made, "x", {p.SESSION_EXPIRY: 0xFFFFFFFF}, keep_alive=10) as client:
            assert client.found[p.SESSION_EXPIRY] == Limits().session_expiry_s
            assert p.SERVER_KEEP_ALIVE not in client.found


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_properties_reach_subscribers_of_mqtt_5_and_are_no_part_of_the_payload_for_others(qos: int) -> None:
    async with rig() as made, five(made, "new") as new, made.client("old") as old, five(made, "from") as sender:
        await new.want(("t", 2))
        await old.subscribe(("t", 2))
        assert await sender.say("t", b"{}", qos, EVERYTHING) == (0, "")
        assert (await new.got())[:5] == ("t", b"{}", qos, False, EVERYTHING)
        assert (await old.message())[:3] == ("t", b"{}", qos)


async def test_a_message_of_mqtt_311_has_no_properties() -> None:
    async with rig() as made, five(made, "new") as new, made.client("old") as old:
        await new.want(("t", 1))
        await old.publish("t", b"x", 1)
        assert (await new.got())[:5] == ("t", b"x", 1, False, {})


async def test_properties_survive_a_restart_in_queue_and_retained(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    keep = {p.SESSION_EXPIRY: 1000}
    async with rig(database=path) as made:
        async with five(made, "away", keep) as away:
            await away.want(("t/#", 1), found={p.SUBSCRIPTION_IDENTIFIER: [5]})
        async with five(made, "from") as sender:
            await sender.say("t/1", b"one", 1, EVERYTHING | {p.MESSAGE_EXPIRY: 100})
            await sender.say("t/2", b"two", 1, EVERYTHING, retain=True)
    async with rig(database=path) as made:
        async with five(made, "away", keep, clean_session=False) as away:
            assert away.present
            first, second = await away.got(), await away.got()
            assert first.found.pop(p.MESSAGE_EXPIRY) in (99, 100)
            assert first[:5] == ("t/1", b"one", 1, False, EVERYTHING | {p.SUBSCRIPTION_IDENTIFIER: [5]})
            assert second.payload == b"two"
        async with five(made, "late") as late:
            await late.want(("t/2", 1))
            assert (await late.got())[:5] == ("t/2", b"two", 1, True, EVERYTHING)


async def test_an_expired_message_is_not_delivered() -> None:
    async with rig() as made:
        async with five(made, "away", {p.SESSION_EXPIRY: 1000}) as away:
            await away.want(("t", 1))
        async with five(made, "from") as sender:
            await sender.say("t", b"gone", 1, {p.MESSAGE_EXPIRY: 0})
            await sender.say("t", b"kept", 1, {p.MESSAGE_EXPIRY: 100})
            await sender.say("r", b"gone", 1, {p.MESSAGE_EXPIRY: 0}, retain=True)
        async with five(made, "away", clean_session=False) as away:
            assert (await away.got()).payload == b"kept"
            await away.want(("r", 1))
            assert await away.quiet() == []
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "expired"),)) == 1
        made.broker.sweep(0)
        assert made.hub.retained.expiring() == []


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("not_authorised", 0x87), ("invalid", 0x99), ("quota_exceeded", 0x97), ("unknown_topic", 0x90),
        ("conflict", 0x83),
    ],
)  # fmt: skip
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_refused_publish_is_told_why(reason: str, code: int, qos: int) -> None:
    async with rig() as made, five(made) as client:
        made.rejects["t"] = Reject(reason, "$.data.x", "must be a number")
        assert await client.say("t", b"{}", qos) == (code, f"{reason}: $.data.x: must be a number")
        assert await client.say("u", b"{}", qos) == (0, "")  # packet ids of refused messages are free


async def test_a_client_that_wants_no_reasons_gets_codes_alone() -> None:
    async with rig() as made, five(made, "c", {p.REQUEST_PROBLEM_INFORMATION: 0}) as client:
        made.rejects["t"] = Reject("invalid", "$", "x")
        assert await client.say("t", b"{}", 1) == (0x99, "")


async def test_a_payload_that_says_it_is_text_must_be() -> None:
    async with rig() as made, five(made) as client:
        for qos in (1, 2):
            assert (await client.say("t", b"\xff", qos, {p.PAYLOAD_FORMAT: 1}))[0] == 0x99
        assert made.submitted == []


async def test_topic_aliases_of_the_client() -> None:
    async with rig() as made, five(made, "c") as client, five(made, "d") as watcher:
        await watcher.want(("#", 0))
        await client.say("a/b", b"1", 1, {p.TOPIC_ALIAS: 1})
        await client.say("", b"2", 1, {p.TOPIC_ALIAS: 1})
        await client.say("c", b"3", 1, {p.TOPIC_ALIAS: 1})
        await client.say("", b"4", 1, {p.TOPIC_ALIAS: 1})
        assert [(await watcher.got())[:2] for _ in range(4)] == [
            ("a/b", b"1"), ("a/b", b"2"), ("c", b"3"), ("c", b"4")
        ]  # fmt: skip
        client.send(packets5.encode_publish("", b"", 0, {p.TOPIC_ALIAS: 2}))
        assert (await client.goodbye())[0] == 0x94


@pytest.mark.parametrize("alias", [0, 65])
async def test_a_topic_alias_out_of_range(alias: int) -> None:
    async with rig() as made, five(made) as client:
        client.send(packets5.encode_publish("t", b"", 0, {p.TOPIC_ALIAS: alias}))
        assert (await client.goodbye())[0] == 0x94


async def test_topic_aliases_of_the_server() -> None:
    async with rig() as made, five(made, "c", {p.TOPIC_ALIAS_MAXIMUM: 1}) as client, made.client("d") as sender:
        await client.want(("#", 1))
        for topic in ("a", "a", "b", "a"):
            await sender.publish(topic, b"x", 1)
        seen = [await client.got() for _ in range(4)]
        assert [(got.topic, got.found.get(p.TOPIC_ALIAS)) for got in seen] == [("a", 1), ("", 1), ("b", None), ("", 1)]


async def test_overlapping_subscriptions_deliver_once_with_all_identifiers() -> None:
    async with rig() as made, five(made) as client:
        await client.want(("t/#", 0), found={p.SUBSCRIPTION_IDENTIFIER: [1]})
        await client.want(("t/+", 2), found={p.SUBSCRIPTION_IDENTIFIER: [268_435_455]})
        await client.want(("t/a", 1))
        await client.say("t/a", b"x", 0)
        got = await client.got()
        assert sorted(got.found[p.SUBSCRIPTION_IDENTIFIER]) == [1, 268_435_455]
        assert await client.quiet() == []


async def test_no_local() -> None:
    async with rig() as made, five(made, "me") as me, five(made, "other") as other:
        await me.want(("t", 1 | NO_LOCAL))
        await other.want(("t", 1 | NO_LOCAL))
        await me.say("t", b"mine", 1)
        assert (await other.got()).payload == b"mine"
        assert await me.quiet() == []
        await me.want(("+", 0))  # a second filter that is not "no local" covers it
        await me.say("t", b"again", 0)
        assert (await me.got())[:3] == ("t", b"again", 0)


async def test_no_local_of_a_persistent_session() -> None:
    async with rig() as made, five(made, "me", {p.SESSION_EXPIRY: 100}) as me:
        await me.want(("t", 1 | NO_LOCAL))
        await me.say("t", b"mine", 1)
        assert await me.quiet() == []


async def test_retain_as_published_and_retain_handling() -> None:
    async with rig() as made, five(made, "c") as client, five(made, "d") as sender:
        await client.want(("t", 1 | RETAIN_AS_PUBLISHED))
        await sender.say("t", b"x", 1, retain=True)
        got = await client.got()
        assert got.retain
        client.send(packets5.encode_ack(0x40, got.packet_id))
        await client.want(("t", 1 | 1 << 4))  # only a new subscription
        await client.want(("t", 1 | 2 << 4))  # never
        assert await client.quiet() == []
        await client.want(("t", 1))
        assert (await client.got())[:4] == ("t", b"x", 1, True)


async def test_session_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig() as made:
        now = 0.0
        monkeypatch.setattr(made.hub.timers, "_clock", lambda: now)
        async with five(made, "c", {p.SESSION_EXPIRY: 10}) as client:
            await client.want(("t", 1))
        await made.until(lambda: not made.hub.connections)
        now = 9.0
        made.broker.sweep(0)
        async with five(made, "c", {p.SESSION_EXPIRY: 10}, clean_session=False) as client:
            assert client.present
        await made.until(lambda: not made.hub.connections)
        now = 18.0  # since it came back it may be away for ten seconds again
        made.broker.sweep(0)
        assert len(made.hub.sessions.all()) == 1
        now = 19.5
        made.broker.sweep(0)
        assert made.hub.sessions.all() == []


async def test_a_disconnect_may_change_the_expiry() -> None:
    async with rig() as made:
        async with five(made, "c", {p.SESSION_EXPIRY: 10}) as client:
            client.send(packets5.encode_disconnect(0, {p.SESSION_EXPIRY: 0}))
            await client.closed()
        assert made.hub.sessions.all() == []
        async with five(made, "c") as client:
            client.send(packets5.encode_disconnect(0, {p.SESSION_EXPIRY: 10}))
            assert (await client.goodbye())[0] == 0x82


async def test_expiry_counts_from_the_absence_across_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    async with rig(database=path) as made, five(made, "c", {p.SESSION_EXPIRY: 1}) as client:
        await client.want(("t", 1))
    async with rig(database=path) as made:
        assert len(made.hub.sessions.all()) == 1
        await made.until(lambda: not made.hub.sessions.all())
    async with rig(database=path) as made:
        assert made.hub.sessions.all() == []


async def test_a_will_waits_for_its_delay_and_not_when_the_client_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    will = Will("w", b"gone", 1, properties={p.WILL_DELAY: 5, p.CONTENT_TYPE: "x", p.MESSAGE_EXPIRY: 50})
    async with rig() as made, five(made, "watch") as watcher:
        await watcher.want(("w", 1))
        now = 0.0
        monkeypatch.setattr(made.hub.timers, "_clock", lambda: now)
        client = five(made, "c", {p.SESSION_EXPIRY: 100}, will)
        await client.log_in()
        await client.vanish()
        await made.until(lambda: len(made.hub.connections) == 1)
        async with five(made, "c", {p.SESSION_EXPIRY: 100}, will, clean_session=False) as back:
            now = 6.0
            made.broker.sweep(0)
            assert await watcher.quiet() == []
            back.send(packets5.encode_disconnect(4))  # goodbye, with the will
            await back.closed()
        made.broker.sweep(0)
        assert await watcher.quiet() == []
        now = 11.5
        made.broker.sweep(0)
        got = await watcher.got()
        assert got[:2] == ("w", b"gone")
        assert got.found == {p.MESSAGE_EXPIRY: 50, p.CONTENT_TYPE: "x"}


async def test_a_will_is_due_when_its_session_ends() -> None:
    will = Will("w", b"gone", 0, properties={p.WILL_DELAY: 1000})
    async with rig() as made, five(made, "watch") as watcher:
        await watcher.want(("w", 1))
        client = five(made, "c", {p.SESSION_EXPIRY: 1000}, will)
        await client.log_in()
        await client.vanish()
        assert await watcher.quiet() == []
        async with five(made, "c"):
            assert (await watcher.got()).payload == b"gone"


async def test_receive_maximum_of_the_client() -> None:
    async with rig() as made, five(made, "c", {p.RECEIVE_MAXIMUM: 2}) as client, made.client("d") as sender:
        await client.want(("t", 1))
        for number in range(3):
            await sender.publish("t", b"%d" % number, 1)
        first, _ = await client.got(), await client.got()
        assert await client.quiet() == []
        client.send(packets5.encode_ack(0x40, first.packet_id))
        assert (await client.got()).payload == b"2"


async def test_receive_maximum_of_the_server() -> None:
    async with rig(Limits(inbound=2)) as made, five(made) as client:
        for packet_id in (1, 2, 3):
            client.send(packets5.encode_publish("t", b"", 2, packet_id=packet_id))
        assert (await client.goodbye())[0] == 0x93


async def test_a_message_that_is_too_large_for_its_client_counts_as_delivered() -> None:
    async with rig() as made, five(made, "c", {p.MAXIMUM_PACKET_SIZE: 50}) as client, made.client("d") as sender:
        await client.want(("t", 1))
        await sender.publish("t", b"x" * 50, 1)
        await sender.publish("t", b"x" * 50, 0)
        await sender.publish("t", b"small", 1)
        assert (await client.got()).payload == b"small"
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "packet_too_large"),)) == 2


async def test_a_packet_that_is_too_large_for_the_server() -> None:
    async with rig(Limits(max_packet_bytes=100)) as made, five(made) as client:
        client.send(packets5.encode_publish("t", b"x" * 100))
        assert (await client.goodbye())[0] == 0x95


async def test_a_session_that_is_taken_over_is_told_so() -> None:
    async with rig() as made, five(made, "c") as old, five(made, "c"):
        assert (await old.goodbye())[0] == 0x8E


async def test_the_server_says_that_it_stops() -> None:
    async with rig() as made, five(made, "c") as client:
        await made.broker.stop()
        assert (await client.goodbye())[0] == 0x8B


async def test_enhanced_authentication_is_refused() -> None:
    async with rig() as made:
        client = five(made, "c", {p.AUTHENTICATION_METHOD: "SCRAM"})
        assert (await client.log_in())[0] == 0x8C
        await client.vanish()
        async with five(made) as other:
            other.send(b"\xf0\x00")
            assert (await other.goodbye())[0] == 0x82


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (b"\x30\x04\x00\x01t\x05", 0x81),  # properties end behind the packet
        (b"\x30\x07\x00\x01t\x03\x21\x00\x01", 0x81),  # receive maximum in a PUBLISH
        (b"\x30\x06\x00\x01t\x02\x01\x02", 0x82),  # payload format 2
        (b"\x30\x03\x00\x00\x00", 0x82),  # neither topic nor alias
        (b"\x82\x07\x00\x01\x00\x00\x01t\x40", 0x81),  # reserved options
        (b"\x82\x03\x00\x01\x00", 0x82),  # no filter
        (packets5.encode_subscribe(1, [("$share/g/t", 1 | NO_LOCAL)]), 0x82),
        (packets5.encode_subscribe(1, [("$share//t", 1)]), 0x81),
        (packets5.encode_subscribe(1, [("$share/g", 1)]), 0x81),
        (packets5.encode_publish("t", b"", 0, {p.RESPONSE_TOPIC: "a/#"}), 0x81),
        (b"\x36\x04\x00\x01t\x00", 0x81),  # QoS 3
        (b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", 0x82),  # a second CONNECT
    ],
)
async def test_a_broken_packet_ends_the_connection_with_its_reason(packet: bytes, code: int) -> None:
    async with rig() as made, five(made) as client:
        client.send(packet)
        assert (await client.goodbye())[0] == code


async def test_acknowledgements_of_unknown_packet_ids_are_answered_so() -> None:
    async with rig() as made, five(made) as client:
        client.send(packets5.encode_ack(0x62, 9))
        assert (await client.frame()) == (0x70, "", 9, b"\x92")
        client.send(packets5.encode_ack(0x50, 9))
        assert (await client.frame()) == (0x62, "", 9, b"\x92")
        client.send(packets5.encode_unsubscribe(3, ["never"]))
        assert packets5.decode_codes((await client.frame())[3])[0] == [0x11]


async def test_a_refusing_acknowledgement_ends_the_delivery() -> None:
    async with rig() as made, five(made, "c", {p.SESSION_EXPIRY: 100}) as client, made.client("d") as sender:
        await client.want(("t", 2))
        for qos in (1, 2):
            await sender.publish("t", b"x", qos)
            got = await client.got()
            client.send(packets5.encode_ack(0x40 if qos == 1 else 0x50, got.packet_id, 0x97))
        assert await client.quiet() == []
        assert not made.hub.sessions.get(("anonymous", "anonymous", "c")).out.entries


async def test_one_stream_of_bytes_may_begin_before_the_connack() -> None:
    async with rig() as made:
        client = five(made)
        await client.open()
        client.send(
            packets.encode_connect(client.connect)
            + packets5.encode_subscribe(1, [("t", 0)], {p.SUBSCRIPTION_IDENTIFIER: [3]})
            + packets5.encode_publish("t", b"x", 0, {p.TOPIC_ALIAS: 1})
            + packets5.encode_publish("", b"y", 0, {p.TOPIC_ALIAS: 1})
        )
        assert [(await client.frame())[0] for _ in range(2)] == [0x20, 0x90]
        found = {p.SUBSCRIPTION_IDENTIFIER: [3]}
        assert await client.got() == Got("t", b"x", 0, False, found)
        assert await client.got() == Got("t", b"y", 0, False, found)
        await client.vanish()
