"""One connection to PostgreSQL: how it is made, whose it is, and statements as the store writes them."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from time import monotonic, time
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel, RawCursor, RawServerCursor, sql
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

from bridge.errors import StoreError
from bridge.store.database import pending
from bridge.store.dialect import Connection, Postgres
from bridge.store.series_postgres import BIGINTS, TEXTS, Integers, Texts

log = logging.getLogger(__name__)

T = TypeVar("T")

OLDEST = 13
LOCK_MS = 5_000
"""For so long another bridge may take to end: the server needs a moment to see that a process was killed."""
TRANSPORT: dict[str, Any] = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 20_000, "target_session_attrs": "read-write",
}  # fmt: skip
"""Unless the URL says otherwise. A server that fell silent is given up after half a minute."""
SESSION = {
    "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",  # of the server's side
    "lock_timeout": "10s", "jit": "off", "enable_seqscan": "off", "enable_bitmapscan": "off",
}  # fmt: skip
"""Every statement looks into an index, however old the planner's figures are."""
STREAMED = 500
"""Rows of a stream that come together: chunks of some 7 KB."""
_PARAMETER = re.compile(r"\?(\d*)")


class _Integers(Dumper):
    format, oid = Format.BINARY, BIGINTS

    def dump(self, obj: Integers) -> bytes:
        return obj


class _Texts(Dumper):
    format, oid = Format.BINARY, TEXTS

    def dump(self, obj: Texts) -> bytes:
        return obj


class Session:
    """A connection that takes `?` and `?2` for parameters."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._since: float | None = None

    @property
    def busy(self) -> float:
        """Seconds that it has been at its present work."""
        return 0.0 if self._since is None else monotonic() - self._since

    @property
    def closed(self) -> bool:
        """Closed by us, or lost."""
        return self._connection.closed

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> RawCursor[tuple[Any, ...]]:
        """One statement; all its rows are here when it returns."""
        return RawCursor(self._connection).execute(native(sql), parameters, binary=True)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """The same statement for each, sent together."""
        RawCursor(self._connection).executemany(native(sql), parameters)

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that are too many to be here at once."""
        with RawServerCursor(self._connection, "rows") as cursor:
            cursor.itersize = STREAMED
            yield from cursor.execute(native(sql), binary=True)

    def script(self, text: str) -> None:
        """Several statements without parameters."""
        self._connection.execute(text.encode())

    def run(self, fn: Callable[[Connection], T], finish: Callable[[Session], None]) -> T:
        """`fn` in one transaction, which `finish` ends; rolled back when one of them fails."""
        self._since = monotonic()
        try:
            result = fn(self)
            finish(self)
        except BaseException:
            with suppress(psycopg.Error):
                self._connection.rollback()
            raise
        finally:
            self._since = None
        return result

    def commit(self) -> None:
        """End the transaction; what it wrote is on the disk."""
        self._connection.commit()

    def rollback(self) -> None:
        """End the transaction without a trace."""
        self._connection.rollback()

    def only_reads(self) -> None:
        """From the next transaction on, each on one state of the database."""
        self._connection.rollback()
        self._connection.isolation_level = IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True

    def answers(self) -> bool:
        """Whether the server is still there."""
        try:
            self.run(lambda one: one.execute("SELECT 1").fetchone(), Session.rollback)
        except psycopg.Error:
            return False
        return True

    def cut(self) -> None:
        """Whoever waits for the server, in whatever thread, has lost it."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the server know, if it hears."""
        self._connection.close()


@lru_cache(maxsize=256)
def native(text: str) -> bytes:
    """`?` and `?2` as PostgreSQL writes them: `$1`, `$2`."""
    count = 0

    def number(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${found[1] or count}"

    return _PARAMETER.sub(number, text).encode()


def label(where: Postgres) -> str:
    """Which database, without how to get in. Raises StoreError where the URL cannot be read."""
    told = _parameters(where)
    place = ":".join(str(told[name]) for name in ("host", "port") if told.get(name)) or "here"
    return f"PostgreSQL {place}/{told.get('dbname') or told.get('user') or ''} schema {where.schema}"


def connect(where: Postgres, application: str) -> Session:
    """A connection that works in the schema. Raises psycopg.Error; StoreError where the server cannot serve us."""
    given = {**TRANSPORT, "application_name": application, **_parameters(where), "client_encoding": "UTF8"}
    connection = psycopg.connect(**given)
    try:
        for cls, dumper in ((int, Int8BinaryDumper), (Integers, _Integers), (Texts, _Texts)):
            connection.adapters.register_dumper(cls, dumper)  # one type, one plan, one index
        _fit(connection)
        settings = {**SESSION, "search_path": sql.Identifier(where.schema).as_string(connection)}
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        _durable(connection)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return Session(connection)


def hold(session: Session, schema: str) -> None:
    """Be the only bridge that writes the schema, for as long as this connection lasts. Raises StoreError."""
    key = int.from_bytes(hashlib.sha256(f"ems-bridge {schema}".encode()).digest()[:8], "big", signed=True)
    session.execute("SELECT set_config('lock_timeout', ?, true)", (f"{LOCK_MS}ms",))
    try:
        session.execute("SELECT pg_advisory_lock(?)", (key,))
    except psycopg.errors.LockNotAvailable:
        session.rollback()
        raise StoreError(
            f"another bridge writes this schema: {_holder(session, key)}; stop it, or give [cloud] database_schema"
        ) from None
    if session.execute("SELECT 1 WHERE current_setting('fsync') = 'off'").fetchone() is not None:
        log.warning("PostgreSQL runs with fsync = off: a power cut may cost the whole database")
    session.commit()


def migrate(session: Session, schema: str, folder: str) -> None:
    """Make the schema, and bring it up to date. Raises StoreError when a newer version was here."""
    name = sql.Identifier(schema)
    if session.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?::text", (schema,)).fetchone() is None:
        session.script(sql.SQL("CREATE SCHEMA {}").format(name).as_string())
    session.script(
        "CREATE TABLE IF NOT EXISTS migrations (number bigint PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)"
    )
    done = {number for (number,) in session.execute("SELECT number FROM migrations").fetchall()}
    for number, title, text in pending(done, folder):
        session.script(text)
        session.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, title, int(time() * 1000)))
    session.commit()


def _holder(session: Session, key: int) -> str:
    """Who has the lock, as the server knows it."""
    row = session.execute(
        "SELECT a.application_name, CASE WHEN a.client_port = -1 THEN 'a local socket'"
        " ELSE coalesce(host(a.client_addr), 'an address that is not shown to us') END, a.pid FROM pg_locks l"
        " JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (l.classid::bigint << 32 | l.objid::bigint) = ?",
        (key,),
    ).fetchone()
    return "it has just ended" if row is None else f"{row[0] or 'unknown'} from {row[1]} (server process {row[2]})"


def _fit(connection: psycopg.Connection[Any]) -> None:
    version = connection.info.server_version // 10_000
    if version < OLDEST:
        raise StoreError(f"PostgreSQL {OLDEST} or newer is needed, the server is {version}")
    if connection.info.parameter_status("server_encoding") != "UTF8":
        raise StoreError("the database's encoding is not UTF8, names of assets could not be kept")


def _durable(connection: psycopg.Connection[Any]) -> None:
    """A COMMIT that returned is on the disk, whatever the server's default."""
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


def _parameters(where: Postgres) -> dict[str, Any]:
    try:
        return conninfo_to_dict(where.url)
    except psycopg.Error:  # says what stands in the URL
        raise StoreError("[cloud] database cannot be read as a PostgreSQL URL") from None
