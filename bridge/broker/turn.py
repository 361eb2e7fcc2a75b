"""What happens once per turn of the event loop: one write per connection, one commit of loose rows."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, Task
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from bridge.core.record import Row

if TYPE_CHECKING:
    from bridge.broker.wire import Wire

log = logging.getLogger(__name__)


class Turn:
    """Collects until the end of the turn; what gathers before `bind` waits for it."""

    __slots__ = ("_dirty", "_loop", "_persist", "_rows", "_scheduled", "_tasks", "now")

    def __init__(self, persist: Callable[[list[Row], None], None]) -> None:
        self._persist = persist
        self._loop: AbstractEventLoop | None = None
        self._dirty: list[Wire] = []
        self._rows: list[Row] = []
        self._scheduled = False
        self._tasks: set[Task[None]] = set()
        self.now = 0.0
        """The loop's clock as of the last sweep, seconds."""

    def bind(self, loop: AbstractEventLoop) -> None:
        """Use this loop."""
        self._loop = loop
        self.now = loop.time()
        if self._rows and not self._scheduled:
            self._schedule()

    @property
    def loop(self) -> AbstractEventLoop:
        """The loop it is bound to."""
        if self._loop is None:
            raise RuntimeError("the broker is not started")
        return self._loop

    def dirty(self, connection: Wire) -> None:
        """The connection has something to write."""
        self._dirty.append(connection)
        if not self._scheduled:
            self._schedule()

    def rows(self, rows: list[Row]) -> None:
        """Rows to commit that nobody waits for."""
        if rows:
            self._rows += rows
            if not self._scheduled:
                self._schedule()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a task until `cancel`."""
        task = self.loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel what `spawn` started."""
        for task in self._tasks:
            task.cancel()

    def flush(self) -> None:
        """Write and commit what has gathered."""
        self._scheduled = False
        if self._rows:
            rows, self._rows = self._rows, []
            self._persist(rows, None)
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    def _schedule(self) -> None:
        if self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def _ended(self, task: Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
