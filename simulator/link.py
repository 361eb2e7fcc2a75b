"""A device's MQTT 3.1.1 connection: an asyncio.Protocol over the sans-io codec of `bridge.mqtt`.

QoS 1 both ways. A message is kept until its PUBACK; after a reconnect it is sent again, with DUP when the broker kept the
session [MQTT-4.4.0-1]. The link has no task and no timer of its own: the fleet opens it and calls `tick` about once a second,
which keeps it alive, and ends connections that hang.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from itertools import count
from time import monotonic
from typing import Final, NamedTuple, Protocol, cast

from bridge.mqtt import framing, packets, reasons
from bridge.mqtt.errors import Malformed
from bridge.mqtt.topics import TopicNames

WINDOW: Final = 16
"""QoS 1 messages on their way at once: a burst of one device's greetings fits."""
QUEUE_LIMIT: Final = 10_000
"""Messages that wait behind the window or for a connection; beyond, the oldest is dropped and counted."""
REPORT_LIMIT: Final = 64
"""Reports among them: newer ones say more than older ones. An answer to a command does not give way to them."""
_REPORT: Final = "/report/regular/post"
ANSWER_S: Final = 20.0
"""Time a broker has for CONNACK, SUBACK or PINGRESP."""
WORDS: Final = {
    1: "speaks no MQTT 3.1.1",
    2: "client id not valid",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorised",
}
"""What the codes of a CONNACK mean."""
PACKET_LIMIT: Final = 1 << 20
"""The largest packet taken from a broker: commands are a few kilobytes."""
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_LAST_S: Final = 30.0

CLOSED, OPENING, ASKING, READY = range(4)
"""States of a link: no connection, socket opening, CONNECT or SUBSCRIBE unanswered, subscribed."""


class Peer(Protocol):
    """Whom a link tells what happens."""

    def online(self) -> None:
        """The broker has taken the subscriptions."""

    def offline_because(self, reason: str) -> None:
        """The connection is gone; reconnecting is the peer's business."""

    def message(self, topic: str, payload: bytes) -> None:
        """A message came; its PUBACK goes out when this returns."""

    def acked(self, seconds: float) -> None:
        """A PUBACK came, so long after the message was first sent."""


class _Sent(NamedTuple):
    topic: str
    payload: bytes
    at: float


