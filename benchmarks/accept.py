"""Accept: decode, validate and extract one 918-byte V2 meter report. `python -m benchmarks.accept` prints µs per message.

The median of ROUNDS runs of LOOPS messages; the collector is off inside a run.
"""

from __future__ import annotations

import json
from statistics import median
from timeit import Timer

from schemas.kinds import resolve
from schemas.readings import extract

SIZE = 918
ROUNDS = 9
LOOPS = 5_000
GOAL_US = 8.0
SUFFIX = "report/regular/post"


def report() -> bytes:
    """A single-meter `sub_elemeters` report of exactly SIZE bytes, as the V2 pages print it."""
    meter: dict[str, object] = {"device_id": 12, "uid": "m12", "purpose": 2}
    for stem in ("active_power", "reactive_power", "apparent_power"):
        meter[f"total_{stem}"] = 104.5
        meter |= {f"{stem}_phase_{phase}": 35.25 for phase in "abc"}
    meter |= {f"voltage_phase_{phase}": 230.1 for phase in "abc"} | {f"current_phase_{phase}": 48.5 for phase in "abc"}
    meter["frequency_grid"] = 50.01
    meter |= {"total_forward_active_energy": 126.5, "total_reverse_active_energy": 134.4}
    body: dict[str, object] = {
        "trace_id": "",
        "mid": "d39835f5-2087-4601-8a12-85bb2bceb690",
        "type": "report_regular",
        "device_uid": "EMS-000001",
        "timestamp": 1705563840345,
        "data": [{"type": "sub_elemeters", "index": 0, "data": [meter]}],
    }
    spare = SIZE - len(json.dumps(body, separators=(",", ":")))
    if spare < 0:
        raise ValueError(f"the report is {-spare} bytes too long for {SIZE}")
    body["trace_id"] = "t" * spare
    return json.dumps(body, separators=(",", ":")).encode()


def measure(payload: bytes) -> dict[str, float]:
    """µs per message of each step."""
    kind, message = resolve(SUFFIX, payload)

    def both() -> None:
        extract(*resolve(SUFFIX, payload))

    steps = {"decode": lambda: resolve(SUFFIX, payload), "extract": lambda: extract(kind, message), "both": both}
    return {
        name: median(seconds / LOOPS * 1e6 for seconds in Timer(step).repeat(ROUNDS, LOOPS))
        for name, step in steps.items()
    }


def main() -> None:
    """Print one line a step."""
    payload = report()
    kind, message = resolve(SUFFIX, payload)
    points = sum(len(sample.values) for sample in extract(kind, message))
    print(f"accept: {len(payload)} bytes, {points} readings, median of {ROUNDS} × {LOOPS}")
    for name, micros in measure(payload).items():
        print(f"{name:8} {micros:6.2f} µs")
    print(f"goal     {GOAL_US:6.2f} µs (both)")


if __name__ == "__main__":
    main()
