"""What the routes need, filled by the app: one field a room, no globals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.cloud.cloud import Cloud
from bridge.cloud.statistics_answer import Statistics
from bridge.core.attempts import Attempts
from bridge.core.commands import Commands
from bridge.core.events import Events
from bridge.core.presence import Presence
from bridge.core.principal import Principal
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.http.auth import Authorise, authoriser, may_read
from bridge.http.belimo_state import Belimo
from bridge.http.enos_apps import Enos
from bridge.store.dead import Wanted
from bridge.store.ledger import Ledger
from bridge.store.platform import Platform

Check = Callable[[], "str | None"]
"""None when fine, else the reason why the service is not ready."""


class Replays(Protocol):
    """Dead letters through the pipeline again: {id, outcome, reason, path, detail} of each."""

    async def one(self, number: int) -> dict[str, Any]: ...
    async def some(self, wanted: Wanted, limit: int) -> list[dict[str, Any]]: ...


class Evaluate(Protocol):
    """A strategy on a simulated site: the JSON of an EvaluationBody. Raises Unprocessable with a JSON path, Exhausted."""

    async def __call__(self, strategy: Any, site: Mapping[str, Any], days: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The [http] section and what concerns HTTP of [commands] and [devices]."""

    max_body_bytes: int = 1024 * 1024
    max_wait_s: float = 60.0
    max_streams: int = 100
    heartbeat_s: float = 15.0
    timezone: str = "UTC"


@dataclass(slots=True, kw_only=True)
class Receiving:
    """What every window has behind it: the receiving side and who may look at it.

    `attempts` counts wrong keys beside wrong MQTT passwords. `ready` maps a name to a check, `sinks` gives the
    couriers' states (http/sinks.py). `closing` is set when the server
    begins to stop: streams and long polls end then.
    """

    registry: Registry
    cloud: Cloud
    belimo: Belimo
    enos: Enos
    statistics: Statistics
    counts: Counts
    attempts: Attempts = field(default_factory=Attempts)
    ready: Mapping[str, Check]
    sinks: Callable[[], list[dict[str, Any]]] = list
    allow_anonymous: bool = False
    limits: Limits = field(default_factory=Limits)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    authorise: Authorise = field(init=False)

    def __post_init__(self) -> None:
        """Who asks is asked in one place."""
        self.authorise = authoriser(self.registry, self.allow_anonymous, self.attempts, self.counts)

    def may_read(self, principal: Principal, uid: str | None) -> bool:
        """Whether `principal` may see what belongs to device `uid`."""
        return may_read(self.registry, principal, uid)


@dataclass(slots=True, kw_only=True)
class Services(Receiving):
    """The rooms of a whole bridge. `replays` sends dead letters through the pipeline again."""

    presence: Callable[[str], Presence]
    commands: Commands
    ledger: Ledger
    platform: Platform
    licenses: Attempts
    """Wrong license codes of the vendor's platform API."""
    events: Events
    replays: Replays
    evaluate: Evaluate
