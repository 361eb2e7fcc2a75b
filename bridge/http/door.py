"""The listening socket of the window: bounded before anybody has said who he is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from aiohttp import web

from bridge.core.crowd import Crowd
from bridge.core.peer import LOCAL_SOCKET, Peer, is_local
from bridge.http.errors import Handler

MAX_CONNECTIONS: Final = 2_000
"""At the same time: a hundred event streams and as many clients as a small box serves. More are cut off, so that HTTP cannot use
up the process's file descriptors, which MQTT and the store live on."""
SHARE: Final = 5
"""One address may hold a fifth of them, so that no single one fills the window; programs on this machine have no such bound."""
HEAD_S: Final = 20.0
"""From the connection to the end of the first head; later requests have KEEP_ALIVE_S. A slowloris holds a socket no longer."""
SWEEP_S: Final = 1.0
BACKLOG: Final = 1_024

Refused = Callable[[str, Peer], None]

VISITORS = web.AppKey("visitors", dict[asyncio.BaseProtocol, "Visitor"])
"""Who is inside, by aiohttp's protocol."""
UPGRADED = web.AppKey("upgraded", set[asyncio.BaseProtocol])
"""Connections that speak MQTT by now: the broker counts them."""
PEER = web.RequestKey("peer", Peer)


def guard(app: web.Application) -> None:
    """Let `app` know who asks, and its Lobby who has spoken. Before its runner is set up."""
    app[VISITORS] = {}
    app[UPGRADED] = set[asyncio.BaseProtocol]()
    app.middlewares.insert(0, _spoken)


def peer_of(request: web.Request) -> Peer:
    """Who asks, also when he has gone meanwhile."""
    return request.get(PEER) or _peer_of(request.transport)


@contextmanager
def upgraded(request: web.Request) -> Iterator[None]:
    """For as long as the connection speaks MQTT, and the broker counts it; then it ends."""
    app, handler = request.app, request.protocol
    app[UPGRADED].add(handler)
    visitor = app[VISITORS].get(handler)
    if visitor is not None:
        visitor.leave()
    try:
        yield
    finally:
        app[UPGRADED].discard(handler)


class Lobby:
    """Bounds connections of a runner whose application is guarded, whatever they came in by. `refused(cause, peer)` is told of
    who is cut off."""

    def __init__(
        self,
        runner: web.AppRunner,
        limit: int = MAX_CONNECTIONS,
        head_s: float = HEAD_S,
        refused: Refused = lambda _cause, _peer: None,
    ) -> None:
        self.app = runner.app
        self.crowd = Crowd()
        self.silent: dict[Visitor, float] = {}
        """Who has not sent a whole head, the oldest first, and when he came (the loop's clock)."""
        self.refused = refused
        self._runner = runner
        self._limit = limit
        self._head_s = head_s
        self._timer: asyncio.TimerHandle | None = None

    def open(self, peer: Peer | None = None) -> asyncio.Protocol:
        """What deals with one connection; `peer` is who has come in, where that is known."""
        return Visitor(self, peer)

    def admit(self, peer: Peer) -> web.RequestHandler | str:
        """What talks with one more visitor, or why he is cut off."""
        server = self._runner.server
        if server is None:
            return "stopped"
        if len(server.connections) - len(self.app[UPGRADED]) >= self._limit:
            return "too_many_connections"
        if not is_local(peer.host) and self.crowd.of(peer.host) >= max(1, self._limit // SHARE):
            return "connections_per_address"
        return server()

    def start(self) -> None:
        """Look after them until `stop`."""
        self._sweep()

    def stop(self) -> None:
        """The runner is about to end."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        """Cut off who is late."""
        loop = asyncio.get_running_loop()
        for visitor, since in tuple(self.silent.items()):
            if loop.time() - since <= self._head_s:
                break
            self.refused("head_timeout", visitor.peer)
            visitor.cut()
        self._timer = loop.call_later(SWEEP_S, self._sweep)


class Visitor(asyncio.Protocol):
    """One connection, from its first moment to its last; aiohttp's handler does the talking."""

    __slots__ = ("_counted", "_handler", "_known", "_lobby", "_transport", "peer")

    def __init__(self, lobby: Lobby, peer: Peer | None) -> None:
        self._lobby = lobby
        self._known = peer
        self._handler: web.RequestHandler | None = None
        self._transport: asyncio.Transport | None = None
        self._counted = False
        self.peer = peer or _NOBODY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in, or be cut off."""
        lobby = self._lobby
        self.peer = self._known or _peer_of(transport)
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclass
        admitted = lobby.admit(self.peer)
        if isinstance(admitted, str):
            lobby.refused(admitted, self.peer)
            self._transport.abort()
            return
        self._handler = admitted
        self._counted = True
        lobby.crowd.enter(self.peer.host)
        lobby.app[VISITORS][admitted] = self
        lobby.silent[self] = asyncio.get_running_loop().time()
        admitted.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        handler = self._handler
        self.leave()
        if handler is not None:
            self._lobby.app[VISITORS].pop(handler, None)
            handler.connection_lost(exc)

    def spoken(self) -> None:
        """A whole head has come."""
        self._lobby.silent.pop(self, None)

    def leave(self) -> None:
        """Be counted no more."""
        self.spoken()
        if self._counted:
            self._counted = False
            self._lobby.crowd.leave(self.peer.host)

    def cut(self) -> None:
        """End it."""
        self.spoken()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """For the handler."""
        if self._handler is not None:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """For the handler."""
        if self._handler is not None:
            self._handler.eof_received()
        return None

    def pause_writing(self) -> None:
        """For the handler."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """For the handler."""
        if self._handler is not None:
            self._handler.resume_writing()


class Door(web.BaseSite):
    """HOST:PORT of a runner whose application is guarded. Raises OSError when the address cannot be had."""

    __slots__ = ("_address", "lobby")

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        limit: int = MAX_CONNECTIONS,
        head_s: float = HEAD_S,
        refused: Refused = lambda _cause, _peer: None,
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._address = host, port
        self.lobby = Lobby(runner, limit, head_s, refused)

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


@web.middleware
async def _spoken(request: web.Request, handler: Handler) -> web.StreamResponse:
    visitor = request.app[VISITORS].get(request.protocol)
    if visitor is not None:
        visitor.spoken()
        request[PEER] = visitor.peer
    return await handler(request)


_NOBODY: Final = Peer("", 0)


def _peer_of(transport: asyncio.BaseTransport | None) -> Peer:
    name: Any = transport.get_extra_info("peername") if transport is not None else None
    if isinstance(name, tuple) and len(name) > 1:
        return Peer(str(name[0]), int(name[1]))
    return _NOBODY if name is None else Peer(LOCAL_SOCKET, 0)
