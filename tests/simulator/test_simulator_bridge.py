"""A fleet of every scheme and version against our own service: nothing that it posts is refused."""

from __future__ import annotations

import aiohttp
import pytest

from bridge.testing import Bridge
from simulator.fleet import Fleet
from simulator.identity import device_specs


@pytest.mark.ems_bridge({"broker.allow_anonymous": True})
async def test_the_bridge_takes_everything_that_a_fleet_posts(ems_bridge: Bridge, web: aiohttp.ClientSession) -> None:
    bridge = ems_bridge
    specs = device_specs(12, schemes=("wudun", "user"), versions=("v2", "v1", "emu"))
    async with Fleet(specs, bridge.mqtt, interval_s=1, ramp_per_s=1000) as fleet:
        await fleet.connected(30)
        await fleet.until(lambda: fleet.summary().acked > 150)
        member = fleet.device("EMS00001")
        body = {"feature": "streaming_overdemand", "action": "delete", "data": {"id": 1}, "wait_s": 10}
        async with web.post(f"{bridge.http}/api/v1/devices/EMS00001/commands", json=body) as answer:
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["state"] == "succeeded"
        assert member.strategies() == []
    summary = fleet.summary()
    assert (summary.published, summary.reconnects) == (summary.acked, 0)
    async with web.get(f"{bridge.http}/metrics") as answer:
        text = await answer.text()
    rejected = [line for line in text.splitlines() if line.startswith("ems_bridge_messages_rejected_total")]
    assert [line for line in rejected if not line.endswith(" 0.0")] == []
    (stored,) = (line for line in text.splitlines() if line.startswith("ems_bridge_messages_stored_total"))
    assert float(stored.split()[-1]) >= summary.acked
