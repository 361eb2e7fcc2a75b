"""`make bench`: the figures that must be reached, each beside its bound, and the peers of this machine in the same run.

python -m benchmarks                                      everything that is installed, about a quarter of an hour
python -m benchmarks brokers --devices 1000 --repeat 3    one part; --devices 100,1000,5000 and --only durable,mosquitto
python -m benchmarks idle                                 10,000 idle connections beside 1,000 active ones
python -m benchmarks functions                            framing and accept alone
python -m benchmarks commands                             command round trips, every state durable
python -m benchmarks held                                 100,000 open commands: memory, restart, timeouts
python -m benchmarks vendor                               the vendor's platform API: a read and a command, alone and 64 at a time
python -m benchmarks evaluate                             a year of `ems-sim evaluate`, with and without a strategy
python -m benchmarks plugin                               a start of `ems_bridge`, and of 100 devices of `ems_fleet`
python -m benchmarks simulator                            10,000 simulated devices in one process on one core, with faults
python -m benchmarks day [--hours 24]                     a day of a faulty fleet at 600 times the speed, and its sums
python -m benchmarks series [--small]                     time series beside PostgreSQL, DuckDB and InfluxDB
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import (
    accept,
    bounds,
    commands,
    day,
    evaluate,
    framing,
    held,
    plugin,
    series,
    simulator,
    studies,
    vendor,
)
from benchmarks.figures import Bound
from benchmarks.peers import MOSQUITTO
from benchmarks.runs import Results
from benchmarks.servers import DURABLE, ROOT

PARTS = (
    "all",
    "brokers",
    "idle",
    "functions",
    "commands",
    "held",
    "vendor",
    "evaluate",
    "plugin",
    "simulator",
    "day",
    "series",
)
FUNCTIONS = (
    (Bound("framing of a 230-byte publish", framing.MUST_US, framing.GOAL_US, "µs", most=True), "framing"),
    (Bound("accept (decode, validate, extract) of a 918-byte report", 15.0, accept.GOAL_US, "µs", most=True), "accept"),
)


def main() -> int:
    options = parser().parse_args()
    if options.part == "day":  # sums, no figures
        return 1 if day.measured(options.hours) else 0
    results = Results()
    functions = measured_functions() if options.part in ("all", "functions") else {}
    trips = commands.middle(options.repeat, options.seconds) if options.part in ("all", "commands") else {}
    open_ones = held.measured() if options.part in ("all", "held") else {}
    if options.part in ("all", "vendor"):
        vendor.middle(options.repeat, options.seconds)
    readings: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory(prefix="ems-bench-") as home:
        if options.part in ("all", "series"):
            readings = series.measured(Path(home), options.small, options.repeat)
        loads = measure(options, Path(home), results)
    verdicts: list[tuple[Bound, float | None]] = [
        (bound, functions[name]) for bound, name in FUNCTIONS if name in functions
    ]
    if options.part in ("all", "evaluate"):
        verdicts.append((evaluate.BOUND, evaluate.measured(repeat=options.repeat)))
    if options.part in ("all", "plugin"):
        verdicts += plugin.verdicts(plugin.measured())
    if options.part in ("all", "simulator"):
        verdicts += simulator.verdicts(simulator.measured())
    verdicts += commands.verdicts(trips) + held.verdicts(open_ones) + series.verdicts(readings)
    verdicts += [(line.bound, value) for line, value in bounds.verdicts(results)] if loads else []
    if loads:
        print(studies.report(loads, results), "", studies.LEGEND, sep="\n")
    if options.part != "all":
        verdicts = [(bound, value) for bound, value in verdicts if value is not None]
    print("", *(bound.line(value) for bound, value in verdicts), sep="\n")
    if options.json:
        Path(options.json).write_text(json.dumps(plain(results, functions, verdicts), indent=1), encoding="utf-8")
    return 1 if any(bound.verdict(value) == "MISSED" for bound, value in verdicts) else 0


def measure(options: argparse.Namespace, home: Path, results: Results) -> list[tuple[int, int]]:
    """Run what was asked for; gives the loads, for the tables."""
    repeat, seconds = options.repeat, options.seconds
    if options.part == "all":
        studies.everything(home, repeat, seconds, results)
        return [(1_000, 0), (100, 0), (5_000, 0), (1_000, 10_000)]
    if options.part in ("functions", "commands", "held", "vendor", "evaluate", "plugin", "simulator", "day", "series"):
        return []
    if options.part == "idle":
        keys = options.only or [DURABLE.key, MOSQUITTO.key]
        todo = [case for idle in (0, 10_000) for case in studies.cases(keys, 1_000, seconds, idle)]
        studies.measure(todo, home, repeat, results)
        return [(1_000, 0), (1_000, 10_000)]
    keys = options.only or list(studies.CANDIDATES)
    todo = [case for devices in options.devices for case in studies.cases(keys, devices, seconds)]
    studies.measure(todo, home, repeat, results)
    return [(devices, 0) for devices in options.devices]


def measured_functions() -> dict[str, float]:
    """The two pure functions of the hot path, each in a process of its own."""
    for name in ("framing", "accept"):
        print(f"\n== benchmarks.{name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=True)
    return {"framing": framing.decode_us(framing.CHUNKS[-1]), "accept": accept.measure(accept.report())["both"]}


def plain(results: Results, functions: dict[str, float], verdicts: list[tuple[Bound, float | None]]) -> dict[str, Any]:
    """Everything for a file."""
    return {
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "functions_us": functions,
        "figures": [{**bound._asdict(), "value": value, "verdict": bound.verdict(value)} for bound, value in verdicts],
        "runs": results.plain(),
        "skipped": results.skipped,
        "stopped": [
            {"broker": name, "devices": devices, "idle": idle, "why": why}
            for (name, devices, idle), why in results.stopped.items()
        ],
    }


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("part", nargs="?", choices=PARTS, default="all")
    found.add_argument(
        "--devices", type=numbers, default=[1_000], metavar="N[,N]", help="devices that publish (brokers)"
    )
    found.add_argument("--only", type=keys, metavar="KEY[,KEY]", help=f"of {', '.join(studies.CANDIDATES)}")
    found.add_argument("--repeat", type=int, default=3, metavar="N", help="interleaved repetitions")
    found.add_argument("--seconds", type=float, default=2.0, metavar="S", help="length of each measurement")
    found.add_argument("--small", action="store_true", help="a tenth of the readings (series)")
    found.add_argument("--hours", type=float, default=day.HOURS, metavar="N", help="of simulated time (day)")
    found.add_argument("--json", metavar="FILE", help="write every figure of every repetition")
    return found


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def keys(text: str) -> list[str]:
    found = text.split(",")
    unknown = [key for key in found if key not in studies.CANDIDATES]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(studies.CANDIDATES)}")
    return found


if __name__ == "__main__":
    sys.exit(main())
