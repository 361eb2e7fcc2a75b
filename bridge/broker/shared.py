"""Shared subscriptions: which member gets a message, and what becomes of it when that member leaves (MQTT 5, section 4.8.2)."""

from __future__ import annotations

from typing import NamedTuple

from bridge.broker.session import Session
from bridge.broker.sessions import Sessions, release
from bridge.broker.turn import Turn
from bridge.core.record import Row
from bridge.mqtt.flow import RESERVED, SENT, Delivery
from bridge.mqtt.trie import Grant, Share


class Choose(NamedTuple):
    """The rule: round robin over members that are connected and have room; a persistent one that is away if there are none."""

    skip: str = ""
    """A device whose own sessions are passed over."""
    leaving: Session | None = None
    """A session that is passed over."""

    def one_of(self, share: Share[Session]) -> Grant[Session] | None:
        """The member whose turn it is; None when nobody can take a message."""
        members, turn = share.members, share.group.turn
        around = [members[(turn + step) % len(members)] for step in range(len(members))]
        for step, grant in enumerate(around):
            if grant.subscriber.connection is not None and self._may(grant.subscriber):
                share.group.turn = turn + step + 1
                return grant
        for grant in around:
            if grant.subscriber.durable and grant.qos and self._may(grant.subscriber):
                return grant
        return None

    def _may(self, session: Session) -> bool:
        if session is self.leaving or session.ended or session.out.full:
            return False
        return not self.skip or self.skip not in session.uids()


class Handover:
    """Moves what an absent member has not finished to another one."""

    def __init__(self, sessions: Sessions, turn: Turn) -> None:
        self._sessions = sessions
        self._turn = turn

    def leave(self, session: Session) -> None:
        """The client has gone: hand on what came to it by shared subscriptions. QoS 2 messages that it may have seen stay
        [MQTT-4.8.2-4]; so does everything that nobody else can take now."""
        for delivery in list(session.out.entries.values()):
            if delivery.shared and delivery.state != RESERVED and not (delivery.qos == 2 and delivery.state >= SENT):
                self._move(session, delivery)

    def arrive(self, session: Session) -> None:
        """A member is connected: it takes what waits for members that are away."""
        for topic_filter in session.shares:
            group = self._sessions.subscriptions.group(topic_filter)
            for member in list(group.members) if group is not None else ():
                if member.connection is None and member is not session:
                    self.leave(member)

    def _move(self, session: Session, delivery: Delivery) -> None:
        message = delivery.message
        match = self._sessions.subscriptions.match((message.topic,))
        share = next((share for share in match.shares if share.group.topic_filter == delivery.shared), None)
        chosen = Choose(leaving=session).one_of(share) if share is not None else None
        if chosen is None or (chosen.subscriber.connection is None and not session.ended):
            return
        rows: list[Row] = []
        taker, qos = chosen.subscriber, min(delivery.qos, chosen.qos)
        if qos and taker.durable:
            if not message.id:
                message, row = self._sessions.message(
                    message.topic, message.payload, message.properties, message.expires
                )
                rows.append(row)
            queued = self._sessions.queue(taker, message, qos, identifiers=delivery.identifiers, shared=delivery.shared)
            if queued is None:
                return
            rows.append(queued[1])
            taker.out.ready(queued[0])
        elif qos:
            moved = taker.out.reserve(message, qos, identifiers=delivery.identifiers, shared=delivery.shared)
            if moved is None:
                return
            taker.out.ready(moved)
        elif taker.connection is not None:
            taker.connection.send(message, identifiers=delivery.identifiers)
        session.out.discard(delivery)
        self._turn.rows(rows + release(delivery))
        if taker.connection is not None:
            taker.connection.feed()
