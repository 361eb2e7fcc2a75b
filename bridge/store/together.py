"""Lookups that share one hop between threads: a hop costs more than what one row takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Batch(NamedTuple, Generic[K, V]):
    keys: list[K]
    found: asyncio.Task[dict[K, V]]


class Together(Generic[K, V]):
    """`fetch(keys)` finds what there is of them. What is asked for while it runs goes with the next call; nothing is kept."""

    def __init__(self, fetch: Callable[[list[K]], Awaitable[dict[K, V]]]) -> None:
        self._fetch = fetch
        self._batch: _Batch[K, V] | None = None
        self._turn = asyncio.Lock()

    async def get(self, key: K) -> V | None:
        """What `key` has now, or None."""
        batch = self._batch
        if batch is None:
            batch = self._batch = _Batch([], asyncio.create_task(self._look(), name="lookup"))
        batch.keys.append(key)
        return (await asyncio.shield(batch.found)).get(key)

    async def _look(self) -> dict[K, V]:
        async with self._turn:
            batch, self._batch = self._batch, None
            assert batch is not None  # noqa: S101 - its task is this one
            return await self._fetch(batch.keys)
