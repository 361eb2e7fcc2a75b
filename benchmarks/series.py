"""The time series store beside PostgreSQL 15, DuckDB and InfluxDB 1.x on the same work (issue 5's table of speed).

    python -m benchmarks series [--small] [--repeat N]

**buckets**: one point of 100 assets over 30 days, every 26 s, in order of arrival; ten assets in 15-minute means. Ours is the
EnOS query with its JSON; PostgreSQL's is psql's (rows as text, thrown away), DuckDB's the columns as numpy arrays, on all its
threads. **current**: 1,000 assets with a register a minute; each question follows a minute that was stored. **ingest**: rows
of 100 assets × 20 points, 5 % of them up to ten minutes late, on one core, which server, client and our own threads share.
**year**: a year of 1,000 assets.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks import databases
from benchmarks.figures import Bound, ratio
from benchmarks.runs import tell
from bridge import app
from bridge.cloud.cloud import Cloud
from bridge.cloud.enos import query
from bridge.cloud.ingest import Ingest
from bridge.cloud.power import electric_power
from bridge.store.chunks import DAY_MS, chunk_id, put
from bridge.store.columns import Column
from bridge.store.dialect import Postgres
from bridge.store.series import Batch

START = 20_250 * DAY_MS
MINUTE = 60_000
QUARTER = 15 * MINUTE
ASKED = 10
BOUNDS = {
    "buckets": Bound("10 series × 30 days in 15-minute buckets, time against PostgreSQL", 0.2, 0.1, most=True),
    "buckets duck": Bound("the same against DuckDB", 1.0, 0.5, most=True),
    "latest": Bound("latest value of 1,000 assets, time against PostgreSQL", 0.2, 0.1, most=True),
    "today": Bound("current day of 1,000 assets, time against PostgreSQL", 0.2, 0.1, most=True),
    "ingest": Bound("ingestion, values/s against PostgreSQL COPY", 1.0, 2.0),
    "ingest influx": Bound("ingestion, values/s against InfluxDB", 1.0, 2.0),
    "folded": Bound("ingestion with folding, values/s against PostgreSQL COPY", 1.0, 2.0),
    "month": Bound("a month's query on a year, time against the same on a month", 1.3, 1.1, most=True),
    "size": Bound("a year of minutes on the disk, a value", 6.0, 4.0, "B", most=True),
    "memory": Bound("memory that the year's queries left", 200.0, 100.0, "MB", most=True),
}


class Size(NamedTuple):
    """How much of everything."""

    assets: int
    days: int
    fleet: int
    instants: int
    year: int


FULL = Size(assets=100, days=30, fleet=1_000, instants=1_000, year=365)
SMALL = Size(assets=10, days=10, fleet=200, instants=300, year=60)
Times = dict[str, list[float]]


def measured(home: Path, small: bool, repeat: int) -> dict[str, float | None]:
    """Every figure of BOUNDS; None where what it is compared with is not there."""
    size, found = (SMALL if small else FULL), dict[str, float | None]()
    for missing in databases.MISSING:
        if missing():
            tell(f"skipped: needs {missing()}")
    home.chmod(0o755)  # PostgreSQL's user passes through
    for part in (buckets, current, ingest, year):
        folder = home / part.__name__
        folder.mkdir(mode=0o755)
        try:
            found |= app.run(part(folder, size, repeat))  # on the loop and with the collector of the service
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return found


def verdicts(found: dict[str, float | None]) -> list[tuple[Bound, float | None]]:
    """Each bound with its figure."""
    return [(bound, found.get(name)) for name, bound in BOUNDS.items()] if found else []


async def buckets(home: Path, size: Size, repeat: int) -> dict[str, float | None]:
    """Ten series in 15-minute buckets."""
    count = DAY_MS // 26_000 * size.days
    times = START + 26_000 * np.arange(count)
    values = {asset: walk(asset, count) for asset in range(size.assets)}
    lines = home / "readings.csv"
    with lines.open("w", encoding="ascii") as file:
        for at in range(count):
            file.writelines(f"{asset},{times[at]},{values[asset][at]}\n" for asset in values)
    end = START + size.days * DAY_MS
    columns = {asset: Column(times, values[asset]) for asset in values}
    values.clear()
    clouds = [await filled(home / "series.db", columns)]
    runs: dict[str, Callable[[], Any]] = {"ours": lambda: mean_quarters(clouds[0], START, end)}
    picked = ", ".join(str(asset) for asset in range(ASKED))
    sql = (
        f"SELECT asset, ts / {QUARTER} * {QUARTER} AS bucket, avg(value) FROM readings WHERE asset IN ({picked})"
        f" AND ts >= {START} AND ts < {end} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    table = "CREATE TABLE readings (asset integer NOT NULL, ts bigint NOT NULL, value double precision NOT NULL)"
    try:
        with ExitStack() as stack:
            if not databases.no_postgres():
                server = stack.enter_context(databases.postgres(home / "postgres"))
                with lines.open("rb") as data:
                    server.run(table)
                    server.run("COPY readings FROM STDIN (FORMAT csv)", data=data)
                server.run("ALTER TABLE readings ADD PRIMARY KEY (asset, ts)", "VACUUM ANALYZE readings")
                runs["PostgreSQL"] = lambda: server.run(*[sql] * 3)[-1] / 1000
                clouds.append(await filled(kept_in(server), columns))
                runs["ours in PostgreSQL"] = lambda: mean_quarters(clouds[1], START, end)
            columns.clear()
            if not databases.no_duckdb():
                copy = f"COPY readings FROM '{lines}'"
                duck = databases.duck(home / "duck.db", [table, copy, "CHECKPOINT"])
                stack.callback(duck.close)
                floor = sql.replace(f"ts / {QUARTER}", f"ts // {QUARTER}")
                runs["DuckDB"] = lambda: duck.execute(floor).fetchnumpy()
            found = await taken(runs, repeat)
    finally:
        for cloud in clouds:
            await cloud.close()
    told("buckets", found)
    return {"buckets": against(found, "ours", "PostgreSQL"), "buckets duck": against(found, "ours", "DuckDB")}


async def current(home: Path, size: Size, repeat: int) -> dict[str, float | None]:
    """Latest value and current day of a fleet, a minute stored before each question."""
    minutes = 1_440 + 960
    now = [START + minutes * MINUTE]
    cloud = await Cloud.open(home / "series.db", clock=lambda: now[0])
    registers = {asset: np.round(np.cumsum(np.abs(walk(asset, minutes + 99))) / 60, 3) for asset in range(size.fleet)}
    for first in range(0, minutes, 60):
        await cloud.series.store(minute_batch(registers, range(first, first + 60)))
    await cloud.series.fold(now[0])
    assets, step = cloud.assets(), iter(range(minutes, minutes + 99))
    latest: dict[str, Callable[[], Any]] = {"ours": lambda: cloud.newest(assets, ["e"])}
    today: dict[str, Callable[[], Any]] = {"ours": lambda: cloud.today(assets, ["e"])}
    midnight = START + DAY_MS
    newest_sql = (
        f"SELECT a, l.* FROM generate_series(0, {size.fleet - 1}) a,"
        " LATERAL (SELECT ts, value FROM readings WHERE asset = a ORDER BY ts DESC LIMIT 1) l"
    )
    today_sql = f"SELECT asset, max(value) - min(value) FROM readings WHERE ts >= {midnight} GROUP BY asset"
    table = "CREATE TABLE readings (asset integer, ts bigint, value double precision, PRIMARY KEY (asset, ts))"
    try:
        with ExitStack() as stack:
            if not databases.no_postgres():
                server = stack.enter_context(databases.postgres(home / "postgres"))
                server.run(table)
                server.run("COPY readings FROM STDIN (FORMAT csv)", data=register_lines(registers, range(minutes)))
                server.run("VACUUM ANALYZE readings")
                latest["PostgreSQL"] = lambda: server.run(*[newest_sql] * 3)[-1] / 1000
                today["PostgreSQL"] = lambda: server.run(*[today_sql] * 3)[-1] / 1000

            async def minute() -> None:
                await cloud.series.store(minute_batch(registers, [next(step)]))

            first = {name: await timed(runs["ours"]) for name, runs in (("latest", latest), ("today", today))}
            found = await taken(latest, repeat, minute), await taken(today, repeat, minute)
    finally:
        await cloud.close()
    tell(", ".join(f"first {name} {seconds * 1000:.0f} ms" for name, seconds in first.items()))
    told("latest", found[0])
    told("today", found[1])
    return {name: against(each, "ours", "PostgreSQL") for name, each in zip(("latest", "today"), found, strict=True)}


async def ingest(home: Path, size: Size, repeat: int) -> dict[str, float | None]:
    """Values a second on one core."""
    rows = late_rows(size)
    values, core = len(rows) * 20, min(os.sched_getaffinity(0))
    everything = os.sched_getaffinity(0)
    bodies = [b"\n".join(map(json_row, rows[at : at + 1_000])) for at in range(0, len(rows), 1_000)]
    found: Times = {}
    try:
        os.sched_setaffinity(0, {core})
        for round_ in range(repeat):
            seconds, folded = await taken_in(home / f"ours{round_}" / "series.db", bodies)
            found.setdefault("ours", []).append(values / seconds)
            found.setdefault("ours, folded", []).append(values / (seconds + folded))
            if not databases.no_postgres():
                found.setdefault("PostgreSQL", []).append(values / postgres_taken(home / f"pg{round_}", core, rows))
                with databases.postgres(home / f"in{round_}", core) as server:
                    seconds, folded = await taken_in(kept_in(server), bodies)
                found.setdefault("ours in PostgreSQL", []).append(values / seconds)
                found.setdefault("ours in PostgreSQL, folded", []).append(values / (seconds + folded))
            if not databases.no_influx():
                found.setdefault("InfluxDB", []).append(values / influx_taken(home / f"influx{round_}", core, rows))
    finally:
        os.sched_setaffinity(0, everything)
    tell("ingest: " + ", ".join(f"{name} {median(rates):,.0f} values/s" for name, rates in found.items()))
    return {
        "ingest": against(found, "ours", "PostgreSQL"),
        "ingest influx": against(found, "ours", "InfluxDB"),
        "folded": against(found, "ours, folded", "PostgreSQL"),
    }


async def year(home: Path, size: Size, repeat: int) -> dict[str, float | None]:
    """A month of a year beside a month alone."""
    month = min(30, size.year // 2)
    first = size.year // 2 - month // 2
    stores = {}
    for name, days in (("year", range(size.year)), ("month", range(first, first + month))):
        stores[name] = await Cloud.open(home / f"{name}.db")
        await fill_days(stores[name], size.fleet, days)
    await stores["year"].series.database.maintain(lambda one: one.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
    values = size.fleet * size.year * 1_440
    start, end = START + first * DAY_MS, START + (first + month) * DAY_MS
    process = psutil.Process()
    before = process.memory_info().rss

    def asks(cloud: Cloud) -> Callable[[], Any]:
        return lambda: mean_quarters(cloud, start, end)

    try:
        found = await taken({name: asks(cloud) for name, cloud in stores.items()}, repeat)
        whole = await timed(lambda: mean_quarters(stores["year"], START, START + size.year * DAY_MS))
        rest = process.memory_info().rss - before
    finally:
        for cloud in stores.values():
            await cloud.close()
    told("a month's query", found)
    tell(f"a year's query of {ASKED} assets: {whole * 1000:.0f} ms")
    bytes_ = (home / "year.db").stat().st_size
    return {"month": against(found, "year", "month"), "size": bytes_ / values, "memory": max(0.0, rest / 1e6)}


async def timed(run: Callable[[], Any]) -> float:
    """Seconds of a run; one that gives a number knows better."""
    began = perf_counter()
    answer = run()
    answer = await answer if asyncio.iscoroutine(answer) else answer
    return answer if isinstance(answer, float) else perf_counter() - began


async def taken(runs: dict[str, Callable[[], Any]], repeat: int, before: Callable[[], Any] | None = None) -> Times:
    """Seconds of each, in turn; the first round warms caches and does not count."""
    found: Times = {name: [] for name in runs}
    for round_ in range(repeat + 1):
        for name, run in runs.items():
            if before is not None:
                await before()
            seconds = await timed(run)
            if round_:
                found[name].append(seconds)
    return found


def told(work: str, found: Times) -> None:
    tell(f"{work}: " + ", ".join(f"{name} {median(seconds) * 1000:.1f} ms" for name, seconds in found.items()))


def against(found: Times, ours: str, theirs: str) -> float | None:
    """The median quotient."""
    return ratio(found[ours], found[theirs]) if theirs in found else None


async def mean_quarters(cloud: Cloud, start: int, end: int) -> bytes:
    """The EnOS query, by parts where it would have too many buckets."""
    parts = []
    while start < end:
        until = min(end, start + 60 * DAY_MS)
        first, last = (datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (start, until))
        asked = {
            "orgId": "o", "assetIds": ",".join(f"A{asset}" for asset in range(ASKED)), "measurepointsWithLogic": "avg(p)",
            "interval": "15", "startTime": first, "endTime": last, "pageSize": "6000",
        }  # fmt: skip
        body, _ = await electric_power(cloud, query({name: [value] for name, value in asked.items()}), None)
        assert body.count(b"assetId") == ASKED * (until - start) // QUARTER, body[:500]
        parts.append(body)
        start = until
    return b"".join(parts)


def walk(seed: int, count: int) -> Any:
    """A power with three decimals."""
    return np.round(np.cumsum(np.random.default_rng(seed).normal(0, 0.4, count)) + 40, 3)


async def fill(cloud: Cloud, columns: dict[int, Column]) -> None:
    """Chunks of `p` of assets A0, A1, …"""
    ends = Batch()
    for asset, (times, values) in columns.items():
        for at in (0, -1):
            ends.add(f"A{asset}", f"A{asset}", int(times[at]), {"p": float(values[at])})
    await cloud.series.store(ends)
    await cloud.series.fold(START + 9_999 * DAY_MS)
    for asset, (times, values) in columns.items():
        borders = np.flatnonzero(np.diff(times // DAY_MS, prepend=-1, append=1 << 40)).tolist()
        days = [Column(times[a:b], values[a:b]) for a, b in pairwise(borders)]
        number = cloud.series.assets[f"A{asset}"].number

        def write(connection: Any, number: int = number, days: list[Column] = days) -> None:
            sql = "SELECT number FROM columns WHERE asset = ? AND point = 'p'"
            (key,) = connection.execute(sql, (number,)).fetchone()
            keyed = {chunk_id(key, int(day.times[0]) // DAY_MS): day for day in days}
            put(connection, cloud.series.dialect, keyed)

        await cloud.series.database.write(write)


async def fill_days(cloud: Cloud, assets: int, days: range) -> None:
    """A minute's readings of each asset."""
    times = START + MINUTE * np.arange(days[0] * 1_440, (days[-1] + 1) * 1_440)
    for asset in range(assets):
        await fill(cloud, {asset: Column(times, walk(asset, len(times)))})


