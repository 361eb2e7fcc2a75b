"""The listening socket of the window: bounded before anybody has said who he is."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from aiohttp import web

from bridge.http.errors import Handler

MAX_CONNECTIONS: Final = 2_000
"""At the same time: a hundred event streams and as many clients as a small box serves. More are cut off, so that HTTP cannot use
up the process's file descriptors, which MQTT and the store live on."""
HEAD_S: Final = 20.0
"""From the connection to the end of the first head; later requests have KEEP_ALIVE_S. A slowloris holds a socket no longer."""
SWEEP_S: Final = 1.0
BACKLOG: Final = 1_024

Silent = dict[asyncio.BaseProtocol, float]

SILENT = web.AppKey("silent", Silent)
"""Connections that have not sent a whole head, the oldest first, and when they began (the loop's clock)."""


def guard(app: web.Application) -> None:
    """Let `app` tell its Door who has spoken. Before its runner is set up."""
    app[SILENT] = {}
    app.middlewares.insert(0, _spoken)


class Door(web.BaseSite):
    """HOST:PORT of a runner whose application is guarded. Raises OSError when the address cannot be had."""

    __slots__ = ("_address", "_head_s", "_limit", "_silent", "_timer")

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, limit: int = MAX_CONNECTIONS, head_s: float = HEAD_S
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._address = host, port
        self._limit = limit
        self._head_s = head_s
        self._silent = runner.app[SILENT]
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """For the logs of aiohttp."""
        return "http://{}:{}".format(*self._address)

    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(self._open, *self._address, backlog=self._backlog)
        self._sweep()

    async def stop(self) -> None:
        """Take no more connections."""
        if self._timer is not None:
            self._timer.cancel()
        await super().stop()

    def _open(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._limit:
            return _Slammed()
        handler = server()
        self._silent[handler] = asyncio.get_running_loop().time()
        return handler

    def _sweep(self) -> None:
        """Forget who has gone, cut off who is late."""
        loop = asyncio.get_running_loop()
        for handler, since in tuple(self._silent.items()):
            transport = cast(web.RequestHandler, handler).transport
            late = loop.time() - since > self._head_s
            if late and transport is not None:
                transport.abort()
            if late or transport is None:
                del self._silent[handler]
        self._timer = loop.call_later(SWEEP_S, self._sweep)


class _Slammed(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()  # uvloop's transports are no subclass


@web.middleware
async def _spoken(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[SILENT].pop(request.protocol, None)
    return await handler(request)
