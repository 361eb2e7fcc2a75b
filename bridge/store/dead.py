"""Every query on dead letters. They are written as rows of other Records (statement `dead_letter`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from bridge.store.database import Database

COLUMNS = (
    "id", "at", "source", "device", "topic", "sender", "reason", "path", "detail", "payload", "context", "replayed_at",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM dead_letters"
_HEADS = _SELECT.replace("payload,", "length(payload),")


class Wanted(NamedTuple):
    """Which dead letters: None is any. `devices` bounds what the asker may see; `topic` is one topic, or with `/#` all behind it;
    `since` and `until` are ms, the latter excluded; `after` and `before` are ids, both excluded."""

    devices: Iterable[str] | None = None
    device: str | None = None
    source: str | None = None
    reason: str | None = None
    topic: str | None = None
    since: int | None = None
    until: int | None = None
    after: int | None = None
    before: int | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Its SQL condition, with parameters."""
        topic = self.topic if self.topic is None or not self.topic.endswith("/#") else None
        behind = self.topic[:-1] if self.topic is not None and topic is None else None
        devices = None if self.devices is None else msgspec.json.encode(list(self.devices)).decode()
        tests = {
            "device IN (SELECT value FROM json_each(?))": devices,
            "device = ?": self.device,
            "source = ?": self.source,
            "reason = ?": self.reason,
            "topic = ?": topic,
            "substr(topic, 1, length(?)) = ?": behind,
            "at >= ?": self.since,
            "at < ?": self.until,
            "id > ?": self.after,
            "id < ?": self.before,
        }
        chosen = [(test, value) for test, value in tests.items() if value is not None]
        values = [value for test, value in chosen for _ in range(test.count("?"))]
        return " AND ".join(["true", *(test for test, _ in chosen)]), values


class DeadLetters:
    """Queries on the dead letters of `bridge.db`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
        """Dead letters, newest first."""
        where, values = wanted.where()
        rows = await self._database.rows(f"{_SELECT} WHERE {where} ORDER BY id DESC LIMIT ?", (*values, limit))
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    async def heads(self, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
        """The same with the size of the payload in place of the payload."""
        where, values = wanted.where()
        rows = await self._database.rows(f"{_HEADS} WHERE {where} ORDER BY id DESC LIMIT ?", (*values, limit))
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    async def waiting(self, wanted: Wanted, limit: int, max_bytes: int) -> list[dict[str, Any]]:
        """Those that were not replayed, oldest first: `limit` and `max_bytes` of payloads at most, but one."""
        where, values = wanted.where()
        sizes = (
            f"SELECT id, length(payload) FROM dead_letters WHERE {where} AND replayed_at IS NULL ORDER BY id LIMIT ?"
        )

        def look(connection: sqlite3.Connection) -> list[Any]:
            numbers: list[int] = []
            size = 0
            for number, length in connection.execute(sizes, (*values, limit)).fetchall():
                size += length
                if numbers and size > max_bytes:
                    break
                numbers.append(number)
            chosen = msgspec.json.encode(numbers).decode()
            return connection.execute(
                f"{_SELECT} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", (chosen,)
            ).fetchall()

        return [dict(zip(COLUMNS, row, strict=True)) for row in await self._database.read(look)]

    async def get(self, number: int) -> dict[str, Any] | None:
        """One dead letter, `payload` as bytes."""
        rows = await self._database.rows(f"{_SELECT} WHERE id = ?", (number,))
        return dict(zip(COLUMNS, rows[0], strict=True)) if rows else None

    async def newest(self) -> int:
        """The highest id; 0 when there is none."""
        return int((await self._database.rows("SELECT coalesce(max(id), 0) FROM dead_letters"))[0][0])

    async def purge(self, wanted: Wanted, limit: int) -> int:
        """Delete the oldest `limit` of them at most; gives how many there were."""
        where, values = wanted.where()
        sql = f"DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE {where} ORDER BY id LIMIT ?)"
        return await self._database.write(lambda connection: connection.execute(sql, (*values, limit)).rowcount)
