"""MQTT over WebSocket as a transport: two flow controls, ends of every sort, and who is counted where."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from bridge.core.peer import Peer
from bridge.http.app import build_mqtt, runner
from bridge.http.door import SHARE, Lobby
from bridge.http.mqtt import FRAME, Mqtt

SECONDS = 20.0
MAX_PACKET = 256 * 1024
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Recorder(asyncio.Protocol):
    """What the broker's end would see."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.data = bytearray()
        self.paused = 0
        self.resumed = 0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.resumed += 1

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None
        self.lost.set_result(None)


class Port:
    """A WebSocket listener whose connections are recorded; clients seem to come from `peer`."""

    def __init__(self) -> None:
        self.made: list[Recorder] = []
        self.refused: list[tuple[str, str]] = []
        self.slammed: list[tuple[str, str]] = []
        self.full = ""
        self.peer = Peer("203.0.113.1", 1)
        self.same_origin = False
        self.address = ("", 0)
        self.streams: list[Any] = []
        self.cut_at_the_door = False

    def knock(self) -> str:
        if self.cut_at_the_door:
            self.streams[-1]._transport.abort()
        return self.full

    def stream(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        self.streams.append(protocol)
        return protocol

    def protocol(self, _peer: Peer) -> asyncio.Protocol:
        self.made.append(Recorder())
        return self.made[-1]

    @asynccontextmanager
    async def dial(self, **more: Any) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Recorder]]:
        url = "http://{}:{}/mqtt".format(*self.address)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=("mqtt",), max_msg_size=0, **more) as ws,
        ):
            await until(lambda: bool(self.made and self.made[-1].transport))
            yield ws, self.made[-1]


async def until(true: Callable[[], bool]) -> None:
    """Wait until something holds that nothing tells of."""
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(limit: int = 1_000, head_s: float = 60.0, same_origin: bool = False) -> AsyncIterator[Port]:
    port = Port()
    mqtt = Mqtt(
        port.protocol,
        lambda _host: port.knock(),
        lambda cause, peer, _why: port.refused.append((cause, peer.host)),
        MAX_PACKET,
        same_origin,
    )
    running = runner(build_mqtt(mqtt))
    await running.setup()
    lobby = Lobby(running, limit, head_s, lambda cause, peer: port.slammed.append((cause, peer.host)))
    lobby.start()
    server = await asyncio.get_running_loop().create_server(lambda: port.stream(lobby.open(port.peer)), "127.0.0.1", 0)
    port.address = server.sockets[0].getsockname()[:2]
    try:
        yield port
        await until(lambda: len(lobby.crowd) == 0)
        assert not lobby.silent
    finally:
        server.close()
        lobby.stop()
        await running.cleanup()
        await server.wait_closed()


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with opened() as made:
        yield made


async def test_bytes_both_ways(port: Port) -> None:
    async with port.dial() as (ws, end):
        assert end.transport.get_extra_info("peername") == ("203.0.113.1", 1)
        await ws.send_bytes(b"ab")
        await ws.send_bytes(b"")
        await ws.send_bytes(b"c")
        await until(lambda: end.data == b"abc")
        end.transport.write(b"x")
        end.transport.write(bytearray(b"y"))
        assert (await ws.receive(SECONDS)).data == b"xy"
        large = os.urandom(3 * FRAME + 5)
        end.transport.write(large)
        got = b""
        while len(got) < len(large):
            frame = (await ws.receive(SECONDS)).data
            assert len(frame) <= FRAME
            got += frame
        assert got == large
    await asyncio.wait_for(end.lost, SECONDS)


