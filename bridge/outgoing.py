"""A connection that we open to an MQTT 5 broker: its socket, its frames, its keep-alive. What is said on it, a subclass knows."""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic
from typing import Final, cast

from bridge.mqtt import framing, packets, packets5, properties
from bridge.mqtt.errors import Malformed
from bridge.mqtt.framing import Frame, Framing
from bridge.mqtt.topics import TopicNames

ANSWER_S: Final = 20.0
"""Time that the broker has for CONNACK, SUBACK or PINGRESP."""
KEEP_ALIVE_S: Final = 30


class Outgoing(asyncio.Protocol):
    """`ready`: whether what is queued may go; `trouble`: why not. A subclass has `_take` for frames, `_pump` for what waits,
    `_fell` for the end of a connection."""

    def __init__(self, names: TopicNames, packet_limit: int) -> None:
        self.ready = False
        self.trouble = "not connected yet"
        self._names = names
        self._packet_limit = packet_limit
        self._framing = Framing(packet_limit, names, 5)
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()
        self._blocked = False
        """Whether the socket is full."""
        self._keep_alive_s = float(KEEP_ALIVE_S)
        self._waiting_since = self._last_sent = 0.0
        """When an answer began to be due (0: none is), and when a packet went out last."""

    def tick(self) -> None:
        """About once a second: keep alive, and end what hangs."""
        now = monotonic()
        if self._waiting_since and now - self._waiting_since > ANSWER_S:
            self._lost("no answer in time")
        elif self.ready and now - self._last_sent > self._keep_alive_s * 0.75:
            self._write(packets.PINGREQ_BYTES)
            self._due(now)

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
        self._pump()

    def data_received(self, data: bytes) -> None:
        """Every whole packet of the chunk."""
        try:
            for frame in self._framing.feed(data):
                if self._transport is None:
                    return
                self._take_any(frame)
            if self._framing.error is not None:
                raise self._framing.error
        except Malformed as error:
            self._lost(f"it sends no MQTT: {error}")

    # What a subclass calls, and has.

    async def _dial(self, host: str, port: int, tls: ssl.SSLContext | None, hello: packets.Connect) -> None:
        """Connect and send the CONNECT. Raises OSError, TimeoutError."""
        self._gone.clear()
        self._framing = Framing(self._packet_limit, self._names, 5)
        async with asyncio.timeout(ANSWER_S):
            await asyncio.get_running_loop().create_connection(
                lambda: self, host, port, ssl=tls, server_hostname=host if tls is not None else None
            )
        self._waiting_since = monotonic()
        self._write(packets.encode_connect(hello))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._last_sent = monotonic()
            self._transport.write(data)

    def _due(self, now: float) -> None:
        """An answer is due, unless another one is already."""
        self._waiting_since = self._waiting_since or now

    def _lost(self, why: str) -> None:
        """End the connection, once."""
        if self._transport is None:
            return
        transport, self._transport = self._transport, None
        transport.abort()
        was, self.ready = self.ready, False
        self.trouble = why
        self._blocked = False
        self._waiting_since = 0.0
        self._gone.set()
        self._fell(was)

    def _take_any(self, frame: Frame) -> None:
        first, _, _, body = frame
        if first == framing.PINGRESP:
            self._waiting_since = 0.0
        elif first == framing.DISCONNECT:
            code, found = packets5.decode_disconnect(body)
            self._lost(f"DISCONNECT 0x{code:02x} {found.get(properties.REASON_STRING, '')}".rstrip())
        elif not self._take(frame) and first != framing.UNSUBACK:  # that one is nobody's business
            raise Malformed(f"a server may not send 0x{first:02x} here")

    def _take(self, frame: Frame) -> bool:
        """One packet; False when it is none that is known here. Raises Malformed."""
        raise NotImplementedError

    def _pump(self) -> None:
        """Send what waits, as far as the broker takes it."""
        raise NotImplementedError

    def _fell(self, was_ready: bool) -> None:
        """The connection is gone."""


def refused(code: int, found: properties.Properties) -> str:
    """What a CONNACK says that lets nobody in."""
    return f"CONNACK 0x{code:02x} {found.get(properties.REASON_STRING, '')}".rstrip()
