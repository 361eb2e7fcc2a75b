"""Captures what a broker carries into a tape."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bridge.mqtt.packets import Connect
from schemas.envelope import new_mid
from schemas.topics import Topics
from simulator.line import Post
from simulator.staying import CONNECT_S, Staying
from simulator.tape import Writer

FILTERS: Final = ("v1/#", "v2/#")
FLUSH_S: Final = 1.0


class Recorded(msgspec.Struct):
    """The counters of a recording. `gaps`: how often the connection was lost."""

    messages: int = 0
    bytes: int = 0
    devices: int = 0
    gaps: int = 0
    seconds: float = 0.0
    kinds: dict[str, int] = {}
    last_problem: str = ""


class Recorder(Staying):
    """One connection that subscribes to `filters`. `run` until `stop`."""

    def __init__(
        self, broker: tuple[str, int], login: tuple[str | None, str | None], filters: Sequence[str], tape: Writer,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        user, password = login
        secret = None if password is None else password.encode()
        super().__init__(broker, tls, Connect(f"ems-sim-{new_mid()[:8]}", True, 60, user, secret), filters)
        self._tape = tape
        self._began = time.monotonic()
        self._topics = Topics()
        self._devices: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self._found = Recorded()
        self.ready = asyncio.Event()
        """Set once it is subscribed."""
        self.error: OSError | None = None

    async def run(self, stop: asyncio.Event) -> Recorded:
        """Record until `stop`; no longer when there is no connection in the beginning. Raises OSError when the tape cannot be
        written."""
        reconnecting = asyncio.create_task(self.stay())
        stopping = asyncio.create_task(stop.wait())
        while not stopping.done() and not reconnecting.done() and self.error is None and self._hopes():
            await asyncio.wait({stopping, reconnecting}, timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
            self.link.tick()
            self._flush()
        for task in (reconnecting, stopping):
            task.cancel()
        await asyncio.wait({reconnecting, stopping})
        await self.leave()
        if self.error is not None:
            raise self.error
        self._found.devices, self._found.kinds = len(self._devices), dict(self._kinds)
        self._found.seconds = round(time.monotonic() - self._began, 3)
        return self._found

    def _hopes(self) -> bool:
        return self.ready.is_set() or time.monotonic() - self._began < CONNECT_S

    # The link's peer.

    def online(self) -> None:
        """Subscribed."""
        super().online()
        if self.ready.is_set():
            self._found.gaps += 1
            self._write(lambda at: self._tape.gap(at, self._found.last_problem))
        self.ready.set()

    def problem(self, reason: str) -> None:
        """The newest counts."""
        self._found.last_problem = reason or self._found.last_problem

    def message(self, post: Post) -> None:
        """Write it down before the broker is told that it came."""
        if post.retain and self._found.gaps and not self.link.sees_retained:
            return  # it came with the first subscription; since then only a new one brings such
        address = self._topics.parse(post.topic)
        if address is not None:
            self._devices.add(address.device)
        self._kinds[address.kind if address is not None else "other"] += 1
        self._found.messages += 1
        self._found.bytes += len(post.payload)
        self._write(lambda at: self._tape.message(at, *post))

    def _flush(self) -> None:
        self._write(lambda _: self._tape.flush())

    def _write(self, write: Callable[[float], None]) -> None:
        try:
            write(time.monotonic() - self._began)
        except OSError as error:  # the disk is full: say it, do not go on in silence
            self.error = self.error or error
