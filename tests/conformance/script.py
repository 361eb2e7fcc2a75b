"""The common script: what every client does in every version over every way in. One function a step, 3.1.1 and 5 alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from conformance.network import Link, Relay, Way
from conformance.peers import Filters, Got, Peer, Will

CORRELATION = b"17-x"


class Opened(NamedTuple):
    """A connected client and its network."""

    peer: Peer
    relay: Relay
    aside: str

    async def settle(self) -> None:
        """Once its publish is acknowledged it has acknowledged what it got before: many clients hand a message out first."""
        await self.peer.publish(self.aside, b"", 1)

    async def lose(self) -> None:
        """The network goes, and the client with it."""
        await self.relay.cut()
        await self.peer.drop()


class Place:
    """Where a step runs: one client, one version, one way, names of its own."""

    def __init__(self, make: type[Peer], version: int, way: Way, login: tuple[str, str], ca: Path, name: str) -> None:
        self.make, self.version, self.way, self.login, self.ca, self.name = make, version, way, login, ca, name

    def topic(self, rest: str) -> str:
        return f"{self.name}/{rest}"

    @asynccontextmanager
    async def open(
        self,
        name: str,
        *filters: tuple[str, int],
        keep: bool = False,
        resume: bool = False,
        will: Will | None = None,
    ) -> AsyncIterator[Opened]:
        """Filters are below the place's own topic, but for shared ones. Closed at the end, unless it was lost before."""
        async with Relay(self.way.port) as relay:
            peer = self.make(self.version)
            link = Link(self.way, relay.port, *self.login, self.ca)
            placed: Filters = [(self._filter(topic_filter), qos) for topic_filter, qos in filters]
            async with AsyncExitStack() as stack:
                stack.push_async_callback(peer.drop)  # if it does not even connect
                await peer.connect(link, f"{self.name}-{name}", placed, keep=keep, resume=resume, will=will)
                opened = Opened(peer, relay, self.topic("aside"))
                yield opened
                stack.pop_all()
            if relay.alive:
                await peer.close()
                await relay.ended()

    def _filter(self, topic_filter: str) -> str:
        if not topic_filter.startswith("$share/"):
            return self.topic(topic_filter)
        share, group, rest = topic_filter.split("/", 2)
        return f"{share}/{group}/{self.topic(rest)}"


async def qos(place: Place) -> None:
    """Each QoS, by a wildcard; a subscription at QoS 1 lowers it."""
    async with place.open("two", ("a/+/c", 2)) as two, place.open("one", ("a/#", 1)) as one, place.open("pub") as pub:
        for sent in (0, 1, 2):
            await pub.peer.publish(place.topic("a/b/c"), b"%d" % sent, sent)
            assert (await two.peer.receive()).said == (place.topic("a/b/c"), b"%d" % sent, sent, False)
            assert (await one.peer.receive()).said == (place.topic("a/b/c"), b"%d" % sent, min(sent, 1), False)
        await pub.peer.publish(place.topic("a"), "ü".encode(), 1)
        await pub.peer.publish(place.topic("a/b/c"), b"last", 1)
        assert (await one.peer.receive()).said == (place.topic("a"), "ü".encode(), 1, False)
        assert (await two.peer.receive()).payload == b"last"


async def retained(place: Place) -> None:
    """Kept for who comes later, with RETAIN; without it for who is there; an empty one ends it."""
    topic = place.topic("kept")
    async with place.open("pub") as pub:
        async with place.open("there", ("kept", 1)) as there:
            await pub.peer.publish(topic, b"old", 1, retain=True)
            await pub.peer.publish(topic, b"new", 2, retain=True)
            assert [(await there.peer.receive()).said for _ in range(2)] == [
                (topic, b"old", 1, False),
                (topic, b"new", 1, False),
            ]
        async with place.open("late", ("+", 2)) as late:
            assert (await late.peer.receive()).said == (topic, b"new", 2, True)
        await pub.peer.publish(topic, b"", 1, retain=True)
        async with place.open("later", ("kept", 1)) as later:
            await pub.peer.publish(topic, b"live", 1)
            assert (await later.peer.receive()).said == (topic, b"live", 1, False)


