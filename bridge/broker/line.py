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
from typing import Final, NamedTuple

from bridge.core.record import Done
from bridge.mqtt import framing, packets, packets5, properties
from bridge.mqtt.errors import Malformed
from bridge.mqtt.fields import packet, string
from bridge.mqtt.flow import Message, Outbound
from bridge.mqtt.framing import Frame
from bridge.mqtt.packets import Connect
from bridge.mqtt.properties import Properties
from bridge.mqtt.topics import TopicNames
from bridge.outgoing import KEEP_ALIVE_S, Outgoing, refused

log = logging.getLogger(__name__)

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


class Line(Outgoing):
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
        super().__init__(names, remote.max_packet_bytes)
        self.remote = remote
        self._filters = filters
        self._left = left
        self._arrived = arrived
        self._turned = turned
        self._out = Outbound(1, remote.queue_messages, remote.queue_bytes)
        self._epoch = 0
        self._paused = False

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
        self._pump()
        return True

    def pause(self, on: bool) -> None:
        """Read nothing meanwhile: the writer is behind."""
        self._paused = on
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if on else self._transport.resume_reading)()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open; nothing is read from it while the writer is behind."""
        super().connection_made(transport)
        if self._paused:
            self.pause(True)

    def close(self) -> None:
        """Say goodbye; the session stays."""
        if self._transport is not None:
            self._transport.write(packets.DISCONNECT_BYTES)
            self._transport.close()

    # Packets.

    async def _connect(self) -> None:
        remote = self.remote
        self._epoch += 1
        found: Properties = {
            properties.SESSION_EXPIRY: SESSION_S,
            properties.RECEIVE_MAXIMUM: remote.receive_maximum,
            properties.MAXIMUM_PACKET_SIZE: remote.max_packet_bytes,
        }
        hello = Connect(
            remote.client_id, False, KEEP_ALIVE_S, remote.username, remote.password, None, packets.V5, found
        )
        await self._dial(remote.host, remote.port, remote.tls, hello)

    def _take(self, frame: Frame) -> bool:
        first, topic, packet_id, body = frame
        if first & 0xF0 == framing.PUBLISH:
            self._receive(first, topic, packet_id, body)
        elif first == framing.PUBACK:
            self._out.acknowledge(packet_id)
            self._pump()
        elif first == framing.CONNACK:
            self._accepted(body)
        elif first == framing.SUBACK:
            self._subscribed(body)
        else:
            return False
        return True

    def _accepted(self, body: bytes) -> None:
        present, code, found = packets5.decode_connack(body)
        if code:
            self._lost(refused(code, found))
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
        failed = [name for name, code in zip(self._filters, codes, strict=False) if code != 1]
        if failed:
            self._lost(f"it refuses the subscription to {failed[0]}")
            return
        self._waiting_since = 0.0
        self.ready, self.trouble = True, ""
        log.info("%s:%d: connected as %s", self.remote.host, self.remote.port, self.remote.client_id)
        self._turned()
        self._pump()

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

    def _pump(self) -> None:
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

    def _fell(self, was_ready: bool) -> None:
        if was_ready:
            self._turned()


def _ignore(_ok: bool) -> None:
    """QoS 0 is not acknowledged."""
