"""Time series, in `series.db` or PostgreSQL: assets, their points, and samples (one row an asset and instant, all points in
it), which age into chunks.

Samples are upserted: the same again changes nothing, another value of a point replaces it, other points are added. Late and
out-of-order rows are as good as any. The catalogue of assets and points is held in memory; one process writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, time
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from bridge.errors import StoreError
from bridge.store import days
from bridge.store.database import Database
from bridge.store.dialect import Connection, Dialect, Postgres, Row, Store
from bridge.store.folding import Folding, Pause
from bridge.store.retention import Roll, retire
from bridge.store.scan import Scan
from bridge.store.series_sqlite import SQLITE

__all__ = ["COUNTER", "GAUGE", "Answer", "Asset", "Batch", "Points", "Scan", "Series"]

T = TypeVar("T")

GAUGE, COUNTER = "gauge", "counter"
KEEP_ANSWERS_MS = 24 * 3_600_000
"""Storing is idempotent by itself; a remembered answer only has to outlive a sender's retries."""
FORGET_EVERY_MS = 3_600_000

_ANSWER = (
    "INSERT INTO answers (scope, key, digest, at, status, answer) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_CATALOGUE = "SELECT name, id, device, timezone, first_at, last_at FROM assets"
_point_table = msgspec.json.Decoder(dict[str, tuple[str, str]]).decode
_encode = msgspec.json.Encoder().encode

Points = Mapping[str, tuple[str, str]]
"""Point -> (unit, kind)."""


class Asset(msgspec.Struct):
    """What is known of an asset. `timezone` is its own or None; `first_at` and `last_at` are the ends of its samples, ms."""

    name: str
    number: int
    device: str
    timezone: str | None
    first_at: int
    last_at: int
    points: Points


class Answer(NamedTuple):
    """An answer under an Idempotency-Key of one sender. `digest` is the SHA-256 of the body it answered."""

    scope: str
    key: str
    digest: bytes
    status: int
    text: str


class Batch:
    """Samples to store together. `samples` maps (asset, ms) to {point: value}; `texts` has those that came as the very JSON
    to store; `devices` has every asset in it; `zones` and `stated` ({asset: {point: (unit, kind)}}, None where nothing was
    said) only what the sender told."""

    __slots__ = ("devices", "samples", "stated", "texts", "zones")

    def __init__(self) -> None:
        self.samples: dict[tuple[str, int], dict[str, float]] = {}
        self.texts: dict[tuple[str, int], msgspec.Raw] = {}
        self.devices: dict[str, str] = {}
        self.zones: dict[str, str] = {}
        self.stated: dict[str, dict[str, tuple[str | None, str | None]]] = {}

    def add(self, asset: str, device: str, at: int, values: dict[str, float], text: msgspec.Raw | None = None) -> None:
        """Take one sample; of two values of one point and instant the later one taken counts. `text` is `values` as JSON,
        each name once, without escapes, and of points that the asset is known to have."""
        self.devices[asset] = device
        key = asset, at
        known = self.samples.get(key)
        if known is not None:
            known.update(values)
            self.texts.pop(key, None)
            return
        self.samples[key] = values
        if text is not None:
            self.texts[key] = text


class Catalogue(NamedTuple):
    """Rows of assets, and of each the JSON of its points."""

    assets: list[tuple[Any, ...]]
    tables: list[tuple[int, str]]


class Series:
    """An open store. `describe(point)` gives unit and kind of a point that no sender described."""

    def __init__(self, database: Store, dialect: Dialect, describe: Callable[[str], tuple[str, str]]) -> None:
        self.database = database
        self.dialect = dialect
        self._assets: dict[str, Asset] | None = None
        self._describe = describe
        self._shared: dict[str, Points] = {}
        self._forgotten_at = 0
        self.failed_at: float | None = None
        """When a batch could not be stored (time.monotonic), None when the last one was."""
        self._folding = Folding(database, dialect)
        self._days = days.Days()
        self.stored: list[Callable[[Batch], None]] = []
        """Whom to tell of each batch after its COMMIT."""
        self.reloaded: list[Callable[[], None]] = []
        """Whom to tell that the store was out of sight: what was read before may be old."""
        self.trouble: Callable[[], str | None] = lambda: None
        """Why the store cannot be used at the moment, or None."""

    @classmethod
    async def open(cls, where: Path | Postgres, describe: Callable[[str], tuple[str, str]]) -> Self:
        """Open or make the store and load the catalogue. A PostgreSQL that does not answer is waited for meanwhile. Raises
        StoreError."""
        if isinstance(where, Path):
            series = cls(await Database.open(where, "series"), SQLITE, describe)
            series._take(await series.database.snapshot(_catalogue(SQLITE)))
            return series
        from bridge.store.postgres import PostgresDatabase  # nobody else has to wait for the library
        from bridge.store.series_postgres import POSTGRES

        database = PostgresDatabase(where, "series_postgres")
        series = cls(database, POSTGRES, describe)
        series.trouble = lambda: database.trouble
        await database.open(_catalogue(POSTGRES), series._take)
        return series

    @property
    def assets(self) -> dict[str, Asset]:
        """The catalogue. Raises StoreError as long as it was never read."""
        if self._assets is None:
            raise StoreError(self.trouble() or "the time series are not open yet")
        return self._assets

    async def close(self) -> None:
        """Finish what is queued and close."""
        await self.database.close()

    async def store(self, batch: Batch, answer: Answer | None = None) -> None:
        """Commit a batch, and the answer it gets, in one transaction. Raises StoreError; then nothing of it is kept."""
        spans, points = self._news(batch)
        dialect = self.dialect
        told = self._days.news(batch.samples, self.assets)
        now = int(time() * 1000)
        forget = now - KEEP_ANSWERS_MS if now - self._forgotten_at > FORGET_EVERY_MS else None

        def write(connection: Connection) -> dict[str, int]:
            if forget is not None:
                connection.execute("DELETE FROM answers WHERE at < ?", (forget,))
            if answer is not None:
                connection.execute(_ANSWER, (*answer[:3], now, answer.status, answer.text))
            if not batch.samples:
                return {}
            heads = [(asset, device, batch.zones.get(asset), *spans[asset]) for asset, device in batch.devices.items()]
            numbers: dict[str, int] = dict(connection.execute(dialect.assets, (_text(heads),)).fetchall())
            dialect.put_samples(connection, _rows(batch, numbers))
            if told:
                connection.execute(dialect.days, (_text(days.rows(told, numbers)),))
            if points:
                described = [
                    (numbers[asset], name, *both) for asset, table in points.items() for name, both in table.items()
                ]
                connection.execute(dialect.points, (_text(described),))
            return numbers

        try:
            numbers = await self.database.write(write)
        except StoreError:
            self.failed_at = monotonic()
            raise
        self.failed_at = None
        if forget is not None:
            self._forgotten_at = now
        self._days.written(told)
        rows = Counter(asset for asset, _ in batch.samples)
        for asset, number in numbers.items():
            self._folding.touch(number, rows[asset], now)
            self._learn(asset, number, batch, spans[asset], points.get(asset, {}))
        for tell in self.stored:
            tell(batch)

    async def answer(self, scope: str, key: str) -> Answer | None:
        """What was answered under this key."""
        sql = "SELECT scope, key, digest, status, answer FROM answers WHERE scope = ? AND key = ? AND at >= ?"
        rows = await self.database.rows(sql, (scope, key, int(time() * 1000) - KEEP_ANSWERS_MS))
        return Answer(*rows[0]) if rows else None

    async def read(self, fn: Callable[[Scan], T]) -> T:
        """Run `fn` with a Scan in a reader's thread. It sees one state of the store, whatever is folded meanwhile."""
        return await self.database.snapshot(lambda connection: fn(Scan(connection, self.dialect)))

    async def fold(self, now: int, pause: Pause | None = None) -> int:
        """Move rows that are ripe at `now` (ms) into chunks; see Folding.run."""
        return await self._folding.run(now, pause)

    async def retire(
        self, roll: Roll, raw: int | None, rolled: int | None, pause: Pause | None = None
    ) -> tuple[int, int]:
        """Let go of old readings; see retention.retire."""
        return await retire(self.database, self.dialect, roll, raw, rolled, pause)

    def _take(self, catalogue: Catalogue) -> None:
        """The catalogue was read, for the first time or anew."""
        tables = {asset: self._share(text) for asset, text in catalogue.tables}
        known, self._assets = self._assets or {}, {}
        for name, number, device, timezone, first, last in catalogue.assets:
            asset = Asset(name, number, device, timezone, first, last, tables.get(number, {}))
            self._assets[name] = _renewed(known[name], asset) if name in known else asset
        self._days = days.Days()
        self._folding.unknown(asset.number for asset in self._assets.values())
        for tell in self.reloaded:
            tell()

    def _news(self, batch: Batch) -> tuple[dict[str, tuple[int, int]], dict[str, dict[str, tuple[str, str]]]]:
        """Oldest and newest instant of each asset in the batch; its points that the catalogue lacks or describes
        otherwise."""
        spans: dict[str, tuple[int, int]] = {}
        fresh: dict[str, dict[str, tuple[str, str]]] = {}
        for key, values in batch.samples.items():
            asset, at = key
            span = spans.get(asset)
            if span is None:
                spans[asset] = (at, at)
            elif not span[0] <= at <= span[1]:
                spans[asset] = (min(span[0], at), max(span[1], at))
            if key in batch.texts:
                continue
            known = self._known_points(asset)
            if not values.keys() <= known.keys():
                table = fresh.setdefault(asset, {})
                for point in values.keys() - known.keys() - table.keys():
                    table[point] = self._describe(point)
        for asset, stated in batch.stated.items():
            known = self._known_points(asset)
            for point, (unit, kind) in stated.items():
                old = fresh.get(asset, {}).get(point) or known.get(point) or self._describe(point)
                told = (old[0] if unit is None else unit, old[1] if kind is None else kind)
                if told != known.get(point):
                    fresh.setdefault(asset, {})[point] = told
        return spans, fresh

    def _known_points(self, asset: str) -> Points:
        known = self.assets.get(asset)
        return {} if known is None else known.points

    def _learn(self, asset: str, number: int, batch: Batch, span: tuple[int, int], points: Points) -> None:
        known = self.assets.get(asset)
        if known is None:
            known = self.assets[asset] = Asset(asset, number, batch.devices[asset], None, *span, {})
        known.first_at = min(known.first_at, span[0])
        known.last_at = max(known.last_at, span[1])
        known.timezone = batch.zones.get(asset, known.timezone)
        if points:
            known.points = self._share(_text({**known.points, **points}))

    def _share(self, text: str) -> Points:
        """One table for all assets with the same points: a fleet has few sorts of them."""
        table: Points = dict(sorted(_point_table(text).items()))
        return self._shared.setdefault(_text(table), table)


def _catalogue(dialect: Dialect) -> Callable[[Connection], Catalogue]:
    return lambda connection: Catalogue(
        connection.execute(_CATALOGUE).fetchall(), connection.execute(dialect.point_tables).fetchall()
    )


def _renewed(known: Asset, asset: Asset) -> Asset:
    """Whoever holds it sees what is new."""
    for field in asset.__struct_fields__:
        setattr(known, field, getattr(asset, field))
    return known


def _rows(batch: Batch, numbers: dict[str, int]) -> list[Row]:
    """The samples in the order of the table."""
    texts = batch.texts
    rows: list[Row] = [
        (numbers[key[0]], key[1], texts[key] if key in texts else _encode(values))
        for key, values in batch.samples.items()
    ]
    rows.sort()
    return rows


def _text(value: Any) -> str:
    return _encode(value).decode()
