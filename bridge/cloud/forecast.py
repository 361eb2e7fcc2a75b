"""Forecasts of load and photovoltaic power from stored readings: which readings, quarter-hours without gaps, who computes.

    pv      what its PV meters measure; without those its inverters; without those its MPPT trackers
    load    import at the gateway meter + pv - what the storage takes

A device counts when the last day has readings and at least LEAST quarter-hours lie behind it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec

from bridge.cloud.cloud import Cloud
from bridge.cloud.forecaster import DAY, LEAST, WEEK, Answer, Question
from bridge.errors import BridgeError
from bridge.store.series import Asset, Scan

QUARTER_MS = 900_000
HISTORY = 4 * WEEK
"""Quarter-hours that are looked back."""
FRESH = DAY
COVERED = 0.5
"""Share of the last quarter-hours of a device's history that must have been measured."""
TIMEOUT_S = 60.0
"""The slowest box that was tried takes 12 s, most of them to load the library."""

Quantity = Literal["load", "pv"]
PV = (
    ("pv_meter", ("total_active_power",)),
    ("inverter", ("alternating_current_output_power", "total_active_power")),
    ("mppt", ("pv_high_pressure_power",)),
)
"""Where PV power is looked for: the first family that a device has, and the first of these points."""
STORAGE = "pcs_total_active_power"
METER = "total_active_power"


class Unavailable(BridgeError):
    """No forecast can be computed at the moment, or on this installation."""


class History(NamedTuple):
    """A power for each quarter-hour up to the last whole one; `measured` says which were not filled in."""

    values: list[float]
    measured: list[bool]


class Source(NamedTuple):
    """A point of an asset, and how it counts; `positive`: whichever sign it has."""

    asset: Asset
    point: str
    factor: float
    positive: bool = False


async def history(cloud: Cloud, device: str, gateways: Sequence[str], quantity: Quantity, now: int) -> History | None:
    """The quarter-hours of a device, from its first reading on; `gateways` are its meters towards the grid. None where there is
    too little, or nothing fresh."""
    assets = {asset.name: asset for asset in cloud.assets(device=device)}
    sources = _pv(assets, device)
    if quantity == "load":
        meters = [assets.get(f"{device}.{part}") for part in gateways]
        found = [Source(meter, METER, 1.0) for meter in meters if meter is not None and METER in meter.points]
        if not found:
            return None
        sources = [*found, *sources, *_storage(assets, device)]
    if not sources:
        return None
    last = now // QUARTER_MS
    return _filled(await cloud.series.read(partial(_sum, sources, last - HISTORY, last)))


def together(parts: Sequence[History]) -> History:
    """The sum of several, over the time that all of them have."""
    size = min(len(part.values) for part in parts)
    values = [sum(row) for row in zip(*(part.values[-size:] for part in parts), strict=True)]
    measured = [all(row) for row in zip(*(part.measured[-size:] for part in parts), strict=True)]
    return History(values, measured)


async def forecast(past: History, steps: int, weekly: bool) -> Answer:
    """The `steps` quarter-hours after `past`, computed by a process of its own. Raises Unavailable."""
    question = msgspec.json.encode(Question(past.values, past.measured, steps, weekly))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "bridge.cloud.forecaster",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await process.communicate(question)
    except TimeoutError:
        raise Unavailable(f"the forecast took longer than {TIMEOUT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return msgspec.json.decode(said, type=Answer)
    except msgspec.ValidationError:
        raise Unavailable(msgspec.json.decode(said)["error"]) from None
    except msgspec.DecodeError:
        raise Unavailable(f"the forecast ended with exit code {process.returncode}") from None


def _pv(assets: dict[str, Asset], device: str) -> list[Source]:
    for family, points in PV:
        found = []
        for asset in _family(assets, device, family):
            point = next((point for point in points if point in asset.points), None)
            if point is not None:
                found.append(Source(asset, point, 1.0, positive=True))
        if found:
            return found
    return []


def _storage(assets: dict[str, Asset], device: str) -> list[Source]:
    """What a device says of all its storage; else each PCS."""
    whole = assets.get(device)
    if whole is not None and STORAGE in whole.points:
        return [Source(whole, STORAGE, -1.0)]
    return [Source(asset, STORAGE, -1.0) for asset in _family(assets, device, "pcs") if STORAGE in asset.points]


def _family(assets: dict[str, Asset], device: str, family: str) -> list[Asset]:
    name = f"{device}.{family}"
    return [asset for asset in assets.values() if asset.name == name or asset.name.startswith(f"{name}.")]


def _sum(sources: Sequence[Source], first: int, last: int, scan: Scan) -> list[float | None]:
    """The quarter-hours [first, last), None where a source that had begun says nothing."""
    total: list[float | None] = [0.0] * (last - first)
    begun = min(source.asset.first_at for source in sources) // QUARTER_MS
    for source in sources:
        asset = source.asset
        means = scan.means(asset.number, first * QUARTER_MS, last * QUARTER_MS, source.point, QUARTER_MS)
        starts = asset.first_at // QUARTER_MS
        for at in range(last - first):
            value, so_far = means.get(first + at), total[at]
            if value is not None and so_far is not None:
                total[at] = so_far + source.factor * (abs(value) if source.positive else value)
            elif first + at >= starts:
                total[at] = None
    return total[max(0, begun - first) :]


def _filled(series: Sequence[float | None]) -> History | None:
    """Gaps take the value of a day before, or a day after; None when there is too little to go by."""
    known = [at for at, value in enumerate(series) if value is not None]
    if not known or len(series) - known[-1] > FRESH:
        return None
    series = series[known[0] :]
    recent = series[-WEEK:]
    if len(series) < LEAST or sum(value is not None for value in recent) < COVERED * len(recent):
        return None
    values: list[Any] = list(series)
    for at, value in enumerate(values):
        if value is None and at >= DAY:
            values[at] = values[at - DAY]
    for at in range(len(values) - DAY - 1, -1, -1):
        if values[at] is None:
            values[at] = values[at + DAY]
    at_hand = next((value for value in values if value is not None), 0.0)
    for at, value in enumerate(values):
        at_hand = values[at] = at_hand if value is None else value
    return History(values, [value is not None for value in series])
