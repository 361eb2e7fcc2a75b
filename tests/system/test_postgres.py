"""`ems-bridge serve` with its time series in PostgreSQL, and what happens when that is killed."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from harness import messages
from harness.api import Api
from harness.postgres import Cluster, programs
from harness.process import Bridge, environment
from harness.wire import Client

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

START = 1_705_564_800_000
"""2024-01-18T08:00:00Z"""
ASSET, POINT = f"EMS001.meter.{messages.METER}", "total_active_power"
QUERY = {
    "orgId": "o1", "assetIds": ASSET, "measurepointsWithLogic": f"sum({POINT}),count({POINT})", "interval": "1440",
    "startTime": "2024-01-18T00:00:00+00:00", "endTime": "2024-01-19T00:00:00+00:00",
}  # fmt: skip
PASSWORD = "hush-hush"


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A running PostgreSQL that a test may kill."""
    if programs() is None:
        pytest.skip("needs PostgreSQL")
    made = Cluster()
    try:
        yield made.start()
    finally:
        made.remove()


@pytest.fixture
def stored(server: Cluster, make_bridge: Callable[..., Bridge]) -> Bridge:
    """A bridge that keeps its time series in it, not started."""
    url = server.url().replace("@", f":{PASSWORD}@")
    return make_bridge(f'[cloud]\ndatabase = "{url}"\ndatabase_schema = "site_7"\n')


async def report(device: Client, numbers: range) -> None:
    for n in numbers:
        body = messages.short_report("EMS001", float(n), at=START + n * 1_000)
        await device.stored(messages.topic("EMS001", messages.REPORT), body)


async def test_a_service_whose_postgres_is_killed(server: Cluster, stored: Bridge, web: aiohttp.ClientSession) -> None:
    """Devices notice nothing, queries say so, and nothing is lost."""
    await asyncio.to_thread(stored.start)
    who = await asyncio.to_thread(stored.device, "EMS001")
    api = Api(web, stored, await asyncio.to_thread(stored.account, "platform"))

    async def sums() -> Any:
        answer = await api.get("/tsdb-service/v2.0/electric-power", **QUERY, accessKey=api.headers["X-API-Key"])
        items = answer["data"]["items"] if answer["status"] == 0 else []
        found = {name: value for item in items for name, value in item.items() if name.endswith(")")}
        return answer["status"], found.get(f"sum({POINT})"), found.get(f"count({POINT})")

    async def ready() -> Any:
        async with web.get(f"{stored.http}/readyz") as answer:
            return answer.status, (await answer.json())["checks"]["series"]

    assert await ready() == (200, "ok")
    async with await Client.open(stored.mqtt, "EMS001", *who) as device:
        await report(device, range(100))
        await api.until(sums, lambda said: said == (0, sum(range(100)), 100))
        server.kill()
        await report(device, range(100, 200))
        await api.until(ready, lambda said: said == (503, "PostgreSQL cannot be used at the moment, see the log"))
        assert (await sums())[0] not in (0, 400)
        row = {"asset": "EMS001.extra", "point": "p", "timestamp": START, "value": 1.0}
        await api.post("/ingest/v1/power", row, 503)
        await api.get("/api/v1/readings", 503, asset=ASSET)
        server.start()
        await api.until(ready, lambda said: said == (200, "ok"))
        await api.until(sums, lambda said: said == (0, sum(range(200)), 200), 40)
    assert (await api.post("/ingest/v1/power", row))["accepted"] == 1
    stored.kill()
    await asyncio.to_thread(stored.start)
    assert await sums() == (0, sum(range(200)), 200)
    assert await api.readings("EMS001.extra", "p") == {START: 1.0}
    assert server.sql("SELECT count(*) FROM site_7.assets").strip() == "2"
    assert PASSWORD not in stored.tail(100_000)
    assert not (stored.data / "series.db").exists()


async def test_a_service_that_is_sooner_than_its_postgres(
    server: Cluster, stored: Bridge, web: aiohttp.ClientSession
) -> None:
    """After a power cut everything starts at once."""
    server.stop()
    await asyncio.to_thread(stored.start)
    who = await asyncio.to_thread(stored.device, "EMS001")
    api = Api(web, stored, await asyncio.to_thread(stored.account, "platform"))
    async with await Client.open(stored.mqtt, "EMS001", *who) as device:
        await report(device, range(10))
    await api.get("/api/v1/readings", 503, asset=ASSET)
    assert (await api.metrics())["ems_bridge_assets"] == 0
    server.start()
    await api.until(lambda: readings(api), lambda found: len(found) == 10)


async def readings(api: Api) -> dict[int, float]:
    async with api.web.get(f"{api.bridge.http}/api/v1/readings?asset={ASSET}", headers=api.headers) as answer:
        found = await answer.json() if answer.status == 200 else {"readings": []}
        return {row["timestamp"]: row["value"] for row in found["readings"]}


def test_care_of_a_directory_whose_series_lie_elsewhere(server: Cluster, stored: Bridge) -> None:
    stored.start()
    config = ("--config", stored.config)
    second = stored.home / "second"
    second.mkdir()
    other = Bridge(second, stored.config.read_text(encoding="utf-8"))
    try:
        with pytest.raises(AssertionError, match="another bridge writes this schema: ems-bridge"):
            other.start()
    finally:
        other.kill()
    target = stored.home / "copy.tar"
    said = stored.cli("backup", target, *config).stdout
    assert "pg_dump --schema=site_7" in said
    with tarfile.open(target) as tar:
        assert tar.getnames() == ["bridge.db"]
    assert stored.cli("verify", *config).stdout == "clean\n"
    server.sql("INSERT INTO site_7.samples VALUES (7, 0, 'x')")
    found = stored.cli("verify", *config, expect=1).stdout
    assert "a sample of asset number 7 at 0 is not JSON" in found
    assert "samples of asset number 7 have no asset" in found
    assert PASSWORD not in found + said + stored.tail(100_000)
    server.kill()
    found = stored.cli("verify", *config, expect=1).stdout
    assert "PostgreSQL cannot be opened" in found
    assert PASSWORD not in found
    assert stored.stop() == 0


def test_the_url_is_never_shown(stored: Bridge) -> None:
    import subprocess

    from harness.process import SCRIPT

    def check(text: str) -> tuple[int, str]:
        stored.config.write_text(text, encoding="utf-8")
        command = [str(SCRIPT / "ems-bridge"), "check", "--config", str(stored.config)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
        return done.returncode, done.stdout + done.stderr

    good = stored.config.read_text(encoding="utf-8")
    code, said = check(good)
    assert code == 0
    assert 'database = "********"' in said
    assert PASSWORD not in said
    code, said = check(good.replace("postgresql://", "mysql://"))
    assert "cloud.database is no PostgreSQL URL" in said
    assert PASSWORD not in said
    code, said = check(good.replace("site_7", "pg_catalog"))
    assert code != 0
    assert "database_schema" in said
