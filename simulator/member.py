"""A device of a running fleet: the sans-io device, its connection, and what it does wrong on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.mqtt.packets import Connect
from bridge.mqtt.topics import TopicNames
from schemas import kinds
from simulator.device import Device, Post
from simulator.disturb import disturbed, disturbs, misanswered
from simulator.faults import HONEST, LATE_FACTOR, Behaviour
from simulator.identity import device_seed
from simulator.link import READY, Link
from simulator.profile import unit
from simulator.readouts import Fields
from simulator.script import Script, Scripted
from simulator.strategies import BY_FEATURE, listing

if TYPE_CHECKING:
    from simulator.fleet import Fleet

REORDER_S = 1.0
"""How long a message waits at most for the one that is to go before it."""


class Member:
    """One device, live. `commands` and `answers` count this device's own."""

    __slots__ = (
        "_fleet",
        "_held",
        "_powered",
        "answers",
        "attempts",
        "behaviour",
        "commands",
        "connects",
        "device",
        "link",
        "published",
        "script",
        "turn",
        "uid",
    )

    def __init__(self, fleet: Fleet, device: Device, hello: Connect, names: TopicNames) -> None:
        self._fleet = fleet
        self.uid = device.spec.uid
        self.device = device
        self.behaviour = HONEST
        self.script: Script | None = None
        self.turn = 0
        """The entry of the agenda with which it reports next."""
        self._held: list[Post] = []
        self._powered = True
        self.link = Link(self, hello, device.filters, names)
        self.attempts = self.connects = self.commands = self.answers = self.published = 0

    @property
    def is_online(self) -> bool:
        """Connected and subscribed."""
        return self.link.state == READY

    @property
    def wants_connection(self) -> bool:
        """Whether the fleet should keep it connected."""
        return self._powered and not self.behaviour.offline

    def strategies(self, feature: str = "streaming_overdemand") -> list[Fields]:
        """The strategies of one kind, as the device shows them now."""
        return listing(self.device, BY_FEATURE[feature], self._fleet.now())

    # What it does wrong, live

    def behave(self, behaviour: Behaviour = HONEST) -> None:
        """From now on be like this; honest without an argument."""
        before, self.behaviour = self.behaviour, behaviour
        if behaviour.site != before.site:
            self._befall(behaviour.site)
        if behaviour.offline:
            self.link.close()
        elif before.offline and self._powered:
            self._fleet.reconnect(self, 0.0)
        self.link.freeze(behaviour.half_open)
        if not behaviour.reorder:
            self.let_go()
        if behaviour.flap_s and behaviour.flap_s != before.flap_s:
            self._flap_later()
        if behaviour.power_cut_s and not before.power_cut_s:
            self.power_cut(behaviour.power_cut_s)

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

    def afflict(self, *faults: str) -> None:
        """Let these faults of its site be there (`protection.FAULTS`), and no others; none ends them all."""
        self.behave(self.behaviour.with_site(faults))

    def honest(self) -> None:
        """Behave again, and come back if it was offline."""
        self.behave()

    def cut(self) -> None:
        """Lose the connection as by a broken cable; the fleet reconnects it."""
        self.link.abort("cut")

    def power_cut(self, seconds: float) -> None:
        """Be without power: the connection and what was not sent are lost. Then start anew, with its strategies."""
        if not self._powered:
            return
        self._powered = False
        self._held.clear()
        self.link.forget()
        self.link.abort("power cut")
        self._fleet.later(seconds, self._power)

    def scripted(self, command: str, line: Scripted, times: int | None = None) -> None:
        """Say this to `feature/action` (`*`: to everything)."""
        self.script = self.script or Script()
        self.script.add(command, line, times)

    # The link's peer

    def online(self) -> None:
        """Subscribed: the fleet schedules what is due."""
        self.attempts = 0
        self.connects += 1
        self.link.freeze(self.behaviour.half_open)
        self._fleet.came_online(self)
        if self.behaviour.flap_s:
            self._flap_later()

    def offline_because(self, reason: str) -> None:
        """The connection is gone."""
        self._fleet.went_offline(self, reason)

    def message(self, topic: str, payload: bytes) -> None:
        """A command came."""
        self.commands += 1
        self._fleet.counted_command(self, topic, payload)
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
        if not self._powered:
            return
        behaviour, dialect = self.behaviour, self._fleet.dialect
        if dialect is not None:
            posts = [dialect(post) for post in posts]
        if behaviour != HONEST:
            posts = self._as_told(posts, behaviour)
        self._send(posts)

    def _send(self, posts: list[Post]) -> None:
        self.published += len(posts)
        self._fleet.overheard(self, posts)
        self.link.publish(posts)

    def _as_told(self, posts: list[Post], behaviour: Behaviour) -> list[Post]:
        if disturbs(behaviour):
            seed = device_seed(self.device.spec)
            posts = [disturbed(post, behaviour, unit(seed, self.published + n)) for n, post in enumerate(posts)]
        if behaviour.duplicate:
            posts = [post for post in posts for _ in range(2)]
        if behaviour.reorder and posts:
            held, self._held = self._held, posts[-1:]
            posts = [*posts[:-1], *held]
            self._fleet.later(REORDER_S, self.let_go)
        return posts

    def let_go(self) -> None:
        """What waited for another message goes."""
        held, self._held = self._held, []
        if held:
            self._send(held)

    def _befall(self, faults: tuple[str, ...]) -> None:
        now = self._fleet.now()
        self.device.afflict(now, *faults)
        if self._powered:
            self.publish(self.device.noticed(now))

    def _flap_later(self) -> None:
        period, connection = self.behaviour.flap_s, self.connects

        def flap() -> None:
            if self.behaviour.flap_s == period and self.connects == connection:
                self.link.abort("flapping")

        self._fleet.later(period, flap)

    def _power(self) -> None:
        self._powered = True
        self.device.restart(self._fleet.now())
        if self.wants_connection:
            self._fleet.reconnect(self, 0.0)

    def _obey(self, topic: str, payload: bytes) -> None:
        now, behaviour, before = self._fleet.now(), self.behaviour, self.device.done_at
        line = None if self.script is None else self.script.take("/".join(topic.split("/")[-3:-1]))
        if line is not None and line.answer is None and not line.acts:
            return
        if line is not None and line.answer is not None:
            if line.acts:
                self.device.handle(topic, payload, now)
            posts = self.device.say(topic, payload, now, line.answer)
        elif behaviour.reject:
            posts = self.device.reject(topic, payload, now)
        else:
            posts = self.device.handle(topic, payload, now)
        if not posts:
            return
        self.answers += 1
        delay = behaviour.slow_s + (_timeout_s(topic) * LATE_FACTOR if behaviour.late else 0.0)
        delay += line.after_s if line is not None else 0.0
        self._fleet.answer(self, self._misanswered(posts), delay)
        done_at = self.device.done_at
        if done_at is not None and done_at != before:
            self._fleet.at(done_at, lambda: self._finish(done_at, delay))

    def _misanswered(self, posts: list[Post]) -> list[Post]:
        behaviour = self.behaviour
        if behaviour.garbage or behaviour.wrong_reply or behaviour.no_reply:
            return [misanswered(posts[0], behaviour), *posts[1:]]
        return posts

    def _finish(self, at: float, delay_s: float) -> None:
        """What a command has come to is told, as late as its first answer."""
        posts = self.device.finished(max(at, self._fleet.now())) if self._powered else []
        if posts:
            posts = self._misanswered(posts)
            self._fleet.later(delay_s, lambda: self.publish(posts))


def _timeout_s(topic: str) -> float:
    parts = topic.rsplit("/", 3)
    kind = kinds.command(parts[1], parts[2]) if len(parts) == 4 else None
    return kind.timeout_s if kind is not None else kinds.KINDS[0].timeout_s
