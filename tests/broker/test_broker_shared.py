"""Shared subscriptions (MQTT 5, section 4.8.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from broker_five import five
from broker_rig import rig

from bridge.mqtt import packets5
from bridge.mqtt import properties as p

SHARED = "$share/workers/t/#"
KEEP = {p.SESSION_EXPIRY: 1000}


@pytest.mark.parametrize("found", [{}, KEEP])
@pytest.mark.parametrize("qos", [0, 1])
async def test_each_message_goes_to_one_connected_member_in_turn(found: dict[int, int], qos: int) -> None:
    async with rig() as made, five(made, "a", found) as a, five(made, "b", found) as b, five(made, "s") as sender:
        await a.want((SHARED, 1))
        await b.want((SHARED, 1))
        async with five(made, "c", KEEP) as away:
            await away.want((SHARED, 1))
        for number in range(6):
            await sender.say(f"t/{number}", b"", qos)
        assert [(await a.got()).topic for _ in range(3)] == ["t/0", "t/2", "t/4"]
        assert [(await b.got()).topic for _ in range(3)] == ["t/1", "t/3", "t/5"]
        assert await a.quiet() == []
        assert await b.quiet() == []


async def test_groups_and_plain_subscriptions_are_independent() -> None:
    async with rig() as made, five(made, "a") as a, five(made, "s") as sender:
        await a.want((SHARED, 1), ("$share/others/t/+", 1), ("t/1", 0))
        await sender.say("t/1", b"x", 1)
        assert sorted([(await a.got()).qos for _ in range(3)]) == [0, 1, 1]
        assert await a.quiet() == []


async def test_no_retained_message_comes_by_a_shared_subscription() -> None:
    async with rig() as made, five(made, "a") as a, five(made, "s") as sender:
        await sender.say("t/1", b"x", 1, retain=True)
        await a.want((SHARED, 1))
        assert await a.quiet() == []


@pytest.mark.parametrize("found", [{}, KEEP])
async def test_what_a_member_leaves_unacknowledged_goes_to_another(found: dict[int, int]) -> None:
    async with rig() as made, five(made, "b", KEEP) as b, five(made, "s") as sender:
        a = five(made, "a", found)
        await a.log_in()
        await a.want((SHARED, 1))
        for number in range(3):
            await sender.say(f"t/{number}", b"x", 1, {p.CONTENT_TYPE: "c"})
        await a.got()
        await b.want((SHARED, 1))
        await a.vanish()
        seen = [await b.got() for _ in range(3)]
        assert [got.topic for got in seen] == ["t/0", "t/1", "t/2"]
        assert seen[0].found == {p.CONTENT_TYPE: "c"}
        for got in seen:
            b.send(packets5.encode_ack(0x40, got.packet_id))
        await b.quiet()
        assert all(not session.out.entries for session in made.hub.sessions.all())


async def test_a_qos_2_message_that_was_begun_stays_with_its_member() -> None:
    async with rig() as made, five(made, "b") as b, five(made, "s") as sender:
        a = five(made, "a", KEEP)
        await a.log_in()
        await a.want((SHARED, 2))
        await sender.say("t/1", b"x", 2)
        await a.got()
        await b.want((SHARED, 2))
        await a.vanish()
        assert await b.quiet() == []
        async with five(made, "a", KEEP, clean_session=False) as back:
            got = await back.got()
            assert (got.topic, got.dup) == ("t/1", True)


async def test_what_waits_for_members_that_are_away_is_taken_by_the_first_that_comes(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    async with rig(database=path) as made:
        for name in "ab":
            async with five(made, name, KEEP) as member:
                await member.want((SHARED, 1))
        async with five(made, "s") as sender:
            for number in range(3):
                await sender.say(f"t/{number}", b"x", 1)
    async with rig(database=path) as made:
        async with five(made, "b", KEEP, clean_session=False) as b:
            for number in range(3):
                got = await b.got()
                assert got.topic == f"t/{number}"
                b.send(packets5.encode_ack(0x40, got.packet_id))
            await b.quiet()
        async with five(made, "a", KEEP, clean_session=False) as a:
            assert await a.quiet() == []


async def test_members_that_may_not_read_are_passed_over() -> None:
    async with rig() as made:
        may = five(made, "x", username="backend", password=b"backend-secret")
        may_not = five(made, "y", username="other", password=b"other-secret")
        async with may, may_not, five(made, "s", username="EMS1", password=b"EMS1-secret") as sender:
            for client in (may_not, may):
                assert await client.want(("$share/g/v1/#", 1)) == [1]
            for _ in range(3):
                await sender.say("v1/wudun/PK/EMS1/a/b/post", b"x", 1)
            assert len([await may.got() for _ in range(3)]) == 3
            assert await may_not.quiet() == []


async def test_a_member_that_unsubscribes_gets_nothing_more() -> None:
    async with rig() as made, five(made, "a") as a, five(made, "s") as sender:
        await a.want((SHARED, 1))
        a.send(packets5.encode_unsubscribe(7, [SHARED]))
        assert packets5.decode_codes((await a.frame())[3])[0] == [0]
        await sender.say("t/1", b"x", 1)
        assert await a.quiet() == []
