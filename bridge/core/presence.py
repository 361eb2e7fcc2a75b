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
        self._told: dict[str, tuple[str, ...]] = {}
        """Owners under whose topics a presence is retained."""

    def get(self, uid: str) -> Presence:
        """The device's presence."""
        return self._known.get(uid, NEVER)

    def online(self) -> int:
        """How many devices are connected."""
        return len(self._connections)

    def restore(self, rows: Iterable[tuple[str, bool, int, str | None]], retained: Iterable[str] | None = None) -> None:
        """At start nobody is connected: who was online when the bridge ended is offline since now. `retained` are the topics that
        say something of a presence; None where nobody knows."""
        for topic in retained or ():
            _, _, owner, uid, _ = topic.split("/")
            self._told[uid] = (*self._told.get(uid, ()), owner)
        for uid, online, since, scheme in rows:
            self._known[uid] = Presence(False, since, scheme)
            if retained is None:
                self._told[uid] = self._owners(uid)
            if online:
                self._tell(uid, False)
        self.moved()

    def moved(self) -> None:
        """Devices came, went, or changed their owners: a presence stands under the present ones, and under no other."""
        for uid in {**self._known, **self._told}:
            if set(self._owners(uid)) != set(self._told.get(uid, ())):
                self._publish(uid)

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
        known, owners = self._known.get(uid), self._owners(uid)
        record = Record()
        gone = [owner for owner in self._told.pop(uid, ()) if owner not in owners]
        record.routes = [Route((f"bridge/v1/{owner}/{uid}/presence",), b"", 1, retain=True) for owner in gone]
        if known is None:  # only what is retained tells of it
            self._submit(record, None)
            return
        if owners:
            self._told[uid] = owners
        status = known._asdict()
        record.rows.append(("presence", (uid, known.online, known.since, known.scheme)))
        topics = tuple(f"bridge/v1/{owner}/{uid}/presence" for owner in owners)
        payload = msgspec.json.encode(status)
        record.routes.extend(Route((topic,), payload, 1, retain=True) for topic in topics)
        if self._events.wants("presence"):
            record.effects.append(lambda: self._events.publish("presence", uid, {"device": uid, **status}))
        self._submit(record, None)
