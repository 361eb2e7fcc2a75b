"""Who gets a topic: a trie of filters with a cache of its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from bridge.mqtt.packets5 import NO_LOCAL, RETAIN_AS_PUBLISHED, SHARED
from bridge.mqtt.topics import CACHED_NAME_BYTES, is_wild

S = TypeVar("S", bound=Hashable)

CACHED_ROUTES = 65_536
"""Routes remembered before all are forgotten: some 10 topics for each of 5,000 devices."""

Topics = tuple[str, ...]
"""A topic and its twins."""


class _Node(Generic[S]):
    __slots__ = ("children", "subscribers")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = {}
        self.subscribers: dict[S | Group[S], int] = {}


class Extra(NamedTuple):
    """What MQTT 5's subscription options add to a Grant."""

    identifiers: tuple[int, ...]
    retain_as_published: bool
    own: tuple[int, tuple[int, ...], bool] | None
    """(QoS, identifiers, retain as published) for what the subscriber publishes itself: without its no-local filters. None: it
    does not get that."""


class Grant(NamedTuple, Generic[S]):
    """A subscriber who gets a message, on the first topic that it may read, at the highest QoS of its filters."""

    subscriber: S
    topic: str
    qos: int
    extra: Extra | None = None


class Group(Generic[S]):
    """The members of a shared subscription and their options; `turn` counts the messages that went to one of them."""

    __slots__ = ("members", "topic_filter", "turn")

    def __init__(self, topic_filter: str) -> None:
        self.topic_filter = topic_filter
        """`$share/name/filter`"""
        self.members: dict[S, int] = {}
        self.turn = 0


class Share(NamedTuple, Generic[S]):
    """A shared subscription that gets a message: one of `members` does."""

    group: Group[S]
    topic: str
    members: tuple[Grant[S], ...]


class Match(NamedTuple, Generic[S]):
    """Everybody who gets a message."""

    grants: tuple[Grant[S], ...]
    shares: tuple[Share[S], ...]


