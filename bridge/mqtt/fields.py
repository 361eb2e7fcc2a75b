"""The pieces that packets are made of (MQTT 5, section 1.5): what every encoder joins and every decoder reads."""

from __future__ import annotations

from bridge.mqtt.errors import Malformed
from bridge.mqtt.topics import text


def encode_length(length: int) -> bytes:
    """A remaining length, or a variable byte integer. Raises Malformed above 268,435,455."""
    if length < 128:
        return bytes((length,))
    if length > 268_435_455:
        raise Malformed(f"{length} are more than a packet can hold")
    out = bytearray()
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    """A whole packet."""
    return bytes((first,)) + encode_length(len(body)) + body


def string(value: str) -> bytes:
    """A UTF-8 string with its length. Raises Malformed above 65,535 bytes."""
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    """Bytes with their length. Raises Malformed above 65,535 bytes."""
    if len(value) > 65_535:
        raise Malformed(f"{len(value)} bytes are more than a field can hold")
    return len(value).to_bytes(2, "big") + value


class Reader:
    """A cursor over `data` that cannot pass `end`. Raises Malformed."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return self.end - self.at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        at = self.at
        self.at = at + size
        if self.at > self.end:
            raise Malformed("packet ends within a field")
        return self.data[at : self.at]

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def number(self, size: int = 2) -> int:
        """An integer of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def length(self) -> int:
        """A variable byte integer."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise Malformed("number of more than four bytes", "MQTT-1.5.5-1")

    def binary(self) -> bytes:
        """Bytes with their length in front."""
        return self.take(self.number())

    def string(self) -> str:
        """A UTF-8 string with its length in front."""
        return text(self.binary())

    def finish(self, name: str) -> None:
        """Raises Malformed when something is left of packet `name`."""
        if self.left:
            raise Malformed(f"{self.left} bytes behind the end of {name}")
