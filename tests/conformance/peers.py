"""What the script asks of a client, and what it gets; the clients are in `peers_python` and `peers_process`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from conformance.network import Link, Way

SECONDS = 20
EXPIRY_S = 300
"""Session expiry of a client that is to be remembered, in MQTT 5."""


class Got(NamedTuple):
    """A message; `dup` is None where the client does not tell."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool | None = None
    response: str = ""
    correlation: bytes = b""

    @property
    def said(self) -> tuple[str, bytes, int, bool]:
        """All but how it came."""
        return self[:4]


class Will(NamedTuple):
    """A will without RETAIN."""

    topic: str
    payload: bytes
    qos: int


Filters = Sequence[tuple[str, int]]


class Peer(Protocol):
    """A client that somebody else wrote."""

    will_at_close: bool
    """Its `close` asks for its will, as mosquitto_sub's DISCONNECT of MQTT 5 does (reason 0x04)."""

    def __init__(self, version: int) -> None: ...

    async def connect(
        self, link: Link, client_id: str, filters: Filters, *, keep: bool, resume: bool, will: Will | None
    ) -> None:
        """Connect and subscribe. `keep`: the session outlives the connection; `resume`: it is there, nothing is subscribed to."""

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """Returns when it is acknowledged."""

    async def ask(self, topic: str, payload: bytes, response: str, correlation: bytes) -> Got:
        """MQTT 5: publish at QoS 1 with a response topic, to which it has subscribed; gives the answer."""

    async def answer(self, request: Got, payload: bytes) -> None:
        """MQTT 5: publish at QoS 1 what was asked for."""

    async def receive(self) -> Got:
        """The next message."""

    async def close(self) -> None:
        """Disconnect as a client does."""

    async def drop(self) -> None:
        """The network is gone; end what is left."""


class Client(NamedTuple):
    """One column of the table. `why_not(version, way)` is the reason to skip, or empty."""

    make: type[Peer]
    versions: tuple[int, ...] = (4, 5)
    websocket: bool = True
    missing: str = ""

    def why_not(self, version: int, way: Way) -> str:
        """The reason to leave a cell out, or empty."""
        if self.missing:
            return self.missing
        if version not in self.versions:
            return "the client has no MQTT 5"
        if way.websocket and not self.websocket:
            return "the client has no WebSocket"
        return ""


class Inbox:
    """Messages that came, possibly from another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Got] = asyncio.Queue()

    def put(self, got: Got) -> None:
        self._queue.put_nowait(got)

    def put_from_thread(self, got: Got) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, got)

    async def get(self) -> Got:
        async with asyncio.timeout(SECONDS):
            return await self._queue.get()
