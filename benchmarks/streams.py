"""Bytes that a load generator reads, taken apart without a loop over packets where they are all alike.

Every report of a run has the same length and layout, so that the PUBLISH packets of one read differ only in columns: packet ids
and the number inside the mid come out by slices with a stride. Whatever looks otherwise goes through `packets`, one by one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

DIGITS = 8
"""Hex digits of a report's number, at the end of its mid."""


class Shape(NamedTuple):
    """The layout of one PUBLISH, equal for all of a run."""

    size: int
    head: bytes
    """First byte and remaining length."""
    id_at: int
    number_at: int

    def taken(self, data: bytes, at: int, count: int) -> tuple[array[int], bytearray]:
        """Of `count` packets that begin at `at`: the numbers of their reports, and the PUBACKs to send."""
        size, end = self.size, at + count * self.size
        digits = bytearray(DIGITS * count)
        for place in range(DIGITS):
            digits[place::DIGITS] = data[at + self.number_at + place : end : size]
        numbers = array("I", bytes.fromhex(digits.decode()))
        numbers.byteswap()
        acks = bytearray(b"\x40\x02\0\0" * count)
        acks[2::4] = data[at + self.id_at : end : size]
        acks[3::4] = data[at + self.id_at + 1 : end : size]
        return numbers, acks

    def alike(self, data: bytes, at: int) -> int:
        """How many whole packets from `at` on have this shape."""
        count = (len(data) - at) // self.size
        end = at + count * self.size
        for place, byte in enumerate(self.head):
            column = data[at + place : end : self.size]
            if column.count(byte) != count:
                count = len(column) - len(column.lstrip(bytes((byte,))))
                end = at + count * self.size
        return count


class Packet(NamedTuple):
    """A control packet, and where the next one begins."""

    first: int
    body: bytes
    end: int


def packets(data: bytes, at: int = 0) -> Iterator[Packet]:
    """Whole packets from `at` on; what is left at the end is the beginning of another."""
    end = len(data)
    while end - at >= 2:
        size, shift, place = 0, 0, at + 1
        while True:
            if place >= end:
                return
            byte = data[place]
            place += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if place + size > end:
            return
        yield Packet(data[at], data[place : place + size], place + size)
        at = place + size


def number_of(body: bytes, payload_size: int, offset: int) -> int:
    """The number of a report inside a PUBLISH body, whose payload is its end; -1 when it is none of ours."""
    start = len(body) - payload_size + offset
    try:
        return int(body[start : start + DIGITS], 16) if start >= 0 else -1
    except ValueError:
        return -1
