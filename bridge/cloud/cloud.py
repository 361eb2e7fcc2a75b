"""The receiving side: one time series store with the rules of who may write and read it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from itertools import count
from pathlib import Path
from time import monotonic, time
from typing import Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from bridge.cloud.current import Current, Newest, Total
from bridge.cloud.rollups import roll
from bridge.cloud.zones import Style, zone
from bridge.counts import Counts
from bridge.errors import StoreError
from bridge.store.chunks import DAY_MS
from bridge.store.dialect import Postgres
from bridge.store.folding import Pause
from bridge.store.series import GAUGE, Asset, Scan, Series
from schemas.points import POINTS

log = logging.getLogger(__name__)

Authorize = Callable[[web.Request, str | None], Awaitable[Any | None]]
"""(request, key it carries or None) -> principal, or None: not let in. The principal is only handed on; its `name`, where it
has one, keeps Idempotency-Keys of different senders apart."""
Signed = Callable[[web.Request, Mapping[str, Sequence[str]], bytes, str], Awaitable[Any | None]]
"""(request, its query's parameters, its body, its accessKey) -> the principal of an application of EnOS that has signed it;
None: no application's, so that a key is asked for. Raises EnosError."""
May = Callable[[Any, str], bool]
"""(principal, device uid) -> whether it may."""

PAGE = 2_000
"""Samples read in one turn of a stream: some 20 ms and a megabyte."""
FOREVER = 1 << 62
TURNS = 4
"""Large answers that are made at a time, the others wait: what is on its way to one is some ten times as large as the answer."""
HELD_BYTES = 512 << 20
"""Large answers that wait for their readers, together."""
SHARE = 2
"""One sender's answers may have half of it."""
PAGES = 2
"""Pages of streams that are read at a time: a crowd of downloads leaves room between its pages."""
FAILED_S = 60.0
"""How long a failed write is told, unless one succeeds: who sends comes again within half a minute."""
KEEP_EVERY_S = 30.0
"""Between two looks at what is ripe for its chunks."""
RETIRE_EVERY = 120
"""Looks between two at what has grown too old: an hour."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`localtime_style` seed or plain (http_apis.md A.1); `lenient_interval` lets EnOS queries omit their interval;
    `timezone` is that of assets and devices that have none; bodies in bytes, as sent and unpacked; readings are kept for
    `raw_days`, then their quarter-hours until `rollup_days`, 0: for ever."""

    localtime_style: Style = "seed"
    lenient_interval: bool = False
    timezone: str = "UTC"
    max_body_bytes: int = 8 << 20
    raw_days: int = 0
    rollup_days: int = 0


class Reading(NamedTuple):
    """One value. `timestamp` in ms."""

    asset: str
    point: str
    timestamp: int
    value: float
    unit: str


def describe(point: str) -> tuple[str, str]:
    """Unit and kind of a point as the messages' table has them; a gauge without unit when it is not in there."""
    known = POINTS.get(point)
    return (known.unit, known.kind) if known else ("", GAUGE)


async def _everybody(_request: web.Request, _key: str | None) -> str:
    return "everybody"


async def _nobody(_request: web.Request, _query: Mapping[str, Sequence[str]], _body: bytes, _access: str) -> None:
    return None


class Cloud:
    """Time series of assets: stored by `POST /ingest/v1/power`, asked by `readings`, `stream` and the EnOS routes."""

    def __init__(
        self,
        series: Series,
        settings: Settings,
        counts: Counts,
        authorize: Authorize,
        may_read: May,
        may_write: May,
        timezone_of: Callable[[str], str | None],
        clock: Callable[[], int],
        signed: Signed = _nobody,
    ) -> None:
        self.series = series
        self.settings = settings
        self.counts = counts
        self.authorize = authorize
        self.may_read = may_read
        self.may_write = may_write
        self.timezone_of = timezone_of
        self.clock = clock
        self.signed = signed
        self.zone = zone(settings.timezone)
        self.turns = asyncio.Semaphore(TURNS)
        self._held: Counter[str] = Counter()
        self._pages = asyncio.Semaphore(PAGES)
        self._current = Current(series)
        counts.describe("ems_bridge_ingest_rows", "Rows of ingestion bodies, by outcome")
        counts.describe("ems_bridge_ingest_requests", "Ingestion requests, by status")
        counts.describe("ems_bridge_series_folded", "Rows of the time series that were moved into chunks")
        counts.describe("ems_bridge_series_retired", "Chunks of the time series that grew too old, by what was in them")
        counts.gauge("ems_bridge_assets", self._count_assets, text="Assets in the time series store")

    @classmethod
    async def open(
        cls,
        where: Path | Postgres,
        settings: Settings | None = None,
        *,
        counts: Counts | None = None,
        authorize: Authorize = _everybody,
        may_read: May = lambda _principal, _device: True,
        may_write: May | None = None,
        timezone_of: Callable[[str], str | None] = lambda _device: None,
        clock: Callable[[], int] = lambda: int(time() * 1000),
        signed: Signed = _nobody,
    ) -> Self:
        """Open or make the store. `may_write` defaults to `may_read`; `timezone_of(device)` gives the IANA zone of a
        device; `clock` the time in ms; `signed` knows applications of EnOS. Raises StoreError, ValueError for an unknown time
        zone."""
        settings = settings or Settings()
        zone(settings.timezone)
        series = await Series.open(where, describe)
        counts = Counts() if counts is None else counts
        return cls(series, settings, counts, authorize, may_read, may_write or may_read, timezone_of, clock, signed)

    def reachable(self) -> str | None:
        """None, or that the store cannot be used: for everybody's eyes, so without what the log tells of it."""
        if self.series.trouble():
            return "PostgreSQL cannot be used at the moment, see the log"
        failed = self.series.failed_at
        return "readings could not be stored, see the log" if failed and monotonic() - failed < FAILED_S else None

    def _count_assets(self) -> int:
        try:
            return len(self.series.assets)
        except StoreError:  # never read yet
            return 0

    async def close(self) -> None:
        """Finish what is queued and close the store."""
        await self.series.close()

    async def keep(self) -> None:
        """Fold rows into chunks for as long as the service runs, half of the writer's time at most. A store that cannot be
        written (disk full) is said and tried again."""
        for look in count():
            try:
                self.counts.add("ems_bridge_series_folded", (), await self.series.fold(self.clock(), asyncio.sleep))
                if look % RETIRE_EVERY == 0:
                    await self.retire(asyncio.sleep)
            except StoreError as error:
                log.warning("time series: %s", error)
            await asyncio.sleep(KEEP_EVERY_S)

    async def retire(self, pause: Pause | None = None) -> None:
        """Let go of what is older than the settings say."""
        today = self.clock() // DAY_MS
        raw, rolled = (today - days if days else None for days in (self.settings.raw_days, self.settings.rollup_days))
        gone = await self.series.retire(roll, raw, rolled, pause)
        for what, chunks in zip(("readings", "quarter_hours"), gone, strict=True):
            self.counts.add("ems_bridge_series_retired", (("what", what),), chunks)

    def zone_of(self, asset: Asset) -> ZoneInfo:
        """An asset's zone: its own, its device's, the default."""
        name = asset.timezone or self.timezone_of(asset.device)
        return zone(name) if name else self.zone

    def assets(self, asset: str | None = None, device: str | None = None, principal: Any = None) -> list[Asset]:
        """Assets by name: one (`EMS001.meter.1`) or one with its parts (`EMS001`), those of a device, or all; only what
        `principal` may read, unless it is None."""
        series = self.series.assets
        if asset is not None:
            parts = asset + "."
            names = [name for name in series if name == asset or name.startswith(parts)]
        else:
            names = [name for name, known in series.items() if device is None or known.device == device]
        allowed: dict[str, bool] = {}
        found = [series[name] for name in sorted(names) if device is None or series[name].device == device]
        if principal is None:
            return found
        for each in found:
            if each.device not in allowed:
                allowed[each.device] = self.may_read(principal, each.device)
        return [each for each in found if allowed[each.device]]

    def hold(self, size: int, principal: Any) -> bool:
        """Take up room for a large answer of `principal`; False where there is none, or none left for him."""
        held, who = self._held, str(getattr(principal, "name", ""))
        if held.total() + size > HELD_BYTES or held[who] + size > HELD_BYTES // SHARE:
            return False
        held[who] += size
        return True

    def release(self, size: int, principal: Any) -> None:
        """Give it back."""
        who = str(getattr(principal, "name", ""))
        self._held[who] -= size
        if not self._held[who]:
            del self._held[who]

    async def newest(self, assets: Sequence[Asset], points: Sequence[str]) -> list[Newest]:
        """The newest reading of each of the points that an asset has, by asset, then point, in the order given."""
        return await self._current.newest(assets, points)

    async def today(self, assets: Sequence[Asset], points: Sequence[str]) -> list[Total]:
        """What points have come to since midnight of each asset's zone, in the same order: a counter's increments, else the
        sum of its values, as `electric_power` has it. Points without a reading today are left out."""
        return await self._current.today(assets, points, self.clock(), self.zone_of)

    async def readings(
        self,
        asset: str | None = None,
        device: str | None = None,
        point: str | None = None,
        start: int | None = None,
        end: int | None = None,
        limit: int = 1000,
        order: Literal["asc", "desc"] = "asc",
        principal: Any = None,
    ) -> list[Reading]:
        """The first `limit` readings of [start, end) in ms, by time, then asset (as they first appeared), then
        point; see `assets` for whose."""
        found: list[Reading] = []
        pages = self.stream(asset, device, point, start, end, order, principal, min(limit, PAGE))
        async with aclosing(pages):
            async for page in pages:
                found += page
                if len(found) >= limit:
                    break
        return found[:limit]

    async def stream(
        self,
        asset: str | None = None,
        device: str | None = None,
        point: str | None = None,
        start: int | None = None,
        end: int | None = None,
        order: Literal["asc", "desc"] = "asc",
        principal: Any = None,
        page: int = PAGE,
    ) -> AsyncGenerator[list[Reading], None]:
        """The same readings without a limit, in portions of at most `page` samples; memory stays constant."""
        assets = {
            each.number: each for each in self.assets(asset, device, principal) if point is None or point in each.points
        }
        low = -FOREVER if start is None else max(start, -FOREVER)
        high = FOREVER if end is None else min(end, FOREVER)
        backwards = order == "desc"
        wanted = dict.fromkeys(assets, (low, high))
        while wanted:
            spans = [(number, *span) for number, span in wanted.items()]

            def read(scan: Scan, spans: list[tuple[int, int, int]] = spans) -> list[tuple[int, int, dict[str, float]]]:
                return scan.merged(spans, page, backwards, point)

            async with self._pages:
                rows = await self.series.read(read)
                portion = [
                    Reading(known.name, name, at, value, known.points.get(name, ("", GAUGE))[0])
                    for at, number, values in rows
                    for known in (assets[number],)
                    for name, value in (sorted(values.items()) if point is None else ((point, values.get(point)),))
                    if value is not None
                ]
            if portion:
                yield portion
            if len(rows) < page:
                return
            wanted = _after(wanted, rows[-1][0], rows[-1][1], backwards)


def _after(wanted: dict[int, tuple[int, int]], at: int, asset: int, backwards: bool) -> dict[int, tuple[int, int]]:
    """What is left of the spans behind the sample (at, asset) in the order of the stream."""
    left: dict[int, tuple[int, int]] = {}
    for number, (low, high) in wanted.items():
        seen = number <= asset
        span = (low, min(high, at if seen else at + 1)) if backwards else (max(low, at + 1 if seen else at), high)
        if span[0] < span[1]:
            left[number] = span
    return left
