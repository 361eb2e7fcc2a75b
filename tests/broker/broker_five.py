"""A client that speaks MQTT 5 packets to a Rig, and acknowledges nothing by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from broker_rig import Client, Rig

from bridge.mqtt import packets, packets5, properties
from bridge.mqtt.framing import CONNACK, DISCONNECT, PUBLISH, SUBACK, Framing
from bridge.mqtt.packets import Connect, Will
from bridge.mqtt.properties import Properties


class Got(NamedTuple):
    """A PUBLISH that came."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    found: Properties
    packet_id: int = 0
    dup: bool = False


class Five(Client):
    """`code`, `present` and `found` are the CONNACK's."""

    def __init__(self, rig: Rig, connect: Connect) -> None:
        super().__init__(rig, connect)
        self.framing = Framing(version=5)
        self.code, self.found = -1, {}

    async def log_in(self) -> tuple[int, bool]:
        await self.open()
        self.send(packets.encode_connect(self.connect))
        first, _, _, body = await self.frame()
        assert first == CONNACK
        self.present, self.code, self.found = packets5.decode_connack(body)
        return self.code, self.present

    async def got(self) -> Got:
        first, topic, packet_id, body = await self.frame()
        assert first & 0xF0 == PUBLISH, hex(first)
        found, payload = packets5.decode_publish(body)
        return Got(topic, payload, first >> 1 & 3, bool(first & 1), found, packet_id, bool(first & 8))

    async def want(self, *filters: tuple[str, int], found: Properties | None = None) -> list[int]:
        """Subscribe to (filter, options) pairs; gives the codes."""
        packet_id = self._next()
        self.send(packets5.encode_subscribe(packet_id, filters, found))
        first, _, answered, body = await self.frame()
        assert (first, answered) == (SUBACK, packet_id)
        return packets5.decode_codes(body)[0]

    async def say(
        self, topic: str, payload: bytes, qos: int = 0, found: Properties | None = None, *, retain: bool = False
    ) -> tuple[int, str]:
        """Publish; gives (reason code, reason string) of PUBACK or PUBREC, and sees QoS 2 through."""
        packet_id = self._next() if qos else 0
        self.send(packets5.encode_publish(topic, payload, qos, found, retain=retain, packet_id=packet_id))
        if not qos:
            return 0, ""
        first, _, answered, body = await self.frame()
        assert (first, answered) == (0x40 if qos == 1 else 0x50, packet_id), hex(first)
        code, why = packets5.decode_ack(body)
        if qos == 2 and code < 0x80:
            self.send(packets5.encode_ack(0x62, packet_id))
            assert (await self.frame())[::2] == (0x70, packet_id)
        return code, why.get(properties.REASON_STRING, "")

    async def goodbye(self) -> tuple[int, str]:
        """(reason code, reason string) of the DISCONNECT that comes next."""
        first, _, _, body = (await self.closed())[-1]
        assert first == DISCONNECT, hex(first)
        code, found = packets5.decode_disconnect(body)
        return code, found.get(properties.REASON_STRING, "")


def five(
    rig: Rig, client_id: str = "c", found: Properties | None = None, will: Will | None = None, **more: Any
) -> Five:
    return Five(rig, Connect(client_id, version=5, properties=found or {}, will=will, **more))
