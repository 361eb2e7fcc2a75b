"""Plays a tape to a broker, as fast as asked, or writes it to another tape under its new names."""

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
from simulator.line import Post
from simulator.mapping import Renaming
from simulator.staying import CONNECT_S, Staying
from simulator.tape import Message, Reader, Writer

MOST_PENDING: Final = 2_000
"""Messages that the broker does not have yet; the tape is held until there are fewer."""
TICK_S: Final = 1.0
STALLED_S: Final = 60.0
"""A broker that takes nothing for so long is given up."""
DRAIN_S: Final = 10.0
SOON_S: Final = 0.002
"""What is due so soon is not waited for."""


class Unreachable(Exception):
    """There is no broker, or it lets nobody in."""


class Replayed(msgspec.Struct):
    """The ledger of a replay: `read` = `published` + `skipped`, and `published` = `acked` + `refused` + `pending` in the end."""

    read: int = 0
    published: int = 0
    acked: int = 0
    refused: int = 0
    pending: int = 0
    skipped: int = 0
    devices: int = 0
    gaps: int = 0
    truncated: bool = False
    recorded_s: float = 0.0
    seconds: float = 0.0
    kinds: dict[str, int] = {}
    last_problem: str = ""
    tape_problem: str = ""


class Length(msgspec.Struct):
    """What a look through a tape finds: when it began (epoch ms), how long it is."""

    started_ms: int
    seconds: float
    messages: int


def measure(path: Path, renaming: Renaming | None = None) -> Length:
    """Read a tape to its end; `renaming` learns it. Raises OSError, Bad."""
    with Reader(path) as tape:
        last, count = 0.0, 0
        for entry in tape:
            last = max(last, entry.at)
            if isinstance(entry, Message):
                count += 1
                if renaming is not None:
                    renaming.learn(entry.topic, entry.payload)
        return Length(tape.head.started, last, count)


class _Line(Staying):
    """One connection to the broker, of one device or of all."""

    def __init__(self, replayer: Replayer, user: str | None, password: str | None) -> None:
        secret = None if password is None else password.encode()
        client_id = user if replayer.secrets and user else f"ems-sim-{new_mid()[:8]}"
        super().__init__(replayer.broker, replayer.tls, Connect(client_id, False, 60, user, secret))
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
        if self.link.hopeless and not self.link.known:
            for _ in range(self.link.forget()):
                self.settled(reason)

    def settled(self, refusal: str) -> None:
        """The broker has one more, or does not take it."""
        self._replayer.settled(refusal)


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
        """Play it at `speed` times its own. Raises OSError, Bad, Unreachable."""
        ticking = asyncio.create_task(self._tick())
        began = time.monotonic()
        try:
            with Reader(path) as tape:
                if not self.secrets:
                    await self._first(self._line(""))
                began = time.monotonic()
                for entry in tape:
                    self.ledger.recorded_s = entry.at
                    if not await self._until(began + entry.at / speed, stop):
                        break
                    if isinstance(entry, Message):
                        await self._play(entry)
                    else:
                        self.ledger.gaps += 1
                self.ledger.truncated, self.ledger.tape_problem = tape.truncated, tape.problem
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._below(1)
        finally:
            ticking.cancel()
            await asyncio.gather(*(line.leave() for line in self._lines.values()))
        ledger = self.ledger
        ledger.pending = self._pending
        ledger.devices, ledger.kinds = len(self._renaming.devices), dict(self._kinds)
        ledger.seconds = round(time.monotonic() - began, 3)
        return ledger

    def settled(self, refusal: str) -> None:
        """The broker has one more, or does not take it."""
        if refusal:
            self.ledger.refused += 1
            self.problem(refusal)
        else:
            self.ledger.acked += 1
        self._happened.set()

    def problem(self, reason: str) -> None:
        """A connection was lost, or a message refused."""
        self.ledger.last_problem = reason or self.ledger.last_problem

    @property
    def _pending(self) -> int:
        return self.ledger.published - self.ledger.acked - self.ledger.refused

    async def _first(self, line: _Line | None) -> None:
        """Until the first connection is there. Raises Unreachable."""
        if line is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await line.changed.wait()
        if not line.link.known and not (line.refused and self.secrets):
            raise Unreachable(line.refused or self.ledger.last_problem or "no answer")

    async def _until(self, at: float, stop: asyncio.Event) -> bool:
        """Wait for the moment, and for room; False when it is to stop."""
        delay = at - time.monotonic()
        if delay > SOON_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await stop.wait()
        moved, done = time.monotonic(), self._pending
        while not stop.is_set() and self._pending >= MOST_PENDING:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._below(MOST_PENDING)
            if self._pending != done:
                moved, done = time.monotonic(), self._pending
            elif time.monotonic() - moved > STALLED_S:
                return False
        if delay <= SOON_S and self.ledger.read % 64 == 0:
            await asyncio.sleep(0)
        return not stop.is_set()

    async def _below(self, pending: int) -> None:
        while self._pending >= pending:
            self._happened.clear()
            await self._happened.wait()

    async def _play(self, entry: Message) -> None:
        self.ledger.read += 1
        told = renamed(self._renaming, entry, self._commands)
        line = None if told is None else self._line(told[1])
        if told is None or line is None:
            self.ledger.skipped += 1
            return
        if not any(each.link.known for each in self._lines.values()):
            await self._first(line)
        self.ledger.published += 1
        self._kinds[_kind(entry)] += 1
        if line.refused:
            self.settled(line.refused)
        else:
            line.link.publish(told[0])

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


def copy(path: Path, to: Path, renaming: Renaming, *, commands: bool) -> Replayed:
    """Write a tape to another, under its new names. Raises OSError, Bad."""
    ledger, kinds, began = Replayed(), Counter[str](), time.monotonic()
    with Reader(path) as tape:
        writer = Writer(to, tape.head.started + renaming.shift_ms, [])
        try:
            for entry in tape:
                ledger.recorded_s = entry.at
                if not isinstance(entry, Message):
                    ledger.gaps += 1
                    writer.gap(entry.at, "" if renaming.is_anonymous else entry.why)
                    continue
                ledger.read += 1
                told = renamed(renaming, entry, commands)
                if told is None:
                    ledger.skipped += 1
                    continue
                writer.message(entry.at, *told[0])
                ledger.published = ledger.acked = ledger.published + 1
                kinds[_kind(entry)] += 1
        finally:
            writer.close()
        ledger.truncated, ledger.tape_problem = tape.truncated, tape.problem
    ledger.devices, ledger.kinds = len(renaming.devices), dict(kinds)
    ledger.seconds = round(time.monotonic() - began, 3)
    return ledger


def renamed(renaming: Renaming, entry: Message, commands: bool) -> tuple[Post, str] | None:
    """A message of a tape as it goes out, and whose it is; None: not at all."""
    if (_kind(entry) == "command" and not commands) or not renaming.takes(entry.topic):
        return None
    topic, payload, device = renaming.rename(entry.topic, entry.payload)
    return Post(topic, payload, entry.qos, entry.retain), device


def _kind(entry: Message) -> str:
    return entry.topic.rpartition("/")[2]
