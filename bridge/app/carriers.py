"""What carries MQTT for the house: our own broker, or lines to another one. Both are one shape to the house."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple, Protocol

from bridge.app.doors import Doors, http_ways, mqtt_of
from bridge.app.settings import broker_access, broker_limits, door_limits, remote
from bridge.broker import upstream
from bridge.broker.door import Door
from bridge.broker.guarded import Guarded
from bridge.broker.hub import Hub
from bridge.broker.listener import Broker
from bridge.broker.seams import Persist, Submit
from bridge.broker.timers import Timers
from bridge.broker.upstream import Speech, Upstream
from bridge.broker.ways import Ways
from bridge.config import Config
from bridge.core.attempts import Attempts
from bridge.core.permissions import Permissions
from bridge.core.principal import ANONYMOUS, Principal
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.http.mqtt import Mqtt
from bridge.quiet import Quiet
from bridge.store import sessions as session_store
from bridge.store.database import Database
from schemas.topics import Topics

log = logging.getLogger(__name__)

PLATFORM = Principal("account", "external", None)
"""Whoever the other broker lets publish commands."""


class Calls(NamedTuple):
    """What the house gives to whatever carries MQTT; see Hub."""

    publish: Submit
    persist: Persist
    present: Callable[[Principal, str, bool], None]
    reachable: Callable[[str], None]
    unreachable: Callable[[str], None]
    timers: Timers


class Carrier(Protocol):
    """`hub` takes Records and commands; `ways` are its listening sockets, `mqtt` is what the HTTP port serves at /mqtt."""

    ways: Ways
    mqtt: Mqtt | None

    @property
    def hub(self) -> Hub | Upstream: ...
    @property
    def trouble(self) -> str | None:
        """Why no message can come in; None when they can."""

    async def restore(self, database: Database) -> None:
        """What the last process has left."""

    def retained(self, topic_filter: str) -> list[str] | None:
        """The topics of retained messages that a filter covers; None where they are not kept here."""

    async def open(self, doors: Doors) -> str | None:
        """Begin; gives the address where MQTT is spoken without TLS, or the other broker's. Raises ConfigError."""

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs as long as the service."""

    async def stop(self) -> None:
        """Take nothing more, finish what was begun."""


class Embedded:
    """Our own broker behind our own listeners."""

    trouble = None

    def __init__(
        self,
        config: Config,
        registry: Registry,
        permissions: Permissions,
        attempts: Attempts,
        counts: Counts,
        calls: Calls,
        quiet: Quiet,
    ) -> None:
        access, gate, self._plugins = broker_access(config, registry, permissions)
        guarded = Guarded(access, attempts, counts, lambda: registry.revision, quiet)
        self.hub = Hub(
            calls.publish, calls.persist, guarded, counts, broker_limits(config),
            presence=calls.present, reachable=calls.reachable, unreachable=calls.unreachable, gate=gate, quiet=quiet,
            timers=calls.timers,
        )  # fmt: skip
        self._broker = Broker(self.hub, Door(door_limits(config)), quiet)
        self.ways = self._broker.ways
        self.mqtt = mqtt_of(self._broker, config)

    async def restore(self, database: Database) -> None:
        """Sessions, queued and retained messages."""
        self.hub.restore(await session_store.load(database))

    def retained(self, topic_filter: str) -> list[str]:
        """All that there are."""
        return [kept.topic for kept in self.hub.retained.match(topic_filter, lambda _: True) if kept is not None]

    async def open(self, doors: Doors) -> str | None:
        """Listen."""
        return await doors.open_mqtt(self._broker, self.mqtt)

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """The broker lives in callbacks."""
        return []

    async def stop(self) -> None:
        """See Broker."""
        await self._broker.stop()
        if self._plugins is not None:
            await self._plugins.close()


class External:
    """Lines to another broker, which has clients, sessions and access control of its own."""

    mqtt = None

    def __init__(self, config: Config, topics: Topics, counts: Counts, calls: Calls) -> None:
        section = config.broker.external
        settings = upstream.Settings(
            remote(config),
            filters(config),
            section.lines,
            section.client_id,
            section.silent_s,
            math.ceil(config.commands.timeout_s),
        )
        hear = partial(_speech, topics, config.broker.allow_anonymous)
        self._where = f"{settings.remote.host}:{settings.remote.port}"
        self.hub = Upstream(settings, calls.publish, hear, counts, calls.reachable, calls.unreachable)
        self.ways = http_ways(counts)

    @property
    def trouble(self) -> str | None:
        """Why no line is up."""
        return self.hub.trouble

    async def restore(self, database: Database) -> None:
        """The other broker keeps what waits for us."""

    def retained(self, topic_filter: str) -> None:
        """The other broker keeps them."""
        _ = topic_filter

    async def open(self, doors: Doors) -> str:
        """Where the other broker listens; it may be away for now."""
        _ = doors
        return self._where

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """The lines."""
        return [("upstream", self.hub.run())]

    async def stop(self) -> None:
        """Read nothing more; what is committed is still acknowledged until the task ends."""
        self.ways.close()
        self.hub.pressure(True)


def carrier(
    config: Config,
    topics: Topics,
    registry: Registry,
    permissions: Permissions,
    attempts: Attempts,
    counts: Counts,
    calls: Calls,
    quiet: Quiet,
) -> Embedded | External:
    """As `broker.mode` says."""
    if config.broker.mode == "external":
        return External(config, topics, counts, calls)
    return Embedded(config, registry, permissions, attempts, counts, calls, quiet)


def filters(config: Config) -> tuple[str, ...]:
    """The topic filters that cover every scheme: prefix/{device}/{feature}/{action}/{kind} is what follows an owner."""
    fixed = tuple(f"{version}/{scheme}/+/+/+/+/+" for version in ("v1", "v2") for scheme in ("wudun", "user"))
    return fixed + tuple(f"{custom.prefix}/+/+/+/+" for custom in config.topics.custom)


def _speech(topics: Topics, anonymous: bool, topic: str) -> Speech | None:
    address = topics.parse(topic)
    if address is None:
        return None
    command = address.kind == "command"
    device = ANONYMOUS if anonymous else Principal("device", address.device)
    return Speech(PLATFORM if command else device, address.device, address.prefix, command)
