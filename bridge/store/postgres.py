"""A PostgreSQL schema as a store: one writing connection in its own thread, a few that read, all made anew when they are
lost.

One bridge writes a schema: the writing connection holds an advisory lock, and nobody else wrote as long as it lasts. So a
lost connection fails what was asked of it, a task makes it again, and nothing is asked before the catalogue was read again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from bridge.errors import StoreError
from bridge.store.dialect import Connection, Postgres
from bridge.store.postgres_session import Session, connect, hold, label, migrate

log = logging.getLogger(__name__)

T = TypeVar("T")
C = TypeVar("C")

READERS = 2
PING_S = 5.0
"""Between two looks at connections that are not heard of otherwise."""
RETRY_S = 1.0
CLOSE_S = 5.0
"""What was begun may take so long to end when the service stops."""
PASSING = (
    "starting up",
    "shutting down",
    "recovery",
    "accepting connections",
    "cannot connect",
    "too many",
    "slots are",
)
"""Words of a server that refuses for now; libpq does not tell the code. One that speaks another language is waited for."""
SLOW_S = 15.0
"""A statement that takes longer is trouble."""
STUCK_S = 120.0
"""And so long only a server that has stopped takes: the connection is given up."""
FINAL = ("FATAL:", "no password supplied", "does not support SSL", "certificate")
"""Words of one that refuses for good."""
READ_ONLY = "25006"
"""The server has become a standby; another one writes now."""


class Refusal(StoreError):
    """The server is there and does not let us in: waiting will not help."""


class _Line:
    """A connection and its thread."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.session: Session | None = None

    async def run(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn)

    async def make(self, where: Postgres, application: str, prepare: Callable[[Session], object]) -> None:
        """A new connection, if this one is lost, which may not be known yet."""
        await self.run(lambda: self._make(where, application, prepare))

    async def close(self) -> None:
        """Finish what is queued, but do not wait for a server that has stopped."""
        dropping = asyncio.ensure_future(self.run(self._drop))
        done, _ = await asyncio.wait({dropping}, timeout=CLOSE_S)
        session = self.session
        if not done and session is not None:
            session.cut()
        await dropping
        await asyncio.to_thread(self._thread.shutdown)

    def _make(self, where: Postgres, application: str, prepare: Callable[[Session], object]) -> None:
        if self.session is not None and self.session.answers():
            return
        self._drop()
        self.session = connect(where, application)
        try:
            prepare(self.session)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.close()


