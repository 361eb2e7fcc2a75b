"""The "Done when" of the issue "The main job runs", from outside: the vendor's samples, Debian's clients, real processes."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.api import Api
from harness.process import ROOT, SCRIPT, Bridge, Secret, environment
from harness.wire import PATIENCE_S

from bridge.store.database import Database

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

SAMPLES = ROOT / "tests" / "data"
SAMPLE = "device-event-1__report_regular_post_7.json"
"""A batch of meters, as the vendor printed it: another device_uid, a single object for an array, a timestamp of 2024."""

UID = "EMS001"
TOPICS = {"wudun": f"v1/wudun/PK001/{UID}", "user": f"v2/user/acme/{UID}"}
OTHER_SCHEME = {"wudun": f"v1/user/acme/{UID}", "user": f"v2/wudun/PK001/{UID}"}
SUFFIX = "report/regular/post"

needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="needs mosquitto-clients")


def sample(name: str = SAMPLE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SAMPLES / name).read_text(encoding="utf-8"))
    return found


def mosquitto(bridge: Bridge, program: str, who: Secret, *args: str | Path) -> list[str]:
    host, port = bridge.mqtt
    return [program, "-h", host, "-p", str(port), "-u", who.name, "-P", who.secret, "-q", "1", *map(str, args)]


@contextmanager
def process(*command: str | Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended with the block; its stderr lies in `home`."""
    name = Path(command[0]).name
    with (home / f"{name}.log").open("ab") as log:
        started = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=log, text=True, env=environment()
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()


@needs_mosquitto
@pytest.mark.parametrize("scheme", TOPICS)
async def test_a_vendor_sample_by_debians_clients(bridge: Bridge, web, tmp_path: Path, scheme: str) -> None:
    """mosquitto_pub on one scheme; mosquitto_sub on its twin, `watch`, /api/v1/readings and the EnOS query show it."""
    device = await asyncio.to_thread(bridge.device, UID)
    account = await asyncio.to_thread(bridge.account, "platform")
    api = Api(web, bridge, account)
    topic = f"{TOPICS[scheme]}/{SUFFIX}"
    twin = f"{OTHER_SCHEME[scheme]}/{SUFFIX}"
    watching = (SCRIPT / "ems-bridge", "watch", UID, "--data", bridge.data)
    listening = mosquitto(bridge, "mosquitto_sub", account, "-t", twin, "-C", "1", "-W", "30")
    publish = mosquitto(bridge, "mosquitto_pub", device, "-t", topic, "-f", SAMPLES / SAMPLE)
    with process(*watching, home=tmp_path) as watch, process(*listening, home=tmp_path) as subscriber:
        lines = Lines(watch)
        # Neither follower says when it is ready: the device reports again until both have heard it.
        await api.until(lambda: run(publish), lambda _: subscriber.poll() is not None and lines.have(topic), 30)
        assert subscriber.returncode == 0
        assert subscriber.stdout is not None
        assert json.loads(subscriber.stdout.read()) == sample()
    assert '"type":"report_regular"' in lines.have(topic)
    await shown(api, account)