class Subscriptions(Generic[S]):
    """Filters of all subscribers. Filters without a wildcard live in a dict, the others in a trie.

    `allow(subscriber, topic)` is asked once per cached route; what it denies is left out. The options of a subscription are the
    byte of MQTT 5 (in 3.1.1 the QoS alone), with its identifier above it: `options | identifier << 8`.
    """

    __slots__ = ("_allow", "_cache", "_cached_by_level", "_exact", "_firsts", "_groups", "_root", "count")

    def __init__(self, allow: Callable[[S, str], bool] = lambda _subscriber, _topic: True) -> None:
        self._allow = allow
        self._exact: dict[str, dict[S | Group[S], int]] = {}
        self._root: _Node[S] = _Node()
        self._groups: dict[str, Group[S]] = {}
        self._firsts: Counter[str] = Counter()
        self._cache: dict[Topics, Match[S]] = {}
        self._cached_by_level: dict[str, set[Topics]] = {}
        self.count = 0

    def add(self, topic_filter: str, subscriber: S, options: int) -> bool:
        """Subscribe, or replace the options of an equal subscription [MQTT-3.8.4-3]. True when it is new."""
        if topic_filter.startswith(SHARED):
            group = self._groups.get(topic_filter)
            if group is None:
                group = self._groups[topic_filter] = Group(topic_filter)
            holders: dict[S, int] | dict[S | Group[S], int] = group.members
            self._holders_of(_shared_filter(topic_filter))[group] = 0
        else:
            holders = self._holders_of(topic_filter)
        new = subscriber not in holders
        holders[subscriber] = options
        self.count += new
        if new:
            self._firsts[_first(topic_filter)] += 1
        self._forget(_shared_filter(topic_filter))
        return new

    def remove(self, topic_filter: str, subscriber: S) -> bool:
        """Unsubscribe; False when there was no such subscription. Empty branches go."""
        group = self._groups.get(topic_filter)
        plain = _shared_filter(topic_filter)
        if group is not None:
            removed = group.members.pop(subscriber, None) is not None
            if not group.members:
                del self._groups[topic_filter]
                self._drop(plain, group)
        else:
            removed = self._drop(plain, subscriber)
        if removed:
            self.count -= 1
            first = _first(topic_filter)
            self._firsts[first] -= 1
            if not self._firsts[first]:
                del self._firsts[first]
            self._forget(plain)
        return removed

    def group(self, topic_filter: str) -> Group[S] | None:
        """The group of a shared subscription."""
        return self._groups.get(topic_filter)

    def anybody(self, level: str) -> bool:
        """Whether a filter may cover topics that begin with this level; cheap, and sometimes yes where none does."""
        return any(first in self._firsts for first in (level, "+", "#"))

    @property
    def shared(self) -> int:
        """How many shared subscriptions there are."""
        return len(self._groups)

    def forget_routes(self) -> None:
        """Ask `allow` anew from now on."""
        self._cache.clear()
        self._cached_by_level.clear()

    def match(self, topics: Topics) -> Match[S]:
        """Everybody who gets a message: each subscriber once, on the first of `topics` that it may read and whose filters cover
        it, at the highest QoS of these filters [MQTT-3.3.5-1]; and each shared subscription once."""
        found = self._cache.get(topics)
        if found is None:
            found = self._find(topics)
            if len(topics[0]) <= CACHED_NAME_BYTES:
                if len(self._cache) >= CACHED_ROUTES:
                    self.forget_routes()
                self._cache[topics] = found
                for topic in topics:
                    self._cached_by_level.setdefault(_level(topic), set()).add(topics)
        return found

    def _forget(self, topic_filter: str) -> None:
        """A subscription changed: forget the routes that it may concern. A fleet that comes back subscribes device by device,
        while others publish: a filter that names its device (the fourth level) forgets that device's routes alone."""
        if is_wild("/".join(topic_filter.split("/", 4)[:4])):
            self.forget_routes()
            return
        for topics in self._cached_by_level.pop(_level(topic_filter), ()):
            self._cache.pop(topics, None)

    def _find(self, topics: Topics) -> Match[S]:
        grants: dict[S, Grant[S]] = {}
        shares: dict[Group[S], Share[S]] = {}
        for topic in topics:
            for holder, options in self._holders(topic).items():
                if isinstance(holder, Group):
                    if holder not in shares and (members := self._members(holder, topic)):
                        shares[holder] = Share(holder, topic, members)
                elif holder not in grants and self._allow(holder, topic):
                    grants[holder] = _grant(holder, topic, options)
        return Match(tuple(grants.values()), tuple(shares.values()))

    def _members(self, group: Group[S], topic: str) -> tuple[Grant[S], ...]:
        return tuple(
            _grant(member, topic, [options]) for member, options in group.members.items() if self._allow(member, topic)
        )

    def _holders_of(self, topic_filter: str) -> dict[S | Group[S], int]:
        if not is_wild(topic_filter):
            return self._exact.setdefault(topic_filter, {})
        node = self._root
        for level in topic_filter.split("/"):
            child = node.children.get(level)
            if child is None:
                child = node.children[level] = _Node()
            node = child
        return node.subscribers

    def _drop(self, topic_filter: str, holder: S | Group[S]) -> bool:
        if is_wild(topic_filter):
            return self._prune(topic_filter.split("/"), holder)
        holders = self._exact.get(topic_filter, {})
        removed = holders.pop(holder, None) is not None
        if removed and not holders:
            del self._exact[topic_filter]
        return removed

    def _holders(self, topic: str) -> dict[S | Group[S], list[int]]:
        found: dict[S | Group[S], list[int]] = {}
        _gather(found, self._exact.get(topic))
        nodes = [self._root]
        wild = not topic.startswith("$")  # [MQTT-4.7.2-1]
        for level in topic.split("/"):
            after: list[_Node[S]] = []
            for node in nodes:
                children = node.children
                if (child := children.get(level)) is not None:
                    after.append(child)
                if wild:
                    if (child := children.get("+")) is not None:
                        after.append(child)
                    if (child := children.get("#")) is not None:
                        _gather(found, child.subscribers)
            nodes, wild = after, True
            if not nodes:
                return found
        for node in nodes:
            _gather(found, node.subscribers)
            if (child := node.children.get("#")) is not None:  # "a/#" covers "a" too
                _gather(found, child.subscribers)
        return found

    def _prune(self, levels: list[str], holder: S | Group[S]) -> bool:
        path = [self._root]
        for level in levels:
            child = path[-1].children.get(level)
            if child is None:
                return False
            path.append(child)
        if path[-1].subscribers.pop(holder, None) is None:
            return False
        for level, parent, node in zip(reversed(levels), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if node.subscribers or node.children:
                break
            del parent.children[level]
        return True


def _gather(found: dict[S | Group[S], list[int]], holders: dict[S | Group[S], int] | None) -> None:
    if holders:
        for holder, options in holders.items():
            found.setdefault(holder, []).append(options)


def _grant(subscriber: S, topic: str, options: list[int]) -> Grant[S]:
    qos, identifiers, retain = _joined(options)
    local = [each for each in options if not each & NO_LOCAL]
    if not (identifiers or retain or len(local) < len(options)):
        return Grant(subscriber, topic, qos)
    return Grant(subscriber, topic, qos, Extra(identifiers, retain, _joined(local) if local else None))


def _joined(options: list[int]) -> tuple[int, tuple[int, ...], bool]:
    """(highest QoS, identifiers, whether any retains as published) of several subscriptions."""
    identifiers = tuple(each >> 8 for each in options if each >> 8)
    return max(each & 3 for each in options), identifiers, any(each & RETAIN_AS_PUBLISHED for each in options)


def _shared_filter(topic_filter: str) -> str:
    """The filter behind `$share/name/`."""
    return topic_filter.split("/", 2)[2] if topic_filter.startswith(SHARED) else topic_filter


def _first(topic_filter: str) -> str:
    return _shared_filter(topic_filter).partition("/")[0]


def _level(topic: str) -> str:
    """The fourth level, where both schemes name the device; "" of a shorter topic."""
    levels = topic.split("/", 4)
    return levels[3] if len(levels) > 3 else ""
