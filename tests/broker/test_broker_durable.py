"""What survives a restart: the real Writer over a real file."""

from __future__ import annotations

from pathlib import Path

from broker_rig import PEOPLE, rig

from bridge.mqtt import packets
from bridge.store import sessions
from bridge.store.database import Database


async def test_sessions_queues_and_retained_messages_survive(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    async with rig(database=path) as made:
        async with made.device("backend", clean_session=False) as sub, made.client("p") as pub:
            await sub.subscribe(("v1/#", 2), ("gone", 1))
            await sub.unsubscribe("gone")
            for number in range(4):
                await pub.publish("v1/wudun/PK/a", b"%d" % number, 1 + number % 2)
            assert [(await sub.message())[3] for _ in range(4)] == [1, 2, 3, 4]
            sub.send(packets.encode_puback(1), packets.encode_pubrec(2))
            assert await sub.frame() == (0x62, "", 2, b"")
            await sub.quiet()
        async with made.client("p") as pub:
            await pub.publish("v1/wudun/PK/a", b"late", 2)
            await pub.publish("kept", b"retained", 1, retain=True)
            await pub.publish("kept/not", b"retained", 1, retain=True)
            await pub.publish("kept/not", b"", 1, retain=True)
    async with rig(database=path) as made, made.device("backend", clean_session=False) as sub:
        assert sub.present
        assert await sub.frame() == (0x62, "", 2, b"")
        assert await sub.message() == ("v1/wudun/PK/a", b"2", 1, 3, False, True)
        assert await sub.message() == ("v1/wudun/PK/a", b"3", 2, 4, False, True)
        assert await sub.message() == ("v1/wudun/PK/a", b"late", 2, 5, False, True)
        sub.send(packets.encode_pubcomp(2), packets.encode_puback(3))
        for packet_id in (4, 5):
            sub.send(packets.encode_pubrec(packet_id))
            assert await sub.frame() == (0x62, "", packet_id, b"")
            sub.send(packets.encode_pubcomp(packet_id))
        await sub.subscribe(("kept/#", 0))
        assert await sub.message() == ("kept", b"retained", 0, 0, True, False)
        assert await sub.quiet() == []
    saved = await _saved(path)
    assert saved.messages == []
    assert saved.queue == []
    assert saved.subscriptions == [(1, "kept/#", 0), (1, "v1/#", 2)]


async def test_a_qos_2_id_survives_so_that_nothing_is_stored_twice(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    publish = packets.encode_publish("t", b"1", 2, packet_id=9)
    async with rig(database=path) as made, made.client("a", clean_session=False) as client:
        client.send(publish)
        assert await client.frame() == (0x50, "", 9, b"")
    async with rig(database=path) as made, made.client("a", clean_session=False) as client:
        client.send(publish, packets.encode_pubrel(9))
        assert [await client.frame() for _ in range(2)] == [(0x50, "", 9, b""), (0x70, "", 9, b"")]
        assert made.submitted == []
    async with rig(database=path) as made, made.client("a", clean_session=False) as client:
        client.send(publish)
        assert await client.frame() == (0x50, "", 9, b"")
        assert len(made.submitted) == 1


async def test_a_message_is_stored_once_for_many_and_goes_with_the_last(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    async with rig(database=path) as made:
        names = ("a", "b", "c")
        for name in names:
            async with made.client(name, clean_session=False) as client:
                await client.subscribe(("t", 1))
        async with made.client("p") as pub:
            await pub.publish("t", b"x", 1)
        assert len((await _saved(path)).messages) == 1
        assert len((await _saved(path)).queue) == 3
        async with made.client("a", clean_session=False) as client:
            client.send(packets.encode_puback((await client.message())[3]))
            await client.quiet()
        for name in ("b", "c"):
            assert len((await _saved(path)).messages) == 1
            async with made.client(name, clean_session=True) as client:
                await client.quiet()
    saved = await _saved(path)
    assert saved[1:] == ([(1, "t", 1)], [], [], [], [])
    assert [row[:4] for row in saved.sessions] == [(1, "anonymous", "anonymous", "a")]


async def test_the_session_of_a_removed_principal_ends_at_the_restart(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    async with rig(database=path) as made, made.device("EMS2", clean_session=False) as client:
        await client.subscribe(("v1/wudun/PK/EMS2/#", 1))
    removed = PEOPLE.pop("EMS2")
    try:
        async with rig(database=path) as made, made.client() as client:
            await client.quiet()
    finally:
        PEOPLE["EMS2"] = removed
    assert (await _saved(path)).sessions == []


async def test_retained_twins_stay_one_message(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    async with rig(database=path) as made, made.client("p") as pub:
        made.twins = lambda topic: (topic, f"twin/{topic}")
        await pub.publish("t", b"x", 1, retain=True)
    async with rig(database=path) as made, made.client("s") as sub:
        await sub.subscribe(("#", 0))
        assert (await sub.message())[1] == b"x"
        assert await sub.quiet() == []


async def _saved(path: Path) -> sessions.Saved:
    database = await Database.open(path, "bridge")
    try:
        return await sessions.load(database)
    finally:
        await database.close()
