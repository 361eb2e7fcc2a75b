"""Publishes of one client: handed on, acknowledged in order after COMMIT (MQTT 3.1.1 and 5, section 4.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from bridge.broker.access import Question
from bridge.broker.dialect import OLD, V5, Dialect
from bridge.broker.seams import Source
from bridge.broker.wire import ASKING, PENDING, Wire
from bridge.core.record import Record, Reject, Row
from bridge.mqtt import framing, properties, reasons
from bridge.mqtt.framing import Frame
from bridge.mqtt.properties import Properties

if TYPE_CHECKING:
    from bridge.broker.hub import Hub
    from bridge.broker.session import Session
    from bridge.core.principal import Principal

GREETING, OPENING, OPEN, CLOSED = range(4)
"""States of a connection: no CONNECT yet; its login runs; accepted; ended, the socket may linger."""

_QOS_2: Final = 0x10000
"""Added to the packet id of an acknowledgement that is a PUBREC."""
_BARE: Final[frozenset[int]] = frozenset((properties.TOPIC_ALIAS, properties.MESSAGE_EXPIRY))
"""Properties of a PUBLISH that do not travel with the message as they are."""

REASONS: Final = {
    "not_authorised": reasons.NOT_AUTHORISED,
    "unknown_topic": reasons.TOPIC_NOT_VALID,
    "unknown_device": reasons.TOPIC_NOT_VALID,
    "quota_exceeded": reasons.QUOTA_EXCEEDED,
    "not_json": reasons.PAYLOAD_NOT_VALID,
    "unknown_type": reasons.PAYLOAD_NOT_VALID,
    "invalid": reasons.PAYLOAD_NOT_VALID,
    "bad_timestamp": reasons.PAYLOAD_NOT_VALID,
    "expired": reasons.PAYLOAD_NOT_VALID,
}
"""Reason codes of PUBACK and PUBREC for what core refuses; REFUSED_HERE for what is not named, such as a conflict."""


class Intake(Wire):
    """Base of Connection: the way of a PUBLISH to the hub's `submit` and of its acknowledgement back."""

    __slots__ = ("_acks", "_early", "_held", "_judged", "dialect", "principal", "session", "state")

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._acks: deque[int] = deque()
        """Acknowledgements that are due, in order of their publishes: packet ids, with _QOS_2 for a PUBREC."""
        self._early: dict[int, bytes] = {}
        """Those of them that may go but must not overtake."""
        self._judged: dict[int, Record] = {}
        """What core says of each, where the dialect has words for it."""
        self._held: list[Frame] | None = None
        """Packets that wait until the connection reads on."""
        self.dialect: Dialect = OLD
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
        """A PUBLISH of an accepted client. Raises Malformed."""
        hub, qos, source, body = self._hub, first >> 1 & 3, None, payload
        assert self.principal is not None  # noqa: S101 - it has a session
        hub.published_in += 1
        if isinstance(self.dialect, V5):
            topic, payload, found = self.dialect.received(topic, payload)
            source = _source(session, payload, found, self._hub.timers.now_ms)
            if qos and not first & 8 and max(len(self._acks), len(session.inbound)) >= hub.limits.inbound:
                self.close("inbound_full")
                return
            if found.get(properties.PAYLOAD_FORMAT) and not _is_text(payload):
                self._turn_down(packet_id, qos, reasons.PAYLOAD_NOT_VALID, "the payload is not the UTF-8 that it says")
                return
        if hub.gate is not None and not self._admitted(session, (first, topic, packet_id, body)):
            return
        if qos == 1:
            self._acks.append(packet_id)
            record = hub.submit(
                self.principal, topic, payload, 1, first & 1 == 1, [], partial(self.stored, packet_id), source
            )
            if source is not None and self._acks:
                self._judged[packet_id] = record
        elif qos == 0:
            hub.submit(self.principal, topic, payload, 0, first & 1 == 1, [], ignore, source)
        else:
            self._publish_2(session, topic, packet_id, payload, first & 1 == 1, source)
        if len(self._acks) > hub.limits.inbound:
            self.stop(PENDING)

    def stored(self, key: int, ok: bool) -> None:
        """A publish is committed: acknowledge it when those before it are [MQTT-4.6.0-2] [MQTT-4.6.0-3]."""
        if self.state != OPEN:
            return
        if not ok:
            self.close("commit_failed")
            return
        acks = self._acks
        record = self._judged.pop(key, None) if self._judged else None
        if record is not None and record.reject is not None:
            ack = self._refusal(key, record.reject)
        elif key < _QOS_2:
            ack = b"\x40\x02" + key.to_bytes(2, "big")
        else:
            ack = b"\x50\x02" + (key - _QOS_2).to_bytes(2, "big")
        if not acks or acks[0] != key:
            if key in acks:
                self._early[key] = ack
            return
        acks.popleft()
        self.write(ack)
        while self._early and acks and acks[0] in self._early:
            self.write(self._early.pop(acks.popleft()))
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

    def _publish_2(
        self, session: Session, topic: str, packet_id: int, payload: bytes, retain: bool, source: Source | None
    ) -> None:
        """Store a QoS 2 message once, whatever is repeated until PUBREL [MQTT-4.3.3-2]."""
        key = packet_id | _QOS_2
        known = session.inbound.get(packet_id)
        if known is not None:
            self._repeat(key, stored=known)
            return
        if len(session.inbound) >= self._hub.limits.inbound:
            self.close("inbound_full")
            return
        assert self.principal is not None  # noqa: S101 - it has a session
        session.inbound[packet_id] = False
        self._acks.append(key)
        rows: list[Row] = [("mqtt_inbound", (session.id, packet_id))] if session.durable else []
        done = partial(_stored_2, session, packet_id, key)
        record = self._hub.submit(self.principal, topic, payload, 2, retain, rows, done, source)
        if source is not None and session.inbound.get(packet_id) is False:
            self._judged[key] = record

    def _repeat(self, key: int, *, stored: bool) -> None:
        """The client repeats a publish: acknowledge it again, now or when it is committed."""
        if key not in self._acks:
            self._acks.append(key)
            if stored:
                self.stored(key, True)

    def _refusal(self, key: int, reject: Reject) -> bytes:
        """The acknowledgement that tells why; after a PUBREC that refuses, no PUBREL comes (MQTT 5, section 4.3.3)."""
        code = REASONS.get(reject.reason, reasons.REFUSED_HERE)
        why = ": ".join(part for part in (reject.reason, reject.path, reject.detail) if part)
        if key >= _QOS_2 and self.session is not None:
            packet_id = key - _QOS_2
            if self.session.inbound.pop(packet_id, None) is not None and self.session.durable:
                self._hub.turn.rows([("mqtt_inbound_released", (self.session.id, packet_id))])
            return self.dialect.ack(framing.PUBREC, packet_id, code, why)
        return self.dialect.ack(framing.PUBACK, key, code, why)

    def _turn_down(self, packet_id: int, qos: int, code: int, why: str) -> None:
        """Acknowledge a PUBLISH that is not handed on: in its turn, without a COMMIT to wait for."""
        if not qos:
            return
        key = packet_id if qos == 1 else packet_id | _QOS_2
        refused = Record()
        word = next(word for word, known in REASONS.items() if known == code)
        refused.reject = Reject(word, "", why)
        self._acks.append(key)
        if isinstance(self.dialect, V5):
            self._judged[key] = refused
        self.stored(key, True)

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
            self._hub.losses.dropped("not_authorised", session.client_id, topic)
            self._turn_down(packet_id, first >> 1 & 3, reasons.NOT_AUTHORISED, "a topic plugin refuses it")
        return known


def ignore(_ok: bool) -> None:
    """Nobody waits for the COMMIT."""


def expires_at(found: Properties, now_ms: int) -> int:
    """When a message ends that is published at `now_ms`, epoch ms; 0 is never."""
    seconds = found.get(properties.MESSAGE_EXPIRY)
    return 0 if seconds is None else now_ms + seconds * 1000


def travelling(found: Properties) -> bytes:
    """The properties that subscribers get as they are, in their order [MQTT-3.3.2-17]."""
    if not found:
        return b""
    return properties.fields({name: value for name, value in found.items() if name not in _BARE})


def _source(session: Session, payload: bytes, found: Properties, now_ms: Callable[[], int]) -> Source:
    return (
        Source(session, payload, travelling(found), expires_at(found, now_ms())) if found else Source(session, payload)
    )


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _stored_2(session: Session, packet_id: int, key: int, ok: bool) -> None:
    """A QoS 2 publish is committed. The client may have come back on another connection since."""
    if not ok:
        session.inbound.pop(packet_id, None)
    elif packet_id in session.inbound:
        session.inbound[packet_id] = True
    if session.connection is not None:
        session.connection.stored(key, ok)
