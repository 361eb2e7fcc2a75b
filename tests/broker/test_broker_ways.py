"""Listening sockets with questions before the first byte, as real streams meet them."""

from __future__ import annotations

import asyncio
import platform
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from harness.pki import Pki

from bridge.broker import entrance
from bridge.broker.door import HANDSHAKES, Door, DoorLimits
from bridge.broker.entrance import Way
from bridge.broker.heap import Heap
from bridge.broker.tls import Certificate
from bridge.broker.ways import Ways
from bridge.certificates import Files
from bridge.core.peer import LOCAL_SOCKET, Peer

SECONDS = 20.0


class Greeter(asyncio.Protocol):
    """Says who it sees."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(f"{self.peer.host} {self.peer.identity}\n".encode())


class Hall:
    """Ways with a log of who was refused, and a task that waits for the next one."""

    def __init__(self, limits: DoorLimits | None = None) -> None:
        self.door = Door(limits)
        self.refused: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.ways = Ways(
            self.door, lambda cause, peer, _why: self.refused.put_nowait((cause, peer.host if peer else ""))
        )

    async def open(self, way: Way) -> tuple[str, int]:
        found = await self.ways.open(("127.0.0.1", 0), way)
        assert isinstance(found, tuple)
        return found

    async def cause(self) -> tuple[str, str]:
        async with asyncio.timeout(SECONDS):
            return await self.refused.get()


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    made = Hall()
    yield made
    made.ways.close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def certificate(pki: Pki) -> Certificate:
    return Certificate(Files(*map(str, pki.server())), "mqtt")


@asynccontextmanager
async def dial(
    where: tuple[str, int], first: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*where)
    writer.write(first)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SECONDS):
        return await reader.readline()


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(SECONDS):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def hello_over_tls(pki: Pki, where: tuple[str, int], header: bytes) -> bytes:
    """What a client behind `header` is greeted with once it has shaken hands."""
    tls = pki.client()
    reads, writes = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.wrap_bio(reads, writes, server_hostname="localhost")
    async with dial(where, header) as (reader, writer), asyncio.timeout(SECONDS):
        while True:
            try:
                return client.read(100)
            except ssl.SSLWantReadError:
                writer.write(writes.read())
                reads.write(await reader.read(65536))


def proxied(host: str) -> bytes:
    return f"PROXY TCP4 {host} 192.0.2.1 1000 1883\r\n".encode()


async def test_one_address_with_half_handshakes_holds_up_nobody_else(hall: Hall, pki: Pki) -> None:
    where = await hall.open(Way(Greeter, proxied=True, certificate=certificate(pki)))
    async with AsyncExitStack() as stack:
        for _ in range(HANDSHAKES + 1):
            await stack.enter_async_context(dial(where, proxied("203.0.113.1")))
        assert await hall.cause() == ("handshakes_per_address", "203.0.113.1")
        assert await hello_over_tls(pki, where, proxied("203.0.113.2")) == b"203.0.113.2 None\n"
    assert await hall.cause() == ("tls_handshake", "203.0.113.1")


async def test_silent_streams_of_one_listener_hold_up_no_other(
    hall: Hall, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.broker.ways.ENTERING", 3)
    behind = await hall.open(Way(Greeter, proxied=True))
    plain = await hall.open(Way(Greeter, certificate=certificate(pki)))
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(dial(behind)) for _ in range(3)]
        waiting, _ = await stack.enter_async_context(dial(behind, proxied("203.0.113.2")))
        assert await hello_over_tls(pki, plain, b"") == b"127.0.0.1 None\n"
        streams[0][1].write(proxied("203.0.113.1"))
        assert await line(streams[0][0]) == b"203.0.113.1 None\n"
        assert await line(waiting) == b"203.0.113.2 None\n"
        assert hall.refused.empty()


async def test_more_than_there_is_room_for_come_in_by_turns(
    hall: Hall, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.broker.ways.ENTERING", 5)
    where = await hall.open(Way(Greeter, certificate=certificate(pki)))
    found = await asyncio.gather(*(hello_over_tls(pki, where, b"") for _ in range(200)))
    assert found == [b"127.0.0.1 None\n"] * 200
    assert hall.refused.empty()
    assert hall.door.full("127.0.0.1") == ""
    assert len(hall.ways._tasks) == 1, "who accepts"
    assert len(hall.door._inside) == len(hall.door._shaking) == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
async def test_memory_is_given_back_now_and_then() -> None:
    heap = Heap(after=3, delay_s=0)
    for _ in range(2):
        heap.shaken()
        heap.shaken()
        await asyncio.sleep(0)
        before = heap.given
        for _ in range(10):
            heap.shaken()
        async with asyncio.timeout(SECONDS):
            while heap.given == before:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert heap.given == before + 1
    heap.close()


async def test_version_6(hall: Hall) -> None:
    try:
        where = await hall.ways.open(("::1", 0), Way(Greeter))
    except OSError:
        pytest.skip("there is no IPv6")
    assert isinstance(where, tuple)
    async with dial(where) as (reader, _):
        assert await line(reader) == b"::1 None\n"


async def test_a_handshake_or_header_that_is_never_ended_is_cut_off(
    hall: Hall, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "HEADER_S", 0.05)
    monkeypatch.setattr(entrance, "HANDSHAKE_S", 0.05)
    for way, first, cause in (
        (Way(Greeter, proxied=True), b"PROXY TCP4", "proxy_header"),
        (Way(Greeter, certificate=certificate(pki)), b"\x16\x03\x01", "tls_handshake"),
    ):
        async with dial(await hall.open(way), first) as (reader, _):
            assert await ended(reader)
            assert await hall.cause() == (cause, "127.0.0.1")
    assert hall.door.full("127.0.0.1") == ""


async def test_who_is_refused_or_gone_is_inside_no_more(pki: Pki) -> None:
    hall = Hall(DoorLimits(per_address=1))
    where = await hall.open(Way(Greeter, certificate=certificate(pki)))
    for _ in range(3):
        async with dial(where, b"no TLS at all\r\n\r\n") as (reader, _):
            async with asyncio.timeout(SECONDS):
                await reader.read()
            assert (await hall.cause())[0] == "tls_handshake"
    async with dial(where), dial(where) as (second, _):
        assert await hall.cause() == ("connections_per_address", "127.0.0.1")
        assert await ended(second)
    hall.ways.close()


async def test_a_socket_file_is_ours_alone(hall: Hall, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    await hall.ways.open(path, Way(Greeter))
    assert path.stat().st_mode & 0o777 == 0o660
    reader, writer = await asyncio.open_unix_connection(str(path))
    assert await line(reader) == f"{LOCAL_SOCKET} None\n".encode()
    writer.close()
    await writer.wait_closed()
    other = Hall()
    with pytest.raises(OSError, match="somebody listens there"):
        await other.ways.open(path, Way(Greeter))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match="in use"):
        await other.ways.open(file, Way(Greeter))
    assert file.exists()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        hall.ways.close()
        assert path.exists(), "not ours any more"