class Lines:
    """What a process prints, read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.said: list[str] = []
        self.stdout = process.stdout
        threading.Thread(target=self._read, daemon=True).start()

    def have(self, part: str) -> str:
        """The first line with `part` in it, or nothing."""
        return next((line for line in self.said if part in line), "")

    def _read(self) -> None:
        assert self.stdout is not None
        for line in self.stdout:
            self.said.append(line)


async def run(command: list[str]) -> None:
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr


async def shown(api: Api, account: Secret) -> None:
    """The sample's meters in the native query and in the EnOS query, with the sample's values and time."""
    expected = sample()
    at = expected["timestamp"]
    meters = [entry for entry in expected["data"]["data"] if entry.get("total_active_power") is not None]
    assert meters
    for meter in meters:
        asset = f"{UID}.meter.{meter['device_id']}"
        power = meter["total_active_power"]
        found = await api.until(lambda asset=asset: api.readings(asset, "total_active_power", start=at), bool)
        assert {time: abs(value) for time, value in found.items()} == {at: abs(power)}
        query = {
            "orgId": "o1",
            "assetIds": asset,
            "measurepointsWithLogic": "avg(total_active_power)",
            "interval": "15",
            "startTime": "2024-01-18T07:30:00+00:00",
            "endTime": "2024-01-18T08:00:00+00:00",
            "accessKey": account.secret,
        }
        answer = await api.get("/tsdb-service/v2.0/electric-power", **query)
        assert answer["status"] == 0, answer
        (item,) = answer["data"]["items"]
        assert item["assetId"] == asset
        assert abs(item["avg(total_active_power)"]) == abs(power)


STRATEGY = {
    "over_demand_status": 1,
    "streaming_status": 1,
    "dynamic_demand_status": 1,
    "over_demand_condition": [2000] * 12,
    "ele_meter_id": 9,
    "device_type": 2,
    "dynamic_demand_percentage": 80,
    "streaming_condition": 1234,
    "individual_phase_streaming_status": 2,
    "individual_phase_streaming_condition": 100,
}


@pytest.fixture
def device(make_bridge) -> tuple[Bridge, Path]:
    """A running bridge that knows one device on both schemes, and the file of its credentials for `ems-sim`."""
    bridge: Bridge = make_bridge()
    done = bridge.cli("device", "add", UID, "--product-key", "PK001", "--tenant", "acme", "--json")
    credentials = bridge.home / "fleet.jsonl"
    credentials.write_text(done.stdout, encoding="utf-8")
    return bridge.start(), credentials


@contextmanager
def simulated(device: tuple[Bridge, Path], *options: str) -> Iterator[Bridge]:
    """The device as `ems-sim` runs it, while the block lasts."""
    bridge, credentials = device
    host, port = bridge.mqtt
    command = [SCRIPT / "ems-sim", "run", "--broker", f"mqtt://{host}:{port}", "--credentials", credentials]
    with process(*command, "--devices", "1", "--interval", "2", *options, home=bridge.home):
        yield bridge


async def send(bridge: Bridge, command: str, data: Any = None, *options: str) -> subprocess.CompletedProcess[str]:
    """`ems-bridge send`, with whatever exit code; it waits until the device is there."""
    payload = [] if data is None else [json.dumps(data)]
    return await asyncio.to_thread(bridge.cli, "send", UID, command, *payload, "--hold", "20", *options, expect=None)


async def test_a_command_changes_a_simulated_device(device, web) -> None:
    """`send` prints succeeded, and the device's strategy is what was sent."""
    with simulated(device) as bridge:
        api = Api(web, bridge, await asyncio.to_thread(bridge.account, "platform"))
        done = await send(bridge, "streaming_overdemand/create", STRATEGY)
        assert (done.returncode, "succeeded" in done.stdout) == (0, True), done
        listed = await send(bridge, "streaming_overdemand/sync", None, "--json")
        assert listed.returncode == 0, listed
        strategies = json.loads(listed.stdout)["answer"]
        assert STRATEGY["streaming_condition"] in [one["streaming_condition"] for one in strategies]
        rejected = await send(bridge, "streaming_overdemand/delete", {"id": 987654})
        assert (rejected.returncode, "rejected" in rejected.stdout) == (1, True), rejected
        reported = await api.until(
            lambda: api.get(f"/api/v1/devices/{UID}"),
            lambda found: str(STRATEGY["streaming_condition"]) in str(found["strategies"]),
        )
        assert reported["presence"]["online"]


async def test_a_silenced_device_times_out(device) -> None:
    with simulated(device, "--faults", "silent=1") as bridge:
        done = await send(bridge, "streaming_overdemand/sync", None, "--timeout", "1")
    assert (done.returncode, "timed_out" in done.stdout) == (3, True), done


async def test_a_late_answer_is_kept_beside_the_timeout(device, web) -> None:
    """timed_out stays in the history; the state becomes late_succeeded."""
    with simulated(device, "--faults", "slow=3") as bridge:
        api = Api(web, bridge, await asyncio.to_thread(bridge.account, "platform"))
        done = await send(bridge, "streaming_overdemand/sync", None, "--timeout", "1", "--json")
        assert done.returncode == 3, done
        mid = json.loads(done.stdout)["mid"]
        command = await api.until(
            lambda: api.get(f"/api/v1/commands/{mid}"), lambda found: found["state"] == "late_succeeded"
        )
    states = [step["state"] for step in command["history"]]
    assert states[-2:] == ["timed_out", "late_succeeded"]
    assert command["late"]["state"] == "late_succeeded"


@pytest.mark.parametrize("name", ["bridge", "series"])
async def test_the_writer_is_fully_synchronous(tmp_path: Path, name: str) -> None:
    """PRODUCT.md §4.1: synchronous=FULL (2) on the connection that commits, in WAL."""
    database = await Database.open(tmp_path / f"{name}.db", name)
    try:
        pragmas = await database.write(
            lambda connection: [
                connection.execute(f"PRAGMA {key}").fetchone()[0] for key in ("synchronous", "journal_mode")
            ]
        )
    finally:
        await database.close()
    assert pragmas == [2, "wal"]


def test_serve_commits_through_that_writer() -> None:
    """Nothing of the product opens SQLite to write beside store/database.py (verify and backup read)."""
    files = [path for path in (ROOT / "bridge").rglob("*.py") if path.name != "database.py"]
    writers = [str(path) for path in files if "sqlite3.connect(" in path.read_text(encoding="utf-8")]
    assert [path for path in writers if not path.endswith(("store/verify.py", "app/care.py"))] == []
