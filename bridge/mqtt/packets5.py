"""MQTT 5 packets, both directions, where they differ from 3.1.1 (bridge.mqtt.packets has CONNECT of both).

`encode_*` trust the caller for everything but lengths; `decode_*` read the body of a Frame and raise Malformed with the
statement that is broken and the reason code for the DISCONNECT. Properties are dicts, see bridge.mqtt.properties.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bridge.mqtt import properties
from bridge.mqtt.errors import Malformed
from bridge.mqtt.fields import Reader, encode_length, packet, string
from bridge.mqtt.properties import Properties
from bridge.mqtt.reasons import PROTOCOL_ERROR, SUCCESS
from bridge.mqtt.topics import check_filter

NO_LOCAL: Final = 0x04
RETAIN_AS_PUBLISHED: Final = 0x08
RETAIN_HANDLING: Final = 0x30
"""Bits of subscription options (section 3.8.3.1), beside the QoS in the lowest two."""
SHARED: Final = "$share/"


def encode_connack(code: int, found: Properties, *, session_present: bool = False) -> bytes:
    """A CONNACK."""
    return packet(0x20, bytes((session_present, code)) + properties.encode(found))


def decode_connack(body: bytes) -> tuple[bool, int, Properties]:
    """(session present, reason code, properties)."""
    reader = Reader(body)
    flags = reader.byte()
    if flags > 1:
        raise Malformed(f"CONNACK with flags 0x{flags:02x}", "MQTT-3.2.2-1")
    code = reader.byte()
    found = properties.read(reader, properties.IN_CONNACK)
    reader.finish("CONNACK")
    return bool(flags), code, found


def encode_publish(
    topic: str,
    payload: bytes,
    qos: int = 0,
    found: Properties | None = None,
    *,
    retain: bool = False,
    dup: bool = False,
    packet_id: int = 0,
) -> bytes:
    """A PUBLISH; `packet_id` counts only at QoS 1 and 2."""
    body = string(topic) + (packet_id.to_bytes(2, "big") if qos else b"") + properties.encode(found or {}) + payload
    return packet(0x30 | dup << 3 | qos << 1 | retain, body)


def decode_publish(body: bytes, allowed: frozenset[int] = properties.IN_DELIVERY) -> tuple[Properties, bytes]:
    """(properties, payload) of a PUBLISH frame's body."""
    reader = Reader(body)
    found = properties.read(reader, allowed)
    return found, body[reader.at :]


def encode_ack(first: int, packet_id: int, code: int = SUCCESS, found: Properties | None = None) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, by its first byte: as short as what it says allows (section 3.4.2.1)."""
    if not code and not found:
        return bytes((first, 2)) + packet_id.to_bytes(2, "big")
    if not found:
        return bytes((first, 3)) + packet_id.to_bytes(2, "big") + bytes((code,))
    return packet(first, packet_id.to_bytes(2, "big") + bytes((code,)) + properties.encode(found))


def decode_ack(body: bytes) -> tuple[int, Properties]:
    """(reason code, properties) of such a frame's body."""
    if not body:
        return SUCCESS, {}
    reader = Reader(body)
    code = reader.byte()
    found = properties.read(reader, properties.IN_ACK) if reader.left else {}
    reader.finish("an acknowledgement")
    return code, found


def encode_subscribe(packet_id: int, filters: Iterable[tuple[str, int]], found: Properties | None = None) -> bytes:
    """A SUBSCRIBE to (filter, options) pairs."""
    asked = b"".join(string(name) + bytes((options,)) for name, options in filters)
    return packet(0x82, packet_id.to_bytes(2, "big") + properties.encode(found or {}) + asked)


