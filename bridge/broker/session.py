"""One client's session as the broker keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.broker.limits import Limits
from bridge.broker.replay import Replay
from bridge.core.principal import Principal
from bridge.mqtt.flow import Budget, Delivery, Outbound
from bridge.mqtt.packets import Will
from bridge.mqtt.packets5 import SHARED
from bridge.mqtt.topics import matches

if TYPE_CHECKING:
    from bridge.broker.connection import Connection

NEVER = 0xFFFF_FFFF
"""Session expiry in seconds that is none (MQTT 5, section 3.1.2.11.2)."""

Key = tuple[str, str, str]
"""(principal's kind, principal's name, client id): nobody can reach the session of another principal."""


class Session:
    """`id` is its row when it is durable, else 0. `connection` is None while the client is away. It outlives its connection by
    `expiry` seconds; `absence` counts how often its client went."""

    __slots__ = (
        "absence",
        "client_id",
        "connection",
        "durable",
        "ended",
        "expiry",
        "id",
        "inbound",
        "out",
        "principal",
        "replay",
        "subscriptions",
        "will",
    )

    def __init__(
        self, principal: Principal, client_id: str, session_id: int, limits: Limits, budget: Budget | None = None
    ) -> None:
        self.principal = principal
        self.client_id = client_id
        self.id = session_id
        self.durable = session_id != 0
        self.ended = False
        self.expiry = NEVER if self.durable else 0
        self.absence = 0
        self.will: Will | None = None
        """A will that waits for its delay."""
        self.connection: Connection | None = None
        self.subscriptions: dict[str, int] = {}
        """Options of each filter, with its identifier above them, as in Subscriptions."""
        self.out = Outbound(limits.inflight, limits.queue_messages, limits.queue_bytes, budget)
        self.inbound: dict[int, bool] = {}
        """QoS 2 packet ids that the client has not released; True after COMMIT."""
        self.replay = Replay()
        """Retained messages that a SUBSCRIBE asked for: sent when nothing else waits."""

    @property
    def key(self) -> Key:
        """What identifies it."""
        return self.principal.kind, self.principal.name, self.client_id

    def uids(self) -> set[str]:
        """Devices that can be reached through this session: its own, once it has subscribed to anything; of an anonymous one
        those that its filters name."""
        if self.principal.kind == "device":
            return {self.principal.name} if self.subscriptions else set()
        if self.principal.kind == "anonymous":
            return {uid for name in self.subscriptions if (uid := _named(name))}
        return set()

    def granted(self, topic: str) -> int:
        """The highest QoS of its filters that cover `topic`, -1 when none does."""
        return max((options & 3 for name, options in self.subscriptions.items() if matches(name, topic)), default=-1)

    @property
    def shares(self) -> list[str]:
        """Its shared subscriptions."""
        return [name for name in self.subscriptions if name.startswith(SHARED)]

    def forget_commands(self) -> list[Delivery]:
        """Drop the commands that the client has not acknowledged; their outcome is core's to decide."""
        commands = [delivery for delivery in self.out.entries.values() if delivery.acked is not None]
        for delivery in commands:
            self.out.discard(delivery)
        return commands


def _named(topic_filter: str) -> str:
    """The device that a filter names: before `feature/action/kind`, or before `#`; "" when it names none."""
    levels = topic_filter.split("/")
    place = 2 if levels[-1] == "#" else 4
    name = levels[-place] if len(levels) > place else ""
    return "" if name in ("+", "#") else name
