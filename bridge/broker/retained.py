"""Retained messages: the last one of each topic, for who subscribes later (MQTT 3.1.1 and 5, section 3.3.1.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from bridge.broker.limits import Limits
from bridge.broker.losses import Losses
from bridge.core.record import Route, Row
from bridge.counts import Counts
from bridge.mqtt.tree import TopicTree

OWN = "$SYS/"
"""The broker's own topics: they take no room from anybody's."""


class Kept(NamedTuple):
    """A retained message. `group` is equal for a topic and its twins; `properties` and `expires` as in a Message."""

    topic: str
    group: int
    qos: int
    payload: bytes
    properties: bytes = b""
    expires: int = 0


class Retained:
    """All retained messages of a broker, bounded by number and bytes."""

    def __init__(self, limits: Limits, counts: Counts, losses: Losses) -> None:
        self._limits = limits
        self._losses = losses
        self._tree: TopicTree[Kept] = TopicTree()
        self._last_group = 0
        self._count = 0
        self.size = 0
        counts.gauge("ems_bridge_mqtt_retained", lambda: self._count, text="Retained messages")
        counts.gauge("ems_bridge_mqtt_retained_bytes", lambda: self.size, text="Bytes of retained messages")

    def __len__(self) -> int:
        return self._count

    def next_group(self) -> int:
        """A fresh number for a message and its twins."""
        self._last_group += 1
        return self._last_group

    def restore(self, rows: Iterable[tuple[str, int, int, bytes, bytes, int]]) -> None:
        """Take in what was on disk: (topic, group, qos, payload, properties, expires)."""
        for row in rows:
            self._put(Kept(*row))
            self._last_group = max(self._last_group, row[1])

    def prepare(self, route: Route, properties: bytes = b"", expires: int = 0) -> tuple[list[Kept], list[Row]]:
        """What a retained message changes, as entries for `apply` and as rows to commit before it. An entry without payload
        removes its topic [MQTT-3.3.1-10] [MQTT-3.3.1-11]; what does not fit is dropped and counted."""
        group = self.next_group()
        changes: list[Kept] = []
        rows: list[Row] = []
        for topic in route.topics:
            kept = Kept(topic, group, route.qos, route.payload, properties, expires)
            if not route.payload:
                rows.append(("mqtt_unretain", (topic,)))
            elif self._fits(kept):
                rows.append(("mqtt_retain", kept))
            else:
                self._losses.dropped("retained_full", "", topic)
                continue
            changes.append(kept)
        return changes, rows

    def apply(self, changes: Iterable[Kept]) -> None:
        """After COMMIT."""
        for kept in changes:
            if kept.payload:
                self._put(kept)
            else:
                self._remove(kept.topic)

    def forget(self, kept: Kept) -> list[Row]:
        """It has expired; rows that forget it on disk, none when another has taken its place."""
        if self._tree.get(kept.topic) is not kept:
            return []
        self._remove(kept.topic)
        return [("mqtt_unretain", (kept.topic,))]

    def expiring(self) -> list[Kept]:
        """Everything that expires some day."""
        return [kept for kept in self._tree.values() if kept.expires]

    def match(self, topic_filter: str, may_read: Callable[[str], bool], now_ms: int = 0) -> Iterator[Kept | None]:
        """What a filter covers, found step by step while messages come and go: None for each that has expired or that
        `may_read(topic)` does not allow, and of a topic and its twins for all but one."""
        seen: set[int] = set()
        for kept in self._tree.match(topic_filter):
            if kept.expires and kept.expires <= now_ms:
                yield None
            elif kept.group not in seen and may_read(kept.topic):
                seen.add(kept.group)
                yield kept
            else:
                yield None

    def _fits(self, kept: Kept) -> bool:
        if kept.topic.count("/") >= self._limits.topic_levels:
            return False
        if self.size + len(kept.topic) + len(kept.payload) > self._limits.retained_bytes:
            return False
        return kept.topic in self._tree or self._count < self._limits.retained_messages

    def _put(self, kept: Kept) -> None:
        old = self._tree.get(kept.topic)
        self._tree.put(kept.topic, kept)
        self._weigh(kept, 1)
        if old is not None:
            self._weigh(old, -1)

    def _remove(self, topic: str) -> None:
        old = self._tree.pop(topic)
        if old is not None:
            self._weigh(old, -1)

    def _weigh(self, kept: Kept, sign: int) -> None:
        if not kept.topic.startswith(OWN):
            self._count += sign
            self.size += sign * (len(kept.topic) + len(kept.payload))
