"""`POST /ingest/v1/power`: a batch of readings -> stored, answered row by row, once for each Idempotency-Key."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar
from weakref import WeakValueDictionary

import msgspec

from bridge.cloud import rows
from bridge.cloud.cloud import Cloud
from bridge.errors import Refused
from bridge.store.series import Answer

P = ParamSpec("P")
T = TypeVar("T")

BIG = 256 << 10
"""Bytes above which hashing, and looking for the rows, leave the event loop."""
MAX_KEY = 255


class Ingest:
    """The ingestion endpoint without its HTTP."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def take(self, principal: Any, body: bytes, content_type: str, key: str | None) -> tuple[int, str]:
        """(status, JSON text). 200: all rows stored; 422: the bad ones are named, the good ones stored. Under a `key` that was
        answered before, the same answer, and nothing is done.

        Raises Refused (not_json, too_many_rows, bad_idempotency_key, idempotency_key_reused) and StoreError; then nothing is
        stored.
        """
        if key is None:
            return await self._store(principal, body, content_type, None)
        if not 0 < len(key) <= MAX_KEY or not key.isprintable():
            raise Refused("bad_idempotency_key", f"an Idempotency-Key has 1 to {MAX_KEY} printable characters")
        scope = str(getattr(principal, "name", ""))
        turn = self._turns.setdefault((scope, key), asyncio.Lock())
        async with turn:
            digest = await _aside(len(body) > BIG, _digest, body)
            known = await self._cloud.series.answer(scope, key)
            if known is None:
                return await self._store(principal, body, content_type, (scope, key, digest))
            if known.digest != digest:
                raise Refused("idempotency_key_reused", "this Idempotency-Key came with another body before")
            self._cloud.counts.add("ems_bridge_ingest_repeats")
            return known.status, known.text

    async def _store(
        self, principal: Any, body: bytes, content_type: str, key: tuple[str, str, bytes] | None
    ) -> tuple[int, str]:
        cloud = self._cloud
        may_write = lru_cache(maxsize=None)(lambda device: cloud.may_write(principal, device))
        known, now = cloud.series.assets, cloud.clock()
        parsed = await rows.plain(body, known, may_write, now) if content_type in rows.JSON_LINES else None
        if parsed is None:
            lines = await _aside(len(body) > BIG, rows.split, body, content_type)
            parsed = await rows.parse(lines, known, may_write, now)
        said: dict[str, Any] = {"accepted": parsed.accepted, "rejected": parsed.rejected, "errors": parsed.errors}
        if parsed.rejected > len(parsed.errors):
            said["errors_omitted"] = parsed.rejected - len(parsed.errors)
        status, text = (422 if parsed.rejected else 200), msgspec.json.encode(said).decode()
        await cloud.series.store(parsed.batch, Answer(*key, status, text) if key else None)
        cloud.counts.add("ems_bridge_ingest_rows", (("outcome", "accepted"),), parsed.accepted)
        cloud.counts.add("ems_bridge_ingest_rows", (("outcome", "rejected"),), parsed.rejected)
        return status, text


async def _aside(big: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` gives, which does not stop the event loop where there is much of it."""
    return await asyncio.to_thread(work, *args, **kwargs) if big else work(*args, **kwargs)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
