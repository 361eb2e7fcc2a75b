"""MQTT 3.1.1 packets, both directions, and CONNECT of MQTT 5: functions that give bytes, functions that read the body of a
Frame.

`encode_*` trust the caller for everything but lengths; `decode_*` raise Malformed with the statement that is broken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.mqtt import properties
from bridge.mqtt.errors import Malformed, Unacceptable
from bridge.mqtt.fields import Reader, binary, encode_length, packet, string
from bridge.mqtt.properties import Properties
from bridge.mqtt.topics import check_filter, check_name

V311: Final = 4
V5: Final = 5
"""Protocol levels of CONNECT."""

FAILURE: Final = 0x80
"""SUBACK return code of a filter that is refused."""

PINGREQ_BYTES: Final = b"\xc0\x00"
PINGRESP_BYTES: Final = b"\xd0\x00"
DISCONNECT_BYTES: Final = b"\xe0\x00"


class Will(NamedTuple):
    """What the server publishes when the client vanishes. `properties` are MQTT 5's, IN_WILL."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None


class Connect(NamedTuple):
    """A CONNECT. `keep_alive` in seconds, 0 is never; `clean_session` is MQTT 5's Clean Start; `properties` are MQTT 5's."""

    client_id: str
    clean_session: bool = True
    keep_alive: int = 60
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    version: int = V311
    properties: Properties | None = None


# Client to server.


def encode_connect(connect: Connect) -> bytes:
    """A CONNECT packet."""
    will = connect.will
    five = connect.version == V5
    flags = connect.clean_session << 1
    body = [properties.encode(connect.properties or {})] if five else []
    body.append(string(connect.client_id))
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        if five:
            body.append(properties.encode(will.properties or {}))
        body += [string(will.topic), binary(will.payload)]
    if connect.username is not None:
        flags |= 0x80
        body.append(string(connect.username))
    if connect.password is not None:
        flags |= 0x40
        body.append(binary(connect.password))
    head = b"\x00\x04MQTT" + bytes((connect.version, flags)) + connect.keep_alive.to_bytes(2, "big")
    return packet(0x10, head + b"".join(body))


def decode_connect(body: bytes) -> Connect:
    """Body of a CONNECT. Raises Unacceptable for another protocol version, Malformed for everything else that is wrong."""
    reader = Reader(body)
    name = reader.string()
    if name == "MQIsdp":
        raise Unacceptable(name, reader.byte())
    if name != "MQTT":
        raise Malformed(f"protocol name {name[:20]!r}", "MQTT-3.1.2-1")
    level = reader.byte()
    if level not in (V311, V5):
        raise Unacceptable(name, level)
    five = level == V5
    flags = reader.byte()
    _check_connect_flags(flags, level)
    keep_alive = reader.number()
    found = properties.read(reader, properties.IN_CONNECT) if five else None
    client_id = reader.string()  # [MQTT-3.1.3-3] [MQTT-3.1.3-4]
    will = None
    if flags & 0x04:
        of_will = properties.read(reader, properties.IN_WILL) if five else None
        if of_will and properties.RESPONSE_TOPIC in of_will:
            check_name(of_will[properties.RESPONSE_TOPIC])  # [MQTT-3.1.3-21]
        topic = reader.string()
        check_name(topic)
        will = Will(topic, reader.binary(), flags >> 3 & 3, bool(flags & 0x20), of_will)
    username = reader.string() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.finish("CONNECT")
    return Connect(client_id, bool(flags & 0x02), keep_alive, username, password, will, level, found)


def _check_connect_flags(flags: int, level: int) -> None:
    if flags & 0x01:
        raise Malformed("reserved connect flag is set", "MQTT-3.1.2-3")
    if flags & 0x04:
        if flags & 0x18 == 0x18:
            raise Malformed("will QoS 3", "MQTT-3.1.2-14")
    elif flags & 0x18:
        raise Malformed("will QoS without a will", "MQTT-3.1.2-13")
    elif flags & 0x20:
        raise Malformed("will retain without a will", "MQTT-3.1.2-15")
    if flags & 0xC0 == 0x40 and level == V311:
        raise Malformed("password without a user name", "MQTT-3.1.2-22")


