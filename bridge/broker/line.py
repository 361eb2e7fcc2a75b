"""One MQTT 5 client of another broker: a persistent session, manual acknowledgements, reconnects with backoff.

What it receives is acknowledged when `done(True)` is called, after COMMIT; a failed commit ends the connection, so that the
broker sends again. What it publishes at QoS 1 is kept until the broker has it, across reconnects, bounded; a process that ends
forgets it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final, NamedTuple, cast

from bridge.core.record import Done
from bridge.mqtt import framing, packets, packets5, properties
from bridge.mqtt.errors import Malformed
from bridge.mqtt.fields import packet, string
from bridge.mqtt.flow import Message, Outbound
from bridge.mqtt.framing import Frame, Framing
from bridge.mqtt.packets import Connect
from bridge.mqtt.properties import Properties
from bridge.mqtt.topics import TopicNames

log = logging.getLogger(__name__)

ANSWER_S: Final = 20.0
"""Time that the broker has for CONNACK, SUBACK or PINGRESP."""
KEEP_ALIVE_S: Final = 30
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_LAST_S: Final = 30.0
STEADY_S: Final = 10.0
"""A connection that held so long lets the backoff begin anew."""
SESSION_S: Final = 7 * 86_400
"""How long the broker is asked to keep what waits for us."""
TICK_S: Final = 1.0


class Remote(NamedTuple):
    """Where the other broker is, and how one comes in."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: bytes | None = None
    tls: ssl.SSLContext | None = None
    receive_maximum: int = 1_000
    queue_messages: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    max_packet_bytes: int = 256 * 1024


