"""When an open command is looked at next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush

from bridge.core.open_command import Open

PACE_S = 0.005
"""Between two looks: what became due meanwhile is one COMMIT."""
STALE = 1_024
"""The heap is swept when it has twice as many entries as there are open commands, and this many more."""


class Deadlines:
    """A heap of the commands of `commands` by their `due`; an entry that is no longer a command's own is passed over."""

    def __init__(self, commands: Mapping[str, Open], timer: Callable[[], float]) -> None:
        self._commands = commands
        self._timer = timer
        self._heap: list[tuple[float, int, str]] = []
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Entries, outdated ones among them."""
        return len(self._heap)

    def arm(self, command: Open, due: float) -> None:
        """Look at it then, and not before."""
        command.due = due
        if len(self._heap) > 2 * len(self._commands) + STALE:
            self._heap = list({entry for entry in self._heap if self._holds(entry)})
            heapify(self._heap)
        heappush(self._heap, (due, command.number, command.mid))
        if self._heap[0][2] == command.mid:
            self._wake.set()

    def next(self, moment: float) -> Open | None:
        """Take the earliest command that is due at `moment`."""
        while self._heap and self._heap[0][0] <= moment:
            entry = heappop(self._heap)
            if self._holds(entry):
                return self._commands[entry[2]]
        return None

    def first(self) -> float | None:
        """When `wait` ends by itself; None without an entry."""
        while self._heap and not self._holds(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    async def wait(self) -> None:
        """Until one may be due."""
        delay = max(PACE_S, self._heap[0][0] - self._timer()) if self._heap else None
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _holds(self, entry: tuple[float, int, str]) -> bool:
        command = self._commands.get(entry[2])
        return command is not None and command.due == entry[0]
