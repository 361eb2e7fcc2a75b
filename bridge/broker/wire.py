"""The bytes of one connection: a bounded output that is written once per turn, and reasons not to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from bridge.broker.access import Peer
from bridge.core.peer import LOCAL_SOCKET

if TYPE_CHECKING:
    from bridge.broker.hub import Hub

OPENING_SESSION: Final = 1
PENDING: Final = 2
PRESSED: Final = 4
ASKING: Final = 8
THROTTLED: Final = 16
"""Why a connection is not read: its login runs; too much of it waits for COMMIT; the writer is behind; a plugin is asked; it is
too fast."""


class Wire(asyncio.Protocol):
    """Base of Connection: everything that knows the transport."""

    __slots__ = ("_blocked", "_dirty", "_hub", "_out", "_size", "_stopped", "_transport", "peer")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._size = 0
        self._dirty = False
        self._blocked = False
        self._stopped = 0
        self.peer: Peer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; nothing is known of it."""
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclass
        transport.set_write_buffer_limits(self._hub.limits.write_buffer_bytes)
        if self.peer is None:
            self.peer = peer_of(transport)

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self._blocked = True

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._blocked = False
        self.feed()

    def feed(self) -> None:
        """Send what waits, as far as `ready` allows."""
        raise NotImplementedError

    def close(self, cause: str) -> None:
        """End the connection."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether more messages may be written to the peer."""
        return not self._blocked and self._size <= self._hub.limits.write_buffer_bytes

    def write(self, *parts: bytes) -> None:
        """Write one packet at the end of this turn, in order."""
        self._out += parts
        self._size += sum(map(len, parts))
        self._hub.packets_out += 1
        if not self._dirty:
            self._dirty = True
            self._hub.turn.dirty(self)

    def flush(self) -> None:
        """Hand what has gathered to the transport, as one write."""
        self._dirty = False
        transport = self._transport
        if transport is None or not self._out:
            return
        self._drain(transport)
        if not self._blocked:
            self.feed()
        elif transport.get_write_buffer_size() > self._hub.limits.write_buffer_max_bytes:
            self.close("slow_consumer")
            transport.abort()

    def hang_up(self, *, linger: bool = False) -> None:
        """Write what is left, then close the socket. With `linger` the peer closes it (or the sweep does): a peer that is still
        sending would be reset before it has read our last word."""
        transport = self._transport
        if transport is None:
            return
        self._drain(transport)
        if linger and transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
            self.go(~0)
        else:
            transport.close()

    def abort(self) -> None:
        """Cut the connection off without waiting for the peer."""
        if self._transport is not None:
            self._transport.abort()

    def stop(self, reason: int) -> None:
        """Read no more for `reason`."""
        if not self._stopped and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._stopped |= reason

    def go(self, reason: int) -> None:
        """`reason` is over; read on if it was the last."""
        if self._stopped & reason:
            self._stopped &= ~reason
            if not self._stopped and self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _drain(self, transport: asyncio.Transport) -> None:
        data = b"".join(self._out)
        self._out.clear()
        self._size = 0
        self._hub.bytes_out += len(data)
        if data:
            transport.write(data)


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Who is at the other end of a socket; nobody when he has gone already."""
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple) and len(name) > 1:
        return Peer(str(name[0]), int(name[1]))
    return Peer("" if name is None else LOCAL_SOCKET, 0)
