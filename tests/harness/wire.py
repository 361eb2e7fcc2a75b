"""A small MQTT 3.1.1 client of the tests' own: bytes on a socket, nothing shared with the product's codec.

It acknowledges what it gets, keeps what it got, and hands out a future for every acknowledgement it waits for.
Nothing is retransmitted and nothing reconnects: a test says when.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Awaitable
from typing import NamedTuple, TypeVar

T = TypeVar("T")

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP = 2, 3, 4, 5, 6, 7, 9, 11, 13
PATIENCE_S = 20.0
"""How long an answer may take on a machine that is busy with other tests."""


class Got(NamedTuple):
    """A PUBLISH that came."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool


class ClosedError(ConnectionError):
    """The other side ended the connection."""


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (128 if size else 0))
        if not size:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + length(len(body)) + body


def connect(
    client_id: str, username: str | None, password: str | None, *, clean: bool = True, keepalive: int = 0
) -> bytes:
    flags = (2 if clean else 0) | (128 if username is not None else 0) | (64 if password is not None else 0)
    body = text("MQTT") + bytes([4, flags]) + struct.pack(">H", keepalive) + text(client_id)
    for value in (username, password):
        if value is not None:
            body += text(value)
    return packet(0x10, body)


def publish(
    topic: str, payload: bytes, packet_id: int = 0, *, qos: int = 1, retain: bool = False, dup: bool = False
) -> bytes:
    body = text(topic) + (struct.pack(">H", packet_id) if qos else b"") + payload
    return packet(0x30 | dup << 3 | qos << 1 | retain, body)


def subscribe(packet_id: int, filters: list[tuple[str, int]]) -> bytes:
    return packet(0x82, struct.pack(">H", packet_id) + b"".join(text(name) + bytes([qos]) for name, qos in filters))


async def within(seconds: float, waiting: Awaitable[T]) -> T:
    """The result, or TimeoutError. Not `asyncio.wait_for`: Python 3.11's loses a cancellation that comes with the result."""
    async with asyncio.timeout(seconds):
        return await waiting


class Client:
    """One connection. Use `async with await Client.open(...)`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.inbox: asyncio.Queue[Got] = asyncio.Queue()
        self.connack: tuple[int, int] = (0, -1)
        self.connected = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()
        self._reader = reader
        self._waiting: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self._incoming: dict[int, Got] = {}
        self._ids = itertools.cycle(range(1, 65536))
        self._task = asyncio.create_task(self._read(), name="wire client")

    @classmethod
    async def raw(cls, address: tuple[str, int]) -> Client:
        """A TCP connection on which nothing was said yet."""
        return cls(*await asyncio.open_connection(*address))

    @classmethod
    async def open(
        cls,
        address: tuple[str, int],
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        *,
        clean: bool = True,
    ) -> Client:
        """Connect and check the CONNACK; `ClosedError` or `AssertionError` when refused."""
        client = await cls.raw(address)
        try:
            client.send(connect(client_id, username, password, clean=clean))
            code = await within(PATIENCE_S, client.connected)
        except BaseException:
            await client.cut()
            raise
        assert code == 0, f"CONNACK {code} for {username}"
        return client

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> asyncio.Future[bytes]:
        """Send; the future ends with the PUBACK or PUBREC, or fails with ClosedError."""
        packet_id = next(self._ids) if qos else 0
        ended = self._wait(PUBACK if qos == 1 else PUBREC, packet_id)
        self.send(publish(topic, payload, packet_id, qos=qos, retain=retain))
        if not qos:
            ended.cancel()
        return ended

    async def stored(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Publish and wait for the acknowledgement."""
        await within(PATIENCE_S, self.publish(topic, payload, qos=qos))

    async def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        """The granted codes, one a filter (0x80 is a refusal)."""
        packet_id = next(self._ids)
        ended = self._wait(SUBACK, packet_id)
        self.send(subscribe(packet_id, [(name, qos) for name in filters]))
        return list((await within(PATIENCE_S, ended))[2:])

    async def get(self, seconds: float = PATIENCE_S) -> Got:
        return await within(seconds, self.inbox.get())

    async def ended(self, seconds: float = PATIENCE_S) -> None:
        """Wait until the other side closes; TimeoutError when it does not."""
        await within(seconds, self.closed.wait())

    async def cut(self) -> None:
        """Drop the connection without a DISCONNECT."""
        self._task.cancel()
        self.writer.transport.abort()
        await asyncio.gather(self._task, return_exceptions=True)
        self._fail()

    def _wait(self, kind: int, packet_id: int) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # A test may have stopped waiting; a connection that ends is then no error of its own.
        future.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception())
        if self.closed.is_set():
            future.set_exception(ClosedError("closed"))
        else:
            self._waiting[kind, packet_id] = future
        return future

    async def _read(self) -> None:
        try:
            while True:
                first, body = await self._packet()
                self._handle(first, body)
        except (OSError, asyncio.IncompleteReadError):
            self._fail()

    async def _packet(self) -> tuple[int, bytes]:
        first = (await self._reader.readexactly(1))[0]
        size, shift = 0, 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return first, await self._reader.readexactly(size)

    def _handle(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == PUBLISH:
            self._publish(first, body)
        elif kind == PUBREL:
            self.send(packet(0x70, body))
            self.inbox.put_nowait(self._incoming.pop(struct.unpack(">H", body[:2])[0]))
        elif kind == CONNACK:
            self.connack = (body[0], body[1])
            if not self.connected.done():
                self.connected.set_result(body[1])
        elif kind in (PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK):
            if kind == PUBREC:
                self.send(packet(0x62, body))
            future = self._waiting.pop((kind, struct.unpack(">H", body[:2])[0]), None)
            if future is not None and not future.done():
                future.set_result(body)

    def _publish(self, first: int, body: bytes) -> None:
        qos = first >> 1 & 3
        size = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        got = Got(topic, rest[2:] if qos else rest, qos, bool(first & 1), bool(first & 8))
        if qos == 2:
            self._incoming[struct.unpack(">H", rest[:2])[0]] = got
            self.send(packet(0x50, rest[:2]))
            return
        self.inbox.put_nowait(got)
        if qos == 1:
            self.send(packet(0x40, rest[:2]))

    def _fail(self) -> None:
        self.closed.set()
        if not self.connected.done():
            self.connected.set_exception(ClosedError("closed before CONNACK"))
            self.connected.exception()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ClosedError("closed before the acknowledgement"))
        self._waiting.clear()
        self.writer.transport.abort()
