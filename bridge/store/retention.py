"""Raw readings of the past become quarter-hours, and these go in the end: one chunk after the other, oldest first.

What a quarter-hour says (`PARTS`, `USED`) are columns of their own, at its start; their names have a comma, which no point
has. A chunk and the quarter-hours made of it change places in one transaction. Where a quarter-hour is there already, it
stays: what comes that late cannot be told from what was counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

from bridge.errors import StoreError
from bridge.store.chunks import DAY_BITS, DAY_MS, DAYS, chunk_id, part_name, put_under
from bridge.store.columns import Column, decode
from bridge.store.dialect import Connection, Dialect, Store
from bridge.store.folding import Pause
from bridge.store.scan import Scan

log = logging.getLogger(__name__)

LOOKED_UP = 10_000
"""Columns, and chunks to drop, that are looked up at once: a look at all of them takes some 3 µs each, beside the writer."""
CHUNKS_PER_STEP = 16
DROPPED_PER_STEP = 256

Roll = Callable[[Column, int, bool, float | None], Mapping[str, Column]]
"""(a day's readings, its number, whether they are a counter's, the reading before) -> a column for each of PARTS; and USED,
of a counter."""

_OLD = f"""
SELECT * FROM (SELECT c.number, c.asset, c.point, p.kind, (SELECT id & {DAYS - 1} FROM chunks
  WHERE id >= c.number << {DAY_BITS} AND id < (c.number << {DAY_BITS} | ?1) ORDER BY id LIMIT 1) AS day
FROM columns c JOIN points p ON p.asset = c.asset AND p.name = c.point) AS oldest WHERE day IS NOT NULL LIMIT ?2
"""
_STALE = f"""
SELECT k.id FROM columns c JOIN chunks k ON k.id >= c.number << {DAY_BITS} AND k.id < (c.number << {DAY_BITS} | ?1)
WHERE c.point LIKE '%,%' LIMIT ?2
"""


async def retire(
    database: Store, dialect: Dialect, roll: Roll, raw: int | None, rolled: int | None, pause: Pause | None = None
) -> tuple[int, int]:
    """Roll up raw chunks of days before `raw` (since 1970), drop quarter-hours of days before `rolled`; None: none. Gives
    how many chunks of each. Raises StoreError."""
    rolled_up = 0 if raw is None else await _roll_up(database, dialect, roll, _bounded(raw), pause)
    dropped = 0 if rolled is None else await _drop(database, _bounded(rolled), pause)
    return rolled_up, dropped


def _bounded(day: int) -> int:
    return max(0, min(day, DAYS - 1))


async def _roll_up(database: Store, dialect: Dialect, roll: Roll, before: int, pause: Pause | None) -> int:
    """The oldest chunk of each column, until none is old enough. What is damaged stays."""
    total, damaged = 0, set[int]()
    while old := [each for each in await database.rows(_OLD, (before, LOOKED_UP)) if each[0] not in damaged]:
        for first in range(0, len(old), CHUNKS_PER_STEP):
            began = perf_counter()
            bad = await database.write(partial(_replace, old[first : first + CHUNKS_PER_STEP], dialect, roll))
            damaged |= bad
            if pause is not None:
                await pause(perf_counter() - began)
        total += sum(each[0] not in damaged for each in old)
    return total


def _replace(chunks: list[tuple[Any, ...]], dialect: Dialect, roll: Roll, connection: Connection) -> set[int]:
    """Quarter-hours in place of chunks; gives the columns of those that are damaged."""
    damaged: set[int] = set()
    for number, asset, point, kind, day in chunks:
        key = chunk_id(number, day)
        (body,) = connection.execute("SELECT body FROM chunks WHERE id = ?", (key,)).fetchone()
        try:
            last = Scan(connection, dialect).before(asset, day * DAY_MS, point)
            parts = roll(decode(body), day, kind == "counter", None if last is None else last[1])
        except StoreError as error:
            log.error("%s of asset number %d, day %d: %s", point, asset, day, error)  # noqa: TRY400 - the place matters
            damaged.add(number)
            continue
        columns = {part_name(point, part): column for part, column in parts.items()}
        put_under(connection, dialect, asset, day, columns)
        connection.execute("DELETE FROM chunks WHERE id = ?", (key,))
    return damaged


async def _drop(database: Store, before: int, pause: Pause | None) -> int:
    total = 0
    while keys := await database.rows(_STALE, (before, LOOKED_UP)):
        for first in range(0, len(keys), DROPPED_PER_STEP):
            await database.write(partial(_delete, keys[first : first + DROPPED_PER_STEP]))
            if pause is not None:
                await pause(0)
        total += len(keys)
    return total


def _delete(keys: list[tuple[Any, ...]], connection: Connection) -> None:
    connection.executemany("DELETE FROM chunks WHERE id = ?", keys)
