"""Plays a tape to a broker, as fast as asked."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from bridge.mqtt.packets import Connect
from schemas.envelope import new_mid
from simulator.mapping import Renaming
from simulator.staying import Staying
from simulator.tape import Message, Reader

MOST_PENDING: Final = 1_000
"""Messages that wait for their PUBACK; the tape is held until there are fewer."""
TICK_S: Final = 1.0
DRAIN_S: Final = 10.0


class Replayed(msgspec.Struct):
    """The ledger of a replay: `read` = `published` + `skipped`, and `published` = `acked` + `pending` in the end."""

    read: int = 0
    published: int = 0
    acked: int = 0
    pending: int = 0
    skipped: int = 0
    devices: int = 0
    gaps: int = 0
    truncated: bool = False
    recorded_s: float = 0.0
    seconds: float = 0.0
    kinds: dict[str, int] = {}
    last_problem: str = ""


class Length(msgspec.Struct):
    """What a look through a tape finds: when it began (epoch ms), how long it is."""

    started_ms: int
    seconds: float
    messages: int


def measure(path: Path) -> Length:
    """Read a tape to its end. Raises OSError, Bad."""
    with Reader(path) as tape:
        last, count = 0.0, 0
        for entry in tape:
            last, count = max(last, entry.at), count + isinstance(entry, Message)
        return Length(tape.head.started, last, count)


class _Line(Staying):
    """One connection to the broker, of one device or of all."""

    def __init__(self, replayer: Replayer, user: str | None, password: str | None) -> None:
        secret = None if password is None else password.encode()
        client_id = user if replayer.secrets and user else f"ems-sim-{new_mid()[:8]}"
        hello = Connect(client_id, False, 60, user, secret)
        super().__init__(replayer.broker, replayer.tls, hello, queue_limit=1 << 30)
        self._replayer = replayer
        self.task = asyncio.create_task(self.stay())

    async def leave(self) -> None:
        """Stay no longer, and disconnect."""
        self.task.cancel()
        await asyncio.wait({self.task})
        await super().leave()

    def problem(self, reason: str) -> None:
        """The ledger has the newest."""
        self._replayer.problem(reason)

    def acked(self, seconds: float) -> None:
        """The broker has one more."""
        _ = seconds
        self._replayer.acked()


class Replayer:
    """Plays one tape. `secrets`: uid -> password; then each device has its own connection, and what is of no such device is
    skipped. `commands`: publish those too."""

    def __init__(
        self,
        broker: tuple[str, int],
        login: tuple[str | None, str | None],
        renaming: Renaming,
        *,
        secrets: Mapping[str, str] | None = None,
        commands: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.broker = broker
        self.tls = tls
        self.secrets = dict(secrets or {})
        self._login = login
        self._renaming = renaming
        self._commands = commands
        self._lines: dict[str, _Line] = {}
        self._happened = asyncio.Event()
        self._kinds: Counter[str] = Counter()
        self.ledger = Replayed()

    async def run(self, path: Path, speed: float, stop: asyncio.Event) -> Replayed:
        """Play it at `speed` times its own. Raises OSError, Bad."""
        began = time.monotonic()
        ticking = asyncio.create_task(self._tick())
        try:
            with Reader(path) as tape:
                for entry in tape:
                    self.ledger.recorded_s = entry.at
                    if not await self._until(began + entry.at / speed, stop):
                        break
                    if isinstance(entry, Message):
                        self._play(entry)
                    else:
                        self.ledger.gaps += 1
                self.ledger.truncated = tape.truncated
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._below(1)
        finally:
            ticking.cancel()
            await asyncio.gather(*(line.leave() for line in self._lines.values()))
        ledger = self.ledger
        ledger.pending = ledger.published - ledger.acked
        ledger.devices, ledger.kinds = len(self._renaming.devices), dict(self._kinds)
        ledger.seconds = round(time.monotonic() - began, 3)
        return ledger

    def acked(self) -> None:
        """A PUBACK came."""
        self.ledger.acked += 1
        self._happened.set()

    def problem(self, reason: str) -> None:
        """A connection was lost."""
        self.ledger.last_problem = reason or self.ledger.last_problem

    async def _until(self, at: float, stop: asyncio.Event) -> bool:
        """Wait for the moment, and for room; False when it is to stop."""
        delay = at - time.monotonic()
        if delay > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await stop.wait()
        while not stop.is_set() and self.ledger.published - self.ledger.acked >= MOST_PENDING:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._below(MOST_PENDING)
        if delay <= 0 and self.ledger.read % 64 == 0:
            await asyncio.sleep(0)
        return not stop.is_set()

    async def _below(self, pending: int) -> None:
        while self.ledger.published - self.ledger.acked >= pending:
            self._happened.clear()
            await self._happened.wait()

    def _play(self, entry: Message) -> None:
        self.ledger.read += 1
        kind = entry.topic.rpartition("/")[2]
        if (kind == "command" and not self._commands) or not self._renaming.takes(entry.topic):
            self.ledger.skipped += 1
            return
        topic, payload, device = self._renaming.rename(entry.topic, entry.payload)
        line = self._line(device)
        if line is None:
            self.ledger.skipped += 1
            return
        self.ledger.published += 1
        self._kinds[kind] += 1
        line.link.publish([(topic, payload)])

    def _line(self, device: str) -> _Line | None:
        name = device if self.secrets else ""
        if name not in self._lines:
            user, password = (device, self.secrets.get(device)) if self.secrets else self._login
            if self.secrets and password is None:
                return None
            self._lines[name] = _Line(self, user, password)
        return self._lines[name]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for line in self._lines.values():
                line.link.tick()
