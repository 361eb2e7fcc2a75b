"""Messages on their way to subscribers.

Nothing is delivered before COMMIT: `prepare` adds the rows of persistent subscribers to a Record, `deliver` writes to
subscribers afterwards, `discard` forgets what a failed commit had prepared. All on the event loop, nothing awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bridge.broker.access import Gate
from bridge.broker.losses import Losses
from bridge.broker.retained import Kept, Retained
from bridge.broker.seams import Source
from bridge.broker.session import Session
from bridge.broker.sessions import Sessions, release
from bridge.broker.shared import Choose
from bridge.broker.timers import Timers
from bridge.broker.turn import Turn
from bridge.core.record import Record, Route
from bridge.mqtt.flow import Delivery, Message
from bridge.mqtt.trie import Extra, Grant, Group, Match

NOTHING = Source(None, b"")
"""Of a message whose publisher spoke MQTT 3.1.1, or is the bridge itself."""


class _Prepared:
    """What a Record will do to subscribers after its COMMIT."""

    __slots__ = ("deliveries", "retained", "shared")

    def __init__(self) -> None:
        self.deliveries: list[tuple[Session, Delivery]] = []
        self.retained: list[Kept] = []
        self.shared: set[tuple[int, Group[Session]]] = set()
        """(index of the route, shared subscription) that is among the deliveries."""


class Fanout:
    """Who gets what, and when."""

    def __init__(
        self,
        sessions: Sessions,
        retained: Retained,
        losses: Losses,
        turn: Turn,
        timers: Timers,
        gate: Gate | None,
        share_out: Callable[[Session], None],
    ) -> None:
        self._sessions = sessions
        self._retained = retained
        self._losses = losses
        self._turn = turn
        self._timers = timers
        self._gate = gate
        self._share_out = share_out
        self._prepared: dict[Record, _Prepared] = {}

    def prepare(self, record: Record) -> None:
        """Before COMMIT: add the rows of retained messages and of persistent subscribers at QoS 1 and 2."""
        prepared = None
        for index, route in enumerate(record.routes):
            if route.retain:
                prepared = prepared or _Prepared()
                source = _source(record, route)
                changes, rows = self._retained.prepare(route, source.properties, source.expires)
                prepared.retained += changes
                record.rows += rows
            if route.qos:
                match = self._sessions.subscriptions.match(route.topics)
                if match.shares or _any_durable(match.grants):
                    prepared = prepared or _Prepared()
                    self._queue(record, prepared, index, match)
        if prepared is not None:
            self._prepared[record] = prepared

    def deliver(self, record: Record) -> None:
        """After COMMIT, once for each Record that was prepared: write to subscribers."""
        if not record.routes or (self._gate is not None and self._gate.hold(record)):
            return
        prepared = self._prepared.pop(record, None)
        if prepared is not None:
            self._keep(prepared.retained)
            for session, delivery in prepared.deliveries:
                self._admit(session, delivery)
        for index, route in enumerate(record.routes):
            match = self._sessions.subscriptions.match(route.topics)
            if match.grants:
                self._fan_out(record, route, match.grants)
            for share in match.shares:
                if prepared is None or (index, share.group) not in prepared.shared:
                    grant = Choose(route.skip).one_of(share)
                    if grant is not None:
                        self._fan_out(record, route, (grant,), share.group.topic_filter)

    def discard(self, record: Record) -> None:
        """When the COMMIT failed: forget what was prepared."""
        prepared = self._prepared.pop(record, None)
        if prepared is not None:
            for session, delivery in prepared.deliveries:
                session.out.discard(delivery)

    def ready(self, session: Session, delivery: Delivery) -> None:
        """A delivery is committed, or needs no commit: send it when its turn comes."""
        if not session.ended:
            session.out.ready(delivery)
            if session.connection is not None:
                session.connection.feed()

    def expire(self, kept: list[Kept]) -> None:
        """Forget retained messages at their time."""
        now = self._timers.now_ms()
        for each in kept:
            subject = "retained", each.topic
            if each.expires and each.payload:
                self._timers.after((each.expires - now) / 1000, partial(self._forget, each), subject)
            else:
                self._timers.forget(subject)

    # Inside.

    def _queue(self, record: Record, prepared: _Prepared, index: int, match: Match[Session]) -> None:
        """One message row for each topic, one queue row for each persistent subscriber."""
        route = record.routes[index]
        messages: dict[str, Message] = {}
        for grant in match.grants:
            if grant.subscriber.durable:
                self._queue_one(record, prepared, route, grant, messages)
        for share in match.shares:
            chosen = Choose(route.skip).one_of(share)
            if chosen is not None and chosen.subscriber.durable and chosen.qos:
                prepared.shared.add((index, share.group))
                self._queue_one(record, prepared, route, chosen, messages, share.group.topic_filter)
            elif chosen is not None:
                share.group.turn -= 1  # it is chosen after COMMIT

    def _queue_one(
        self,
        record: Record,
        prepared: _Prepared,
        route: Route,
        grant: Grant[Session],
        messages: dict[str, Message],
        shared: str = "",
    ) -> None:
        session, topic, granted, extra = grant
        source = _source(record, route)
        identifiers: tuple[int, ...] = ()
        retain = False
        if route.skip and route.skip in session.uids():
            return
        if extra is not None:
            refined = _refine(extra, granted, session is source.session)
            if refined is None:
                return
            granted, identifiers, retain = refined
        if not granted:
            return
        message, row = messages.get(topic), None
        if message is None:
            message, row = self._sessions.message(topic, route.payload, source.properties, source.expires)
        qos = min(granted, route.qos)
        queued = self._sessions.queue(
            session, message, qos, retain=retain and route.retain, identifiers=identifiers, shared=shared
        )
        if queued is None:
            self._losses.dropped("queue_full", session.client_id, topic)
            return
        if row is not None:
            messages[topic] = message
            record.rows.append(row)
        record.rows.append(queued[1])
        prepared.deliveries.append((session, queued[0]))

    def _admit(self, session: Session, delivery: Delivery) -> None:
        if self._gate is None or self._gate.may_receive(session, delivery.message.topic):
            self.ready(session, delivery)
            if delivery.shared and session.connection is None:
                self._share_out(session)
        elif not session.ended:
            session.out.discard(delivery)
            self._turn.rows(release(delivery))

    def _fan_out(self, record: Record, route: Route, grants: tuple[Grant[Session], ...], shared: str = "") -> None:
        """Write to everybody who needs no row."""
        source = _source(record, route)
        message = Message(grants[0].topic, route.payload, 0, source.properties, source.expires)
        for session, topic, granted, extra in grants:
            connection = session.connection
            if connection is None or (route.skip and route.skip in session.uids()):
                continue
            identifiers: tuple[int, ...] = ()
            retain = False
            if extra is not None:
                refined = _refine(extra, granted, session is source.session)
                if refined is None:
                    continue
                granted, identifiers, retain = refined
            qos = granted if granted < route.qos else route.qos  # noqa: FURB136 [MQTT-3.8.4-6]
            if qos and session.durable and not shared:
                continue
            if topic != message.topic:
                message = Message(topic, route.payload, 0, source.properties, source.expires)
            if not qos:
                connection.send(message, retain=retain and route.retain, identifiers=identifiers)
                continue
            delivery = session.out.reserve(
                message, qos, retain=retain and route.retain, identifiers=identifiers, shared=shared
            )
            if delivery is None:
                self._losses.dropped("queue_full", session.client_id, topic)
                continue
            session.out.ready(delivery)
            connection.feed()

    def _keep(self, changes: list[Kept]) -> None:
        self._retained.apply(changes)
        self.expire(changes)

    def _forget(self, kept: Kept) -> None:
        self._turn.rows(self._retained.forget(kept))


def _any_durable(grants: tuple[Grant[Session], ...]) -> bool:
    for grant in grants:  # noqa: SIM110 - a generator costs three times as much, for every message
        if grant[0].durable:
            return True
    return False


def _source(record: Record, route: Route) -> Source:
    source = record.source
    return source if isinstance(source, Source) and source.payload is route.payload else NOTHING


def _refine(extra: Extra, qos: int, own: bool) -> tuple[int, tuple[int, ...], bool] | None:
    """(QoS, identifiers, retain as published); None for one's own message under no local [MQTT-3.8.3-3]."""
    return extra.own if own else (qos, extra.identifiers, extra.retain_as_published)
