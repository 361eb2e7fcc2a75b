"""One `ems-sim` with 10,000 devices, each with its own connection, at a 60 s interval, on one core.

    python -m benchmarks.simulator [--devices N] [--interval S] [--ramp N] [--ours]

The simulator is bound to the last core, the broker (Mosquitto, or our own service where that is not installed) to the others. All
figures are of the simulator: what its process uses comes from /proc, what it did from the summaries that it is asked for. Four
parts: everybody connects; a minute in which every EMS looks two days ahead, as they do every midnight; a minute as most are; a
storm; and three quarters of a minute with ten kinds of faults on 30 % of the fleet. A platform sends commands to 2 % of the
devices every ten seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any, NamedTuple

from benchmarks import peers
from benchmarks.figures import Bound
from benchmarks.servers import ALONE, Fleet, Server, ours
from benchmarks.usage import Usage
from simulator.descriptors import make_room
from simulator.identity import Identities, device_specs

DEVICES, INTERVAL_S, RAMP = 10_000, 60.0, 500.0
SCHEMES, VERSIONS = ("wudun", "user"), ("v2", "v1", "emu")
FAULTS_S = 45.0
PATIENCE_S = 60.0
LOOK_S = 0.25
FAULTS = (
    "silent=3%,slow=2@3%,garbage=3%,duplicate=3%,reorder=3%,wrong_units=3%,skew=-60@3%,jump=30@3%,flap=10@3%,"
    "half_open=2%,huge=20000@1%"
)
"""Of these a broker loses nothing: whatever was published has a PUBACK in the end."""
OPEN = "[broker]\nmax_connections = 20000\nallow_anonymous = true\n"


COMMANDS = """
[[phase]]
name = "commands"
at = 2.0
duration = 3600.0
commands = [{ command = "safety/sync", to = "2%", every = 10.0 }]
"""
"""All the time; a third of the devices, the EMUs, refuse them."""


class Bounds(NamedTuple):
    """What must be reached."""

    steady: Bound = Bound("10,000 simulated devices at 60 s: share of one core", 0.7, 0.3, "", most=True)
    midnight: Bound = Bound("the same in the minute in which every EMS looks ahead", 0.9, 0.6, "", most=True)
    faulty: Bound = Bound("the same with ten kinds of faults on 30 % of them", 0.7, 0.3, "", most=True)
    rate: Bound = Bound("reports against the plan", 0.99, 0.995)
    late: Bound = Bound("a report or an answer behind its time, at worst", 2.0, 0.5, "s", most=True)
    lost: Bound = Bound("messages published and neither acknowledged nor pending", 0, 0, "", most=True)
    ramp: Bound = Bound("connections in the busiest second of the ramp, against what was asked", 1.1, 1.0, most=True)
    storm: Bound = Bound("after a storm until everybody is back", 30.0, 10.0, "s", most=True)
    memory: Bound = Bound("memory of a simulated device with its connection", 40.0, 20.0, "KiB", most=True)


BOUNDS = Bounds()


class Look(NamedTuple):
    """The simulator at one moment."""

    at: float
    used: Usage
    found: dict[str, Any]


class Simulator:
    """A running `ems-sim`, told what to do and asked how it is by its control file."""

    def __init__(self, home: Path, broker: tuple[str, int], devices: int, interval: float, ramp: float) -> None:
        self._control, scenario = home / f"control-{devices}", home / f"asked-{devices}.toml"
        self._control.touch()
        scenario.write_text(COMMANDS if devices > 1 else "", encoding="utf-8")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "simulator", "run", "--broker", f"mqtt://{broker[0]}:{broker[1]}"),
                *("--devices", str(devices), "--interval", str(interval), "--ramp", str(ramp)),
                *("--scheme", ",".join(SCHEMES), "--version", ",".join(VERSIONS), "--control", str(self._control)),
                *("--scenario", str(scenario)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        bound(self.process.pid, last=True)
        self._said: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        for _ in range(int(PATIENCE_S / LOOK_S)):  # what is written before it looks is not for it
            with suppress(RuntimeError):
                self.say("summary", LOOK_S)
                time.sleep(4 * LOOK_S)  # for answers that came too late
                while not self._said.empty():
                    self._said.get()
                return
        self.end()
        raise RuntimeError("ems-sim does not start")

    def say(self, line: str, patience: float = PATIENCE_S) -> str:
        """A word to it, and its answer. RuntimeError when it has none."""
        with self._control.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        try:
            return self._said.get(timeout=patience)
        except Empty:
            raise RuntimeError(f"ems-sim does not answer to {line!r} (exit code {self.process.poll()})") from None

    def look(self) -> Look:
        """How it is now."""
        found = json.loads(self.say("summary").partition("control: ")[2])
        return Look(time.monotonic(), Usage.of([self.process.pid]), found)

    def until(self, true: Callable[[dict[str, Any]], bool]) -> Look:
        """Look again and again until this holds."""
        deadline = time.monotonic() + PATIENCE_S + 2 * DEVICES / RAMP
        while True:
            look = self.look()
            if true(look.found):
                return look
            if time.monotonic() > deadline:
                raise RuntimeError(f"it does not get there: {look.found}")
            time.sleep(LOOK_S)

    def stop(self) -> dict[str, Any]:
        """Its last summary."""
        self.say("stop")
        assert self.process.stdout is not None
        last = self.process.stdout.read()
        self.process.wait(PATIENCE_S)
        return json.loads(last)  # type: ignore[no-any-return]

    def end(self) -> None:
        """Whatever it does."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "control: " in line:
                self._said.put(line)


