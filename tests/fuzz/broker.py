"""A whole hub behind transports in memory: streams of many clients at the same time, then a healthy client must still work.

What the broker says must be MQTT of the client's version; nothing may be raised or logged as an error; what a client leaves
behind is within the limits, and nothing when its session is gone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bridge.broker.access import Peer
from bridge.broker.limits import Limits
from bridge.mqtt.framing import CONNACK, Framing
from fuzz import corpus
from fuzz.codec import DECODERS

sys.path.append(str(Path(__file__).resolve().parents[1] / "broker"))

from broker_rig import Rig, rig

LIVE = 12
"""Clients at the same time."""
ROUND = 240
"""Streams between two looks at the broker."""
SETTLE = 20
"""Turns of the loop that a client waits for answers before it goes."""
LIMITS = Limits(max_packet_bytes=3_000, inbound=20, inflight=5, queue_messages=30, queue_bytes=20_000, publish_rate=0)
TO_CLIENTS = frozenset((0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0))


class Memory(asyncio.Transport):
    """The client's end of a connection to `protocol`: keeps what the broker says, and minds when it does not want to read."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.said = bytearray()
        self.ended = False
        self._paused = False
        self._waiting: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        protocol.connection_made(self)

    def hear(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._paused:
            self._waiting.append(data)
        elif not self.ended:
            self.protocol.data_received(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        raise NotImplementedError

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        if not self.ended:  # as asyncio's own transports
            self.said += data

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._catch_up)

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        if not self.ended:
            self.ended = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def _catch_up(self) -> None:
        while self._waiting and not self._paused and not self.ended:
            self.protocol.data_received(self._waiting.pop(0))


def check_said(said: bytes, version: int) -> int:
    """What the broker said to one client is MQTT of `version` that a server may say, a CONNACK first. Gives its packets."""
    framing = Framing(version=version)
    frames = framing.feed(said)
    assert framing.error is None, f"the broker said {framing.error}"
    assert not framing.buffered, "the broker stopped within a packet"
    for at, (first, _, _, body) in enumerate(frames):
        assert (first == CONNACK) == (at == 0), f"packet 0x{first:02x} at place {at}"
        assert first in TO_CLIENTS or first & 0xF0 == 0x30, f"0x{first:02x} is no packet of a server"
        if decode := DECODERS[version].get(first):
            decode(body)
    return len(frames)


async def one(made: Rig, chance: random.Random) -> int:
    """One client from its first byte to its end."""
    asked = chance.choice((4, 5))
    chunks: Sequence[bytes] = corpus.split(chance, corpus.stream(chance, asked))
    connection: Any = made.broker.protocol(Peer("127.0.0.1", 1))
    transport = Memory(connection)
    for chunk in chunks:
        transport.hear(chunk)
        for _ in range(chance.choice((0, 0, 1, 3))):
            await asyncio.sleep(0)
        if transport.ended:
            break
    for _ in range(SETTLE):
        await asyncio.sleep(0)
    version = 4 if connection.dialect.version == 4 else 5
    transport.close()
    await asyncio.sleep(0)
    return check_said(bytes(transport.said), version)


async def look(made: Rig, number: int) -> None:
    """A healthy client, and what the others left."""
    hub, names = made.hub, (f"healthy-{number}", f"talker-{number}")
    topic = f"healthy/{number}"
    async with made.client(names[0]) as listener, made.client(names[1]) as talker:
        assert await listener.subscribe((topic, 2)) == [2]
        for qos in (0, 1, 2):
            await talker.publish(topic, b"%d" % qos, qos)
            got = await listener.message()
            assert got[:3] == (topic, b"%d" % qos, qos)
        left = [(each.client_id, each.state, str(each.peer)) for each in hub.connections if each.client_id not in names]
        assert not left, f"connections are left: {left}"
        await listener.disconnect()
        await talker.disconnect()
    # Sessions may be kept: of three names, and of those that had none and asked for time.
    for session in hub.sessions.all():
        assert len(session.out.entries) <= LIMITS.queue_messages
        assert len(session.inbound) <= LIMITS.inbound
    assert len(hub.retained) <= 50_000


@contextmanager
def no_errors() -> Iterator[None]:
    """Nothing is logged as an error, and no exception ends up in the loop's handler."""
    seen: list[str] = []

    class Ears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(logging.Formatter().format(record))

    ears = Ears(logging.ERROR)
    logging.getLogger().addHandler(ears)
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(str(context)))
    try:
        yield
    finally:
        logging.getLogger().removeHandler(ears)
        asyncio.get_running_loop().set_exception_handler(None)
    assert not seen, seen[:3]


@asynccontextmanager
async def opened(database: Path | None) -> AsyncIterator[Rig]:
    async with rig(LIMITS, database) as made:
        yield made


async def rounds(count: int, seed: str, database: Path | None = None) -> str:
    """So many streams; gives a line about them."""
    began, said, done = time.monotonic(), 0, 0
    async with opened(database) as made:
        with no_errors():
            while done < count:
                said += await _round(made, seed, done)
                done += ROUND
                await look(made, done)
        closed = {labels[0][1]: int(value) for labels, value in _closed(made)}
    return (
        f"broker: {done:,} clients, {said:,} packets said to them, {time.monotonic() - began:.0f} s; closed by {closed}"
    )


async def _round(made: Rig, seed: str, start: int) -> int:
    """ROUND streams, LIVE at a time; a failure names the round."""
    numbers = iter(range(start, start + ROUND))
    total = 0

    async def lane() -> None:
        nonlocal total
        for number in numbers:
            said = await one(made, random.Random(f"{seed}/{number}"))
            total += said

    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LIVE):
                lanes.create_task(lane())
    except BaseException as error:
        error.add_note(f"fuzz.broker, seed {seed!r}, streams from {start}")
        raise
    return total


def _closed(made: Rig) -> Iterator[tuple[Any, float]]:
    for (name, labels), value in made.counts.values.items():
        if name == "ems_bridge_mqtt_closed":
            yield labels, value
