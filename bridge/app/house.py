"""The whole house put together: which room gets which callable of which other. The only composer."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, Self

from bridge.app import care
from bridge.app.carriers import Calls, carrier
from bridge.app.clock import Clock
from bridge.app.doors import Doors, loopback
from bridge.app.evaluations import Evaluations
from bridge.app.replays import Replays
from bridge.app.settings import (
    LOCAL_SINK,
    attempt_limits,
    command_limits,
    custom_prefixes,
    enos,
    http_limits,
    open_belimo,
    open_cloud,
    sink_tls,
    sinks,
    statistics,
    webhook_sink,
    webhook_wants,
)
from bridge.broker.seams import Source
from bridge.broker.timers import Timers
from bridge.config import Config
from bridge.core.attempts import Attempts
from bridge.core.commands import Commands
from bridge.core.events import Events
from bridge.core.flow import Flow, committed
from bridge.core.ingest import Ingest
from bridge.core.open_command import Open
from bridge.core.permissions import Permissions
from bridge.core.presence import Presences
from bridge.core.principal import Principal
from bridge.core.record import Done, Record, Row
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.http.app import build, runner
from bridge.http.services import Services
from bridge.mirror.courier import Courier
from bridge.quiet import Quiet
from bridge.store import ledger as ledger_store
from bridge.store import outbox as outbox_store
from bridge.store import sessions as session_store
from bridge.store.database import Database
from bridge.store.ledger import Ledger
from bridge.store.outbox import Outbox
from bridge.store.platform import Platform
from bridge.store.writer import Writer
from schemas.topics import Topics

log = logging.getLogger(__name__)

STATEMENTS = ledger_store.STATEMENTS | session_store.STATEMENTS | outbox_store.STATEMENTS
OUTBOX_EVERY_S = 5.0
"""Between two looks at the outbox: pruning is cheap, and bounds are in days."""
CARRY_S = 2.0
"""A post that is on its way when the service stops gets so long, and need not be repeated."""


class Addresses(NamedTuple):
    """Where a service listens; None where it does not."""

    mqtt: str | None
    http: str


class House:
    """A running bridge: `open` the files, `start` inside a TaskGroup, `stop`, `close`. Setting `reload` has the certificates
    read again."""

    database: Database

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or Clock()
        self.directory = Path(config.store.data)
        self._lock = care.Lock(self.directory)
        self.counts = Counts()
        self.events = Events()
        self.addresses = Addresses(None, "")
        self._quiet = Quiet(log)
        self.attempts = Attempts(attempt_limits(config))
        self.reload = asyncio.Event()
        self._evaluations = Evaluations()
        self._token = secrets.token_urlsafe(32)
        self._tasks: list[asyncio.Task[None]] = []
        self._couriers: list[Courier] = []
        self._nameless: set[str] = set()
        self._nameless_come = config.broker.allow_anonymous or config.broker.mode == "external"

    @classmethod
    async def open(cls, config: Config, clock: Clock | None = None) -> Self:
        """Open the data directory and put the rooms together. Raises ConfigError or StoreError."""
        house = cls(config, clock)
        try:
            house.database = await Database.open(house.directory / "bridge.db", "bridge")
            try:
                await house._compose()
            except BaseException:
                await house.database.close()
                raise
        except BaseException:
            house._lock.release()
            raise
        return house

    async def _compose(self) -> None:
        config, counts = self.config, self.counts
        self._sink_tls = sink_tls(config)
        self.ledger = Ledger(self.database)
        self.registry = Registry(self.database, self._token)
        await self.registry.refresh()
        self.writer = Writer(self.database, STATEMENTS, counts)
        await self._compose_core()
        self._timers = Timers(self.clock.timer, self.clock.now_ms)
        calls = Calls(self._publish, self._persist, self._present, self._reachable, self._unreachable, self._timers)
        self._carrier = carrier(
            config, self.permissions.topics, self.registry, self.permissions, self.attempts, counts, calls, self._quiet
        )
        self.hub = self._carrier.hub
        self.registry.changed = self._members_changed
        self.writer.after_commit = self._committed
        self.writer.after_failure = self.hub.discard
        self.writer.pressure = self.hub.pressure
        await self._carrier.restore(self.database)
        self.enos = enos(config, self.registry, counts, self.attempts, self.clock.now_ms)
        self.cloud = await open_cloud(
            config, self.directory, self.registry, counts, self.attempts, self.enos.principal, self.clock.now_ms
        )
        self.belimo = await open_belimo(config, self.database, self.registry, self.cloud)
        self.statistics = statistics(config, self.database, self.cloud)
        await self._compose_mirror()

    async def _compose_core(self) -> None:
        config = self.config
        custom = custom_prefixes(config)
        broker = config.broker
        self.permissions = Permissions(
            self.registry, Topics(custom), custom, broker.other_topics or broker.allow_anonymous
        )
        owners = self.permissions.owner_names
        self.flow = Flow(
            self.submit, self._deliver, self._listens, self._command_topics, owners, self.events, self.counts,
            self.clock.now_ms, self.clock.timer, heard=lambda level: self.hub.heard(level),
        )  # fmt: skip
        limits = command_limits(config)
        self.commands = Commands(
            self.flow,
            self.ledger,
            self.permissions,
            self.submit,
            self.counts,
            self.clock.now_ms,
            limits,
            broker.mode == "external",
        )
        self.presences = Presences(self.submit, owners, self.events, self.clock.now_ms)
        self.ingest = Ingest(
            self.permissions, self.commands, self.presences, self.events, self.counts, self.submit,
            await self.ledger.last_seq(), mirrored=bool(config.mirror.local or config.mirror.sinks),
            signs=dict(config.devices.signs), hooked=bool(config.webhooks),
        )  # fmt: skip
        self._judge = self.ingest.route if config.broker.routing_only else self.ingest.accept
        self._replays = Replays(
            self.ledger.dead, self.ingest, self.registry, self.submit, self.clock.now_ms, broker.allow_anonymous
        )
        await self.commands.restore()

    async def _compose_mirror(self) -> None:
        config = self.config.mirror
        names = [sink.name for sink in config.sinks] + ([LOCAL_SINK] if config.local else [])
        self.outbox = Outbox(
            self.database, names, config.outbox_max_bytes, int(config.outbox_max_age_days * care.DAY_MS), self.counts
        )
        await self.outbox.open()
        self.webhook_outbox = Outbox(
            self.database,
            [webhook.name for webhook in self.config.webhooks],
            config.outbox_max_bytes,
            int(config.outbox_max_age_days * care.DAY_MS),
            self.counts,
            outbox_store.EVENTS,
        )
        await self.webhook_outbox.open()
        self.writer.after_batch = self._ring

    def _ring(self) -> None:
        self.outbox.on_commit()
        self.webhook_outbox.on_commit()

    async def start(self, group: asyncio.TaskGroup) -> None:
        """Start every task, open the doors. Raises ConfigError when an address cannot be had."""
        await self.commands.make_up()  # before the first COMMIT, which takes what is to be told for told
        self._spawn(group, self.writer.run(), "writer")
        self.presences.restore(await self.ledger.presences(), self._carrier.retained("bridge/v1/+/+/presence"))
        await committed(self.submit, Record())  # nobody comes in before it is told who went, and what moved last
        self._spawn(group, self.registry.follow(), "registry")
        self._spawn(group, self.flow.run(), "deadlines")
        self._spawn(group, care.trim_forever(self.ledger, self.config, self.counts, self.clock.now_ms), "retention")
        self._spawn(group, self._keep_outbox(), "outbox")
        self._spawn(group, self.statistics.follower.run(), "statistics")
        self._spawn(group, self.cloud.keep(), "time series")
        for name, task in self._carrier.tasks():
            self._spawn(group, task, name)
        mqtt, http = await self._open_doors()
        self.addresses = Addresses(mqtt, http)
        self._start_couriers(group, loopback(http))
        self._spawn(group, self.doors.follow(self.reload), "certificates")
        care.leave_address(self.directory, loopback(http), mqtt, self._token, self.doors.listeners)

    def _start_couriers(self, group: asyncio.TaskGroup, http: str) -> None:
        owners, clock = self.permissions.owner_names, self.clock
        for sink in sinks(self.config, http, self._token):
            tls = self._sink_tls.get(sink.name)
            self._couriers.append(
                Courier(
                    sink, self.outbox, self.counts,
                    owners=owners, tls=tls, clock=clock.now_ms, sleep=clock.pause,
                )
            )  # fmt: skip
        for webhook in self.config.webhooks:
            wants = webhook_wants(webhook, owners)
            self._couriers.append(
                Courier(
                    webhook_sink(webhook), self.webhook_outbox, self.counts,
                    wants=wants, clock=clock.now_ms, sleep=clock.pause,
                )
            )  # fmt: skip
        for courier in self._couriers:
            self._spawn(group, courier.run(), f"courier {courier.sink.name}")

    async def stop(self) -> None:
        """Close the doors, finish what was begun, end every task."""
        self.services.closing.set()
        self._evaluations.stop()
        self.flow.hush()
        await self._carrier.stop()
        await self.doors.stop()
        for courier in self._couriers:
            courier.stop()
        await self._runner.cleanup()
        self.writer.close()
        writer, *others = self._tasks
        await writer
        carrying = [task for task in others if task.get_name().startswith("courier ")]
        if carrying:
            await asyncio.wait(carrying, timeout=CARRY_S)
        for task in others:
            task.cancel()
        care.remove_address(self.directory)

    async def close(self) -> None:
        """Close the files. Call it last, also when `start` failed."""
        await self.cloud.close()
        await self.database.close()
        self._lock.release()

    # The callables that rooms hand to each other.

    def submit(self, record: Record, done: Done | None = None) -> None:
        """Everything that is written goes through here: subscribers are prepared, then the writer takes it."""
        if record.routes:
            self.hub.prepare(record)
        self.writer.submit(record, done)

    def _publish(
        self,
        principal: Principal,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        extra_rows: list[Row],
        done: Done,
        source: Source | None = None,
    ) -> Record:
        expires = source.expires if source is not None else 0
        record = self._judge(principal, topic, payload, qos, retain, self.clock.now_ms(), expires)
        record.rows += extra_rows
        record.source = source
        if record.reject is not None:
            self._quiet.warn(
                f"message refused: {record.reject.reason}",
                "message refused: %s, on %r by %s %s: %s %s",
                record.reject.reason, topic, principal.kind, principal.name, record.reject.path, record.reject.detail,
            )  # fmt: skip
        if record.reject is not None and not record.rows:  # the caller looks at it first
            asyncio.get_running_loop().call_soon(self.submit, record, done)
        else:
            self.submit(record, done)
        return record

    def _persist(self, rows: list[Row], done: Done | None) -> None:
        record = Record()
        record.rows = rows
        self.writer.submit(record, done)

    def _committed(self, record: Record) -> None:
        if record.routes:
            self.hub.deliver(record)

    def _present(self, principal: Principal, _client_id: str, online: bool) -> None:
        """A device with credentials is there as long as its connection."""
        if principal.kind == "device":
            tell = self.presences.connected if online else self.presences.disconnected
            tell(principal.name)

    def _reachable(self, uid: str) -> None:
        """A device is there and listens; without a login that is all that tells of its presence."""
        if self._nameless_come and not self.presences.get(uid).online:
            self._nameless.add(uid)
            self.presences.connected(uid)
        self.flow.pump(uid)

    def _unreachable(self, uid: str) -> None:
        if uid in self._nameless:
            self._nameless.discard(uid)
            self.presences.disconnected(uid)

    def _deliver(
        self, uid: str, topics: tuple[str, ...], payload: bytes, acked: Callable[[], None], expires: int
    ) -> str | None:
        return self.hub.command(uid, topics, payload, acked, expires)

    def _listens(self, uid: str, topics: tuple[str, ...]) -> bool:
        return self.hub.online(uid, topics)

    def _command_topics(self, command: Open) -> tuple[str, ...]:
        return self.permissions.command_topics(command.device, command.prefix, command.suffix)

    def _members_changed(self, ended: set[tuple[str, str]]) -> None:
        self.hub.permissions_changed()
        for kind, name in ended:
            self.hub.drop(name, kind)
        self.presences.moved()

    # Doors and tasks.

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(group.create_task(work, name=name))

    async def _keep_outbox(self) -> None:
        while True:
            await self.outbox.keep(self.clock.now_ms())
            await self.webhook_outbox.keep(self.clock.now_ms())
            await asyncio.sleep(OUTBOX_EVERY_S)

    async def _open_doors(self) -> tuple[str | None, str]:
        self.services = Services(
            registry=self.registry, presence=self.presences.get, commands=self.commands, ledger=self.ledger,
            platform=Platform(self.database), licenses=Attempts(attempt_limits(self.config)),
            events=self.events, cloud=self.cloud, belimo=self.belimo, enos=self.enos, statistics=self.statistics,
            attempts=self.attempts, counts=self.counts, replays=self._replays, evaluate=self._evaluations, ready=self._checks(),
            sinks=lambda: [courier.state() for courier in self._couriers],
            allow_anonymous=self.config.broker.allow_anonymous, limits=http_limits(self.config),
        )  # fmt: skip
        self.doors = Doors(self.config, self.counts, self._carrier.ways)
        self._runner = runner(build(self.services, self._carrier.mqtt))
        await self._runner.setup()
        http = await self.doors.open_http(self._runner)
        return await self._carrier.open(self.doors), http

    def _checks(self) -> dict[str, Callable[[], str | None]]:
        return {
            "store": lambda: self.writer.failing or None,
            "outbox": lambda: self.outbox.alarm or self.webhook_outbox.alarm or None,
            "broker": lambda: self._carrier.trouble,
            "series": self.cloud.reachable,
        }
