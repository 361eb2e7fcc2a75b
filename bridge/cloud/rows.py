"""Rows of readings as senders write them -> a Batch to store; what is wrong is said row by row, and keeps no good row out.

A row is narrow, {asset, point, timestamp, value, unit?, kind?}, or wide, {asset, timestamp, values: {point: value}, units?,
kinds?}; both may name the device and an IANA timezone. A body is NDJSON, one row, an array of rows or {"readings": rows}.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from bridge.cloud.row_faults import MALFORMED, Bad, explained
from bridge.cloud.zones import parse as parse_time
from bridge.cloud.zones import zone
from bridge.errors import Refused
from bridge.store.series import Asset, Batch

MAX_ROWS = 200_000
"""A body of 8 MiB has some 100,000 of the shortest rows."""
MAX_ERRORS = 100
"""Errors that an answer lists; all are counted."""
BREATH = 500
"""Rows between two turns of the event loop: about 2 ms."""
PORTION = 64 << 10
"""Bytes of plain rows between two turns."""
FUTURE_MS = 86_400_000
OLDEST_MS = 100_000_000_000
"""1973 in milliseconds, the year 5138 in seconds: what lies before it was meant in seconds. The bridge draws the same
line."""
NEWEST_MS = 100_000_000_000_000

ASSET = r"[^\s,/\\\"'()\x00-\x1f\x7f]{1,400}"
POINT = r"[^\s,\\\"'()\x00-\x1f\x7f]{1,128}"
_ASSET = re.compile(ASSET)
_POINT = re.compile(POINT)
JSON_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})

T = TypeVar("T")
Sort = Literal["gauge", "counter"]


class _Row(msgspec.Struct):
    asset: str
    timestamp: int | float | str
    point: str | UnsetType = UNSET
    value: float | UnsetType | None = UNSET
    unit: str | None = None
    kind: Sort | None = None
    values: dict[str, float | None] | UnsetType = UNSET
    units: dict[str, str] | None = None
    kinds: dict[str, Sort] | None = None
    device: str | None = None
    timezone: str | None = None


class _Wide(msgspec.Struct, forbid_unknown_fields=True):
    """Most rows of a bridge that mirrors: numbers, of points that the asset is known to have."""

    asset: str
    timestamp: int
    values: Raw
    device: str | None = None


class _Readings(msgspec.Struct, forbid_unknown_fields=True):
    readings: list[Raw]


class Line(NamedTuple):
    """The bytes of one row; `number` is its line in NDJSON, from 1."""

    body: bytes | Raw
    number: int | None


class Parsed(NamedTuple):
    """What a body held. `errors` has the first MAX_ERRORS as {row (from 0), line?, path, detail}."""

    batch: Batch
    accepted: int
    rejected: int
    errors: list[dict[str, Any]]


_row = msgspec.json.Decoder(_Row).decode
_wide_lines = msgspec.json.Decoder(_Wide).decode_lines
_numbers = msgspec.json.Decoder(dict[str, float]).decode
_array = msgspec.json.Decoder(list[Raw]).decode
_wrapped = msgspec.json.Decoder(_Readings).decode


def split(body: bytes, content_type: str) -> list[Line]:
    """The rows of a body. Raises Refused: not_json when it is none of the forms, too_many_rows."""
    return _lines(body) if content_type in JSON_LINES else _whole(body)


async def parse(rows: list[Line], assets: dict[str, Asset], may_write: Callable[[str], bool], now: int) -> Parsed:
    """Check rows (see `split`) and gather the good ones. `may_write(device)` says whose readings the sender may bring."""
    batch = Batch()
    errors: list[dict[str, Any]] = []
    rejected = 0
    reader = _Reader(batch, assets, may_write, now)
    for index, line in enumerate(rows):
        if index % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        try:
            reader.take(line.body)
        except Bad as bad:
            rejected += 1
            if len(errors) < MAX_ERRORS:
                where = {"row": index} if line.number is None else {"row": index, "line": line.number}
                errors.append({**where, "path": bad.path, "detail": bad.detail})
    return Parsed(batch, len(rows) - rejected, rejected, errors)


async def plain(body: bytes, assets: dict[str, Asset], may_write: Callable[[str], bool], now: int) -> Parsed | None:
    """The rows of NDJSON that are _Wide, all of them, at half the price of `parse`; None where any row needs another look."""
    batch = Batch()
    reader = _Reader(batch, assets, may_write, now)
    begin = 0
    while begin < len(body):
        end = body.find(b"\n", begin + PORTION) + 1 or len(body)
        try:
            reader.take_plain(_wide_lines(body[begin:end]))
        except (*MALFORMED, Bad):
            return None
        begin = end
        await asyncio.sleep(0)
    count = reader.taken
    return Parsed(batch, count, 0, []) if 0 < count <= MAX_ROWS else None


class _Reader:
    def __init__(self, batch: Batch, assets: dict[str, Asset], may_write: Callable[[str], bool], now: int) -> None:
        self._batch = batch
        self._assets = assets
        self._may_write = may_write
        self._now = now
        self._owners: dict[tuple[str, str | None], str] = {}
        self._zones: set[str] = set()
        self.taken = 0

    def take_plain(self, rows: list[_Wide]) -> None:
        """Add rows to the batch, their JSON as it is: each name once, without escapes. Raises Bad, ValidationError."""
        newest, add = self._now + FUTURE_MS, self._batch.add
        owners, assets = self._owners, self._assets
        for row in rows:
            asset, told = row.asset, row.values
            known, values = assets.get(asset), _numbers(told)
            if known is None or not values or not values.keys() <= known.points.keys():
                raise Bad("$.values", "unknown points")
            text = bytes(told)
            if text.count(b":") != len(values) or b"\\" in text or not OLDEST_MS <= row.timestamp <= newest:
                raise Bad("$", "not plain")
            device = owners.get((asset, row.device)) or self._owner(asset, row.device)
            add(asset, device, row.timestamp, values, told)
        self.taken += len(rows)

    def take(self, body: bytes | Raw) -> None:
        """Check one row and add it to the batch. Raises Bad."""
        try:
            row = _row(body)
        except MALFORMED as error:
            raise explained(bytes(body), error) from error
        device = self._owners.get((row.asset, row.device)) or self._owner(row.asset, row.device)
        at = _instant(row.timestamp, self._now)
        values = self._narrow(row) if row.values is UNSET else self._wide(row, row.values)
        known = self._assets.get(row.asset)
        if known is None or not values.keys() <= known.points.keys():
            for point in values:
                if not _POINT.fullmatch(point):
                    path = "$.point" if row.values is UNSET else "$.values"
                    raise Bad(path, f"{point[:128]!r} cannot name a point: no blanks, commas, quotes or parentheses")
        _nul(row)
        if row.timezone is not None:
            self._zone(row.asset, row.timezone)
        self._batch.add(row.asset, device, at, values)
        if row.unit is not None or row.kind is not None or row.units or row.kinds:
            self._state(row, values)

    def _owner(self, asset: str, device: str | None) -> str:
        """The device that an asset belongs to: as known, as told, or what stands before its first dot."""
        if not _ASSET.fullmatch(asset):
            raise Bad(
                "$.asset", f"{asset[:400]!r} cannot name an asset: no blanks, commas, slashes, quotes or parentheses"
            )
        known = self._assets.get(asset)
        owner = device or (known.device if known else asset.partition(".")[0])
        if known and known.device != owner:
            raise Bad("$.device", f"asset {asset} belongs to another device")
        if asset != owner and not asset.startswith(owner + "."):
            raise Bad("$.device", f"asset {asset} is neither {owner} nor a part of it, such as {owner}.meter.1")
        if not self._may_write(owner):
            raise Bad("$.asset", f"this key may not write readings of {owner}")
        self._owners[asset, device] = owner
        return owner

    def _narrow(self, row: _Row) -> dict[str, float]:
        if row.point is UNSET:
            raise Bad("$.point", "a row has point and value, or values")
        if row.value is UNSET or row.value is None:
            raise Bad("$.value", "a reading has a value, a finite number")
        return {row.point: row.value}

    def _wide(self, row: _Row, values: dict[str, float | None]) -> dict[str, float]:
        if row.point is not UNSET or row.value is not UNSET:
            raise Bad("$.values", "a row has either point and value, or values")
        found = {point: value for point, value in values.items() if value is not None}
        if not found:
            raise Bad("$.values", "there is no value in it")
        return found

    def _zone(self, asset: str, name: str) -> None:
        if name not in self._zones:
            try:
                zone(name)
            except ValueError as error:
                raise Bad("$.timezone", str(error)) from error
            self._zones.add(name)
        self._batch.zones[asset] = name

    def _state(self, row: _Row, values: dict[str, float]) -> None:
        stated = self._batch.stated.setdefault(row.asset, {})
        for point in values:
            unit = row.unit if row.units is None else row.units.get(point, row.unit)
            kind = row.kind if row.kinds is None else row.kinds.get(point, row.kind)
            if unit is not None or kind is not None:
                stated[point] = (unit, kind)


def _nul(row: _Row) -> None:
    """Not every database can hold it. Raises Bad."""
    if row.unit is not None and "\0" in row.unit:
        raise Bad("$.unit", "a unit has no NUL in it")
    if row.units and any("\0" in unit for unit in row.units.values()):
        raise Bad("$.units", "a unit has no NUL in it")


def _instant(told: float | str, now: int) -> int:
    if isinstance(told, str):
        try:
            at = parse_time(told)
        except ValueError:
            at = None
        if not isinstance(at, int):
            raise Bad("$.timestamp", "milliseconds since 1970, or ISO 8601 with an offset")
    elif isinstance(told, float) and not told.is_integer():
        raise Bad("$.timestamp", "whole milliseconds since 1970")
    else:
        at = int(told)
    if at < OLDEST_MS:
        hint = "; it looks like seconds" if now // 1000 - 10**9 < at <= now // 1000 + 10**8 else ""
        raise Bad("$.timestamp", f"{_short(at)} lies before 1973 in milliseconds since 1970{hint}")
    if at > now + FUTURE_MS:
        hint = "; it looks like microseconds" if at > NEWEST_MS else ""
        raise Bad("$.timestamp", f"{_short(at)} lies more than a day in the future{hint}")
    return at


def _short(at: int) -> str:
    return str(at) if abs(at) < 10**20 else "it"


def _bounded(rows: list[T]) -> list[T]:
    """The same rows, before anything is done with each. Raises Refused."""
    if len(rows) > MAX_ROWS:
        raise Refused("too_many_rows", f"a body may have {MAX_ROWS} rows")
    return rows


def _lines(body: bytes) -> list[Line]:
    rows: list[Line] = []
    for number, line in enumerate(BytesIO(body), 1):
        if line.strip():
            rows.append(Line(line, number))
            _bounded(rows)
    if not rows:
        raise Refused("not_json", "the body is empty")
    if not any(_is_json(line.body) for line in rows):
        raise Refused("not_json", "no line of the body is JSON")
    return rows


def _whole(body: bytes) -> list[Line]:
    head = body.lstrip()[:1]
    try:
        if head == b"[":
            return [Line(raw, None) for raw in _bounded(_array(body))]
        if head == b"{":
            return _object(body)
    except RecursionError as error:
        raise Refused("not_json", "the body is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _tolerant(body, error)
    if not head:
        raise Refused("not_json", "the body is empty")
    raise Refused("not_json", 'the body is no JSON: a row, an array of rows, {"readings": [row, …]} or one row a line')


def _object(body: bytes) -> list[Line]:
    """One row, {"readings": […]}, or rows by line that did not say so."""
    try:
        msgspec.json.decode(body, type=Raw)
    except msgspec.DecodeError:
        first, _, rest = body.strip().partition(b"\n")
        if rest and _is_json(first):
            return _lines(body)
        raise
    try:
        return [Line(raw, None) for raw in _bounded(_wrapped(body).readings)]
    except msgspec.ValidationError:
        return [Line(body, None)]


def _tolerant(body: bytes, error: Exception) -> list[Line]:
    """Rows of a body that is JSON but for NaN, Infinity or the like, which some writers emit: only the rows with them are
    bad."""
    try:
        value = json.loads(body)
        rows = value.get("readings", [value]) if isinstance(value, dict) else value
        listed = _bounded(rows) if isinstance(rows, list) else [value]
        return [Line(json.dumps(row).encode(), None) for row in listed]
    except (ValueError, RecursionError):
        detail = str(error).removeprefix("JSON is malformed: ")
        raise Refused("not_json", f"the body is no JSON: {detail}") from error


def _is_json(text: bytes | Raw) -> bool:
    try:
        msgspec.json.decode(text, type=Raw)
    except MALFORMED:
        try:
            json.loads(bytes(text))
        except (ValueError, RecursionError):
            return False
    return True
