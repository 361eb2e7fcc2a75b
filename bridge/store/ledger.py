"""Every statement and query on `bridge.db`, but for sessions (sessions.py) and the outbox (outbox.py)."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from bridge.store.database import Database
from bridge.store.dead import DeadLetters
from bridge.store.statements import FIRST, INSERTS, ORDERED, Statement
from bridge.store.together import Together
from schemas.notices import OPEN

_REPORT = """
INSERT INTO reports (seq, received_at, device, topic, suffix, mid, timestamp, body)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
  CAST(substr(?2, 1 + (value ->> 8), value ->> 9) AS TEXT) FROM json_each(?1)
"""
_LATEST = """
INSERT INTO latest (device, suffix, variant, seq)
SELECT value ->> 2, value ->> 4, value ->> 7, max(value ->> 0) FROM json_each(?1) WHERE true GROUP BY 1, 2, 3
ON CONFLICT DO UPDATE SET seq = excluded.seq
"""
_DEAD = """
INSERT INTO dead_letters (at, source, device, topic, sender, reason, path, detail, payload, context)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TRIM_LATEST = """
DELETE FROM latest WHERE (device, suffix, variant) IN (
  SELECT device, suffix, variant FROM (
    SELECT device, suffix, variant, row_number() OVER (PARTITION BY device ORDER BY seq DESC) AS place FROM latest
    WHERE device IN (SELECT device FROM latest GROUP BY device HAVING count(*) > ?1))
  WHERE place > ?1)
"""
_COMMAND_COLUMNS = (
    "mid, device, suffix, prefix, sub_device, changes, immediate, digest, payload, sender, via, state, cause,"
    " code, msg, answer, answers, timeout_ms, created_at, hold_until, sent_at, delivered_at, deadline, settled_at, number,"
    " spelling"
)
_COMMAND_PUT = """
INSERT INTO commands (mid, device, suffix, prefix, sub_device, changes, immediate, digest, payload, sender, via, state,
  timeout_ms, created_at, hold_until, changed_at, number, sent_at, deadline, spelling)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING mid
"""
_COMMAND_MOVE = """
UPDATE commands SET state = ?2, changed_at = ?3, cause = ?4,
  sent_at = CASE WHEN ?2 = 'sent' THEN ?3 WHEN ?2 = 'accepted' THEN NULL ELSE sent_at END,
  deadline = CASE WHEN ?2 = 'sent' THEN ?3 + timeout_ms WHEN ?2 = 'accepted' THEN NULL ELSE deadline END,
  delivered_at = CASE WHEN ?2 = 'delivered' THEN ?3 ELSE delivered_at END,
  settled_at = CASE WHEN ?5 THEN ?3 ELSE settled_at END
WHERE mid = ?1 AND state IN (SELECT value FROM json_each(?6)) RETURNING CASE state WHEN 'sent' THEN payload END
"""
_COMMAND_ANSWER = """
UPDATE commands SET answers = answers + 1,
  changed_at = CASE WHEN answers THEN changed_at ELSE ?3 END,
  code = CASE WHEN answers THEN code ELSE ?4 END,
  msg = CASE WHEN answers THEN msg ELSE ?5 END,
  answer = CASE WHEN answers THEN answer ELSE ?6 END,
  cause = CASE WHEN answers THEN cause ELSE ?7 END,
  settled_at = coalesce(settled_at, ?3),
  state = CASE WHEN answers THEN state WHEN state = 'timed_out' THEN 'late_' || ?8 ELSE ?8 END
WHERE mid = (
  SELECT asked.mid FROM json_each(?1) AS each CROSS JOIN commands AS asked ON asked.mid = each.value
  WHERE asked.device = ?2 AND (asked.state IN ('sent', 'delivered', 'timed_out') OR asked.answers)
  ORDER BY asked.answers > 0, asked.state = 'timed_out', each.key LIMIT 1
) RETURNING mid, state, answers
"""
_COMMAND_PROGRESS = """
UPDATE commands SET state = 'delivered', changed_at = ?3, delivered_at = coalesce(delivered_at, ?3),
  code = ?4, msg = ?5, answer = ?6, cause = ?7
WHERE mid = (
  SELECT asked.mid FROM json_each(?1) AS each CROSS JOIN commands AS asked ON asked.mid = each.value
  WHERE asked.device = ?2 AND asked.state IN ('sent', 'delivered') ORDER BY each.key LIMIT 1
) RETURNING mid
"""
_FEW_COLUMNS = _COMMAND_COLUMNS.replace(" payload,", " '' AS payload,").replace(" answer,", " NULL AS answer,")
_OPEN_COMMANDS = (
    " UNION ALL ".join(f"SELECT {_FEW_COLUMNS} FROM commands WHERE state = '{state}' AND number > ?1" for state in OPEN)
    + " ORDER BY number LIMIT ?2"
)
"""Merged from the three parts of the index, whatever else there is."""
OPEN_STEP = 2_000
_SOME_COMMANDS = f"SELECT {_COMMAND_COLUMNS} FROM commands WHERE mid IN (SELECT value FROM json_each(?))"
_STEP = ("state", "at", "code", "msg", "cause")
_HISTORIES = (
    f"SELECT mid, {', '.join(_STEP)} FROM command_events WHERE mid IN (SELECT value FROM json_each(?)) ORDER BY id"
)

