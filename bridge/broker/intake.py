"""Publishes of one client: handed on, acknowledged in order after COMMIT (MQTT 3.1.1, section 4.3)."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from bridge.broker.access import Question
from bridge.broker.retained import DROPPED
from bridge.broker.wire import ASKING, PENDING, Wire
from bridge.core.record import Row
from bridge.mqtt import packets
from bridge.mqtt.framing import Frame

if TYPE_CHECKING:
    from bridge.broker.hub import Hub
    from bridge.broker.session import Session
    from bridge.core.principal import Principal

GREETING, OPENING, OPEN, CLOSED = range(4)
"""States of a connection: no CONNECT yet; its login runs; accepted; ended, the socket may linger."""

_REFUSED: Final = (("cause", "not_authorised"),)


class Intake(Wire):
    """Base of Connection: the way of a PUBLISH to the hub's `submit` and of its acknowledgement back."""

    __slots__ = ("_acks", "_early", "_held", "principal", "session", "state")

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._acks: deque[bytes] = deque()
        """Acknowledgements that are due, in order of their publishes."""
        self._early: list[bytes] = []
        """Those of them that may go but must not overtake."""
        self._held: list[Frame] | None = None
        """Packets that wait until the connection reads on."""
        self.state = GREETING
        self.principal: Principal | None = None
        self.session: Session | None = None

    @property
    def unstored(self) -> int:
        """Publishes at QoS 1 and 2 that wait for their COMMIT."""
        return len(self._acks)

    def go_on(self, reason: int) -> None:
        """Deal with the held packets and read on."""
        raise NotImplementedError

    def publish(self, session: Session, first: int, topic: str, packet_id: int, payload: bytes) -> None:
        """A PUBLISH of an accepted client."""
        hub, qos, retain = self._hub, first >> 1 & 3, first & 1 == 1
        assert self.principal is not None  # noqa: S101 - it has a session
        if hub.gate is not None and not self._admitted(session, (first, topic, packet_id, payload)):
            return
        if qos == 1:
            ack = packets.encode_puback(packet_id)
            self._acks.append(ack)
            hub.submit(self.principal, topic, payload, 1, retain, [], partial(self.stored, ack))
        elif qos == 0:
            hub.submit(self.principal, topic, payload, 0, retain, [], ignore)
        else:
            self._publish_2(session, topic, packet_id, payload, retain=retain)
        if len(self._acks) > hub.limits.inbound:
            self.stop(PENDING)

    def stored(self, ack: bytes, ok: bool) -> None:
        """A publish is committed: acknowledge it when those before it are [MQTT-4.6.0-2] [MQTT-4.6.0-3]."""
        if self.state != OPEN:
            return
        if not ok:
            self.close("commit_failed")
            return
        acks = self._acks
        if not acks or acks[0] != ack:
            if ack in acks:
                self._early.append(ack)
            return
        self.write(acks.popleft())
        while self._early and acks and acks[0] in self._early:
            self._early.remove(acks[0])
            self.write(acks.popleft())
        if self._stopped and len(acks) <= self._hub.limits.inbound // 2:
            self.go(PENDING)

    def ask(self, session: Session, questions: list[Question], frame: Frame) -> None:
        """Let the topic plugins decide; then read on, beginning with `frame` again."""
        gate = self._hub.gate
        assert gate is not None  # noqa: S101 - the caller has asked it

        async def ask() -> None:
            await gate.ask(session, questions)
            if self.state == OPEN:
                self.go_on(ASKING)

        self._held = [frame]
        self.stop(ASKING)
        self._hub.turn.spawn(ask(), f"topic plugins {self.peer}")

    def _publish_2(self, session: Session, topic: str, packet_id: int, payload: bytes, *, retain: bool) -> None:
        """Store a QoS 2 message once, whatever is repeated until PUBREL [MQTT-4.3.3-2]."""
        ack = packets.encode_pubrec(packet_id)
        known = session.inbound.get(packet_id)
        if known is not None:
            self._repeat(ack, stored=known)
            return
        if len(session.inbound) >= self._hub.limits.inbound:
            self.close("inbound_full")
            return
        assert self.principal is not None  # noqa: S101 - it has a session
        session.inbound[packet_id] = False
        self._acks.append(ack)
        rows: list[Row] = [("mqtt_inbound", (session.id, packet_id))] if session.durable else []
        done = partial(_stored_2, session, packet_id, ack)
        self._hub.submit(self.principal, topic, payload, 2, retain, rows, done)

    def _repeat(self, ack: bytes, *, stored: bool) -> None:
        """The client repeats a publish: acknowledge it again, now or when it is committed."""
        if ack not in self._acks:
            self._acks.append(ack)
            if stored:
                self.stored(ack, True)

    def _admitted(self, session: Session, frame: Frame) -> bool:
        """Whether the topic plugins let the PUBLISH pass: not while they are still to be asked, nor when they refuse it. Then it
        is acknowledged, since MQTT 3.1.1 has no other answer [MQTT-3.3.5-2], and counted."""
        gate = self._hub.gate
        assert gate is not None  # noqa: S101 - the caller has asked it
        first, topic, packet_id, _ = frame
        known = gate.known(session, "publish", topic)
        if known is None:
            self.ask(session, [("publish", topic)], frame)
            return False
        if not known:
            self._hub.counts.add(DROPPED, _REFUSED)
            if first >> 1 & 3:
                encode = packets.encode_puback if first >> 1 & 3 == 1 else packets.encode_pubrec
                self._repeat(encode(packet_id), stored=True)
        return known


def ignore(_ok: bool) -> None:
    """Nobody waits for the COMMIT."""


def _stored_2(session: Session, packet_id: int, ack: bytes, ok: bool) -> None:
    """A QoS 2 publish is committed. The client may have come back on another connection since."""
    if not ok:
        session.inbound.pop(packet_id, None)
    elif packet_id in session.inbound:
        session.inbound[packet_id] = True
    if session.connection is not None:
        session.connection.stored(ack, ok)
