"""What the time series store asks of a database, SQLite or PostgreSQL: connections, and the few statements that differ.

All other statements are written once, in what both understand; parameters are `?`, or `?1`, `?2`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Found(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that it changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """The rest of them."""

    def __iter__(self) -> Iterator[Any]:
        """One after the other."""


class Connection(Protocol):
    """What a function is given that runs in a connection's thread."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Found:
        """One statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """The same statement for each."""


class Store(Protocol):
    """An open database. Its calls raise StoreError."""

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` inside one transaction and commit it; when that fails, nothing of it is kept."""

    async def snapshot(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn`, which only reads, on one state of the database."""

    async def rows(self, sql: str, params: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    async def close(self) -> None:
        """Finish what is queued and close."""


class Postgres(NamedTuple):
    """Where the time series lie instead of in a file. The URL has a password, or the environment (PGPASSWORD, PGPASSFILE)."""

    url: str
    schema: str = "ems_bridge"

    def __repr__(self) -> str:
        return f"Postgres(schema={self.schema!r})"


Row = tuple[int, int, bytes | msgspec.Raw]
"""(asset, ms, JSON) of a sample."""


class Dialect(NamedTuple):
    """The statements that differ.

    `assets` takes a JSON array of [name, device, timezone, first_at, last_at] and gives (name, id) of each; `points` takes
    one of [asset, name, unit, kind], `days` one of what `days.rows` gives. `put_samples` upserts rows. `point_tables` gives
    (asset, JSON of {point: [unit, kind]}). `chunks` takes a JSON array of ids and gives (id, body). `last_row` takes asset,
    end, start and point; it gives the last (ms, value) between.
    """

    assets: str
    points: str
    days: str
    put_samples: Callable[[Connection, list[Row]], object]
    point_tables: str
    chunks: str
    last_row: str
