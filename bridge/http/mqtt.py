"""MQTT over WebSocket (MQTT 3.1.1 and 5, section 6): a stream of binary frames, carried to the broker as if it were a socket.

It needs no API key: MQTT logs in by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, WSMsgType, web

from bridge.core.peer import Peer, is_local
from bridge.http.door import peer_of, upgraded
from bridge.http.errors import STARTED, begin, problem

log = logging.getLogger(__name__)

PATH: Final = "/mqtt"
PROTOCOLS: Final = ("mqtt", "mqttv3.1")
"""Subprotocols; a client must offer one [MQTT-6.0.0-3]. The second is what clients of 3.1 called 3.1.1 too."""
HANDSHAKE: Final = ("Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
"""What aiohttp reads of an upgrade and takes for ASCII."""
FRAME: Final = 64 * 1024
"""Bytes of one frame that we send at most: a browser hands a frame on only when it is whole."""
OVERHEAD: Final = 64 * 1024
"""A client's frame may hold its largest packet and as much of others."""
CLOSE_S: Final = 5.0
"""How long a client has to answer our closing."""


@dataclass(slots=True, frozen=True)
class Mqtt:
    """The broker as the window sees it. `protocol(peer)` speaks MQTT; `knock(host)` says why nobody may come in from there;
    `refused(cause, peer, why)` is told of who has not come in."""

    protocol: Callable[[Peer], asyncio.Protocol]
    knock: Callable[[str], str]
    refused: Callable[[str, Peer, str], None]
    max_packet_bytes: int
    same_origin: bool = False
    """Whether pages of other sites are kept out: where nobody has to log in."""


MQTT = web.AppKey("mqtt", Mqtt)


def add_route(app: web.Application, mqtt: Mqtt, *paths: str) -> None:
    """Serve `mqtt` at PATH and `paths`."""
    app[MQTT] = mqtt
    for path in (PATH, *paths):
        app.router.add_get(path, serve)


async def serve(request: web.Request) -> web.StreamResponse:
    """One WebSocket, from its upgrade to its end."""
    mqtt, peer = request.app[MQTT], peer_of(request)
    refusal = _refusal(request, mqtt, peer)
    if refusal is not None:
        return refusal
    response = web.WebSocketResponse(
        protocols=PROTOCOLS, compress=False, max_msg_size=mqtt.max_packet_bytes + OVERHEAD, timeout=CLOSE_S
    )
    try:
        await begin(request, response)
    except ConnectionError:  # it has gone before it had its answer
        return web.Response()
    with upgraded(request):
        if request.transport is not None:
            await _carry(response, request.transport, mqtt.protocol(peer), peer)
    request.pop(STARTED, None)  # they hold each other
    return response


