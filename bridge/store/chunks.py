"""Statements on the chunks of the time series, and the step that folds rows of `samples` into them.

A fold reads rows of one asset and UTC day, merges them into the day's chunks and deletes them, in one transaction: at any
instant a reading is in a row or in a chunk, or in both with the row counting, never in neither.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping

import msgspec
import numpy as np

from bridge.store.columns import EMPTY, Column, decode, encode, merged, whole
from bridge.store.dialect import Connection, Dialect

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


def fold(connection: Connection, dialect: Dialect, asset: int, day: int) -> tuple[int, bool]:
    """Move some of the rows of an asset and day into its chunks; gives how many rows, and whether there may be more. To be
    run in a transaction."""
    low, high = day * DAY_MS, (day + 1) * DAY_MS
    numbers = column_numbers(connection, asset)
    limit = max(LEAST_ROWS, STEP_VALUES // max(1, len(numbers)))
    rows = connection.execute(_ROWS, (asset, low, high, limit)).fetchall()
    if not rows:
        return 0, False
    found = gathered(rows)
    put(
        connection,
        dialect,
        {chunk_id(_number(connection, numbers, asset, point), day): column for point, column in found.items()},
    )
    connection.execute(_GONE, (asset, low, rows[-1][0]))
    return len(rows), len(rows) == limit


def put(connection: Connection, dialect: Dialect, columns: Mapping[int, Column]) -> None:
    """Merge readings into chunks, by their keys; they count more than what is there."""
    old = _bodies(connection, dialect, columns)
    connection.executemany(
        _PUT,
        [(key, encode(merged(decode(old[key]) if key in old else EMPTY, column))) for key, column in columns.items()],
    )


def put_under(connection: Connection, dialect: Dialect, asset: int, day: int, columns: Mapping[str, Column]) -> None:
    """Merge readings of an asset's points into the chunks of a day; what is there counts more."""
    numbers = column_numbers(connection, asset)
    keyed = {
        chunk_id(_number(connection, numbers, asset, point), day): column
        for point, column in columns.items()
        if len(column.times)
    }
    old = _bodies(connection, dialect, keyed)
    connection.executemany(
        _PUT,
        [(key, encode(merged(column, decode(old[key])) if key in old else column)) for key, column in keyed.items()],
    )


def _bodies(connection: Connection, dialect: Dialect, keys: Iterable[int]) -> dict[int, bytes]:
    return dict(connection.execute(dialect.chunks, (str(list(keys)),)).fetchall())


def is_whole(key: int, body: bytes) -> bool:
    """Whether a chunk has the very bytes that were written, of its own day."""
    day = key & (DAYS - 1)
    return whole(body, day * DAY_MS, (day + 1) * DAY_MS)


def part_name(point: str, part: str) -> str:
    """The column of a part of a point's quarter-hours."""
    return f"{point},{part}"


def column_numbers(connection: Connection, asset: int) -> dict[str, int]:
    """The columns of an asset and their numbers."""
    return dict(connection.execute(_COLUMNS, (asset,)).fetchall())


def _number(connection: Connection, numbers: dict[str, int], asset: int, point: str) -> int:
    """The number of a column, which is made where it is not there."""
    number = numbers.get(point)
    return int(connection.execute(_COLUMN, (asset, point)).fetchone()[0]) if number is None else number


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
