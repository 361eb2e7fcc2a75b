"""A cloud with a real store, behind real HTTP on a free port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web
from cloud_places import Place

from bridge.cloud.cloud import Cloud, Settings
from bridge.cloud.routes import add_routes
from bridge.counts import Counts

NOW = 1_760_000_000_000
"""2025-10-09T08:53:20Z: the cloud's clock stands still."""

KEYS = {"all": None, "alice-key": {"EMS001", "EMS002"}, "bob-key": {"BOB"}}
"""API key -> devices; None: all."""


class Who(NamedTuple):
    """A principal as the cloud knows it."""

    name: str
    devices: set[str] | None


async def authorize(_request: web.Request, key: str | None) -> Who | None:
    return Who(key, KEYS[key]) if key in KEYS else None


def may_read(who: Who, device: str) -> bool:
    return who.devices is None or device in who.devices


class Served(NamedTuple):
    """A cloud, its address and a client."""

    cloud: Cloud
    url: str
    http: aiohttp.ClientSession

    async def ingest(self, body: Any, status: int = 200, key: str = "all", **headers: str) -> dict[str, Any]:
        """Post a body (bytes as they are, all else as JSON); gives the answer."""
        what = {"data": body} if isinstance(body, bytes) else {"json": body}
        headers = {"X-API-Key": key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.http.post(f"{self.url}/ingest/v1/power", headers=headers, **what) as response:
            found: dict[str, Any] = await response.json()
            assert response.status == status, found
            return found

    async def stored(self, **query: Any) -> list[tuple[str, str, int, float]]:
        return [reading[:4] for reading in await self.cloud.readings(**query)]


Serve = Callable[..., Any]


@pytest.fixture
async def serve(place: Place) -> AsyncIterator[Serve]:
    """`await serve(Settings(…), **options of Cloud.open)`; all are closed at the end."""
    closers: list[Callable[[], Any]] = []

    async def make(settings: Settings | None = None, *, auto_decompress: bool = True, **options: Any) -> Served:
        options = {"authorize": authorize, "may_read": may_read, "clock": lambda: NOW, "counts": Counts(), **options}
        cloud = await Cloud.open(place, settings, **options)
        closers.append(cloud.close)
        app = web.Application()
        add_routes(app, cloud)
        runner = web.AppRunner(app, access_log=None, auto_decompress=auto_decompress, max_line_size=65_536)
        await runner.setup()
        closers.append(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        closers.append(session.close)
        return Served(cloud, f"http://127.0.0.1:{runner.addresses[0][1]}", session)

    yield make
    for close in reversed(closers):
        await close()


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A cloud with default settings."""
    return await serve()
