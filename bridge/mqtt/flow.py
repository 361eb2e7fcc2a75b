"""The state of one session's messages (MQTT 3.1.1 and 5, sections 4.1, 4.3, 4.4, 4.6), pure: no clock, no I/O.

Outbound keeps every message that a client has not finished, in order. A message gets its packet id when it enters, not when it is
first sent: an id that was written to disk with the message is the same after a restart of the server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

RESERVED: Final = 0
QUEUED: Final = 1
SENT: Final = 2
RELEASED: Final = 3
"""States of a Delivery: not to be sent yet; not sent on this connection; PUBLISH sent; PUBREC received (QoS 2)."""

PACKET_IDS: Final = 65_535


class Message:
    """An application message on its way to subscribers. `id` is its row (0: not durable), `holders` counts the deliveries
    that need the row. `properties` are MQTT 5's of the publisher, encoded without their length; the message ends at `expires`,
    epoch ms (0: never)."""

    __slots__ = ("expires", "holders", "id", "parts", "payload", "properties", "topic")

    def __init__(
        self, topic: str, payload: bytes, message_id: int = 0, properties: bytes = b"", expires: int = 0
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.id = message_id
        self.properties = properties
        self.expires = expires
        self.holders = 0
        self.parts: dict[int, bytes] = {}
        """Encoded parts of the PUBLISH by first byte, for all clients that get it alike."""


class Delivery:
    """One message for one client at QoS 1 or 2. `row` is its queue row (0: not durable), `acked` is told of the last
    acknowledgement, `identifiers` are those of the client's subscriptions, `shared` is the shared subscription that it came
    by, or "". `number` is its place among all messages of its client."""

    __slots__ = (
        "acked",
        "dup",
        "identifiers",
        "message",
        "number",
        "packet_id",
        "qos",
        "retain",
        "row",
        "shared",
        "state",
    )

    def __init__(
        self,
        packet_id: int,
        message: Message,
        qos: int,
        *,
        retain: bool = False,
        row: int = 0,
        identifiers: tuple[int, ...] = (),
        shared: str = "",
    ) -> None:
        self.identifiers = identifiers
        self.shared = shared
        self.packet_id = packet_id
        self.number = 0
        self.message = message
        self.qos = qos
        self.retain = retain
        self.row = row
        self.state = RESERVED
        self.dup = False
        self.acked: Callable[[], None] | None = None

    @property
    def size(self) -> int:
        """Bytes that it counts for in a bounded queue."""
        return len(self.message.topic) + len(self.message.payload)


class Budget:
    """Bytes that all clients together may have yet to receive."""

    __slots__ = ("max_bytes", "size")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size = 0


class Outbound:
    """What one client has yet to receive. `window` bounds the unacknowledged, `max_messages` and `max_bytes` everything, `budget`
    everything of all clients.

    Packet ids go round in the order of arrival. A message whose id is still another's when it is sent, 65,535 places before it,
    gets the next one that is free.
    """

    __slots__ = ("_last", "budget", "entries", "max_bytes", "max_messages", "sent", "size", "waiting", "window")

    def __init__(self, window: int, max_messages: int, max_bytes: int, budget: Budget | None = None) -> None:
        self.budget = budget or Budget(max_bytes)
        self.window = window
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.entries: dict[int, Delivery] = {}
        """By number, in order of arrival."""
        self.sent: dict[int, Delivery] = {}
        """The unacknowledged by packet id."""
        self.waiting: deque[Delivery] = deque()
        """Ready to be sent, in order."""
        self.size = 0
        self._last = 0

    def reserve(
        self,
        message: Message,
        qos: int,
        *,
        retain: bool = False,
        row: int = 0,
        identifiers: tuple[int, ...] = (),
        shared: str = "",
    ) -> Delivery | None:
        """Take a message in, not to be sent yet; None when the queue is full."""
        size = len(message.topic) + len(message.payload)
        if len(self.entries) >= self.max_messages or (self.entries and self.size + size > self.max_bytes):
            return None
        if self.budget.size + size > self.budget.max_bytes and self.budget.size:
            return None
        packet_id = self._last % PACKET_IDS + 1
        delivery = Delivery(packet_id, message, qos, retain=retain, row=row, identifiers=identifiers, shared=shared)
        self._last = delivery.number = self._last + 1
        self.entries[delivery.number] = delivery
        self.size += size
        self.budget.size += size
        return delivery

    @property
    def inflight(self) -> int:
        """How many are unacknowledged."""
        return len(self.sent)

    @property
    def full(self) -> bool:
        """Whether no message can be taken in."""
        return len(self.entries) >= self.max_messages or self.size >= self.max_bytes

    def restore(self, delivery: Delivery) -> None:
        """Take in what a server that stopped has left; it may have been sent before, so DUP is set."""
        self._last += (delivery.packet_id - 1 - self._last) % PACKET_IDS + 1
        delivery.number = self._last
        self.entries[delivery.number] = delivery
        self.size += delivery.size
        self.budget.size += delivery.size
        delivery.dup = True
        if delivery.state == RESERVED:
            delivery.state = QUEUED
        self.waiting.append(delivery)

    def ready(self, delivery: Delivery) -> None:
        """A reserved message may be sent now."""
        delivery.state = QUEUED
        self.waiting.append(delivery)

    def take(self) -> Delivery | None:
        """The next message to send: its PUBLISH, or its PUBREL when `state` is RELEASED. None when the window is full."""
        waiting, sent = self.waiting, self.sent
        if not waiting or len(sent) >= self.window:
            return None
        delivery = waiting.popleft()
        while delivery.packet_id in sent:
            delivery.packet_id = delivery.packet_id % PACKET_IDS + 1
        sent[delivery.packet_id] = delivery
        if delivery.state == QUEUED:
            delivery.state = SENT
        return delivery

    def acknowledge(self, packet_id: int) -> Delivery | None:
        """PUBACK: gives the finished delivery; None when the id is not waiting for one."""
        delivery = self.sent.get(packet_id)
        if delivery is None or delivery.qos != 1:
            return None
        del self.sent[packet_id]
        del self.entries[delivery.number]
        self._forget(delivery)
        return delivery

    def receive(self, packet_id: int) -> Delivery | None:
        """PUBREC: the message will not be sent again [MQTT-4.3.3-1]. None when the id is unknown; a repeated PUBREC gives the
        same delivery, RELEASED already."""
        delivery = self.sent.get(packet_id)
        return delivery if delivery is not None and delivery.qos == 2 else None

    def release(self, delivery: Delivery) -> None:
        """From now on PUBREL is sent in place of the PUBLISH."""
        delivery.state = RELEASED

    def complete(self, packet_id: int) -> Delivery | None:
        """PUBCOMP: gives the finished delivery; None when the id is not waiting for one."""
        delivery = self.sent.get(packet_id)
        if delivery is None or delivery.state != RELEASED:
            return None
        self.discard(delivery)
        return delivery

    def discard(self, delivery: Delivery) -> None:
        """Forget a delivery in any state."""
        if self.entries.get(delivery.number) is not delivery:
            return
        if self.sent.get(delivery.packet_id) is delivery:
            del self.sent[delivery.packet_id]
        elif delivery in self.waiting:
            self.waiting.remove(delivery)
        del self.entries[delivery.number]
        self._forget(delivery)

    def resume(self) -> None:
        """A new connection of the same session: everything unfinished is sent again, in its order and with its packet ids
        [MQTT-4.4.0-1] [MQTT-4.6.0-1]; PUBLISH with DUP [MQTT-3.3.1-1]."""
        self.sent.clear()
        self.waiting = deque(delivery for delivery in self.entries.values() if delivery.state != RESERVED)
        for delivery in self.waiting:
            if delivery.state == SENT:
                delivery.state = QUEUED
                delivery.dup = True

    def _forget(self, delivery: Delivery) -> None:
        size = delivery.size
        self.size -= size
        self.budget.size -= size

    def end(self) -> None:
        """The session is over: give its bytes back."""
        self.budget.size -= self.size
        self.budget = Budget(self.max_bytes)
