"""What pages draw: series in as many values as a screen can show, the newest readings, the newest alarms."""

from __future__ import annotations

import msgspec

from bridge.cloud.cloud import describe
from bridge.cloud.plots import Drawn, plot
from bridge.cloud.quality import quality
from bridge.errors import Unprocessable
from bridge.http.plots_shapes import (
    AlarmBody,
    AlarmList,
    AlarmsQuery,
    LatestList,
    LatestQuery,
    PlotBody,
    PlotQuery,
    PlotSeries,
)
from bridge.http.shapes import ReadingBody
from bridge.http.table import Answer, Call, Route, json
from bridge.http.times import milliseconds
from schemas.kinds import KINDS

MOST_NAMES = 16
"""Assets of a plot, points of the newest readings."""
MOST_DEVICES = 200
"""Whose newest readings are asked for at a time."""
ALARMS = tuple(kind.suffix for kind in KINDS if kind.event == "alarm")


async def drawn(call: Call) -> Answer:
    """GET /api/v1/plot"""
    query = call.query(PlotQuery)
    names = _names(query.asset, "?asset")
    start, end = milliseconds(query.start, "start"), milliseconds(query.end, "end")
    assert start is not None  # noqa: S101 - both are required
    assert end is not None  # noqa: S101
    if end <= start:
        raise Unprocessable("invalid", "end must be after start", "?end")
    cloud = call.receiving.cloud
    known = [cloud.series.assets[name] for name in names if name in cloud.series.assets]
    allowed = [asset for asset in known if cloud.may_read(call.principal, asset.device)]
    found = await plot(cloud, allowed, query.point, start, end, query.values)
    told = {each.asset.name for each in found}
    missing = [name for name in names if name not in told]
    body = PlotBody(start, end, [_series(each, query.point) for each in found], missing)
    return json(body, headers=await quality(cloud, [(each.asset, start, end) for each in found]))


def _series(drawn: Drawn, point: str) -> PlotSeries:
    asset = drawn.asset
    unit, kind = asset.points.get(point) or describe(point)
    times, values = [at for at, _ in drawn.values], [value for _, value in drawn.values]
    low, high = [value for _, value in drawn.low], [value for _, value in drawn.high]
    return PlotSeries(asset.name, point, unit, kind, drawn.zone.key, drawn.step, times, [*values], low, high)


async def latest(call: Call) -> Answer:
    """GET /api/v1/latest"""
    query = call.query(LatestQuery)
    points = _names(query.point, "?point")
    devices = None if query.device is None else frozenset(_names(query.device, "?device", MOST_DEVICES))
    cloud = call.receiving.cloud
    rest = [
        asset
        for asset in cloud.assets(principal=call.principal)
        if (devices is None or asset.device in devices)
        and (query.after is None or asset.name > query.after)
        and not asset.points.keys().isdisjoint(points)
    ]
    page = rest[: query.limit]
    units = {asset.name: asset.points for asset in page}
    readings = [
        ReadingBody(each.asset, each.point, each.timestamp, each.value, units[each.asset][each.point][0])
        for each in await cloud.newest(page, points)
    ]
    return LatestList(readings, page[-1].name if len(rest) > len(page) else None)


async def alarms(call: Call) -> Answer:
    """GET /api/v1/alarms"""
    query = call.query(AlarmsQuery)
    registry = call.services.registry
    seen = sorted(device.uid for device in registry.devices() if registry.may_touch(call.principal, device))
    rest = [uid for uid in seen if query.after is None or uid > query.after]
    page = rest[: query.limit]
    told = await call.services.platform.newest(page, ALARMS)
    newest = {each.device: each for each in told}
    found = [
        AlarmBody(uid, each.suffix, each.received_at, msgspec.Raw(each.body)) for uid, each in sorted(newest.items())
    ]
    return AlarmList(found, page[-1] if len(rest) > len(page) else None)


def _names(text: str, path: str, most: int = MOST_NAMES) -> list[str]:
    names = list(dict.fromkeys(filter(None, text.split(","))))
    if not 0 < len(names) <= most:
        raise Unprocessable("invalid", f"between 1 and {most} names, parted by commas", path)
    return names


ROUTES = (
    Route(
        "GET",
        "/api/v1/plot",
        drawn,
        "A point of several assets over any time, in few values: mean, lowest and highest by buckets, or energy by buckets",
        {200: (PlotBody, "what a plot is drawn of")},
        PlotQuery,
        tag="readings",
    ),
    Route(
        "GET",
        "/api/v1/latest",
        latest,
        "The newest reading of points of many assets",
        {200: (LatestList, "a page of newest readings")},
        LatestQuery,
        tag="readings",
    ),
)
"""Of every window."""
ALARM_ROUTES = (
    Route(
        "GET",
        "/api/v1/alarms",
        alarms,
        "The newest alarm of each device that you may see",
        {200: (AlarmList, "a page of newest alarms")},
        AlarmsQuery,
        tag="devices",
    ),
)
"""Of a whole bridge."""
