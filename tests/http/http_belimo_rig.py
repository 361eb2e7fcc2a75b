"""The Belimo-compatible API as its clients call it: tokens, and a device with readings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bridge.http.belimo_devices import device_id

if TYPE_CHECKING:
    from conftest import Window

BASE = "/api/v3"
T0 = 1_529_488_800_000
"""2018-06-20T10:00:00Z"""
MINUTE = 60_000
D1 = device_id("D1")
POWER, ENERGY = "meter.12.total_active_power", "meter.12.total_forward_active_energy"


async def fill(window: Window, asset: str = "D1.meter.12", values: dict[int, dict[str, float]] | None = None) -> None:
    """Readings at ms after T0; unless they are said, those of the vendor's own example: 1 at 10:07, one more every 3 minutes."""
    if values is None:
        values = {(4 + 3 * n) * MINUTE: {"total_active_power": float(n)} for n in range(20)}
    rows = [{"asset": asset, "timestamp": T0 + at, "values": told} for at, told in values.items()]
    status, said, _ = await window.call("POST", "/ingest/v1/power", rows, headers={"Content-Type": "application/json"})
    assert status == 200, said


async def token(window: Window, **fields: str) -> tuple[int, dict[str, Any]]:
    """(status, answer) of the token endpoint."""
    async with window.session.post(window.url + "/oauth/token", data=fields) as response:
        return response.status, json.loads(await response.read())


def login(window: Window, **more: str) -> dict[str, str]:
    """The form of a password login; the account is its own client."""
    return {
        "grant_type": "password", "username": "backend", "password": window.key, "client_id": "backend",
        "client_secret": window.key, **more,
    }  # fmt: skip


async def bearer(window: Window, **more: str) -> dict[str, str]:
    """A header with a fresh access token."""
    status, said = await token(window, **login(window, **more))
    assert status == 200, said
    return {"Authorization": f"Bearer {said['access_token']}"}


async def ask(
    window: Window, path: str, status: int = 200, method: str = "GET", body: Any = None, **params: str
) -> Any:
    """The answer to an API key's request."""
    got, said, _ = await window.call(method, BASE + path, body, params=params)
    assert got == status, said
    return said
