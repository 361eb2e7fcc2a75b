"""The Belimo-compatible API beside what restarts and what only receives."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from harness.process import Bridge

from bridge.app import Addresses, cloud
from bridge.config import load

if TYPE_CHECKING:
    from conftest import MakeBridge

POWER = "ems.total_active_power"
ROW = {"asset": "EMS001", "point": "total_active_power", "timestamp": 1705563840345, "value": 100.5}
FORM = {"grant_type": "password", "username": "reader", "client_id": "reader"}


async def test_tokens_survive_kill_9(make_bridge: MakeBridge, web: aiohttp.ClientSession) -> None:
    bridge = make_bridge()
    _, key = bridge.account("reader", "--all")
    bridge.start()

    async def token(**more: str) -> dict[str, Any]:
        url = f"{bridge.http}/oauth/token"
        async with web.post(url, data={**FORM, "password": key, "client_secret": key, **more}) as answered:
            said: dict[str, Any] = await answered.json()
            return {"status": answered.status, **said}

    async def opens(said: dict[str, Any]) -> int:
        headers = {"Authorization": f"Bearer {said['access_token']}"}
        async with web.get(f"{bridge.http}/api/v3/devices", headers=headers) as answered:
            return answered.status

    first = await token()
    second = await token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    bridge.kill()
    bridge.start()
    assert [await opens(each) for each in (first, second)] == [200, 200]
    third = await token(grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert (third["status"], await opens(third)) == (200, 200)
    assert (await token(grant_type="refresh_token", refresh_token=first["refresh_token"]))["status"] == 400
    assert await opens(third) == 401


async def test_a_bridge_that_only_receives(tmp_path: Path) -> None:
    directory = Bridge(tmp_path)
    everything, acme = (
        directory.account(name, *grant)[1] for name, grant in (("reader", ["--all"]), ("acme", ["--tenant", "acme"]))
    )
    config = load(None, {"http.listen": "127.0.0.1:0", "store.data": str(directory.data)}, environ={})
    ready, stop = asyncio.get_running_loop().create_future(), asyncio.Event()

    def tell(addresses: Addresses) -> None:
        ready.set_result(addresses.http)

    async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
        group.create_task(cloud(config, tell, stop))
        url = f"http://{await ready}"

        async def call(method: str, path: str, key: str, **more: Any) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {key}"}
            async with session.request(method, url + path, headers=headers, **more) as answered:
                return answered.status, await answered.json()

        form = {**FORM, "password": everything, "client_secret": everything}
        async with session.post(f"{url}/oauth/token", data=form) as answered:
            key = (await answered.json())["access_token"]
        status, offer = await call("POST", "/api/v3/devices/change-stream", key, json={})
        assert status == 200
        async with session.get(f"{url}/api/v3/devices/change-stream/{offer['token']}") as stream:
            assert await stream.content.readline() == b":heartbeat\n"
            assert (await call("POST", "/ingest/v1/power", everything, json=ROW))[0] == 200
            told = [await stream.content.readline() for _ in range(2)][1]
            assert told.startswith(b"data:{")
        _, listed = await call("GET", "/api/v3/devices", key)
        (device,) = listed["data"]  # registered nowhere
        assert (device["serialNumber"], device["remoteControlEnabled"]) == ("EMS001", False)
        assert device["state"]["datapoints"][POWER] == {"value": 100.5}
        assert (await call("GET", "/api/v3/devices", acme))[1]["data"] == []
        assert (await call("GET", "/api/v3/devices/EMS001", acme))[0] == 404
        names = {"datapoints": {"metadata.1001": "Far away"}}
        assert (await call("POST", "/api/v3/devices/EMS001/metadata", key, json=names))[0] == 200
        assert (await call("GET", f"/api/v3/devices/{device['id']}", key))[1]["displayName"] == "Far away"
        body = {"datapoints": {"condition_control.power_on": 1}}
        assert (await call("POST", "/api/v3/devices/EMS001/data", key, json=body))[0] in (404, 405)
        stop.set()