def decode_subscribe(body: bytes) -> tuple[list[tuple[str, int]], Properties]:
    """((filter, options) pairs, properties) of a SUBSCRIBE frame's body."""
    reader = Reader(body)
    found = properties.read(reader, properties.IN_SUBSCRIBE)
    filters = []
    while reader.left:
        topic_filter = reader.string()
        check_shared(topic_filter)
        options = reader.byte()
        if options & 0xC0 or options & 3 == 3 or options & RETAIN_HANDLING == RETAIN_HANDLING:
            raise Malformed(f"SUBSCRIBE with options 0x{options:02x}", "MQTT-3.8.3-5")
        if options & NO_LOCAL and topic_filter.startswith(SHARED):
            raise Malformed("a shared subscription with no local", "MQTT-3.8.3-4", PROTOCOL_ERROR)
        filters.append((topic_filter, options))
    if not filters:
        raise Malformed("SUBSCRIBE without a filter", "MQTT-3.8.3-2", PROTOCOL_ERROR)
    return filters, found


def check_shared(topic_filter: str) -> None:
    """Raise Malformed unless it may be subscribed to; `$share/name/filter` needs a name and a filter (section 4.8.2)."""
    if not topic_filter.startswith(SHARED):
        check_filter(topic_filter)
        return
    _, name, rest = (topic_filter + "//").split("/", 2)
    if not name or "+" in name or "#" in name:
        raise Malformed("a shared subscription without a valid name", "MQTT-4.8.2-1")
    if rest == "/":
        raise Malformed("a shared subscription without a filter", "MQTT-4.8.2-2")
    check_filter(topic_filter)


def encode_codes(first: int, packet_id: int, codes: Iterable[int], found: Properties | None = None) -> bytes:
    """SUBACK or UNSUBACK, by its first byte: a reason code for each filter, in order."""
    return packet(first, packet_id.to_bytes(2, "big") + properties.encode(found or {}) + bytes(codes))


def decode_codes(body: bytes) -> tuple[list[int], Properties]:
    """(reason codes, properties) of a SUBACK or UNSUBACK frame's body."""
    reader = Reader(body)
    found = properties.read(reader, properties.IN_ACK)
    codes = list(reader.take(reader.left))
    if not codes:
        raise Malformed("acknowledgement without a reason code")
    return codes, found


def encode_unsubscribe(packet_id: int, filters: Iterable[str], found: Properties | None = None) -> bytes:
    """An UNSUBSCRIBE."""
    return packet(0xA2, packet_id.to_bytes(2, "big") + properties.encode(found or {}) + b"".join(map(string, filters)))


def decode_unsubscribe(body: bytes) -> list[str]:
    """Filters of an UNSUBSCRIBE frame's body."""
    reader = Reader(body)
    properties.read(reader, properties.IN_UNSUBSCRIBE)
    filters = []
    while reader.left:
        topic_filter = reader.string()
        check_shared(topic_filter)
        filters.append(topic_filter)
    if not filters:
        raise Malformed("UNSUBSCRIBE without a filter", "MQTT-3.10.3-2", PROTOCOL_ERROR)
    return filters


def encode_disconnect(code: int = SUCCESS, found: Properties | None = None) -> bytes:
    """A DISCONNECT."""
    if not code and not found:
        return b"\xe0\x00"
    return packet(0xE0, bytes((code,)) + (properties.encode(found) if found else b""))


def decode_disconnect(body: bytes) -> tuple[int, Properties]:
    """(reason code, properties)."""
    if not body:
        return SUCCESS, {}
    reader = Reader(body)
    code = reader.byte()
    found = properties.read(reader, properties.IN_DISCONNECT) if reader.left else {}
    reader.finish("DISCONNECT")
    return code, found


def publish_head(first: int, topic: bytes, found: bytes, payload_size: int) -> tuple[bytes, bytes]:
    """What stands before the packet id, and the properties behind it: so that many copies share their parts. `topic` is encoded
    with its length, `found` without."""
    tail = encode_length(len(found)) + found
    size = len(topic) + len(tail) + payload_size + (2 if first & 6 else 0)
    return bytes((first,)) + encode_length(size) + topic, tail
