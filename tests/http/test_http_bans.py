"""Wrong keys: counted, then put off; good ones open all the while."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from harness.wire import Client, connect

from bridge.http.auth import MAX_KEY, authoriser

if TYPE_CHECKING:
    from .conftest import Window


@pytest.fixture
def config_of() -> dict[str, object]:
    return {"broker.login_failures_per_address": 5, "broker.login_ban_s": 600, "broker.login_failures": 3}


async def statuses(window: Window, keys: list[str], path: str = "/api/v1/devices", **more: Any) -> list[int]:
    return [(await window.call("GET", path, key=key, **more))[0] for key in keys]


async def test_wrong_keys_are_put_off_and_good_ones_open(window: Window, caplog: pytest.LogCaptureFixture) -> None:
    wrong = [f"wrong{number}" for number in range(7)]
    assert await statuses(window, wrong) == [401] * 5 + [429] * 2
    status, body, _ = await window.call("GET", "/api/v1/devices", key="wrong again")
    assert (status, body["error"]["code"]) == (429, "too_many_failures")
    assert await statuses(window, [window.key]) == [200]
    added = await window.house.registry.add_account("later", None)
    assert await statuses(window, [added]) == [200]
    assert await statuses(window, [""]) == [401], "without a key nobody guesses"
    assert await statuses(window, ["wrong"], "/healthz") == [200], "what needs no key is open still"
    counts = window.house.counts
    assert counts.value("ems_bridge_http_refused", (("cause", "wrong_key"),)) == 5
    assert counts.value("ems_bridge_http_refused", (("cause", "banned"),)) >= 3
    assert counts.value("ems_bridge_bans", (("scope", "address"),)) == 1
    assert caplog.text.count("too many wrong keys, banned for a while: 127.0.0.1") == 1
    assert caplog.text.count("wrong_key") == 1


async def test_every_route_with_a_key_of_its_own_counts(window: Window) -> None:
    assert (await window.call("POST", "/ingest/v1/power", body={}, key="wrong"))[0] == 401
    query = "/tsdb-service/v2.0/electric-power?accessKey=wrong&assetIds=a"
    for _ in range(4):
        assert (await window.call("GET", query, key=""))[0] == 200
    assert (await window.call("POST", "/ingest/v1/power", body={}, key="wrong"))[0] == 429
    assert (await window.call("POST", "/ingest/v1/power", body={"rows": []}))[0] != 429


async def test_a_device_with_its_secret_logs_in_while_keys_are_put_off(window: Window) -> None:
    assert await statuses(window, ["wrong"] * 6) == [401] * 5 + [429]
    async with await window.connect("D1"):
        pass
    host, _, port = (window.house.addresses.mqtt or "").rpartition(":")
    stranger = await Client.raw((host, int(port)))
    async with stranger:
        stranger.send(connect("c", "guess", "guess"))
        assert await asyncio.wait_for(stranger.connected, 20) == 5


@pytest.mark.parametrize("key", ["\udcff\udcfe", "ä" * 40, "x" * (MAX_KEY + 1), " ", "\t"])
async def test_keys_that_are_none(window: Window, key: str) -> None:
    host, port = window.house.addresses.http.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    raw = key.encode("utf-8", "surrogateescape")
    writer.write(b"GET /api/v1/devices HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: " + raw + b"\r\n\r\n")
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400")), head
    assert "code" in json.loads(body)["error"]
    writer.close()
    await writer.wait_closed()


async def test_without_counts_or_attempts_keys_are_looked_up_all_the_same(window: Window) -> None:
    authorise = authoriser(window.house.registry, True)

    class Request(dict[Any, Any]):
        transport = None

    request: Any = Request()
    for _ in range(10):
        found = await authorise(request, "wrong")
        assert found is not None
        assert found.kind == "anonymous"
    found = await authorise(request, window.key)
    assert found is not None
    assert found.name == "backend"
