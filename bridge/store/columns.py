"""A column: the readings of one point over a day or less, as bytes: pure.

Times and values become whole numbers (times in ms; values times a power of ten where that gives each float64 back bit by bit,
else the bits of a float32 or of the float64 itself). Of whole numbers the differences are kept, or the numbers themselves,
whichever are narrower: above their smallest, by planes of one byte, and a plane that zlib halves is kept by zlib.

    u32 CRC of the rest | u8 form of the values | u32 count | times | values
    each of both: u8 differences? | u8 width in bytes | i64 first | i64 smallest | width × (u32 size, the plane)

A plane's size is the count where it is as it is. A column is read some hundred times faster than as many rows.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bridge.errors import StoreError

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

MAX_DECIMALS = 9
FLOAT32, FLOAT64 = 32, 64
"""Forms of values; lower ones are a number of decimals."""
_EXACT = float(1 << 53)
_HEAD = struct.Struct("<IBI")
_PART = struct.Struct("<BBqq")
_SIZE = struct.Struct("<I")
_HOLDERS = {width: next(size for size in (1, 2, 4, 8) if size >= width) for width in range(1, 9)}
_WORTH = 0.5
"""zlib takes ten times as long to read as what it did not touch."""
_PROBE = 32


class Column(NamedTuple):
    """Readings in ascending time, no time twice."""

    times: Times
    values: Values


EMPTY = Column(np.empty(0, np.int64), np.empty(0, np.float64))


def encode(column: Column) -> bytes:
    """At least one reading as bytes; `decode` gives back exactly the same."""
    form, numbers = _whole(np.ascontiguousarray(column.values, np.float64))
    body = _packed_times(np.ascontiguousarray(column.times, np.int64).tobytes()) + _packed(numbers)
    head = _HEAD.pack(0, form, len(column.times))[4:]
    return zlib.crc32(head + body).to_bytes(4, "little") + head + body


def decode(blob: bytes) -> Column:
    """The readings of `encode`. Raises StoreError where they cannot be read."""
    try:
        _, form, count = _HEAD.unpack_from(blob)
        times, at = _unpacked(blob, _HEAD.size, count)
        numbers, _ = _unpacked(blob, at, count)
    except (ValueError, struct.error, zlib.error) as error:
        raise StoreError(f"a chunk of readings is damaged: {error}") from None
    if form == FLOAT64:
        return Column(times, numbers.view(np.float64))
    if form == FLOAT32:
        return Column(times, numbers.astype(np.uint32).view(np.float32).astype(np.float64))
    values = numbers.astype(np.float64)
    if form:
        values /= 10.0**form
    return Column(times, values)


def whole(blob: bytes, low: int, high: int) -> bool:
    """Whether these are the very bytes that `encode` gave, with times in [low, high)."""
    if zlib.crc32(memoryview(blob)[4:]) != int.from_bytes(blob[:4], "little"):
        return False
    try:
        times, values = decode(blob)
    except StoreError:
        return False
    if not len(times):
        return False
    inside = low <= int(times[0]) and int(times[-1]) < high
    return inside and bool(np.all(times[1:] > times[:-1])) and len(values) == len(times)


def between(column: Column, start: int, end: int) -> Column:
    """The part of it that lies in [start, end)."""
    times, values = column
    if not len(times) or (times[0] >= start and times[-1] < end):
        return column
    low, high = np.searchsorted(times, (_bounded(start), _bounded(end)))
    return Column(times[low:high], values[low:high])


def joined(parts: list[Column]) -> Column:
    """Parts that follow one another in time."""
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    return Column(np.concatenate([part.times for part in parts]), np.concatenate([part.values for part in parts]))


def merged(old: Column, new: Column) -> Column:
    """Both; where a time is in both, the reading of `new` counts."""
    if not len(old.times) or not len(new.times):
        return new if len(new.times) else old
    if new.times[0] > old.times[-1]:
        return joined([old, new])
    times = np.concatenate([new.times, old.times])
    order = np.argsort(times, kind="stable")
    times = times[order]
    first = np.concatenate([[True], times[1:] != times[:-1]])
    return Column(times[first], np.concatenate([new.values, old.values])[order][first])


def _bounded(at: int) -> int:
    return max(-(1 << 63), min(at, (1 << 63) - 1))


def _whole(values: Values) -> tuple[int, Times]:
    bits = values.view(np.int64)
    if not np.any((values == 0) & (bits != 0)):  # -0.0 is no whole number
        probe = values[:_PROBE]
        for decimals in range(MAX_DECIMALS + 1):
            if _scaled(probe, decimals) is not None and (numbers := _scaled(values, decimals)) is not None:
                return decimals, numbers
    with np.errstate(over="ignore", invalid="ignore"):
        short = values.astype(np.float32)
    if np.array_equal(short.astype(np.float64).view(np.int64), bits):
        return FLOAT32, short.view(np.uint32).astype(np.int64)
    return FLOAT64, bits


def _scaled(values: Values, decimals: int) -> Times | None:
    scale = 10.0**decimals
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.rint(values * scale)
        exact = np.all((np.abs(numbers) < _EXACT) & (numbers / scale == values))
    return numbers.astype(np.int64) if exact else None


@lru_cache(maxsize=4)
def _packed_times(times: bytes) -> bytes:
    """The points of an asset mostly have the same times."""
    return _packed(np.frombuffer(times, np.int64))


def _packed(numbers: Times) -> bytes:
    """Arithmetic here and in `_unpacked` is modulo 2^64."""
    steps = np.diff(numbers)
    low, width = _narrow(numbers)
    differences = 0
    if len(steps):
        step_low, step_width = _narrow(steps)
        if step_width < width:
            differences, low, width, numbers = 1, step_low, step_width, np.concatenate([numbers[:1], steps])
    first = int(numbers[0])
    above = (numbers - np.int64(low))[differences:].view(np.uint64)
    parts = [_PART.pack(differences, width, first, low)]
    planes = above.astype("<u8").view(np.uint8).reshape(-1, 8)
    for index in range(width):
        plane = planes[:, index].tobytes()
        short = zlib.compress(plane, 1)
        if len(short) <= len(plane) * _WORTH:
            plane = short
        parts += [_SIZE.pack(len(plane)), plane]
    return b"".join(parts)


def _narrow(numbers: Times) -> tuple[int, int]:
    """The smallest of numbers, and how many bytes the others lie above it."""
    low, high = int(numbers.min()), int(numbers.max())
    return low, ((high - low).bit_length() + 7) // 8


def _unpacked(blob: bytes, at: int, count: int) -> tuple[Times, int]:
    differences, width, first, low = _PART.unpack_from(blob, at)
    at += _PART.size
    size = count - differences
    if not width:
        return _even(differences, first, low, count), at
    holder = _HOLDERS.get(width, 8)
    planes = np.empty((size, holder), np.uint8) if width == holder else np.zeros((size, holder), np.uint8)
    for index in range(width):
        (length,) = _SIZE.unpack_from(blob, at)
        at += 4
        if length == size:
            planes[:, index] = np.frombuffer(blob, np.uint8, size, at)
        else:
            planes[:, index] = np.frombuffer(zlib.decompress(blob[at : at + length]), np.uint8)
        at += length
    numbers = np.empty(count, np.int64)
    numbers[differences:] = planes.view(f"<u{holder}")[:, 0]
    numbers[differences:] += low
    if differences:
        numbers[0] = first
        np.cumsum(numbers, out=numbers)
    return numbers, at


def _even(differences: int, first: int, low: int, count: int) -> Times:
    """Numbers that are all the same, or all as far apart."""
    if not differences:
        return np.full(count, low, np.int64)
    numbers = np.arange(count, dtype=np.int64)
    numbers *= low
    numbers += first
    return numbers
