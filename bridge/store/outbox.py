"""Every statement and query on the outbox: lines of readings, the sinks' cursors, and what had to be given up. The events of
webhooks lie in tables of the same shape.

A line is written in the transaction that stores its report, or what its event tells. It goes once every active sink has
passed it, or when the outbox outgrows its bounds; then each sink that had not passed it gets a row in `outbox_drops`.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from bridge.counts import Counts
from bridge.errors import StoreError
from bridge.store.database import Database
from bridge.store.statements import INSERTS, Statement

log = logging.getLogger(__name__)

STATEMENTS: dict[str, Statement] = {
    "outbox": Statement(
        "INSERT INTO outbox (seq, at, device, samples)"
        " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)",
        INSERTS,
        bulk=True,
    ),
    "webhook": Statement(
        "INSERT INTO webhook_events (at, device, samples)"
        " SELECT ?1, ?2, '{\"id\":\"' || lower(hex(randomblob(16))) || '\",' || substr(?3, 2)"
        " WHERE EXISTS (SELECT 1 FROM webhooks WHERE active)",
        INSERTS,
    ),
    "webhook_again": Statement("INSERT INTO webhook_events (at, device, samples) VALUES (?, ?, ?)", INSERTS),
}
"""Rows of `outbox`: (seq, at ms, device, JSON text `[[asset, timestamp, {point: value}], …]`). `seq` rises in commit order.
Rows of `webhook`: (at ms, device, JSON text of the event without its id); other events are written by triggers (migration
0010)."""


class Tables(NamedTuple):
    """Where the lines are, how far each receiver is, and what was dropped; `source` is that of dead letters, `metrics` begins
    the names of metrics, `what` says what a line holds."""

    lines: str
    sinks: str
    drops: str
    source: str
    metrics: str
    what: str


READINGS = Tables("outbox", "sinks", "outbox_drops", "mirror", "ems_bridge_outbox", "readings")
EVENTS = Tables("webhook_events", "webhooks", "webhook_drops", "webhook", "ems_bridge_webhook_outbox", "events")

MIN_AGE_MS = 7 * 86_400_000
"""The mirror promises a week (PRODUCT.md §4.4)."""
ALARM = 0.8
ROOM = 0.9
"""When the outbox is full the oldest lines go until this part of its bytes is left: one row of `outbox_drops`, not
thousands."""
PRUNE_STEP = 5_000
"""Lines that one transaction deletes."""

_DEAD = """
INSERT INTO dead_letters (at, source, device, reason, path, detail, payload, context)
VALUES (?, ?, ?, ?, ?, ?, ?, json_object('sink', ?, 'seq', ?, 'asset', ?, 'timestamp', ?, 'point', ?))
"""
_DROP = """
INSERT INTO {drops} (at, sink, cause, first_seq, last_seq, first_at, last_at, lines)
SELECT ?, ?, ?, min(seq), max(seq), min(at), max(at), count(*) FROM {lines} WHERE seq > ? AND seq <= ?
"""
_SKIP = "UPDATE {sinks} SET cursor = ?, batch_end = NULL, settled = 0 WHERE name = ?"
_STEP = """
SELECT max(seq) FROM
  (SELECT seq FROM {lines} WHERE seq <= ? AND seq < (SELECT max(seq) FROM {lines}) ORDER BY seq LIMIT ?)