def minute_batch(registers: dict[int, Any], minutes: Any) -> Batch:
    batch = Batch()
    for asset, values in registers.items():
        for minute in minutes:
            batch.add(f"A{asset}", f"A{asset}", START + minute * MINUTE, {"e": float(values[minute])})
        batch.stated[f"A{asset}"] = {"e": ("kWh", "counter")}
    return batch


def register_lines(registers: dict[int, Any], minutes: range) -> Iterator[bytes]:
    for minute in minutes:
        at = START + minute * MINUTE
        yield "".join(f"{asset},{at},{values[minute]}\n" for asset, values in registers.items()).encode()


Row = tuple[int, int, list[float]]


def late_rows(size: Size) -> list[Row]:
    """(asset, ms, 20 values) in order of time, but for 5 % that come up to ten minutes later."""
    chance = Random(5)
    rows = [
        (minute + (chance.randrange(1, 11) if chance.random() < 0.05 else 0), asset, minute)
        for minute in range(size.instants)
        for asset in range(size.fleet // 10)
    ]
    rows.sort()
    return [
        (asset, START + minute * MINUTE, [round(chance.random() * 400, 3) for _ in range(20)])
        for _, asset, minute in rows
    ]


def json_row(row: Row) -> bytes:
    values = ",".join(f'"p{point}":{value}' for point, value in enumerate(row[2]))
    return f'{{"asset":"A{row[0]}","timestamp":{row[1]},"values":{{{values}}}}}'.encode()


def kept_in(server: databases.Postgres) -> Postgres:
    """Our store in a cluster."""
    return Postgres(f"postgresql://{server.user}@/postgres?host={server.home}")


async def filled(where: Path | Postgres, columns: dict[int, Column]) -> Cloud:
    """A cloud with these readings."""
    cloud = await Cloud.open(where)
    await fill(cloud, columns)
    return cloud


async def taken_in(where: Path | Postgres, bodies: list[bytes]) -> tuple[float, float]:
    """Seconds to take all bodies, and to fold what they brought."""
    cloud = await Cloud.open(where)
    taking = Ingest(cloud)
    try:
        began = perf_counter()
        for number, body in enumerate(bodies):
            status, text = await taking.take(None, body, "application/x-ndjson", f"k{number}")
            assert status == 200, text
        middle = perf_counter()
        await cloud.series.fold(START + 9_999 * DAY_MS)
        return middle - began, perf_counter() - middle
    finally:
        await cloud.close()
        if isinstance(where, Path):
            shutil.rmtree(where.parent)


def postgres_taken(home: Path, core: int, rows: list[Row]) -> float:
    """Seconds of COPY into a table with its primary key, 20,000 values a statement as ours."""
    table = "asset integer, point integer, ts bigint, value double precision, PRIMARY KEY (asset, point, ts)"
    lines = [
        "".join(f"{asset},{point},{at},{value}\n" for point, value in enumerate(values)) for asset, at, values in rows
    ]
    parts = ["".join(lines[at : at + 1_000]) for at in range(0, len(lines), 1_000)]
    with databases.postgres(home, core) as server:
        server.run(f"CREATE TABLE readings ({table})")
        return server.copies("readings", parts) / 1000


def influx_taken(home: Path, core: int, rows: list[Row]) -> float:
    """Seconds of as many lines a request as ours has rows."""
    lines = [
        f"m,asset=A{asset} {','.join(f'p{point}={value}' for point, value in enumerate(values))} {at}"
        for asset, at, values in rows
    ]
    bodies = ["\n".join(lines[at : at + 1_000]).encode() for at in range(0, len(lines), 1_000)]
    with databases.influx(home, core) as url:
        began = perf_counter()
        for body in bodies:
            databases.post(url, body)
        return perf_counter() - began
