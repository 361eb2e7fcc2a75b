"""A house without doors: the real store and the real core, with a device and a clock that the test holds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from bridge.core.commands import Commands, Limits
from bridge.core.events import Events
from bridge.core.flow import Flow
from bridge.core.ingest import Ingest
from bridge.core.open_command import Open
from bridge.core.permissions import Permissions
from bridge.core.presence import Presences
from bridge.core.principal import Principal
from bridge.core.record import Done, Record, Route
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.errors import StoreError
from bridge.store import ledger as ledger_module
from bridge.store import outbox as outbox_module
from bridge.store import sessions as sessions_module
from bridge.store.database import Database
from bridge.store.ledger import Ledger
from bridge.store.writer import Writer
from schemas.topics import CustomPrefix, Topics

NOW = 1_790_000_000_000
BACKEND = Principal("account", "backend", frozenset({("user", "T"), ("wudun", "PK")}))
STRANGER = Principal("account", "stranger", frozenset({("user", "other")}))
DEVICE = Principal("device", "D1")
ANSWER = {"mid": "4c5b3c27-cea8-4ea1-a936-41fd3596e0e9", "device_uid": "D1", "timestamp": NOW}


class House:
    """`received` are commands as the device got them: (topic, payload). The device is online while `online`; it leaves when
    something is written if `gone_when_written`, its queue is full while it `refuses`."""

    def __init__(self, path: Path, custom: tuple[CustomPrefix, ...] = (), other_topics: bool = False) -> None:
        self.path = path
        self.custom = custom
        self.other_topics = other_topics
        self.now = NOW
        self.timer = 0.0
        self.online = True
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.acks: list[Callable[[], None]] = []
        self.published: list[Route] = []
        self.gone_when_written = False
        self.refuses = False
        self._message = count(1)
        self._killed = False

    async def open(self) -> House:
        self.database = await Database.open(self.path, "bridge")
        self.counts, self.events, self.ledger = Counts(), Events(), Ledger(self.database)
        statements = ledger_module.STATEMENTS | outbox_module.STATEMENTS | sessions_module.STATEMENTS
        self.writer = Writer(self.database, statements, self.counts, after_commit=self._after)
        self.registry = Registry(self.database)
        await self.registry.refresh()
        self.permissions = Permissions(self.registry, Topics(self.custom), self.custom, self.other_topics)
        self.flow = Flow(
            self.submit, self._deliver, lambda _uid, _topics: self.online, self._topics, self.permissions.owner_names,
            self.events, self.counts, lambda: self.now, lambda: self.timer,
        )  # fmt: skip
        limits = Limits()
        self.commands = Commands(
            self.flow, self.ledger, self.permissions, self.submit, self.counts, lambda: self.now, limits
        )
        self.presences = Presences(self.submit, self.permissions.owner_names, self.events, lambda: self.now)
        await self.commands.restore()
        self.ingest = Ingest(
            self.permissions, self.commands, self.presences, self.events, self.counts, self.submit,
            await self.ledger.last_seq(), mirrored=True,
        )  # fmt: skip
        self._killed = False
        self._running = asyncio.create_task(self.writer.run())
        return self

    async def close(self) -> None:
        self.writer.close()
        await self._running
        await self.database.close()

    async def again(self) -> House:
        """The same files under a new process."""
        await self.close()
        return await self._begin_again()

    def kill(self) -> None:
        """From now on nothing is taken any more; what is being committed may be, or not."""
        self._killed = True
        self._running.cancel()

    async def crashed(self) -> House:
        """The same, after the one before was killed."""
        with suppress(asyncio.CancelledError):
            await self._running
        await self.database.close()
        return await self._begin_again()

    async def _begin_again(self) -> House:
        await self.open()
        await self.commands.make_up()
        await self.settle()
        return self

    def submit(self, record: Record, done: Done | None = None) -> None:
        """With what a persistent session would be told of commands."""
        if self._killed:
            return
        for route in record.routes:
            if route.topics[0].startswith("bridge/") and "/command/" in route.topics[0]:
                record.rows.append(("mqtt_message", (next(self._message), route.topics[0], route.payload, b"", 0)))
        self.writer.submit(record, done)

    async def settle(self) -> None:
        """Until nothing waits for a commit."""
        while True:
            await self.writer.commit(_marker())
            if self.writer.idle:
                return

    async def publish(self, principal: Principal, topic: str, body: Any, qos: int = 1) -> Record:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        record = self.ingest.accept(principal, topic, payload, qos, False, self.now)
        self.submit(record)
        await self.settle()
        return record

    async def answer(self, reply: str | None, code: int | None = 200, action: str = "create", **more: Any) -> Record:
        feature = "streaming_overdemand"
        body = {**ANSWER, "type": f"{feature}_{action}", "reply": reply, "code": code, "data": {"id": 1}, **more}
        return await self.publish(
            DEVICE,
            f"v1/user/T/D1/{feature}/{action}/result",
            {key: value for key, value in body.items() if value is not None},
        )

    async def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * 1000)
        self.timer += seconds
        self.flow.tick()
        await self.settle()

    async def full(self, on: bool) -> None:
        """Whether nothing can be written, as on a full disk."""
        await self.database.maintain(lambda connection: connection.execute(f"PRAGMA query_only = {int(on)}").fetchone())

    async def fail(self, act: Callable[[], object]) -> None:
        """Do something of which nothing can be stored."""
        await self.full(True)
        act()
        with suppress(StoreError):
            await self.writer.commit(_marker())
        await self.full(False)

    async def kept(self) -> dict[str, list[str]]:
        """The same, as a persistent session finds it, whatever crashed in between."""
        found: dict[str, list[str]] = {}
        for (payload,) in await self.database.rows("SELECT payload FROM mqtt_messages ORDER BY id"):
            status = json.loads(payload)
            found.setdefault(status["mid"], []).append(status["state"])
        return found

    def retained(self, before: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
        """What a broker would have retained by now."""
        kept = dict(before or {})
        for route in self.published:
            if route.retain:
                kept |= dict.fromkeys(route.topics, route.payload)
        return {topic: payload for topic, payload in kept.items() if payload}

    def states(self, mid: str) -> list[str]:
        """What the status topic said of a command."""
        found = [json.loads(route.payload) for route in self.published if route.topics[0].endswith(f"/command/{mid}")]
        return [status["state"] for status in found]

    def _after(self, record: Record) -> None:
        self.published.extend(record.routes)

    def _topics(self, command: Open) -> tuple[str, ...]:
        return self.permissions.command_topics(command.device, command.prefix, command.suffix)

    def _deliver(
        self, uid: str, topics: tuple[str, ...], payload: bytes, acked: Callable[[], None], _expires: int
    ) -> str | None:
        if not self.online or self.gone_when_written:
            self.online = False
            return None
        if self.refuses:
            return None
        self.received.append((topics[0], json.loads(payload)))
        self.acks.append(acked)
        return topics[0]


def _marker() -> Record:
    record = Record()
    record.rows.append(("presence", ("", 0, 0, None)))
    return record
