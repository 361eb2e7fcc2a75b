"""Retained messages for who subscribes: each as it is when it is sent, and no more work than the reader keeps up with."""

from __future__ import annotations

from broker_rig import Rig, rig

from bridge.broker.access import Builtin
from bridge.broker.limits import Limits
from bridge.broker.replay import LOOKS
from bridge.core.principal import ANONYMOUS, Principal
from bridge.mqtt import packets

TOPICS = 3 * LOOKS


async def _nobody(_username: str, _password: str) -> None:
    return None


async def _retain(made: Rig, *topics: str) -> None:
    async with made.client("p") as pub:
        numbered = enumerate(topics, 1)
        pub.send(*(packets.encode_publish(topic, b"1", 1, retain=True, packet_id=number) for number, topic in numbered))
        await pub.quiet()


async def test_who_subscribes_again_and_again_without_reading_adds_nothing() -> None:
    """Each SUBSCRIBE used to copy what it covered: 100 of them, 900 bytes, took a gigabyte and ten seconds of the event loop."""
    looked: list[str] = []

    def may_read(_who: Principal, topic: str) -> bool:
        looked.append(topic)
        return True

    access = Builtin(_nobody, lambda _kind, _name: ANONYMOUS, lambda _who, _filter: True, may_read, True)
    async with rig(Limits(inflight=2), access=access) as made:
        await _retain(made, *(f"r/{number}" for number in range(TOPICS)))
        async with made.client("s") as sub:
            sub.send(*(packets.encode_subscribe(number, [("#", 1)] * 100) for number in range(1, 101)))
            seen = await sub.quiet()
            assert sum(first & 0xF0 == 0x30 for first, *_ in seen) == 2
            assert len(looked) < LOOKS


async def test_a_retained_message_is_sent_as_it_is_by_then() -> None:
    async with rig(Limits(inflight=1)) as made, made.client("p") as pub:
        for topic in ("r/1", "r/2", "r/3"):
            await pub.publish(topic, b"old", 1, retain=True)
        async with made.client("s") as sub:
            await sub.subscribe(("r/#", 1))
            first, payload, _, packet_id, retain, _ = await sub.message()
            assert (payload, retain) == (b"old", True)
            left = sorted({"r/1", "r/2", "r/3"} - {first})
            await pub.publish(left[0], b"new", 0, retain=True)
            await pub.publish(left[1], b"", 0, retain=True)
            assert [(await sub.message())[::4] for _ in range(2)] == [(left[0], False), (left[1], False)]
            sub.send(packets.encode_puback(packet_id))
            assert (await sub.message())[:3] == (left[0], b"new", 0)
            assert await sub.quiet() == []


async def test_who_unsubscribes_gets_no_more_of_them() -> None:
    async with rig(Limits(inflight=1)) as made:
        await _retain(made, "r/1", "r/2", "s/1")
        async with made.client("s") as sub:
            await sub.subscribe(("r/#", 1), ("s/#", 1))
            packet_id = (await sub.message())[3]
            await sub.unsubscribe("r/#", "s/#")
            sub.send(packets.encode_puback(packet_id))
            assert await sub.quiet() == []


async def test_a_filter_that_covers_many_that_one_may_not_read_finds_the_few_that_one_may() -> None:
    async with rig() as made:
        await _retain(made, "mine", *(f"v1/{number}" for number in range(TOPICS)), "z/mine")
        async with made.device("other") as sub:
            await sub.subscribe(("#", 0))
            assert {(await sub.message())[0] for _ in range(2)} == {"mine", "z/mine"}
