"""Statements of the Belimo-compatible API on `bridge.db`: OAuth2 tokens, and metadata of devices."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from bridge.store.database import Database

_TOKENS = "SELECT digest, sort, account, stamp, client, scope, family, issued_at, expires_at FROM oauth_tokens"
_PUT = "INSERT OR REPLACE INTO oauth_tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_METADATA = "SELECT device, id, value FROM belimo_metadata WHERE device IN (SELECT value FROM json_each(?))"


class Token(NamedTuple):
    """An OAuth2 token. Times in ms; `scope` as it was asked for; `family` is shared by all that follow from one login. A refresh
    token that was used is `spent`: who shows it again ends its family."""

    digest: bytes
    sort: Literal["access", "refresh", "spent"]
    account: str
    stamp: bytes
    client: str
    scope: str
    family: str
    issued_at: int
    expires_at: int


class TokenStore:
    """The table `oauth_tokens`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[Token]:
        """All of them, the oldest first."""
        return [Token(*row) for row in await self._database.rows(f"{_TOKENS} ORDER BY issued_at")]

    async def change(self, put: Iterable[Token], remove: Collection[bytes]) -> None:
        """Keep some and forget others, in one transaction. Raises StoreError."""
        kept, gone = list(put), [(digest,) for digest in remove]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM oauth_tokens WHERE digest = ?", gone)
            connection.executemany(_PUT, kept)

        await self._database.write(write)


class Metadata:
    """The table `belimo_metadata`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, devices: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Device -> {id: value}; of those that have some."""
        found: dict[str, dict[str, Any]] = {}
        for device, name, value in await self._database.rows(_METADATA, (msgspec.json.encode(list(devices)).decode(),)):
            found.setdefault(device, {})[name] = msgspec.json.decode(value)
        return found

    async def put(self, device: str, values: Mapping[str, Any]) -> None:
        """Keep them instead of those before; the others stay. Raises StoreError."""
        rows = [(device, name, msgspec.json.encode(value).decode()) for name, value in values.items()]
        sql = "INSERT OR REPLACE INTO belimo_metadata VALUES (?, ?, ?)"
        await self._database.write(lambda connection: connection.executemany(sql, rows).rowcount)