"""
_DROPS = "SELECT at, sink, cause, first_seq, last_seq, first_at, last_at, lines FROM {drops} ORDER BY id DESC LIMIT ?"
_SIZE = "SELECT coalesce(sum(length(samples)), 0), coalesce(max(seq), 0) FROM {lines} WHERE seq > ?"
_SIZE_UP_TO = "SELECT coalesce(sum(length(samples)), 0) FROM {lines} WHERE seq <= ?"


class OutboxLine(NamedTuple):
    """Readings of one report. `at` is when it was received, ms; `samples` JSON `[[asset, timestamp, {point: value}], …]`."""

    seq: int
    at: int
    device: str
    samples: str


class Position(NamedTuple):
    """Where a sink is: all lines up to `cursor` are settled; `batch_end` is the last line of a batch that was begun, in
    `batch_format`; its first `settled` rows are settled too."""

    cursor: int
    batch_end: int | None
    batch_format: str
    settled: int


class Letter(NamedTuple):
    """A row that a sink refused; `point` is empty for a whole sample."""

    seq: int
    asset: str
    timestamp: int
    point: str
    device: str
    reason: str
    detail: str
    body: bytes


class Drop(NamedTuple):
    """Lines that a sink never got. `cause` is bytes or age; times in ms."""

    at: int
    sink: str
    cause: str
    first_seq: int
    last_seq: int
    first_at: int
    last_at: int
    lines: int


class Outbox:
    """The outbox of one `bridge.db`. `sinks` are the active ones, with their cursors; others hold nothing back."""

    def __init__(
        self,
        database: Database,
        sinks: Iterable[str],
        max_bytes: int,
        max_age_ms: int,
        counts: Counts,
        tables: Tables = READINGS,
    ) -> None:
        self.tables = tables
        self._database = database
        self._sinks = tuple(dict.fromkeys(sinks))
        self._max_bytes = max_bytes
        self._max_age_ms = max(max_age_ms, MIN_AGE_MS)
        self._counts = counts
        self._counted = 0
        self._bells: list[Callable[[], None]] = []
        self._alarmed = False
        self.bytes = 0
        self.oldest_at: int | None = None
        self.fill = 0.0
        """How full the outbox is, by bytes or age, whichever is more; 0.8 alarms, 1 drops."""
        name = tables.metrics
        text = "How full the outbox is, 0 to 1, by bytes or age"
        counts.gauge(f"{name}_fill", lambda: self.fill, text=text)
        counts.gauge(f"{name}_bytes", lambda: self.bytes, text=f"Bytes of {tables.what} in the outbox")
        counts.describe(f"{name}_dropped", "Lines that a sink never got because the outbox was full")

    async def open(self) -> None:
        """Enter the sinks. Call it once before the couriers run."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql("UPDATE {sinks} SET active = 0"))
            sql = self._sql("INSERT INTO {sinks} (name) VALUES (?) ON CONFLICT DO UPDATE SET active = 1")
            connection.executemany(sql, ((name,) for name in self._sinks))

        await self._database.write(write)

    @property
    def alarm(self) -> str:
        """What to tell the operator; empty while there is room."""
        return f"the outbox of {self.tables.what} is {self.fill:.0%} full" if self.fill >= ALARM else ""

    def subscribe(self, bell: Callable[[], None]) -> None:
        """Ring `bell` after commits that may have brought lines."""
        self._bells.append(bell)

    def on_commit(self) -> None:
        """Tell the couriers that there are new lines."""
        for bell in self._bells:
            bell()

    async def lines(self, after: int, limit: int, max_bytes: int = 1 << 62, up_to: int = 1 << 62) -> list[OutboxLine]:
        """Lines with `after` < seq ≤ `up_to`, oldest first: at most `limit`, and no more once they make `max_bytes`."""

        def read(connection: sqlite3.Connection) -> list[OutboxLine]:
            sql = self._sql(
                "SELECT seq, at, device, samples FROM {lines} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
            )
            found: list[OutboxLine] = []
            size = 0
            for row in connection.execute(sql, (after, up_to, limit)):
                found.append(OutboxLine(*row))
                size += len(row[3])
                if size >= max_bytes:
                    break
            return found

        return await self._database.read(read)

    async def cursor(self, sink: str) -> int:
        """The last line that `sink` has settled; 0 for a new sink."""
        return (await self.position(sink)).cursor

    async def position(self, sink: str) -> Position:
        """Where `sink` is; what a courier starts from."""
        sql = self._sql("SELECT cursor, batch_end, batch_format, settled FROM {sinks} WHERE name = ?")
        rows = await self._database.rows(sql, (sink,))
        return Position(*rows[0]) if rows else Position(0, None, "", 0)

    async def begin(self, sink: str, end: int, batch_format: str) -> None:
        """Fix a batch, the lines from the cursor to `end`, before its first attempt: after a crash it is the same again."""
        sql = self._sql("UPDATE {sinks} SET batch_end = ?, batch_format = ?, settled = 0 WHERE name = ?")
        await self._database.write(lambda connection: connection.execute(sql, (end, batch_format, sink)).rowcount)

    async def advance(self, sink: str, seq: int) -> None:
        """All lines up to `seq` are settled for `sink`; its batch is done. A cursor never goes back."""
        sql = self._sql("UPDATE {sinks} SET cursor = max(cursor, ?), batch_end = NULL, settled = 0 WHERE name = ?")
        await self._database.write(lambda connection: connection.execute(sql, (seq, sink)).rowcount)

    async def bury(self, sink: str, letters: Sequence[Letter], *, at: int, settled: int) -> None:
        """Make rows dead letters and note, in the same transaction, that the first `settled` rows of the sink's batch are
        settled."""
        source = self.tables.source
        rows = [
            (at, source, each.device, each.reason, "$", each.detail, each.body, sink, *each[:4]) for each in letters
        ]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_DEAD, rows)
            connection.execute(self._sql("UPDATE {sinks} SET settled = ? WHERE name = ?"), (settled, sink))

        await self._database.write(write)

    async def settle(self, sink: str, settled: int) -> None:
        """The first `settled` rows of the sink's batch are settled: what was begun goes on behind them."""
        sql = self._sql("UPDATE {sinks} SET settled = max(settled, ?) WHERE name = ? AND batch_end IS NOT NULL")
        await self._database.write(lambda connection: connection.execute(sql, (settled, sink)).rowcount)

    async def prune(self, up_to: int) -> int:
        """Delete lines up to `up_to` that every active sink has passed; gives how many. The newest line always stays, so that
        sequence numbers go on from it after a restart."""

        def write(connection: sqlite3.Connection) -> tuple[int, int]:
            passed = connection.execute(self._sql("SELECT min(cursor) FROM {sinks} WHERE active")).fetchone()[0]
            return self._delete(connection, up_to if passed is None else min(up_to, passed))

        lines, size = await self._database.write(write)
        self.bytes -= size
        return lines

    async def keep(self, now: int) -> None:
        """Housekeeping, every few seconds: prune, measure, alarm, and drop what is over the bounds. `now` in ms.

        A store that cannot be written (disk full) is said and tried again the next time.
        """
        try:
            await self._keep(now)
        except StoreError as error:
            log.warning("outbox: cannot be tidied: %s", error)

    async def _keep(self, now: int) -> None:
        await self._prune_all()
        await self._measure(now)
        oldest_allowed = now - self._max_age_ms
        if self.oldest_at is not None and self.oldest_at < oldest_allowed:
            await self._drop(now, "age", await self._end_by_age(oldest_allowed))
        if self.bytes > self._max_bytes:
            await self._drop(now, "bytes", await self._end_by_bytes())
        if (self.fill >= ALARM) != self._alarmed:
            self._alarmed = self.fill >= ALARM
            log.warning("outbox: %s", self.alarm or "there is room again")

    async def drops(self, limit: int = 100) -> list[Drop]:
        """What was dropped, newest first."""
        return [Drop(*row) for row in await self._database.rows(self._sql(_DROPS), (limit,))]

    def _sql(self, text: str) -> str:
        """A statement on this outbox's tables."""
        return text.format_map(self.tables._asdict())

    async def _measure(self, now: int) -> None:
        """Bytes are counted once a line, when it is new and still in the page cache."""
        added, newest = (await self._database.rows(self._sql(_SIZE), (self._counted,)))[0]
        self.bytes += added
        self._counted = max(self._counted, newest)
        waiting = self._sql(
            "SELECT at FROM {lines} WHERE seq > (SELECT min(cursor) FROM {sinks} WHERE active) ORDER BY seq LIMIT 1"
        )
        rows = await self._database.rows(waiting)
        self.oldest_at = rows[0][0] if rows else None
        age = 0 if self.oldest_at is None else now - self.oldest_at
        self.fill = max(self.bytes / self._max_bytes, age / self._max_age_ms)

    async def _prune_all(self) -> None:
        while await self.prune(1 << 62) >= PRUNE_STEP:
            pass

    def _delete(self, connection: sqlite3.Connection, up_to: int) -> tuple[int, int]:
        """One step of deleting lines up to `up_to`, but for the newest; gives how many, and how many of the counted bytes."""
        last = connection.execute(self._sql(_STEP), (up_to, PRUNE_STEP)).fetchone()[0]
        if last is None:
            return 0, 0
        size: int = connection.execute(self._sql(_SIZE_UP_TO), (min(last, self._counted),)).fetchone()[0]
        return connection.execute(self._sql("DELETE FROM {lines} WHERE seq <= ?"), (last,)).rowcount, size

    async def _drop(self, now: int, cause: str, end: int | None) -> None:
        """Give up the lines up to `end`: move the cursors of the sinks that had not passed it, and say so."""
        if end is None:
            return

        def write(connection: sqlite3.Connection) -> list[Drop]:
            late = connection.execute(
                self._sql("SELECT name, cursor FROM {sinks} WHERE active AND cursor < ?"), (end,)
            ).fetchall()
            for name, cursor in late:
                connection.execute(self._sql(_DROP), (now, name, cause, cursor, end))
                connection.execute(self._sql(_SKIP), (end, name))
            return [Drop(*row) for row in connection.execute(self._sql(_DROPS), (len(late),))]

        for drop in await self._database.write(write):
            self._counts.add(f"{self.tables.metrics}_dropped", (("sink", drop.sink), ("cause", cause)), drop.lines)
            text = f"outbox over its bound of %s: sink %s never gets %d lines of {self.tables.what} (seq %d to %d)"
            log.error(text, cause, drop.sink, drop.lines, drop.first_seq, drop.last_seq)
        await self._prune_all()
        await self._measure(now)

    async def _end_by_age(self, before: int) -> int | None:
        """The last of the leading lines that were received before `before`."""
        rows = await self._database.rows(
            self._sql("SELECT seq FROM {lines} WHERE at >= ? ORDER BY seq LIMIT 1"), (before,)
        )
        if rows:
            return int(rows[0][0]) - 1
        newest: int | None = (await self._database.rows(self._sql("SELECT max(seq) FROM {lines}")))[0][0]
        return newest

    async def _end_by_bytes(self) -> int | None:
        """The last of the oldest lines that must go to make room."""
        surplus = self.bytes - int(self._max_bytes * ROOM)

        def read(connection: sqlite3.Connection) -> int | None:
            end, left = None, surplus
            for seq, size in connection.execute(self._sql("SELECT seq, length(samples) FROM {lines} ORDER BY seq")):
                if left <= 0:
                    break
                end, left = seq, left - size
            return end

        return await self._database.read(read)
