"""Only the receiving side: ingestion endpoint, time series and query APIs, with the accounts of its data directory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

from bridge.app import care
from bridge.app.clock import Clock
from bridge.app.doors import Doors, http_ways, loopback
from bridge.app.house import Addresses
from bridge.app.settings import attempt_limits, enos, http_limits, open_belimo, open_cloud, statistics
from bridge.config import Config
from bridge.core.attempts import Attempts
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.http.app import build_receiving, runner
from bridge.http.services import Receiving
from bridge.store.database import Database


async def cloud(
    config: Config, ready: Callable[[Addresses], None], stop: asyncio.Event, reload: asyncio.Event | None = None
) -> None:
    """Run the receiving side until `stop` is set; certificates are read again when `reload` is. Raises ConfigError and
    StoreError."""
    directory = Path(config.store.data)
    lock = care.Lock(directory)
    try:
        database = await Database.open(directory / "bridge.db", "bridge")
        try:
            await _serve(config, database, directory, ready, stop, reload or asyncio.Event())
        finally:
            await database.close()
    finally:
        lock.release()


async def _serve(
    config: Config,
    database: Database,
    directory: Path,
    ready: Callable[[Addresses], None],
    stop: asyncio.Event,
    reload: asyncio.Event,
) -> None:
    token = secrets.token_urlsafe(32)
    registry = Registry(database, token)
    await registry.refresh()
    counts = Counts()
    attempts = Attempts(attempt_limits(config))
    apps = enos(config, registry, counts, attempts, Clock().now_ms)
    series = await open_cloud(config, directory, registry, counts, attempts, apps.principal, Clock().now_ms)
    receiving = Receiving(
        registry=registry,
        cloud=series,
        belimo=await open_belimo(config, database, registry, series),
        enos=apps,
        statistics=statistics(config, database, series),
        counts=counts,
        attempts=attempts,
        ready={"series": series.reachable},
        allow_anonymous=config.broker.allow_anonymous,
        limits=http_limits(config),
    )
    web_runner = runner(build_receiving(receiving))
    await web_runner.setup()
    ways = http_ways(counts)
    doors = Doors(config, counts, ways)
    try:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(registry.follow(), name="registry")
            keeping = group.create_task(series.keep(), name="time series")
            http = await doors.open_http(web_runner)
            reloading = group.create_task(doors.follow(reload), name="certificates")
            care.leave_address(directory, loopback(http), None, token, doors.listeners)
            ready(Addresses(None, http))
            await stop.wait()
            following.cancel()
            keeping.cancel()
            reloading.cancel()
    finally:
        ways.close()
        await web_runner.cleanup()
        await series.close()
        care.remove_address(directory)
