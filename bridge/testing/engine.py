"""A thread with an event loop, beside the tests: what runs there goes on whether a test waits or computes, with a loop or
without."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

CALL_S: Final = 30.0
"""No call from a test takes longer, or something hangs."""
ADVANCE_S: Final = 600.0
LOOK_S: Final = 0.02
"""Between two looks at a condition that rings no bell."""


class Bell:
    """Rung by the engine whenever something happened; whoever waits for a condition looks again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        """Something happened."""
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def until(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """Block until `condition()` is true. AssertionError when that does not come."""
        ends = time.monotonic() + timeout_s
        while True:
            with self._changed:
                seen = self._rings
            if condition():
                return
            if time.monotonic() >= ends:
                raise AssertionError(_late(what, timeout_s))
            with self._changed:
                if self._rings == seen:
                    self._changed.wait(LOOK_S)

    async def reached(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """The same for a test that is a coroutine: its loop goes on."""
        ends = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() >= ends:
                raise AssertionError(_late(what, timeout_s))
            await asyncio.sleep(LOOK_S / 4)


class Engine:
    """The thread. `start` before anything else, `stop` in the end."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.bell = Bell()
        self._folder = tempfile.TemporaryDirectory(prefix="ems-bridge-")
        self.folder = Path(self._folder.name)
        """For what all tests share; gone in the end."""
        self._thread = threading.Thread(target=self._run, name="ems-bridge-tests", daemon=True)

    def start(self) -> Engine:
        """Run the loop."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the loop; what still runs there is cancelled."""
        if self._thread.is_alive():
            self.call(self._end())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CALL_S)
        self.loop.close()
        self._folder.cleanup()

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float = CALL_S) -> T:
        """Run a coroutine there, and wait for what it gives or raises."""
        asked: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return asked.result(timeout_s)
        except TimeoutError:
            if asked.done():
                raise
            asked.cancel()
            raise AssertionError(f"the bridge did not answer within {timeout_s} s") from None

    def advance(self, work: Coroutine[Any, Any, None]) -> None:
        """The same for a held clock, which may have a year to go."""
        self.call(work, ADVANCE_S)

    def do(self, work: Callable[[], T]) -> T:
        """Call a function there, and wait for what it gives or raises."""

        async def call() -> T:
            return work()

        return self.call(call())

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let a coroutine run there."""

        async def spawn() -> asyncio.Task[T]:
            return asyncio.get_running_loop().create_task(work)

        return self.call(spawn())

    def wait(self, waitable: Awaitable[T], timeout_s: float = CALL_S) -> T:
        """Wait for a task or future of the engine's loop."""

        async def wait() -> T:
            return await waitable

        return self.call(wait(), timeout_s)

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        await self.loop.shutdown_default_executor()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


def _late(what: str, timeout_s: float) -> str:
    return f"not within {timeout_s:g} s: {what}"