class Arrival(NamedTuple):
    """A PUBLISH that came; `done` acknowledges it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    found: Properties
    done: Done


class Line(asyncio.Protocol):
    """`filters` are subscribed to, `left` are given up if the session has them. `arrived` gets every message, `turned` is called
    when the subscriptions stand and when they are gone; `ready` says which."""

    def __init__(
        self,
        remote: Remote,
        filters: Sequence[str],
        left: Sequence[str],
        names: TopicNames,
        arrived: Callable[[Arrival], None],
        turned: Callable[[], None],
    ) -> None:
        self.remote = remote
        self.ready = False
        self.trouble = "not connected yet"
        """Why it is not ready."""
        self._filters = filters
        self._left = left
        self._names = names
        self._arrived = arrived
        self._turned = turned
        self._out = Outbound(1, remote.queue_messages, remote.queue_bytes)
        self._transport: asyncio.Transport | None = None
        self._framing = Framing(remote.max_packet_bytes, names, 5)
        self._gone = asyncio.Event()
        self._epoch = 0
        self._blocked = self._paused = False
        self._waiting_since = self._last_sent = 0.0
        """When an answer began to be due (0: none is), and when a packet went out last."""

    async def run(self) -> None:
        """Stay connected until cancelled."""
        delay = BACKOFF_FIRST_S
        while True:
            began = monotonic()
            try:
                await self._connect()
                await self._gone.wait()
            except (OSError, TimeoutError) as error:
                self.trouble = str(error) or "no answer in time"
            if monotonic() - began > STEADY_S:
                delay = BACKOFF_FIRST_S
            log.warning("%s:%d: %s; again in %.1f s", self.remote.host, self.remote.port, self.trouble, delay)
            await asyncio.sleep(delay * random.uniform(0.75, 1.25))  # noqa: S311 - no secret
            delay = min(delay * 2, BACKOFF_LAST_S)

    def publish(self, topic: str, payload: bytes, found: Properties, *, retain: bool = False) -> bool:
        """Send at QoS 1, now or when there is a connection; False when the queue is full."""
        seconds = found.get(properties.MESSAGE_EXPIRY)
        expires = monotonic() + seconds if seconds is not None else 0
        message = Message(topic, payload, 0, properties.encode(found), int(expires * 1000))
        delivery = self._out.reserve(message, 1, retain=retain)
        if delivery is None:
            return False
        self._out.ready(delivery)
        self._feed()
        return True

    def pause(self, on: bool) -> None:
        """Read nothing meanwhile: the writer is behind."""
        self._paused = on
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if on else self._transport.resume_reading)()

    def tick(self) -> None:
        """About once a second: keep alive, and end what hangs."""
        now = monotonic()
        if self._waiting_since and now - self._waiting_since > ANSWER_S:
            self._lost("no answer in time")
        elif self.ready and now - self._last_sent > KEEP_ALIVE_S * 0.75:
            self._write(packets.PINGREQ_BYTES)
            self._waiting_since = self._waiting_since or now

    def close(self) -> None:
        """Say goodbye; the session stays."""
        if self._transport is not None:
            self._transport.write(packets.DISCONNECT_BYTES)
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._lost(str(exc) if exc else "the broker closed the connection")

    def pause_writing(self) -> None:
        """The broker does not keep up."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._blocked = False
        self._feed()

    def data_received(self, data: bytes) -> None:
        """Every whole packet of the chunk."""
        try:
            for frame in self._framing.feed(data):
                if self._transport is not None:
                    self._take(frame)
            if self._framing.error is not None:
                raise self._framing.error
        except Malformed as error:
            self._lost(f"it sends no MQTT: {error}")

    # Packets.

    async def _connect(self) -> None:
        remote = self.remote
        self._gone.clear()
        self._framing = Framing(remote.max_packet_bytes, self._names, 5)
        self._epoch += 1
        async with asyncio.timeout(ANSWER_S):
            await asyncio.get_running_loop().create_connection(
                lambda: self, remote.host, remote.port, ssl=remote.tls,
                server_hostname=remote.host if remote.tls is not None else None,
            )  # fmt: skip
        found: Properties = {
            properties.SESSION_EXPIRY: SESSION_S,
            properties.RECEIVE_MAXIMUM: remote.receive_maximum,
            properties.MAXIMUM_PACKET_SIZE: remote.max_packet_bytes,
        }
        connect = Connect(
            remote.client_id, False, KEEP_ALIVE_S, remote.username, remote.password, None, packets.V5, found
        )
        self._waiting_since = monotonic()
        self._write(packets.encode_connect(connect))

    def _take(self, frame: Frame) -> None:
        first, topic, packet_id, body = frame
        if first & 0xF0 == framing.PUBLISH:
            self._receive(first, topic, packet_id, body)
        elif first == framing.PUBACK:
            self._out.acknowledge(packet_id)
            self._feed()
        elif first == framing.CONNACK:
            self._accepted(body)
        elif first == framing.SUBACK:
            self._subscribed(body)
        elif first == framing.UNSUBACK:
            pass  # one way or the other
        elif first == framing.PINGRESP:
            self._waiting_since = 0.0
        elif first == framing.DISCONNECT:
            code, found = packets5.decode_disconnect(body)
            self._lost(f"DISCONNECT 0x{code:02x} {found.get(properties.REASON_STRING, '')}".rstrip())
        else:
            raise Malformed(f"a server may not send 0x{first:02x} here")

    def _accepted(self, body: bytes) -> None:
        present, code, found = packets5.decode_connack(body)
        if code:
            self._lost(f"CONNACK 0x{code:02x} {found.get(properties.REASON_STRING, '')}".rstrip())
            return
        self._out.window = min(found.get(properties.RECEIVE_MAXIMUM, 65_535), 1_000)
        self._out.resume()
        if not present:
            for delivery in self._out.waiting:
                delivery.dup = False
        self._write(packets5.encode_subscribe(1, [(topic_filter, 1) for topic_filter in self._filters]))
        if present:
            self._write(packets5.encode_unsubscribe(2, self._left))

    def _subscribed(self, body: bytes) -> None:
        codes, _ = packets5.decode_codes(body)
        refused = [name for name, code in zip(self._filters, codes, strict=False) if code != 1]
        if refused:
            self._lost(f"it refuses the subscription to {refused[0]}")
            return
        self._waiting_since = 0.0
        self.ready, self.trouble = True, ""
        log.info("%s:%d: connected as %s", self.remote.host, self.remote.port, self.remote.client_id)
        self._turned()
        self._feed()

    def _receive(self, first: int, topic: str, packet_id: int, body: bytes) -> None:
        if not topic:
            raise Malformed("a topic alias that was not allowed")
        found, payload = packets5.decode_publish(body)
        qos = first >> 1 & 3
        done = partial(self._stored, self._epoch, packet_id) if qos else _ignore
        self._arrived(Arrival(topic, payload, qos, bool(first & 1), found, done))

    def _stored(self, epoch: int, packet_id: int, ok: bool) -> None:
        if epoch != self._epoch or self._transport is None:
            return  # it comes again
        if ok:
            self._write(packets5.encode_ack(framing.PUBACK, packet_id))
        else:
            self._lost("a commit failed")

    def _feed(self) -> None:
        """Publish what waits, as far as the broker takes it."""
        while self.ready and not self._blocked:
            delivery = self._out.take()
            if delivery is None:
                return
            message = delivery.message
            if message.expires and message.expires < monotonic() * 1000:
                self._out.discard(delivery)
                continue
            head = 0x32 | delivery.dup << 3 | delivery.retain
            body = string(message.topic) + delivery.packet_id.to_bytes(2, "big") + message.properties + message.payload
            self._write(packet(head, body))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._last_sent = monotonic()
            self._transport.write(data)

    def _lost(self, why: str) -> None:
        if self._transport is None:
            return
        transport, self._transport = self._transport, None
        transport.abort()
        was, self.ready = self.ready, False
        self.trouble = why
        self._blocked = False
        self._waiting_since = 0.0
        self._gone.set()
        if was:
            self._turned()


def _ignore(_ok: bool) -> None:
    """QoS 0 is not acknowledged."""