_TOLD = """
UPDATE meta SET value = newest.id FROM (SELECT coalesce(max(id), 0) AS id FROM command_events) AS newest
WHERE key = 'statuses_told' AND value <> newest.id
"""
"""What moved in the transaction before is told in this one, if not sooner."""
_UNTOLD = """
SELECT e.mid, c.spelling, c.device, e.state, e.code, e.msg, e.cause, e.at FROM command_events e JOIN commands c ON c.mid = e.mid
WHERE e.id > (SELECT value FROM meta WHERE key = 'statuses_told') ORDER BY e.id
"""

STATEMENTS: dict[str, Statement] = {
    "statuses_told": Statement(_TOLD, FIRST),
    "report": Statement(_REPORT, INSERTS, bulk=True, body=True, also=_LATEST),
    "dead_letter": Statement(_DEAD, INSERTS),
    "dead_replayed": Statement("UPDATE dead_letters SET replayed_at = ? WHERE id = ?", ORDERED),
    "device_seen": Statement(
        "INSERT INTO devices (uid, product_key, tenant, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET"
        " product_key = coalesce(product_key, ?2), tenant = coalesce(tenant, ?3) WHERE secret_hash IS NULL",
        ORDERED,
    ),
    "presence": Statement(
        "INSERT INTO presence SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true"
        " ON CONFLICT DO UPDATE SET online = excluded.online, since = excluded.since,"
        " scheme = coalesce(excluded.scheme, scheme)",
        INSERTS,
        bulk=True,
    ),
    "command_put": Statement(_COMMAND_PUT, ORDERED),
    "command_same": Statement(
        "SELECT digest = ?2, state, code,"
        " CASE WHEN msg = '' AND state NOT LIKE '%succeeded' AND state NOT LIKE '%rejected' THEN cause ELSE msg END,"
        " changed_at FROM commands WHERE mid = ?1",
        ORDERED,
    ),
    "command_move": Statement(_COMMAND_MOVE, ORDERED),
    "command_answer": Statement(_COMMAND_ANSWER, ORDERED),
    "command_progress": Statement(_COMMAND_PROGRESS, ORDERED),
}
"""Rows of `command_move`: (mid, state, at, cause, terminal, JSON list of states it may leave); it gives (payload) when it becomes
`sent`. Of `command_answer`:
(JSON list of the mids that may be meant, device, at, code, msg, answer, cause, 'succeeded' | 'rejected'); it gives (mid, state,
answers), and only where answers is 1 has it changed more than that count. `command_progress` takes the first seven of these and
gives (mid)."""


class StoredCommand(msgspec.Struct, frozen=True):
    """A row of `commands`. `mid` is spelled as UUIDs are compared, `spelling` as its sender spelled it where that is another."""

    mid: str
    device: str
    suffix: str
    prefix: str
    sub_device: str
    changes: bool
    immediate: bool
    digest: bytes
    payload: str
    sender: str
    via: str
    state: str
    cause: str
    code: int | None
    msg: str
    answer: str | None
    answers: int
    timeout_ms: int
    created_at: int
    hold_until: int
    sent_at: int | None
    delivered_at: int | None
    deadline: int | None
    settled_at: int | None
    number: int
    spelling: str = ""

    @property
    def known_as(self) -> str:
        """The mid as its sender spells it."""
        return self.spelling or self.mid


