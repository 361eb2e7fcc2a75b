"""Bytes of a connection -> whole packets (MQTT 3.1.1 and 5, sections 2.2 and 3.3): one walk of offsets over each chunk.

No copy of the remainder per packet, no object per packet beyond one tuple. A packet that spreads over chunks is gathered in
one buffer, so that a peer who sends byte by byte costs no more than its bytes.
"""

from __future__ import annotations

from typing import Final

from bridge.mqtt.errors import Malformed, TooLarge
from bridge.mqtt.topics import TopicNames

MAX_PACKET: Final = 5 + 268_435_455
"""The largest packet that the four length bytes can announce."""

CONNECT: Final = 0x10
CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x62
PUBCOMP: Final = 0x70
SUBSCRIBE: Final = 0x82
SUBACK: Final = 0x90
UNSUBSCRIBE: Final = 0xA2
UNSUBACK: Final = 0xB0
PINGREQ: Final = 0xC0
PINGRESP: Final = 0xD0
DISCONNECT: Final = 0xE0
AUTH: Final = 0xF0

Frame = tuple[int, str, int, bytes]
"""(first byte, topic, packet id, body).

PUBLISH: topic, packet id (0 at QoS 0) and payload; QoS is `first >> 1 & 3`, RETAIN `first & 1`, DUP `first & 8`.
PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK: the packet id. SUBSCRIBE, SUBACK, UNSUBSCRIBE: packet id and what follows it.
CONNECT, CONNACK: the whole body. Other packets have nothing but their first byte.

MQTT 5: in a PUBLISH's body the properties stand before the payload, and its topic may be "" (an alias stands for it); the
acknowledgements have a body after their packet id; DISCONNECT and AUTH have one.
"""

# What to do with a packet, by its first byte.
_ILLEGAL, _PUBLISH_0, _PUBLISH_ID, _ID_ONLY, _ID_BODY, _BODY, _EMPTY = range(7)


def _shapes(version: int) -> bytes:
    shapes = bytearray(256)
    for first in (0x30, 0x31):
        shapes[first] = _PUBLISH_0
    for first in (0x32, 0x33, 0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D):
        shapes[first] = _PUBLISH_ID
    for first in (PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK):
        shapes[first] = _ID_ONLY if version == 4 else _ID_BODY
    for first in (SUBSCRIBE, SUBACK, UNSUBSCRIBE):
        shapes[first] = _ID_BODY
    for first in (CONNECT, CONNACK):
        shapes[first] = _BODY
    for first in (PINGREQ, PINGRESP, DISCONNECT):
        shapes[first] = _EMPTY
    if version == 5:
        shapes[DISCONNECT] = shapes[AUTH] = _BODY
    return bytes(shapes)


_SHAPES: Final = {version: _shapes(version) for version in (4, 5)}