async def will(place: Place) -> None:
    """Published when the network goes, not when the client leaves, unless it asks for it."""
    async with place.open("watch", ("will/#", 1)) as watch, place.open("pub") as pub:
        async with place.open("leaves", will=Will(place.topic("will/leaves"), b"bye", 1)) as leaves:
            pass
        if leaves.peer.will_at_close:
            assert (await watch.peer.receive()).said == (place.topic("will/leaves"), b"bye", 1, False)
        async with place.open("dies", will=Will(place.topic("will/dies"), b"bye", 1)) as dies:
            await dies.lose()
        assert (await watch.peer.receive()).said == (place.topic("will/dies"), b"bye", 1, False)
        await pub.peer.publish(place.topic("will/probe"), b"probe", 1)
        assert (await watch.peer.receive()).payload == b"probe"


async def offline_queue(place: Place) -> None:
    """QoS 1 and 2 wait for who is away, each in order; QoS 0 does not."""
    filters = (("q/#", 2),)
    async with place.open("pub") as pub:
        async with place.open("sub", *filters, keep=True):
            pass
        for number in range(6):
            await pub.peer.publish(place.topic("q/a"), b"%d" % number, number % 3)
        async with place.open("sub", *filters, keep=True, resume=True) as sub:
            said = [(await sub.peer.receive()).said for _ in range(4)]
    said.sort(
        key=lambda got: got[2]
    )  # many clients hand a message at QoS 2 out with its PUBREL, so that others overtake it
    assert said == [(place.topic("q/a"), b"%d" % number, number % 3, False) for number in (1, 4, 2, 5)]


async def redelivery(place: Place) -> None:
    """What was not acknowledged comes again, with DUP; what was does not."""
    filters = (("r", 1),)
    async with place.open("pub") as pub:
        async with place.open("sub", *filters, keep=True) as sub:
            sub.relay.deaf = True
            await pub.peer.publish(place.topic("r"), b"once", 1)
            first = await sub.peer.receive()
            await sub.lose()
        async with place.open("sub", *filters, keep=True, resume=True) as sub:
            again = await sub.peer.receive()
            await sub.settle()
        async with place.open("sub", *filters, keep=True, resume=True) as sub:
            await pub.peer.publish(place.topic("r"), b"more", 1)
            last = await sub.peer.receive()
    assert first.said == again.said == (place.topic("r"), b"once", 1, False)
    assert (first.dup, again.dup) in ((False, True), (None, None))
    assert (last.payload, last.dup) in ((b"more", False), (b"more", None))


async def shared(place: Place) -> None:
    """MQTT 5: one member each, in turn; what one did not acknowledge goes to another when it leaves."""
    group = ("$share/group/s/#", 1)
    async with place.open("pub") as pub, place.open("stays", group) as stays, place.open("goes", group) as goes:
        for number in range(8):
            await pub.peer.publish(place.topic("s/a"), b"%d" % number, 1)
        kept = [(await stays.peer.receive()).payload for _ in range(4)]
        lost = [(await goes.peer.receive()).payload for _ in range(4)]
        assert sorted(kept + lost) == [b"%d" % number for number in range(8)]
        await goes.settle()
        goes.relay.deaf = True
        for number in range(4):
            await pub.peer.publish(place.topic("s/a"), b"again %d" % number, 1)
        for _ in range(2):
            await goes.peer.receive()
        await goes.lose()
        kept = []
        while len(kept) < 4:
            payload = (await stays.peer.receive()).payload
            if payload not in lost:  # its acknowledgement may have been on the way still
                kept.append(payload)
        assert sorted(kept) == [b"again %d" % number for number in range(4)]


async def request_response(place: Place) -> None:
    """MQTT 5: response topic and correlation data come through untouched."""
    response = place.topic("answers")
    async with place.open("serves", ("asked", 1)) as serves, place.open("asks", ("answers", 1)) as asks:

        async def serve() -> Got:
            request = await serves.peer.receive()
            await serves.peer.answer(request, b"answer")
            return request

        async with asyncio.TaskGroup() as both:
            served = both.create_task(serve())
            answer = await asks.peer.ask(place.topic("asked"), b"question", response, CORRELATION)
    request = served.result()
    assert (request.payload, request.response, request.correlation) == (b"question", response, CORRELATION)
    assert (answer.topic, answer.payload, answer.correlation) == (response, b"answer", CORRELATION)


Step = Callable[[Place], Awaitable[None]]
STEPS: dict[str, Step] = {
    "QoS": qos,
    "retained": retained,
    "will": will,
    "offline queue": offline_queue,
    "redelivery": redelivery,
    "shared": shared,
    "request/response": request_response,
}
ONLY_5 = {"shared", "request/response"}
