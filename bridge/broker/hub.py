"""The middle of the broker: sessions meet messages here.

Nothing is delivered before COMMIT: `prepare` adds the rows of persistent subscribers to a Record, `deliver` writes to
subscribers afterwards, `discard` forgets what a failed commit had prepared. All on the event loop, nothing awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import time
from typing import TYPE_CHECKING

from bridge.broker.access import Access, Gate, Question
from bridge.broker.limits import Limits
from bridge.broker.reach import Reach
from bridge.broker.retained import DROPPED, Kept, Retained
from bridge.broker.seams import Persist, Submit
from bridge.broker.session import Session
from bridge.broker.sessions import Saved, Sessions, release
from bridge.broker.turn import Turn
from bridge.core.principal import Principal
from bridge.core.record import Done, Record, Route, Row
from bridge.counts import Counts
from bridge.mqtt.flow import RELEASED, Delivery, Message
from bridge.mqtt.packets import FAILURE
from bridge.mqtt.topics import TopicNames

if TYPE_CHECKING:
    from bridge.broker.connection import Connection

QUEUE_FULL = (("cause", "queue_full"),)


class _Prepared:
    """What a Record will do to subscribers after its COMMIT."""

    __slots__ = ("deliveries", "retained")

    def __init__(self) -> None:
        self.deliveries: list[tuple[Session, Delivery]] = []
        self.retained: list[Kept] = []


class Hub:
    """One broker. `presence(principal, client_id, online)` is called for every accepted connection and its end, `reachable(uid)`
    when a device has subscribed or come back to its subscriptions, `unreachable(uid)` when no session of it is left; `gate`
    asks amqtt's topic plugins."""

    def __init__(
        self,
        submit: Submit,
        persist: Persist,
        access: Access,
        counts: Counts,
        limits: Limits | None = None,
        presence: Callable[[Principal, str, bool], None] = lambda _principal, _client_id, _online: None,
        reachable: Callable[[str], None] = lambda _uid: None,
        unreachable: Callable[[str], None] = lambda _uid: None,
        gate: Gate | None = None,
    ) -> None:
        self.submit = submit
        self.persist = persist
        self.access = access
        self.counts = counts
        self.limits = limits or Limits()
        self.presence = presence
        self.gate = gate
        if gate is not None:
            gate.bind(self)
        self.names = TopicNames()
        self.connections: set[Connection] = set()
        self.pressed = False
        self.packets_in = self.bytes_in = self.packets_out = self.bytes_out = 0
        self.turn = Turn(persist)
        self.sessions = Sessions(self.limits, counts, self._may_read)
        self.retained = Retained(self.limits, counts)
        self._reach = Reach(reachable, unreachable)
        self._prepared: dict[Record, _Prepared] = {}
        self._parked: list[Connection] = []
        counts.gauge("ems_bridge_mqtt_connections", lambda: len(self.connections), text="Open MQTT connections")

    # What the app calls.

    def restore(self, saved: Saved) -> None:
        """Before the listener starts: sessions, subscriptions, queued and retained messages of the last process."""
        self.sessions.restore(saved)
        self.retained.restore(saved.retained)
        self.permissions_changed()

    def prepare(self, record: Record) -> None:
        """Before COMMIT: add the rows of retained messages and of persistent subscribers at QoS 1 and 2."""
        prepared = None
        for route in record.routes:
            if route.retain:
                prepared = prepared or _Prepared()
                changes, rows = self.retained.prepare(route)
                prepared.retained += changes
                record.rows += rows
            if route.qos:
                for session, _, qos in self._matched(route):
                    if session.durable and qos:
                        prepared = prepared or _Prepared()
                        self._queue(record, prepared, route)
                        break
        if prepared is not None:
            self._prepared[record] = prepared

    def deliver(self, record: Record) -> None:
        """After COMMIT, once for each Record that was prepared: write to subscribers."""
        if not record.routes or (self.gate is not None and self.gate.hold(record)):
            return
        prepared = self._prepared.pop(record, None)
        if prepared is not None:
            self.retained.apply(prepared.retained)
            for session, delivery in prepared.deliveries:
                if self.gate is None or self.gate.may_receive(session, delivery.message.topic):
                    self._ready(session, delivery)
                elif not session.ended:
                    session.out.discard(delivery)
                    self.turn.rows(release(delivery))
        for route in record.routes:
            matched = self._matched(route)
            if matched:
                self._fan_out(route, matched)

    def discard(self, record: Record) -> None:
        """When the COMMIT failed: forget what was prepared."""
        prepared = self._prepared.pop(record, None)
        if prepared is not None:
            for session, delivery in prepared.deliveries:
                session.out.discard(delivery)

    def command(self, uid: str, topics: tuple[str, ...], payload: bytes, acked: Callable[[], None]) -> str | None:
        """Write a command to the device's session, on the first of `topics` that it subscribed to; gives that topic, or None when
        nobody there listens. `acked` on the device's PUBACK (never, if it subscribed at QoS 0). Not kept for an absent device."""
        sessions = self._reach.sessions(uid)
        for topic in topics:
            for session in sessions:
                granted = session.granted(topic)
                if session.connection is None or granted < 0:
                    continue
                if granted == 0:
                    session.connection.send(Message(topic, payload))
                    return topic
                delivery = session.out.reserve(Message(topic, payload), 1)
                if delivery is None:
                    self.counts.add(DROPPED, QUEUE_FULL)
                    continue
                delivery.acked = acked
                self._ready(session, delivery)
                return topic
        return None

    def online(self, uid: str, topics: tuple[str, ...] = ()) -> bool:
        """Whether the device is connected and has subscribed to anything; with `topics`, to one of them: whether a command
        may reach it."""
        if not topics:
            return uid in self._reach
        return any(session.granted(topic) >= 0 for session in self._reach.sessions(uid) for topic in topics)

    def drop(self, name: str, kind: str | None = None) -> None:
        """Close the connections of a principal whose credentials ended."""
        for connection in tuple(self.connections):
            principal = connection.principal
            if principal is not None and principal.name == name and kind in (None, principal.kind):
                connection.close("credentials_ended")

    def permissions_changed(self) -> None:
        """Grants, owners or members changed: ask anew, end the sessions of who is gone."""
        for session in self.sessions.all():
            principal = self.access.resolve(session.principal.kind, session.principal.name)
            if principal is not None:
                session.principal = principal
                if session.connection is not None:
                    session.connection.principal = principal
                continue
            if session.connection is not None:
                session.connection.close("credentials_ended")
            if not session.ended:
                self.turn.rows(self.sessions.end(session))
        self.sessions.subscriptions.forget_routes()

    def pressure(self, on: bool) -> None:
        """The writer's queue passed its high-water mark (True) or has drained: sockets that publish are not read meanwhile."""
        self.pressed = on
        if not on:
            parked, self._parked = self._parked, []
            for connection in parked:
                connection.unpark()

    # What connections call.

    def attach(
        self, connection: Connection, principal: Principal, client_id: str, *, clean: bool
    ) -> tuple[Session, bool, list[Row]]:
        """Open the session for a CONNECT: (session, session present, rows to commit before CONNACK). Whoever held it leaves."""
        old = self.sessions.get((principal.kind, principal.name, client_id))
        if old is not None and old.connection is not None:
            old.connection.close("taken_over", successor=connection)  # [MQTT-3.1.4-2]
        session, present, rows = self.sessions.open(principal, client_id, int(time() * 1000), clean=clean)
        session.principal = principal
        session.connection = connection
        session.out.resume()
        return session, present, rows

    def detach(self, session: Session) -> None:
        """The session's connection has ended."""
        session.connection = None
        self._reach.update(session)
        session.forget_commands()
        if not session.durable:
            self.sessions.end(session)

    def reach(self, session: Session) -> None:
        """The session is open, or its subscriptions changed."""
        self._reach.update(session)

    def questions(self, session: Session, filters: list[tuple[str, int]]) -> list[Question]:
        """What topic plugins have still to decide before these filters can be subscribed to."""
        gate = self.gate
        if gate is None:
            return []
        asked = [("subscribe", topic_filter) for topic_filter, _ in filters]
        for topic_filter, _ in filters:
            may_read = partial(self.access.may_read, session.principal)
            asked += [("receive", kept.topic) for kept in self.retained.match(topic_filter, may_read) if kept]
        return [(action, topic) for action, topic in asked if gate.known(session, action, topic) is None]

    def subscribe(self, session: Session, filters: list[tuple[str, int]], answer: Callable[[list[int]], None]) -> None:
        """Grant what may be granted; `answer(return codes)` after COMMIT, then retained messages follow [MQTT-3.3.1-6]."""
        rows: list[Row] = []
        codes = []
        for topic_filter, qos in filters:
            refused = self._refuses(session, topic_filter)
            codes.append(FAILURE if refused else qos)
            if not refused:
                rows += self.sessions.subscribe(session, topic_filter, qos)

        def done(ok: bool) -> None:
            if session.ended:
                return
            if not ok:
                self.failed(session)
                return
            answer(codes)
            for (topic_filter, qos), code in zip(filters, codes, strict=True):
                if code != FAILURE and topic_filter in session.subscriptions:
                    session.replay.ask(topic_filter, qos)
            if session.connection is not None:
                session.connection.feed()
            self._reach.update(session)

        self._commit(rows, done)

    def unsubscribe(self, session: Session, filters: list[str], answer: Callable[[], None]) -> None:
        """Remove subscriptions; `answer()` after COMMIT, also when there were none [MQTT-3.10.4-5]."""
        rows = [row for topic_filter in filters for row in self.sessions.unsubscribe(session, topic_filter)]
        for topic_filter in filters:
            session.replay.forget(topic_filter)
        self._reach.update(session)
        self._commit(rows, lambda ok: answer() if ok else self.failed(session))

    def acknowledged(self, session: Session, packet_id: int) -> None:
        """PUBACK."""
        delivery = session.out.acknowledge(packet_id)
        if delivery is not None:
            if delivery.row:
                self.turn.rows(release(delivery))
            if delivery.acked is not None:
                delivery.acked()

    def received(self, session: Session, packet_id: int, answer: Callable[[], None]) -> None:
        """PUBREC; `answer()` when PUBREL may go out: once it is on disk that the message must not be sent again."""
        delivery = session.out.receive(packet_id)
        if delivery is None or delivery.state == RELEASED:
            answer()
            return

        def done(ok: bool) -> None:
            if ok:
                session.out.release(delivery)
                answer()
            else:
                self.failed(session)

        self._commit([("mqtt_released", (delivery.row,))] if delivery.row else [], done)

    def completed(self, session: Session, packet_id: int) -> None:
        """PUBCOMP."""
        delivery = session.out.complete(packet_id)
        if delivery is not None and delivery.row:
            self.turn.rows(release(delivery))

    def retained_for(self, session: Session, topic_filter: str) -> Iterator[Kept | None]:
        """Retained messages that a filter of the session covers; None for each that it may not read."""
        found = self.retained.match(topic_filter, partial(self._may_read, session))
        return found if self.gate is None else iter(list(found))  # the plugins' decisions hold for now

    def failed(self, session: Session) -> None:
        """A commit that the session's client waits for has failed."""
        if session.connection is not None:
            session.connection.close("commit_failed")

    def park(self, connection: Connection) -> None:
        """The connection is not read until the writer's pressure ends."""
        self._parked.append(connection)

    # Inside.

    def _queue(self, record: Record, prepared: _Prepared, route: Route) -> None:
        """One message row for each topic, one queue row for each persistent subscriber."""
        messages: dict[str, Message] = {}
        for session, topic, granted in self._matched(route):
            if not (session.durable and granted):
                continue
            message, row = messages.get(topic), None
            if message is None:
                message, row = self.sessions.message(topic, route.payload)
            queued = self.sessions.queue(session, message, min(granted, route.qos))
            if queued is None:
                self.counts.add(DROPPED, QUEUE_FULL)
                continue
            if row is not None:
                messages[topic] = message
                record.rows.append(row)
            record.rows.append(queued[1])
            prepared.deliveries.append((session, queued[0]))

    def _ready(self, session: Session, delivery: Delivery) -> None:
        if not session.ended:
            session.out.ready(delivery)
            if session.connection is not None:
                session.connection.feed()

    def _matched(self, route: Route) -> tuple[tuple[Session, str, int], ...]:
        """Subscribers of a route; a command's own device gets it by `command` alone."""
        matched = self.sessions.subscriptions.match(route.topics)
        return tuple(each for each in matched if route.skip not in each[0].uids()) if route.skip else matched

    def _fan_out(self, route: Route, matched: tuple[tuple[Session, str, int], ...]) -> None:
        message = Message(matched[0][1], route.payload)
        for session, topic, granted in matched:
            connection = session.connection
            qos = granted if granted < route.qos else route.qos  # noqa: FURB136 [MQTT-3.8.4-6]
            if connection is None or (qos and session.durable):
                continue
            if topic != message.topic:
                message = Message(topic, route.payload)
            if not qos:
                connection.send(message)
                continue
            delivery = session.out.reserve(message, qos)
            if delivery is None:
                self.counts.add(DROPPED, QUEUE_FULL)
                continue
            session.out.ready(delivery)
            connection.feed()

    def _may_read(self, session: Session, topic: str) -> bool:
        if self.gate is not None and not self.gate.may_receive(session, topic):
            return False
        return self.access.may_read(session.principal, topic)

    def _refuses(self, session: Session, topic_filter: str) -> bool:
        if topic_filter.count("/") >= self.limits.topic_levels:
            return True
        if len(session.subscriptions) >= self.limits.subscriptions and topic_filter not in session.subscriptions:
            return True
        if self.gate is not None and not self.gate.known(session, "subscribe", topic_filter):
            return True
        return not self.access.may_subscribe(session.principal, topic_filter)

    def _commit(self, rows: list[Row], done: Done) -> None:
        if rows:
            self.persist(rows, done)
        else:
            done(True)
