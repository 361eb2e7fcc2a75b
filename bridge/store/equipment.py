"""Statements on what equipment did: runs and alarms, which come from stored messages, and events, which people tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from bridge.errors import Conflict, Exhausted
from bridge.store.database import Database

T = TypeVar("T")
RunRow = tuple[str, str, int, int, int]
"""(device, part, at, until, state)"""
AlarmRow = tuple[str, str, int, int | None]
"""(device, name, at, until)"""

MAX_EVENTS = 1_000_000
"""Of one device: some 100 MB."""
MAX_RUNS = 500_000
MAX_ALARMS = 100_000
"""Of one device, some 30 and 10 MB: more than a device that works has in ten years, and what one that does not may fill."""
TRIM_STEP = 20_000
NEIGHBOURS = 5_000
"""Newest messages of a device among which the neighbours of a late one are looked for."""

_SEEN = "SELECT value FROM meta WHERE key = 'equipment_seen'"
_MESSAGES = """
SELECT seq, device, suffix, CASE WHEN suffix IN (SELECT value FROM json_each(?3)) THEN body END
FROM reports WHERE seq > ?1 ORDER BY seq LIMIT ?2
"""
_NEAR = """
SELECT body FROM (SELECT suffix, timestamp, body FROM reports WHERE device = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?6)
WHERE suffix = ?3 AND timestamp BETWEEN ?4 AND ?5
"""
_RUNS = (
    "SELECT at, until, state FROM equipment_runs WHERE device = ? AND part = ? AND at <= ? AND until >= ? ORDER BY at"
)
_ALL_RUNS = """
SELECT part, at, until, state FROM equipment_runs WHERE device = ? AND at < ? AND until >= ? ORDER BY part, at
"""
_HAS_PARTS = "SELECT EXISTS (SELECT 1 FROM equipment_runs WHERE device = ? AND part > '')"
_ALARMS = "SELECT at, coalesce(until, ?4) FROM equipment_alarms WHERE device = ?1 AND at < ?2 AND (until IS NULL OR until >= ?3)"
_ROWS = "SELECT device, count(*) FROM {table} GROUP BY device HAVING count(*) > ?"
_OLDEST = {
    "equipment_runs": "DELETE FROM equipment_runs WHERE (device, part, at) IN"
    " (SELECT device, part, at FROM equipment_runs WHERE device = ? ORDER BY at LIMIT ?)",
    "equipment_alarms": "DELETE FROM equipment_alarms WHERE (device, name) IN"
    " (SELECT device, name FROM equipment_alarms WHERE device = ? ORDER BY at LIMIT ?)",
}
_PUT_RUN = "INSERT OR REPLACE INTO equipment_runs (device, part, at, until, state) VALUES (?, ?, ?, ?, ?)"
_DROP_RUN = "DELETE FROM equipment_runs WHERE device = ? AND part = ? AND at = ?"
_PUT_ALARM = """
INSERT INTO equipment_alarms (device, name, at, until) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET until = coalesce(excluded.until, until)
"""
_COLUMNS = "id, type, at, count, approved, user, note"
_SAME = f"SELECT {_COLUMNS} FROM equipment_events WHERE device = ? AND id = ?"
_PUT_EVENT = f"INSERT INTO equipment_events (device, {_COLUMNS}, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SUMS = "SELECT at, count, approved FROM equipment_events WHERE device = ? AND type = ? AND at >= ? AND at < ?"


class Event(NamedTuple):
    """What somebody told of a device. `at` in ms."""

    id: str
    type: str
    at: int
    times: int
    approved: bool
    user: str
    note: str


class Listed(NamedTuple):
    """An event with its number, which rises in the order of coming."""

    number: int
    event: Event


class Stored(NamedTuple):
    """A stored message; `body` only of the wanted suffixes."""

    seq: int
    device: str
    suffix: str
    body: str | None


class Look:
    """Reads on one connection, inside its thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def seen(self) -> int:
        """The last message that was looked at."""
        rows = self._connection.execute(_SEEN).fetchall()
        return int(rows[0][0]) if rows else 0

    def newest(self) -> int:
        """The last message that there is."""
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM reports").fetchone()[0])

    def messages(self, after: int, limit: int, size: int, suffixes: Sequence[str]) -> tuple[list[Stored], bool]:
        """Stored messages behind `after`: `limit` at most, or `size` characters of them; and whether there may be more."""
        found: list[Stored] = []
        for row in self._connection.execute(_MESSAGES, (after, limit, _json(suffixes))):
            found.append(Stored(*row))
            size -= len(found[-1].body or "")
            if size <= 0:
                return found, True
        return found, len(found) == limit

    def near(self, device: str, before: int, suffix: str, start: int, end: int) -> list[str]:
        """Bodies of a device's messages that came before message `before` and carry a time of [start, end], as far as they are
        among the newest of these."""
        rows = self._connection.execute(_NEAR, (device, before, suffix, start, end, NEIGHBOURS))
        return [body for (body,) in rows]

    def runs(self, device: str, part: str, start: int, end: int) -> list[tuple[int, int, int]]:
        """(at, until, state) of a part's runs that touch [start, end], ascending."""
        return self._connection.execute(_RUNS, (device, part, end, start)).fetchall()

    def all_runs(self, device: str, start: int, end: int) -> dict[str, list[tuple[int, int, int]]]:
        """Part -> the same of [start, end), for all parts of a device; of the device itself only where it has no parts."""
        found: dict[str, list[tuple[int, int, int]]] = {}
        for part, *run in self._connection.execute(_ALL_RUNS, (device, end, start)):
            found.setdefault(part, []).append((run[0], run[1], run[2]))
        if "" in found and self._connection.execute(_HAS_PARTS, (device,)).fetchone()[0]:
            del found[""]
        return found

    def alarms(self, device: str, start: int, end: int, now: int) -> list[tuple[int, int]]:
        """(start, end) of a device's alarms that touch [start, end); those that nobody has handled last until `now`."""
        return self._connection.execute(_ALARMS, (device, end, start, now)).fetchall()

    def events(self, device: str, sort: str, start: int, end: int) -> Iterable[tuple[int, int, int]]:
        """(at, count, approved) of a device's events of a type in [start, end)."""
        return self._connection.execute(_SUMS, (device, sort, start, end))

    def crowded(self) -> list[tuple[str, str, int]]:
        """(table, device, rows too many)."""
        return [
            (table, device, rows - most)
            for table, most in (("equipment_runs", MAX_RUNS), ("equipment_alarms", MAX_ALARMS))
            for device, rows in self._connection.execute(_ROWS.format(table=table), (most,))
        ]


