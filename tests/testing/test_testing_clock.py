"""What goes by the held clock: deadlines of messages, sessions, wills and tokens, as those of commands."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import aiohttp
import aiomqtt
import pytest
from aiomqtt import ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.testing import Bridge, Clock, Fleet
from bridge.testing.bridge import Secret
from schemas.envelope import new_mid

DAY_S = 86_400


def found(packet: int, **values: Any) -> Properties:
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def client(bridge: Bridge, who: Secret, name: str, expiry: int = 0, **more: Any) -> aiomqtt.Client:
    """A client of MQTT 5 that comes back to its session."""
    return aiomqtt.Client(
        *bridge.mqtt, identifier=name, username=who.name, password=who.secret, protocol=ProtocolVersion.V5, clean_start=False,
        properties=found(PacketTypes.CONNECT, SessionExpiryInterval=expiry), **more,
    )  # fmt: skip


async def heard(bridge: Bridge, who: Secret, name: str, expiry: int = 0) -> list[tuple[bytes, int | None]]:
    """What a session gets when it comes back, up to a word that is published then: (payload, seconds that are left)."""
    got: list[tuple[bytes, int | None]] = []
    async with asyncio.timeout(10), client(bridge, who, name, expiry) as one:
        await one.subscribe("lab/#", qos=1)
        await one.publish("lab/end", b"end", qos=1)
        async for message in one.messages:
            if message.payload == b"end":
                return got
            left = getattr(message.properties, "MessageExpiryInterval", None)
            got.append((bytes(message.payload), left))  # type: ignore[arg-type]
    return got


def expiring(seconds: int) -> Properties:
    return found(PacketTypes.PUBLISH, MessageExpiryInterval=seconds)


@pytest.fixture
def me(ems_bridge: Bridge) -> Secret:
    return ems_bridge.account("lab")


@pytest.fixture
def ems_bridge_settings() -> dict[str, object]:
    return {"broker.other_topics": True}


async def test_messages_that_wait_expire(ems_bridge: Bridge, ems_clock: Clock, me: Secret) -> None:
    await heard(ems_bridge, me, "one", DAY_S)
    async with client(ems_bridge, me, "two") as two:
        for seconds in (60, 3_600):
            await two.publish("lab/a", f"{seconds}".encode(), qos=1, properties=expiring(seconds))
    ems_clock.advance(600)
    assert await heard(ems_bridge, me, "one", DAY_S) == [(b"3600", 3_000)]


async def test_retained_messages_expire(ems_bridge: Bridge, ems_clock: Clock, me: Secret) -> None:
    async with client(ems_bridge, me, "two") as two:
        for seconds in (60, 3_600):
            await two.publish(f"lab/{seconds}", b"kept", qos=1, retain=True, properties=expiring(seconds))
    ems_clock.advance(600)
    assert await heard(ems_bridge, me, "one") == [(b"kept", 3_000)]
    ems_clock.advance(3_000)
    assert await heard(ems_bridge, me, "three") == []


async def test_sessions_end(ems_bridge: Bridge, ems_clock: Clock, me: Secret) -> None:
    for name, expiry in (("short", 60), ("long", DAY_S)):
        await heard(ems_bridge, me, name, expiry)
    ems_clock.advance(600)
    async with client(ems_bridge, me, "two") as two:
        await two.publish("lab/a", b"news", qos=1)
    assert await heard(ems_bridge, me, "short", 60) == []
    assert await heard(ems_bridge, me, "long", DAY_S) == [(b"news", None)]
    ems_bridge.restart()
    ems_clock.advance(DAY_S - 60)
    async with client(ems_bridge, me, "two") as two:
        await two.publish("lab/a", b"more", qos=1)
    assert await heard(ems_bridge, me, "long", DAY_S) == [(b"more", None)]


async def test_a_will_that_was_put_off_comes(ems_bridge: Bridge, ems_clock: Clock, me: Secret) -> None:
    will = aiomqtt.Will("lab/will", b"gone", qos=1, properties=found(PacketTypes.WILLMESSAGE, WillDelayInterval=300))
    async with asyncio.timeout(20), client(ems_bridge, me, "one") as one:
        await one.subscribe("lab/#", qos=1)
        dying = client(ems_bridge, me, "dying", 3_600, will=will)
        await dying.__aenter__()
        house = ems_bridge.house
        house_loop = ems_bridge.engine
        house_loop.do(lambda: next(c for c in house.hub.connections if c.client_id == "dying").abort())  # type: ignore[union-attr]
        ems_bridge.until(lambda: house_loop.do(lambda: len(house.hub.connections)) == 1)  # type: ignore[union-attr]
        ems_clock.advance(299)
        await one.publish("lab/mark", b"not yet", qos=1)
        ems_clock.advance(1)
        assert [bytes((await anext(one.messages)).payload) for _ in range(2)] == [b"not yet", b"gone"]  # type: ignore[arg-type]
        with suppress(aiomqtt.MqttError):  # it was cut
            await dying.__aexit__(None, None, None)


async def test_a_platforms_command_expires(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock, me: Secret) -> None:
    device = ems_fleet("D1").device("D1").offline()
    ems_clock.advance(DAY_S)  # far from the wall's time
    mids = [new_mid(), new_mid()]
    async with client(ems_bridge, me, "office") as office:
        for mid, seconds in zip(mids, (60, 3_600), strict=True):
            command = {"mid": mid, "type": "safety_sync", "device_uid": "D1", "timestamp": ems_clock.now_ms()}
            await office.publish(
                "v1/wudun/PK1/D1/safety/sync/command", json.dumps(command), qos=1, properties=expiring(seconds)
            )
    assert [ems_bridge.state(mid) for mid in mids] == ["accepted", "accepted"]
    ems_clock.advance(600)
    assert [ems_bridge.state(mid) for mid in mids] == ["expired", "accepted"]
    device.online()
    ems_bridge.until(lambda: ems_bridge.state(mids[1]) == "succeeded")


@pytest.mark.ems_bridge({
    "belimo.clients": [{"id": "app", "secret": "its secret", "account": "office"}], "belimo.access_token_s": 600,
})  # fmt: skip
async def test_tokens_expire(ems_bridge: Bridge, ems_clock: Clock) -> None:
    ems_bridge.account("office")
    asked = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "its secret"}
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{ems_bridge.http}/oauth/token", data=asked) as answer:
            told = await answer.json()
            assert answer.status == 200, told
        login = {"Authorization": f"Bearer {told['access_token']}"}
        for seconds, status in ((0, 200), (599, 200), (2, 401)):
            ems_clock.advance(seconds)
            async with session.get(f"{ems_bridge.http}/api/v3/devices", headers=login) as answer:
                assert answer.status == status


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_time_goes_on_by_a_number_of_seconds(ems_fleet: Fleet, ems_clock: Clock, seconds: float) -> None:
    ems_fleet(1)
    before = ems_clock.timer()
    with pytest.raises(ValueError, match="time "):
        ems_clock.advance(seconds)
    assert ems_clock.timer() == before
