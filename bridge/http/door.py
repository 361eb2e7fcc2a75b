"""The listening socket of the window: bounded before anybody has said who he is."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from aiohttp import web

from bridge.core.peer import LOCAL_SOCKET, Peer
from bridge.http.errors import Handler

MAX_CONNECTIONS: Final = 2_000
"""At the same time: a hundred event streams and as many clients as a small box serves. More are cut off, so that HTTP cannot use
up the process's file descriptors, which MQTT and the store live on."""
HEAD_S: Final = 20.0
"""From the connection to the end of the first head; later requests have KEEP_ALIVE_S. A slowloris holds a socket no longer."""
SWEEP_S: Final = 1.0
BACKLOG: Final = 1_024

Silent = dict[asyncio.BaseProtocol, float]
Peers = dict[asyncio.BaseProtocol, Peer]

SILENT = web.AppKey("silent", Silent)
"""Connections that have not sent a whole head, the oldest first, and when they began (the loop's clock)."""
PEERS = web.AppKey("peers", Peers)
"""Who is behind a connection, where a proxy or a certificate has told it."""
UPGRADED = web.AppKey("upgraded", set[asyncio.BaseProtocol])
"""Connections that speak MQTT by now: the broker counts them."""


def guard(app: web.Application) -> None:
    """Let `app` tell its Lobby who has spoken. Before its runner is set up."""
    app[SILENT] = {}
    app[PEERS] = {}
    app[UPGRADED] = set[asyncio.BaseProtocol]()
    app.middlewares.insert(0, _spoken)


def peer_of(request: web.Request) -> Peer:
    """Who asks."""
    peer = request.app.get(PEERS, {}).get(request.protocol)
    if peer is not None:
        return peer
    name: Any = request.transport.get_extra_info("peername") if request.transport is not None else None
    known = isinstance(name, tuple) and len(name) > 1
    return Peer(str(name[0]), int(name[1])) if known else Peer(LOCAL_SOCKET, 0)


class Lobby:
    """Bounds connections of a runner whose application is guarded, whatever they came in by."""

    def __init__(self, runner: web.AppRunner, limit: int = MAX_CONNECTIONS, head_s: float = HEAD_S) -> None:
        self._runner = runner
        self._limit = limit
        self._head_s = head_s
        self._app = runner.app
        self._timer: asyncio.TimerHandle | None = None

    def open(self, peer: Peer | None = None) -> asyncio.Protocol:
        """What deals with one connection; `peer` is who has come in, where that is known."""
        server, app = self._runner.server, self._app
        if server is None or len(server.connections) - len(app[UPGRADED]) >= self._limit:
            return _Slammed()
        handler = server()
        app[SILENT][handler] = asyncio.get_running_loop().time()
        if peer is not None:
            app[PEERS][handler] = peer
        return handler

    def start(self) -> None:
        """Look after them until `stop`."""
        self._sweep()

    def stop(self) -> None:
        """The runner is about to end."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        """Forget who has gone, cut off who is late."""
        loop = asyncio.get_running_loop()
        silent, peers = self._app[SILENT], self._app[PEERS]
        for handler, since in tuple(silent.items()):
            transport = cast(web.RequestHandler, handler).transport
            late = loop.time() - since > self._head_s
            if late and transport is not None:
                transport.abort()
            if late or transport is None:
                del silent[handler]
        for handler in tuple(peers):
            if cast(web.RequestHandler, handler).transport is None:
                del peers[handler]
        self._timer = loop.call_later(SWEEP_S, self._sweep)


class Door(web.BaseSite):
    """HOST:PORT of a runner whose application is guarded. Raises OSError when the address cannot be had."""

    __slots__ = ("_address", "lobby")

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, limit: int = MAX_CONNECTIONS, head_s: float = HEAD_S
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._address = host, port
        self.lobby = Lobby(runner, limit, head_s)

    @property
    def name(self) -> str:
        """For the logs of aiohttp."""
        return "http://{}:{}".format(*self._address)

    async def start(self) -> None:
        """Listen."""
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.lobby.open, *self._address, backlog=self._backlog)
        self.lobby.start()

    async def stop(self) -> None:
        """Take no more connections."""
        self.lobby.stop()
        await super().stop()


class _Slammed(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()  # uvloop's transports are no subclass


@web.middleware
async def _spoken(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[SILENT].pop(request.protocol, None)
    return await handler(request)