class Link(asyncio.Protocol):
    """One connection. `sent`, `resent`, `dropped` count messages; `refused` is the last refusing CONNACK code or 0."""

    __slots__ = (
        "_filters",
        "_framing",
        "_frozen",
        "_hello",
        "_inflight",
        "_last_sent",
        "_loop",
        "_names",
        "_next_id",
        "_paused",
        "_peer",
        "_queue",
        "_queue_limit",
        "_transport",
        "_waiting_since",
        "dropped",
        "reason",
        "refused",
        "resent",
        "sent",
        "state",
    )

    def __init__(
        self,
        peer: Peer,
        hello: packets.Connect,
        filters: Sequence[str],
        names: TopicNames | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._peer = peer
        self._hello = hello
        self._filters = tuple(filters)
        self._names = names
        self._queue_limit = queue_limit
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._framing: framing.Framing | None = None
        self._inflight: dict[int, _Sent] = {}
        self._queue: list[tuple[str, bytes]] = []
        self._next_id = 0
        self._paused = self._frozen = False
        self._last_sent = 0.0
        self._waiting_since = 0.0
        self.state = CLOSED
        self.reason = ""
        self.refused = 0
        self.sent = self.resent = self.dropped = 0

    @property
    def pending(self) -> int:
        """Messages without a PUBACK, sent or not."""
        return len(self._inflight) + len(self._queue)

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> bool:
        """Connect the socket and send CONNECT; False when nobody listens. What follows is told to the peer."""
        self.state = OPENING
        self.reason = ""
        self.refused = 0
        self._waiting_since = self._loop.time()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._loop.create_connection(lambda: self, host, port, ssl=tls)
        except (OSError, TimeoutError) as error:
            if self.state == OPENING:
                self.state = CLOSED
            self.reason = error.strerror if isinstance(error, OSError) and error.strerror else "timed out"
            return False
        return True

    def publish(self, posts: Sequence[tuple[str, bytes]]) -> None:
        """Send at QoS 1, now or when the window and the connection allow."""
        self._queue += posts
        self._pump()
        waiting = len(self._queue)
        if waiting > REPORT_LIMIT and any(topic.endswith(_REPORT) for topic, _ in posts):
            self._thin()
        del self._queue[: max(0, len(self._queue) - self._queue_limit)]
        self.dropped += waiting - len(self._queue)

    def _thin(self) -> None:
        """Let go of the oldest reports that are too many."""
        surplus = sum(topic.endswith(_REPORT) for topic, _ in self._queue) - REPORT_LIMIT
        order = count()
        self._queue = [post for post in self._queue if not post[0].endswith(_REPORT) or next(order) >= surplus]

    def close(self) -> None:
        """Leave in good order. The peer is told when the socket is closed."""
        if self._transport is not None and not self._transport.is_closing():
            if self.state >= ASKING:
                self._write(packets.DISCONNECT_BYTES)
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Cut the connection without a word."""
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        """Drop what is unacknowledged, as who loses power does."""
        self.dropped += self.pending
        self._inflight.clear()
        self._queue.clear()

    def freeze(self, frozen: bool) -> None:
        """Neither read nor write, without hanging up: what is left of a connection whose other end is gone."""
        if frozen == self._frozen:
            return
        self._frozen = frozen
        if self._transport is not None and not self._transport.is_closing():
            if frozen:
                self._transport.pause_reading()
            else:
                self._waiting_since = 0.0
                self._transport.resume_reading()
        if not frozen:
            self._pump()

    def tick(self) -> None:
        """Keep alive; cut a connection whose broker owes an answer for too long."""
        now = self._loop.time()
        if self.state in (CLOSED, OPENING) or self._frozen:
            return
        if self._waiting_since and now - self._waiting_since > ANSWER_S:
            self.abort("the broker does not answer")
        elif self.state == READY and self._hello.keep_alive and now - self._last_sent > self._hello.keep_alive * 0.75:
            self._write(packets.PINGREQ_BYTES)
            self._waiting_since = self._waiting_since or now

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: CONNECT."""
        self._transport = cast("asyncio.Transport", transport)
        self._framing = framing.Framing(PACKET_LIMIT, self._names)
        self._paused = self._frozen = False
        self.state = ASKING
        self._waiting_since = self._loop.time()
        self._write(packets.encode_connect(self._hello))

    def data_received(self, data: bytes) -> None:
        """Deal with every whole packet of the chunk; one write for all PUBACKs."""
        reader = self._framing
        if reader is None:
            return
        acks: list[bytes] = []
        for first, topic, packet_id, body in reader.feed(data):
            kind = first & 0xF0
            if kind == framing.PUBLISH:
                self._peer.message(topic, body)
                if first & 0x06 == 0x02:
                    acks.append(packets.encode_puback(packet_id))
                elif first & 0x06:
                    self.abort("the broker sent QoS 2 to a QoS 1 subscription")
            elif kind == framing.PUBACK:
                self._settled(packet_id)
            elif kind == framing.CONNACK:
                self._greeted(body)
            elif kind == framing.SUBACK:
                self._subscribed(body)
            elif kind == framing.PINGRESP:
                self._waiting_since = 0.0
            else:
                self.abort(f"the broker sent packet 0x{first:02x}")
        if acks:
            self._write(b"".join(acks))
        if reader.error is not None:
            self.abort(reader.error.detail)
        elif self._queue:
            self._pump()

    def pause_writing(self) -> None:
        """The socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._paused = False
        self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection, keep what is unacknowledged."""
        self.state = CLOSED
        self._transport = None
        self._framing = None
        self._waiting_since = 0.0
        self._peer.offline_because(self.reason or (str(error) if error else "closed by the broker"))

    # Pieces

    def _greeted(self, body: bytes) -> None:
        try:
            present, code = packets.decode_connack(body)
        except Malformed as wrong:
            self.abort(wrong.detail)
            return
        self.refused = code
        if code != reasons.SUCCESS:
            self.abort(f"CONNACK {code}: {WORDS[code]}" if code in WORDS else f"CONNACK {code}")
            return
        wanted = [(topic_filter, 1) for topic_filter in self._filters]
        out = [packets.encode_subscribe(self._fresh_id(), wanted)] if wanted else []
        for packet_id, kept in self._inflight.items():
            out.append(packets.encode_publish(kept.topic, kept.payload, 1, dup=present, packet_id=packet_id))
        self.resent += len(self._inflight)
        self._write(b"".join(out))
        if not wanted:
            self._subscribed(b"")

    def _subscribed(self, codes: bytes) -> None:
        if packets.FAILURE in codes:
            self.abort("the broker refused a subscription")
            return
        self._waiting_since = 0.0
        self.state = READY
        self._peer.online()
        self._pump()

    def _settled(self, packet_id: int) -> None:
        kept = self._inflight.pop(packet_id, None)
        if kept is not None:
            self._peer.acked(monotonic() - kept.at)

    def _pump(self) -> None:
        """Move messages from the queue into the window, in one write."""
        if self.state != READY or self._paused or self._frozen:
            return
        room = min(WINDOW - len(self._inflight), len(self._queue))
        if room <= 0:
            return
        now = monotonic()  # the loop's own time stands still while it works
        out = []
        for topic, payload in self._queue[:room]:
            packet_id = self._fresh_id()
            self._inflight[packet_id] = _Sent(topic, payload, now)
            out.append(packets.encode_publish(topic, payload, 1, packet_id=packet_id))
        del self._queue[:room]
        self.sent += room
        self._write(b"".join(out))

    def _fresh_id(self) -> int:
        """A packet id that is not in flight [MQTT-2.3.1-2]."""
        while True:
            self._next_id = self._next_id % 65_535 + 1
            if self._next_id not in self._inflight:
                return self._next_id

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._last_sent = self._loop.time()
            self._transport.write(data)


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds to wait before attempt 1, 2, …: doubling, capped, jittered by `chance` in [0, 1) so that a fleet spreads."""
    ceiling = min(BACKOFF_LAST_S, BACKOFF_FIRST_S * float(1 << min(attempt - 1, 10)))
    return ceiling * (0.5 + 0.5 * chance)
