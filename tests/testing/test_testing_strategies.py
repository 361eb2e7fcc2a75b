"""A strategy sent by `ems-bridge send` shows in the gateway power that the bridge plots: days in seconds, on a held clock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from typing import Any

import pytest
from harness.process import environment

from bridge.testing import Bridge, Clock, Fleet

DAY_S = 86_400
SOME = 3
"""Days: Monday to Wednesday without a limit, Thursday to Saturday with it."""
QUARTER_MS = 900_000
GATEWAY = "D2.meter.9"
MONTHS, DAYS = list(range(12)), list(range(7))
DISCHARGE = {
    "charge_type": 1, "status": 1, "mode": 2, "month": MONTHS, "week_day": DAYS, "apply_to_all": True,
    "settings": [
        {"start_hour": hour, "start_minute": 0, "end_hour": hour + 2, "end_minute": 0, "cdc_enable_mode": 2, "run_power": 50}
        for hour in (2, 6)
    ],
}  # fmt: skip
"""At night, when the load is small: more than that flows back."""


def send(bridge: Bridge, what: str, data: Any) -> None:
    command = [sys.executable, "-m", "bridge", "send", "D2", what, json.dumps(data), "--url", bridge.http]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment() | {"EMS_BRIDGE_KEY": bridge.key}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1, "ele_meter_id": 9, "over_demand_status": 2, "over_demand_condition": [900] * 12, "streaming_status": 2,
        "individual_phase_streaming_status": 2, "dynamic_demand_status": 2, "dynamic_demand_percentage": 100,
    } | changes  # fmt: skip


def powers(bridge: Bridge, clock: Clock, days: int) -> list[float]:
    """What the gateway's plot shows of so many days: means of quarter-hours, kW."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for _ in range(days):
        start = clock.now_ms()
        clock.advance(DAY_S)
        end = clock.now_ms()
        asked = {"asset": GATEWAY, "point": "total_active_power", "start": start, "end": end}

        def plot(asked: dict[str, Any] = asked) -> dict[str, Any]:
            series: list[dict[str, Any]] = bridge.get("/api/v1/plot", **asked)["series"]
            return series[0] if series else {"times": [], "values": []}

        bridge.until(lambda plot=plot: len(plot()["times"]) >= DAY_S // 300, what="a day of readings")
        shown = plot()
        for at, value in zip(shown["times"], shown["values"], strict=True):
            found[at // QUARTER_MS].append(value)
    return [sum(values) / len(values) for values in found.values() if len(values) == 3]


@pytest.mark.ems_clock("2026-06-15T00:00:00+08:00")  # a Monday
def test_a_demand_limit_and_reverse_flow_prevention_show(
    ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock
) -> None:
    ems_fleet("D2", interval_s=300)
    free = max(powers(ems_bridge, ems_clock, SOME))
    limit = round(0.93 * free)
    send(ems_bridge, "streaming_overdemand/update", rule(over_demand_status=1, over_demand_condition=[limit] * 12))
    assert max(powers(ems_bridge, ems_clock, SOME)) <= limit * 1.01

    send(ems_bridge, "streaming_overdemand/update", rule())
    send(ems_bridge, "charge/create", DISCHARGE)
    assert min(powers(ems_bridge, ems_clock, 2)) < -5
    send(ems_bridge, "streaming_overdemand/update", rule(streaming_status=1))
    assert min(powers(ems_bridge, ems_clock, 2)) > -0.5