class Untold(NamedTuple):
    """A move of a command that nobody was told of."""

    mid: str
    spelling: str
    device: str
    state: str
    code: int | None
    msg: str
    cause: str
    at: int

    @property
    def known_as(self) -> str:
        """The mid as its sender spells it."""
        return self.spelling or self.mid


def _stored(row: Sequence[Any]) -> StoredCommand:
    values: list[Any] = [*row[:5], bool(row[5]), bool(row[6]), *row[7:]]
    return StoredCommand(*values)


Told = tuple[StoredCommand, list[dict[str, Any]]]
"""A command and each state that it was in: {state, at, code, msg, cause}."""


class Ledger:
    """Queries on `bridge.db`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dead = DeadLetters(database)
        self._commands = Together(self._look_up)

    # What the process must know when it starts.

    async def last_seq(self) -> int:
        """The highest sequence number that a report or an outbox line ever had."""
        rows = await self.database.rows(
            "SELECT coalesce(max(seq), 0) FROM reports UNION ALL SELECT coalesce(max(seq), 0) FROM outbox"
        )
        return int(max(value for (value,) in rows))

    async def last_command(self) -> int:
        """The number of the newest command."""
        return int((await self.database.rows("SELECT coalesce(max(number), 0) FROM commands"))[0][0])

    async def open_commands(self) -> AsyncIterator[StoredCommand]:
        """Commands that have no outcome yet, in their order, without payload and answer."""
        number = 0
        while rows := await self.database.rows(_OPEN_COMMANDS, (number, OPEN_STEP)):
            for stored in map(_stored, rows):
                yield stored
            number = stored.number

    async def recent_timeouts(self, since: int, limit: int) -> list[StoredCommand]:
        """Commands that timed out after `since` (ms), oldest first, without payload and answer: their answers may still come."""
        sql = f"SELECT {_FEW_COLUMNS} FROM commands WHERE state = 'timed_out' AND settled_at > ? ORDER BY number DESC LIMIT ?"
        return [_stored(row) for row in reversed(await self.database.rows(sql, (since, limit)))]

    async def untold(self) -> list[Untold]:
        """Moves that were committed last, and not told before the process ended."""
        return [Untold(*row) for row in await self.database.rows(_UNTOLD)]

    async def presences(self) -> list[tuple[str, bool, int, str | None]]:
        """(uid, online, since ms, scheme) as last written."""
        rows = await self.database.rows("SELECT uid, online, since, scheme FROM presence")
        return [(uid, bool(online), since, scheme) for uid, online, since, scheme in rows]

    # What people ask.

    async def command(self, mid: str) -> Told | None:
        """One command and each state that it was in."""
        return await self._commands.get(mid)

    async def _look_up(self, mids: list[str]) -> dict[str, Told]:
        asked = (msgspec.json.encode(mids).decode(),)

        def look(connection: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            return connection.execute(_SOME_COMMANDS, asked).fetchall(), connection.execute(
                _HISTORIES, asked
            ).fetchall()

        rows, steps = await self.database.read(look)
        found: dict[str, Told] = {stored.mid: (stored, []) for stored in map(_stored, rows)}
        for mid, *step in steps:
            if mid in found:
                found[mid][1].append(dict(zip(_STEP, step, strict=True)))
        return found

    async def commands(
        self, devices: Iterable[str] | None, device: str | None, state: str | None, limit: int, before: int | None
    ) -> list[StoredCommand]:
        """Commands, newest first; `devices` bounds what the asker may see, `before` is a command's number."""
        where, params = _where(devices, device=device, state=state)
        if before is not None:
            where, params = [*where, "number < ?"], [*params, before]
        sql = f"SELECT {_COMMAND_COLUMNS} FROM commands {_clause(where)} ORDER BY number DESC LIMIT ?"
        return [_stored(row) for row in await self.database.rows(sql, (*params, limit))]

    async def latest(self, uid: str) -> list[dict[str, Any]]:
        """The newest stored message of each sort: {suffix, variant, received_at, timestamp, mid, topic, body}."""
        sql = (
            "SELECT l.suffix, l.variant, r.received_at, r.timestamp, r.mid, r.topic, r.body FROM latest l"
            " JOIN reports r USING (seq) WHERE l.device = ? ORDER BY 1, 2"
        )
        names = ("suffix", "variant", "received_at", "timestamp", "mid", "topic", "body")
        return [_with_body(names, row) for row in await self.database.rows(sql, (uid,))]

    async def messages(
        self, devices: Iterable[str] | None, device: str | None, suffix: str | None, after: int, limit: int
    ) -> list[dict[str, Any]]:
        """Stored messages with a sequence number above `after`, in order, as dicts of the table's columns."""
        where, params = _where(devices, device=device, suffix=suffix)
        sql = (
            "SELECT seq, received_at, device, topic, suffix, mid, timestamp, body FROM reports"
            f" {_clause([*where, 'seq > ?'])} ORDER BY seq LIMIT ?"
        )
        names = ("seq", "received_at", "device", "topic", "suffix", "mid", "timestamp", "body")
        return [_with_body(names, row) for row in await self.database.rows(sql, (*params, after, limit))]

    # Bounds.

    async def trim_latest(self, kept: int) -> int:
        """Forget which reports are the newest of their sort beyond `kept` sorts of one device: names that a device makes up must
        not keep reports from retention. Gives how many."""
        return await self.database.write(lambda connection: connection.execute(_TRIM_LATEST, (kept,)).rowcount)

    async def trim(self, cutoff: int, max_bytes: int, dead_cutoff: int, dead_rows: int) -> dict[str, int]:
        """Delete reports received before `cutoff` (ms) or over `max_bytes` of file, commands and dead letters before
        `dead_cutoff`, and dead letters over `dead_rows`. The newest report of each sort stays. One small step; says what went."""
        return await self.database.write(
            lambda connection: _trim(connection, cutoff, max_bytes, dead_cutoff, dead_rows)
        )


