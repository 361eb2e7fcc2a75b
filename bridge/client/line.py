"""One MQTT 5 connection of an account to its bridge, over the codec of bridge.mqtt. It reconnects, and sends again what has no
PUBACK.

The session outlives a connection by SESSION_S, so that what comes meanwhile is kept; `back` tells when it was resumed or
forgotten.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, NamedTuple

from bridge.errors import Denied, Exhausted, NotFound, Refused, Unprocessable, Unreachable
from bridge.mqtt import framing, packets, packets5, properties, reasons
from bridge.mqtt.errors import Malformed
from bridge.mqtt.framing import Frame
from bridge.mqtt.topics import TopicNames
from bridge.outgoing import KEEP_ALIVE_S, Outgoing, refused

log = logging.getLogger(__name__)

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_LAST_S: Final = 5.0
STEADY_S: Final = 5.0
"""A connection that held so long lets the backoff begin anew."""
SESSION_S: Final = 3_600
"""How long the bridge is asked to keep what waits for us."""
WINDOW: Final = 100
"""Publishes without a PUBACK on their way; the bridge may ask for fewer."""
QUEUE: Final = 10_000
"""Publishes that wait behind them; more are refused at once."""
PACKET_LIMIT: Final = 16 << 20
"""The largest packet taken: a bridge has its own, smaller one."""
FOREVER: Final = {
    reasons.UNSUPPORTED_VERSION, reasons.CLIENT_ID_NOT_VALID, reasons.BAD_CREDENTIALS, reasons.NOT_AUTHORISED,
    reasons.BAD_AUTHENTICATION_METHOD,
}  # fmt: skip
"""CONNACK codes that trying again does not change."""


class Remote(NamedTuple):
    """Where the bridge is, and how one comes in."""

    host: str
    port: int
    client_id: str
    username: str | None
    password: bytes | None
    tls: ssl.SSLContext | None
    patience_s: float


class _Sent(NamedTuple):
    topic: str
    payload: bytes
    acked: asyncio.Future[None]


class Line(Outgoing):
    """`heard(topic, payload)` gets every message; `back(resumed)` is called after each further connection, with False where the
    session had ended and messages are missing; `away(error)` when nobody answered for `patience_s`."""

    def __init__(
        self,
        remote: Remote,
        heard: Callable[[str, bytes], None],
        back: Callable[[bool], None],
        away: Callable[[Exception], None],
    ) -> None:
        super().__init__(TopicNames(), PACKET_LIMIT)
        self._remote = remote
        self._heard = heard
        self._back = back
        self._away = away
        self._filters: dict[str, None] = {}
        self._asked: dict[int, tuple[list[str], asyncio.Future[None]]] = {}
        self._sent: dict[int, _Sent] = {}
        self._queue: deque[_Sent] = deque()
        self._next_id = 0
        self._window = WINDOW
        self._largest = PACKET_LIMIT
        self._refused: Denied | None = None
        self._ended: Exception | None = None
        self._known = False
        """Whether the bridge knows our session."""
        self._up_at = monotonic()

    # What the client calls.

    async def run(self) -> None:
        """Stay connected until cancelled. Raises Denied when the bridge does not let us in."""
        delay = BACKOFF_FIRST_S
        self._up_at = monotonic()
        while True:
            began = monotonic()
            try:
                await self._connect()
                await self._watch()
            except (OSError, TimeoutError) as error:
                self._lost("")
                self.trouble = str(error) or "no answer in time"
            if self._up_at > began + STEADY_S:
                delay = BACKOFF_FIRST_S
            if monotonic() - self._up_at > self._remote.patience_s:
                self._give_up()
            log.info("%s:%d: %s; again in %.1f s", self._remote.host, self._remote.port, self.trouble, delay)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            delay = min(delay * 2, BACKOFF_LAST_S)

    def publish(self, topic: str, payload: bytes) -> asyncio.Future[None]:
        """Send at QoS 1, now or when there is a connection. The future ends with the PUBACK, or with the error that it tells,
        Unreachable, or Exhausted when too many wait. Cancelled before it was sent, it is not sent."""
        acked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._ended is not None:
            acked.set_exception(self._ended)
            return acked
        if len(self._queue) >= QUEUE:
            acked.set_exception(Exhausted("queue_full", f"{QUEUE} messages wait for the bridge"))
            return acked
        self._queue.append(_Sent(topic, payload, acked))
        self._pump()
        return acked

    async def subscribe(self, filters: Iterable[str]) -> None:
        """Subscribe at QoS 1, and again after each lost session. Raises Denied and Unreachable. Who asks for what is being
        subscribed to waits too; who is cancelled has subscribed nevertheless."""
        filters = set(filters)
        if self._ended is not None:
            raise self._ended
        wanted = [each for each in filters if each not in self._filters]
        if wanted:
            self._filters.update(dict.fromkeys(wanted))
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            packet_id = self._fresh_id()
            self._asked[packet_id] = (wanted, done)
            if self.ready:
                self._subscribe(packet_id)
        for pending in [done for names, done in self._asked.values() if not filters.isdisjoint(names)]:
            await asyncio.shield(pending)

    def unsubscribe(self, filters: Iterable[str]) -> None:
        """No longer. Nobody waits for the answer."""
        left = [each for each in filters if self._filters.pop(each, "") is None]
        if left and self.ready:
            self._write(packets5.encode_unsubscribe(self._fresh_id(), left))

    def close(self) -> None:
        """Say goodbye for good: the bridge forgets the session."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packets5.encode_disconnect(reasons.SUCCESS, {properties.SESSION_EXPIRY: 0}))
            self._transport.close()
        self.fail(self._ended or Unreachable("the client was closed"), for_good=True)

    # The connection.

    async def _connect(self) -> None:
        remote = self._remote
        found = {properties.SESSION_EXPIRY: SESSION_S, properties.MAXIMUM_PACKET_SIZE: PACKET_LIMIT}
        clean = not self._known
        hello = packets.Connect(
            remote.client_id, clean, KEEP_ALIVE_S, remote.username, remote.password, None, packets.V5, found
        )
        await self._dial(remote.host, remote.port, remote.tls, hello)

    async def _watch(self) -> None:
        """Keep the connection alive until it is gone; end one that hangs. Raises Denied."""
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(1.0):
                    await self._gone.wait()
            except TimeoutError:
                self.tick()
        if self._refused is not None:
            raise self._refused

    def tick(self) -> None:
        """Also, since when the bridge is away."""
        if self.ready:
            self._up_at = monotonic()
        super().tick()

    def _take(self, frame: Frame) -> bool:
        first, topic, packet_id, body = frame
        if first & 0xF0 == framing.PUBLISH:
            self._receive(first, topic, packet_id, body)
        elif first == framing.PUBACK:
            self._acked(packet_id, body)
        elif first == framing.CONNACK:
            self._greeted(body)
        elif first == framing.SUBACK:
            self._subscribed(packet_id, body)
        else:
            return False
        return True

    def _greeted(self, body: bytes) -> None:
        present, code, found = packets5.decode_connack(body)
        why = refused(code, found)
        if code:
            if code in FOREVER:
                self._refused = Denied(reasons.WORDS.get(code, "refused"), f"the bridge refuses the login: {why}")
            self._lost(why)
            return
        self._window = min(found.get(properties.RECEIVE_MAXIMUM, 65_535), WINDOW)
        self._largest = found.get(properties.MAXIMUM_PACKET_SIZE, PACKET_LIMIT)
        self._keep_alive_s = float(found.get(properties.SERVER_KEEP_ALIVE, KEEP_ALIVE_S))
        self._waiting_since = 0.0
        self.ready, self.trouble, self._up_at = True, "", monotonic()
        again = list(self._sent.values())
        if present:
            for packet_id, sent in self._sent.items():
                self._write(packets5.encode_publish(sent.topic, sent.payload, 1, dup=True, packet_id=packet_id))
        else:
            self._sent.clear()
            self._queue.extendleft(reversed(again))
            self._subscribe_all()
        for packet_id in self._asked:
            self._subscribe(packet_id)
        known, self._known = self._known, True
        if known:
            self._back(present)
        self._pump()

    def _subscribe_all(self) -> None:
        new = {each for filters, _ in self._asked.values() for each in filters}
        kept = [each for each in self._filters if each not in new]
        if kept:
            self._write(packets5.encode_subscribe(self._fresh_id(), [(each, 1) for each in kept]))

    def _subscribe(self, packet_id: int) -> None:
        filters, _ = self._asked[packet_id]
        self._write(packets5.encode_subscribe(packet_id, [(each, 1) for each in filters]))
        self._due(monotonic())

    def _subscribed(self, packet_id: int, body: bytes) -> None:
        self._waiting_since = 0.0
        codes, _ = packets5.decode_codes(body)
        if packet_id not in self._asked:
            return
        filters, done = self._asked.pop(packet_id)
        failed = [name for name, code in zip(filters, codes, strict=False) if code >= reasons.FAILED]
        for name in failed:
            self._filters.pop(name, None)
        if failed:
            done.set_exception(Denied("not_authorised", f"the bridge refuses the subscription to {failed[0]}"))
        else:
            done.set_result(None)

    def _receive(self, first: int, topic: str, packet_id: int, body: bytes) -> None:
        if not topic:
            raise Malformed("a topic alias that was not allowed")
        _, payload = packets5.decode_publish(body)
        if first >> 1 & 3 == 2:
            raise Malformed("QoS 2 for a subscription of QoS 1")
        self._heard(topic, payload)
        if first & 6:
            self._write(packets5.encode_ack(framing.PUBACK, packet_id))

    def _acked(self, packet_id: int, body: bytes) -> None:
        code, found = packets5.decode_ack(body)
        sent = self._sent.pop(packet_id, None)
        if sent is not None and not sent.acked.done():
            if code < reasons.FAILED:
                sent.acked.set_result(None)
            else:
                sent.acked.set_exception(_refusal(code, found.get(properties.REASON_STRING, ""), sent.topic))
        self._pump()

    def _pump(self) -> None:
        while self.ready and not self._blocked and self._queue and len(self._sent) < self._window:
            sent = self._queue.popleft()
            if sent.acked.cancelled():
                continue
            packet_id = self._fresh_id()
            packet = packets5.encode_publish(sent.topic, sent.payload, 1, packet_id=packet_id)
            if len(packet) > self._largest:
                what = f"{len(packet)} bytes; the bridge takes {self._largest}"
                sent.acked.set_exception(Unprocessable("too_large", what))
                continue
            self._sent[packet_id] = sent
            self._write(packet)

    def _fresh_id(self) -> int:
        """A packet id that is not in use [MQTT-2.2.1-3]."""
        while True:
            self._next_id = self._next_id % 65_535 + 1
            if self._next_id not in self._sent and self._next_id not in self._asked:
                return self._next_id

    def _fell(self, was_ready: bool) -> None:
        if was_ready:
            self._up_at = monotonic()

    def _give_up(self) -> None:
        error = Unreachable(f"no connection for {self._remote.patience_s:g} s: {self.trouble}")
        self.fail(error)
        self._away(error)

    def fail(self, error: Exception, *, for_good: bool = False) -> None:
        """What is not acknowledged is not sent again; what was sent may have been taken. `for_good`: nothing ever will be."""
        self._ended = error if for_good else None
        waiting = [sent.acked for sent in (*self._sent.values(), *self._queue)]
        for names, done in self._asked.values():
            waiting.append(done)
            self._filters = {each: None for each in self._filters if each not in names}
        self._asked.clear()
        self._sent.clear()
        self._queue.clear()
        for each in waiting:
            if not each.done():
                each.set_exception(error)


def _refusal(code: int, why: str, topic: str) -> Refused:
    """What a PUBACK says. The error topic says it in more words, unless another broker stands in between."""
    text = why or f"the bridge refuses {topic}: reason 0x{code:02x}"
    if code == reasons.NOT_AUTHORISED:
        return Denied("not_authorised", text)
    if code == reasons.TOPIC_NOT_VALID:
        return NotFound("unknown_device", text)
    if code == reasons.QUOTA_EXCEEDED:
        return Exhausted("quota_exceeded", text)
    if code == reasons.PAYLOAD_NOT_VALID:
        return Unprocessable("invalid", text)
    return Refused(reasons.WORDS.get(code, f"reason_{code:02x}"), text)
