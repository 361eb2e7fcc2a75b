"""Many devices at once, registered through the core's own registry (the command line takes one process a device)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bridge.core.registry import Registry
from bridge.store.database import Database
from harness.process import PRODUCT_KEY, TENANT, Secret


async def provision(
    data: Path, uids: Iterable[str], *, product_key: str | None = PRODUCT_KEY, tenant: str | None = TENANT
) -> list[Secret]:
    """Register the devices in the data directory `data` and give their secrets, in order."""
    database = await Database.open(data / "bridge.db", "bridge")
    try:
        registry = Registry(database)
        return [Secret(uid, await registry.add_device(uid, product_key, tenant)) for uid in uids]
    finally:
        await database.close()
