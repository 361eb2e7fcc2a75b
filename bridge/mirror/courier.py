"""The courier of one sink: outbox -> batches -> HTTP, until the sink has taken or plainly refused each row.

A batch is fixed in the store before its first attempt, and its bytes follow from its lines, so a repetition after a crash has
the same Idempotency-Key. A refused batch is cut in halves, left to right; rows up to the one that is buried are settled, and
that is written in the transaction that buries it. After a crash the same cuts are made again: parts that hold the buried row
are known to be refused, parts before it are settled. Where a sink says itself which rows it refused, those are buried
together once the others are settled.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from time import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from bridge.counts import Counts, Labels
from bridge.errors import BridgeError, StoreError
from bridge.mirror.answers import Failure, Partial, Refusal
from bridge.mirror.retry import backoff
from bridge.mirror.rows import Row
from bridge.mirror.sender import Sender
from bridge.mirror.shapes import OWN, Own, Shape, shape_of
from bridge.mirror.sieve import Owners, Seen, sieve_of
from bridge.mirror.sink import SinkConfig
from bridge.store.outbox import Letter, Outbox, OutboxLine, Position

log = logging.getLogger(__name__)

_Refused = list[tuple[Row, Refusal]]

KNOWN = Refusal(0, "refused before the restart")


class _Stopped(BridgeError):
    """`stop` was called while the courier waited."""


class _Batch(NamedTuple):
    """Lines up to `end` as rows; `slice_rows` of them go into one request of this shape."""

    end: int
    format: str
    shape: Shape
    slice_rows: int
    rows: Sequence[Row]
    seen: Seen


class Courier:
    """`run` until `stop`. `wants` says which events a webhook is to get; others are passed over. `owners` gives a device's,
    for the sink's filter; `tls` is how https is spoken. `clock` gives ms, `sleep` waits seconds."""

    def __init__(
        self,
        sink: SinkConfig,
        outbox: Outbox,
        counts: Counts,
        *,
        wants: Callable[[Row], bool] = lambda _row: True,
        owners: Owners = lambda _device: (),
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], int] = lambda: int(time() * 1000),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Random | None = None,
    ) -> None:
        self.sink = sink
        self.failing = ""
        """Why the sink takes nothing at the moment; empty while it does."""
        self.failing_since: int | None = None
        self.taken_at: int | None = None
        """When it last took something, ms."""
        self._outbox = outbox
        self._counts = counts
        self._clock = clock
        self._sleep = sleep
        self._random = Random() if random is None else random  # noqa: S311 - it spreads retries
        self._wants = wants
        self._shape = shape_of(sink)
        self._sieve = sieve_of(sink.filter, owners)
        self._sender = Sender(sink, self._shape, clock, tls)
        self._labels: Labels = (("webhook" if sink.webhook else "sink", sink.name),)
        self._metric = name = "ems_bridge_webhook" if sink.webhook else "ems_bridge_mirror"
        self._bell = asyncio.Event()
        self._stopping = asyncio.Event()
        self._oldest_at: int | None = None
        outbox.subscribe(self.ring)
        what, one = ("event", "event") if sink.webhook else ("reading", "row")
        text = f"Age of the oldest {what} that the sink has not taken, s"
        counts.gauge(f"{name}_lag_seconds", self.lag_s, self._labels, text)
        counts.gauge(f"{name}_failing", lambda: float(bool(self.failing)), self._labels, "1 while a sink takes nothing")
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

    def state(self) -> dict[str, Any]:
        """What an operator wants to know (bridge/http/sinks.py)."""
        sink, count = self.sink, self._counts.value
        return {
            "name": sink.name,
            "kind": "webhook" if sink.webhook else "sink",
            "format": sink.format,
            "host": _host(sink.url),
            "failing": self.failing or None,
            "failing_since": self.failing_since,
            "taken_at": self.taken_at,
            "lag_s": self.lag_s(),
            "rows": int(count(self._taken, self._labels)),
            "buried": int(count(f"{self._metric}_buried", self._labels)),
        }

    async def run(self) -> None:
        """Carry until `stop`. A store that cannot be written is waited for, like a sink that is down."""
        async with self._sender.session() as session:
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
            batch, settled = self._begun(position, lines)
            if settled is None:
                await self._outbox.begin(self.sink.name, batch.end, self._mark(batch))
                settled = 0
            await self._deliver(session, batch, settled)
            cursor = batch.end
        while not self._stopping.is_set():
            batch_or_none = await self._next(cursor)
            if batch_or_none is not None:
                batch = batch_or_none
                if batch.rows:
                    await self._outbox.begin(self.sink.name, batch.end, self._mark(batch))
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
        seen: Seen = {}
        shape, everything = self._shape, self._sieve is None
        end, size, full = lines[0].seq, 0, False
        for line in lines:
            news: Seen = {}
            added = shape.rows(line) if everything else self._rows(line, shape, seen, news)
            added_size = shape.size(added)
            fits = len(rows) + len(added) <= self.sink.batch_rows and size + added_size <= self.sink.batch_bytes
            if rows and not fits:
                full = True
                break
            rows += added
            seen |= news
            end, size = line.seq, size + added_size
        full = full or len(rows) >= self.sink.batch_rows or size >= self.sink.batch_bytes
        full = full or len(lines) >= self.sink.batch_rows
        full = full or sum(len(line.samples) for line in lines) >= self.sink.batch_bytes
        slice_rows = 1 if self.sink.webhook else self.sink.batch_rows
        return _Batch(end, self.sink.format, self._shape, slice_rows, rows, seen), full

    def _rows(self, line: OutboxLine, shape: Shape, seen: Seen, news: Seen) -> list[Row]:
        """What the sink wants of a line; `seen` are the intervals of lines before it, `news` gathers its own."""
        if self._sieve is None:
            return shape.rows(line)
        wanted = self._sieve.pass_on(line, seen, news)
        return [] if wanted is None else shape.rows(wanted)

    def _mark(self, batch: _Batch) -> str:
        """What a batch is known by after a crash: its format, the rows of a request, and which rows a filter left."""
        mark = f"{batch.format}/{batch.slice_rows}"
        return mark if self._sieve is None else f"{mark}/{_sum(batch.rows)}"

    def _begun(self, position: Position, lines: Sequence[OutboxLine]) -> tuple[_Batch, int | None]:
        """A batch as it was fixed, and how many of its rows are settled. One of our own formats stays in it, whatever the
        configuration says by now. Where the rows are no longer the same ones, None: it is to begin anew."""
        name, _, rest = position.batch_format.partition("/")
        slice_rows, _, fixed = rest.partition("/")
        shape, batch_format = self._shape, self.sink.format
        for own in OWN:
            if own == name and batch_format in OWN:
                shape, batch_format = Own(own), own
        seen: Seen = {}
        rows: list[Row] = []
        for line in lines:
            news: Seen = {}
            rows += self._rows(line, shape, seen, news)
            seen |= news
        same = batch_format == name and fixed == ("" if self._sieve is None else _sum(rows))
        batch = _Batch(position.batch_end or 0, batch_format, shape, int(slice_rows), rows, seen)
        return batch, position.settled if same else None

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
        if self._sieve is not None:
            self._sieve.keep(batch.seen)
        self._oldest_at = None

    async def _settle(self, session: aiohttp.ClientSession, batch: _Batch, low: int, high: int, settled: int) -> None:
        """Rows [low, high): taken by the sink, or cut until the refused ones are buried; the first `settled` of the batch
        are."""
        if high <= settled:
            return
        rows = batch.rows[low:high]
        if batch.format == "events" and not self._wants(rows[0]):
            return
        answer = await self._post(session, batch, rows) if low >= settled else KNOWN
        if answer is None:
            return
        if isinstance(answer, Partial):
            await self._bury(batch, await self._part(session, batch, rows, answer), high)
        elif len(rows) == 1:
            await self._bury(batch, [(rows[0], answer)], high)
        else:
            middle = (low + high) // 2
            await self._settle(session, batch, low, middle, settled)
            await self._settle(session, batch, middle, high, settled)

    async def _part(
        self, session: aiohttp.ClientSession, batch: _Batch, rows: Sequence[Row], answer: Partial
    ) -> _Refused:
        """What the sink refused of rows of which it took a part."""
        self._counts.add(self._taken, self._labels, len(rows) - len(answer.bad) - len(answer.again))
        bad = [(rows[number], answer.refusal) for number in answer.bad]
        return bad + await self._sift(session, batch, [rows[number] for number in answer.again])

    async def _sift(self, session: aiohttp.ClientSession, batch: _Batch, rows: Sequence[Row]) -> _Refused:
        """Hand over what can be; gives what the sink refused."""
        if not rows:
            return []
        self._go_on()
        answer = await self._post(session, batch, rows)
        if answer is None:
            return []
        if isinstance(answer, Partial):
            return await self._part(session, batch, rows, answer)
        if len(rows) == 1:
            return [(rows[0], answer)]
        middle = len(rows) // 2
        left = await self._sift(session, batch, rows[:middle])
        return left + await self._sift(session, batch, rows[middle:])

    async def _bury(self, batch: _Batch, found: _Refused, settled: int) -> None:
        """Refused rows become dead letters, and the first `settled` rows of the batch are settled, in one transaction."""
        who = "webhook" if self.sink.webhook else "sink"
        letters = [
            Letter(
                row.seq, row.asset, row.timestamp, row.point, row.device,
                f"{who}_refused_{refusal.status}", f"HTTP {refusal.status}: {refusal.text}", batch.shape.letter(row),
            )
            for row, refusal in found
        ]  # fmt: skip
        await self._outbox.bury(self.sink.name, letters, at=self._clock(), settled=settled)
        if letters:
            self._counts.add(f"{self._metric}_buried", self._labels, len(letters))
            text = "%s %s refused %d row(s) for good, the first of %s: %s"
            log.warning(text, who, self.sink.name, len(letters), letters[0].asset, letters[0].detail)

    async def _post(
        self, session: aiohttp.ClientSession, batch: _Batch, rows: Sequence[Row]
    ) -> Refusal | Partial | None:
        """Post rows under their key until the sink takes them (None) or refuses some or all."""
        plain = batch.shape.body(rows)
        key = _key(self.sink.name, batch.format, rows, plain)
        payload, headers = await self._sender.packed(plain, key, batch.shape.content_type)
        attempt = 0
        while True:
            self._counts.add(f"{self._metric}_attempts", self._labels)
            answer = await self._sender.attempt(session, payload, headers, rows)
            if not isinstance(answer, Failure):
                self._recovered()
                if answer is None:
                    self._counts.add(self._taken, self._labels, len(rows))
                return answer
            self._failed(answer.cause)
            await self._pause(max(backoff(attempt, self._random), answer.wait))
            attempt += 1

    def _failed(self, cause: str) -> None:
        word = cause.partition(":")[0].replace("HTTP ", "status_")
        self._counts.add(f"{self._metric}_failures", (*self._labels, ("cause", word)))
        if not self.failing:
            self.failing_since = self._clock()
            log.warning("sink %s at %s fails: %s; trying again", self.sink.name, _host(self.sink.url), cause)
        self.failing = cause

    def _recovered(self) -> None:
        if self.failing:
            log.info("sink %s answers again", self.sink.name)
        self.failing, self.failing_since = "", None
        self.taken_at = self._clock()

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


def _host(url: str) -> str:
    """Where requests go, without what a query may hold."""
    return urlsplit(url).netloc


def _sum(rows: Sequence[Row]) -> str:
    """The same for the same rows, whatever they look like."""
    names = "\n".join(f"{row.seq} {row.asset} {row.timestamp} {row.point}" for row in rows)
    return f"{zlib.crc32(names.encode()):08x}"


def _key(sink: str, batch_format: str, rows: Sequence[Row], plain: bytes) -> str:
    """The same for the same rows, and no other's even after the data directory was made anew."""
    if batch_format == "events":
        return rows[0].point
    head = f"{sink}/{batch_format}/{rows[0].seq}-{rows[-1].seq}/{len(rows)}/".encode()
    return hashlib.sha256(head + plain).hexdigest()[:40]
