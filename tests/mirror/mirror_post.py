"""An outbox in a real bridge.db, couriers on it, and a clock that is held."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from bridge.counts import Counts
from bridge.mirror.courier import Courier
from bridge.mirror.sink import SinkConfig
from bridge.store.database import Database
from bridge.store.outbox import STATEMENTS, Outbox

START = 1_760_000_000_000
DAY_MS = 86_400_000


class Clock:
    """Time passes only when somebody sleeps; `slept` keeps how long."""

    def __init__(self) -> None:
        self.ms = START
        self.slept: list[float] = []

    def now(self) -> int:
        return self.ms

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ms += int(seconds * 1000)
        await asyncio.sleep(0)


class Post:
    """The outbox of one data directory, as a process has it."""

    def __init__(self, database: Database, outbox: Outbox, clock: Clock, counts: Counts) -> None:
        self.database = database
        self.outbox = outbox
        self.clock = clock
        self.counts = counts

    async def write(self, *lines: tuple[int, list[Any]], at: int | None = None) -> None:
        """Commit lines as the ledger's writer does: (seq, [[asset, timestamp, {point: value}], …])."""
        rows = [
            (seq, self.clock.ms if at is None else at, f"DEV{seq % 3}", json.dumps(samples)) for seq, samples in lines
        ]
        sql = STATEMENTS["outbox"].sql
        await self.database.write(lambda connection: connection.execute(sql, (json.dumps(rows),)).rowcount)
        self.outbox.on_commit()

    async def reports(self, count: int, first: int = 1) -> None:
        """Lines `first`, … of one reading each, whose value is its seq."""
        await self.write(*((seq, [["M", START + seq, {"p": float(seq)}]]) for seq in range(first, first + count)))

    def courier(self, url: str, name: str = "s", tls: ssl.SSLContext | None = None, **options: Any) -> Courier:
        sink = SinkConfig(name=name, url=url, **{"batch_rows": 8, "batch_age_s": 0.5, "timeout_s": 5.0, **options})
        return Courier(
            sink, self.outbox, self.counts, tls=tls, clock=self.clock.now, sleep=self.clock.sleep, random=Random(1)
        )

    async def dead(self) -> list[dict[str, Any]]:
        sql = "SELECT source, device, reason, path, detail, payload, context FROM dead_letters ORDER BY id"
        names = ("source", "device", "reason", "path", "detail", "payload", "context")
        return [dict(zip(names, row, strict=True)) for row in await self.database.rows(sql)]

    async def left(self) -> list[int]:
        return [line.seq for line in await self.outbox.lines(0, 1 << 30)]


@asynccontextmanager
async def opened(
    home: Path, *sinks: str, max_bytes: int = 1 << 30, max_age_ms: int = 30 * DAY_MS, clock: Clock | None = None
) -> AsyncIterator[Post]:
    """Open (again) the data directory `home`."""
    database = await Database.open(home / "bridge.db", "bridge")
    try:
        counts = Counts()
        outbox = Outbox(database, sinks or ("s",), max_bytes, max_age_ms, counts)
        await outbox.open()
        yield Post(database, outbox, clock or Clock(), counts)
    finally:
        await database.close()


@asynccontextmanager
async def running(*couriers: Courier) -> AsyncIterator[None]:
    """Run couriers; they stop in order at the end, at once when the block fails."""
    async with asyncio.TaskGroup() as group:
        for courier in couriers:
            group.create_task(courier.run())
        yield
        for courier in couriers:
            courier.stop()


async def killed(courier: Courier, when: asyncio.Event) -> None:
    """Run a courier and end it the hard way once `when` is set."""
    task = asyncio.create_task(courier.run())
    await asyncio.wait_for(when.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], Awaitable[bool] | bool], seconds: float = 20.0) -> None:
    """Wait until something is so that no event tells. TimeoutError when it does not come."""
    async with asyncio.timeout(seconds):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.005)
