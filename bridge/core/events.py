"""What happens, for whoever listens: readings, command states, presence, alarms, dead letters, messages.

Each listener has a bounded queue; one that does not keep up loses the oldest and is told how many.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

QUEUE = 1_000
"""Events that a listener may lag behind: a second of a busy fleet."""
TYPES = ("reading", "command", "presence", "alarm", "dead_letter", "message")


class Event(NamedTuple):
    """`device` is the uid that it concerns, or "" for none."""

    type: str
    device: str
    data: dict[str, Any]


class Listener:
    """One subscription; iterate it."""

    def __init__(self, types: frozenset[str], allowed: Callable[[str], bool]) -> None:
        self.types = types
        self._allowed = allowed
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        self.lost = 0

    def offer(self, event: Event) -> None:
        """Queue the event if it is wanted and allowed."""
        if event.type not in self.types or not self._allowed(event.device):
            return
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self.lost += 1
        self._queue.append(event)
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._queue:
                yield self._queue.popleft()
            self._wake.clear()
            await self._wake.wait()


class Events:
    """Publishes to the listeners of this process. `wants(type)` is cheap: make no event that nobody hears."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._types: frozenset[str] = frozenset()

    def wants(self, kind: str) -> bool:
        """Whether anybody listens to events of this type."""
        return kind in self._types

    def publish(self, kind: str, device: str, data: dict[str, Any]) -> None:
        """Tell every listener that may hear it."""
        if kind in self._types:
            event = Event(kind, device, data)
            for listener in self._listeners:
                listener.offer(event)

    @contextmanager
    def subscribe(self, types: frozenset[str], allowed: Callable[[str], bool]) -> Iterator[Listener]:
        """Listen to `types` of the devices that `allowed(uid)` permits."""
        listener = Listener(types, allowed)
        self._listeners.add(listener)
        self._sum_up()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._sum_up()

    def _sum_up(self) -> None:
        self._types = frozenset().union(*(listener.types for listener in self._listeners))
