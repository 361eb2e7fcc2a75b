"""Reads of the time series: chunks and the rows beside them as one. Where both have a reading, the row counts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from itertools import islice

import numpy as np

from bridge.store.chunks import DAY_BITS, DAY_MS, DAYS, PARTS, USED, chunk_id, gathered, part_name, values_of
from bridge.store.columns import EMPTY, Column, Times, between, decode, joined, merged
from bridge.store.days import Held, held
from bridge.store.dialect import Connection, Dialect

BLOCK = 64
"""Samples of a day that are put together at once: of a day of a hundred assets a page wants few."""

MOST_ROWS = 4_096
"""Rows that are read at once."""

_SCAN = "SELECT ts, body FROM samples WHERE asset = ? AND ts >= ? AND ts < ? ORDER BY ts LIMIT ?"
_SCAN_BACK = _SCAN.replace("ORDER BY ts", "ORDER BY ts DESC")
_NUMBER = "SELECT number FROM columns WHERE asset = ? AND point = ?"
_CHUNKS = "SELECT body FROM chunks WHERE id >= ? AND id <= ? ORDER BY id"
_CHUNKS_BACK = f"{_CHUNKS} DESC LIMIT 2"
_DAY = f"""
SELECT c.point, k.body FROM columns c JOIN chunks k ON k.id = (c.number << {DAY_BITS} | ?2)
WHERE c.asset = ?1 AND c.point NOT LIKE '%,%'
"""
_NEXT_DAY = f"""
SELECT min((SELECT id & {DAYS - 1} FROM chunks WHERE id >= number << {DAY_BITS} | ?2 AND id < (number + 1) << {DAY_BITS}
ORDER BY id LIMIT 1)) FROM columns WHERE asset = ?1 AND point NOT LIKE '%,%'
"""
_DAY_BEFORE = f"""
SELECT max((SELECT id & {DAYS - 1} FROM chunks WHERE id <= number << {DAY_BITS} | ?2 AND id >= number << {DAY_BITS}
ORDER BY id DESC LIMIT 1)) FROM columns WHERE asset = ?1 AND point NOT LIKE '%,%'
"""

Sample = tuple[int, dict[str, float]]
"""(ms, {point: value})"""


class Scan:
    """Reads on one connection, inside its thread."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    def samples(
        self, asset: int, start: int, end: int, newest_first: bool = False, point: str | None = None
    ) -> Iterator[Sample]:
        """(ms, {point: value}) of [start, end); only those of `point`, where it is given."""
        while start < end:
            day = (
                self._chunk_day(asset, end - 1, _DAY_BEFORE)
                if newest_first
                else self._chunk_day(asset, start, _NEXT_DAY)
            )
            low, high = (start, end) if day is None else (max(start, day * DAY_MS), min(end, (day + 1) * DAY_MS))
            if day is None or low >= high:
                yield from self._rows(asset, start, end, newest_first, point)
                return
            if newest_first:
                yield from self._rows(asset, high, end, newest_first, point)
            else:
                yield from self._rows(asset, start, low, newest_first, point)
            yield from self._mixed(asset, day, low, high, newest_first, point)
            start, end = (start, low) if newest_first else (high, end)

    def columns(self, asset: int, points: Collection[str], start: int, end: int) -> Iterator[tuple[str, Column]]:
        """The readings of [start, end) of each of several points, one point after the other."""
        rows = gathered(self._bodies(asset, start, end, False), points)
        for point in points:
            found = self._old(asset, start, end, point)
            yield point, merged(found, rows[point]) if point in rows else found

    def column(self, asset: int, start: int, end: int, point: str) -> Column:
        """The readings of [start, end) of one point."""
        return next(self.columns(asset, (point,), start, end))[1]

    def rolled(self, asset: int, start: int, end: int, point: str) -> dict[str, Column] | None:
        """The quarter-hours that begin in [start, end) and are kept instead of readings: a column at their starts for each of
        PARTS, and USED; None where there are none."""
        counts = self._old(asset, start, end, part_name(point, PARTS[0]))
        if not len(counts.times):
            return None
        rest = {part: self._old(asset, start, end, part_name(point, part)) for part in (*PARTS[1:], USED)}
        return {PARTS[0]: counts, **rest}

    def before(self, asset: int, at: int, point: str) -> tuple[int, float] | None:
        """The last reading of `point` before `at`, however old; of a quarter-hour that is kept instead, at its start."""
        old = self._last_of_chunks(asset, at, point) or self._last_of_chunks(asset, at, part_name(point, "last"))
        since = -(1 << 63) if old is None else old[0]
        row: tuple[int, float] | None = self._connection.execute(
            self._dialect.last_row, (asset, at, since, point)
        ).fetchone()
        return old if row is None else (row[0], float(row[1]))

    def held(self, asset: int, start: int, end: int) -> Held:
        """In how many quarter-hours of [start, end) an asset told anything, and how many rows of its days came late."""
        return held(self._connection, asset, start, end)

    def means(self, asset: int, start: int, end: int, point: str, step: int) -> dict[int, float]:
        """Number of a step (ms since 1970 / `step`) -> mean of the readings of `point` in it, over [start, end)."""
        times, values = self.column(asset, start, end, point)
        if not len(times):
            return {}
        steps = times // step
        firsts = np.flatnonzero(np.diff(steps, prepend=steps[0] - 1))
        means = np.add.reduceat(values, firsts) / np.diff(firsts, append=len(steps))
        return dict(zip(steps[firsts].tolist(), means.tolist(), strict=True))

    def merged(
        self, wanted: Iterable[tuple[int, int, int]], limit: int, newest_first: bool, point: str | None = None
    ) -> list[tuple[int, int, dict[str, float]]]:
        """The first `limit` of (ms, asset, values) over several (asset, start, end), in order of time, then asset."""

        def one(asset: int, start: int, end: int) -> Iterator[tuple[int, int, dict[str, float]]]:
            for at, values in self.samples(asset, start, end, newest_first, point):
                yield at, asset, values

        def order(row: tuple[int, int, dict[str, float]]) -> tuple[int, int]:
            return (-row[0] if newest_first else row[0]), row[1]

        return list(islice(merge(*(one(*each) for each in wanted), key=order), limit))

    def _rows(self, asset: int, start: int, end: int, newest_first: bool, point: str | None) -> Iterator[Sample]:
        for at, body in self._bodies(asset, start, end, newest_first):
            values = values_of(body)
            if point is None:
                yield at, values
            elif point in values:
                yield at, {point: values[point]}

    def _bodies(self, asset: int, start: int, end: int, newest_first: bool) -> Iterator[tuple[int, str]]:
        """Rows by portions that grow: who wants few reads few, and nobody has all of them in memory."""
        limit = BLOCK
        while start < end:
            rows = self._connection.execute(
                _SCAN_BACK if newest_first else _SCAN, (asset, start, end, limit)
            ).fetchall()
            yield from rows
            if len(rows) < limit:
                return
            start, end = (start, rows[-1][0]) if newest_first else (rows[-1][0] + 1, end)
            limit = min(MOST_ROWS, limit * 4)

    def _mixed(
        self, asset: int, day: int, start: int, end: int, newest_first: bool, point: str | None
    ) -> Iterator[Sample]:
        """Samples of a part of one day, of chunks and rows."""
        columns = {
            name: between(decode(body), start, end)
            for name, body in self._connection.execute(_DAY, (asset, day))
            if point is None or name == point
        }
        rows = dict(self._rows(asset, start, end, False, point))
        times = _all_times([column.times for column in columns.values()], rows)
        firsts = range(0, len(times), BLOCK)
        for first in reversed(firsts) if newest_first else firsts:
            block = times[first : first + BLOCK]
            found = _put_together(block, columns, rows)
            yield from reversed(found.items()) if newest_first else found.items()

    def _chunk_day(self, asset: int, at: int, sql: str) -> int | None:
        """The day nearest to an instant, in the direction of `sql`, that has a chunk of the asset."""
        day = at // DAY_MS
        if (sql is _NEXT_DAY and day >= DAYS) or (sql is _DAY_BEFORE and day < 0):
            return None
        row = self._connection.execute(sql, (asset, max(0, min(day, DAYS - 1)))).fetchone()
        found: int | None = row[0]
        return found

    def _number(self, asset: int, point: str) -> int | None:
        row = self._connection.execute(_NUMBER, (asset, point)).fetchone()
        return None if row is None else int(row[0])

    def _old(self, asset: int, start: int, end: int, name: str) -> Column:
        """A column's chunks."""
        number = self._number(asset, name)
        if number is None or start >= end:
            return EMPTY
        keys = chunk_id(number, start // DAY_MS), chunk_id(number, (end - 1) // DAY_MS)
        return joined([between(decode(body), start, end) for (body,) in self._connection.execute(_CHUNKS, keys)])

    def _last_of_chunks(self, asset: int, at: int, point: str) -> tuple[int, float] | None:
        number = self._number(asset, point)
        if number is None or at <= 0:
            return None
        keys = chunk_id(number, 0), chunk_id(number, (at - 1) // DAY_MS)
        for (body,) in self._connection.execute(_CHUNKS_BACK, keys):
            times, values = decode(body)
            count = int(np.searchsorted(times, at))
            if count:
                return int(times[count - 1]), float(values[count - 1])
        return None


def _all_times(each: list[Times], rows: dict[int, dict[str, float]]) -> Times:
    """Every time of columns and rows once; mostly all columns have the same."""
    times = each[0] if each else np.empty(0, np.int64)
    for others in each[1:]:
        if others is not times and not np.array_equal(others, times):
            times = np.union1d(times, others)
    return np.union1d(times, np.array(list(rows), np.int64)) if rows else times


def _put_together(
    times: Times, columns: dict[str, Column], rows: dict[int, dict[str, float]]
) -> dict[int, dict[str, float]]:
    low, high = int(times[0]), int(times[-1]) + 1
    found: dict[int, dict[str, float]] = {at: {} for at in times.tolist()}
    for point, column in columns.items():
        part = between(column, low, high)
        for at, value in zip(part.times.tolist(), part.values.tolist(), strict=True):
            found[at][point] = value
    for at in found.keys() & rows.keys() if rows else ():
        found[at].update(rows[at])
    return found
