"""Two brokers that get the same steps: clients in pairs, in bytes, and what each subscriber saw of both."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from harness import wire
from harness.wire import PATIENCE_S, UNSUBACK, Client, Got, within

Address = tuple[str, int]
Heard = dict[tuple[str, bytes, bool], int]
"""(topic, payload, RETAIN) -> highest QoS at which it came."""


class Will(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


def connect(client_id: str, clean: bool, will: Will | None) -> bytes:
    flags, body = clean << 1, wire.text(client_id)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        body += wire.text(will.topic) + wire.text(will.payload)
    return wire.packet(0x10, wire.text("MQTT") + bytes((4, flags)) + struct.pack(">H", 0) + body)


class Twin:
    """One client of one broker. Every step ends when the broker has dealt with it."""

    def __init__(self, address: Address, client_id: str) -> None:
        self.address = address
        self.client_id = client_id
        self.wire: Client | None = None

    async def connect(self, clean: bool, will: Will | None) -> bool:
        """Whether a session was present."""
        self.wire = await Client.raw(self.address)
        self.wire.send(connect(self.client_id, clean, will))
        assert await within(PATIENCE_S, self.wire.connected) == 0
        return bool(self.wire.connack[0])

    async def subscribe(self, topic_filter: str, qos: int) -> list[int]:
        assert self.wire is not None
        return await self.wire.subscribe(topic_filter, qos=qos)

    async def unsubscribe(self, topic_filter: str) -> None:
        assert self.wire is not None
        packet_id = next(self.wire._ids)
        ended = self.wire._wait(UNSUBACK, packet_id)
        self.wire.send(wire.packet(0xA2, struct.pack(">H", packet_id) + wire.text(topic_filter)))
        await within(PATIENCE_S, ended)

    async def publish(self, messages: list[tuple[str, bytes, int, bool]]) -> None:
        """All at once; QoS 1 and 2 are waited for."""
        assert self.wire is not None
        waiting = [
            self.wire.publish(topic, payload, qos=qos, retain=retain) for topic, payload, qos, retain in messages
        ]
        await asyncio.gather(*(within(PATIENCE_S, each) for each in waiting if not each.cancelled()))

    async def disconnect(self) -> None:
        assert self.wire is not None
        self.wire.send(b"\xe0\x00")
        await self.wire.ended()
        await self.cut()

    async def cut(self) -> None:
        assert self.wire is not None
        await self.wire.cut()
        self.wire = None

    async def until(self, mark: bytes) -> list[Got]:
        """What came before the message whose payload is `mark`."""
        assert self.wire is not None
        found = []
        while (got := await self.wire.get()).payload != mark:
            found.append(got)
        return found


def heard(messages: list[Got]) -> Heard:
    """Overlapping subscriptions may give a message once or once each, in either case at the QoS of any of them: the highest
    that came counts [MQTT-3.3.5-1]."""
    found: Heard = {}
    for got in messages:
        key = got.topic, got.payload, got.retain
        found[key] = max(got.qos, found.get(key, 0))
    return found


def order(messages: list[Got], published: Mapping[bytes, int]) -> dict[tuple[str, int], list[bytes]]:
    """Payloads as they came first, of each topic and QoS of publishing [MQTT-4.6.0-6]. Mosquitto hands a message at QoS 2 on with
    its PUBREL, we with its COMMIT, so that those of other QoS overtake it there."""
    found: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
    for got in messages:
        if not got.payload:  # it has no name
            continue
        line = found[got.topic, published.get(got.payload, 0)]
        if got.payload not in line:
            line.append(got.payload)
    return dict(found)