def encode_publish(
    topic: str, payload: bytes, qos: int = 0, *, retain: bool = False, dup: bool = False, packet_id: int = 0
) -> bytes:
    """A PUBLISH packet; `packet_id` counts only at QoS 1 and 2."""
    head, tail = publish_parts(topic, payload, qos, retain=retain, dup=dup)
    return b"".join((head, packet_id.to_bytes(2, "big"), tail)) if qos else head + tail


def publish_parts(
    topic: str, payload: bytes, qos: int, *, retain: bool = False, dup: bool = False
) -> tuple[bytes, bytes]:
    """What stands before and behind the packet id, so that many copies differ in two bytes only."""
    name = string(topic)
    first = 0x30 | dup << 3 | qos << 1 | retain
    length = len(name) + len(payload) + (2 if qos else 0)
    return bytes((first,)) + encode_length(length) + name, payload


def encode_puback(packet_id: int) -> bytes:
    """QoS 1: the message is kept."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def encode_pubrec(packet_id: int) -> bytes:
    """QoS 2, first answer: the message is kept."""
    return b"\x50\x02" + packet_id.to_bytes(2, "big")


def encode_pubrel(packet_id: int) -> bytes:
    """QoS 2: the packet id may be forgotten."""
    return b"\x62\x02" + packet_id.to_bytes(2, "big")


def encode_pubcomp(packet_id: int) -> bytes:
    """QoS 2, last answer: the packet id is forgotten."""
    return b"\x70\x02" + packet_id.to_bytes(2, "big")


def encode_subscribe(packet_id: int, filters: Iterable[tuple[str, int]]) -> bytes:
    """A SUBSCRIBE to (filter, QoS) pairs."""
    return packet(0x82, packet_id.to_bytes(2, "big") + b"".join(string(name) + bytes((qos,)) for name, qos in filters))


def decode_subscribe(body: bytes) -> list[tuple[str, int]]:
    """(filter, QoS) pairs of a SUBSCRIBE frame's body."""
    reader = Reader(body)
    filters = []
    while reader.left:
        topic_filter = reader.string()
        check_filter(topic_filter)
        qos = reader.byte()
        if qos > 2:
            raise Malformed(f"SUBSCRIBE with options 0x{qos:02x}", "MQTT-3.8.3-4")
        filters.append((topic_filter, qos))
    if not filters:
        raise Malformed("SUBSCRIBE without a filter", "MQTT-3.8.3-3")
    return filters


def encode_unsubscribe(packet_id: int, filters: Iterable[str]) -> bytes:
    """An UNSUBSCRIBE."""
    return packet(0xA2, packet_id.to_bytes(2, "big") + b"".join(map(string, filters)))


def decode_unsubscribe(body: bytes) -> list[str]:
    """Filters of an UNSUBSCRIBE frame's body."""
    reader = Reader(body)
    filters = []
    while reader.left:
        topic_filter = reader.string()
        check_filter(topic_filter)
        filters.append(topic_filter)
    if not filters:
        raise Malformed("UNSUBSCRIBE without a filter", "MQTT-3.10.3-2")
    return filters


# Server to client.


def encode_connack(code: int, *, session_present: bool = False) -> bytes:
    """A CONNACK; `session_present` must be False unless `code` is 0 [MQTT-3.2.2-4]."""
    return bytes((0x20, 2, session_present, code))


def decode_connack(body: bytes) -> tuple[bool, int]:
    """(session present, return code)."""
    if len(body) != 2 or body[0] > 1:
        raise Malformed("CONNACK of the wrong form", "MQTT-3.2.2-1")
    if body[0] and body[1]:
        raise Malformed("refusing CONNACK with a session", "MQTT-3.2.2-4")
    return bool(body[0]), body[1]


def encode_suback(packet_id: int, codes: Iterable[int]) -> bytes:
    """A SUBACK: granted QoS or FAILURE for each filter, in order [MQTT-3.8.4-5]."""
    return packet(0x90, packet_id.to_bytes(2, "big") + bytes(codes))


def decode_suback(body: bytes) -> list[int]:
    """Return codes of a SUBACK frame's body."""
    codes = list(body)
    if not codes or any(code > 2 and code != FAILURE for code in codes):
        raise Malformed("SUBACK with a reserved return code", "MQTT-3.9.3-2")
    return codes


def encode_unsuback(packet_id: int) -> bytes:
    """An UNSUBACK."""
    return b"\xb0\x02" + packet_id.to_bytes(2, "big")
