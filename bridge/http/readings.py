"""Power readings: what can be queried, and plain queries as JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from aiohttp import web

from bridge.cloud.cloud import FOREVER, Reading
from bridge.cloud.quality import quality
from bridge.errors import NotFound, Unprocessable
from bridge.http.errors import begin
from bridge.http.shapes import (
    AssetBody,
    AssetList,
    AssetsQuery,
    PointBody,
    PointList,
    ReadingBody,
    ReadingList,
    ReadingsQuery,
)
from bridge.http.table import Answer, Call, Route
from bridge.http.times import milliseconds
from bridge.store.series import Asset

PAGE = 1_000
"""Samples read at a time."""
DEFAULT_LIMIT = 1_000
"""Readings of a JSON answer that names no limit."""
HEADER = ("asset", "point", "timestamp", "value", "unit")


async def assets(call: Call) -> Answer:
    """GET /api/v1/assets"""
    query = call.query(AssetsQuery)
    found = call.receiving.cloud.assets(query.asset, query.device, call.principal)
    rest = [asset for asset in found if query.after is None or asset.name > query.after]
    page = rest[: query.limit]
    return AssetList([_asset(call, asset) for asset in page], page[-1].name if len(rest) > len(page) else None)


async def points(call: Call) -> Answer:
    """GET /api/v1/assets/{asset}/points"""
    name = call.path("asset")
    found = [asset for asset in call.receiving.cloud.assets(asset=name, principal=call.principal) if asset.name == name]
    if not found:
        raise NotFound("unknown_asset", f"there is no asset {name[:128]!r}")
    table = sorted(found[0].points.items())
    return PointList(name, [PointBody(point, unit, kind) for point, (unit, kind) in table])


async def readings(call: Call) -> Answer:
    """GET /api/v1/readings"""
    query = call.query(ReadingsQuery)
    if query.asset is None and query.device is None:
        raise Unprocessable("invalid", "name an asset or a device", "?asset")
    start, end = milliseconds(query.start, "start"), milliseconds(query.end, "end")
    if start is not None and end is not None and end <= start:
        raise Unprocessable("invalid", "end must be after start", "?end")
    wanted = frozenset(query.point.split(",")) if query.point is not None else frozenset[str]()
    one = query.point if len(wanted) == 1 else None
    pages = call.receiving.cloud.stream(query.asset, query.device, one, start, end, query.order, call.principal, PAGE)
    found = _only(pages, wanted) if len(wanted) > 1 else pages
    if _wants_csv(call.request, query.format):
        return await _csv(call.request, found, query.limit)
    cloud = call.receiving.cloud
    async with cloud.turns:
        answer = await _json(found, DEFAULT_LIMIT if query.limit is None else query.limit)
        body = msgspec.json.encode(answer)
    low, high = -FOREVER if start is None else start, FOREVER if end is None else end
    asked = cloud.assets(query.asset, query.device, call.principal)
    headers = await quality(cloud, [(each, low, high) for each in asked])
    return web.Response(body=body, content_type="application/json", headers=headers)


async def _only(pages: AsyncIterator[list[Reading]], points: frozenset[str]) -> AsyncIterator[list[Reading]]:
    async for page in pages:
        yield [reading for reading in page if reading.point in points]


async def _json(pages: AsyncIterator[list[Reading]], limit: int) -> ReadingList:
    found: list[ReadingBody] = []
    async for page in pages:
        found += [ReadingBody(*reading) for reading in page]
        if len(found) > limit:
            return ReadingList(found[:limit], truncated=True)
    return ReadingList(found, truncated=False)


async def _csv(request: web.Request, pages: AsyncIterator[list[Reading]], limit: int | None) -> web.StreamResponse:
    """Portion by portion: memory stays constant however long the answer is."""
    response = web.StreamResponse(headers={"Content-Type": "text/csv; charset=utf-8; header=present"})
    await begin(request, response)
    await response.write(_lines([HEADER]))
    left = limit
    async for page in pages:
        part = page if left is None else page[:left]
        await response.write(_lines(part))
        if left is not None:
            left -= len(part)
            if left <= 0:
                break
    await response.write_eof()
    return response


def _lines(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _wants_csv(request: web.Request, asked: str | None) -> bool:
    """`format` decides; else CSV for who accepts it and does not name JSON."""
    if asked is not None:
        return asked == "csv"
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")]
    return "text/csv" in accepted and "application/json" not in accepted


def _asset(call: Call, asset: Asset) -> AssetBody:
    zone = call.receiving.cloud.zone_of(asset).key
    return AssetBody(asset.name, asset.device, zone, asset.first_at, asset.last_at, len(asset.points))


ROUTES = (
    Route(
        "GET",
        "/api/v1/assets",
        assets,
        "Devices and their parts that have readings",
        {200: (AssetList, "a page of assets")},
        AssetsQuery,
        tag="readings",
    ),
    Route(
        "GET",
        "/api/v1/assets/{asset}/points",
        points,
        "What an asset measures",
        {200: (PointList, "its points"), 404: (None, "no such asset")},
        tag="readings",
    ),
    Route(
        "GET",
        "/api/v1/readings",
        readings,
        "Readings of an asset or a device, by time, as JSON or CSV",
        {200: ((ReadingList, "text/csv"), "the readings of [start, end)")},
        ReadingsQuery,
        tag="readings",
        quality=True,
    ),
)