async def test_a_client_that_is_not_read_has_to_wait(port: Port) -> None:
    async with port.dial() as (ws, end):
        end.transport.pause_reading()
        assert not cast(Any, end.transport).is_reading()
        payload, count = bytes(100_000), 300

        async def send() -> None:
            for _ in range(count):
                await ws.send_bytes(payload)

        sending = asyncio.create_task(send())
        below = ws.get_extra_info("socket")
        assert below is not None
        await until(lambda: cast(Any, ws)._writer.transport.get_write_buffer_size() > 0)
        assert len(end.data) <= len(payload)
        assert not sending.done()
        end.transport.resume_reading()
        await asyncio.wait_for(sending, SECONDS)
        await until(lambda: len(end.data) == count * len(payload))


async def test_a_client_that_does_not_read_fills_a_buffer_that_is_told(port: Port) -> None:
    async with port.dial() as (ws, end):
        end.transport.set_write_buffer_limits(200_000)
        piece, sent = bytes(50_000), 0
        while not end.paused:
            assert sent < 100_000_000
            end.transport.write(piece)
            sent += len(piece)
            await asyncio.sleep(0)
        assert end.transport.get_write_buffer_size() > 200_000
        got = 0
        while got < sent:
            got += len((await ws.receive(SECONDS)).data)
        await until(lambda: end.resumed == 1)
        assert end.transport.get_write_buffer_size() == 0


async def test_an_abort_ends_at_once_what_nobody_reads(port: Port) -> None:
    async with port.dial() as (_, end):
        while not end.paused:
            end.transport.write(bytes(50_000))
            await asyncio.sleep(0)
        end.transport.close()
        assert end.transport.is_closing()
        end.transport.abort()
        await asyncio.wait_for(end.lost, SECONDS)


async def test_our_close_comes_behind_what_waits_and_what_comes_after_is_not_heard(port: Port) -> None:
    async with port.dial(autoclose=False) as (ws, end):
        end.transport.write(b"last")
        end.transport.close()
        end.transport.write(b"too late")
        await ws.send_bytes(b"unheard")
        assert (await ws.receive(SECONDS)).data == b"last"
        message = await ws.receive(SECONDS)
        assert message.type == WSMsgType.CLOSE
        assert not end.lost.done()
        await ws.close()
        await asyncio.wait_for(end.lost, SECONDS)
        assert end.data == b""


async def test_text_and_a_message_above_the_bound_end_it(port: Port) -> None:
    async with port.dial() as (ws, end):
        await ws.send_str("CONNECT")
        message = await ws.receive(SECONDS)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1003)
        await asyncio.wait_for(end.lost, SECONDS)
    async with port.dial() as (ws, end):
        with suppress(ConnectionError):
            await ws.send_bytes(bytes(MAX_PACKET + FRAME + 1))
        await asyncio.wait_for(end.lost, SECONDS)
        assert end.data == b""


async def test_a_lost_stream_is_lost_for_the_broker_too(port: Port) -> None:
    async with port.dial() as (ws, end):
        cast(Any, ws)._writer.transport.abort()
        await asyncio.wait_for(end.lost, SECONDS)


@pytest.mark.parametrize("politely", [True, False])
async def test_an_ended_websocket_leaves_no_garbage(port: Port, politely: bool) -> None:
    """Collections are rare in the service: what only they would free is as good as leaked."""
    gc.collect()
    gc.disable()
    try:
        async with port.dial() as (ws, end):
            await ws.send_bytes(b"a")
            response = weakref.ref(cast(Any, end.transport)._response)
            carrier = weakref.ref(end.transport)
            if politely:
                end.transport.close()
                await ws.receive(SECONDS)
            else:
                cast(Any, ws)._writer.transport.abort()
            await asyncio.wait_for(end.lost, SECONDS)
        port.made.clear()
        del end.transport  # as the broker's connection lets go of it
        await until(lambda: response() is None and carrier() is None)
    finally:
        gc.enable()


