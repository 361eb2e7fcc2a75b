"""Messages that the tests and the load generator send: a meter report of 918 bytes, a device's answer, a command."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

REPORT = "report/regular/post"
METER = 7
"""Meter id of the report: its readings stand under `{device}.meter.7`."""

REPORT_BYTES = 918
"""Size of the report on which every figure of PERFORMANCE.md is measured."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def topic(uid: str, suffix: str, *, scheme: str = "wudun", owner: str = "PK001", version: int = 1) -> str:
    return f"v{version}/{scheme}/{owner}/{uid}/{suffix}"


def report(uid: str, power: float, *, at: int | None = None, mid: str | None = None) -> bytes:
    """A `report/regular` V2 of one meter, filled up by its trace id to 918 bytes (longer only for very long uids)."""
    body = report_of(uid, meter(power), at, mid)
    short = REPORT_BYTES - len(dump({**body, "trace_id": ""}))
    return dump({**body, "trace_id": "t" * max(short, 0)})


def short_report(uid: str, power: float, *, at: int | None = None, mid: str | None = None) -> bytes:
    """A report with one reading, `{uid}.meter.7` total_active_power."""
    return dump(report_of(uid, {"device_id": METER, "purpose": 1, "total_active_power": power}, at, mid))


def report_of(uid: str, data: dict[str, Any], at: int | None = None, mid: str | None = None) -> dict[str, Any]:
    """The envelope of a V2 report with one meter entry."""
    return {
        "mid": mid or str(uuid.uuid4()),
        "type": "report_regular",
        "device_uid": uid,
        "timestamp": now_ms() if at is None else at,
        "data": [{"type": "sub_elemeter", "index": 0, "data": data}],
    }


def meter(power: float) -> dict[str, Any]:
    third = round(power / 3, 3)
    phases = {
        f"{name}_phase_{phase}": value
        for name, value in (("active_power", third), ("reactive_power", 1.2), ("voltage", 230.4), ("current", 14.6))
        for phase in "abc"
    }
    return {
        "device_id": METER,
        "purpose": 1,
        "total_active_power": power,
        "total_reactive_power": 3.6,
        "total_power_factor": 0.98,
        "total_apparent_power": round(power * 1.02, 3),
        "frequency_grid": 50.01,
        "power_factor_phase_a": 0.98,
        "total_active_energy": 48212.7,
        "total_forward_active_energy": 48100.2,
        "total_reverse_active_energy": 112.5,
        "forward_active_energy_peak": 20100.3,
        "forward_active_energy_flat": 18000.1,
        **phases,
    }


def answer(command: bytes, uid: str, *, code: int = 200, data: Any = None, at: int | None = None) -> bytes:
    """The result with which a device answers `command`."""
    asked = json.loads(command)
    body = {
        "mid": str(uuid.uuid4()),
        "reply": asked["mid"],
        "type": asked["type"],
        "code": code,
        "msg": "" if code == 200 else "refused",
        "device_uid": uid,
        "timestamp": now_ms() if at is None else at,
    }
    return dump(body if data is None else {**body, "data": data})


def command(uid: str, type_: str, *, mid: str | None = None, data: Any = None) -> bytes:
    """A command as a platform publishes it."""
    body = {"mid": mid or str(uuid.uuid4()), "type": type_, "device_uid": uid, "timestamp": now_ms()}
    return dump(body if data is None else {**body, "data": data})


def dump(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
