"""One connection of a tape that is opened again whenever it is lost, until it is left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from bridge.mqtt.packets import Connect
from simulator.link import ASKING, CLOSED, QUEUE_LIMIT, READY, Link

AGAIN_S: Final = 0.5
GOODBYE_S: Final = 2.0


class Staying:
    """The link's peer, for who does nothing when it is online, acknowledged or told something; a subclass does."""

    def __init__(
        self,
        broker: tuple[str, int],
        tls: ssl.SSLContext | None,
        hello: Connect,
        filters: Sequence[str] = (),
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self.link = Link(self, hello, filters, queue_limit=queue_limit)
        self._broker = broker
        self._tls = tls
        self._lost = asyncio.Event()

    async def stay(self) -> None:
        """Connect, again and again."""
        while True:
            self._lost.clear()
            if await self.link.open(*self._broker, self._tls):
                await self._lost.wait()
            self.problem(self.link.reason)
            await asyncio.sleep(AGAIN_S)

    async def leave(self) -> None:
        """Disconnect, once nobody stays."""
        if self.link.state in (ASKING, READY):
            self.link.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    while self.link.state != CLOSED:
                        self._lost.clear()
                        await self._lost.wait()

    def problem(self, reason: str) -> None:
        """Why a connection was lost, or not had."""

    def online(self) -> None:
        """Connected and subscribed."""

    def offline_because(self, reason: str) -> None:
        """It is opened again."""
        self.problem(reason)
        self._lost.set()

    def acked(self, seconds: float) -> None:
        """The broker has one more."""

    def message(self, topic: str, payload: bytes) -> None:
        """Something came; the PUBACK goes out after this."""
