"""From the configuration's words to each room's own settings."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from bridge.broker.access import Access, Builtin
from bridge.broker.door import DoorLimits
from bridge.broker.limits import Limits as BrokerLimits
from bridge.broker.line import Remote
from bridge.certificates import ClientFiles, client_context
from bridge.cloud.cloud import Cloud, Signed
from bridge.cloud.cloud import Settings as CloudSettings
from bridge.cloud.statistics_answer import Rules, Statistics
from bridge.cloud.statistics_tariff import Period
from bridge.config import Config
from bridge.config.settings import Webhook
from bridge.core.attempts import AttemptLimits, Attempts
from bridge.core.commands import Limits as CommandLimits
from bridge.core.permissions import Permissions
from bridge.core.registry import Registry
from bridge.counts import Counts
from bridge.http.auth import authoriser, may_read
from bridge.http.belimo_grants import Client
from bridge.http.belimo_state import Belimo
from bridge.http.belimo_state import Settings as BelimoSettings
from bridge.http.enos_apps import Enos
from bridge.http.enos_apps import Settings as EnosSettings
from bridge.http.enos_poseidon import load
from bridge.http.enos_signing import App
from bridge.http.services import Limits as HttpLimits
from bridge.mirror.rows import Row
from bridge.mirror.sink import SinkConfig
from bridge.store.database import Database
from bridge.store.dialect import Postgres
from bridge.store.equipment import Equipment
from schemas.topics import CustomPrefix

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from bridge.broker.access_gate import TopicGate
    from bridge.broker.access_plugins import PluginThread

log = logging.getLogger(__name__)

LOCAL_SINK = "local"
WEBHOOK_ROWS = 100
"""Events between two marks of how far a webhook is: so many at most are posted again after a crash."""
LOCAL_ROWS = 500
LOCAL_AGE_S = 0.2
"""Between a report's PUBACK and its readings in our own query APIs; loopback needs no large batches, and no gzip."""


def custom_prefixes(config: Config) -> tuple[CustomPrefix, ...]:
    """[[topics.custom]]"""
    return tuple(CustomPrefix(each.prefix, each.owner, each.version) for each in config.topics.custom)


def broker_limits(config: Config) -> BrokerLimits:
    """[broker]"""
    broker = config.broker
    return BrokerLimits(
        max_packet_bytes=broker.max_packet_bytes,
        connect_timeout_s=broker.connect_timeout_s,
        max_connections=broker.max_connections,
        inflight=broker.inflight,
        queue_messages=broker.queue_messages,
        queue_bytes=broker.queue_bytes,
        queue_total_bytes=broker.queue_total_bytes,
        max_sessions=broker.max_sessions,
        session_expiry_s=broker.session_expiry_s,
        max_keep_alive_s=broker.max_keep_alive_s,
        topic_aliases=broker.topic_aliases,
        subscriptions=broker.max_subscriptions,
        retained_messages=broker.retained_messages,
        retained_bytes=broker.retained_bytes,
        publish_rate=broker.publish_rate,
        publish_bytes_rate=broker.publish_bytes_rate,
        throttle_s=broker.throttle_s,
        sys_interval_s=broker.sys_interval_s,
    )


def remote(config: Config) -> Remote:
    """[broker.external]. Raises ConfigError for a certificate that cannot be used."""
    section = config.broker.external
    parts = urlsplit(section.url)
    tls = None
    if parts.scheme == "mqtts":
        tls = client_context(ClientFiles(section.ca, section.certificate, section.key), "broker.external")
    return Remote(
        parts.hostname or "",
        parts.port or (1883 if tls is None else 8883),
        section.client_id,
        section.username or None,
        section.password.encode() if section.username else None,
        tls,
        max_packet_bytes=config.broker.max_packet_bytes,
    )


def door_limits(config: Config) -> DoorLimits:
    """[broker]: who may connect."""
    broker = config.broker
    return DoorLimits(
        broker.max_connections,
        broker.max_connections_per_address,
        broker.connect_rate,
        broker.connect_rate_per_address,
    )


def attempt_limits(config: Config) -> AttemptLimits:
    """[broker]: who may try to log in."""
    broker = config.broker
    return AttemptLimits(
        broker.login_failures,
        broker.login_failures_per_address,
        broker.login_ban_s,
        broker.login_ban_max_s,
    )


def broker_access(
    config: Config, registry: Registry, permissions: Permissions
) -> tuple[Access, TopicGate | None, PluginThread | None]:
    """The registry as the broker asks it, and beside it what [broker.plugins] names. Raises ConfigError."""
    builtin = Builtin(
        registry.authenticate,
        registry.find,
        permissions.may_subscribe,
        permissions.may_read,
        config.broker.allow_anonymous,
        registry.certified,
        registry.recognised,
        registry.certain,
    )
    if not config.broker.plugins:
        return builtin, None, None
    from bridge.broker.access_gate import TopicGate  # amqtt takes half a second to import
    from bridge.broker.access_plugins import PluginAccess, PluginThread

    plugins = PluginThread(config.broker.plugins)
    return PluginAccess(builtin, plugins), TopicGate(plugins) if plugins.filters else None, plugins


def command_limits(config: Config) -> CommandLimits:
    """[commands]"""
    return CommandLimits(config.commands.timeout_s, config.commands.hold_s, config.commands.max_hold_s)