@asynccontextmanager
async def raw(port: Port, first: bytes = b"") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*port.address)
    writer.write(first)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SECONDS):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (UPGRADE.replace(b"Protocol: mqtt", b"Protocol: soap"), b"400"),
        (UPGRADE.replace(b"Sec-WebSocket-Protocol: mqtt\r\n", b""), b"400"),
        (UPGRADE.replace(b"Version: 13", b"Version: 9"), b"400"),
        (UPGRADE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), b"400"),
        (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dG\x81lIHNhbXBsZSBub25jZQ=="), b"400"),
        (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl*"), b"400"),
        (UPGRADE.replace(b"Version: 13", b"Version: 1\x95"), b"400"),
        (UPGRADE.replace(b"Connection: Upgrade", b"Connection: Upgrad\xe9"), b"400"),
    ],
)
async def test_who_is_refused_is_closed(port: Port, request_: bytes, status: bytes) -> None:
    """A connection that is kept alive without ever speaking MQTT would be counted nowhere."""
    async with raw(port, request_) as (reader, _):
        assert (await all_of(reader)).startswith(b"HTTP/1.1 " + status)
    assert not port.made


async def test_who_is_refused_at_the_door_is_told(port: Port) -> None:
    port.full = "connections_per_address"
    async with raw(port, UPGRADE) as (reader, _):
        answer = await all_of(reader)
    assert answer.startswith(b"HTTP/1.1 429")
    assert b"connections_per_address" in answer
    assert port.refused == [("connections_per_address", "203.0.113.1")]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://evil.example", b"403"),
        (b"http://x", b"101"),
        (b"http://localhost:3000", b"101"),
        (b"http://127.0.0.1:3000", b"101"),
        (b"http://[::1", b"403"),
        (b"null", b"403"),
    ],
)
async def test_pages_of_other_sites_where_nobody_logs_in(origin: bytes, status: bytes) -> None:
    async with opened(same_origin=True) as port:
        first = UPGRADE.replace(b"Host: x\r\n", b"Host: x\r\nOrigin: " + origin + b"\r\n")
        async with raw(port, first) as (reader, _), asyncio.timeout(SECONDS):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)


async def test_who_goes_before_the_answer_is_no_incident(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    port.cut_at_the_door = True
    reader, writer = await asyncio.open_connection(*port.address)
    writer.write(UPGRADE)
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    await until(lambda: port.streams[-1]._handler is None or port.streams[-1]._transport.is_closing())
    assert port.made == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_one_address_holds_a_share_of_those_that_have_not_upgraded_yet() -> None:
    limit = 10
    async with opened(limit) as port, AsyncExitStack() as stack:
        for _ in range(limit // SHARE + 3):  # they speak MQTT: the broker counts them
            reader, _ = await stack.enter_async_context(raw(port, UPGRADE))
            async with asyncio.timeout(SECONDS):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        silent = [await stack.enter_async_context(raw(port)) for _ in range(limit // SHARE + 1)]
        assert await all_of(silent[-1][0]) == b""
        assert port.slammed == [("connections_per_address", "203.0.113.1")]
        port.peer = Peer("203.0.113.2", 1)
        other, _ = await stack.enter_async_context(raw(port, UPGRADE))
        async with asyncio.timeout(SECONDS):
            assert (await other.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        port.peer = Peer("127.0.0.1", 1)
        for _ in range(limit - limit // SHARE):
            await stack.enter_async_context(raw(port))
        extra, _ = await stack.enter_async_context(raw(port))
        assert await all_of(extra) == b""
        assert port.slammed[-1] == ("too_many_connections", "127.0.0.1")


async def test_who_never_upgrades_is_cut_off() -> None:
    async with opened(head_s=0.05) as port, raw(port, UPGRADE[:30]) as (reader, _):
        assert await all_of(reader) == b""
        assert port.slammed == [("head_timeout", "203.0.113.1")]


async def test_a_port_that_has_stopped_takes_nobody() -> None:
    running = runner(build_mqtt(cast(Any, None)))
    lobby = Lobby(running)
    assert lobby.admit(Peer("127.0.0.1", 1)) == "stopped"
    assert isinstance(running, web.AppRunner)
