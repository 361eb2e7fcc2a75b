"""Retained messages on their way to a session that subscribed (MQTT 3.1.1 and 5, section 3.3.1.3).

They are looked up while the client reads, not when it asks: however often it subscribes, and however little it reads, one walk
through the retained messages is under way and at most one waits for each of its filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from bridge.mqtt.flow import Message

if TYPE_CHECKING:
    from bridge.broker.connection import Connection
    from bridge.broker.hub import Hub
    from bridge.broker.retained import Kept
    from bridge.broker.session import Session

LOOKS: Final = 256
"""Retained messages looked at for one session in one turn of the event loop, when it may read none: below a millisecond."""

Find = Callable[[str], Iterator["Kept | None"]]
"""filter -> what it covers, one after the other; None for what the session may not read."""


class Replay:
    """What one session is still to get. False when there is nothing."""

    __slots__ = ("_asked", "_filter", "_found", "_head", "_options", "resting")

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}
        self._filter = ""
        self._options = 0
        self._found: Iterator[Kept | None] | None = None
        self._head: Kept | None = None
        self.resting = False
        """Whether the look goes on in the next turn."""

    def __bool__(self) -> bool:
        return self._found is not None or bool(self._asked)

    def ask(self, topic_filter: str, options: int) -> None:
        """The session has subscribed with these options, its identifier above them."""
        self._asked[topic_filter] = options

    def forget(self, topic_filter: str) -> None:
        """The session has unsubscribed."""
        self._asked.pop(topic_filter, None)
        if self._filter == topic_filter:
            self._found = self._head = None

    def head(self, find: Find) -> tuple[Kept, int, tuple[int, ...]] | None:
        """The next message, the QoS to send it at, and the subscription's identifier; None when there is none, or none among
        LOOKS. It stays until `taken`."""
        looks = LOOKS
        while self._head is None and looks:
            if self._found is None:
                if not self._asked:
                    return None
                self._filter = next(iter(self._asked))
                self._options = self._asked.pop(self._filter)
                self._found = find(self._filter)
            looks -= 1
            try:
                self._head = next(self._found)
            except StopIteration:
                self._found = None
        if self._head is None:
            return None
        identifier = self._options >> 8
        return self._head, min(self._options & 3, self._head.qos), (identifier,) if identifier else ()

    def taken(self) -> None:
        """The head was queued or sent."""
        self._head = None


def send_next(hub: Hub, session: Session, connection: Connection) -> bool:
    """Send the next retained message that the session asked for; False when there is none now, or its queue is full."""
    replay = session.replay
    if replay.resting:
        return False
    found = replay.head(lambda topic_filter: hub.retained_for(session, topic_filter))
    if found is None:
        if replay:
            replay.resting = True
            hub.turn.loop.call_soon(_go_on, session)
        return False
    kept, qos, identifiers = found
    if not (qos and session.durable):
        message = Message(kept.topic, kept.payload, 0, kept.properties, kept.expires)
        if not qos:
            connection.send(message, retain=True, identifiers=identifiers)
        else:
            delivery = session.out.reserve(message, qos, retain=True, identifiers=identifiers)
            if delivery is None:
                return False
            session.out.ready(delivery)
    else:
        message, row = hub.sessions.message(kept.topic, kept.payload, kept.properties, kept.expires)
        queued = hub.sessions.queue(session, message, qos, retain=True, identifiers=identifiers)
        if queued is None:
            return False
        hub.turn.rows([row, queued[1]])
        session.out.ready(queued[0])
    replay.taken()
    return True


def _go_on(session: Session) -> None:
    session.replay.resting = False
    if session.connection is not None:
        session.connection.feed()
