"""Everything in one process on loopback, for a look around: bridge, simulated sites on both schemes, and what to paste."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from bridge.app.doors import loopback
from bridge.app.house import House
from bridge.config import Config
from simulator.fleet import Fleet
from simulator.identity import DeviceSpec, device_specs

PRODUCT_KEY, TENANT, ACCOUNT = "DEMO-PK", "demo-tenant", "demo"
SHOW_EVERY_S = 5.0
STRATEGY = {
    "device_type": 2,
    "ele_meter_id": 9,
    "over_demand_status": 1,
    "over_demand_condition": [300] * 12,
    "dynamic_demand_status": 1,
    "dynamic_demand_percentage": 80,
    "streaming_status": 1,
    "streaming_condition": 10,
    "individual_phase_streaming_status": 2,
    "individual_phase_streaming_condition": 5,
}
"""An over-demand strategy that a user can send as it is."""


async def demo(
    config: Config, echo: Callable[[str], None], stop: asyncio.Event, *, devices: int, interval_s: float, seed: int
) -> None:
    """Run a bridge and a fleet until `stop` is set; `echo` prints a line."""
    house = await House.open(config)
    try:
        async with asyncio.TaskGroup() as group:
            await house.start(group)
            key = await _account(house)
            specs = [await _provision(house, spec) for spec in _specs(devices, seed)]
            async with Fleet(specs, _address(house), interval_s=interval_s) as fleet:
                await fleet.connected(30)
                for line in _welcome(house, key, specs):
                    echo(line)
                await _show(house, fleet, echo, stop)
            await house.stop()
    finally:
        await house.close()


def _specs(devices: int, seed: int) -> list[DeviceSpec]:
    return device_specs(
        devices,
        schemes=("wudun", "user"),
        versions=("v2", "v1", "emu"),
        product_key=PRODUCT_KEY,
        tenant=TENANT,
        seed=seed,
    )


async def _account(house: House) -> str:
    """A platform account for both owners; its key. In a directory that a demo used before, a fresh one replaces the old."""
    if any(account.name == ACCOUNT for account in house.registry.accounts()):
        await house.registry.remove_account(ACCOUNT)
    return await house.registry.add_account(ACCOUNT, [("wudun", PRODUCT_KEY), ("user", TENANT)])


async def _provision(house: House, spec: DeviceSpec) -> DeviceSpec:
    """Register the device under its owner and give it its secret."""
    if house.registry.device(spec.uid) is not None:
        secret = await house.registry.rotate_device(spec.uid)
    elif spec.scheme == "wudun":
        secret = await house.registry.add_device(spec.uid, product_key=spec.owner)
    else:
        secret = await house.registry.add_device(spec.uid, tenant=spec.owner)
    return spec._replace(username=spec.uid, password=secret)


def _address(house: House) -> tuple[str, int]:
    host, _, port = loopback(house.addresses.mqtt or "").rpartition(":")
    return host, int(port)


def _welcome(house: House, key: str, specs: list[DeviceSpec]) -> list[str]:
    http = f"http://{loopback(house.addresses.http)}"
    uid = specs[0].uid
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    end = start + timedelta(hours=1)
    host, port = _address(house)
    query = (
        f"curl -s '{http}/tsdb-service/v2.0/electric-power?orgId=demo&assetIds={uid}.meter.9"
        f"&measurepointsWithLogic=avg(total_active_power)&interval=1"
        f"&startTime={start:%Y-%m-%dT%H:%M:%S}%2B00:00&endTime={end:%Y-%m-%dT%H:%M:%S}%2B00:00&accessKey={key}'"
    )
    data = msgspec.json.encode(STRATEGY).decode()
    directory = house.directory
    return [
        f"ems-bridge demo: {len(specs)} simulated devices on both schemes. Ctrl-C stops it.",
        "",
        f"  MQTT   {host}:{port}   user {ACCOUNT}, password below; devices log in with their uid and secret",
        f"  HTTP   {http}   (GET /api/v1/openapi.json, /metrics; the key below as X-API-Key)",
        f"  pages  {http}/ui/   (type the key below)",
        f"  key    {key}",
        f"  device {uid}   secret {specs[0].password}",
        "",
        "Paste into another terminal:",
        "",
        "  # average power of a site's gateway meter, minute by minute, as EnOS answers it",
        f"  {query}",
        "",
        "  # give that site an over-demand strategy, and wait for its answer",
        f"  .venv/bin/ems-bridge send {uid} streaming_overdemand/create '{data}' --data {directory}",
        "",
        "  # follow the traffic",
        f"  .venv/bin/ems-bridge watch --data {directory}",
        "",
    ]


async def _show(house: House, fleet: Fleet, echo: Callable[[str], None], stop: asyncio.Event) -> None:
    """A line every few seconds, until `stop`."""
    while not await _stopped(stop):
        count = house.counts.value
        summary = fleet.summary()
        echo(
            f"{datetime.now(UTC):%H:%M:%S}  online {summary.online}  stored {count('ems_bridge_messages_stored'):.0f}"
            f"  refused {summary.refused}  mirrored {count('ems_bridge_mirror_rows', (('sink', 'local'),)):.0f} rows"
            f"  commands {summary.commands} answered {summary.answers}"
        )


async def _stopped(stop: asyncio.Event) -> bool:
    """Whether `stop` is set within SHOW_EVERY_S."""
    try:
        async with asyncio.timeout(SHOW_EVERY_S):
            return await stop.wait()
    except TimeoutError:
        return False
