"""Which topics a filter covers: a tree of topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from bridge.mqtt.topics import is_wild

V = TypeVar("V")


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

    def values(self) -> Iterator[V]:
        """All values."""
        return iter(self._values.values())

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
