"""A day of a faulty fleet, and the sums at its end: 200 devices of every sort, 24 hours at 600 times the speed of time.

    python -m benchmarks.day [--hours N] [--devices N] [--interval S]

Beside the bridge runs an HTTP sink that refuses batches and loses answers. Devices have every fault of docs/simulator.md in
phases, a storm cuts all connections, a platform sends commands all day. What devices sent is kept by its hash; in the end it is
held against what the bridge has stored or refused, each command against its outcome, each row at the sink against the stored
message that it came from. Exit code 1 when any sum is out by one.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from aiohttp import ClientSession, web
from harness.api import Api
from harness.fleet import provision
from harness.process import PRODUCT_KEY, TENANT, Bridge, Secret
from harness.sink import Sink

from benchmarks.sums import Check, Heard, Ledger, Sums, exactly, row_hash, settled, sums
from simulator.faults import SWITCHES, VALUES
from simulator.options import Given, options
from simulator.protection import FAULTS
from simulator.run import Run

SCALE = 600.0
HOURS, DEVICES, INTERVAL_S = 24.0, 200, 900.0
VERSIONS = ("v2", "v1", "emu")

CONFIG = """
[mirror]
local = false
[[mirror.sinks]]
name = "sink"
url = "{url}"
format = "samples"
[commands]
timeout_s = 4.0
hold_s = 6.0
"""

SCENARIO = """
seed = 20261121
version = ["v2", "v1", "emu"]
scheme = ["wudun", "user"]
keep_alive = 5
ramp = 100.0
interval = {interval}
time_scale = {scale}
settle = 12.0
credentials = "fleet.jsonl"
platform = {{ username = "office", password = "{password}" }}
"""


DATA = {
    "streaming_overdemand/create": (
        ", data = { ele_meter_id = 9, device_type = 2, over_demand_status = 1, over_demand_condition = [300, 300, 300, 300, 300,"
        " 300, 300, 300, 300, 300, 300, 300], streaming_status = 1, streaming_condition = 20, dynamic_demand_status = 2,"
        " individual_phase_streaming_status = 2, individual_phase_streaming_condition = 0, dynamic_demand_percentage = 80 }"
    ),
    "streaming_overdemand/delete": ", data = { id = 1 }",
}
"""Of commands that change something, as a scenario file has it."""


class Part(NamedTuple):
    """A phase, as shares of the day; its commands go to a tenth of the fleet, three times."""

    name: str
    begins: float
    lasts: float
    faults: str
    commands: tuple[str, ...] = ()

    def text(self, seconds: float) -> str:
        """As a scenario file has it, for a day of so many seconds."""
        every = max(1.0, seconds * self.lasts / 3)
        orders = ", ".join(
            f'{{ command = "{name}", to = "10%", every = {every:.2f}{DATA.get(name, "")} }}' for name in self.commands
        )
        return (
            f'[[phase]]\nname = "{self.name}"\nat = {seconds * self.begins:.2f}\nduration = {seconds * self.lasts:.2f}\n'
            f'faults = "{self.faults}"\nstorm = {str(self.name == "storm").lower()}\ncommands = [{orders}]\n'
        )


DAY = (
    Part(
        "morning", 0.04, 0.18, "silent=3%,slow=2@5%,duplicate=5%,reorder=5%,garbage=3%,reject=3%",
        ("safety/sync", "streaming_overdemand/create"),
    ),
    Part("storm", 0.24, 0.0, ""),
    Part(
        "network", 0.28, 0.22, "flap=1.5@5%,offline=5%,half_open=3%,skew=-60@3%,jump=30@3%,late=3%",
        ("streaming_overdemand/create", "streaming_overdemand/sync"),
    ),
    Part(
        "payloads", 0.52, 0.16, "corrupt=2%,wrong_device=3%,wrong_units=3%,huge=50000@3%,wrong_reply=8%,no_reply=8%",
        ("power_node/sync", "pcs_control/sync"),
    ),
    Part("power cut", 0.70, 0.04, "power_cut=1.5@10%", ("elemeter_info/sync",)),
    Part(
        "evening", 0.76, 0.16, "silent=2%,slow=5@5%,flap=2@3%,duplicate=3%,late=3%," + ",".join(f"{name}=3%" for name in FAULTS),
        ("device_info/sync", "streaming_overdemand/delete"),
    ),
)  # fmt: skip


class Rows(Sink):
    """A sink that keeps a hash of each row it accepted, once a key. It refuses some batches, and loses the answer to some."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Counter[bytes] = Counter()
        self.keys: set[str] = set()
        self.repeated = 0

    async def _take(self, request: web.Request) -> web.StreamResponse:
        key, body = request.headers["Idempotency-Key"], await request.read()
        self.attempts += 1
        if self.attempts % 9 == 0:
            return web.Response(status=503)
        if key in self.keys:
            self.repeated += 1
        else:
            self.keys.add(key)
            self.rows.update(_hashes(body))
        return web.Response(status=500 if self.attempts % 13 == 0 else 200)

    def line(self) -> str:
        """What it has seen."""
        return (
            f"sink      {self.rows.total():,} rows, {len(self.rows):,} of them different, in {len(self.keys):,} batches; "
            f"{self.attempts:,} attempts, {self.repeated:,} repeated what it had"
        )


