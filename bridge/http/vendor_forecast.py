"""The vendor's platform API: forecasts of the coming day, or of seven, in quarter-hours of local time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import NamedTuple
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from bridge.cloud.cloud import Cloud
from bridge.cloud.forecast import QUARTER_MS, Quantity, Unavailable, forecast, history, together
from bridge.cloud.forecaster import METHOD
from bridge.cloud.forecaster import Answer as Computed
from bridge.cloud.zones import instant, local, zone
from bridge.http.table import Answer, Call, Route
from bridge.http.vendor import BAD_PARAMETERS, BASE, BUSY, DIALECT, NOT_FOUND, REPORTS, Failed, failure, meant
from bridge.http.vendor_shapes import Accuracy, Forecast, ForecastQuery
from schemas import carriage, kinds
from schemas.errors import Invalid
from schemas.readings import parts_of

DAYS = {"24h": 1, "7d": 7}
MOST = 32
"""Devices whose readings make one forecast: four weeks of one are up to a second of reading."""
KEPT = 64
"""Forecasts that are remembered until the next quarter-hour."""
METER = "meter."
GATEWAY = 1


class Wanted(NamedTuple):
    """What is forecast, and the quarter-hour that it is done in."""

    quantity: Quantity
    days: int
    devices: tuple[str, ...]
    timezone: str
    quarter: int


class Forecasts:
    """Those that were computed lately. One at a time: each takes a core and 170 MB for seconds."""

    def __init__(self) -> None:
        self.known: dict[Wanted, Forecast] = {}
        self.turn = asyncio.Lock()


_made: WeakKeyDictionary[Cloud, Forecasts] = WeakKeyDictionary()
"""Of each running service."""


async def load(call: Call) -> Answer:
    """GET /power/load-forecast"""
    return await _forecast(call, "load")


async def pv(call: Call) -> Answer:
    """GET /power/pv-forecast"""
    return await _forecast(call, "pv")


async def _forecast(call: Call, quantity: Quantity) -> Answer:
    query = call.query(ForecastQuery)
    devices = await meant(call, query.device_uid)
    if len(devices) > MOST:
        raise Failed(BAD_PARAMETERS, f"you see {len(devices)} devices; name one by device_uid, for {MOST} at most")
    cloud = call.receiving.cloud
    zones = {cloud.timezone_of(uid) or cloud.zone.key for uid in devices}
    name = zones.pop() if len(zones) == 1 else cloud.zone.key
    wanted = Wanted(quantity, DAYS[query.period], tuple(devices), name, cloud.clock() // QUARTER_MS)
    forecasts = _made.setdefault(cloud, Forecasts())
    kept = forecasts.known
    if wanted not in kept:
        async with forecasts.turn:
            if wanted not in kept:
                try:
                    made = await _make(call, wanted)
                except Unavailable as error:
                    return failure(BUSY, str(error), 503)
                while len(kept) >= KEPT:
                    del kept[next(iter(kept))]
                kept[wanted] = made
    return kept[wanted]


async def _make(call: Call, wanted: Wanted) -> Forecast:
    now = wanted.quarter * QUARTER_MS
    parts = {}
    for uid in wanted.devices:
        gateways = await _gateways(call, uid) if wanted.quantity == "load" else []
        past = await history(call.receiving.cloud, uid, gateways, wanted.quantity, now)
        if past is not None:
            parts[uid] = past
    if not parts:
        raise Failed(NOT_FOUND, "no device has three days of readings up to now that it can be forecast from")
    where = zone(wanted.timezone)
    midnight = datetime.combine(local(now, where).date(), datetime.min.time()) + timedelta(days=1)
    first = instant(midnight, where) // QUARTER_MS
    end = instant(midnight + timedelta(days=wanted.days), where) // QUARTER_MS
    past = together(list(parts.values()))
    computed = await forecast(past, end - wanted.quarter, weekly=wanted.quantity == "load")
    values = computed.values[first - wanted.quarter :]
    return Forecast(
        code=0,
        message="",
        data=_by_time(values, first, where, wanted.days > 1),
        accuracy=_accuracy(computed),
        method=METHOD,
        start=f"{midnight:%Y-%m-%d %H:%M:%S}",
        timezone=wanted.timezone,
        devices=list(parts),
    )


async def _gateways(call: Call, uid: str) -> list[str]:
    """The parts that are meters towards the grid, as the newest reports mark them; of one meter there is no doubt."""
    meters: dict[str, bool] = {}
    for _, body in await call.services.platform.last(uid, carriage.REPORTS_TOLD, REPORTS):
        try:
            _, message = kinds.resolve(carriage.REPORTS_TOLD, body)
        except Invalid:  # taken by an older release, which knew fewer fields
            continue
        for part, struct in parts_of(message):
            if part.startswith(METER):
                meters.setdefault(part, getattr(struct, "purpose", None) == GATEWAY)
    marked = [part for part, gateway in meters.items() if gateway]
    return marked or (list(meters) if len(meters) == 1 else [])


def _by_time(values: list[float], first: int, where: ZoneInfo, dated: bool) -> dict[str, float]:
    """By wall time. An hour that comes twice is told as it comes first; one that is skipped is not there."""
    found: dict[str, float] = {}
    for at, value in enumerate(values, first):
        wall = local(at * QUARTER_MS, where)
        found.setdefault(f"{wall:%Y-%m-%d %H:%M}" if dated else f"{wall:%H:%M}", value)
    return found


def _accuracy(computed: Computed) -> Accuracy:
    return Accuracy(computed.days, computed.mae, computed.rmse, computed.nmae, computed.naive_mae)


ROUTES = tuple(
    Route(
        "GET",
        f"{BASE}/power/{path}",
        handler,
        summary,
        {200: (Forecast, "the forecast, and how far off its method was lately")},
        ForecastQuery,
        tag="vendor",
        dialect=DIALECT,
    )
    for path, handler, summary in (
        ("load-forecast", load, "What devices' sites will use, by quarter-hours"),
        ("pv-forecast", pv, "What devices' photovoltaics will deliver, by quarter-hours"),
    )
)
