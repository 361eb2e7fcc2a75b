"""`ems-bridge cloud`: the receiving side alone, with the accounts and devices of its own data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
from harness.process import Bridge

from bridge.app import Addresses, cloud
from bridge.config import load

ROW = {"asset": "EMS001.meter.1", "point": "total_active_power", "timestamp": 1705563840345, "value": 100.5}


async def test_it_stores_and_answers_by_owner(tmp_path: Path) -> None:
    directory = Bridge(tmp_path)
    directory.device("EMS001", tenant="acme")
    everything, acme, other = (
        directory.account(name, *grant)[1]
        for name, grant in (("mirror", ["--all"]), ("acme", ["--tenant", "acme"]), ("other", ["--tenant", "other"]))
    )
    config = load(None, {"http.listen": "127.0.0.1:0", "store.data": str(directory.data)}, environ={})
    ready, stop = asyncio.get_running_loop().create_future(), asyncio.Event()

    def tell(addresses: Addresses) -> None:
        ready.set_result(addresses.http)

    async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
        group.create_task(cloud(config, tell, stop))
        url = f"http://{await ready}"

        async def call(method: str, path: str, key: str = "", **more: Any) -> tuple[int, Any]:
            headers = {"X-API-Key": key} if key else {}
            async with session.request(method, url + path, headers=headers, **more) as answered:
                plain = answered.content_type != "application/json"
                return answered.status, await (answered.text() if plain else answered.json())

        assert await call("GET", "/healthz") == (200, {"status": "ok"})
        assert (await call("GET", "/readyz"))[1]["ready"] is True
        assert (await call("POST", "/ingest/v1/power", everything, json=ROW))[1]["accepted"] == 1
        query = "/api/v1/readings?asset=EMS001"
        for key, seen in ((everything, 1), (acme, 1), (other, 0)):
            assert len((await call("GET", query, key))[1]["readings"]) == seen
            assert len((await call("GET", "/api/v1/assets", key))[1]["assets"]) == seen
        assert (await call("GET", query))[0] == 401
        counted = {"equipment": "EMS001", "resource": ["charge", "record"], "time": "2024-01-18"}
        status, body = await call("GET", "/dashboard", acme, json=counted)
        assert (status, body["record"]["total"]["service_times"]) == (200, 0)
        assert await call("GET", "/dashboard", other, json=counted) == (404, "没有找到对应的仪器")
        assert "ems_bridge_ingest_rows_total" in (await call("GET", "/metrics", acme))[1]
        document = (await call("GET", "/api/v1/openapi.json", acme))[1]
        assert "/api/v1/readings" in document["paths"]
        assert "/api/v1/commands" not in document["paths"]
        status, body = await call("GET", "/api/v1/commands", acme)
        assert (status, body["error"]["code"]) == (404, "unknown_route")
        stop.set()