class PostgresDatabase:
    """The schema `where`, once `open` was awaited."""

    def __init__(self, where: Postgres, migrations: str) -> None:
        self._where = where
        self._migrations = migrations
        self.name = label(where)
        self._down: str | None = f"{self.name}: not connected yet"
        self._writer = _Line("postgresql-writer")
        self._readers = [_Line(f"postgresql-reader-{number}") for number in range(READERS)]
        self._lines = (self._writer, *self._readers)
        self._turn = 0
        self._alarm = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._pings: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def trouble(self) -> str | None:
        """Why it cannot be used at the moment, or None."""
        busy = max(line.session.busy if line.session else 0.0 for line in self._lines)
        return self._down or (f"{self.name}: no answer for {busy:.0f} s" if busy > SLOW_S else None)

    async def open(self, read: Callable[[Connection], C], take: Callable[[C], None]) -> None:
        """Connect, and stay connected: whenever the writing connection was made, `take` is given what `read` finds. A server
        that does not answer is waited for in the background. Raises StoreError where waiting will not help."""
        try:
            await self._connect(read, take)
        except Refusal:
            await self.close()
            raise
        except StoreError as error:
            log.warning("%s; trying again until it can be had", error)
            self._down = str(error)
            self._alarm.set()
        self._watching = asyncio.create_task(self._watch(read, take), name="postgresql")

    async def close(self) -> None:
        """Finish what is queued and close every connection. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self._down = f"{self.name}: closed"
        for line in self._lines:
            await line.close()
        await asyncio.gather(*self._pings)

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` inside one transaction and commit it. Raises StoreError; then it is not known to be kept."""
        return await self._run(self._writer, fn, Session.commit)

    async def snapshot(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` on a read-only connection that sees one state of the database. Raises StoreError."""
        self._turn = (self._turn + 1) % READERS
        return await self._run(self._readers[self._turn], fn, Session.rollback)

    async def rows(self, sql: str, params: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises StoreError."""
        values = tuple(params)
        return await self.snapshot(lambda connection: connection.execute(sql, values).fetchall())

    async def _run(self, line: _Line, fn: Callable[[Connection], T], finish: Callable[[Session], None]) -> T:
        session = line.session
        if self._down is not None or session is None:
            raise StoreError(self._down or f"{self.name}: not connected")
        try:  # on this very session: one that is made meanwhile would know more than who asks
            return await line.run(lambda: session.run(fn, finish))
        except psycopg.Error as error:
            if error.sqlstate == READ_ONLY:
                await line.run(session.close)
            said = f"{self.name}: {_first_line(error)}"
            if session.closed:
                self._lost(said)
            raise StoreError(said) from error

    def _lost(self, said: str) -> None:
        if self._down is None:
            log.warning("%s; connecting again", said)
            self._down = said
        self._alarm.set()

    async def _watch(self, read: Callable[[Connection], C], take: Callable[[C], None]) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_S):
                    await self._alarm.wait()
            self._alarm.clear()
            if self._down is None:
                self._look()
            while self._down is not None:
                try:
                    await self._connect(read, take)
                    log.warning("%s: connected", self.name)
                except Exception as error:
                    if not isinstance(error, StoreError):
                        log.exception("%s", self.name)  # and yet nobody else would connect again
                    if self._down != str(error):
                        log.warning("%s; trying again", error)
                    self._down = str(error)
                    await asyncio.sleep(RETRY_S)

    def _look(self) -> None:
        """Ask the idle connections for a sign; give up those that wait too long for one."""
        for line in self._lines:
            session = line.session
            if session is not None and session.busy > STUCK_S:
                session.cut()
            elif session is not None and not session.busy:
                ping = asyncio.create_task(self._ping(line), name="postgresql ping")
                self._pings.add(ping)
                ping.add_done_callback(self._pings.discard)

    async def _ping(self, line: _Line) -> None:
        with suppress(StoreError):
            await self._run(line, lambda one: one.execute("SELECT 1").fetchone(), Session.rollback)

    async def _connect(self, read: Callable[[Connection], C], take: Callable[[C], None]) -> None:
        """Make what connections are lost; what is known anew is told before anything else may be asked."""
        try:
            await self._writer.make(self._where, _application(str(os.getpid())), self._prepare)
            for line in self._readers:
                await line.make(self._where, _application("reads"), Session.only_reads)
            writer = self._writer.session
            assert writer is not None  # noqa: S101 - it was made above
            found = await self._writer.run(lambda: writer.run(read, Session.rollback))
        except StoreError as error:
            raise Refusal(f"{self.name}: {error}") from error
        except psycopg.Error as error:
            said = f"{self.name}: {_first_line(error)}"
            raise (Refusal if _final(error) else StoreError)(said) from error
        take(found)
        self._down = None

    def _prepare(self, session: Session) -> None:
        hold(session, self._where.schema)
        migrate(session, self._where.schema, self._migrations)


def _application(what: str) -> str:
    """How the server's views name a connection."""
    return f"ems-bridge {socket.gethostname()[:40]} {what}"


def _final(error: psycopg.Error) -> bool:
    """Whether the server itself refused, other than by being about to start or stop, or full for the moment."""
    if error.sqlstate is not None:
        return error.sqlstate[:2] not in ("57", "53", "08")
    said = str(error)
    return any(words in said for words in FINAL) and not any(words in said for words in PASSING)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n", 1)[0].split()) or type(error).__name__
