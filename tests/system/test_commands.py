"""No stale command runs: a real service, a device that acknowledges nothing, one that comes too late."""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from typing import Any

import aiohttp
import pytest
from aiomqtt import Client as Aiomqtt
from aiomqtt import ProtocolVersion
from harness import messages, wire
from harness.api import Api
from harness.process import Bridge, Secret
from harness.wire import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

UID = "LATE001"
WINDOW = 100
"""[broker] inflight."""


class Mute(Client):
    """Acknowledges what it gets only when it is told to."""

    unacknowledged: list[bytes]

    def _publish(self, first: int, body: bytes) -> None:
        size = struct.unpack(">H", body[:2])[0]
        self.unacknowledged.append(body[2 + size : 4 + size])
        self.inbox.put_nowait(wire.Got(body[2 : 2 + size].decode(), body[4 + size :], first >> 1 & 3, False, False))

    def acknowledge(self) -> None:
        for packet_id in self.unacknowledged:
            self.send(wire.packet(0x40, packet_id))
        self.unacknowledged.clear()


async def test_what_waited_for_the_window_is_not_written_after_its_deadline(
    bridge: Bridge, web: aiohttp.ClientSession
) -> None:
    secret, api = bridge.device(UID), Api(web, bridge, bridge.account("backend"))

    async def ask(**more: Any) -> Any:
        body = {"feature": "safety", "action": "sync", **more}
        return await api.post(f"/api/v1/devices/{UID}/commands", body, 200, 202)

    async with await Mute.raw(bridge.mqtt) as device:
        assert isinstance(device, Mute)
        device.unacknowledged = []
        device.send(wire.connect(UID, *secret))
        await wire.within(wire.PATIENCE_S, device.connected)
        await device.subscribe(f"v1/wudun/PK001/{UID}/+/+/command")
        asked = await asyncio.gather(*(ask(timeout_s=1.5, wait_s=20) for _ in range(WINDOW + 20)))
        assert {command["state"] for command in asked} == {"timed_out"}
        assert device.inbox.qsize() == WINDOW
        device.acknowledge()
        last = await ask()
        got = [(await device.get()) for _ in range(WINDOW + 1)]
        mids = [json.loads(each.payload)["mid"] for each in got]
        assert mids[-1] == last["mid"]
        assert len(set(mids)) == WINDOW + 1
        assert device.inbox.empty()


async def test_a_command_that_expired_while_its_device_was_away_never_runs(
    bridge: Bridge, web: aiohttp.ClientSession
) -> None:
    """MQTT 5: message expiry of the publisher."""
    secret, account = bridge.device(UID), bridge.account("backend")
    api = Api(web, bridge, account)
    mid = str(uuid.uuid4())
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = 1
    async with _five(bridge, account) as backend:
        topic, payload = messages.topic(UID, "safety/sync/command"), messages.command(UID, "safety_sync", mid=mid)
        await backend.publish(topic, payload, qos=1, properties=properties)
    command = await api.get(f"/api/v1/commands/{mid}", wait_s=20)
    assert (command["state"], command["hold_until"] - command["created_at"]) == (
        "expired",
        pytest.approx(1000, abs=100),
    )
    async with await Client.open(bridge.mqtt, UID, *secret) as device:
        await device.subscribe(f"v1/wudun/PK001/{UID}/+/+/command")
        body = {"feature": "safety", "action": "sync"}
        later = await api.post(f"/api/v1/devices/{UID}/commands", body, 202)
        assert json.loads((await device.get()).payload)["mid"] == later["mid"]


def _five(bridge: Bridge, account: Secret) -> Aiomqtt:
    host, port = bridge.mqtt
    return Aiomqtt(
        host, port, username=account.name, password=account.secret, identifier="five", protocol=ProtocolVersion.V5
    )
