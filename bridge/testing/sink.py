"""A real HTTP sink that a test makes fail."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import msgspec
from aiohttp import web

from bridge.testing.engine import Engine

PATIENCE_S = 10.0
MAX_BODY = 64 << 20


class Reading(NamedTuple):
    """One value that came."""

    asset: str
    point: str
    timestamp: int
    value: Any


class Batch(NamedTuple):
    """One request: its Idempotency-Key, its readings, and what was said to it (0: the connection was cut)."""

    key: str
    readings: tuple[Reading, ...]
    status: int


class _Plan(NamedTuple):
    status: int
    headers: dict[str, str]
    wait_s: float


class Sink:
    """What `ems_sink` gives: it takes everything until it is told otherwise. A key that comes twice counts once."""

    def __init__(self, engine: Engine) -> None:
        self.url = ""
        self.batches: list[Batch] = []
        """Every request, failed ones too, in the order of coming."""
        self._engine = engine
        self._taken: dict[str, tuple[Reading, ...]] = {}
        self._plans: deque[_Plan] = deque()
        self._always: _Plan | None = None
        self._bad: set[str] = set()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def attempts(self) -> int:
        """Requests that came."""
        return len(self.batches)

    @property
    def readings(self) -> list[Reading]:
        """The readings that it took, each key once."""
        return [reading for rows in tuple(self._taken.values()) for reading in rows]

    def values(self, asset: str, point: str) -> dict[int, Any]:
        """timestamp -> value, of what it took."""
        return {row.timestamp: row.value for row in self.readings if (row.asset, row.point) == (asset, point)}

    def twice(self) -> list[tuple[str, str, int]]:
        """Readings (asset, point, timestamp) that it took under more than one key: none, if the bridge is right."""
        counted = Counter(row[:3] for row in self.readings)
        return [row for row, times in counted.items() if times > 1]

    # What it does wrong.

    def fails(self, status: int = 503, *, times: int | None = None, retry_after: float | None = None) -> Self:
        """Answer with this status: so many requests, or until `works`."""
        return self._plan(status, {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}, 0.0, times)

    def cuts(self, *, times: int | None = None) -> Self:
        """Drop the connection under the request, without taking what came."""
        return self._plan(0, {}, 0.0, times)

    def slow(self, seconds: float, *, times: int | None = None) -> Self:
        """Take it, and say so only after so many seconds (real ones)."""
        return self._plan(200, {}, seconds, times)

    def refuses(self, asset: str) -> Self:
        """Answer 422 to every batch that has a reading of this asset: the bridge has to cut it out."""
        self._bad.add(asset)
        return self

    def works(self) -> Self:
        """Take everything again."""
        self._plans.clear()
        self._always = None
        self._bad.clear()
        return self

    def down(self) -> None:
        """Listen no longer: connections are refused until `up`."""
        self._engine.call(self._down())

    def up(self) -> None:
        """Listen, again on the same port."""
        self._engine.call(self._up())

    def until(
        self, condition: Callable[[Sink], object], timeout_s: float = PATIENCE_S, what: str = "the sink's condition"
    ) -> None:
        """Block until `condition(sink)` is true, asked after every request. AssertionError when it does not come."""
        self._engine.bell.until(lambda: condition(self), timeout_s, f"{what} ({self.attempts} requests came)")

    def settings(self, name: str = "ems-sink") -> dict[str, object]:
        """Its entry in `mirror.sinks`."""
        return {"name": name, "url": self.url, "batch_age_s": 0, "timeout_s": 5}

    def _plan(self, status: int, headers: dict[str, str], wait_s: float, times: int | None) -> Self:
        plan = _Plan(status, headers, wait_s)
        if times is None:
            self._always = plan
        else:
            self._plans.extend([plan] * times)
        return self

    async def _up(self) -> None:
        if self._runner is not None:
            return
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/rows", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}/rows"

    async def _down(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        rows = _rows(await request.read())
        key = request.headers.get("Idempotency-Key", "")
        plan = self._plans.popleft() if self._plans else self._always or _Plan(200, {}, 0.0)
        if plan.status == 200 and any(row.asset in self._bad for row in rows):
            plan = _Plan(422, {}, 0.0)
        if plan.status and plan.status < 300:
            self._taken.setdefault(key, rows)
        self.batches.append(Batch(key, rows, plan.status))
        self._engine.bell.ring()
        await asyncio.sleep(plan.wait_s)
        if not plan.status and request.transport is not None:
            request.transport.abort()
        return web.Response(status=plan.status or 500, headers=plan.headers)


def _rows(body: bytes) -> tuple[Reading, ...]:
    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    found = []
    for line in plain.splitlines():
        row = msgspec.json.decode(line)
        values = row["values"] if "values" in row else {row["point"]: row["value"]}
        found += [Reading(row["asset"], point, row["timestamp"], value) for point, value in values.items()]
    return tuple(found)
