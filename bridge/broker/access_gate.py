"""Decisions of amqtt's topic plugins, kept for a while: asked for where the broker can wait, looked up where it cannot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final

from amqtt.session import Session as AmqttSession

from bridge.broker.access import Peer, Question
from bridge.broker.access_plugins import PluginThread, view
from bridge.broker.session import Key, Session
from bridge.core.record import Record
from bridge.mqtt.packets import Connect

if TYPE_CHECKING:
    from bridge.broker.hub import Hub

DECISION_S: Final = 30.0
"""How long a decision holds: a plugin's data may change behind it."""
DECISIONS: Final = 100_000
"""Decisions kept before all are forgotten."""
_NOTHING: Final[Mapping[Question, bool]] = {}


class TopicGate:
    """The gate of one hub; `bind` it before the first message."""

    def __init__(self, plugins: PluginThread, clock: Callable[[], float] = monotonic) -> None:
        self._plugins = plugins
        self._clock = clock
        self._hub: Hub | None = None
        self._until = clock() + DECISION_S
        self._decisions: dict[Key, dict[Question, bool]] = {}
        self._count = 0
        self._views: dict[Key, AmqttSession] = {}
        self._waiting: deque[Record] = deque()
        self._delivering = False

    def bind(self, hub: Hub) -> None:
        """Deliver through this hub."""
        self._hub = hub

    def opened(self, session: Session, connect: Connect, peer: Peer | None) -> None:
        """A client has logged in: its plugins' view of it begins."""
        if len(self._views) >= DECISIONS:
            self._views.clear()
        self._views[session.key] = view(connect, session.client_id, peer)
        self._count -= len(self._decisions.pop(session.key, ()))

    def known(self, session: Session, action: str, topic: str) -> bool | None:
        """The decision; None when it is to be asked for."""
        self._refresh()
        return self._decisions.get(session.key, _NOTHING).get((action, topic))

    def may_receive(self, session: Session, topic: str) -> bool:
        """The decision on a delivery; True while it is not known."""
        return self._decisions.get(session.key, _NOTHING).get(("receive", topic), True)

    async def ask(self, session: Session, questions: Iterable[Question]) -> None:
        """Get the decisions on (action, topic) pairs."""
        for action, topic in questions:
            seen = self._views.get(session.key) or self._remember(session)
            allowed = await self._plugins.allow(seen, topic, action)
            if self._count >= DECISIONS:
                self._forget()
            self._decisions.setdefault(session.key, {})[action, topic] = allowed
            self._count += 1
            if action == "receive" and not allowed and self._hub is not None:
                self._hub.sessions.subscriptions.forget_routes()

    def hold(self, record: Record) -> bool:
        """Whether the Record must wait for decisions, or behind others that do."""
        if self._delivering:
            return False
        self._refresh()
        if not self._waiting and next(self._undecided(record), None) is None:
            return False
        self._waiting.append(record)
        if len(self._waiting) == 1 and self._hub is not None:
            self._hub.turn.spawn(self._deliver(), "topic plugins: deliveries")
        return True

    async def _deliver(self) -> None:
        while self._waiting and self._hub is not None:
            record = self._waiting[0]
            for session, topic in list(self._undecided(record)):
                await self.ask(session, [("receive", topic)])
            self._waiting.popleft()
            self._delivering = True
            try:
                self._hub.deliver(record)
            finally:
                self._delivering = False

    def _undecided(self, record: Record) -> Iterator[tuple[Session, str]]:
        if self._hub is None:
            return
        for route in record.routes:
            match = self._hub.sessions.subscriptions.match(route.topics)
            for grant in (*match.grants, *(each for share in match.shares for each in share.members)):
                session, topic = grant.subscriber, grant.topic
                if ("receive", topic) not in self._decisions.get(session.key, _NOTHING):
                    yield session, topic

    def _remember(self, session: Session) -> AmqttSession:
        """A session that was restored from disk: its client has not logged in since."""
        name = None if session.principal.kind == "anonymous" else session.principal.name
        made = self._views[session.key] = view(Connect(session.client_id, username=name), session.client_id, None)
        return made

    def _refresh(self) -> None:
        if self._clock() >= self._until:
            self._forget()

    def _forget(self) -> None:
        self._until = self._clock() + DECISION_S
        self._decisions.clear()
        self._count = 0
        if self._hub is not None:
            self._hub.sessions.subscriptions.forget_routes()