def bound(pid: int, *, last: bool) -> None:
    """Put a process on the last core, or on all the others."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, cores[-1:] if last else cores[:-1])


@contextmanager
def broker(home: Path, *, own: bool = False) -> Iterator[tuple[str, Server]]:
    """Mosquitto, or our own service; its name."""
    nobody = Fleet(0, home / "none", home / "empty")
    nobody.data.mkdir()
    if peers.binary("mosquitto") and not own:
        name, start = "Mosquitto", peers.mosquitto(f"{peers.NO_LOSS}set_tcp_nodelay true\n", home / "broker", nobody)
    else:
        name, start = "ems-bridge", ours(OPEN + ALONE)(home / "broker", nobody)
    with start as server:
        for pid in server.pids:
            bound(pid, last=False)
        yield name, server


@contextmanager
def simulating(home: Path, server: Server, devices: int, interval: float, ramp: float = RAMP) -> Iterator[Simulator]:
    """A running simulator, gone afterwards."""
    made = Simulator(home, server.address, devices, interval, ramp)
    try:
        yield made
    finally:
        made.end()


def measured(
    devices: int = DEVICES, interval: float = INTERVAL_S, ramp: float = RAMP, *, own: bool = False
) -> dict[str, float]:
    """Every figure, by its name in `Bounds`."""
    if trouble := make_room(devices):
        print(f"skipped: simulator: {trouble}")
        return {}
    with tempfile.TemporaryDirectory(prefix="ems-bench-") as text:
        home = Path(text)
        with broker(home, own=own) as (name, server):
            print(f"\n== one ems-sim, {devices:,} devices at {interval:g} s, at {name}", flush=True)
            with simulating(home, server, 1, interval) as single:
                alone = single.until(lambda found: found["online"] == 1).used.resident
            with simulating(home, server, devices, interval, ramp) as simulator:
                return _parts(simulator, devices, interval, ramp, alone)


def _parts(simulator: Simulator, devices: int, interval: float, ramp: float, alone: int) -> dict[str, float]:
    found: dict[str, float] = {}
    online = simulator.until(lambda now: now["online"] == devices).found
    found["ramp"] = online["connects_max_per_s"] / ramp
    print(
        f"all are online {online['seconds']:.1f} s after it began, {online['connects_max_per_s']} in the busiest second"
    )
    found["midnight"] = _window(simulator, "every EMS looks ahead", interval)[0]
    found["steady"], rate, now = _window(simulator, "as most minutes are", interval)
    found["rate"] = rate / planned(devices, interval)
    print(f"   {now.found['late_max_s']} s behind at worst so far, PUBACK p50 {now.found['ack_p50_ms']} ms")
    found["storm"] = _storm(simulator, devices)
    simulator.say(f"faults {FAULTS}")
    found["faulty"], _, now = _window(simulator, "with faults", min(FAULTS_S, interval))
    found["memory"] = (now.used.resident - alone) / 1024 / devices
    print(f"   {found['memory']:.1f} KiB a device, {now.used.resident / 1048576:.0f} MiB in all")
    simulator.say("honest")
    simulator.until(lambda now: now["online"] == devices and now["pending"] <= devices / interval)
    last = simulator.stop()
    found["late"] = last["late_max_s"]
    found["lost"] = last["published"] - last["acked"] - last["pending"]
    print(
        f"   {last['published']:,} published, {last['acked']:,} acknowledged, {last['pending']} pending, "
        f"{last['resent']} sent again, {last['dropped']} dropped; faults: {last['faults']}; commands: {last['outcomes']}"
    )
    return found


def _window(simulator: Simulator, what: str, seconds: float) -> tuple[float, float, Look]:
    """Share of a core, messages a second, and how it is then."""
    before = simulator.look()
    time.sleep(seconds)
    after = simulator.look()
    passed = after.at - before.at
    share = (after.used.cpu_s - before.used.cpu_s) / passed
    sent, answered = (after.found[name] - before.found[name] for name in ("published", "answers"))
    rate = (sent - answered) / passed
    print(f"{what}: {share:.2f} of a core, {rate:.0f} messages/s beside {answered / passed:.0f} answers", flush=True)
    return share, rate, after


def _storm(simulator: Simulator, devices: int) -> float:
    """Seconds from a storm until everybody is back."""
    before, began = simulator.look().found["connects"], time.monotonic()
    simulator.say("storm")
    back = simulator.until(lambda now: now["online"] == devices and now["connects"] - before >= 0.99 * devices)
    most = back.found["connects_max_per_s"]
    print(f"after a storm all are back in {back.at - began:.1f} s, {most} in the busiest second", flush=True)
    return back.at - began


def planned(devices: int, interval: float) -> float:
    """Messages a second that regular reports are."""
    identities = Identities()
    each = {"emu": 0, "v1": 2, "v2": 1}
    total = 0
    for spec in device_specs(devices, schemes=SCHEMES, versions=VERSIONS):
        cabinets = 1 if spec.version == "emu" else len(identities.of(spec)[0].cabinets)
        total += each[spec.version] + cabinets
    return total / interval


def verdicts(found: dict[str, float]) -> list[tuple[Bound, float | None]]:
    """Every bound with what was found."""
    return [(bound, found.get(name)) for name, bound in BOUNDS._asdict().items()]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--interval", type=float, default=INTERVAL_S)
    parser.add_argument("--ramp", type=float, default=RAMP)
    parser.add_argument("--ours", action="store_true", help="at our own service, though Mosquitto is installed")
    given = parser.parse_args()
    found = measured(given.devices, given.interval, given.ramp, own=given.ours)
    print("", *(bound.line(value) for bound, value in verdicts(found)), sep="\n")


if __name__ == "__main__":
    main()
