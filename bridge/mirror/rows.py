"""Outbox lines -> rows of our own formats, one JSON object a line (docs/mirror.md). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from bridge.store.outbox import OutboxLine
from schemas.points import POINTS


class Row(NamedTuple):
    """One line of a body. `seq` and `device` are those of its outbox line; `point` is empty for a whole sample. `addressee`
    is the only webhook that an event is for; `kept` is the value of a reading, or those of a sample, where `body` is not JSON
    of ours."""

    seq: int
    device: str
    asset: str
    timestamp: int
    point: str
    body: bytes
    addressee: str = ""
    kept: float | Raw = 0.0


class _Reading(msgspec.Struct):
    asset: str
    point: str
    timestamp: int
    value: float
    unit: str


class _Sample(msgspec.Struct):
    asset: str
    device: str
    timestamp: int
    values: Raw


class _Event(msgspec.Struct):
    id: str
    type: str
    to: str = ""


class _Either(msgspec.Struct):
    asset: str
    timestamp: int
    values: dict[str, float] = {}
    point: str = ""
    value: float = 0.0


_encode = msgspec.json.Encoder().encode
parts = msgspec.json.Decoder(list[tuple[str, int, dict[str, float]]]).decode
raw_parts = msgspec.json.Decoder(list[tuple[str, int, Raw]]).decode
_event = msgspec.json.Decoder(_Event).decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_either = msgspec.json.Decoder(_Either).decode
UNITS = {name: point.unit for name, point in POINTS.items()}


def readings(line: OutboxLine) -> list[Row]:
    """{asset, point, timestamp, value, unit}, one a value."""
    return [
        Row(line.seq, line.device, asset, at, point, _encode(_Reading(asset, point, at, value, UNITS.get(point, ""))))
        for asset, at, values in parts(line.samples)
        for point, value in values.items()
    ]


def samples(line: OutboxLine) -> list[Row]:
    """{asset, device, timestamp, values: {point: value}}, one an asset and instant."""
    return [
        Row(line.seq, line.device, asset, at, "", _encode(_Sample(asset, line.device, at, values)))
        for asset, at, values in raw_parts(line.samples)
    ]


def events(line: OutboxLine) -> list[Row]:
    """One event of a webhook: `asset` is its type, `point` its id."""
    head = _event(line.samples)
    text = line.samples.encode()
    if head.to:
        text = _encode({name: value for name, value in _object(text).items() if name != "to"})
    return [Row(line.seq, line.device, head.type, line.at, head.id, text, head.to)]


def size(rows: Iterable[Row]) -> int:
    """Bytes of rows with what parts them."""
    return sum([len(row.body) + 1 for row in rows])


def body(rows: Iterable[Row]) -> bytes:
    """NDJSON."""
    return b"".join(row.body + b"\n" for row in rows)


class Foreign:
    """What formats that are not ours have in common."""

    def size(self, rows: Sequence[Row]) -> int:
        """See `size`."""
        return size(rows)

    def letter(self, row: Row) -> bytes:
        """A row as a dead letter keeps it: in a format of ours."""
        if isinstance(row.kept, Raw):
            return _encode(_Sample(row.asset, row.device, row.timestamp, row.kept))
        return _encode(_Reading(row.asset, row.point, row.timestamp, row.kept, UNITS.get(row.point, "")))


def decode_row(payload: bytes) -> tuple[str, int, dict[str, float]]:
    """A row of either format, as a dead letter keeps it -> (asset, timestamp ms, {point: value})."""
    row = _either(payload)
    return row.asset, row.timestamp, row.values or {row.point: row.value}
