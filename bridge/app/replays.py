"""Dead letters through the pipeline again: one, or all that a filter finds, a bounded step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bridge.core.flow import committed
from bridge.core.ingest import Ingest
from bridge.core.principal import ANONYMOUS, Principal
from bridge.core.record import Done, Record
from bridge.core.registry import Registry
from bridge.errors import NotFound, StoreError
from bridge.mirror.rows import decode_row
from bridge.store.dead import DeadLetters, Wanted

STEP = 200
"""Dead letters that are committed together."""
STEP_BYTES = 8 << 20
"""Bytes of their payloads: a hundred thousand are never in memory at the same time."""


class Replays:
    """Each letter is replayed once: a second request, also one that comes meanwhile, changes nothing. One step at a time."""

    def __init__(
        self,
        dead: DeadLetters,
        ingest: Ingest,
        registry: Registry,
        submit: Callable[[Record, Done | None], None],
        now: Callable[[], int],
        anonymous: bool,
    ) -> None:
        self._dead = dead
        self._ingest = ingest
        self._registry = registry
        self._submit = submit
        self._now = now
        self._anonymous = anonymous
        self._turn = asyncio.Lock()

    async def one(self, number: int) -> dict[str, Any]:
        """Replay a letter; gives {id, outcome, reason, path, detail}. Raises NotFound and StoreError."""
        async with self._turn:
            letter = await self._dead.get(number)
            if letter is None:
                raise NotFound("unknown_dead_letter", f"there is no dead letter {number}")
            (result,) = await self._replay([letter])
            return result

    async def some(self, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
        """Replay the first `limit` letters of those that were not, oldest first; gives what became of each. Raises StoreError."""
        results: list[dict[str, Any]] = []
        while len(results) < limit:
            async with self._turn:
                letters = await self._dead.waiting(wanted, min(STEP, limit - len(results)), STEP_BYTES)
                if not letters:
                    break
                results += await self._replay(letters)
            wanted = wanted._replace(after=letters[-1]["id"])
        return results

    async def _replay(self, letters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """In their order, in as few commits as there may be."""
        records = [self._record(letter) if letter["replayed_at"] is None else None for letter in letters]
        under_way = [committed(self._submit, record) for record in records if record is not None and not record.reject]
        if not all(await asyncio.gather(*under_way)):
            raise StoreError("the commit failed; not everything was replayed")
        return [_result(letter, record) for letter, record in zip(letters, records, strict=True)]

    def _record(self, letter: dict[str, Any]) -> Record:
        number, device, now = letter["id"], letter["device"] or "", self._now()
        if letter["source"] == "mirror":
            return self._ingest.remirror(number, device, [decode_row(letter["payload"])], now)
        if letter["source"] == "webhook":
            return self._ingest.rehook(number, device, letter["payload"], letter["context"], now)
        return self._ingest.replay(self._sender(letter["sender"]), number, letter["topic"], letter["payload"], now)

    def _sender(self, sender: str) -> Principal:
        """Whoever sent a dead letter, with the rights that he has now: none, when he is gone."""
        kind, _, name = sender.partition(":")
        if kind == "anonymous" and self._anonymous:
            return ANONYMOUS
        return self._registry.find(kind, name) or Principal("account", name)


def _result(letter: dict[str, Any], record: Record | None) -> dict[str, Any]:
    if record is None:
        return {"id": letter["id"], "outcome": "accepted", "detail": "it was replayed before; nothing was done again"}
    if record.reject is None:
        return {"id": letter["id"], "outcome": "accepted"}
    return {"id": letter["id"], "outcome": "rejected", **record.reject._asdict()}
