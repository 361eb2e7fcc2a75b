"""Sinks of every kind behind one bridge that is killed again and again: each reading reaches each of them. Real processes:
InfluxDB, another bridge that gives tokens, sinks that fail."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web as server
from harness import messages
from harness.api import Api
from harness.influx import INFLUXD, Influx, needs_influxd
from harness.pki import Pki
from harness.process import Bridge, cli
from harness.sink import Batch, Sink, cut
from harness.wire import Client

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

UID = "SINK001"
ASSET = f"{UID}.meter.{messages.METER}"
POINT = "total_active_power"
PATIENCE_S = 60.0
SECRET = "sixteen letters!"

OWN = """
[[mirror.sinks]]
name = "signed"
url = "{url}"
format = "samples"
secret = "{secret}"
batch_rows = 25
batch_age_s = 0.05
timeout_s = 2.0
"""
INFLUX = """
[[mirror.sinks]]
name = "influx"
url = "{url}/write?db=ems"
format = "influx"
batch_rows = 40
batch_age_s = 0.05
"""
LAKE = """
[[mirror.sinks]]
name = "lake"
url = "{url}"
format = "template"
batch_rows = 30
batch_age_s = 0.05
timeout_s = 2.0
template = {{row = '{{"who": "{{asset}}", "at": "{{timestamp}}", "{{point}}": "{{value}}"}}'}}
filter = {{owners = ["PK*"], points = ["{point}"]}}
auth = {{type = "oauth2", token_url = "{tokens}/oauth/token", client_id = "lake", client_secret = "{secret}"}}
"""
TOKENS = """
[[belimo.clients]]
id = "lake"
secret = "{secret}"
account = "office"
"""


class Lake:
    """A generic endpoint that asks the other bridge whose token it is, and fails now and then."""

    def __init__(self, sink: Sink, tokens: Bridge, rng: Random | None = None) -> None:
        self.seen: Counter[int] = Counter()
        self.tokens: set[str] = set()
        self._issuer, self._rng = tokens, rng
        sink.routes["/lake"] = self._take
        self.url = sink.url.replace("/rows", "/lake")

    async def _take(self, request: server.Request) -> server.Response:
        rows = await request.json()
        login = request.headers.get("Authorization", "")
        async with (
            aiohttp.ClientSession() as web,
            web.get(f"{self._issuer.http}/api/v3/user", headers={"Authorization": login}) as answer,
        ):
            if answer.status != 200:
                return server.Response(status=401)
        self.tokens.add(login)
        if self._rng is not None and self._rng.random() < 0.2:
            cut(request)
        for row in rows:
            assert set(row) == {"who", "at", POINT}, row
            self.seen[row["at"]] += 1
        return server.Response(status=202)


class Unsteady:
    """The signed sink: it looks at each signature, and fails now and then."""

    def __init__(self, sink: Sink, rng: Random) -> None:
        self._sink, self._rng = sink, rng

    async def __call__(self, batch: Batch) -> server.StreamResponse | None:
        fields = dict(part.split("=") for part in batch.request.headers["EMS-Signature"].split(","))
        signed = fields["t"].encode() + b"." + await batch.request.read()
        if fields["v1"] != hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest():
            self._sink.faults.append("wrongly signed")
        chance = self._rng.random()
        if chance < 0.1:
            self._sink.keep(batch)
            cut(batch.request)
        return server.Response(status=503) if chance > 0.9 else None


class House(NamedTuple):
    """A running bridge, a device of it, and what it mirrors to."""

    bridge: Bridge
    secret: Any
    account: Any
    sink: Sink
    lake: Lake
    influx: Influx


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[Influx]:
    if INFLUXD is None:
        pytest.skip("needs influxd")
    running = Influx(tmp_path / "influx")
    yield running
    running.stop()


@pytest.fixture
async def house(make_bridge: Any, sink: Sink, influx: Influx) -> House:
    await influx.query("CREATE DATABASE ems", "")
    tokens: Bridge = make_bridge(TOKENS.format(secret=SECRET), "tokens")
    tokens.account("office")
    await asyncio.to_thread(tokens.start)
    sink.verdict = Unsteady(sink, Random(5))
    lake = Lake(sink, tokens, Random(6))
    lake_config = LAKE.format(url=lake.url, point=POINT, tokens=tokens.http, secret=SECRET)
    config = OWN.format(url=sink.url, secret=SECRET) + INFLUX.format(url=influx.url) + lake_config
    bridge: Bridge = make_bridge(config)
    secret, account = bridge.device(UID), bridge.account("tester")
    await asyncio.to_thread(bridge.start)
    return House(bridge, secret, account, sink, lake, influx)


async def report(bridge: Bridge, secret: Any, count: int, first: int) -> list[int]:
    """Publish reports with one reading each; the timestamps of those that were acknowledged."""
    start = messages.now_ms() // 3_600_000 * 3_600_000 - 7_200_000 + first * 10
    acked = []
    async with await Client.open(bridge.mqtt, UID, *secret) as device:
        for number in range(count):
            at = start + number * 10
            await asyncio.wait_for(
                device.publish(messages.topic(UID, messages.REPORT), messages.short_report(UID, float(number), at=at)),
                30,
            )
            acked.append(at)
    return acked


@needs_influxd
async def test_kill_9_loses_nothing_at_any_sink(house: House, web: aiohttp.ClientSession) -> None:
    acked: list[int] = []
    for number in range(5):
        acked += await report(house.bridge, house.secret, 40, number * 100)
        await asyncio.to_thread(house.bridge.kill)
        await asyncio.to_thread(house.bridge.start)
    api = Api(web, house.bridge, house.account)

    async def caught_up() -> list[str]:
        states = (await api.get("/api/v1/sinks"))["sinks"]
        return [state["name"] for state in states if state["lag_s"] or state["failing"]]

    await house.sink.until(lambda: set(house.lake.seen) >= set(acked), PATIENCE_S)
    await house.sink.until(lambda: house.sink.readings().total() >= len(acked), PATIENCE_S)
    await api.until(caught_up, lambda behind: not behind, PATIENCE_S)
    assert sorted(house.sink.readings().elements()) == [(ASSET, POINT, at) for at in acked]
    assert house.sink.faults == []
    assert sorted(house.lake.seen) == acked
    found = await house.influx.query(f"SELECT {POINT} FROM readings WHERE asset = '{ASSET}'")
    assert [row["time"] for row in found] == acked
    assert [row[POINT] for row in found] == [float(n) for _ in range(5) for n in range(40)]
    assert house.lake.tokens
    assert (await api.get("/api/v1/dead-letters", source="mirror"))["dead_letters"] == []


@needs_influxd
async def test_what_is_told_of_sinks(house: House, web: aiohttp.ClientSession) -> None:
    """By HTTP, by the command line, by /readyz: who takes nothing, since when and why; secrets nowhere."""
    await house.influx.query("DROP DATABASE ems", "")
    await report(house.bridge, house.secret, 5, 0)
    api = Api(web, house.bridge, house.account)

    async def states() -> dict[str, dict[str, Any]]:
        return {state["name"]: state for state in (await api.get("/api/v1/sinks"))["sinks"]}

    told = await api.until(states, lambda found: found["influx"]["failing"] and found["lake"]["rows"] >= 5, PATIENCE_S)
    assert told["influx"]["failing"] == "HTTP 404"
    assert told["influx"]["lag_s"] > 0
    assert told["influx"]["failing_since"] <= messages.now_ms()
    assert [told[name]["kind"] for name in ("signed", "influx", "lake", "local")] == ["sink"] * 4
    async with web.get(f"{house.bridge.http}/readyz") as answer:
        body = await answer.json()
    assert (answer.status, body["ready"], body["sinks"]["influx"]) == (200, True, "HTTP 404")
    done = await asyncio.to_thread(house.bridge.cli, "sinks", expect=1)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("influx ")]
    assert "FAILING since" in line
    assert "HTTP 404" in line
    assert '"failing": "HTTP 404"' in (await asyncio.to_thread(house.bridge.cli, "sinks", "--json", expect=1)).stdout
    async with web.get(f"{house.bridge.http}/metrics", headers={"X-API-Key": house.account.secret}) as answer:
        assert 'ems_bridge_mirror_failing{sink="influx"} 1.0' in await answer.text()
    assert SECRET not in house.bridge.tail(100_000) + json.dumps(told) + done.stdout
    await house.influx.query("CREATE DATABASE ems", "")
    await api.until(states, lambda found: not found["influx"]["failing"] and found["influx"]["rows"], PATIENCE_S)


async def test_devices_and_accounts_of_some_owners_are_not_told_of_sinks(
    make_bridge: Any, web: aiohttp.ClientSession
) -> None:
    bridge: Bridge = make_bridge()
    device = bridge.device(UID).secret
    some = bridge.account("some", "--tenant", "acme").secret
    await asyncio.to_thread(bridge.start)
    for headers, status in (({}, 401), ({"X-API-Key": device}, 401), ({"X-API-Key": some}, 403)):
        async with web.get(f"{bridge.http}/api/v1/sinks", headers=headers) as answer:
            assert answer.status == status


MUTUAL = """
[[mirror.sinks]]
name = "mutual"
url = "{url}"
batch_age_s = 0.05
filter = {{devices = ["SINK*"], min_interval_s = 1}}
auth = {{type = "api_key", header = "X-Sink-Key", key_file = "{key}"}}
tls = {{ca = "{ca}", certificate = "{certificate}", key = "{own_key}"}}
"""


async def test_certificates_and_a_secret_from_files(make_bridge: Any, sink: Sink, tmp_path: Path) -> None:
    """Both sides show certificates; a key from a file; one reading a second of a hundred."""
    pki = Pki(tmp_path / "pki")
    await sink.down()
    sink.tls = pki.mutual()
    await sink.up()
    key_file = tmp_path / "key"
    key_file.write_text(SECRET + "\n", encoding="utf-8")
    keys: set[str | None] = set()

    async def verdict(batch: Batch) -> None:
        keys.add(batch.request.headers.get("X-Sink-Key"))

    sink.verdict = verdict
    certificate, own_key = pki.device("bridge-7")
    bridge: Bridge = make_bridge(
        MUTUAL.format(url=sink.url, key=key_file, ca=pki.ca, certificate=certificate, own_key=own_key)
    )
    secret = bridge.device(UID)
    checked = await asyncio.to_thread(cli, "check", "--config", bridge.config)
    assert SECRET not in checked.stdout
    await asyncio.to_thread(bridge.start)
    times = await report(bridge, secret, 250, 0)
    wanted = [at for at in times if at % 1000 < 10]
    await sink.until(lambda: sink.readings().total() >= len(wanted), PATIENCE_S)
    assert sorted(at for _, _, at in sink.readings().elements()) == wanted
    assert keys == {SECRET}
    own_key.unlink()
    assert await asyncio.to_thread(bridge.stop) == 0
    refused = await asyncio.to_thread(cli, "serve", "--config", bridge.config, "--data", bridge.data, expect=2)
    assert "mirror.sinks[0].tls.certificate" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
