"""The window's listening socket against those who never say who they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from bridge.http.app import runner
from bridge.http.door import Door

HELLO = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def door(limit: int, head_s: float) -> AsyncIterator[tuple[str, int]]:
    """An application that answers `here` behind a Door."""

    async def here(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", here)
    running = runner(app)
    await running.setup()
    try:
        await Door(running, "127.0.0.1", 0, limit, head_s).start()
        yield running.addresses[0][0], running.addresses[0][1]
    finally:
        await running.cleanup()


@asynccontextmanager
async def dial(address: tuple[str, int]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which nothing was said yet."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def cut(reader: asyncio.StreamReader) -> bool:
    """Whether the server ends the connection without a word."""
    async with asyncio.timeout(10):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a request is answered."""
    writer.write(HELLO)
    async with asyncio.timeout(10):
        return (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")


async def test_half_a_head_holds_its_socket_until_the_deadline_only() -> None:
    async with door(10, 0.1) as address, dial(address) as talker, dial(address) as half, dial(address) as silent:
        assert await served(*talker)
        half[1].write(HELLO[:10])
        assert await cut(half[0])
        assert await cut(silent[0])
        assert await served(*talker)


async def test_one_connection_too_many_is_cut_off_and_the_others_served() -> None:
    async with door(2, 60) as address, dial(address) as one, dial(address) as two:
        assert await served(*one)
        async with dial(address) as extra:
            assert await cut(extra[0])
        assert await served(*two)
        assert await served(*one)
