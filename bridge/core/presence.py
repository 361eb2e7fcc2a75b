"""Which devices are there: counted connections, told as retained messages, kept across a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from bridge.core.events import Events
from bridge.core.record import Done, Record, Route


class Presence(NamedTuple):
    """`since` (ms) is when it came or went; None when it was never seen. `scheme` is the one it last used."""

    online: bool
    since: int | None
    scheme: str | None


NEVER = Presence(False, None, None)


class Presences:
    """Presence of every device. `came(uid)` is called when a device is there and its messages may flow."""

    def __init__(
        self,
        submit: Callable[[Record, Done | None], None],
        owners: Callable[[str], tuple[str, ...]],
        events: Events,
        now: Callable[[], int],
    ) -> None:
        self._submit = submit
        self._owners = owners
        self._events = events
        self._now = now
        self._connections: dict[str, int] = {}
        self._known: dict[str, Presence] = {}
        self._silent: set[str] = set()
        """Who is there and has not spoken."""

    def get(self, uid: str) -> Presence:
        """The device's presence."""
        return self._known.get(uid, NEVER)

    def online(self) -> int:
        """How many devices are connected."""
        return len(self._connections)

    def restore(self, rows: Iterable[tuple[str, bool, int, str | None]]) -> None:
        """At start nobody is connected: who was online when the bridge ended is offline since now."""
        for uid, online, since, scheme in rows:
            self._known[uid] = Presence(False, since, scheme)
            if online:
                self._tell(uid, False)

    def connected(self, uid: str) -> None:
        """One more connection of the device."""
        self._connections[uid] = self._connections.get(uid, 0) + 1
        if self._connections[uid] == 1:
            self._silent.add(uid)
            self._tell(uid, True)

    def disconnected(self, uid: str) -> None:
        """One connection less."""
        left = self._connections.get(uid, 0) - 1
        if left > 0:
            self._connections[uid] = left
        elif self._connections.pop(uid, None) is not None:
            self._silent.discard(uid)
            self._tell(uid, False)

    def uses(self, uid: str, scheme: str) -> None:
        """The device spoke on `scheme`; the first time since it came says which is its own."""
        if uid not in self._silent:
            return
        self._silent.discard(uid)
        known = self._known.get(uid)
        if known is not None and known.scheme != scheme:
            self._known[uid] = known._replace(scheme=scheme)
            self._publish(uid)

    def _tell(self, uid: str, online: bool) -> None:
        self._known[uid] = Presence(online, self._now(), self.get(uid).scheme)
        self._publish(uid)

    def _publish(self, uid: str) -> None:
        known = self._known[uid]
        status = known._asdict()
        record = Record()
        record.rows.append(("presence", (uid, known.online, known.since, known.scheme)))
        topics = tuple(f"bridge/v1/{owner}/{uid}/presence" for owner in self._owners(uid))
        payload = msgspec.json.encode(status)
        record.routes.extend(Route((topic,), payload, 1, retain=True) for topic in topics)
        if self._events.wants("presence"):
            record.effects.append(lambda: self._events.publish("presence", uid, {"device": uid, **status}))
        self._submit(record, None)
