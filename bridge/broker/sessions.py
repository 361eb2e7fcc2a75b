"""All sessions: opened, left, ended, restored; and the rows that keep the persistent ones (MQTT 3.1.1, section 3.1.2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Protocol

from bridge.broker.limits import Limits
from bridge.broker.session import Key, Session
from bridge.core.principal import Principal
from bridge.core.record import Row
from bridge.counts import Counts
from bridge.mqtt.flow import RELEASED, Delivery, Message
from bridge.mqtt.trie import Subscriptions


class Saved(Protocol):
    """What `bridge.store.sessions.load` gives; rows in order of their ids."""

    @property
    def sessions(self) -> Sequence[tuple[int, str, str, str]]: ...
    @property
    def subscriptions(self) -> Sequence[tuple[int, str, int]]: ...
    @property
    def messages(self) -> Sequence[tuple[int, str, bytes]]: ...
    @property
    def queue(self) -> Sequence[tuple[int, int, int, int, int, int, int]]: ...
    @property
    def inbound(self) -> Sequence[tuple[int, int]]: ...
    @property
    def retained(self) -> Sequence[tuple[str, int, int, bytes]]: ...


class Sessions:
    """Sessions by key, their subscriptions, and the ids of their rows."""

    def __init__(self, limits: Limits, counts: Counts, allow: Callable[[Session, str], bool]) -> None:
        self._limits = limits
        self._by_key: dict[Key, Session] = {}
        self._session_ids = count(1)
        self._message_ids = count(1)
        self._queue_ids = count(1)
        self._durable = 0
        self.subscriptions: Subscriptions[Session] = Subscriptions(allow)
        counts.gauge("ems_bridge_mqtt_sessions", lambda: len(self._by_key), text="Sessions, connected or not")
        counts.gauge("ems_bridge_mqtt_subscriptions", lambda: self.subscriptions.count, text="Subscriptions")
        counts.gauge("ems_bridge_mqtt_queued", lambda: self._sum("messages"), text="Unfinished messages to clients")
        counts.gauge("ems_bridge_mqtt_queued_bytes", lambda: self._sum("bytes"), text="Bytes of them")

    def get(self, key: Key) -> Session | None:
        """The session of a key."""
        return self._by_key.get(key)

    @property
    def full(self) -> bool:
        """No further persistent session may be made."""
        return self._durable >= self._limits.max_sessions

    def open(
        self, principal: Principal, client_id: str, now_ms: int, *, clean: bool
    ) -> tuple[Session, bool, list[Row]]:
        """The session for a CONNECT whose predecessor has left: (session, session present, rows to commit before CONNACK)."""
        key = (principal.kind, principal.name, client_id)
        old = self._by_key.get(key)
        if old is not None and not clean:
            return old, True, []  # [MQTT-3.1.2-4]
        rows = [] if old is None else self.end(old)  # [MQTT-3.1.2-6]
        session = Session(principal, client_id, 0 if clean else next(self._session_ids), self._limits)
        self._by_key[key] = session
        if session.durable:
            self._durable += 1
            rows.append(("mqtt_session", (session.id, *key, now_ms)))
        return session, False, rows

    def end(self, session: Session) -> list[Row]:
        """Forget a session; rows that forget it on disk."""
        session.ended = True
        for topic_filter in session.subscriptions:
            self.subscriptions.remove(topic_filter, session)
        if self._by_key.get(session.key) is session:
            del self._by_key[session.key]
        if not session.durable:
            return []
        self._durable -= 1
        rows: list[Row] = [
            (name, (session.id,))
            for name in ("mqtt_session_end", "mqtt_session_subscriptions", "mqtt_session_queue", "mqtt_session_inbound")
        ]
        for delivery in session.out.entries.values():
            rows += release(delivery)
        return rows

    def subscribe(self, session: Session, topic_filter: str, qos: int) -> list[Row]:
        """Add a subscription or replace its QoS."""
        session.subscriptions[topic_filter] = qos
        self.subscriptions.add(topic_filter, session, qos)
        return [("mqtt_subscribe", (session.id, topic_filter, qos))] if session.durable else []

    def unsubscribe(self, session: Session, topic_filter: str) -> list[Row]:
        """Remove a subscription if it is there."""
        if session.subscriptions.pop(topic_filter, None) is None:
            return []
        self.subscriptions.remove(topic_filter, session)
        return [("mqtt_unsubscribe", (session.id, topic_filter))] if session.durable else []

    def message(self, topic: str, payload: bytes) -> tuple[Message, Row]:
        """A durable message and its row."""
        message = Message(topic, payload, next(self._message_ids))
        return message, ("mqtt_message", (message.id, topic, payload))

    def queue(
        self, session: Session, message: Message, qos: int, *, retain: bool = False
    ) -> tuple[Delivery, Row] | None:
        """Reserve a durable message for a durable session; None when its queue is full."""
        delivery = session.out.reserve(message, qos, retain=retain, row=next(self._queue_ids))
        if delivery is None:
            return None
        message.holders += 1
        return delivery, ("mqtt_queue", (delivery.row, session.id, message.id, delivery.packet_id, qos, int(retain)))

    def all(self) -> list[Session]:
        """Every session."""
        return list(self._by_key.values())

    def restore(self, saved: Saved) -> None:
        """Take in what the last process left; principals have no grants until `Hub.permissions_changed`. Raises KeyError when
        rows contradict each other."""
        by_id: dict[int, Session] = {}
        for session_id, kind, name, client_id in saved.sessions:
            principal = Principal(kind, name)  # type: ignore[arg-type]  # written from a Principal
            session = by_id[session_id] = Session(principal, client_id, session_id, self._limits)
            self._by_key[session.key] = session
        for session_id, topic_filter, qos in saved.subscriptions:
            by_id[session_id].subscriptions[topic_filter] = qos
            self.subscriptions.add(topic_filter, by_id[session_id], qos)
        messages = {row[0]: Message(row[1], row[2], row[0]) for row in saved.messages}
        for row, session_id, message_id, packet_id, qos, retain, released in saved.queue:
            delivery = Delivery(packet_id, messages[message_id], qos, retain=bool(retain), row=row)
            delivery.message.holders += 1
            if released:
                delivery.state = RELEASED
            by_id[session_id].out.restore(delivery)
        for session_id, packet_id in saved.inbound:
            by_id[session_id].inbound[packet_id] = True
        self._durable = len(by_id)
        self._session_ids = _after(by_id)
        self._message_ids = _after(messages)
        self._queue_ids = _after(row[0] for row in saved.queue)

    def _sum(self, what: str) -> int:
        outs = [session.out for session in self._by_key.values()]
        return sum(len(out.entries) if what == "messages" else out.size for out in outs)


def release(delivery: Delivery) -> list[Row]:
    """Rows that forget a finished delivery, and its message when nobody else waits for it."""
    if not delivery.row:
        return []
    message = delivery.message
    message.holders -= 1
    rows: list[Row] = [("mqtt_dequeue", (delivery.row,))]
    if not message.holders:
        rows.append(("mqtt_message_done", (message.id,)))
    return rows


def _after(ids: Iterable[int]) -> count[int]:
    return count(max(ids, default=0) + 1)
