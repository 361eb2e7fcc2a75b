"""`$SYS/broker/…`: what the broker says of itself, under the names that Mosquitto gives (mosquitto(8), Broker Status).

Retained, never on disk, published when a value has changed. Numbers are decimal text, `uptime` is `N seconds`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import TYPE_CHECKING, Final

from bridge.broker.losses import DROPPED
from bridge.broker.retained import Kept
from bridge.core.record import Record, Route

if TYPE_CHECKING:
    from bridge.broker.hub import Hub

MINUTES: Final = (1, 5, 15)
"""What the load averages are over."""
LOADS: Final = (
    "messages/received", "messages/sent", "publish/received", "publish/sent", "bytes/received", "bytes/sent",
    "connections",
)  # fmt: skip
"""`$SYS/broker/load/{name}/{n}min`: so many a minute."""


class System:
    """Values of one hub; `publish` them from time to time."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = monotonic) -> None:
        self._hub = hub
        self._clock = clock
        self._began = clock()
        self._maximum = 0
        self._said: dict[str, str] = {}
        self._past: deque[tuple[float, dict[str, float]]] = deque()

    def publish(self) -> None:
        """Tell what has changed."""
        hub = self._hub
        for name, value in self._values().items():
            if self._said.get(name) == value:
                continue
            self._said[name] = value
            topic = f"$SYS/broker/{name}"
            hub.retained.apply([Kept(topic, hub.retained.next_group(), 0, value.encode())])
            record = Record()
            record.routes.append(Route((topic,), value.encode(), 0))
            hub.deliver(record)

    def _values(self) -> dict[str, str]:
        totals = self._totals()
        now = self._clock()
        found: dict[str, float | str] = {
            "version": f"ems-bridge version {_version()}",
            "uptime": f"{int(now - self._began)} seconds",
            **self._clients(),
            **{name: int(value) for name, value in totals.items() if name != "connections"},
            "messages/stored": int(self._gauge("ems_bridge_mqtt_queued")) + len(self._hub.retained),
            "store/messages/count": int(self._gauge("ems_bridge_mqtt_queued")) + len(self._hub.retained),
            "store/messages/bytes": int(self._gauge("ems_bridge_mqtt_queued_bytes")) + self._hub.retained.size,
            "retained messages/count": len(self._hub.retained),
            "subscriptions/count": self._hub.sessions.subscriptions.count,
            "shared_subscriptions/count": self._hub.sessions.subscriptions.shared,
        }
        return {name: str(value) for name, value in (found | self._loads(now, totals)).items()}

    def _clients(self) -> dict[str, float | str]:
        hub = self._hub
        connected = sum(connection.session is not None for connection in hub.connections)
        total = len(hub.sessions)
        self._maximum = max(self._maximum, connected)
        return {
            "clients/total": total,
            "clients/connected": connected,
            "clients/disconnected": total - connected,
            "clients/maximum": self._maximum,
            "clients/expired": int(hub.counts.value("ems_bridge_mqtt_sessions_expired")),
        }

    def _totals(self) -> dict[str, float]:
        hub, counts = self._hub, self._hub.counts
        dropped = sum(value for (name, _), value in counts.values.items() if name == DROPPED)
        return {
            "messages/received": counts.value("ems_bridge_mqtt_packets_in"),
            "messages/sent": counts.value("ems_bridge_mqtt_packets_out"),
            "bytes/received": counts.value("ems_bridge_mqtt_bytes_in"),
            "bytes/sent": counts.value("ems_bridge_mqtt_bytes_out"),
            "publish/messages/received": hub.published_in,
            "publish/messages/sent": hub.published_out,
            "publish/messages/dropped": dropped,
            "connections": hub.accepted,
        }

    def _loads(self, now: float, totals: dict[str, float]) -> dict[str, float]:
        """Averages over the past minutes, as far as the process is so old."""
        past = self._past
        past.append((now, totals))
        while len(past) > 1 and past[1][0] <= now - MINUTES[-1] * 60:
            past.popleft()
        found: dict[str, float] = {}
        for minutes in MINUTES:
            since, then = next(((at, old) for at, old in past if at > now - minutes * 60 - 1), past[-1])
            for load in LOADS:
                name = load.replace("publish/", "publish/messages/")
                rate = (totals[name] - then[name]) / (now - since) * 60 if now > since else 0.0
                found[f"load/{load}/{minutes}min"] = round(rate, 2)
        return found

    def _gauge(self, name: str) -> float:
        return self._hub.counts.gauges[name, ()]()


def _version() -> str:
    try:
        return version("ems-bridge")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
