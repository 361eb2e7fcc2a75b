"""The courier of one sink: outbox -> batches -> HTTP, until the sink has taken or plainly refused each row.

A batch is fixed in the store before its first attempt, and its bytes follow from its lines, so a repetition after a crash has
the same Idempotency-Key. A refused batch is cut in halves, left to right; rows up to the one that is buried are settled, and
that is written in the transaction that buries it. After a crash the same cuts are made again: parts that hold the buried row
are known to be refused, parts before it are settled.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import zlib
from collections.abc import Awaitable, Callable, Sequence
from io import BytesIO
from random import Random
from time import time
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec

from bridge.counts import Counts, Labels
from bridge.errors import BridgeError, StoreError
from bridge.mirror.retry import backoff, refused, retry_after
from bridge.mirror.rows import FORMATS, Format, Row, body
from bridge.mirror.signature import HEADER, sign
from bridge.store.outbox import Outbox, OutboxLine

log = logging.getLogger(__name__)

EXCERPT = 500
"""Bytes of a refusal's body that are kept: enough to say which field was wrong."""
GZIP_LEVEL = 2
"""A megabyte of readings to about a tenth in 8 ms; level 6 takes three times as long for a few per cent."""
CONNECT_S = 10.0


class SinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP endpoint. Batches hold at most `batch_rows` rows and about `batch_bytes` before gzip, and wait at most
    `batch_age_s` for more. `token` goes as `Authorization: Bearer`. Of format `events` it is a webhook: one request an event,
    signed with `secret`."""

    name: str
    url: str
    format: Format = "readings"
    token: str = ""
    secret: str = ""
    batch_rows: int = 1_000
    batch_bytes: int = 1 << 20
    batch_age_s: float = 1.0
    timeout_s: float = 30.0
    gzip: bool = True

    @property
    def webhook(self) -> bool:
        """Whether it gets events."""
        return self.format == "events"


class Refusal(NamedTuple):
    """A status that says that the rows are not wanted, and the beginning of what came with it."""

    status: int
    text: str


KNOWN = Refusal(0, "refused before the restart")


class _Failure(NamedTuple):
    """An attempt to repeat. `wait` is what the sink asked for, s."""

    cause: str
    wait: float


class _Stopped(BridgeError):
    """`stop` was called while the courier waited."""


class _Batch(NamedTuple):
    """Lines up to `end` as rows; `slice_rows` of them go into one request."""

    end: int
    format: Format
    slice_rows: int
    rows: Sequence[Row]


class Courier:
    """`run` until `stop`. `wants` says which rows the sink is to get; others are passed over. `clock` gives ms, `sleep` waits
    seconds."""

    def __init__(
        self,
        sink: SinkConfig,
        outbox: Outbox,
        counts: Counts,
        *,
        wants: Callable[[Row], bool] = lambda _row: True,
        clock: Callable[[], int] = lambda: int(time() * 1000),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Random | None = None,
    ) -> None:
        self.sink = sink
        self.failing = ""
        """Why the sink takes nothing at the moment; empty while it does."""
        self._outbox = outbox
        self._counts = counts
        self._clock = clock
        self._sleep = sleep
        self._random = Random() if random is None else random  # noqa: S311 - it spreads retries
        self._wants = wants
        self._labels: Labels = (("webhook" if sink.webhook else "sink", sink.name),)
        self._metric = name = "ems_bridge_webhook" if sink.webhook else "ems_bridge_mirror"
        self._bell = asyncio.Event()
        self._stopping = asyncio.Event()
        self._oldest_at: int | None = None
        outbox.subscribe(self.ring)
        what, one = ("event", "event") if sink.webhook else ("reading", "row")
        text = f"Age of the oldest {what} that the sink has not taken, s"
        counts.gauge(f"{name}_lag_seconds", self.lag_s, self._labels, text)
        counts.describe(f"{name}_{one}s", f"{one.title()}s that a sink took")
        counts.describe(f"{name}_attempts", "Requests to a sink")
        counts.describe(f"{name}_failures", "Requests to a sink that failed, by cause")
        counts.describe(f"{name}_buried", f"{one.title()}s that a sink refused and that are dead letters now")
        self._taken = f"{name}_{one}s"

    def ring(self) -> None:
        """There may be new lines."""
        self._bell.set()

    def stop(self) -> None:
        """Let `run` return after the attempt that is on its way; what is not settled is repeated after the next start."""
        self._stopping.set()
        self._bell.set()

    def lag_s(self) -> float:
        """Age of the oldest unsent reading, s; 0 when there is none."""
        return 0.0 if self._oldest_at is None else max(0.0, (self._clock() - self._oldest_at) / 1000)

    async def run(self) -> None:
        """Carry until `stop`. A store that cannot be written is waited for, like a sink that is down."""
        timeout = aiohttp.ClientTimeout(total=self.sink.timeout_s, sock_connect=min(CONNECT_S, self.sink.timeout_s))
        headers = {"Authorization": f"Bearer {self.sink.token}"} if self.sink.token else {}
        async with aiohttp.ClientSession(
            timeout=timeout, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        ) as session:
            failures = 0
            while not self._stopping.is_set():
                try:
                    await self._carry(session)
                except _Stopped:
                    return
                except StoreError as error:
                    log.warning("sink %s: the outbox cannot be written: %s", self.sink.name, error)
                    await self._pause_quietly(backoff(failures, self._random))
                    failures += 1

    async def _carry(self, session: aiohttp.ClientSession) -> None:
        position = await self._outbox.position(self.sink.name)
        cursor = position.cursor
        if position.batch_end is not None:
            lines = await self._outbox.lines(cursor, 1 << 62, up_to=position.batch_end)
            batch = _begun(position.batch_end, position.batch_format, lines)
            await self._deliver(session, batch, position.settled)
            cursor = batch.end
        while not self._stopping.is_set():
            batch_or_none = await self._next(cursor)
            if batch_or_none is not None:
                batch = batch_or_none
                await self._outbox.begin(self.sink.name, batch.end, f"{batch.format}/{batch.slice_rows}")
                await self._deliver(session, batch, 0)
                cursor = batch.end

    async def _next(self, cursor: int) -> _Batch | None:
        """The next batch, once it is full or old enough; None after a wait."""
        self._bell.clear()
        lines = await self._outbox.lines(cursor, self.sink.batch_rows, self.sink.batch_bytes)
        self._oldest_at = lines[0].at if lines else None
        if not lines:
            if not self._stopping.is_set():
                await self._bell.wait()
            return None
        batch, full = self._gather(lines)
        ripe_in = self.sink.batch_age_s - (self._clock() - lines[0].at) / 1000
        if not full and ripe_in > 0:
            await self._pause(min(ripe_in, self.sink.batch_age_s))
            return None
        return batch

    def _gather(self, lines: Sequence[OutboxLine]) -> tuple[_Batch, bool]:
        """As many whole lines as the limits allow, at least one; and whether they allow no more."""
        rows: list[Row] = []
        end, size, full = lines[0].seq, 0, False
        for line in lines:
            added = FORMATS[self.sink.format](line)
            added_size = sum(len(row.body) + 1 for row in added)
            fits = len(rows) + len(added) <= self.sink.batch_rows and size + added_size <= self.sink.batch_bytes
            if rows and not fits:
                full = True
                break
            rows += added
            end, size = line.seq, size + added_size
        full = full or len(rows) >= self.sink.batch_rows or size >= self.sink.batch_bytes
        full = full or sum(len(line.samples) for line in lines) >= self.sink.batch_bytes
        return _Batch(end, self.sink.format, 1 if self.sink.webhook else self.sink.batch_rows, rows), full

    async def _deliver(self, session: aiohttp.ClientSession, batch: _Batch, settled: int) -> None:
        """Settle every row from number `settled` on, then the batch."""
        for low in range(0, len(batch.rows), batch.slice_rows):
            try:
                if low > settled:
                    self._go_on()
                await self._settle(session, batch, low, min(low + batch.slice_rows, len(batch.rows)), settled)
            except _Stopped:
                await self._outbox.settle(self.sink.name, low)
                raise
        await self._outbox.advance(self.sink.name, batch.end)
        self._oldest_at = None

    async def _settle(self, session: aiohttp.ClientSession, batch: _Batch, low: int, high: int, settled: int) -> None:
        """Rows [low, high): taken by the sink, or cut until the refused ones are buried; the first `settled` of the batch are."""
        if high <= settled:
            return
        rows = batch.rows[low:high]
        if batch.format == "events" and not self._wants(rows[0]):
            return
        refusal = await self._post(session, batch, rows) if low >= settled else KNOWN
        if refusal is None:
            self._counts.add(self._taken, self._labels, len(rows))
        elif len(rows) == 1:
            await self._bury(rows[0], refusal, high)
        else:
            middle = (low + high) // 2
            await self._settle(session, batch, low, middle, settled)
            await self._settle(session, batch, middle, high, settled)

    async def _bury(self, row: Row, refusal: Refusal, settled: int) -> None:
        who = "webhook" if self.sink.webhook else "sink"
        reason, detail = f"{who}_refused_{refusal.status}", f"HTTP {refusal.status}: {refusal.text}"
        await self._outbox.bury(
            self.sink.name, row.seq, row.asset, row.timestamp, row.point, reason, detail, row.body,
            at=self._clock(), device=row.device, settled=settled,
        )  # fmt: skip
        self._counts.add(f"{self._metric}_buried", self._labels)
        log.warning("%s %s refused a row of %s for good: %s", who, self.sink.name, row.asset, detail)

    async def _post(self, session: aiohttp.ClientSession, batch: _Batch, rows: Sequence[Row]) -> Refusal | None:
        """Post rows under their key until the sink takes (None) or refuses them."""
        plain = rows[0].body if batch.format == "events" else body(rows)
        headers = {
            "Content-Type": "application/json" if batch.format == "events" else "application/x-ndjson",
            "Idempotency-Key": _key(self.sink.name, batch.format, rows, plain),
        }
        if self.sink.gzip:
            headers["Content-Encoding"] = "gzip"
            plain = await asyncio.to_thread(_gzip, plain)
        attempt = 0
        while True:
            outcome = await self._attempt(session, plain, headers)
            if not isinstance(outcome, _Failure):
                self._recovered()
                return outcome
            self._failed(outcome.cause)
            await self._pause(max(backoff(attempt, self._random), outcome.wait))
            attempt += 1

    async def _attempt(
        self, session: aiohttp.ClientSession, payload: bytes, headers: dict[str, str]
    ) -> Refusal | _Failure | None:
        self._counts.add(f"{self._metric}_attempts", self._labels)
        if self.sink.secret:
            headers[HEADER] = sign(self.sink.secret, self._clock() // 1000, payload)
        try:
            async with session.post(
                self.sink.url, data=BytesIO(payload), headers=headers, allow_redirects=False
            ) as response:
                if 200 <= response.status < 300:
                    return None
                text = (await response.content.read(EXCERPT)).decode("utf-8", "replace")
                if refused(response.status):
                    return Refusal(response.status, text)
                asked = retry_after(response.headers.get("Retry-After"), self._clock() / 1000)
                return _Failure(f"HTTP {response.status}", asked)
        except TimeoutError:
            return _Failure("timeout", 0.0)
        except (aiohttp.ClientError, OSError) as error:
            return _Failure(f"connection: {error or type(error).__name__}", 0.0)

    def _failed(self, cause: str) -> None:
        word = cause.partition(":")[0].replace("HTTP ", "status_")
        self._counts.add(f"{self._metric}_failures", (*self._labels, ("cause", word)))
        if not self.failing:
            log.warning("sink %s at %s fails: %s; trying again", self.sink.name, urlsplit(self.sink.url).netloc, cause)
        self.failing = cause

    def _recovered(self) -> None:
        if self.failing:
            log.info("sink %s answers again", self.sink.name)
        self.failing = ""

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for longer than until `stop`. Raises _Stopped."""
        if not self._stopping.is_set():
            waits = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._stopping.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        self._go_on()

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise _Stopped

    async def _pause_quietly(self, seconds: float) -> None:
        try:
            await self._pause(seconds)
        except _Stopped:
            return


def _begun(end: int, shape: str, lines: Sequence[OutboxLine]) -> _Batch:
    """A batch as it was fixed, whatever the configuration says by now."""
    name, _, slice_rows = shape.partition("/")
    batch_format: Format = "samples" if name == "samples" else "events" if name == "events" else "readings"
    return _Batch(end, batch_format, int(slice_rows), [row for line in lines for row in FORMATS[batch_format](line)])


def _key(sink: str, batch_format: str, rows: Sequence[Row], plain: bytes) -> str:
    """The same for the same rows, and no other's even after the data directory was made anew."""
    if batch_format == "events":
        return rows[0].point
    head = f"{sink}/{batch_format}/{rows[0].seq}-{rows[-1].seq}/{len(rows)}/".encode()
    return hashlib.sha256(head + plain).hexdigest()[:40]


def _gzip(plain: bytes) -> bytes:
    """The same bytes for the same input: no time in the header."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(plain) + packer.flush()
