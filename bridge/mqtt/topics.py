"""Topic names and topic filters: what is valid, what matches (MQTT 3.1.1, section 4.7)."""

from __future__ import annotations

from bridge.mqtt.errors import Malformed

MAX_TOPIC_BYTES = 65_535
"""A topic is a UTF-8 string with a two-byte length [MQTT-4.7.3-3]."""
CACHED_NAMES = 65_536
"""Topic names that `TopicNames` remembers: some 10 topics for each of 5,000 devices; about 10 MB."""
CACHED_NAME_BYTES = 256
"""Longer names are not remembered: a client could fill the memory with them. Device topics have some 60 bytes."""


def text(raw: bytes) -> str:
    """Decode a UTF-8 string. Raises Malformed for ill-formed UTF-8, surrogates and U+0000."""
    try:
        decoded = (
            raw.decode()
        )  # strict: refuses surrogates and overlong forms [MQTT-1.5.3-1], keeps U+FEFF [MQTT-1.5.3-3]
    except UnicodeDecodeError as error:
        raise Malformed(f"string is not UTF-8: {error.reason}", "MQTT-1.5.3-1") from None
    if "\0" in decoded:
        raise Malformed("string contains U+0000", "MQTT-1.5.3-2")
    return decoded


def check_name(topic: str) -> None:
    """Raise Malformed unless `topic` may be published to."""
    if not topic:
        raise Malformed("empty topic name", "MQTT-4.7.3-1")
    if "#" in topic or "+" in topic:
        raise Malformed("topic name contains a wildcard", "MQTT-3.3.2-2")
    if "\0" in topic:
        raise Malformed("topic name contains U+0000", "MQTT-4.7.3-2")


def check_filter(topic_filter: str) -> None:
    """Raise Malformed unless `topic_filter` may be subscribed to."""
    if not topic_filter:
        raise Malformed("empty topic filter", "MQTT-4.7.3-1")
    if "\0" in topic_filter:
        raise Malformed("topic filter contains U+0000", "MQTT-4.7.3-2")
    if "#" not in topic_filter and "+" not in topic_filter:
        return
    levels = topic_filter.split("/")
    for level in levels[:-1]:
        if "#" in level:
            raise Malformed("# is not the last level of the filter", "MQTT-4.7.1-2")
    if "#" in levels[-1] and levels[-1] != "#":
        raise Malformed("# shares its level with other characters", "MQTT-4.7.1-2")
    for level in levels:
        if "+" in level and level != "+":
            raise Malformed("+ shares its level with other characters", "MQTT-4.7.1-3")


def is_wild(topic_filter: str) -> bool:
    """Whether a valid filter contains a wildcard."""
    return "#" in topic_filter or "+" in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a valid filter matches a valid topic name."""
    if topic_filter == topic:
        return True
    if not is_wild(topic_filter):
        return False
    if topic[0] == "$" and topic_filter[0] in "#+":
        return False  # [MQTT-4.7.2-1]
    wanted = topic_filter.split("/")
    levels = topic.split("/")
    for depth, level in enumerate(wanted):
        if level == "#":
            return True  # "a/#" also matches its parent "a": then depth == len(levels)
        if depth == len(levels) or (level != "+" and level != levels[depth]):
            return False
    return len(wanted) == len(levels)


class TopicNames(dict[bytes, str]):
    """Topic names by their bytes: decoded and checked once, then one dict lookup; bounded, forgets all when it is full.

    `names[raw]` raises Malformed when `raw` is no topic name.
    """

    __slots__ = ()

    def __missing__(self, raw: bytes) -> str:
        topic = text(raw)
        check_name(topic)
        if len(raw) <= CACHED_NAME_BYTES:
            if len(self) >= CACHED_NAMES:
                self.clear()
            self[raw] = topic
        return topic
