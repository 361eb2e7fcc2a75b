"""All sessions: opened, left, ended, restored; and the rows that keep the persistent ones (MQTT 3.1.1, section 3.1.2.4; MQTT 5,
section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Protocol

from bridge.broker.limits import Limits
from bridge.broker.session import Key, Session
from bridge.core.principal import Principal
from bridge.core.record import Row
from bridge.counts import Counts
from bridge.mqtt.flow import RELEASED, Budget, Delivery, Message
from bridge.mqtt.trie import Subscriptions


class Saved(Protocol):
    """What `bridge.store.sessions.load` gives; rows in order of their ids."""

    @property
    def sessions(self) -> Sequence[tuple[int, str, str, str, int, int | None]]: ...
    @property
    def subscriptions(self) -> Sequence[tuple[int, str, int]]: ...
    @property
    def messages(self) -> Sequence[tuple[int, str, bytes, bytes, int]]: ...
    @property
    def queue(self) -> Sequence[tuple[int, int, int, int, int, int, int, str, str]]: ...
    @property
    def inbound(self) -> Sequence[tuple[int, int]]: ...
    @property
    def retained(self) -> Sequence[tuple[str, int, int, bytes, bytes, int]]: ...


class Sessions:
    """Sessions by key, their subscriptions, and the ids of their rows."""

    def __init__(self, limits: Limits, counts: Counts, allow: Callable[[Session, str], bool]) -> None:
        self._limits = limits
        self._by_key: dict[Key, Session] = {}
        self._session_ids = count(1)
        self._message_ids = count(1)
        self._queue_ids = count(1)
        self._durable = 0
        self._budget = Budget(limits.queue_total_bytes)
        self.subscriptions: Subscriptions[Session] = Subscriptions(allow)
        counts.gauge("ems_bridge_mqtt_sessions", lambda: len(self._by_key), text="Sessions, connected or not")
        counts.gauge("ems_bridge_mqtt_subscriptions", lambda: self.subscriptions.count, text="Subscriptions")
        counts.gauge("ems_bridge_mqtt_queued", lambda: self._sum("messages"), text="Unfinished messages to clients")
        counts.gauge("ems_bridge_mqtt_queued_bytes", lambda: self._sum("bytes"), text="Bytes of them")

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: Key) -> Session | None:
        """The session of a key."""
        return self._by_key.get(key)

    @property
    def full(self) -> bool:
        """No further persistent session may be made."""
        return self._durable >= self._limits.max_sessions

    def open(
        self, principal: Principal, client_id: str, now_ms: int, *, clean: bool, expiry: int
    ) -> tuple[Session, bool, list[Row]]:
        """The session for a CONNECT whose predecessor has left: (session, session present, rows to commit before CONNACK). With
        `clean`, `end` the old one before."""
        key = (principal.kind, principal.name, client_id)
        old = self._by_key.get(key)
        if old is not None and not clean:
            old.expiry = expiry
            return old, True, []  # [MQTT-3.1.2-4]
        session = Session(principal, client_id, next(self._session_ids) if expiry else 0, self._limits, self._budget)
        session.expiry = expiry
        self._by_key[key] = session
        if not session.durable:
            return session, False, []
        self._durable += 1
        return session, False, [("mqtt_session", (session.id, *key, now_ms, expiry))]

    def left(self, session: Session, now_ms: int | None) -> list[Row]:
        """Its client has gone, or has come back (None); the row that says since when."""
        return [("mqtt_session_expiry", (session.expiry, now_ms, session.id))] if session.durable else []

    def end(self, session: Session) -> list[Row]:
        """Forget a session; rows that forget it on disk."""
        session.ended = True
        for topic_filter in session.subscriptions:
            self.subscriptions.remove(topic_filter, session)
        if self._by_key.get(session.key) is session:
            del self._by_key[session.key]
        session.out.end()
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

    def subscribe(self, session: Session, topic_filter: str, options: int) -> list[Row]:
        """Add a subscription or replace its options."""
        session.subscriptions[topic_filter] = options
        self.subscriptions.add(topic_filter, session, options)
        return [("mqtt_subscribe", (session.id, topic_filter, options))] if session.durable else []

    def unsubscribe(self, session: Session, topic_filter: str) -> list[Row]:
        """Remove a subscription if it is there."""
        if session.subscriptions.pop(topic_filter, None) is None:
            return []
        self.subscriptions.remove(topic_filter, session)
        return [("mqtt_unsubscribe", (session.id, topic_filter))] if session.durable else []

    def message(self, topic: str, payload: bytes, properties: bytes = b"", expires: int = 0) -> tuple[Message, Row]:
        """A durable message and its row."""
        message = Message(topic, payload, next(self._message_ids), properties, expires)
        return message, ("mqtt_message", (message.id, topic, payload, properties, expires))

    def queue(
        self,
        session: Session,
        message: Message,
        qos: int,
        *,
        retain: bool = False,
        identifiers: tuple[int, ...] = (),
        shared: str = "",
    ) -> tuple[Delivery, Row] | None:
        """Reserve a durable message for a durable session; None when its queue is full."""
        row = next(self._queue_ids)
        delivery = session.out.reserve(message, qos, retain=retain, row=row, identifiers=identifiers, shared=shared)
        if delivery is None:
            return None
        message.holders += 1
        text = " ".join(map(str, identifiers))
        return delivery, (
            "mqtt_queue",
            (row, session.id, message.id, delivery.packet_id, qos, int(retain), text, shared),
        )

    def all(self) -> list[Session]:
        """Every session."""
        return list(self._by_key.values())

    def restore(self, saved: Saved) -> None:
        """Take in what the last process left; principals have no grants until `Hub.permissions_changed`. Raises KeyError when
        rows contradict each other."""
        by_id: dict[int, Session] = {}
        for session_id, kind, name, client_id, expiry, _ in saved.sessions:
            principal = Principal(kind, name)  # type: ignore[arg-type]  # written from a Principal
            session = by_id[session_id] = Session(principal, client_id, session_id, self._limits, self._budget)
            session.expiry = expiry
            self._by_key[session.key] = session
        for session_id, topic_filter, options in saved.subscriptions:
            by_id[session_id].subscriptions[topic_filter] = options
            self.subscriptions.add(topic_filter, by_id[session_id], options)
        messages = {row[0]: Message(row[1], row[2], row[0], row[3], row[4]) for row in saved.messages}
        for row, session_id, message_id, packet_id, qos, retain, released, identifiers, shared in saved.queue:
            delivery = Delivery(
                packet_id, messages[message_id], qos, retain=bool(retain), row=row,
                identifiers=tuple(map(int, identifiers.split())), shared=shared,
            )  # fmt: skip
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
