"""`ems-sim evaluate` over a year: both runs of a site with everything on it, seconds of one core.

    python -m benchmarks.evaluate [--days N] [--repeat R]

A site of 300 kW with PV, three cabinets and four piles, under a demand limit, reverse-flow prevention in all and by phase, and a
schedule: an outlook every day, cabinets that go apart, vehicles at every hour. CPU time, so that what else runs counts little.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

from benchmarks.figures import Bound
from simulator.evaluate import evaluate

DAYS = 365
BOUND = Bound("ems-sim evaluate: a year with and without a strategy", 20.0, 10.0, "s", most=True)

SITE: dict[str, Any] = {
    "transformer_kva": 630, "pv": {"peak_kw": 320}, "storage": {"cabinets": 3}, "piles": {"count": 4, "vehicles_per_day": 60},
}  # fmt: skip
SLOT = {"start_hour": 22, "start_minute": 0, "end_hour": 0, "end_minute": 0, "cdc_enable_mode": 1, "run_power": 20}
STRATEGY: list[dict[str, Any]] = [
    {
        "ele_meter_id": 9, "over_demand_status": 1, "over_demand_condition": [330] * 12, "streaming_status": 1,
        "streaming_condition": 20, "individual_phase_streaming_status": 1, "individual_phase_streaming_condition": 10,
        "dynamic_demand_percentage": 95, "dynamic_demand_status": 1,
    },
    {
        "charge_type": 1, "status": 1, "mode": 2, "month": list(range(12)), "week_day": list(range(7)), "ems_device_ids": [2],
        "settings": [SLOT],
    },
]  # fmt: skip


def measured(days: int = DAYS, repeat: int = 1) -> float:
    """Seconds of one core for a year, the median of `repeat` runs of `days`."""
    spent = []
    for _ in range(repeat):
        begun = time.process_time()
        evaluate(STRATEGY, SITE, days)
        spent.append((time.process_time() - begun) * DAYS / days)
    return median(spent)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    print(BOUND.line(measured(given.days, given.repeat)))


if __name__ == "__main__":
    main()
