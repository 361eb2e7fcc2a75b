"""What the routes of the Belimo-compatible API hold together."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, Self

from bridge.cloud.belimo_series import Latest
from bridge.cloud.cloud import Cloud
from bridge.core.principal import Principal
from bridge.core.registry import Registry
from bridge.http.belimo_grants import Client, Clients
from bridge.http.belimo_shapes import Span
from bridge.http.belimo_tokens import Offers, Tokens
from bridge.store.database import Database
from bridge.store.series import Asset
from bridge.store.tokens import Metadata, TokenStore

OFFERS: Final = 1_000
"""Downloads, and change streams, that are offered at a time."""
BURST_S: Final = 2.0
"""A bucket of requests holds what its rate gives in so long."""
REMEMBERED: Final = 10_000


class Settings(NamedTuple):
    """The [belimo] section."""

    clients: tuple[Client, ...] = ()
    access_token_s: int = 86_400
    refresh_token_days: float = 30.0
    si: bool = False
    data_rate: float = 0.0

    @property
    def lifetimes(self) -> tuple[int, int]:
        """Of access and refresh tokens, in ms."""
        return self.access_token_s * 1000, int(self.refresh_token_days * 86_400_000)


class Rate:
    """At most so many requests a second of each name, BURST_S of them at once; 0 is no bound."""

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, name: str) -> bool:
        """Whether one more is within it."""
        if not self._rate:
            return True
        now, most = self._clock(), max(1.0, self._rate * BURST_S)
        left, at = self._left.pop(name, (most, now))
        left = min(most, left + (now - at) * self._rate)
        self._left[name] = (left - 1 if left >= 1 else left), now
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return left >= 1


class Download(NamedTuple):
    """A table that may be fetched without a token. `principal` is who asked for it, and for what; `stamp` tells his account from
    a later one of the same name."""

    principal: Principal
    stamp: bytes | None
    device: str
    asked: Span


class Subscription(NamedTuple):
    """A change stream that may be opened. Empty sets mean all. `stamp` as in Download."""

    principal: Principal
    stamp: bytes | None
    devices: frozenset[str]
    datapoints: frozenset[str]


class Belimo:
    """Tokens, clients, metadata, newest values, offers."""

    def __init__(self, settings: Settings, tokens: Tokens, metadata: Metadata, cloud: Cloud) -> None:
        self.settings = settings
        self.tokens = tokens
        self.metadata = metadata
        self.clients = Clients(settings.clients, tokens.registry)
        self.latest = Latest(cloud)
        self.downloads: Offers[Download] = Offers(tokens.clock, OFFERS)
        self.subscriptions: Offers[Subscription] = Offers(tokens.clock, OFFERS)
        self.rate = Rate(settings.data_rate)
        self.streams: set[asyncio.Task[object]] = set()
        self.uids: dict[str, str] = {}
        self.uids_of = (-1, -1)
        """Id of a device -> its uid, and of which revision and number of assets that is."""
        self._cloud = cloud
        self._assets: dict[str, list[Asset]] = {}
        self._assets_of = -1

    def assets(self) -> dict[str, list[Asset]]:
        """Device -> its assets."""
        known = self._cloud.series.assets
        if len(known) != self._assets_of:
            self._assets, self._assets_of = {}, len(known)
            for asset in known.values():
                self._assets.setdefault(asset.device, []).append(asset)
        return self._assets

    @classmethod
    async def open(cls, settings: Settings, database: Database, registry: Registry, cloud: Cloud) -> Self:
        """With the tokens of the ledger. Raises StoreError."""
        tokens = Tokens(registry, TokenStore(database), cloud.clock)
        await tokens.restore()
        return cls(settings, tokens, Metadata(database), cloud)
