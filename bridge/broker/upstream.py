"""An existing broker in place of our own: the same pipeline as client(s) of it.

Towards the rest of the house it is what Hub is: it submits what comes, delivers what a Record routes, carries commands. Who is
connected it cannot know: a device counts as there while it has spoken within `silent_s`.

The other broker delivers every message to its subscribers itself, so of a Record only what is the bridge's own goes out: twin
topics, status and error topics, commands. All of it carries a user property with the bridge's name, by which it is known when it
comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, NamedTuple

from bridge.broker.line import TICK_S, Arrival, Line, Remote
from bridge.broker.losses import Losses
from bridge.broker.seams import Source, Submit
from bridge.core.principal import Principal
from bridge.core.record import Record
from bridge.counts import Counts
from bridge.mqtt import properties
from bridge.mqtt.properties import Properties
from bridge.mqtt.topics import TopicNames

log = logging.getLogger(__name__)

MARK: Final = "ems-bridge"
"""The user property of everything that the bridge publishes."""


class Settings(NamedTuple):
    """`filters` are shared by `lines` connections; a single one subscribes to them as they are, since Mosquitto 2.0 forgets
    shared subscriptions of absent clients when it starts anew. `command_expiry_s` ends a command that the broker keeps for
    an absent device."""

    remote: Remote
    filters: tuple[str, ...]
    lines: int = 1
    share: str = "ems-bridge"
    silent_s: float = 300.0
    command_expiry_s: int = 10


class Speech(NamedTuple):
    """What a topic tells: whom its message is believed to come from, since the broker's own access control has let him; the
    device, the prefix before it, and whether it is a command to it."""

    speaker: Principal
    device: str
    prefix: str
    command: bool


class Upstream:
    """`hear(topic)` says who speaks there; None: nobody that concerns the bridge."""

    def __init__(
        self,
        settings: Settings,
        submit: Submit,
        hear: Callable[[str], Speech | None],
        counts: Counts,
        reachable: Callable[[str], None] = lambda _uid: None,
        unreachable: Callable[[str], None] = lambda _uid: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._submit = submit
        self._hear = hear
        self._losses = Losses(counts)
        self._reachable = reachable
        self._unreachable = unreachable
        self._clock = clock
        self._heard: dict[str, tuple[float, str]] = {}
        """When a device spoke last, and its prefix."""
        self._next = 0
        names = TopicNames()
        remote = settings.remote
        wanted, left = list(settings.filters), [f"$share/{settings.share}/{each}" for each in settings.filters]
        if settings.lines > 1:
            wanted, left = left, wanted
        self.lines = [
            Line(
                remote._replace(client_id=f"{remote.client_id}-{number}"),
                wanted,
                left,
                names,
                self._arrived,
                self._turned,
            )
            for number in range(settings.lines)
        ]
        counts.gauge("ems_bridge_mqtt_upstream", lambda: sum(line.ready for line in self.lines), text="Upstream lines")

    async def run(self) -> None:
        """Stay connected until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for line in self.lines:
                    group.create_task(line.run(), name=f"upstream {line.remote.client_id}")
                while True:
                    await asyncio.sleep(TICK_S)
                    self.tick()
        finally:
            for line in self.lines:
                line.close()

    @property
    def trouble(self) -> str | None:
        """Why nothing comes in; None when a line is up."""
        return None if any(line.ready for line in self.lines) else self.lines[0].trouble

    def tick(self) -> None:
        """Keep the lines alive; devices that have been silent for too long have gone."""
        for line in self.lines:
            line.tick()
        self._losses.quiet.tell()
        since = self._clock() - self._settings.silent_s
        for uid in [uid for uid, (heard, _) in self._heard.items() if heard < since]:
            del self._heard[uid]
            self._unreachable(uid)

    # What the house calls, as it calls Hub.

    def prepare(self, record: Record) -> None:
        """Nothing is kept for subscribers here."""

    def discard(self, record: Record) -> None:
        """Nothing was prepared."""

    def deliver(self, record: Record) -> None:
        """After COMMIT: publish what the other broker has not. Commands to a device go by `command` alone: here each would reach
        it once more."""
        source = record.source
        for route in record.routes:
            if route.skip:
                continue
            known = isinstance(source, Source) and source.payload is route.payload
            for topic in route.topics[1:] if known else route.topics:
                self._publish(topic, route.payload, {}, retain=route.retain)

    def command(
        self, uid: str, topics: tuple[str, ...], payload: bytes, acked: Callable[[], None], expires: int = 0
    ) -> str | None:
        """Publish a command under the prefix that the device speaks on; gives the topic, None when the device is silent or
        no line is up. `acked` is never called: the other broker does not tell who has received it."""
        _ = acked, expires
        if not self.online(uid):
            return None
        _, prefix = self._heard[uid]
        topic = next((each for each in topics if each.startswith(f"{prefix}/")), topics[0])
        found = {properties.MESSAGE_EXPIRY: self._settings.command_expiry_s}
        return topic if self._publish(topic, payload, found) else None

    def online(self, uid: str, topics: tuple[str, ...] = ()) -> bool:
        """Whether the device has spoken lately and a line is up."""
        _ = topics
        return uid in self._heard and self.trouble is None

    def heard(self, level: str) -> bool:
        """Who listens there, nobody tells us."""
        _ = level
        return True

    def pressure(self, on: bool) -> None:
        """The writer's queue passed its high-water mark, or has drained."""
        for line in self.lines:
            line.pause(on)

    def permissions_changed(self) -> None:
        """The other broker's access control is its own."""

    def drop(self, name: str, kind: str | None = None) -> None:
        """The other broker's connections are its own."""

    # Inside.

    def _arrived(self, arrival: Arrival) -> None:
        topic, payload, qos, retain, found, done = arrival
        if (MARK, self._settings.share) in found.get(properties.USER_PROPERTY, ()):
            done(True)
            return
        speech = self._hear(topic)
        if speech is None:  # a subscription of somebody else in the same share
            done(True)
            return
        record = self._submit(speech.speaker, topic, payload, qos, retain, [], done, Source(None, payload))
        if not speech.command and (record.reject is None or record.reject.reason != "not_authorised"):
            self._alive(speech)

    def _alive(self, speech: Speech) -> None:
        new = speech.device not in self._heard
        self._heard[speech.device] = (self._clock(), speech.prefix)
        if new:
            self._reachable(speech.device)

    def _publish(self, topic: str, payload: bytes, found: Properties, *, retain: bool = False) -> bool:
        found = {**found, properties.USER_PROPERTY: [(MARK, self._settings.share)]}
        order: Sequence[Line] = [line for line in self.lines if line.ready] or self.lines
        self._next += 1
        if order[self._next % len(order)].publish(topic, payload, found, retain=retain):
            return True
        self._losses.dropped("queue_full", self._settings.share, topic)
        return False

    def _turned(self) -> None:
        if self.trouble is None:
            for uid in tuple(self._heard):
                self._reachable(uid)
