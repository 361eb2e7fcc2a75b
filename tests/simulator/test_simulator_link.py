"""A device's connection against a peer that misbehaves: acknowledgement, redelivery, refusal, silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from scripted_broker import Script

from bridge.mqtt import framing, packets
from simulator import link as link_module
from simulator.link import BACKOFF_LAST_S, CLOSED, QUEUE_LIMIT, READY, REPORT_LIMIT, WINDOW, WORDS, Link, backoff_s

HELLO = packets.Connect("EMS1", False, 60, "EMS1", b"secret")


class Peer:
    """What a link told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.acks: list[float] = []
        self.reasons: list[str] = []
        self.times_online = 0
        self.changed = asyncio.Event()

    def online(self) -> None:
        self.times_online += 1
        self.changed.set()

    def offline_because(self, reason: str) -> None:
        self.reasons.append(reason)
        self.changed.set()

    def message(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, payload))
        self.changed.set()

    def acked(self, seconds: float) -> None:
        self.acks.append(seconds)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def peer() -> Peer:
    return Peer()


@pytest.fixture
async def link(peer: Peer) -> AsyncIterator[Link]:
    made = Link(peer, HELLO, ["v1/wudun/PK1/EMS1/+/+/command"])
    yield made
    made.close()
    await peer.until(lambda: made.state == CLOSED)


def posts(count: int) -> list[tuple[str, bytes]]:
    return [("v1/wudun/PK1/EMS1/report/regular/post", b"%d" % n) for n in range(count)]


async def test_connects_subscribes_and_publishes_in_order(script: Script, peer: Peer, link: Link) -> None:
    link.publish(posts(40))
    assert await link.open(*script.address)
    await peer.until(lambda: len(peer.acks) == 40)
    (connect,) = script.frames(framing.CONNECT)
    assert packets.decode_connect(connect[3]) == HELLO
    (subscribe,) = script.frames(framing.SUBSCRIBE)
    assert packets.decode_subscribe(subscribe[3]) == [("v1/wudun/PK1/EMS1/+/+/command", 1)]
    sent = script.frames(framing.PUBLISH)
    assert [frame[3] for frame in sent] == [payload for _, payload in posts(40)]
    assert all(frame[0] == 0x32 for frame in sent)
    assert (link.sent, link.resent, link.dropped, link.pending) == (40, 0, 0, 0)


async def test_the_window_bounds_what_is_unacknowledged(script: Script, peer: Peer, link: Link) -> None:
    script.acks = False
    await link.open(*script.address)
    await peer.until(lambda: link.state == READY)
    link.publish(posts(WINDOW + 5))
    await script.until(lambda: len(script.frames(framing.PUBLISH)) == WINDOW)
    assert (link.sent, link.pending) == (WINDOW, WINDOW + 5)
    script.connections[0].send(packets.encode_puback(script.frames(framing.PUBLISH)[0][2]))
    await script.until(lambda: len(script.frames(framing.PUBLISH)) == WINDOW + 1)


async def test_a_full_socket_holds_messages_back(script: Script, peer: Peer, link: Link) -> None:
    await link.open(*script.address)
    await peer.until(lambda: link.state == READY)
    link.pause_writing()
    link.publish(posts(3))
    assert (link.sent, link.pending) == (0, 3)
    link.resume_writing()
    await peer.until(lambda: len(peer.acks) == 3)


async def test_the_queue_drops_the_oldest_reports(link: Link) -> None:
    answers = [("v1/wudun/PK1/EMS1/safety/sync_reply/post", b"answer")] * 200
    link.publish(answers)
    link.publish(posts(REPORT_LIMIT + 3))
    assert (link.dropped, link.pending) == (3, 200 + REPORT_LIMIT)
    assert [payload for _, payload in link._queue[199:202]] == [b"answer", b"3", b"4"]
    link.publish(answers * 50)
    assert (link.dropped, link.pending) == (3 + 200 + REPORT_LIMIT, QUEUE_LIMIT)


