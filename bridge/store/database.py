"""One SQLite file: one writing connection in its own thread, a few read-only ones beside it.

WAL with `synchronous=FULL`: a COMMIT that returned is on the disk. Functions run whole in a connection's thread, so that one
hop between threads (about 85 µs) serves a batch, not a statement.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from time import time
from typing import Any, Self, TypeVar

import aiosqlite

from bridge.errors import StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

READERS = 2
"""A slow query must not hold up a quick one; more threads than cores gain nothing."""
BUSY_TIMEOUT_MS = 10_000
"""The command line may write while the service runs; its transactions take milliseconds."""
CHECKPOINT_PAGES = 2_048
"""Pages of log since the last checkpoint that begin the next one, on a connection of its own: a COMMIT never waits for it."""
COMMITS = 1_000
"""The same in commits, before it is known how many pages they take, and at most."""
RESTART_PAGES = 8_192
"""After a log this long the writer itself carries over what came meanwhile, about a millisecond's work, and begins the log
anew: under constant writing the other connection never quite catches up. The file is not cut: 25 ms, and overwriting is
quicker than growing."""
PAGE = 4_096
READ_CACHE_KIB = 16_384
WRITE_CACHE_KIB = 65_536


class _Connection(aiosqlite.Connection):
    """aiosqlite with one more call: a whole function in the connection's thread."""

    async def run(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(fn, self._conn)  # type: ignore[no-untyped-call]
        return result


class Database:
    """An open database file. `path` is where it lies."""

    def __init__(self, path: Path, writer: _Connection, sweeper: _Connection, readers: list[_Connection]) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._writer = writer
        self._sweeper = sweeper
        self._readers = readers
        self._turn = 0
        self._size = self._pages = self._commits = 0
        """Of the log: bytes of the file and pages in use at the last checkpoint, commits since."""
        self._every = COMMITS
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, migrations: str) -> Self:
        """Open or make the file and bring it up to date with `bridge/store/migrations/{migrations}`.

        Raises StoreError when the file is no database, is newer than this program, or cannot be written.
        """
        connections: list[_Connection] = []

        async def connect(target: str, uri: bool = False) -> _Connection:
            made = _Connection(lambda: _connect(target, uri), 64)
            try:
                await made
            except sqlite3.Error:
                made._thread.join()  # it ends by itself, but not before the event loop that it reports to does
                raise
            connections.append(made)
            return made

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = await connect(str(path))
            await writer.run(_prepare_writer)
            await writer.run(lambda connection: _migrate(connection, migrations))
            sweeper = await connect(str(path))
            await sweeper.run(_prepare_writer)
            target = f"{path.absolute().as_uri()}?mode=ro"  # noqa: ASYNC240 - no I/O in it
            readers = [await connect(target, uri=True) for _ in range(READERS)]
            for reader in readers:
                await reader.run(_prepare_reader)
        except (sqlite3.Error, OSError, StoreError) as error:
            for connection in connections:
                await connection.close()
            raise StoreError(f"{path}: {error}") from error
        return cls(path, writer, sweeper, readers)

    async def close(self) -> None:
        """Finish what is queued and close every connection."""
        if self._sweeping is not None:
            await self._sweeping
        for connection in (*self._readers, self._sweeper, self._writer):
            await connection.close()

    async def write(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` inside one transaction and commit it. Raises StoreError; then nothing of it is kept."""
        try:
            return await self._writer.run(lambda connection: _transaction(connection, fn))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        finally:
            self._commits += 1
            if self._sweeping is None:
                self._sweep()

    async def maintain(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` on the writing connection outside a transaction (checkpoint, backup)."""
        return await self._writer.run(fn)

    def _sweep(self) -> None:
        """Begin a checkpoint when the log has grown enough. The file tells only while it grows; then commits are counted."""
        try:
            size = self._log.stat().st_size
        except FileNotFoundError:
            return
        if self._commits >= self._every or size - self._size >= CHECKPOINT_PAGES * PAGE:
            self._size = size
            self._sweeping = asyncio.create_task(self._checkpoint(), name=f"checkpoint {self.path.name}")

    async def _checkpoint(self) -> None:
        try:
            commits, self._commits = self._commits, 0
            pages = await self._sweeper.run(_carry_over)
            since = pages - self._pages if pages >= self._pages else pages
            self._every = min(COMMITS, max(1, commits * CHECKPOINT_PAGES // max(1, since)))
            self._pages = pages
            if pages >= RESTART_PAGES:
                await self._writer.run(_carry_over)
        except sqlite3.Error as error:
            log.warning("checkpoint of %s: %s", self.path, error)
        finally:
            self._sweeping = None

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` on a read-only connection."""
        self._turn = (self._turn + 1) % len(self._readers)
        return await self._readers[self._turn].run(fn)

    async def snapshot(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Run `fn` on a read-only connection that sees one state of the database."""
        return await self.read(lambda connection: _snapshot(connection, fn))

    async def rows(self, sql: str, params: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        values = tuple(params)
        return await self.read(lambda connection: connection.execute(sql, values).fetchall())


def _connect(target: str, uri: bool) -> sqlite3.Connection:
    return sqlite3.connect(target, isolation_level=None, check_same_thread=False, uri=uri)


def _prepare_writer(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{WRITE_CACHE_KIB}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")


def _prepare_reader(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{READ_CACHE_KIB}")


def _carry_over(connection: sqlite3.Connection) -> int:
    """Checkpoint what can be without waiting for anybody; gives the pages of the log. Without one left the log begins
    anew."""
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)


def _transaction(connection: sqlite3.Connection, fn: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = fn(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _snapshot(connection: sqlite3.Connection, fn: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return fn(connection)
    finally:
        connection.execute("ROLLBACK")


def _migrate(connection: sqlite3.Connection, name: str) -> None:
    """Apply the numbered files that the database has not seen, each with its record in one transaction."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
    )
    done = {number for (number,) in connection.execute("SELECT number FROM migrations")}
    for number, title, sql in pending(done, name):
        record = f"INSERT INTO migrations VALUES ({number}, '{title}', {int(time() * 1000)});"
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\n{record}\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def pending(done: set[int], name: str) -> list[tuple[int, str, str]]:
    """(number, file, statements) of the migrations in `name` that are not `done`, in order. Raises StoreError when a newer
    version was here."""
    folder = resources.files("bridge.store") / "migrations" / name
    files = {int(file.name[:4]): file for file in folder.iterdir() if file.name.endswith(".sql")}
    newer = done - files.keys()
    if newer:
        raise StoreError(f"written by a newer version (migration {max(newer)} is unknown here); install that version")
    return [
        (number, files[number].name, files[number].read_text(encoding="utf-8"))
        for number in sorted(files.keys() - done)
    ]