def _refusal(request: web.Request, mqtt: Mqtt, peer: Peer) -> web.Response | None:
    if request.headers.get("Upgrade", "").lower() != "websocket":
        answer = problem(426, "upgrade_required", "MQTT over WebSocket: Upgrade: websocket")
        answer.headers["Upgrade"] = "websocket"
        return answer
    offered = {each.strip() for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")}
    if not offered & set(PROTOCOLS):
        mqtt.refused("websocket_subprotocol", peer, "")
        return problem(400, "wrong_subprotocol", "Sec-WebSocket-Protocol: mqtt is needed")
    if not all(request.headers.get(name, "").isascii() for name in HANDSHAKE):  # what else is wrong, aiohttp tells
        return problem(400, "bad_request", f"{', '.join(HANDSHAKE)}: ASCII would be right")
    origin = request.headers.get("Origin")
    if mqtt.same_origin and origin is not None and not _ours(origin, request.host):
        mqtt.refused("websocket_origin", peer, "")
        return problem(403, "wrong_origin", "without passwords, pages of other sites are kept out")
    cause = mqtt.knock(peer.host)
    if cause:
        mqtt.refused(cause, peer, "")
        return problem(429, "too_many_connections", f"refused for now: {cause}")
    return None


def _ours(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    return parts.netloc == host or name == "localhost" or is_local(name)


async def _carry(
    response: web.WebSocketResponse, stream: asyncio.Transport, protocol: asyncio.Protocol, peer: Peer
) -> None:
    """Frames to bytes and back, until one side ends it."""
    carrier = Carrier(response, stream, protocol, peer)
    protocol.connection_made(carrier)
    sending = asyncio.create_task(carrier.send(), name=f"websocket {peer}")
    try:
        await carrier.receive()
        if carrier.is_closing():  # our goodbye, and the peer's answer to it
            await asyncio.wait([sending], timeout=CLOSE_S)
    finally:
        carrier.lost()
        sending.cancel()
        await asyncio.wait([sending])
        protocol.connection_lost(None)
        _let_go(response.exception())


def _let_go(error: BaseException | None) -> None:
    """The frames of a response's last error hold the response, which holds the error: some 10 KiB of each connection, until a
    collection of garbage that is seldom here."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


class Carrier(asyncio.Transport):
    """A WebSocket as the transport of a protocol that knows sockets."""

    def __init__(
        self, response: web.WebSocketResponse, stream: asyncio.Transport, protocol: asyncio.Protocol, peer: Peer
    ) -> None:
        super().__init__({"peername": (peer.host, peer.port)})
        self._response = response
        self._stream = stream
        self._protocol = protocol
        self._out: deque[bytes] = deque()
        self._size = 0
        self._high = 64 * 1024
        self._blocked = False
        self._closing = False
        self._wake = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()

    # What the protocol calls.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, in order, as soon as the peer takes it."""
        if self._closing:
            return
        self._out.append(bytes(data))
        self._size += len(data)
        self._wake.set()
        if self._size > self._high and not self._blocked:
            self._blocked = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Send what waits, then say goodbye."""
        self._closing = True
        self._wake.set()
        self._reading.set()

    def abort(self) -> None:
        """Cut it off."""
        self._closing = True
        self._out.clear()
        self._size = 0
        self._reading.set()
        self._stream.abort()

    def is_closing(self) -> bool:
        """Whether it takes nothing more."""
        return self._closing

    def can_write_eof(self) -> bool:
        """A WebSocket has no half-closed state."""
        return False

    def pause_reading(self) -> None:
        """Take no more frames; the client's window fills, and it waits."""
        self._reading.clear()

    def resume_reading(self) -> None:
        """Take frames again."""
        self._reading.set()

    def is_reading(self) -> bool:
        """Whether frames are taken."""
        return self._reading.is_set()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait, here and below."""
        return self._size + self._stream.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002
        """When to tell the protocol to wait; it goes on at a quarter of that."""
        self._high = 64 * 1024 if high is None else high

    # The two ways.

    def lost(self) -> None:
        """The stream has ended."""
        self._closing = True

    async def receive(self) -> None:
        """Frames until the stream ends; anything but bytes ends it [MQTT-6.0.0-1]."""
        while True:
            await self._reading.wait()
            message: Any = await self._response.receive()
            if message.type == WSMsgType.BINARY:
                if not self._closing:
                    self._protocol.data_received(message.data)
            elif message.type == WSMsgType.TEXT:
                await self._response.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"MQTT is binary")
                return
            else:
                return

    async def send(self) -> None:
        """Write what waits until `close`, a frame at a time, no faster than the peer reads."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._out:
                    await self._send_frame()
                if self._closing:
                    await self._response.close()
                    return
        except (ConnectionError, RuntimeError) as error:  # closing meanwhile
            log.debug("websocket: %s", error)
            self._stream.abort()

    async def _send_frame(self) -> None:
        parts, size = [], 0
        while self._out and size < FRAME:
            parts.append(self._out.popleft())
            size += len(parts[-1])
        data = b"".join(parts)
        for at in range(0, size, FRAME):
            await self._response.send_bytes(data[at : at + FRAME])
        self._size -= min(size, self._size)
        if self._blocked and self._size <= self._high // 4:
            self._blocked = False
            self._protocol.resume_writing()