def http_limits(config: Config) -> HttpLimits:
    """[http]"""
    http = config.http
    return HttpLimits(http.max_body_bytes, http.max_wait_s, http.max_streams, http.heartbeat_s, config.devices.timezone)


async def open_belimo(config: Config, database: Database, registry: Registry, cloud: Cloud) -> Belimo:
    """[belimo]. Raises StoreError."""
    section = config.belimo
    clients = tuple(Client(each.id, each.secret, each.account, each.redirect_uris) for each in section.clients)
    settings = BelimoSettings(
        clients, section.access_token_s, section.refresh_token_days, section.units == "si", section.data_rate
    )
    return await Belimo.open(settings, database, registry, cloud)


def enos(config: Config, registry: Registry, counts: Counts, attempts: Attempts, clock: Callable[[], int]) -> Enos:
    """[enos]; `clock` gives ms. Raises ConfigError."""
    section = config.enos
    apps = tuple(App(each.key, each.secret, each.account) for each in section.apps)
    key = load(section.private_key) if section.private_key else None
    if section.unverified_poseidon != "off":
        log.warning("enos.unverified_poseidon: who knows an appKey passes for its application, from %s",
                    "this machine" if section.unverified_poseidon == "loopback" else "anywhere")  # fmt: skip
    settings = EnosSettings(apps, section.token_s, section.clock_s, key, section.unverified_poseidon)
    return Enos(settings, registry, attempts, counts, clock)


async def open_cloud(
    config: Config,
    directory: Path,
    registry: Registry,
    counts: Counts,
    attempts: Attempts,
    signed: Signed,
    clock: Callable[[], int],
) -> Cloud:
    """[cloud], with the registry's keys, owners and time zones; `signed` knows applications of EnOS, `clock` the time in ms."""

    def timezone_of(uid: str) -> str | None:
        device = registry.device(uid)
        return device.timezone if device is not None else None

    settings = CloudSettings(
        localtime_style=config.cloud.localtime_style,
        lenient_interval=config.cloud.lenient_interval,
        timezone=config.devices.timezone,
        max_body_bytes=config.cloud.max_body_bytes,
        raw_days=config.cloud.raw_days,
        rollup_days=config.cloud.rollup_days,
    )
    where = time_series(config, directory)
    if isinstance(where, Postgres) and (directory / "series.db").is_file():
        log.warning("%s is not read: the time series are in PostgreSQL", directory / "series.db")
    return await Cloud.open(
        where,
        settings,
        counts=counts,
        authorize=authoriser(registry, config.broker.allow_anonymous, attempts, counts),
        may_read=lambda principal, uid: may_read(registry, principal, uid),
        timezone_of=timezone_of,
        clock=clock,
        signed=signed,
    )


def time_series(config: Config, directory: Path) -> Path | Postgres:
    """Where the time series lie."""
    section, path = config.cloud, directory / "series.db"
    return Postgres(section.database, section.database_schema) if section.database else path


def statistics(config: Config, database: Database, cloud: Cloud) -> Statistics:
    """[statistics]"""
    section = config.statistics
    periods = tuple(
        Period(each.price, _minutes(each.start), _minutes(each.end), frozenset(each.months), frozenset(each.weekdays))
        for each in section.periods
    )
    rules = Rules(section.timezone, section.price, periods, section.energy, int(section.hold_s * 1000))
    return Statistics(cloud, Equipment(database), rules)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def sinks(config: Config, local: str, token: str) -> list[SinkConfig]:
    """[mirror]: the configured sinks, and our own ingestion endpoint at `local` (HOST:PORT) with the operator's token."""
    found = [msgspec.convert(sink, SinkConfig, from_attributes=True) for sink in config.mirror.sinks]
    if config.mirror.local:
        url = f"http://{local}/ingest/v1/power"
        found.append(
            SinkConfig(
                name=LOCAL_SINK,
                url=url,
                format="samples",
                token=token,
                batch_rows=LOCAL_ROWS,
                batch_age_s=LOCAL_AGE_S,
                gzip=False,
            )
        )
    return found


def sink_tls(config: Config) -> dict[str, ssl.SSLContext]:
    """How https is spoken with the sinks that say so, by their names. Raises ConfigError for files that cannot be used."""
    return {
        sink.name: client_context(
            ClientFiles(sink.tls.ca, sink.tls.certificate, sink.tls.key), f"mirror.sinks[{index}].tls"
        )
        for index, sink in enumerate(config.mirror.sinks)
        if any((sink.tls.ca, sink.tls.certificate))
    }


def webhook_sink(webhook: Webhook) -> SinkConfig:
    """[[webhooks]]: one event a request, no waiting for more."""
    return SinkConfig(
        name=webhook.name,
        url=webhook.url,
        format="events",
        secret=webhook.secret,
        batch_rows=WEBHOOK_ROWS,
        batch_age_s=0,
        timeout_s=webhook.timeout_s,
        gzip=False,
    )


def webhook_wants(webhook: Webhook, owners: Callable[[str], tuple[str, ...]]) -> Callable[[Row], bool]:
    """Whether an event is for this webhook: by its type, its device, and that one's owners at the moment."""

    def wants(row: Row) -> bool:
        if row.asset not in webhook.events or row.addressee not in ("", webhook.name):
            return False
        if webhook.devices and row.device not in webhook.devices:
            return False
        return not webhook.owners or any(owner in webhook.owners for owner in owners(row.device))

    return wants