class Framing:
    """The receiving side of one connection.

    `limit` is the largest packet taken, in bytes, header included; it may be changed between calls. `names` may be shared by
    many connections. `version` is 4 (MQTT 3.1.1) or 5; a CONNECT that is read sets it for what follows. After the first
    malformed packet `error` says why and nothing more is read.
    """

    __slots__ = ("_gathered", "_names", "_wanted", "error", "limit", "version")

    def __init__(self, limit: int = MAX_PACKET, names: TopicNames | None = None, version: int = 4) -> None:
        self.limit = limit
        self.version = version
        self.error: Malformed | None = None
        self._names = TopicNames() if names is None else names
        self._gathered: bytearray | None = None
        self._wanted = 0

    @property
    def buffered(self) -> int:
        """Bytes kept of a packet that is not whole yet."""
        return len(self._gathered) if self._gathered else 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """All packets that are whole with `chunk`, in order; look at `error` after dealing with them."""
        if self._gathered is not None:
            self._gathered += chunk
            if len(self._gathered) < self._wanted:
                return []
            chunk = bytes(self._gathered)
            self._gathered = None
        frames: list[Frame] = []
        if self.error is None:
            try:
                rest = self._walk(chunk, frames)
            except Malformed as error:
                self.error = error
            else:
                if rest < len(chunk):
                    self._gathered = bytearray(chunk[rest:] if rest else chunk)
        return frames

    def _walk(self, data: bytes, frames: list[Frame]) -> int:
        """Append every whole packet to `frames`; gives the offset of the first byte that belongs to none."""
        append, names, shapes, limit, end = frames.append, self._names, _SHAPES[self.version], self.limit, len(data)
        at = 0
        while True:
            start = at
            if start + 2 > end:
                if start < end and not shapes[data[start]]:
                    raise _illegal(data[start])
                self._wanted = 2
                return start
            first = data[at]
            length = data[at + 1]
            at += 2
            shape = shapes[first]
            if length > 127 or not shape:
                if not shape:
                    raise _illegal(first)
                length, at = _length(data, at - 1, end)
                if not at:
                    self._wanted = end - start + 1
                    return start
            stop = at + length
            if stop - start > limit:
                raise TooLarge(stop - start, limit)
            if stop > end:
                self._wanted = stop - start
                return start
            if shape == _PUBLISH_ID:
                if length < 4 or (body := at + 4 + (data[at] << 8 | data[at + 1])) > stop:
                    raise Malformed("PUBLISH ends within its topic or packet id")
                packet_id = data[body - 2] << 8 | data[body - 1]
                if not packet_id:
                    raise Malformed("PUBLISH with packet id 0", "MQTT-2.3.1-1")
                append(
                    (
                        first,
                        names[data[at + 2 : body - 2]] if body > at + 4 else self._nameless(),
                        packet_id,
                        data[body:stop],
                    )
                )
            elif shape == _PUBLISH_0:
                if length < 2 or (body := at + 2 + (data[at] << 8 | data[at + 1])) > stop:
                    raise Malformed("PUBLISH ends within its topic")
                append((first, names[data[at + 2 : body]] if body > at + 2 else self._nameless(), 0, data[body:stop]))
            else:
                append(_other(data, first, shape, at, stop))
                if first == CONNECT:
                    self.version = 5 if data[at : at + 7] == b"\0\4MQTT\5" else 4
                    shapes = _SHAPES[self.version]
            at = stop

    def _nameless(self) -> str:
        if self.version == 5:
            return ""
        raise Malformed("empty topic name", "MQTT-4.7.3-1")


def _other(data: bytes, first: int, shape: int, at: int, stop: int) -> Frame:
    if shape == _EMPTY:
        if at != stop:
            raise Malformed(f"packet 0x{first:02x} with a body")
        return first, "", 0, b""
    if shape == _BODY:
        return first, "", 0, data[at:stop]
    if stop - at < 2 or (shape == _ID_ONLY and stop - at != 2):
        raise Malformed(f"packet 0x{first:02x} with {stop - at} bytes of body")
    packet_id = data[at] << 8 | data[at + 1]
    if not packet_id:
        raise Malformed(f"packet 0x{first:02x} with packet id 0", "MQTT-2.3.1-1")
    return first, "", packet_id, data[at + 2 : stop]


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Remaining length that starts at `at`, and the offset behind it; offset 0 when the header is not whole."""
    length = 0
    for shift in (0, 7, 14, 21):
        if at == end:
            return 0, 0
        byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            return length, at
    raise Malformed("remaining length of more than four bytes")


def _illegal(first: int) -> Malformed:
    if first >> 4 == PUBLISH >> 4:
        if first >> 1 & 3 == 3:
            return Malformed("PUBLISH with QoS 3", "MQTT-3.3.1-4")
        return Malformed("PUBLISH with DUP at QoS 0", "MQTT-3.3.1-2")
    return Malformed(f"packet type or flags 0x{first:02x}", "MQTT-2.2.2-2")
