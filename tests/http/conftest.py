"""A whole house on loopback, a device that speaks MQTT, and an HTTP client with a key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from harness.wire import Client

from bridge.app.house import House
from bridge.config import load

PATIENCE_S = 20.0
BOTH = {
    "test_http_readings",
    "test_http_belimo",
    "test_http_belimo_stream",
    "test_http_vendor_forecast",
}
"""Modules whose tests run over SQLite and over PostgreSQL."""


class Window:
    """The running house as its HTTP clients see it. `key` may touch everything."""

    def __init__(self, house: House, session: aiohttp.ClientSession) -> None:
        self.house = house
        self.session = session
        self.url = f"http://{house.addresses.http}"
        self.key = ""
        self.secrets: dict[str, str] = {}

    async def call(
        self, method: str, path: str, body: Any = None, key: str | None = None, **more: Any
    ) -> tuple[int, Any, Any]:
        """(status, decoded body, headers). `key` "" sends none."""
        headers = {**more.pop("headers", {})}
        if key != "":
            headers.setdefault("X-API-Key", key or self.key)
        if body is not None:
            more["data"] = body if isinstance(body, bytes) else json.dumps(body)
        async with self.session.request(method, self.url + path, headers=headers, **more) as response:
            raw = await response.read()
            decoded = json.loads(raw) if response.content_type == "application/json" else raw
            return response.status, decoded, response.headers

    async def get(self, path: str, **more: Any) -> Any:
        """The decoded body of a 200."""
        status, body, _ = await self.call("GET", path, **more)
        assert status == 200, body
        return body

    async def device(self, uid: str, product_key: str | None = "PK001", tenant: str | None = None) -> None:
        self.secrets[uid] = await self.house.registry.add_device(uid, product_key, tenant)

    async def connect(self, uid: str) -> Client:
        """The device's MQTT connection, subscribed to its commands."""
        host, _, port = (self.house.addresses.mqtt or "").rpartition(":")
        client = await Client.open((host, int(port)), uid, uid, self.secrets[uid])
        await client.subscribe(f"v1/wudun/PK001/{uid}/+/+/command")
        return client


@pytest.fixture
def config_of() -> dict[str, object]:
    """Settings that a test may change by overriding this fixture."""
    return {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of what reads the time series run over both stores."""
    if metafunc.module.__name__ in BOTH and "stored_in" in metafunc.fixturenames:
        metafunc.parametrize("stored_in", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def stored_in(request: pytest.FixtureRequest) -> dict[str, object]:
    """Where the time series lie, as settings."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return {}
    place = request.getfixturevalue("cluster").place()
    return {"cloud.database": place.url, "cloud.database_schema": place.schema}


@pytest.fixture
async def window(tmp_path: Path, config_of: dict[str, object], stored_in: dict[str, object]) -> AsyncIterator[Window]:
    """A running house with device D1 of PK001, D2 of tenant other, and an account that may touch both."""
    given = {"broker.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0", "store.data": str(tmp_path / "data")}
    house = await House.open(load(None, {**given, **stored_in, **config_of}, environ={}))
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with asyncio.TaskGroup() as group:
            await house.start(group)
            started.set()
            await stop.wait()
            await house.stop()

    running = asyncio.create_task(live())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
    try:
        assert started.is_set(), running
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session:
            made = Window(house, session)
            made.key = await house.registry.add_account("backend", None)
            await made.device("D1")
            await made.device("D2", None, "other")
            yield made
    finally:
        stop.set()
        waiting.cancel()
        await running
        await house.close()
