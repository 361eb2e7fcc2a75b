"""The middle of the broker: sessions meet connections here. `fanout` says how messages reach them. All on the event loop, nothing
awaited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from bridge.broker.access import Access, Gate, Question
from bridge.broker.fanout import Fanout
from bridge.broker.intake import expires_at, ignore, travelling
from bridge.broker.limits import Limits
from bridge.broker.losses import Losses
from bridge.broker.reach import Reach
from bridge.broker.retained import Kept, Retained
from bridge.broker.seams import Persist, Source, Submit
from bridge.broker.session import NEVER, Session
from bridge.broker.sessions import Saved, Sessions, release
from bridge.broker.shared import Handover
from bridge.broker.system import System
from bridge.broker.timers import Timers
from bridge.broker.turn import Turn
from bridge.core.principal import Principal
from bridge.core.record import Done, Row
from bridge.counts import Counts
from bridge.mqtt import properties, reasons
from bridge.mqtt.flow import RELEASED, Message
from bridge.mqtt.packets import Will
from bridge.mqtt.packets5 import SHARED
from bridge.mqtt.topics import TopicNames
from bridge.quiet import Quiet

if TYPE_CHECKING:
    from bridge.broker.connection import Connection


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
        quiet: Quiet | None = None,
        timers: Timers | None = None,
    ) -> None:
        self.submit = submit
        self.persist = persist
        self.access = access
        self.counts = counts
        self.losses = Losses(counts, quiet)
        self.limits = limits or Limits()
        self.presence = presence
        self.gate = gate
        if gate is not None:
            gate.bind(self)
        self.names = TopicNames()
        self.connections: set[Connection] = set()
        self.pressed = False
        self.packets_in = self.bytes_in = self.packets_out = self.bytes_out = 0
        self.published_in = self.published_out = self.accepted = 0
        """Messages that came and that went out, connections that were accepted, since the process began."""
        self.turn = Turn(persist)
        self.timers = Timers() if timers is None else timers
        self.system = System(self)
        self.sessions = Sessions(self.limits, counts, self._may_read)
        self.retained = Retained(self.limits, counts, self.losses)
        self._handover = Handover(self.sessions, self.turn)
        fanout = self._fanout = Fanout(
            self.sessions, self.retained, self.losses, self.turn, self.timers, gate, self._handover.leave
        )
        self.prepare, self.deliver, self.discard = fanout.prepare, fanout.deliver, fanout.discard
        """Of a Record: before its COMMIT, after it, when it failed. See Fanout."""
        self._reach = Reach(reachable, unreachable)
        self._parked: list[Connection] = []
        counts.gauge("ems_bridge_mqtt_connections", lambda: len(self.connections), text="Open MQTT connections")

    # What the app calls.

    def restore(self, saved: Saved) -> None:
        """Before the listener starts: sessions, subscriptions, queued and retained messages of the last process."""
        self.sessions.restore(saved)
        self.retained.restore(saved.retained)
        self._fanout.expire(self.retained.expiring())
        self.permissions_changed()
        now = self.timers.now_ms()
        left = {row[0]: row[5] for row in saved.sessions}
        for session in self.sessions.all():
            self._end_later(session, max(0.0, session.expiry - (now - (left[session.id] or now)) / 1000))

    def command(
        self, uid: str, topics: tuple[str, ...], payload: bytes, acked: Callable[[], None], expires: int = 0
    ) -> str | None:
        """Write a command to the device's session, on the first of `topics` that it subscribed to; gives that topic, or None when
        nobody there listens. `acked` on the device's PUBACK (never, if it subscribed at QoS 0). Not kept for an absent device;
        one that has to wait for the client is not written after `expires` (epoch ms, 0: never)."""
        sessions = self._reach.sessions(uid)
        for topic in topics:
            for session in sessions:
                granted = session.granted(topic)
                if session.connection is None or granted < 0:
                    continue
                message = Message(topic, payload, expires=expires)
                if granted == 0:
                    if not session.connection.ready:
                        continue
                    session.connection.send(message)
                    return topic
                delivery = session.out.reserve(message, 1)
                if delivery is None:
                    self.losses.dropped("queue_full", session.client_id, topic)
                    continue
                delivery.acked = acked
                self._fanout.ready(session, delivery)
                return topic
        return None

    def online(self, uid: str, topics: tuple[str, ...] = ()) -> bool:
        """Whether the device is connected and has subscribed to anything; with `topics`, to one of them: whether a command
        may reach it."""
        if not topics:
            return uid in self._reach
        return any(session.granted(topic) >= 0 for session in self._reach.sessions(uid) for topic in topics)

    def heard(self, level: str) -> bool:
        """Whether anybody, there or away, may have subscribed to topics that begin with this level."""
        return self.sessions.subscriptions.anybody(level)

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
                self.turn.rows(self._end(session))
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
        self, connection: Connection, principal: Principal, client_id: str, *, clean: bool, expiry: int
    ) -> tuple[Session, bool, list[Row]]:
        """Open the session for a CONNECT: (session, session present, rows to commit before CONNACK). Whoever held it leaves."""
        old = self.sessions.get((principal.kind, principal.name, client_id))
        rows: list[Row] = []
        if old is not None:
            if old.connection is not None:
                old.connection.close("taken_over", successor=connection)  # [MQTT-3.1.4-2]
            if clean and not old.ended:
                rows = self._end(old)  # [MQTT-3.1.2-6]
        session, present, more = self.sessions.open(
            principal, client_id, self.timers.now_ms(), clean=clean, expiry=expiry
        )
        session.principal = principal
        session.connection = connection
        session.absence += 1
        session.will = None  # [MQTT-3.1.3-9]
        session.out.resume()
        if present:
            self.turn.rows(self.sessions.left(session, None))
        return session, present, rows + more

    def detach(self, session: Session, will: Will | None) -> None:
        """The session's connection has ended; `will` is to be published."""
        session.connection = None
        session.absence += 1
        self._reach.update(session)
        session.forget_commands()
        delay = min((will.properties or {}).get(properties.WILL_DELAY, 0), session.expiry) if will is not None else 0
        if will is not None and delay:
            session.will = will
            self.timers.after(delay, partial(self._send_will, session, session.absence), ("will", session.id))
        elif will is not None:
            self._publish_will(session, will)
        if not session.expiry:
            self.turn.rows(self._end(session))
            return
        self._handover.leave(session)
        self.turn.rows(self.sessions.left(session, self.timers.now_ms()))
        self._end_later(session, session.expiry)

    def reach(self, session: Session) -> None:
        """The session is open, or its subscriptions changed."""
        self._reach.update(session)
        self._handover.arrive(session)

    def questions(self, session: Session, filters: list[tuple[str, int]]) -> list[Question]:
        """What topic plugins have still to decide before these filters can be subscribed to."""
        gate = self.gate
        if gate is None:
            return []
        asked = [("subscribe", _plain(topic_filter)) for topic_filter, _ in filters]
        for topic_filter, _ in filters:
            may_read = partial(self.access.may_read, session.principal)
            asked += [("receive", kept.topic) for kept in self.retained.match(topic_filter, may_read) if kept]
        return [(action, topic) for action, topic in asked if gate.known(session, action, topic) is None]

    def subscribe(self, session: Session, filters: list[tuple[str, int]], answer: Callable[[list[int]], None]) -> None:
        """Grant what may be granted; `answer(return codes)` after COMMIT, then retained messages follow [MQTT-3.3.1-6]."""
        rows: list[Row] = []
        codes = []
        known = set(session.subscriptions)
        for topic_filter, options in filters:
            refused = self._refuses(session, topic_filter)
            codes.append(refused or options & 3)
            if refused:
                self.losses.subscription(refused, session.client_id, topic_filter)
            else:
                rows += self.sessions.subscribe(session, topic_filter, options)

        def done(ok: bool) -> None:
            if session.ended:
                return
            if not ok:
                self.failed(session)
                return
            answer(codes)
            for (topic_filter, options), code in zip(filters, codes, strict=True):
                if (
                    code <= 2
                    and topic_filter in session.subscriptions
                    and _wants_retained(topic_filter, options, known)
                ):
                    session.replay.ask(topic_filter, options)
            if session.connection is not None:
                session.connection.feed()
            self.reach(session)

        self._commit(rows, done)

    def unsubscribe(self, session: Session, filters: list[str], answer: Callable[[list[int]], None]) -> None:
        """Remove subscriptions; `answer(reason codes)` after COMMIT, also when there were none [MQTT-3.10.4-5]."""
        rows: list[Row] = []
        codes = []
        for topic_filter in filters:
            known = topic_filter in session.subscriptions
            codes.append(reasons.SUCCESS if known else reasons.NO_SUBSCRIPTION_EXISTED)
            rows += self.sessions.unsubscribe(session, topic_filter)
            session.replay.forget(topic_filter)
        self._reach.update(session)
        self._commit(rows, lambda ok: answer(codes) if ok else self.failed(session))

    def acknowledged(self, session: Session, packet_id: int, code: int = 0) -> None:
        """PUBACK. A client that refuses a message is not sent it again; a command that it refused was not delivered."""
        delivery = session.out.acknowledge(packet_id)
        if delivery is not None:
            if delivery.row:
                self.turn.rows(release(delivery))
            if delivery.acked is not None and code < reasons.FAILED:
                delivery.acked()

    def received(self, session: Session, packet_id: int, code: int, answer: Callable[[int], None]) -> None:
        """PUBREC; `answer(reason code)` when PUBREL may go out: once it is on disk that the message must not be sent again. A
        refusal ends the delivery."""
        delivery = session.out.receive(packet_id)
        if delivery is not None and code >= reasons.FAILED:
            session.out.discard(delivery)
            self.turn.rows(release(delivery))
            return
        if delivery is None or delivery.state == RELEASED:
            answer(reasons.PACKET_ID_NOT_FOUND if delivery is None else reasons.SUCCESS)
            return

        def done(ok: bool) -> None:
            if ok:
                session.out.release(delivery)
                answer(reasons.SUCCESS)
            else:
                self.failed(session)

        self._commit([("mqtt_released", (delivery.row,))] if delivery.row else [], done)

    def completed(self, session: Session, packet_id: int) -> None:
        """PUBCOMP."""
        delivery = session.out.complete(packet_id)
        if delivery is not None and delivery.row:
            self.turn.rows(release(delivery))

    def drop_delivery(self, session: Session, packet_id: int) -> None:
        """A message has expired before it was sent, or its client cannot take it: it counts as finished."""
        delivery = session.out.sent.get(packet_id)
        if delivery is not None:
            session.out.discard(delivery)
            self.turn.rows(release(delivery))

    def retained_for(self, session: Session, topic_filter: str) -> Iterator[Kept | None]:
        """Retained messages that a filter of the session covers; None for each that it may not read."""
        found = self.retained.match(topic_filter, partial(self._may_read, session), self.timers.now_ms())
        return found if self.gate is None else iter(list(found))  # the plugins' decisions hold for now

    def failed(self, session: Session) -> None:
        """A commit that the session's client waits for has failed."""
        if session.connection is not None:
            session.connection.close("commit_failed")

    def park(self, connection: Connection) -> None:
        """The connection is not read until the writer's pressure ends."""
        self._parked.append(connection)

    # Inside.

    def _end(self, session: Session) -> list[Row]:
        """Forget a session; rows that forget it on disk. A will that waits is due [MQTT-3.1.3-9]."""
        session.ended = True
        self.timers.forget(("session", session.id))
        self.timers.forget(("will", session.id))
        self._handover.leave(session)
        rows = self.sessions.end(session)
        will, session.will = session.will, None
        if will is not None:
            self._publish_will(session, will)
        return rows

    def _end_later(self, session: Session, seconds: float) -> None:
        if session.expiry != NEVER:
            self.timers.after(seconds, partial(self._expired, session, session.absence), ("session", session.id))

    def _expired(self, session: Session, absence: int) -> None:
        if session.absence == absence and not session.ended:
            self.counts.add("ems_bridge_mqtt_sessions_expired")
            self.turn.rows(self._end(session))

    def _send_will(self, session: Session, absence: int) -> None:
        if session.absence == absence and session.will is not None:
            will, session.will = session.will, None
            self._publish_will(session, will)

    def _publish_will(self, session: Session, will: Will) -> None:
        found = {name: value for name, value in (will.properties or {}).items() if name != properties.WILL_DELAY}
        source = (
            Source(session, will.payload, travelling(found), expires_at(found, self.timers.now_ms())) if found else None
        )
        self.submit(session.principal, will.topic, will.payload, will.qos, will.retain, [], ignore, source)

    def _may_read(self, session: Session, topic: str) -> bool:
        if self.gate is not None and not self.gate.may_receive(session, topic):
            return False
        return self.access.may_read(session.principal, topic)

    def _refuses(self, session: Session, topic_filter: str) -> int:
        """The reason code that refuses a filter; 0 when it is granted."""
        plain = _plain(topic_filter)
        if plain.count("/") >= self.limits.topic_levels:
            return reasons.FILTER_NOT_VALID
        if len(session.subscriptions) >= self.limits.subscriptions and topic_filter not in session.subscriptions:
            return reasons.QUOTA_EXCEEDED
        if self.gate is not None and not self.gate.known(session, "subscribe", plain):
            return reasons.NOT_AUTHORISED
        return 0 if self.access.may_subscribe(session.principal, plain) else reasons.NOT_AUTHORISED

    def _commit(self, rows: list[Row], done: Done) -> None:
        if rows:
            self.persist(rows, done)
        else:
            done(True)


def _plain(topic_filter: str) -> str:
    """The filter that a shared subscription shares."""
    return topic_filter.split("/", 2)[2] if topic_filter.startswith(SHARED) else topic_filter


def _wants_retained(topic_filter: str, options: int, known: set[str]) -> bool:
    """Whether a SUBSCRIBE asks for retained messages (MQTT 5, section 3.3.1.3)."""
    handling = options >> 4 & 3
    return not topic_filter.startswith(SHARED) and (handling == 0 or (handling == 1 and topic_filter not in known))