@pytest.mark.parametrize("session_present", [True, False])
async def test_what_was_not_acknowledged_is_sent_again(
    script: Script, peer: Peer, link: Link, session_present: bool
) -> None:
    script.acks = False
    await link.open(*script.address)
    await peer.until(lambda: link.state == READY)
    link.publish(posts(3))
    await script.until(lambda: len(script.frames(framing.PUBLISH)) == 3)
    script.connections[0].transport.abort()
    await peer.until(lambda: link.state == CLOSED)
    script.acks, script.session_present = True, session_present
    await link.open(*script.address)
    await peer.until(lambda: len(peer.acks) == 3)
    first, again = (peer_.frames for peer_ in script.connections)
    before = [frame for frame in first if frame[0] & 0xF0 == framing.PUBLISH]
    after = [frame for frame in again if frame[0] & 0xF0 == framing.PUBLISH]
    assert [frame[1:] for frame in after] == [frame[1:] for frame in before]
    assert {frame[0] for frame in after} == {0x3A if session_present else 0x32}
    assert (link.sent, link.resent, link.pending) == (3, 3, 0)


async def test_a_message_is_told_and_acknowledged(script: Script, peer: Peer, link: Link) -> None:
    await link.open(*script.address)
    await peer.until(lambda: link.state == READY)
    topic = "v1/wudun/PK1/EMS1/streaming_overdemand/sync/command"
    whole = packets.encode_publish(topic, b"one", 1, packet_id=7) + packets.encode_publish(
        topic, b"two", 1, packet_id=8
    )
    script.connections[0].send(whole[:20])
    script.connections[0].send(whole[20:] + packets.encode_publish(topic, b"three", 0))
    await script.until(lambda: len(script.frames(framing.PUBACK)) == 2)
    assert [frame[2] for frame in script.frames(framing.PUBACK)] == [7, 8]
    await peer.until(lambda: len(peer.messages) == 3)
    assert [payload for _, payload in peer.messages] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
async def test_a_refusal_closes_with_its_code(script: Script, peer: Peer, link: Link, code: int) -> None:
    script.code = code
    await link.open(*script.address)
    await peer.until(lambda: bool(peer.reasons))
    assert peer.reasons == [f"CONNACK {code}: {WORDS[code]}"]
    assert (link.refused, peer.times_online) == (code, 0)
    script.code = 0
    await link.open(*script.address)
    await peer.until(lambda: link.state == READY)
    assert link.refused == 0


async def test_refused_topics_close_the_connection(script: Script, peer: Peer, link: Link) -> None:
    script.grants = False
    await link.open(*script.address)
    await peer.until(lambda: bool(peer.reasons))
    assert peer.reasons == ["the broker refused a subscription"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        b"\x32\x03\x00\x01a",
        packets.encode_connect(HELLO),
        packets.encode_publish("a", b"", 2, packet_id=1),
    ],
)
async def test_nonsense_from_the_broker_closes_the_connection(
    script: Script, peer: Peer, link: Link, data: bytes
) -> None:
    await link.open(*script.address)
    await peer.until(lambda: link.state == READY)
    script.connections[0].send(data)
    await peer.until(lambda: bool(peer.reasons))
    assert link.state == CLOSED
    assert peer.reasons != ["closed by the broker"]


async def test_nobody_listens(peer: Peer, link: Link) -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    server.close()
    await server.wait_closed()
    assert not await link.open(*address)
    assert link.state == CLOSED
    assert link.reason
    assert peer.reasons == []


async def test_it_pings_when_idle_and_gives_up_on_a_silent_broker(
    script: Script, peer: Peer, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    await link.open(*script.address)
    await peer.until(lambda: link.state == READY)
    clock = Clock(link._loop.time())
    monkeypatch.setattr(link, "_loop", clock)
    link.tick()
    clock.now += 44
    link.tick()
    assert script.frames(framing.PINGREQ) == []
    clock.now += 2
    link.tick()
    await script.until(lambda: len(script.frames(framing.PINGREQ)) == 1)
    await peer_pong(link)
    script.pongs = False
    clock.now += 46
    link.tick()
    await script.until(lambda: len(script.frames(framing.PINGREQ)) == 2)
    clock.now += link_module.ANSWER_S + 1
    link.tick()
    await peer.until(lambda: bool(peer.reasons))
    assert peer.reasons == ["the broker does not answer"]


class Clock:
    """A held clock in the place of the loop's."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


async def peer_pong(link: Link) -> None:
    async with asyncio.timeout(10):
        while link._waiting_since:  # noqa: ASYNC110  a PINGRESP is told to nobody
            await asyncio.sleep(0)


def test_backoff_doubles_to_a_ceiling_and_spreads() -> None:
    assert [backoff_s(n, 1.0) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert backoff_s(50, 1.0) == BACKOFF_LAST_S
    assert backoff_s(4, 0.0) == backoff_s(4, 1.0) / 2