TRIM_STEP = 5_000
"""Reports or dead letters that one step may delete: some 30 ms of the writer's time."""
COMMAND_STEP = 1_000
"""The same of commands, each with its history. A step that deleted this many of anything may have left more."""
_REPLACED = """NOT EXISTS (
  SELECT 1 FROM latest WHERE latest.device = reports.device AND latest.suffix = reports.suffix AND latest.seq = reports.seq)"""
_OLD_REPORTS = f"""
SELECT min(seq), max(seq) FROM (
  SELECT seq, received_at FROM reports WHERE {_REPLACED} ORDER BY seq LIMIT ?
) WHERE ? OR received_at < ?
"""
_OLD_DEAD = """
DELETE FROM dead_letters WHERE id IN (
  SELECT id FROM (SELECT id, at FROM dead_letters ORDER BY id LIMIT ?)
  WHERE at < ? OR id <= (SELECT max(id) FROM dead_letters) - ?
)
"""
_OLD_COMMANDS = """
SELECT mid FROM (SELECT mid, settled_at FROM commands ORDER BY number LIMIT ?) WHERE settled_at < ?
"""


def _trim(
    connection: sqlite3.Connection, cutoff: int, max_bytes: int, dead_cutoff: int, dead_rows: int
) -> dict[str, int]:
    page, pages, free = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    over = (pages - free) * page > max_bytes
    first, last = connection.execute(_OLD_REPORTS, (TRIM_STEP, over, cutoff)).fetchone()
    gone = {"reports": 0}
    if last is not None:
        sql = f"DELETE FROM reports WHERE seq BETWEEN ? AND ? AND {_REPLACED}"
        gone["reports"] = connection.execute(sql, (first, last)).rowcount
    gone["dead_letters"] = connection.execute(_OLD_DEAD, (TRIM_STEP, dead_cutoff, dead_rows)).rowcount
    mids = connection.execute(_OLD_COMMANDS, (COMMAND_STEP, dead_cutoff)).fetchall()
    connection.executemany("DELETE FROM command_events WHERE mid = ?", mids)
    connection.executemany("DELETE FROM commands WHERE mid = ?", mids)
    gone["commands"] = len(mids)
    return gone


def _where(devices: Iterable[str] | None, **equals: Any) -> tuple[list[str], list[Any]]:
    where = [f"{column} = ?" for column, value in equals.items() if value is not None]
    params = [value for value in equals.values() if value is not None]
    if devices is not None:
        where.append("device IN (SELECT value FROM json_each(?))")
        params.append(msgspec.json.encode(list(devices)).decode())
    return where, params


def _clause(where: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(where)}" if where else ""


def _with_body(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    found = dict(zip(names, row, strict=True))
    found["body"] = msgspec.Raw(found["body"].encode())
    return found
