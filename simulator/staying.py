"""One connection of a tape that is opened again whenever it is lost, until it is left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from bridge.mqtt.packets import Connect
from simulator.line import ASKING, CLOSED, READY, Line, Post

AGAIN_S: Final = 0.5
CONNECT_S: Final = 10.0
"""How long the first connection may take, with all its attempts."""
GOODBYE_S: Final = 2.0


class Staying:
    """The line's peer, for who does nothing when it is online, told something or rid of it; a subclass does. `refused`: why it
    was never let in and stays no longer, as with a wrong password or certificate."""

    def __init__(
        self, broker: tuple[str, int], tls: ssl.SSLContext | None, hello: Connect, filters: Sequence[str] = ()
    ) -> None:
        self.link = Line(self, hello, filters)
        self.refused = ""
        self.changed = asyncio.Event()
        """Set when it is online, and when it is refused."""
        self._broker = broker
        self._tls = tls
        self._lost = asyncio.Event()
        self._leaving = False

    async def stay(self) -> None:
        """Connect, again and again."""
        while True:
            self._lost.clear()
            opened = await self.link.open(*self._broker, self._tls)
            if opened:
                await self._lost.wait()
            else:
                self.problem(self.link.reason)
            if self.link.hopeless and not self.link.known:
                self.refused = self.link.reason
                self.changed.set()
                return
            await asyncio.sleep(AGAIN_S)

    async def leave(self) -> None:
        """Disconnect, once nobody stays."""
        self._leaving = True
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
        self.changed.set()

    def offline_because(self, reason: str) -> None:
        """It is opened again, unless it was left."""
        if not self._leaving:
            self.problem(reason)
        self._lost.set()

    def settled(self, refusal: str) -> None:
        """The broker has one more, or does not take it."""

    def message(self, post: Post) -> None:
        """Something came; the broker is told so after this."""
