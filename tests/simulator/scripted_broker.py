"""A peer for what a good broker never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.mqtt import framing, packets
from bridge.mqtt.framing import Frame, Framing

Address = tuple[str, int]


class Script:
    """A peer that answers as it is told, and keeps every frame it got, by connection."""

    def __init__(self) -> None:
        self.code = 0
        self.session_present = False
        self.grants = True
        self.acks = True
        self.pongs = True
        self.connections: list[ScriptConnection] = []
        self.address: Address = ("", 0)
        self.changed = asyncio.Event()

    def frames(self, kind: int) -> list[Frame]:
        """Every frame of a packet type, over all connections."""
        return [frame for peer in self.connections for frame in peer.frames if frame[0] & 0xF0 == kind & 0xF0]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until the condition holds, asked after every packet and connection."""
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class ScriptConnection(asyncio.Protocol):
    """One connection to a Script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.frames: list[Frame] = []
        self.framing = Framing()
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.script.connections.append(self)
        self.script.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self.script.changed.set()

    def data_received(self, data: bytes) -> None:
        for frame in self.framing.feed(data):
            self.frames.append(frame)
            self.answer(frame)
        assert self.framing.error is None
        self.script.changed.set()

    def answer(self, frame: Frame) -> None:
        kind, script = frame[0] & 0xF0, self.script
        if kind == framing.CONNECT:
            present = script.session_present and script.code == 0
            self.transport.write(packets.encode_connack(script.code, session_present=present))
        elif kind == framing.SUBSCRIBE & 0xF0:
            filters = packets.decode_subscribe(frame[3])
            codes = [qos if script.grants else packets.FAILURE for _, qos in filters]
            self.transport.write(packets.encode_suback(frame[2], codes))
        elif kind == framing.PUBLISH and script.acks:
            self.transport.write(packets.encode_puback(frame[2]))
        elif kind == framing.PINGREQ and script.pongs:
            self.transport.write(packets.PINGRESP_BYTES)

    def send(self, data: bytes) -> None:
        """Bytes to the client."""
        self.transport.write(data)
