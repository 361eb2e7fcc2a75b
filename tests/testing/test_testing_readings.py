"""Readings of a fleet on a held clock reach the time series, however far the clock has gone."""

from __future__ import annotations

from bridge.testing import Bridge, Clock, Fleet

DAY_S = 86_400


def test_days_of_readings_in_seconds(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    ems_fleet("D1", interval_s=900)
    begin = ems_clock.now_ms()
    ems_clock.advance(3 * DAY_S)
    ends = {"asset": "D1.meter.9", "point": "total_active_power", "start": begin, "end": ems_clock.now_ms() + 1}
    wanted = 3 * 96

    def readings() -> int:
        series = ems_bridge.get("/api/v1/plot", **ends)["series"]
        return len(series[0]["times"]) if series else 0

    ems_bridge.until(lambda: readings() >= wanted, what="three days of readings")
