"""Only the receiving side: ingestion endpoint, time series and query APIs, with the accounts of its data directory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bridge.app import care
from bridge.app.house import Addresses, bound, listen, loopback
from bridge.app.settings import http_limits, open_cloud
from bridge.config import Config
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.http.app import build_receiving, runner
from bridge.http.services import Receiving
from bridge.store.database import Database


async def cloud(config: Config, ready: Callable[[Addresses], None], stop: asyncio.Event) -> None:
    """Run the receiving side until `stop` is set. Raises ConfigError and StoreError."""
    directory = Path(config.store.data)
    lock = care.Lock(directory)
    try:
        database = await Database.open(directory / "bridge.db", "bridge")
        try:
            await _serve(config, database, directory, ready, stop)
        finally:
            await database.close()
    finally:
        lock.release()


async def _serve(
    config: Config, database: Database, directory: Path, ready: Callable[[Addresses], None], stop: asyncio.Event
) -> None:
    token = secrets.token_urlsafe(32)
    registry = Registry(database, token)
    await registry.refresh()
    counts = Counts()
    series = await open_cloud(config, directory / "series.db", registry, counts)
    receiving = Receiving(
        registry=registry,
        cloud=series,
        counts=counts,
        ready={},
        allow_anonymous=config.broker.allow_anonymous,
        limits=http_limits(config),
    )
    web_runner = runner(build_receiving(receiving))
    await web_runner.setup()
    try:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(registry.follow(), name="registry")
            http = await bound("http.listen", config.http.listen, partial(listen, web_runner))
            care.leave_address(directory, loopback(http), None, token)
            ready(Addresses(None, http))
            await stop.wait()
            following.cancel()
    finally:
        await web_runner.cleanup()
        await series.close()
        care.remove_address(directory)
