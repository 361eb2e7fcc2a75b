"""The one writer: Records gather while the last batch commits, then go together in one transaction. No timer.

`done` and the effects of a Record run on the event loop after COMMIT, in the order of submission. A Record without rows
waits its turn behind those with rows, and passes at once when there are none.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import msgspec

from bridge.counts import Counts
from bridge.errors import StoreError
from bridge.store.database import Database
from bridge.store.statements import DELETES, FIRST, INSERTS, ORDERED, Statement

log = logging.getLogger(__name__)

HIGH_WATER = 20_000
"""Records waiting: about 20 MB of meter reports. Above it the busiest sockets are not read."""
LOW_WATER = 5_000
HIGH_WATER_BYTES = 64 << 20
"""The same in bytes of payloads, for messages that are larger."""

_json = msgspec.json.Encoder()


class Committed(Protocol):
    """What the writer needs of a Record."""

    rows: list[tuple[str, tuple[object, ...]]]
    size: int
    results: dict[str, tuple[object, ...] | None]
    effects: list[Callable[[], None]]
    failed: Callable[[], None] | None


Done = Callable[[bool], None]
Item = tuple[Any, Done | None]


class Writer:
    """Group commit over one Database. `after_commit(record)` runs between `done(True)` and the effects, `after_batch()` once a
    commit, `after_failure(record)` instead of both; `pressure(True | False)` is told when the queue passes its high-water mark
    and when it has drained."""

    def __init__(
        self,
        database: Database,
        statements: Mapping[str, Statement],
        counts: Counts,
        after_commit: Callable[[Any], None] = lambda _record: None,
        pressure: Callable[[bool], None] = lambda _on: None,
    ) -> None:
        self._database = database
        self._statements = statements
        self._counts = counts
        self.after_commit = after_commit
        self.after_failure: Callable[[Any], None] = lambda _record: None
        self.after_batch: Callable[[], None] = lambda: None
        self.pressure = pressure
        self._pending: list[Item] = []
        self._bytes = 0
        self._busy = False
        self._pressed = False
        self._closing = False
        self._wake = asyncio.Event()
        self.failing: str = ""
        counts.gauge("ems_bridge_writer_queue", lambda: len(self._pending), text="Records waiting for their COMMIT")

    def submit(self, record: Committed, done: Done | None = None) -> None:
        """Take a Record for the next transaction. Never blocks, never raises."""
        if not record.rows and self.idle:
            self._finish(record, done)
            return
        self._pending.append((record, done))
        self._bytes += record.size
        if (len(self._pending) > HIGH_WATER or self._bytes > HIGH_WATER_BYTES) and not self._pressed:
            self._pressed = True
            self.pressure(True)
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Nothing waits for a commit."""
        return not self._pending and not self._busy

    async def commit(self, record: Committed) -> None:
        """Submit and wait for the COMMIT. Raises StoreError when it failed."""
        settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.submit(record, lambda ok: None if settled.done() else settled.set_result(ok))
        if not await settled:
            raise StoreError(self.failing or "the commit failed")

    async def run(self) -> None:
        """Commit batches until `close`; what was submitted before it is committed first."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                batch, self._pending, self._bytes = self._pending, [], 0
                self._busy = True
                try:
                    await self._commit(batch)
                finally:
                    self._busy = False
                if self._pressed and len(self._pending) < LOW_WATER:
                    self._pressed = False
                    self.pressure(False)
            if self._closing:
                with suppress(StoreError):
                    await self._database.write(partial(_begin, self._statements))
                return

    def close(self) -> None:
        """Let `run` return once everything is committed."""
        self._closing = True
        self._wake.set()

    async def _commit(self, batch: list[Item], whole: bool = True) -> None:
        try:
            records = [record for record, _ in batch]
            results = await self._database.write(partial(_apply, self._statements, records, whole=whole))
        except (StoreError, ValueError, ArithmeticError) as error:  # the last two: a value that SQLite cannot hold
            await self._fail(batch, error)
            return
        self.failing = ""
        self._counts.add("ems_bridge_commits")
        for (record, done), found in zip(batch, results, strict=True):
            record.results = found
            self._finish(record, done)
        self.after_batch()

    async def _fail(self, batch: list[Item], error: Exception) -> None:
        """Nothing of the batch is kept. One bad Record must not fail its neighbours: unless the disk itself fails, the batch is
        halved until it stands alone; the order stays."""
        self._counts.add("ems_bridge_commit_failures")
        if len(batch) > 1 and not isinstance(error.__cause__, sqlite3.OperationalError):
            middle = len(batch) // 2
            await self._commit(batch[:middle], False)
            await self._commit(batch[middle:], False)
            return
        self.failing = str(error)
        log.error("commit of %d records failed: %s", len(batch), error)
        for record, done in batch:
            self.after_failure(record)
            if done is not None:
                done(False)
            if record.failed is not None:
                record.failed()
                record.failed = None
            record.effects.clear()

    def _finish(self, record: Committed, done: Done | None) -> None:
        if done is not None:
            done(True)
        self.after_commit(record)
        if record.effects:
            for effect in record.effects:
                effect()
            record.effects.clear()  # most of them know their record: a cycle less for the collector
            record.failed = None


def _apply(
    statements: Mapping[str, Statement], records: list[Committed], connection: sqlite3.Connection, *, whole: bool
) -> list[dict[str, tuple[object, ...] | None]]:
    """All rows of `records` in three phases; gives what each record's ORDERED rows returned. `whole`: nothing of the effects of
    the batch before waits behind these."""
    groups: dict[str, list[tuple[object, ...]]] = {}
    results: list[dict[str, tuple[object, ...] | None]] = []
    ordered: list[tuple[dict[str, tuple[object, ...] | None], str, tuple[object, ...]]] = []
    for record in records:
        found: dict[str, tuple[object, ...] | None] = {}
        results.append(found)
        for name, params in record.rows:
            statement = statements[name]
            if statement.phase == ORDERED:
                ordered.append((found, name, params))
            else:
                groups.setdefault(name, []).append(params)
    if whole and (groups or ordered):
        _begin(statements, connection)
    _run_groups(connection, statements, groups, INSERTS)
    for found, name, params in ordered:
        found[name] = connection.execute(statements[name].sql, params).fetchone()
    _run_groups(connection, statements, groups, DELETES)
    return results


def _begin(statements: Mapping[str, Statement], connection: sqlite3.Connection) -> None:
    for statement in statements.values():
        if statement.phase == FIRST:
            connection.execute(statement.sql)


def _run_groups(
    connection: sqlite3.Connection,
    statements: Mapping[str, Statement],
    groups: dict[str, list[tuple[object, ...]]],
    phase: int,
) -> None:
    for name, statement in statements.items():
        if statement.phase != phase or name not in groups:
            continue
        if statement.body:
            rows, bodies = _with_bodies(groups[name])
            connection.execute(statement.sql, (rows, bodies))
            if statement.also:
                connection.execute(statement.also, (rows,))
        elif statement.bulk:
            connection.execute(statement.sql, (_json.encode(groups[name]).decode(),))
        else:
            connection.executemany(statement.sql, groups[name])


def _with_bodies(rows: list[tuple[object, ...]]) -> tuple[str, bytes]:
    """The JSON array of rows without their bodies, and all bodies: no body is decoded, escaped or parsed on its way."""
    bodies: list[bytes] = []
    lines: list[tuple[object, ...]] = []
    at = 0
    for row in rows:
        body: bytes = row[-1]  # type: ignore[assignment]  # the statement says so
        size = len(body)
        lines.append((*row[:-1], at, size))
        bodies.append(body)
        at += size
    return _json.encode(lines).decode(), b"".join(bodies)
