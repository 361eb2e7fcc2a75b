"""Raw readings of the past become quarter-hours, and these go in the end: one chunk after the other, oldest first.

What a quarter-hour says (`PARTS`, `USED`) are columns of their own, at its start; their names have a comma, which no point has.
A chunk and the quarter-hours made of it change places in one transaction. Where a quarter-hour is there already, it stays: what
comes that late cannot be told from what was counted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter

from bridge.store.chunks import DAY_BITS, DAY_MS, DAYS, chunk_id, column_number, merge_old, part_name
from bridge.store.columns import Column, decode
from bridge.store.database import Database
from bridge.store.folding import Pause
from bridge.store.scan import Scan

CHUNKS_PER_STEP = 16
DROPPED_PER_STEP = 256

Roll = Callable[[Column, int, bool, float | None], Mapping[str, Column]]
"""(a day's readings, its number, whether they are a counter's, the reading before) -> a column for each of PARTS; and USED, of a
counter."""

_OLD = f"""
SELECT c.number, c.asset, c.point, p.kind, (SELECT id & {DAYS - 1} FROM chunks
  WHERE id >= c.number << {DAY_BITS} AND id < (c.number << {DAY_BITS} | ?1) ORDER BY id LIMIT 1) AS day
FROM columns c JOIN points p ON p.asset = c.asset AND p.name = c.point WHERE day IS NOT NULL LIMIT ?2
"""
_STALE = f"""
SELECT k.id FROM columns c JOIN chunks k ON k.id >= c.number << {DAY_BITS} AND k.id < (c.number << {DAY_BITS} | ?1)
WHERE instr(c.point, ',') > 0 LIMIT ?2
"""


async def retire(
    database: Database, roll: Roll, raw: int | None, rolled: int | None, pause: Pause | None = None
) -> tuple[int, int]:
    """Roll up raw chunks of days before `raw` (since 1970), drop quarter-hours of days before `rolled`; None: none. Gives
    how many chunks of each. Raises StoreError."""
    rolled_up = 0 if raw is None else await _steps(database, partial(_roll_up, _bounded(raw), roll), pause)
    dropped = 0 if rolled is None else await _steps(database, partial(_drop, _bounded(rolled)), pause)
    return rolled_up, dropped


def _bounded(day: int) -> int:
    return max(0, min(day, DAYS - 1))


async def _steps(database: Database, step: Callable[[sqlite3.Connection], int], pause: Pause | None) -> int:
    total = 0
    while True:
        began = perf_counter()
        done = await database.write(step)
        total += done
        if not done:
            return total
        if pause is not None:
            await pause(perf_counter() - began)


def _roll_up(before: int, roll: Roll, connection: sqlite3.Connection) -> int:
    found = connection.execute(_OLD, (before, CHUNKS_PER_STEP)).fetchall()
    for number, asset, point, kind, day in found:
        key = chunk_id(number, day)
        (body,) = connection.execute("SELECT body FROM chunks WHERE id = ?", (key,)).fetchone()
        last = Scan(connection).before(asset, day * DAY_MS, point)
        parts = roll(decode(body), day, kind == "counter", None if last is None else last[1])
        for part, column in parts.items():
            merge_old(connection, chunk_id(column_number(connection, asset, part_name(point, part)), day), column)
        connection.execute("DELETE FROM chunks WHERE id = ?", (key,))
    return len(found)


def _drop(before: int, connection: sqlite3.Connection) -> int:
    keys = connection.execute(_STALE, (before, DROPPED_PER_STEP)).fetchall()
    connection.executemany("DELETE FROM chunks WHERE id = ?", keys)
    return len(keys)
