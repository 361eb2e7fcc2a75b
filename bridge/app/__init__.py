"""Where the rooms become a process: serve, cloud, demo; backup and verify. The only composer."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bridge.app.care import backup, open_files, verify
from bridge.app.demo import demo
from bridge.app.house import Addresses, House
from bridge.app.receiving import cloud
from bridge.app.settings import time_series
from bridge.config import Config

__all__ = ["Addresses", "House", "backup", "cloud", "demo", "run", "serve", "time_series", "verify"]

T = TypeVar("T")

SWITCH_S = 0.0005
"""How long a thread may hold the interpreter. With a busy event loop the writer's thread commits 2 to 10 times as many rows
as with the usual 5 ms (batches of 50 and 200 reports), and the loop hardly notices."""


GC_ALLOCATIONS = 200_000
"""Allocations between two looks of the collector. A batch of waiting Records is a hundred thousand tuples and no cycle: with
the usual 700 a third of the event loop's time at saturation went into walking them."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop where there is one."""
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def serve(
    config: Config, ready: Callable[[Addresses], None], stop: asyncio.Event, reload: asyncio.Event | None = None
) -> None:
    """Run the bridge until `stop` is set; `ready` is told the addresses once it listens; certificates are read again when
    `reload` is set.

    Raises ConfigError (an address, a data directory in use) and StoreError. A task that fails ends everything: a supervisor
    starts a process that lost nothing, which is better than half a bridge.
    """
    open_files(config.broker.max_connections)
    house = await House.open(config)
    house.reload = reload or house.reload
    try:
        async with asyncio.TaskGroup() as group:
            await house.start(group)
            ready(house.addresses)
            await stop.wait()
            await house.stop()
    finally:
        await house.close()
