"""A running `ems-bridge serve`, with everything on, at its sockets: MQTT, MQTT in WebSocket, behind a PROXY header."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from harness.process import Bridge, Secret
from harness.wire import Client

from fuzz import corpus

LIVE = 20
ROUND = 500
"""Clients between two looks at the service."""
GROWTH = 64 * 1024 * 1024
"""Resident bytes that may come after the first tenth: caches fill, nothing else grows."""
CONFIG = """
[broker]
other_topics = true
login_failures = 1000000
max_packet_bytes = 3000

[[broker.listeners]]
listen = "127.0.0.1:0"
transport = "websocket"

[[broker.listeners]]
listen = "127.0.0.1:0"
proxy_protocol = true
"""
Target = tuple[int, Callable[[random.Random, bytes], bytes]]


def plain(_chance: random.Random, said: bytes) -> bytes:
    return said


def in_websocket(chance: random.Random, said: bytes) -> bytes:
    """A handshake and frames, one of them or the handshake mutated now and then."""
    key = base64.b64encode(chance.randbytes(16)).decode()
    hello = (
        f"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    ).encode()
    if chance.random() < 0.1:
        hello = corpus.mutated(chance, hello)
    frames = [_frame(chance, chunk) for chunk in corpus.split(chance, said)]
    if chance.random() < 0.2:
        frames.append(_frame(chance, b"ping", chance.choice((0x88, 0x89, 0x8A, 0x81, 0x80, 0x02))))
    return hello + b"".join(corpus.mutated(chance, each) if chance.random() < 0.05 else each for each in frames)


def behind_proxy(chance: random.Random, said: bytes) -> bytes:
    """A PROXY header of version 1 or 2, mutated now and then."""
    header = b"PROXY TCP4 127.0.0.9 10.0.0.1 4711 1883\r\n"
    if chance.random() < 0.5:
        addresses = bytes((127, 0, 0, 9, 10, 0, 0, 1)) + struct.pack(">HH", 4711, 1883)
        header = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + struct.pack(">H", len(addresses)) + addresses
    return (corpus.mutated(chance, header) if chance.random() < 0.2 else header) + said


def _frame(chance: random.Random, data: bytes, first: int = 0x82) -> bytes:
    mask = chance.randbytes(4)
    size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
    return bytes((first,)) + size + mask + bytes(byte ^ mask[at & 3] for at, byte in enumerate(data))


async def one(target: Target, login: Secret, chance: random.Random) -> int:
    """One client; gives how many bytes it was told."""
    port, wrapped = target
    data = wrapped(chance, corpus.stream(chance, chance.choice((4, 5)), login))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = 0
    try:
        for chunk in corpus.split(chance, data)[:40]:
            if writer.is_closing():
                break
            writer.write(chunk)
            await asyncio.sleep(0)
        if chance.random() < 0.7 and not writer.is_closing():
            writer.write_eof()
        async with asyncio.timeout(0.05):
            while more := await reader.read(65_536):
                told += len(more)
    except (OSError, TimeoutError):
        pass  # closed by the broker, or by us
    finally:
        writer.transport.abort()
    return told


async def healthy(bridge: Bridge, login: Secret, number: int) -> None:
    """A client that does all as it should gets what it is promised."""
    async with (
        await Client.open(bridge.mqtt, f"listener-{number}", *login) as listener,
        await Client.open(bridge.mqtt, f"talker-{number}", *login) as talker,
    ):
        assert await listener.subscribe(f"healthy/{number}", qos=2) == [2]
        for qos in (1, 2):
            await talker.stored(f"healthy/{number}", b"%d" % qos, qos=qos)
            got = await listener.get()
            assert (got.payload, got.qos) == (b"%d" % qos, qos)


async def rounds(count: int, seed: str, home: Path) -> str:
    """So many clients; gives a line about them."""
    bridge = Bridge(home, CONFIG).start()
    try:
        line = await _rounds(bridge, bridge.account("fuzz"), count, seed)
        assert bridge.stop() == 0, bridge.tail()
    finally:
        bridge.kill()
    log = bridge.tail(50_000_000)
    assert "Traceback" not in log, log[max(0, log.index("Traceback") - 500) :][:4_000]
    assert " ERROR " not in log, log[max(0, log.index(" ERROR ") - 500) :][:4_000]
    return line


async def _rounds(bridge: Bridge, login: Secret, count: int, seed: str) -> str:
    listeners = json.loads((bridge.data / "local.json").read_text(encoding="utf-8"))["listeners"]
    ws, proxy = (urlsplit(each).port or 0 for each in listeners[-2:])
    http = int(bridge.http.rpartition(":")[2])
    targets = [(bridge.mqtt[1], plain), (ws, in_websocket), (http, in_websocket), (proxy, behind_proxy)]
    began, told, done, first = time.monotonic(), 0, 0, 0
    while done < count:
        numbers = iter(range(done, min(done + ROUND, count)))
        told += sum(await asyncio.gather(*(_lane(targets, login, seed, numbers) for _ in range(LIVE))))
        done += ROUND
        assert bridge.running(), bridge.tail()
        await healthy(bridge, login, done)
        if done * 10 >= count and not first:
            first = bridge.memory()
    grown = bridge.memory() - first
    assert grown < GROWTH, f"{grown:,} bytes more than after a tenth"
    seconds = time.monotonic() - began
    return f"service: {min(done, count):,} clients, {told:,} bytes said to them, {grown / 1e6:+.0f} MB, {seconds:.0f} s"


async def _lane(targets: list[Target], login: Secret, seed: str, numbers: Iterator[int]) -> int:
    told = 0
    for number in numbers:
        chance = random.Random(f"{seed}/{number}")
        told += await one(chance.choice(targets), login, chance)
    return told
