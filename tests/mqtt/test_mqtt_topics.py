"""Filters: valid, matching; the trie and the tree against the plain definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mqtt.errors import Malformed
from bridge.mqtt.topics import check_filter, check_name, matches
from bridge.mqtt.tree import TopicTree
from bridge.mqtt.trie import CACHED_ROUTES, Subscriptions


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a", False),
        ("#", "a", True),
        ("#", "/", True),
        ("a/#", "a", True),
        ("a/#", "a/", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("a/b/#", "a", False),
        ("+", "a", True),
        ("+", "/a", False),
        ("+/+", "/a", True),
        ("/+", "/a", True),
        ("+/a/#", "x/a", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("$SYS/+", "$SYS/x", True),
        ("a/#", "a/$x", True),
        ("a/+", "a/$x", True),
        ("A", "a", False),
    ],
)
def test_matches(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected
    subscriptions: Subscriptions[str] = Subscriptions()
    subscriptions.add(topic_filter, "s", 1)
    assert bool(subscriptions.match((topic,)).grants) is expected
    tree: TopicTree[str] = TopicTree()
    tree.put(topic, topic)
    assert list(tree.match(topic_filter)) == ([topic] if expected else [])


@pytest.mark.parametrize("topic_filter", ["", "a\0", "#/a", "a#", "a/#b", "+a", "a/b+/c", "##", "++", "#/#"])
def test_what_is_no_filter(topic_filter: str) -> None:
    with pytest.raises(Malformed):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic", ["", "a\0", "#", "a/+", "+"])
def test_what_is_no_name(topic: str) -> None:
    with pytest.raises(Malformed):
        check_name(topic)


_level = st.sampled_from(["a", "b", "", "$c"])
_topic = st.lists(_level, min_size=1, max_size=4).map("/".join).filter(bool)
_filter = st.builds(
    lambda levels, end: "/".join(levels + end),
    st.lists(_level | st.just("+"), max_size=4),
    st.sampled_from([[], ["#"]]),
).filter(bool)
_step = st.tuples(st.booleans(), _filter, st.integers(0, 3), st.integers(0, 2))


@given(st.lists(_step, max_size=30), st.lists(_topic, min_size=1, max_size=3, unique=True))
def test_the_trie_agrees_with_the_definition(steps: list[tuple[bool, str, int, int]], topics: list[str]) -> None:
    subscriptions: Subscriptions[int] = Subscriptions(lambda who, topic: (who, topic[:1]) != (3, "b"))
    plain: dict[tuple[str, int], int] = {}
    for add, topic_filter, who, qos in steps:
        if add:
            assert subscriptions.add(topic_filter, who, qos) is ((topic_filter, who) not in plain)
            plain[topic_filter, who] = qos
        else:
            assert subscriptions.remove(topic_filter, who) is (plain.pop((topic_filter, who), None) is not None)
        expected: dict[int, tuple[int, str, int]] = {}
        for topic in topics:
            holders: dict[int, int] = {}
            for (name, holder), granted in plain.items():
                if matches(name, topic) and (holder, topic[:1]) != (3, "b"):
                    holders[holder] = max(granted, holders.get(holder, 0))
            for holder, granted in holders.items():
                expected.setdefault(holder, (holder, topic, granted))
        assert sorted(grant[:3] for grant in subscriptions.match(tuple(topics)).grants) == sorted(expected.values())
        assert subscriptions.count == len(plain)
    for topic_filter, who in plain:
        subscriptions.remove(topic_filter, who)
    assert subscriptions._root.children == {}
    assert subscriptions._exact == {}


@given(st.lists(st.tuples(st.booleans(), _topic), max_size=30), _filter)
def test_the_tree_agrees_with_the_definition(steps: list[tuple[bool, str]], topic_filter: str) -> None:
    tree: TopicTree[str] = TopicTree()
    plain: set[str] = set()
    for put, topic in steps:
        if put:
            tree.put(topic, topic)
            plain.add(topic)
        else:
            assert tree.pop(topic) == (topic if topic in plain else None)
            plain.discard(topic)
    assert len(tree) == len(plain)
    assert sorted(tree.match(topic_filter)) == sorted(topic for topic in plain if matches(topic_filter, topic))
    for topic in plain:
        assert tree.get(topic) == topic
        tree.pop(topic)
    assert tree._root.children == {}


def test_routes_are_remembered_until_something_changes_and_bounded() -> None:
    asked: list[str] = []

    def allow(_who: str, topic: str) -> bool:
        asked.append(topic)
        return True

    subscriptions = Subscriptions(allow)
    subscriptions.add("#", "s", 0)
    for _ in range(3):
        assert subscriptions.match(("a",)).grants == (("s", "a", 0, None),)
    assert asked == ["a"]
    subscriptions.add("b", "t", 0)
    subscriptions.match(("a",))
    subscriptions.forget_routes()
    subscriptions.match(("a",))
    assert asked == ["a"] * 3
    for number in range(CACHED_ROUTES + 1):
        subscriptions.match((f"x/{number}",))
    assert len(subscriptions._cache) <= CACHED_ROUTES


@pytest.mark.parametrize(
    "topic_filter", ["bridge/#", "bridge/v1/a/b/command/c", "+/v1/#", "#", "$share/group/bridge/v1/#"]
)
def test_anybody_who_may_hear_a_topic_is_known_by_its_first_level(topic_filter: str) -> None:
    table: Subscriptions[str] = Subscriptions()
    table.add("v1/+/x", "other", 1)
    assert not table.anybody("bridge")
    for subscriber in ("one", "two", "one"):
        table.add(topic_filter, subscriber, 1)
    assert table.anybody("bridge")
    assert not table.remove(topic_filter, "nobody")
    table.remove(topic_filter, "one")
    assert table.anybody("bridge")
    table.remove(topic_filter, "two")
    assert not table.anybody("bridge")