class Equipment:
    """The tables equipment_runs, equipment_alarms and equipment_events of `bridge.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, fn: Callable[[Look], T]) -> T:
        """Run `fn` with a Look in a reader's thread."""
        return await self._database.read(lambda connection: fn(Look(connection)))

    async def learn(
        self, gone: Iterable[tuple[str, str, int]], runs: Iterable[RunRow], alarms: Iterable[AlarmRow], seen: int
    ) -> None:
        """Runs that are no more (device, part, at), those that are new or other, alarms, and up to which message that is."""

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_DROP_RUN, gone)
            connection.executemany(_PUT_RUN, runs)
            connection.executemany(_PUT_ALARM, alarms)
            connection.execute("UPDATE meta SET value = ? WHERE key = 'equipment_seen'", (seen,))

        await self._database.write(write)

    async def trim(self) -> int:
        """Forget the oldest runs and alarms of devices that have too many, some of them in one go; gives how many."""
        gone = 0
        for table, device, many in await self.read(Look.crowded):
            gone += await self._forget(_OLDEST[table], device, min(many, TRIM_STEP))
        return gone

    async def _forget(self, sql: str, device: str, many: int) -> int:
        return await self._database.write(lambda connection: connection.execute(sql, (device, many)).rowcount)

    async def add(self, device: str, events: Sequence[Event], now: int) -> int:
        """Keep events, all or none; gives how many are new. Raises Conflict, with the place of the event, for an id that came
        with other content, and Exhausted."""

        def write(connection: sqlite3.Connection) -> int:
            new = 0
            for place, event in enumerate(events):
                known = connection.execute(_SAME, (device, event.id)).fetchone()
                if known is None:
                    connection.execute(_PUT_EVENT, (device, *event, now))
                    new += 1
                elif Event(*known) != event:
                    raise Conflict("exists", f"event {event.id!r} came with other content before", f"$[{place}].id")
            held = "SELECT count(*) FROM equipment_events WHERE device = ?"
            if new and connection.execute(held, (device,)).fetchone()[0] > MAX_EVENTS:
                raise Exhausted("too_many_events", f"a device has {MAX_EVENTS} events at most")
            return new

        return await self._database.write(write)

    async def events(
        self, device: str, sort: str | None, start: int | None, end: int | None, after: int, limit: int
    ) -> list[Listed]:
        """Events in the order of coming, behind number `after`."""
        tests = {"device = ?": device, "type = ?": sort, "at >= ?": start, "at < ?": end, "number > ?": after}
        chosen = [(test, value) for test, value in tests.items() if value is not None]
        where = " AND ".join(test for test, _ in chosen)
        sql = f"SELECT number, {_COLUMNS} FROM equipment_events WHERE {where} ORDER BY number LIMIT ?"
        rows = await self._database.rows(sql, (*(value for _, value in chosen), limit))
        return [Listed(number, _event(row)) for number, *row in rows]

    async def remove(self, device: str, event: str) -> bool:
        """Whether there was one."""
        sql = "DELETE FROM equipment_events WHERE device = ? AND id = ?"
        return await self._database.write(lambda connection: connection.execute(sql, (device, event)).rowcount) > 0


def _event(row: Sequence[Any]) -> Event:
    name, sort, at, times, approved, user, note = row
    return Event(name, sort, at, times, bool(approved), user, note)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
