"""The listening sockets and the clock of a broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from bridge.broker.connection import SWEEP_S, Connection
from bridge.broker.hub import Hub
from bridge.broker.intake import OPEN

log = logging.getLogger(__name__)

BACKLOG: Final = 4_096
"""A fleet that comes back after an outage connects at once."""
SPARE: Final = 256
"""Connections above the limit that may hear CONNACK 3; more are cut off."""
DRAIN_S: Final = 5.0
"""How long `stop` waits for commits whose acknowledgements are still to be sent."""
_TALLIES: Final = ("packets_in", "bytes_in", "packets_out", "bytes_out")


class Broker:
    """A hub behind TCP. `start` once for each address; `stop` is final."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0 takes a free one. Gives the address. Raises OSError when it cannot be had."""
        loop = asyncio.get_running_loop()
        self.hub.turn.bind(loop)
        server = await loop.create_server(self.protocol, host, port, backlog=BACKLOG)
        self._servers.append(server)
        if self._timer is None:
            self._tick()
        address = server.sockets[0].getsockname()
        return str(address[0]), int(address[1])

    def protocol(self) -> asyncio.Protocol:
        """What deals with a new stream, whatever carries it."""
        if len(self.hub.connections) > self.hub.limits.max_connections + SPARE:
            self.hub.counts.add("ems_bridge_mqtt_refused", (("cause", "too_many_connections"),))
            return _Slammed()
        return Connection(self.hub)

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

    async def stop(self) -> None:
        """Stop accepting and reading, send the acknowledgements of what is committed within DRAIN_S, close. The writer must
        still run. Wills are not published: their clients come back."""
        if self._stopped:
            return
        self._stopped = True
        for server in self._servers:
            server.close()
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

    def _tick(self) -> None:
        loop = self.hub.turn.loop
        self.sweep(loop.time())
        self._timer = loop.call_later(SWEEP_S, self._tick)


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
