"""Which rows of the time series are ripe for their chunks, and folding them in small steps beside everything else.

A day's rows are folded when it is over, or when they are many. So late readings of an old day are found and folded soon, and
rewriting a chunk of a minute's readings over and over is avoided. After a start every asset is looked at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from time import perf_counter

from bridge.errors import StoreError
from bridge.store.chunks import DAY_MS, fold, waiting
from bridge.store.dialect import Dialect, Store

log = logging.getLogger(__name__)

MANY_ROWS = 256
"""Rows of an asset and day that are folded before the day is over: a query reads a row some fifty times slower than a
chunk's."""
LATE_MS = 3_600_000
"""How long a day that is over waits for the last of its readings."""
LOOK_MS = 15 * 60_000
"""An asset with fewer new rows is looked at this often."""
ASSETS_PER_LOOK = 64

Pause = Callable[[float], Awaitable[object]]


class Folding:
    """Knows the assets that have new rows since they were last looked at."""

    def __init__(self, database: Store, dialect: Dialect) -> None:
        self._database = database
        self._dialect = dialect
        self._touched: dict[int, list[int]] = {}
        """Asset -> [rows since the last look, when that was, ms]."""

    def touch(self, asset: int, rows: int, at: int) -> None:
        """Rows of an asset were stored."""
        known = self._touched.get(asset)
        if known is None:
            self._touched[asset] = [rows, at]
        else:
            known[0] += rows

    def unknown(self, assets: Iterable[int]) -> None:
        """Nobody knows what rows these have."""
        for asset in assets:
            self._touched[asset] = [MANY_ROWS, 0]

    async def run(self, now: int, pause: Pause | None = None) -> int:
        """Fold what is ripe; gives how many rows. Between two steps `pause` is given the seconds that the step took. What is
        damaged is left, and said. Raises StoreError when the store cannot be written."""
        due = (asset for asset, (rows, at) in self._touched.items() if rows >= MANY_ROWS or not 0 <= now - at < LOOK_MS)
        count, numbers = 0, iter(list(due))
        while portion := list(islice(numbers, ASSETS_PER_LOOK)):
            for asset in portion:
                del self._touched[asset]
            try:
                count += await self._fold(portion, now, pause)
            except BaseException:
                self.unknown(portion)
                raise
        return count

    async def _fold(self, assets: list[int], now: int, pause: Pause | None) -> int:
        found = await self._database.snapshot(
            lambda connection: [(asset, waiting(connection, asset, MANY_ROWS)) for asset in assets]
        )
        total = 0
        for asset, days in found:
            for day, rows in days:
                if rows < MANY_ROWS and now < (day + 1) * DAY_MS + LATE_MS:
                    self.touch(asset, rows, now)
                else:
                    total += await self._fold_day(asset, day, pause)
        return total

    async def _fold_day(self, asset: int, day: int, pause: Pause | None) -> int:
        total, more = 0, True
        while more:
            began = perf_counter()
            try:
                moved, more = await self._database.write(lambda connection: fold(connection, self._dialect, asset, day))
            except StoreError as error:
                if error.__cause__ is not None:
                    raise
                log.error("asset number %d, day %d: %s", asset, day, error)  # noqa: TRY400 - the place is what matters
                return total
            total += moved
            if moved and pause is not None:
                await pause(perf_counter() - began)
        return total
