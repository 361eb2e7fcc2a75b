"""Statements of the vendor's platform API on `bridge.db`: profiles of devices, strategies, and what devices told last."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from bridge.errors import Conflict
from bridge.store.database import Database
from schemas.carriage import FAULTS_TOLD

_PROFILES = "SELECT device, license_code, code, location, updated_at FROM platform_devices"
_PUT_PROFILE = (
    "INSERT OR REPLACE INTO platform_devices (device, license_code, code, location, updated_at) VALUES (?, ?, ?, ?, ?)"
)
_STRATEGIES = "SELECT id, device, sort, remote, slot, body, at FROM platform_strategies"
_PUT_STRATEGY = """
INSERT INTO platform_strategies (device, sort, remote, slot, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (device, sort, remote) DO UPDATE SET body = ?5, at = ?6 RETURNING id
"""
_NEWEST = """
SELECT l.device, l.suffix, l.variant, r.received_at, r.body FROM latest l JOIN reports r USING (seq)
WHERE l.device IN (SELECT value FROM json_each(?1)) AND l.suffix IN (SELECT value FROM json_each(?2))
ORDER BY r.received_at, l.seq
"""
_HEARD = """
SELECT l.device, max(r.received_at) FROM latest l JOIN reports r USING (seq)
WHERE l.device IN (SELECT value FROM json_each(?)) GROUP BY l.device
"""
_LAST = "SELECT received_at, body FROM reports WHERE device = ? AND suffix = ? ORDER BY seq DESC LIMIT ?"
_FAULTS = f"""
SELECT seq, received_at, body FROM reports WHERE device = ? AND suffix = '{FAULTS_TOLD}' ORDER BY seq DESC LIMIT ?
"""


class Profile(NamedTuple):
    """What the API knows of a device beside the registry."""

    device: str
    license_code: str | None = None
    code: int = 0
    location: str = ""
    updated_at: int = 0


class Kept(NamedTuple):
    """A strategy. `body` has the API's values; `remote` is the device's own id."""

    id: int
    device: str
    sort: str
    remote: int | None
    slot: int
    body: dict[str, Any]
    at: int


class Told(NamedTuple):
    """A stored message of a device."""

    device: str
    suffix: str
    variant: str
    received_at: int
    body: bytes


class Platform:
    """Queries and changes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def profiles(self) -> dict[str, Profile]:
        """By device; those that have one."""
        return {row[0]: Profile(*row) for row in await self._database.rows(_PROFILES)}

    async def profile(self, device: str) -> Profile:
        """That of a device, an empty one where nothing is kept."""
        rows = await self._database.rows(f"{_PROFILES} WHERE device = ?", (device,))
        return Profile(*rows[0]) if rows else Profile(device)

    async def licensed(self, license_code: str) -> Profile | None:
        """The profile with that license code."""
        rows = await self._database.rows(f"{_PROFILES} WHERE license_code = ?", (license_code,))
        return Profile(*rows[0]) if rows else None

    async def put_profile(self, profile: Profile) -> None:
        """Keep it instead of the one before. Raises Conflict when the license code is another device's."""

        def write(connection: sqlite3.Connection) -> bool:
            taken = connection.execute(
                "SELECT 1 FROM platform_devices WHERE license_code = ? AND device <> ?",
                (profile.license_code, profile.device),
            )
            if taken.fetchone() is not None:
                return False
            connection.execute(_PUT_PROFILE, profile)
            return True

        if not await self._database.write(write):
            raise Conflict("exists", "another device has that license code")

    async def strategies(self, devices: Iterable[str], sort: str) -> list[Kept]:
        """Those of a sort, by id."""
        sql = f"{_STRATEGIES} WHERE device IN (SELECT value FROM json_each(?)) AND sort = ? ORDER BY id"
        return [_kept(row) for row in await self._database.rows(sql, (_json(list(devices)), sort))]

    async def strategy(self, number: int) -> Kept | None:
        """The one with that id."""
        rows = await self._database.rows(f"{_STRATEGIES} WHERE id = ?", (number,))
        return _kept(rows[0]) if rows else None

    async def add(self, device: str, sort: str, remote: int | None, body: dict[str, Any], at: int) -> int:
        """Keep a strategy; one with the same `remote` is the same. Gives its id."""

        def write(connection: sqlite3.Connection) -> int:
            return _add(connection, device, sort, remote, body, at)

        return await self._database.write(write)

    async def change(self, number: int, body: dict[str, Any], at: int) -> None:
        """Keep another body."""
        sql = "UPDATE platform_strategies SET body = ?, at = ? WHERE id = ?"
        await self._database.write(lambda connection: connection.execute(sql, (_json(body), at, number)).rowcount)

    async def remove(self, number: int) -> None:
        """Forget it."""
        sql = "DELETE FROM platform_strategies WHERE id = ?"
        await self._database.write(lambda connection: connection.execute(sql, (number,)).rowcount)

    async def replace(self, device: str, sort: str, told: Sequence[tuple[int, dict[str, Any]]], at: int) -> None:
        """A device told all that it has of a sort, (remote, body) each: what is kept becomes that. Ids stay where remotes do."""

        def write(connection: sqlite3.Connection) -> None:
            remotes = _json([remote for remote, _ in told])
            sql = (
                "DELETE FROM platform_strategies WHERE device = ? AND sort = ?"
                " AND (remote IS NULL OR remote NOT IN (SELECT value FROM json_each(?)))"
            )
            connection.execute(sql, (device, sort, remotes))
            for remote, body in told:
                _add(connection, device, sort, remote, body, at)

        await self._database.write(write)

    async def newest(self, devices: Iterable[str], suffixes: Iterable[str]) -> list[Told]:
        """The newest stored message of each sort among `suffixes`, the oldest first."""
        rows = await self._database.rows(_NEWEST, (_json(list(devices)), _json(list(suffixes))))
        return [Told(device, suffix, variant, at, body.encode()) for device, suffix, variant, at, body in rows]

    async def heard(self, devices: Iterable[str]) -> dict[str, int]:
        """When the last message of each device came, ms."""
        return dict(await self._database.rows(_HEARD, (_json(list(devices)),)))

    async def last(self, device: str, suffix: str, limit: int) -> list[tuple[int, bytes]]:
        """(received ms, body) of the newest stored messages on a suffix, newest first."""
        rows = await self._database.rows(_LAST, (device, suffix, limit))
        return [(at, body.encode()) for at, body in rows]

    async def faults(self, device: str, limit: int) -> list[tuple[int, int, bytes]]:
        """(sequence number, received ms, body) of stored alarm messages, newest first."""
        rows = await self._database.rows(_FAULTS, (device, limit))
        return [(seq, at, body.encode()) for seq, at, body in rows]


def _add(
    connection: sqlite3.Connection, device: str, sort: str, remote: int | None, body: dict[str, Any], at: int
) -> int:
    used = "SELECT slot FROM platform_strategies WHERE device = ? AND sort = ?"
    slots = {slot for (slot,) in connection.execute(used, (device, sort))}
    free = next(slot for slot in range(len(slots) + 1) if slot not in slots)
    row = connection.execute(_PUT_STRATEGY, (device, sort, remote, free, _json(body), at)).fetchone()
    number: int = row[0]
    return number


def _kept(row: Sequence[Any]) -> Kept:
    number, device, sort, remote, slot, body, at = row
    return Kept(number, device, sort, remote, slot, msgspec.json.decode(body), at)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
