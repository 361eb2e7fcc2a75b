"""Which connected sessions reach which device."""

from __future__ import annotations

from collections.abc import Callable

from bridge.broker.session import Session


class Reach:
    """Sessions by device uid. `told(uid)` is called each time a device may be reached by a session that is open or has
    new subscriptions, `lost(uid)` when no session reaches it any more."""

    __slots__ = ("_by_session", "_by_uid", "_lost", "_told")

    def __init__(self, told: Callable[[str], None], lost: Callable[[str], None] = lambda _uid: None) -> None:
        self._told = told
        self._lost = lost
        self._by_uid: dict[str, set[Session]] = {}
        self._by_session: dict[Session, set[str]] = {}

    def __contains__(self, uid: object) -> bool:
        return uid in self._by_uid

    def sessions(self, uid: str) -> frozenset[Session] | set[Session]:
        """The sessions that reach `uid`."""
        return self._by_uid.get(uid, frozenset())

    def update(self, session: Session) -> None:
        """The session's connection or subscriptions changed."""
        wanted = session.uids() if session.connection is not None else set()
        known = self._by_session.get(session, set())
        if wanted:
            self._by_session[session] = wanted
        else:
            self._by_session.pop(session, None)
        for uid in known - wanted:
            holders = self._by_uid[uid]
            holders.discard(session)
            if not holders:
                del self._by_uid[uid]
                self._lost(uid)
        for uid in wanted - known:
            self._by_uid.setdefault(uid, set()).add(session)
        for uid in wanted:
            self._told(uid)
