"""An HTTP sink that counts: a real server on port 0 that a test can make fail in every way that a sink fails."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from aiohttp import web


class Reading(NamedTuple):
    """What one row says; two of them are one reading when all but the value agree."""

    asset: str
    point: str
    timestamp: int
    value: float


class Batch(NamedTuple):
    """One POST that arrived whole."""

    key: str
    rows: tuple[Reading, ...]
    request: web.Request


Verdict = Callable[[Batch], Awaitable[web.StreamResponse | None]]
"""What to say to a batch; None takes it (200). A response of 300 or more means that its rows do not count."""


async def take(batch: Batch) -> web.StreamResponse | None:
    """Accept everything."""
    return None


class Sink:
    """Counts rows once per Idempotency-Key, as the receiving side of PRODUCT.md §4.4 does."""

    def __init__(self) -> None:
        self.verdict: Verdict = take
        self.attempts = 0
        self.accepted: dict[str, tuple[Reading, ...]] = {}
        self.faults: list[str] = []
        self.changed = asyncio.Condition()
        self.port = 0
        self._runner: web.AppRunner | None = None
        self.routes: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        """What other paths answer, for formats that are not ours."""
        self.tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/rows"

    async def __aenter__(self) -> Sink:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def up(self) -> None:
        """Listen (again on the same port)."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/rows", self._take)
        app.router.add_route("*", "/{path:.*}", self._other)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Stop listening; connections are refused until `up`."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def readings(self) -> Counter[tuple[str, str, int]]:
        """How often each (asset, point, timestamp) was taken, over distinct keys."""
        return Counter(row[:3] for rows in self.accepted.values() for row in rows)

    def keep(self, batch: Batch) -> None:
        """Count a batch: once a key, and a key always comes with the same rows."""
        known = self.accepted.setdefault(batch.key, batch.rows)
        if known != batch.rows:
            self.faults.append(f"key {batch.key} came with other rows: {len(known)} then {len(batch.rows)}")

    async def until(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait until `true()` after some attempt; TimeoutError when it does not come."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(true)

    async def _other(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self.routes[request.path](request)
        finally:
            async with self.changed:
                self.changed.notify_all()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        batch = Batch(request.headers.get("Idempotency-Key", ""), rows_of(await request.read()), request)
        self.attempts += 1
        if not batch.key:
            self.faults.append("no Idempotency-Key")
        try:
            answer = await self.verdict(batch)
            if answer is None or answer.status < 300:
                self.keep(batch)
            return answer or web.json_response({"accepted": len(batch.rows)})
        finally:
            async with self.changed:
                self.changed.notify_all()


def rows_of(body: bytes) -> tuple[Reading, ...]:
    """Readings of an NDJSON body in either format of the courier; a gzip body that is still packed is unpacked."""
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return tuple(reading for line in plain.splitlines() if line.strip() for reading in readings_of(json.loads(line)))


def readings_of(row: dict[str, Any]) -> Iterator[Reading]:
    values = row["values"] if "values" in row else {row["point"]: row["value"]}
    for point, value in values.items():
        yield Reading(row["asset"], point, row["timestamp"], value)


def cut(request: web.Request) -> None:
    """Drop the connection under a request, as a crashing sink does."""
    if request.transport is not None:
        request.transport.abort()
