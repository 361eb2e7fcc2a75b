"""A real service, a platform account, simulated devices on both schemes, and the clients of both transports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from harness.process import ROOT, Bridge

from bridge.client import Device, HttpClient, MqttClient
from bridge.core.registry import Registry
from bridge.store.database import Database
from bridge.testing import Bridge as InProcess
from simulator.fleet import Fleet
from simulator.identity import DeviceSpec

PK, TENANT = "PK001", "acme"
BOTH, USER, EMU, AWAY = "EMS001", "EMS002", "EMU003", "EMS004"
"""Under both schemes and on wudun; under both and on user; an EMU of the product key alone; never connected."""
BODIES: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "commands.json").read_text("utf-8"))
CONFIG = "[commands]\ntimeout_s = 3.0\nhold_s = 1.0\n"
PATIENCE_S = 30.0


class Served(NamedTuple):
    """A bridge with the account and the devices: as a process of its own, or in this one."""

    bridge: Bridge | InProcess
    key: str = ""
    secrets: dict[str, str] = {}  # noqa: RUF012 - never changed

    @classmethod
    def process(cls, bridge: Bridge) -> Served:
        """Not started yet."""
        return cls(bridge)

    @classmethod
    def here(cls, bridge: InProcess, key: str) -> Served:
        """Running."""
        owners = {BOTH: (PK, TENANT), USER: (PK, TENANT), EMU: (PK, None), AWAY: (PK, None)}
        made = {uid: bridge.device(uid, product_key=pk, tenant=tenant).secret for uid, (pk, tenant) in owners.items()}
        return cls(bridge, key, made)


class Site:
    """A running bridge with its fleet. `http` and `mqtt` are open clients of an account of both owners."""

    http: HttpClient
    mqtt: MqttClient

    def __init__(self, bridge: Bridge | InProcess, key: str, fleet: Fleet) -> None:
        self.bridge, self.key, self.fleet = bridge, key, fleet
        self.secrets: dict[str, str] = {}
        self.ports = ("--mqtt", f"127.0.0.1:{bridge.mqtt[1]}", "--http", bridge.http.removeprefix("http://"))

    @property
    def mqtt_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.bridge.mqtt[1]}"

    def device(self, transport: str, uid: str) -> Device:
        if transport == "http":
            return self.http.device(uid)
        return self.mqtt.device(uid)

    @property
    def process(self) -> Bridge:
        """The bridge of a test that is marked `process`."""
        assert isinstance(self.bridge, Bridge)
        return self.bridge

    async def restart(self) -> None:
        """kill -9, and again on the same ports."""
        self.process.kill()
        await asyncio.to_thread(self.process.start, *self.ports)


async def provision(data: Path) -> tuple[str, dict[str, str]]:
    """The account's key, and the devices' secrets."""
    database = await Database.open(data / "bridge.db", "bridge")
    try:
        registry = Registry(database)
        secrets = {
            BOTH: await registry.add_device(BOTH, PK, TENANT),
            USER: await registry.add_device(USER, PK, TENANT),
            EMU: await registry.add_device(EMU, PK, None),
            AWAY: await registry.add_device(AWAY, PK, None),
        }
        await registry.add_device("FOREIGN", "PK999", None)
        key = await registry.add_account("office", (("wudun", PK), ("user", TENANT)))
        return key, secrets
    finally:
        await database.close()


@asynccontextmanager
async def opened(served: Served) -> AsyncIterator[Site]:
    bridge, key, secrets = served
    if isinstance(bridge, Bridge):
        bridge.data.mkdir()
        key, secrets = await provision(bridge.data)
        await asyncio.to_thread(bridge.start)
    specs = [
        DeviceSpec(BOTH, "wudun", PK, "v2", BOTH, secrets[BOTH]),
        DeviceSpec(USER, "user", TENANT, "v1", USER, secrets[USER]),
        DeviceSpec(EMU, "wudun", PK, "emu", EMU, secrets[EMU]),
    ]
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(Fleet(specs, bridge.mqtt, interval_s=2, drain_s=0.1))
        await fleet.connected(PATIENCE_S)
        site = Site(bridge, key, fleet)
        site.secrets = secrets
        site.http = await stack.enter_async_context(HttpClient(bridge.http, key))
        site.mqtt = await stack.enter_async_context(MqttClient(site.mqtt_url, "office", key, prefix=f"v1/wudun/{PK}"))
        yield site
