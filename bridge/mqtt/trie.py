"""Who gets a topic: a trie of filters with a cache of its answers; and which topics a filter covers: a tree of topics."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from bridge.mqtt.topics import CACHED_NAME_BYTES, is_wild

S = TypeVar("S", bound=Hashable)
V = TypeVar("V")

CACHED_ROUTES = 65_536
"""Routes remembered before all are forgotten: some 10 topics for each of 5,000 devices."""

Topics = tuple[str, ...]
"""A topic and its twins."""


class _Node(Generic[S]):
    __slots__ = ("children", "subscribers")

    def __init__(self) -> None:
        self.children: dict[str, _Node[S]] = {}
        self.subscribers: dict[S, int] = {}


class Subscriptions(Generic[S]):
    """Filters of all subscribers. Filters without a wildcard live in a dict, the others in a trie.

    `allow(subscriber, topic)` is asked once per cached route; what it denies is left out.
    """

    __slots__ = ("_allow", "_cache", "_exact", "_root", "count")

    def __init__(self, allow: Callable[[S, str], bool] = lambda _subscriber, _topic: True) -> None:
        self._allow = allow
        self._exact: dict[str, dict[S, int]] = {}
        self._root: _Node[S] = _Node()
        self._cache: dict[Topics, tuple[tuple[S, str, int], ...]] = {}
        self.count = 0

    def add(self, topic_filter: str, subscriber: S, qos: int) -> bool:
        """Subscribe, or replace the QoS of an equal subscription [MQTT-3.8.4-3]. True when it is new."""
        if is_wild(topic_filter):
            node = self._root
            for level in topic_filter.split("/"):
                child = node.children.get(level)
                if child is None:
                    child = node.children[level] = _Node()
                node = child
            holders = node.subscribers
        else:
            holders = self._exact.setdefault(topic_filter, {})
        new = subscriber not in holders
        holders[subscriber] = qos
        self.count += new
        self._cache.clear()
        return new

    def remove(self, topic_filter: str, subscriber: S) -> bool:
        """Unsubscribe; False when there was no such subscription. Empty branches go."""
        if is_wild(topic_filter):
            removed = self._prune(topic_filter.split("/"), subscriber)
        else:
            holders = self._exact.get(topic_filter, {})
            removed = holders.pop(subscriber, None) is not None
            if removed and not holders:
                del self._exact[topic_filter]
        if removed:
            self.count -= 1
            self._cache.clear()
        return removed

    def forget_routes(self) -> None:
        """Ask `allow` anew from now on."""
        self._cache.clear()

    def match(self, topics: Topics) -> tuple[tuple[S, str, int], ...]:
        """(subscriber, topic, QoS) of everybody who gets a message: each once, on the first of `topics` that it may read and
        whose filters cover it, at the highest QoS of these filters [MQTT-3.3.5-1]."""
        found = self._cache.get(topics)
        if found is None:
            found = self._find(topics)
            if len(topics[0]) <= CACHED_NAME_BYTES:
                if len(self._cache) >= CACHED_ROUTES:
                    self._cache.clear()
                self._cache[topics] = found
        return found

    def _find(self, topics: Topics) -> tuple[tuple[S, str, int], ...]:
        chosen: dict[S, tuple[S, str, int]] = {}
        for topic in topics:
            for subscriber, qos in self._holders(topic).items():
                if subscriber not in chosen and self._allow(subscriber, topic):
                    chosen[subscriber] = (subscriber, topic, qos)
        return tuple(chosen.values())

    def _holders(self, topic: str) -> dict[S, int]:
        best: dict[S, int] = {}
        _merge(best, self._exact.get(topic))
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
                        _merge(best, child.subscribers)
            nodes, wild = after, True
            if not nodes:
                return best
        for node in nodes:
            _merge(best, node.subscribers)
            if (child := node.children.get("#")) is not None:  # "a/#" covers "a" too
                _merge(best, child.subscribers)
        return best

    def _prune(self, levels: list[str], subscriber: S) -> bool:
        path = [self._root]
        for level in levels:
            child = path[-1].children.get(level)
            if child is None:
                return False
            path.append(child)
        if path[-1].subscribers.pop(subscriber, None) is None:
            return False
        for level, parent, node in zip(reversed(levels), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if node.subscribers or node.children:
                break
            del parent.children[level]
        return True


def _merge(best: dict[S, int], holders: dict[S, int] | None) -> None:
    if holders:
        for subscriber, qos in holders.items():
            if best.get(subscriber, -1) < qos:
                best[subscriber] = qos


class _Branch(Generic[V]):
    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.children: dict[str, _Branch[V]] = {}
        self.value: V | None = None


class TopicTree(Generic[V]):
    """Values by topic name, found by topic filter without a look at every topic."""

    __slots__ = ("_root", "_values")

    def __init__(self) -> None:
        self._values: dict[str, V] = {}
        self._root: _Branch[V] = _Branch()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, topic: str) -> bool:
        return topic in self._values

    def get(self, topic: str) -> V | None:
        """The value of one topic."""
        return self._values.get(topic)

    def put(self, topic: str, value: V) -> None:
        """Set or replace the value of a topic."""
        branch = self._root
        for level in topic.split("/"):
            child = branch.children.get(level)
            if child is None:
                child = branch.children[level] = _Branch()
            branch = child
        branch.value = self._values[topic] = value

    def pop(self, topic: str) -> V | None:
        """Remove a topic; gives what was there. Empty branches go."""
        value = self._values.pop(topic, None)
        if value is None:
            return None
        levels = topic.split("/")
        path = [self._root]
        for level in levels:
            path.append(path[-1].children[level])
        path[-1].value = None
        for level, parent, branch in zip(reversed(levels), reversed(path[:-1]), reversed(path[1:]), strict=True):
            if branch.value is not None or branch.children:
                break
            del parent.children[level]
        return value

    def match(self, topic_filter: str) -> Iterator[V]:
        """Values of all topics that `topic_filter` covers. The tree may change between two of them: each is as it is then."""
        if not is_wild(topic_filter):
            value = self._values.get(topic_filter)
            return iter(() if value is None else (value,))
        return self._walk(topic_filter.split("/"))

    def _walk(self, levels: list[str]) -> Iterator[V]:
        branches = [self._root]
        for depth, level in enumerate(levels):
            if level == "#":
                yield from self._below(branches, whole=depth == 0)
                return
            if level == "+":
                branches = [
                    child
                    for branch in branches
                    for name, child in branch.children.items()
                    if depth or not name.startswith("$")  # [MQTT-4.7.2-1]
                ]
            else:
                branches = [child for branch in branches if (child := branch.children.get(level)) is not None]
        for branch in branches:
            if branch.value is not None:
                yield branch.value

    def _below(self, branches: list[_Branch[V]], *, whole: bool) -> Iterator[V]:
        waiting = list(branches)
        if whole:  # a lone "#" leaves out what begins with "$" [MQTT-4.7.2-1]
            waiting = [child for name, child in self._root.children.items() if not name.startswith("$")]
        while waiting:
            branch = waiting.pop()
            if branch.value is not None:
                yield branch.value
            waiting.extend(branch.children.values())
