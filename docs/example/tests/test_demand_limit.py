"""The whole loop: our code, a real bridge, simulated devices. No sleep, no mock."""

from __future__ import annotations

import asyncio

from demand_limit import limit

from bridge.testing import Bridge, Clock, Fleet, Sink


def run(bridge: Bridge, kilowatts: int, timeout_s: float = 30.0) -> dict[str, str]:
    async def work() -> dict[str, str]:
        async with bridge.client() as client:
            return await limit(client, kilowatts, timeout_s)

    return asyncio.run(work())


def test_every_device_takes_the_limit(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    fleet = ems_fleet("D1", "D2")
    assert run(ems_bridge, 300) == {"D1": "succeeded", "D2": "succeeded"}
    assert fleet.device("D2").strategies()[-1]["over_demand_condition"] == [300] * 12


def test_who_refuses_and_who_is_silent_is_said(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    fleet = ems_fleet("D1", "D2", "D3")
    fleet.device("D1").answers("streaming_overdemand/create", code=400, msg="no room")
    fleet.device("D3").silent()
    assert run(ems_bridge, 300, timeout_s=0.5) == {"D1": "rejected", "D2": "succeeded", "D3": "timed_out"}


def test_a_command_waits_a_night_for_its_device(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    device = ems_fleet("D1").device("D1").offline()
    asked = ems_bridge.send("D1", "streaming_overdemand/sync", hold_s=12 * 3600, wait_s=0)
    ems_clock.advance(8 * 3600)
    device.online()
    ems_bridge.until(lambda: ems_bridge.state(asked.mid) == "succeeded")


def test_readings_reach_the_sink_once(ems_bridge: Bridge, ems_fleet: Fleet, ems_sink: Sink, ems_clock: Clock) -> None:
    ems_sink.fails(503, times=2)
    ems_fleet("D1", interval_s=60)
    ems_clock.advance(300)
    ems_sink.until(lambda sink: len(sink.values("D1.meter.9", "total_active_power")) >= 4)
    assert ems_sink.twice() == []


def test_an_alarm_comes_and_clears(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    device = ems_fleet("D1", interval_s=60).device("D1").afflict("smoke")
    ems_clock.advance(60)
    device.afflict()
    ems_clock.advance(60)
    raised, cleared = ems_bridge.messages("D1", "alarm/details/post")
    assert raised.data["id"] == cleared.data["id"]
    assert raised.data["handle_status"] != cleared.data["handle_status"]
