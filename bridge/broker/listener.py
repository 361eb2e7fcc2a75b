"""The listening sockets and the clock of a broker."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from bridge.broker.access import Peer
from bridge.broker.connection import SWEEP_S, Connection
from bridge.broker.door import Door, DoorLimits
from bridge.broker.entrance import Way
from bridge.broker.hub import Hub
from bridge.broker.intake import OPEN
from bridge.broker.losses import REFUSED
from bridge.broker.ways import BACKLOG, Ways
from bridge.broker.wire import peer_of
from bridge.quiet import Quiet

log = logging.getLogger(__name__)

SPARE: Final = 256
"""Connections above the limit that may hear CONNACK 3; more are cut off."""
DRAIN_S: Final = 5.0
"""How long `stop` waits for commits whose acknowledgements are still to be sent."""
_TALLIES: Final = ("packets_in", "bytes_in", "packets_out", "bytes_out")


class Broker:
    """A hub behind its listeners: `start` for plain TCP, `open` for any other way in; `stop` is final."""

    def __init__(self, hub: Hub, door: Door | None = None, quiet: Quiet | None = None) -> None:
        self.hub = hub
        self.door = door or Door(DoorLimits(max_connections=hub.limits.max_connections))
        self.quiet = quiet or hub.losses.quiet
        self.ways = Ways(self.door, self.refused)
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._told = -math.inf

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0 takes a free one. Gives the address. Raises OSError when it cannot be had."""
        loop = self._begin()
        server = await loop.create_server(self.protocol, host, port, backlog=BACKLOG)
        self._servers.append(server)
        address = server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    async def open(self, where: tuple[str, int] | Path, way: Way) -> tuple[str, int] | Path:
        """Listen on an address or a UNIX socket for streams that come in by `way`. Raises OSError."""
        self._begin()
        return await self.ways.open(where, way)

    def protocol(self, peer: Peer | None = None) -> asyncio.Protocol:
        """What deals with a new stream, whatever carries it. Who is named as `peer` has been asked at the door."""
        if len(self.hub.connections) > self.hub.limits.max_connections + SPARE:
            self.refused("too_many_connections", peer)
            return _Slammed()
        return Guest(self, peer)

    def refused(self, cause: str, peer: Peer | None, why: str = "") -> None:
        """Somebody has been cut off before a CONNECT."""
        self.hub.counts.add(REFUSED, (("cause", cause),))
        self.quiet.warn(cause, "refused: %s%s, from %s", cause, why and f" ({why})", peer or "a new connection")

    def sweep(self, now: float) -> None:
        """Close every connection whose time is up at `now` (seconds of the loop's clock), and bring the counters up to date."""
        hub = self.hub
        hub.turn.now = now
        hub.timers.run()
        for connection in tuple(hub.connections):
            cause = connection.overdue(now)
            if cause:
                connection.close(cause)
                if cause == "stuck":
                    connection.abort()
        for name in _TALLIES:
            amount = getattr(hub, name)
            if amount:
                setattr(hub, name, 0)
                hub.counts.add(f"ems_bridge_mqtt_{name}", amount=amount)
        if hub.limits.sys_interval_s and now >= self._told + hub.limits.sys_interval_s:
            self._told = now
            hub.system.publish()
        self.quiet.tell()

    async def stop(self) -> None:
        """Stop accepting and reading, send the acknowledgements of what is committed within DRAIN_S, close. The writer must
        still run. Wills are not published: their clients come back."""
        if self._stopped:
            return
        self._stopped = True
        for server in self._servers:
            server.close()
        self.ways.close()
        hub = self.hub
        for connection in tuple(hub.connections):
            if connection.state == OPEN:
                connection.stop(~0)
            else:
                connection.close("stopped")
        await _until(lambda: not any(connection.unstored for connection in hub.connections), DRAIN_S)
        for connection in tuple(hub.connections):
            connection.close("stopped")
        hub.turn.flush()
        await _until(lambda: not hub.connections, hub.limits.close_timeout_s)
        for connection in tuple(hub.connections):
            connection.abort()
        hub.turn.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self.sweep(hub.turn.now)
        for server in self._servers:
            await server.wait_closed()

    def _begin(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self.hub.turn.bind(loop)
            self._tick()
        return loop

    def _tick(self) -> None:
        loop = self.hub.turn.loop
        self.sweep(loop.time())
        self._timer = loop.call_later(SWEEP_S, self._tick)


class Guest(Connection):
    """A connection that the door counts."""

    __slots__ = ("_broker", "_inside")

    def __init__(self, broker: Broker, peer: Peer | None) -> None:
        super().__init__(broker.hub)
        self._broker = broker
        self._inside = False
        self.peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at the door, unless somebody has."""
        broker, door = self._broker, self._broker.door
        if self.peer is None:
            self.peer = peer_of(transport)
            cause = door.knock(self.peer.host)
            if cause:
                broker.refused(cause, self.peer)
                cast(asyncio.Transport, transport).abort()
                return
        self._inside = True
        door.enter(self.peer.host)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        if self._inside and self.peer is not None:
            self._inside = False
            self._broker.door.leave(self.peer.host)
            super().connection_lost(exc)


class _Slammed(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()  # uvloop's transports are no subclass


async def _until(done: Callable[[], bool], seconds: float) -> None:
    """Wait until `done()`, at most `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not done() and loop.time() < end:  # noqa: ASYNC110 - at the end of a process, over many connections
        await asyncio.sleep(0.005)
