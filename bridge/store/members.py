"""Statements on devices and accounts. The command line uses them while the service runs; triggers raise one version number."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from bridge.store.database import Database

Owner = tuple[str, str]


class Device(msgspec.Struct, frozen=True):
    """A registered device. `timezone` is an IANA name or None for the configured default; `signs` maps a part family
    ("meter", "battery", …) to 1 or -1; `secret_hash` None means that it cannot log in."""

    uid: str
    product_key: str | None
    tenant: str | None
    name: str
    timezone: str | None
    signs: dict[str, float]
    secret_hash: bytes | None
    enabled: bool
    created_at: int
    rotated_at: int | None
    broker_hash: str | None = None
    """The secret as Mosquitto's password file has it; None for those made before there was such a column."""

    @property
    def owners(self) -> tuple[Owner, ...]:
        """(scheme, owner) of each registration."""
        found = (("wudun", self.product_key), ("user", self.tenant))
        return tuple((scheme, owner) for scheme, owner in found if owner is not None)


class Account(msgspec.Struct, frozen=True):
    """A platform account. `grants` are the (scheme, owner) that it may touch; None means all."""

    name: str
    grants: frozenset[Owner] | None
    key_hash: bytes
    password_hash: str | None
    created_at: int
    broker_hash: str | None = None


class Members:
    """The tables `devices` and `accounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        """A number that every change raises."""
        rows = await self._database.rows("SELECT value FROM meta WHERE key = 'registry_version'")
        return int(rows[0][0])

    async def load(self) -> tuple[dict[str, Device], dict[str, Account]]:
        """Everybody, by uid and by name."""
        return await self._database.read(_load)

    async def put_device(self, device: Device) -> None:
        """Insert or replace a device."""
        row = (*_columns(device)[:5], _json(device.signs), *_columns(device)[6:])
        await self._write("INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    async def describe_device(self, uid: str, name: str, product_key: str | None, tenant: str | None) -> bool:
        """Another name, and owners where it has none. Whether there was such a device, free to take them."""
        sql = (
            "UPDATE devices SET name = ?2, product_key = coalesce(product_key, ?3), tenant = coalesce(tenant, ?4) WHERE uid = ?1"
            " AND coalesce(product_key, ?3) IS coalesce(?3, product_key) AND coalesce(tenant, ?4) IS coalesce(?4, tenant)"
        )
        return await self._write(sql, (uid, name, product_key, tenant))

    async def delete_device(self, uid: str) -> bool:
        """Whether there was one."""
        return await self._write("DELETE FROM devices WHERE uid = ?", (uid,))

    async def put_account(self, account: Account) -> None:
        """Insert an account."""
        grants = None if account.grants is None else _json(sorted(account.grants))
        row = (account.name, grants, account.key_hash, account.password_hash, account.created_at, account.broker_hash)
        await self._write("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)", row)

    async def delete_account(self, name: str) -> bool:
        """Whether there was one."""
        return await self._write("DELETE FROM accounts WHERE name = ?", (name,))

    async def _write(self, sql: str, params: tuple[object, ...]) -> bool:
        return await self._database.write(lambda connection: connection.execute(sql, params).rowcount) > 0


def _columns(device: Device) -> tuple[Any, ...]:
    return msgspec.structs.astuple(device)


def _load(connection: sqlite3.Connection) -> tuple[dict[str, Device], dict[str, Account]]:
    devices = {}
    for row in connection.execute("SELECT * FROM devices"):
        values: list[Any] = [
            *row[:5],
            msgspec.json.decode(row[5], type=dict[str, float]),
            row[6],
            bool(row[7]),
            *row[8:],
        ]
        devices[row[0]] = Device(*values)
    accounts = {}
    for name, grants, *rest in connection.execute("SELECT * FROM accounts"):
        held = None if grants is None else frozenset(msgspec.json.decode(grants, type=list[tuple[str, str]]))
        accounts[name] = Account(name, held, *rest)
    return devices, accounts


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
