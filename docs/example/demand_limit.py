"""Gives every device of an account the same demand limit, and says how each took it."""

from __future__ import annotations

from bridge.client import HttpClient


async def limit(client: HttpClient, kilowatts: int, timeout_s: float = 30.0) -> dict[str, str]:
    """uid -> the state in which its command ended."""
    strategy = {
        "device_type": 2,
        "ele_meter_id": 9,
        "over_demand_status": 1,
        "over_demand_condition": [kilowatts] * 12,
        "dynamic_demand_status": 2,
        "dynamic_demand_percentage": 80,
        "streaming_status": 2,
        "streaming_condition": 0,
        "individual_phase_streaming_status": 2,
        "individual_phase_streaming_condition": 0,
    }
    states = {}
    async for device in client.devices():
        create = client.device(device.uid).streaming_overdemand.create
        states[device.uid] = (await create(strategy, timeout_s=timeout_s)).state
    return states
