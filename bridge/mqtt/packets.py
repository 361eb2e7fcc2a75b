"""MQTT 3.1.1 packets, both directions: functions that give bytes, functions that read the body of a Frame.

`encode_*` trust the caller for everything but lengths; `decode_*` raise Malformed with the statement that is broken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.mqtt.errors import Malformed, Unacceptable
from bridge.mqtt.topics import check_filter, check_name, text

ACCEPTED: Final = 0
UNACCEPTABLE_VERSION: Final = 1
IDENTIFIER_REJECTED: Final = 2
SERVER_UNAVAILABLE: Final = 3
BAD_CREDENTIALS: Final = 4
NOT_AUTHORISED: Final = 5
"""CONNACK return codes (section 3.2.2.3)."""

FAILURE: Final = 0x80
"""SUBACK return code of a filter that is refused."""

PINGREQ_BYTES: Final = b"\xc0\x00"
PINGRESP_BYTES: Final = b"\xd0\x00"
DISCONNECT_BYTES: Final = b"\xe0\x00"


class Will(NamedTuple):
    """What the server publishes when the client vanishes."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Connect(NamedTuple):
    """A CONNECT. `keep_alive` in seconds, 0 is never."""

    client_id: str
    clean_session: bool = True
    keep_alive: int = 60
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None


# Client to server.


def encode_connect(connect: Connect) -> bytes:
    """A CONNECT packet."""
    will = connect.will
    flags = connect.clean_session << 1
    body = [_string(connect.client_id)]
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        body += [_string(will.topic), _binary(will.payload)]
    if connect.username is not None:
        flags |= 0x80
        body.append(_string(connect.username))
    if connect.password is not None:
        flags |= 0x40
        body.append(_binary(connect.password))
    return _packet(0x10, b"\x00\x04MQTT\x04" + bytes((flags,)) + connect.keep_alive.to_bytes(2, "big") + b"".join(body))


def decode_connect(body: bytes) -> Connect:
    """Body of a CONNECT. Raises Unacceptable for another protocol version, Malformed for everything else that is wrong."""
    reader = _Reader(body)
    name = reader.string()
    if name == "MQIsdp":
        raise Unacceptable(name, reader.byte())
    if name != "MQTT":
        raise Malformed(f"protocol name {name[:20]!r}", "MQTT-3.1.2-1")
    level = reader.byte()
    if level != 4:
        raise Unacceptable(name, level)
    flags = reader.byte()
    _check_connect_flags(flags)
    keep_alive = reader.number()
    client_id = reader.string()  # [MQTT-3.1.3-3] [MQTT-3.1.3-4]
    will = None
    if flags & 0x04:
        topic = reader.string()
        check_name(topic)
        will = Will(topic, reader.binary(), flags >> 3 & 3, bool(flags & 0x20))
    username = reader.string() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.finish("CONNECT")
    return Connect(client_id, bool(flags & 0x02), keep_alive, username, password, will)


def _check_connect_flags(flags: int) -> None:
    if flags & 0x01:
        raise Malformed("reserved connect flag is set", "MQTT-3.1.2-3")
    if flags & 0x04:
        if flags & 0x18 == 0x18:
            raise Malformed("will QoS 3", "MQTT-3.1.2-14")
    elif flags & 0x18:
        raise Malformed("will QoS without a will", "MQTT-3.1.2-13")
    elif flags & 0x20:
        raise Malformed("will retain without a will", "MQTT-3.1.2-15")
    if flags & 0xC0 == 0x40:
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
    name = _string(topic)
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
    return _packet(
        0x82, packet_id.to_bytes(2, "big") + b"".join(_string(name) + bytes((qos,)) for name, qos in filters)
    )


def decode_subscribe(body: bytes) -> list[tuple[str, int]]:
    """(filter, QoS) pairs of a SUBSCRIBE frame's body."""
    reader = _Reader(body)
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
    return _packet(0xA2, packet_id.to_bytes(2, "big") + b"".join(map(_string, filters)))


def decode_unsubscribe(body: bytes) -> list[str]:
    """Filters of an UNSUBSCRIBE frame's body."""
    reader = _Reader(body)
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
    return _packet(0x90, packet_id.to_bytes(2, "big") + bytes(codes))


def decode_suback(body: bytes) -> list[int]:
    """Return codes of a SUBACK frame's body."""
    codes = list(body)
    if not codes or any(code > 2 and code != FAILURE for code in codes):
        raise Malformed("SUBACK with a reserved return code", "MQTT-3.9.3-2")
    return codes


def encode_unsuback(packet_id: int) -> bytes:
    """An UNSUBACK."""
    return b"\xb0\x02" + packet_id.to_bytes(2, "big")


# Pieces.


def encode_length(length: int) -> bytes:
    """The remaining length field. Raises Malformed above 268,435,455."""
    if length < 128:
        return bytes((length,))
    if length > 268_435_455:
        raise Malformed(f"{length} bytes are more than a packet can hold")
    out = bytearray()
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    return bytes(out)


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_length(len(body)) + body


def _string(value: str) -> bytes:
    return _binary(value.encode())


def _binary(value: bytes) -> bytes:
    if len(value) > 65_535:
        raise Malformed(f"{len(value)} bytes are more than a field can hold")
    return len(value).to_bytes(2, "big") + value


class _Reader:
    """A cursor that cannot pass the end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        at = self._at
        self._at = at + size
        if self._at > len(self._data):
            raise Malformed("packet ends within a field")
        return self._data[at : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.number())

    def string(self) -> str:
        return text(self.binary())

    def finish(self, name: str) -> None:
        if self.left:
            raise Malformed(f"{self.left} bytes behind the end of {name}")