def _hashes(body: bytes) -> Iterator[bytes]:
    for line in body.splitlines():
        row: dict[str, Any] = msgspec.json.decode(line)
        yield row_hash(row["asset"], row["timestamp"], row["values"])


async def day(home: Path, hours: float = HOURS, devices: int = DEVICES, interval: float = INTERVAL_S) -> Sums:
    """Live through it, and do the sums."""
    async with Rows() as sink:
        bridge = Bridge(home, CONFIG.format(url=sink.url))
        seconds = hours * 3600.0 / SCALE
        try:
            scenario = await written(home, bridge, seconds, devices, interval)
            await asyncio.to_thread(bridge.start)
            return await lived(bridge, bridge.mqtt, scenario, seconds, sink)
        finally:
            bridge.kill()


async def written(home: Path, bridge: Bridge, seconds: float, devices: int, interval: float) -> Path:
    """The scenario, the credentials beside it, and everybody registered."""
    uids = [f"{'EMU' if VERSIONS[n // 2 % 3] == 'emu' else 'EMS'}{n + 1:05d}" for n in range(devices)]
    people = await provision(bridge.data, uids)
    rows = [{"uid": one.name, "secret": one.secret, "product_key": PRODUCT_KEY, "tenant": TENANT} for one in people]
    (home / "fleet.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    office = await asyncio.to_thread(bridge.account, "office")
    path = home / "day.toml"
    text = SCENARIO.format(interval=interval, scale=SCALE, password=office.secret)
    path.write_text(text + "".join(part.text(seconds) for part in DAY), encoding="utf-8")
    return path


async def lived(bridge: Bridge, broker: tuple[str, int], scenario: Path, seconds: float, sink: Rows) -> Sums:
    """The scenario at a broker whose messages the bridge keeps; it is stopped before the sums."""
    heard = Heard()
    asked = options(Given(broker=f"mqtt://{broker[0]}:{broker[1]}"), scenario)
    run = Run(asked, lambda line: print(line, flush=True), heard)
    async with run.going():
        ends = time.monotonic() + seconds
        await run.play()
        await asyncio.sleep(max(0.0, ends - time.monotonic()))
    ledger = Ledger(bridge)
    await settled(ledger, sink)
    async with ClientSession() as session:
        office = Secret("office", asked.scenario.login.password or "")
        received = (await Api(session, bridge, office).metrics())["ems_bridge_messages_received_total"]
    code = await asyncio.to_thread(bridge.stop)
    found = await asyncio.to_thread(sums, ledger, run, heard, sink, int(received))
    verify = await asyncio.to_thread(bridge.cli, "verify", expect=None)
    found.lines.append(sink.line())
    found.checks.extend(
        (
            Check("exit code of the service", code, 0),
            Check(f"exit code of verify ({verify.stdout.strip()[:60]})", verify.returncode, 0),
            exactly("kinds of faults that no device had", {*SWITCHES, *VALUES} - run.outcome().faults.keys()),
        )
    )
    return found


def measured(hours: float = HOURS, devices: int = DEVICES, interval: float = INTERVAL_S) -> int:
    """A day with its table; gives how many sums are wrong."""
    print(f"\n== {hours:g} hours of {devices} devices at {SCALE:g} times the speed of time", flush=True)
    with tempfile.TemporaryDirectory(prefix="ems-bench-") as home:
        found = asyncio.run(day(Path(home), hours, devices, interval))
    print(found.text())
    return len(found.wrong)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hours", type=float, default=HOURS)
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="simulated seconds between two reports")
    given = parser.parse_args()
    return 1 if measured(given.hours, given.devices, given.interval) else 0


if __name__ == "__main__":
    sys.exit(main())
