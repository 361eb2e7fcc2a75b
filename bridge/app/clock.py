"""The time that a house goes by: what stands in its rows, and what its deadlines are counted in."""

from __future__ import annotations

from asyncio import sleep
from time import monotonic, time


class Clock:
    """The wall clock and the system's timer; the clock of the tests (bridge.testing) is held instead.

    Connections have their own: keep-alive, handshakes and bans go by the system whatever this says.
    """

    def now_ms(self) -> int:
        """Epoch ms."""
        return int(time() * 1000)

    def timer(self) -> float:
        """Seconds that only grow."""
        return monotonic()

    async def pause(self, seconds: float) -> None:
        """Let a courier wait before its next attempt."""
        await sleep(seconds)
