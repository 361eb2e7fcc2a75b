"""The change stream: its framing, who is told of what, and when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from http_belimo_rig import BASE, D1, MINUTE, POWER, ask, fill

from bridge.http.belimo_devices import device_id

if TYPE_CHECKING:
    from conftest import Window

D2 = device_id("D2")


@pytest.fixture
def config_of() -> dict[str, object]:
    return {"http.max_streams": 2, "http.heartbeat_s": 0.2}


async def offered(window: Window, key: str | None = None, **wanted: Any) -> str:
    status, said, _ = await window.call("POST", f"{BASE}/devices/change-stream", wanted, key=key)
    assert status == 200, said
    return str(said["token"])


@asynccontextmanager
async def listening(window: Window, token: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """An open stream, without any key, after its first heartbeat."""
    async with window.session.get(f"{window.url}{BASE}/devices/change-stream/{token}") as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        assert await chunk(response) == b":heartbeat\n\n"
        yield response


async def chunk(response: aiohttp.ClientResponse) -> bytes:
    """The next chunk as the server framed it."""
    parts = b""
    async with asyncio.timeout(20):
        while True:
            part, ends = await response.content.readchunk()
            parts += part
            if ends or not part:
                return parts


async def event(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next event; heartbeats are passed over. Three chunks, or the npm client drops it."""
    while (first := await chunk(response)) == b":heartbeat\n\n":
        pass
    assert first == b"data:"
    said: dict[str, Any] = json.loads(await chunk(response))
    assert await chunk(response) == b"\n\n"
    return said


async def test_a_device_is_told_when_it_changes(window: Window) -> None:
    await fill(window)
    async with listening(window, await offered(window)) as stream:
        await fill(window, values={100 * MINUTE: {"total_active_power": 42.0}})
        said = await event(stream)
        assert said == {"deviceId": D1, "device": await ask(window, "/devices/D1")}
        assert said["device"]["state"]["datapoints"][POWER] == {"value": 42.0}
        async with await window.connect("D2"):
            assert (await event(stream))["deviceId"] == D2
        assert (await event(stream))["deviceId"] == D2


async def test_heartbeats_come_whatever_else_does(window: Window) -> None:
    async with listening(window, await offered(window, includedDeviceIds=["none"])) as stream:
        for n in range(3):
            await fill(window, values={n * MINUTE: {"total_active_power": 1.0}})
            assert await chunk(stream) == b":heartbeat\n\n"


async def test_only_what_was_asked_for(window: Window) -> None:
    token = await offered(window, includedDeviceIds=[D1], includedDatapointIds=[POWER])
    async with listening(window, token) as stream:
        await fill(window, "D2.meter.12", {0: {"total_active_power": 1.0}})
        await fill(window, "D1.meter.12", {0: {"total_reactive_power": 1.0}})
        await fill(window, "D1", {0: {"soc": 1.0}})
        await fill(window, "D1.meter.12", {MINUTE: {"total_active_power": 2.0, "total_reactive_power": 3.0}})
        said = await event(stream)
        assert said["device"]["state"]["datapoints"] == {POWER: {"value": 2.0}}


async def test_an_account_hears_of_its_own_devices_only(window: Window) -> None:
    key = await window.house.registry.add_account("stranger", [("user", "other")])
    async with listening(window, await offered(window, key, includedDeviceIds=[])) as stream:
        await fill(window, "D1.meter.12", {0: {"total_active_power": 1.0}})
        await fill(window, "D2.meter.12", {0: {"total_active_power": 1.0}})
        assert (await event(stream))["deviceId"] == D2
        await window.house.registry.remove_device("D2")
        assert await event(stream) == {"deviceId": D2}
        await window.device("D3", None, "other")
        assert (await event(stream))["deviceId"] == device_id("D3")
        await window.house.registry.remove_account("stranger")
        while (last := await chunk(stream)) == b":heartbeat\n\n":
            pass
        assert last == b""


async def test_a_burst_is_told_as_it_ended(window: Window) -> None:
    async with listening(window, await offered(window)) as stream:
        for n in range(50):
            await fill(window, values={n * MINUTE: {"total_active_power": float(n)}})
        while (await event(stream))["device"]["state"]["datapoints"][POWER]["value"] != 49.0:
            pass


async def test_what_is_no_stream_and_one_too_many(window: Window) -> None:
    status, said, _ = await window.call("GET", f"{BASE}/devices/change-stream/{'x' * 43}", key="")
    assert (status, said["errors"][0]["code"]) == (404, "not_found")
    token = await offered(window)
    async with listening(window, token), listening(window, token):
        status, said, _ = await window.call("GET", f"{BASE}/devices/change-stream/{token}", key="")
        assert (status, said["errors"][0]["code"]) == (503, "too_many_streams")
    for wrong in ({"includedDeviceIds": "x"}, {"includedDeviceIds": [1]}, {"includedDatapointIds": ["x"] * 10_001}):
        assert (await window.call("POST", f"{BASE}/devices/change-stream", wrong))[0] == 400


async def test_the_house_does_not_wait_for_listeners(window: Window) -> None:
    async with listening(window, await offered(window)) as stream:
        window.house.services.closing.set()
        while await chunk(stream):
            pass
