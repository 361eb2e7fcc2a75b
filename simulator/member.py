"""A device of a running fleet: the sans-io device, its connection, and what it does wrong on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.mqtt.packets import Connect
from bridge.mqtt.topics import TopicNames
from schemas import kinds
from simulator.device import Device, Post
from simulator.faults import HONEST, LATE_FACTOR, Behaviour, spoil
from simulator.link import READY, Link
from simulator.readouts import Fields
from simulator.strategies import BY_FEATURE, listing

if TYPE_CHECKING:
    from simulator.fleet import Fleet


class Member:
    """One device, live. `commands` and `answers` count this device's own."""

    __slots__ = (
        "_fleet",
        "answers",
        "attempts",
        "behaviour",
        "commands",
        "connects",
        "device",
        "link",
        "published",
        "uid",
    )

    def __init__(self, fleet: Fleet, device: Device, behaviour: Behaviour, hello: Connect, names: TopicNames) -> None:
        self._fleet = fleet
        self.uid = device.spec.uid
        self.device = device
        self.behaviour = behaviour
        self.link = Link(self, hello, device.filters, names)
        self.attempts = self.connects = self.commands = self.answers = self.published = 0

    @property
    def is_online(self) -> bool:
        """Connected and subscribed."""
        return self.link.state == READY

    @property
    def wants_connection(self) -> bool:
        """Whether the fleet should keep it connected."""
        return not self.behaviour.offline

    def strategies(self, feature: str = "streaming_overdemand") -> list[Fields]:
        """The strategies of one kind, as the device shows them now."""
        return listing(self.device, BY_FEATURE[feature], self._fleet.now())

    # What it does wrong, live

    def behave(self, behaviour: Behaviour = HONEST) -> None:
        """From now on meet commands like this; honest without an argument."""
        was_offline, self.behaviour = self.behaviour.offline, behaviour
        if behaviour.offline:
            self.link.close()
        elif was_offline:
            self._fleet.reconnect(self, 0.0)

    def silence(self) -> None:
        """Take no notice of commands."""
        self.behave(self.behaviour._replace(silent=True))

    def reject(self) -> None:
        """Answer 400 to everything."""
        self.behave(self.behaviour._replace(reject=True))

    def slow(self, seconds: float) -> None:
        """Answer after so many seconds (real time)."""
        self.behave(self.behaviour._replace(slow_s=seconds))

    def late(self) -> None:
        """Answer when the command's own timeout has passed."""
        self.behave(self.behaviour._replace(late=True))

    def garbage(self) -> None:
        """Answer broken JSON."""
        self.behave(self.behaviour._replace(garbage=True))

    def offline(self) -> None:
        """Disconnect, and stay away."""
        self.behave(self.behaviour._replace(offline=True))

    def honest(self) -> None:
        """Behave again, and come back if it was offline."""
        self.behave()

    def cut(self) -> None:
        """Lose the connection as by a broken cable; the fleet reconnects it."""
        self.link.abort("cut")

    # The link's peer

    def online(self) -> None:
        """Subscribed: the fleet schedules what is due."""
        self.attempts = 0
        self.connects += 1
        self._fleet.came_online(self)

    def offline_because(self, reason: str) -> None:
        """The connection is gone."""
        self._fleet.went_offline(self, reason)

    def message(self, topic: str, payload: bytes) -> None:
        """A command came."""
        self.commands += 1
        self._fleet.counted_command()
        if not self.behaviour.silent:
            try:
                self._obey(topic, payload)
            except Exception as error:  # asyncio would log it and go on
                self._fleet.fail(error)

    def acked(self, seconds: float) -> None:
        """A PUBACK came."""
        self._fleet.counted_ack(seconds)

    def publish(self, posts: list[Post]) -> None:
        """Send, or queue until the connection is back."""
        self.published += len(posts)
        self.link.publish(posts)

    def _obey(self, topic: str, payload: bytes) -> None:
        now = self._fleet.now()
        posts = (
            self.device.reject(topic, payload, now)
            if self.behaviour.reject
            else self.device.handle(topic, payload, now)
        )
        if not posts:
            return
        self.answers += 1
        if self.behaviour.garbage:
            posts = [(posts[0][0], spoil(posts[0][1])), *posts[1:]]
        delay = self.behaviour.slow_s + (_timeout_s(topic) * LATE_FACTOR if self.behaviour.late else 0.0)
        self._fleet.answer(self, posts, delay)


def _timeout_s(topic: str) -> float:
    parts = topic.rsplit("/", 3)
    kind = kinds.command(parts[1], parts[2]) if len(parts) == 4 else None
    return kind.timeout_s if kind is not None else kinds.KINDS[0].timeout_s
