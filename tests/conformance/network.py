"""A way to the broker, and a network on it that a test may break: every client gets a relay of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import NamedTuple, Self

ENDED_S = 20


class Way(NamedTuple):
    """A listener as a client is told of it."""

    name: str
    scheme: str
    port: int
    tls: bool = False
    websocket: bool = False


class Link(NamedTuple):
    """Where one client goes and what it says who it is. `ca` is a PEM file."""

    way: Way
    port: int
    username: str
    password: str
    ca: Path
    host: str = "127.0.0.1"
    path: str = "/mqtt"

    def context(self) -> ssl.SSLContext | None:
        """What a client over TLS trusts."""
        return ssl.create_default_context(cafile=str(self.ca)) if self.way.tls else None


class Relay:
    """Bytes from a port of its own to `target` and back."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.deaf = False
        """What the client says is lost on the way."""
        self.alive = True
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        """The network is gone, for good."""
        self.alive = False
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self.ended()

    async def ended(self) -> None:
        """Wait until both sides have closed every connection, with all that they said carried over."""
        async with asyncio.timeout(ENDED_S):
            await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        pair = [writer]
        self._writers.append(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            pair.append(far_writer)
            self._writers.append(far_writer)
            if self.alive:
                pumps = self._pump(reader, far_writer, upward=True), self._pump(far_reader, writer, upward=False)
                await asyncio.gather(*pumps)
        finally:
            for each in pair:
                each.close()
            with contextlib.suppress(OSError):
                await asyncio.gather(*(each.wait_closed() for each in pair))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if not (upward and self.deaf):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.close()
