"""Who comes in, and what they may hear: the seams to core's registry and permissions, and to other sources of authentication."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from bridge.core.peer import Peer
from bridge.core.principal import ANONYMOUS, Principal
from bridge.core.record import Record
from bridge.errors import Denied
from bridge.mqtt.packets import Connect

if TYPE_CHECKING:
    from bridge.broker.hub import Hub
    from bridge.broker.session import Session

__all__ = ["Access", "Builtin", "Gate", "Peer", "Question"]

Question = tuple[str, str]
"""(action, topic or filter); the action is "publish", "subscribe" or "receive"."""


class Access(Protocol):
    """What the broker asks. `Builtin` answers from the device registry, `access_plugins` from amqtt's plugins beside it."""

    async def authenticate(self, connect: Connect, client_id: str, peer: Peer | None) -> Principal | None:
        """Who this is; None when the credentials are wrong or missing. Never blocks the loop. `client_id` is the one that
        counts: `connect.client_id` may be empty."""

    def recognise(self, connect: Connect, peer: Peer | None) -> Principal | None:
        """Who this is, where that is sure and costs nothing: by a certificate or a generated secret, which nobody guesses."""

    def resolve(self, kind: str, name: str) -> Principal | None:
        """The principal with its present grants; None when it is gone."""

    def may_subscribe(self, principal: Principal, topic_filter: str) -> bool:
        """Whether a filter is granted; what it delivers is asked about again."""

    def may_read(self, principal: Principal, topic: str) -> bool:
        """Whether a message on `topic` may reach `principal`. Answers are cached until `Hub.permissions_changed`."""


class Gate(Protocol):
    """amqtt's topic plugins: they answer later, so that decisions are asked for first and looked up on the hot path."""

    def bind(self, hub: Hub) -> None:
        """Deliver through this hub."""

    def opened(self, session: Session, connect: Connect, peer: Peer | None) -> None:
        """A client has logged in; its plugins' view of it begins."""

    def known(self, session: Session, action: str, topic: str) -> bool | None:
        """The decision on a Question; None when it is still to be asked for."""

    async def ask(self, session: Session, questions: Iterable[Question]) -> None:
        """Get the decisions, so that `known` knows them."""

    def may_receive(self, session: Session, topic: str) -> bool:
        """The decision on a delivery; True when it is not known yet (then `hold` waits for it)."""

    def hold(self, record: Record) -> bool:
        """Whether the delivery of a Record must wait for decisions; it is delivered, in order, when they are there."""


class Builtin(NamedTuple):
    """The device registry and the platform accounts. `login(username, password)` hashes off the loop; `certified(name)` is the
    device whose verified certificate carries that name. `recognised` and `certain` are the parts of both that cost nothing."""

    login: Callable[[str, str], Awaitable[Principal | None]]
    find: Callable[[str, str], Principal | None]
    subscribe: Callable[[Principal, str], bool]
    read: Callable[[Principal, str], bool]
    allow_anonymous: bool = False
    certified: Callable[[str], Awaitable[Principal | None]] | None = None
    recognised: Callable[[str, str], Principal | None] = lambda _username, _password: None
    certain: Callable[[str], Principal | None] = lambda _name: None

    async def authenticate(self, connect: Connect, client_id: str, peer: Peer | None) -> Principal | None:
        """Anonymous only without credentials: wrong ones are refused even where none are needed. Who shows a certificate is whom
        it names: a device needs no password, another user name is refused. Raises Denied."""
        _ = client_id
        identity = peer.identity if peer is not None else None
        if identity is not None:
            if connect.username not in (None, identity):
                raise Denied("wrong_identity", f"the certificate is {identity!r}'s, not {connect.username!r}'s")
            device = await self.certified(identity) if self.certified is not None and identity else None
            if device is not None or connect.username is None:
                return device
        if connect.username is None:
            return ANONYMOUS if self.allow_anonymous else None
        password = _password(connect)
        return None if password is None else await self.login(connect.username, password)

    def recognise(self, connect: Connect, peer: Peer | None) -> Principal | None:
        """See Access."""
        identity = peer.identity if peer is not None else None
        if identity is not None:
            return self.certain(identity) if connect.username in (None, identity) else None
        password = _password(connect)
        if connect.username is None or password is None:
            return None
        return self.recognised(connect.username, password)

    def resolve(self, kind: str, name: str) -> Principal | None:
        """See Access."""
        if kind == ANONYMOUS.kind:
            return ANONYMOUS if self.allow_anonymous else None
        return self.find(kind, name)

    def may_subscribe(self, principal: Principal, topic_filter: str) -> bool:
        """See Access."""
        return self.subscribe(principal, topic_filter)

    def may_read(self, principal: Principal, topic: str) -> bool:
        """See Access."""
        return self.read(principal, topic)


def _password(connect: Connect) -> str | None:
    try:
        return (connect.password or b"").decode()
    except UnicodeDecodeError:
        return None
