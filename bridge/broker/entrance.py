"""From an accepted socket to a protocol that speaks: the PROXY header, the questions at the door, the TLS handshake."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from bridge.broker import proxy
from bridge.broker.access import Peer
from bridge.broker.door import Door
from bridge.broker.tls import Certificate
from bridge.core.peer import LOCAL_SOCKET

HEADER_S: Final = 5.0
"""A proxy sends its header at once, within its first packet."""
HANDSHAKE_S: Final = 10.0
"""A device on a mobile network needs two round trips and some arithmetic."""

Make = Callable[[Peer], asyncio.Protocol]


class Way(NamedTuple):
    """How streams of one listener come in. `make(peer)` speaks with who has come in; with `guarded` False the door is not asked
    (HTTP has bounds of its own)."""

    make: Make
    proxied: bool = False
    certificate: Certificate | None = None
    guarded: bool = True


class RefusedError(Exception):
    """A stream may not come in: `cause` for the metric, `peer` as far as it is known, `why`."""

    def __init__(self, cause: str, peer: Peer, why: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.peer = peer
        self.why = why


async def enter(sock: socket.socket, way: Way, door: Door) -> None:
    """Let a stream in; ends when its protocol has begun. Raises RefusedError, with the socket closed."""
    peer = _peer_of(sock)
    with_inside = False
    try:
        if way.proxied:
            peer = await _header(sock, peer)
        if way.guarded:
            _knock(door, peer)
            with_inside = True
            door.enter(peer.host)  # until the broker counts it itself
        await (_begin(sock, way, peer) if way.certificate is None else _shake(sock, way, peer, door))
    except BaseException:
        sock.close()
        raise
    finally:
        if with_inside:
            door.leave(peer.host)


def _knock(door: Door, peer: Peer) -> None:
    cause = door.knock(peer.host)
    if cause:
        raise RefusedError(cause, peer)


async def _header(sock: socket.socket, peer: Peer) -> Peer:
    """Who is behind the proxy. Reads the header alone, not a byte of what follows: that is for TLS, or MQTT."""
    loop = asyncio.get_running_loop()
    data = b""
    try:
        async with asyncio.timeout(HEADER_S):
            while missing := proxy.missing(data):
                more = await loop.sock_recv(sock, missing)
                if not more:
                    raise RefusedError("proxy_header", peer, "the stream ended")
                data += more
        return proxy.parse(data) or peer
    except TimeoutError:
        raise RefusedError("proxy_header", peer, "none came in time") from None
    except (OSError, proxy.ProxyError) as error:
        raise RefusedError("proxy_header", peer, str(error)) from None


async def _begin(sock: socket.socket, way: Way, peer: Peer) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: _Threshold(way, peer), sock)
    except OSError as error:
        raise RefusedError("lost", peer, str(error)) from None


async def _shake(sock: socket.socket, way: Way, peer: Peer, door: Door) -> None:
    assert way.certificate is not None  # noqa: S101 - asked by the caller
    context = way.certificate.context
    cause = door.shake(peer.host)
    if cause:
        raise RefusedError(cause, peer)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: _Threshold(way, peer), sock, ssl=context, ssl_handshake_timeout=HANDSHAKE_S
        )
    except (OSError, TimeoutError) as error:
        why = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise RefusedError("tls_handshake", peer, why) from None
    finally:
        door.shaken(peer.host)


def _peer_of(sock: socket.socket) -> Peer:
    if sock.family == socket.AF_UNIX:
        return Peer(LOCAL_SOCKET, 0)
    try:
        host, port, *_ = sock.getpeername()
    except OSError:
        return Peer("", 0)  # gone already
    return Peer(str(host), int(port))


class _Threshold(asyncio.Protocol):
    """Makes way for the protocol that speaks as soon as the stream is ready for it, before its first byte."""

    def __init__(self, way: Way, peer: Peer) -> None:
        self._way = way
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        certificate = self._way.certificate
        if certificate is not None:
            self._peer = self._peer._replace(identity=certificate.identity(transport))
        protocol = self._way.make(self._peer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
