"""Statements on the chunks of the time series, and the step that folds rows of `samples` into them.

A fold reads rows of one asset and UTC day, merges them into the day's chunks and deletes them, in one transaction: at any instant
a reading is in a row or in a chunk, or in both with the row counting, never in neither.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable

import msgspec
import numpy as np

from bridge.store.columns import EMPTY, Column, decode, encode, merged, whole
from bridge.store.dialect import Connection

DAY_MS = 86_400_000
DAY_BITS = 22
"""Of a chunk's id: days up to the year 13453."""
DAYS = 1 << DAY_BITS
STEP_VALUES = 20_000
"""Values that one step of folding moves: some 10 ms of the writer."""
LEAST_ROWS = 64
"""Rows of a step, however many values they have: each of them rewrites the day's chunks."""
PARTS = ("count", "sum", "min", "max", "first", "last")
"""What is kept of a quarter-hour of a point (bridge/store/retention.py)."""
USED = "used"
"""And of a counter: its increments, of quarter-hours that have any."""

_ROWS = "SELECT ts, body FROM samples WHERE asset = ? AND ts >= ? AND ts < ? ORDER BY ts LIMIT ?"
_GONE = "DELETE FROM samples WHERE asset = ? AND ts >= ? AND ts <= ?"
_COLUMNS = "SELECT point, number FROM columns WHERE asset = ?"
_COLUMN = "INSERT INTO columns (asset, point) VALUES (?, ?) RETURNING number"
_CHUNK = "SELECT body FROM chunks WHERE id = ?"
_PUT = "INSERT INTO chunks (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
_NEXT = "SELECT ts FROM samples WHERE asset = ? AND ts >= ? ORDER BY ts LIMIT 1"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM samples WHERE asset = ? AND ts >= ? AND ts < ? LIMIT ?) AS few"

values_of = msgspec.json.Decoder(dict[str, float]).decode


def chunk_id(column: int, day: int) -> int:
    """The key of a chunk. Days outside of 1970 to 13453 have none; their readings stay rows."""
    return column << DAY_BITS | max(0, min(day, DAYS - 1))


def waiting(connection: Connection, asset: int, limit: int) -> list[tuple[int, int]]:
    """(day, number of rows but at most `limit`) of each day of an asset that has rows."""
    found: list[tuple[int, int]] = []
    at = 0
    while (row := connection.execute(_NEXT, (asset, at)).fetchone()) is not None:
        day = row[0] // DAY_MS
        if day >= DAYS:
            break
        at = (day + 1) * DAY_MS
        found.append((day, connection.execute(_COUNT, (asset, day * DAY_MS, at, limit)).fetchone()[0]))
    return found


def fold(connection: Connection, asset: int, day: int) -> int:
    """Move some of the rows of an asset and day into its chunks; gives how many rows. To be run in a transaction."""
    low, high = day * DAY_MS, (day + 1) * DAY_MS
    numbers: dict[str, int] = dict(connection.execute(_COLUMNS, (asset,)))
    limit = max(LEAST_ROWS, STEP_VALUES // max(1, len(numbers)))
    rows = connection.execute(_ROWS, (asset, low, high, limit)).fetchall()
    if not rows:
        return 0
    for point, column in gathered(rows).items():
        number = numbers.get(point)
        if number is None:
            number = column_number(connection, asset, point)
        put(connection, chunk_id(number, day), column)
    connection.execute(_GONE, (asset, low, rows[-1][0]))
    return len(rows)


def put(connection: Connection, key: int, column: Column) -> None:
    """Merge readings into a chunk; they count more than what is there."""
    row = connection.execute(_CHUNK, (key,)).fetchone()
    old = EMPTY if row is None else decode(row[0])
    connection.execute(_PUT, (key, encode(merged(old, column))))


def is_whole(key: int, body: bytes) -> bool:
    """Whether a chunk has the very bytes that were written, of its own day."""
    day = key & (DAYS - 1)
    return whole(body, day * DAY_MS, (day + 1) * DAY_MS)


def part_name(point: str, part: str) -> str:
    """The column of a part of a point's quarter-hours."""
    return f"{point},{part}"


def column_number(connection: Connection, asset: int, point: str) -> int:
    """The number of a column, which is made where it is not there."""
    row = connection.execute("SELECT number FROM columns WHERE asset = ? AND point = ?", (asset, point)).fetchone()
    if row is None:
        row = connection.execute(_COLUMN, (asset, point)).fetchone()
    return int(row[0])


def merge_old(connection: Connection, key: int, column: Column) -> None:
    """Merge readings into a chunk; what is there counts more."""
    row = connection.execute(_CHUNK, (key,)).fetchone()
    found = column if row is None else merged(column, decode(row[0]))
    if len(found.times):
        connection.execute(_PUT, (key, encode(found)))


def gathered(rows: Iterable[tuple[int, str]], points: Collection[str] | None = None) -> dict[str, Column]:
    """Rows in ascending time as columns; only of `points`, where they are given."""
    found: dict[str, tuple[array[int], array[float]]] = {}
    for at, body in rows:
        values = values_of(body)
        for point in values if points is None else points:
            value = values.get(point)
            if value is None:
                continue
            pair = found.get(point)
            if pair is None:
                pair = found[point] = (array("q"), array("d"))
            pair[0].append(at)
            pair[1].append(value)
    return {
        point: Column(np.frombuffer(times, np.int64), np.frombuffer(values, np.float64))
        for point, (times, values) in found.items()
    }
