"""The Belimo-compatible API: what devices told, now, in buckets, one by one, as a table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import web

from bridge.cloud.belimo_points import Datapoint
from bridge.cloud.belimo_series import MOST_BUCKETS, Range, Row, buckets, raw, table, timeseries
from bridge.cloud.enos_items import Pairs
from bridge.cloud.quality import quality
from bridge.core.principal import LOCAL, Principal
from bridge.errors import NotFound, Unprocessable
from bridge.http.belimo import BASE, DIALECT, MISSING, collection, get, iso, moment, reply, spend
from bridge.http.belimo_devices import Place, data_at, place, place_at
from bridge.http.belimo_shapes import COLLECTION, OBJECT, POINT_VALUES, At, Raw, Resampled, Span
from bridge.http.belimo_state import Download, Subscription
from bridge.http.errors import begin
from bridge.http.services import Receiving
from bridge.http.table import Answer, Call, Route

MOST_VALUES: Final = 100 * MOST_BUCKETS
"""Buckets of one answer, of all series together: some 60 MB of JSON."""
DOWNLOAD_MS: Final = 10 * 60_000


async def data(call: Call) -> Answer:
    """GET …/data"""
    at = moment(call.query(At).at, "at")
    spend(call)
    return reply(await data_at(call, await place(call), at))


async def resampled(call: Call) -> Answer:
    """GET …/data/history/timeseries"""
    asked = call.query(Resampled)
    spend(call)
    each = await place(call)
    start, end = _range(call.receiving, each, asked.start, asked.end)
    span = buckets(start, end, asked.resolution)
    wanted = _wanted(call.receiving, each, asked.datapointIds)
    if len(wanted) * ((span.end - span.start) // span.step) > MOST_VALUES:
        raise Unprocessable(
            "invalid", f"more than {MOST_VALUES} values; ask for fewer datapoints at a time", "?datapointIds"
        )
    cloud = call.receiving.cloud
    async with cloud.turns:
        found = await timeseries(cloud, wanted, span, asked.aggregation)
        body = await asyncio.to_thread(_written, span, asked.aggregation, wanted, found)
    return web.Response(
        body=body, content_type="application/json", headers=await _quality(call, wanted, span.start, span.end)
    )


def _written(span: Range, aggregation: str, wanted: Sequence[Datapoint], found: Mapping[str, Pairs]) -> bytes:
    """Series as JSON; a million values take seconds, beside the event loop."""
    series = [
        {
            "datapointId": point.id,
            "aggregation": aggregation,
            "values": [{"timestamp": iso(at), "value": value} for at, value in found[point.id]],
        }
        for point in wanted
    ]
    head = {"from": iso(span.start), "to": iso(span.end), "resolution": span.resolution}
    return msgspec.json.encode({**head, "series": series})


async def history(call: Call) -> Answer:
    """GET …/data/history/datapoints/{datapoint}"""
    asked, name = call.query(Raw), call.path("datapoint")
    spend(call)
    each = await place(call)
    point = each.datapoints(call.receiving.belimo.settings.si).get(name)
    if point is None:
        raise NotFound("not_found", f"the device has no datapoint {name[:200]!r} with a history")
    start, end = _range(call.receiving, each, asked.start, asked.end)
    newest_first = asked.sortDirection == "DESC"
    total, page = await raw(call.receiving.cloud, point, start, end, asked.offset, asked.limit, newest_first)
    exact = any(at % 1000 for at, _ in page)
    items = [{"timestamp": iso(at, exact), "value": value} for at, value in page]
    only = {"from": iso(start), "to": iso(end), "datapointId": name}
    return reply(collection(items, asked, "time", total, only), await _quality(call, [point], start, end))


async def _quality(call: Call, points: Iterable[Datapoint], start: int, end: int) -> dict[str, str]:
    cloud = call.receiving.cloud
    assets = dict.fromkeys(point.asset for point in points)
    return await quality(cloud, [(cloud.series.assets[asset], start, end) for asset in assets])


async def download(call: Call) -> Answer:
    """GET …/data/download"""
    spend(call)
    return await _csv(call.request, call.receiving, await place(call), call.query(Span))


async def request_download(call: Call) -> Answer:
    """GET …/data/requestDownload"""
    asked = call.query(Span)
    each, belimo = await place(call), call.receiving.belimo
    start, end = _range(call.receiving, each, asked.start, asked.end)
    fixed = Span(datapointIds=asked.datapointIds, start=str(max(0, start)), end=str(max(0, end)))
    until = belimo.tokens.clock() + DOWNLOAD_MS
    name = belimo.downloads.put(Download(call.principal, stamp(call.receiving, call.principal), each.uid, fixed), until)
    url = call.request.url.origin().with_path(f"{BASE}/download/{name}")
    return reply({"downloadUrl": str(url), "validUntil": iso(until, exact=True)})


async def downloaded(call: Call) -> Answer:
    """GET /download/{offer}: needs no token; who knows the address may read."""
    offer = call.receiving.belimo.downloads.find(call.path("offer"))
    principal = None if offer is None else present(call.receiving, offer)
    each = None if offer is None or principal is None else place_at(call.receiving, principal, offer.device)
    if offer is None or each is None:
        raise NotFound("not_found", "there is no such download, or no more")
    return await _csv(call.request, call.receiving, each, offer.asked)


def stamp(receiving: Receiving, principal: Principal) -> bytes | None:
    """What tells an account from a later one of the same name."""
    account = receiving.registry.account(principal.name) if principal.kind == "account" else None
    return None if account is None else account.key_hash


def present(receiving: Receiving, offered: Download | Subscription) -> Principal | None:
    """Who was offered something, with the rights of now; None when the account is gone, or another one by now."""
    principal = offered.principal
    if principal.kind != "account" or principal == LOCAL:
        return principal
    if stamp(receiving, principal) != offered.stamp:
        return None
    return receiving.registry.find("account", principal.name)


async def _csv(request: web.Request, receiving: Receiving, each: Place, asked: Span) -> web.StreamResponse:
    """Portion by portion: memory stays constant however long the answer is."""
    start, end = _range(receiving, each, asked.start, asked.end)
    wanted = _wanted(receiving, each, asked.datapointIds)
    names = [point.id for point in wanted]
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{each.id}.csv"',
    }
    response = web.StreamResponse(headers=headers)
    await begin(request, response)
    await response.write((";".join(["timestamp", *names]) + "\r\n").encode())
    if wanted:
        async for rows in table(receiving.cloud, each.uid, wanted, start, end):
            await response.write(_lines(rows, names))
    await response.write_eof()
    return response


def _lines(rows: Iterable[Row], names: Sequence[str]) -> bytes:
    return "".join(
        ";".join([iso(at, exact=True), *(_number(values.get(name)) for name in names)]) + "\r\n" for at, values in rows
    ).encode()


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _range(receiving: Receiving, each: Place, first: str | None, last: str | None) -> tuple[int, int]:
    """[from, to) in ms: from the first reading, to now, unless they are said. Raises Unprocessable."""
    start, end = moment(first, "from"), moment(last, "to")
    end = receiving.cloud.clock() if end is None else end
    if start is None:
        return min(end, each.since if each.since is not None else end), end
    if end <= start:
        raise Unprocessable("invalid", "to must be after from", "?to")
    return start, end


def _wanted(receiving: Receiving, each: Place, names: str | None) -> list[Datapoint]:
    """The datapoints of a list, each once; all without one. Unknown ones are left out."""
    known = each.datapoints(receiving.belimo.settings.si)
    if names is None:
        return list(known.values())
    return [known[name] for name in dict.fromkeys(part.strip() for part in names.split(",")) if name in known]


CSV: Final = "text/csv"
ROUTES: Final = (
    get("/devices/{device}/data", data, "The newest values of a device, now or at a time", POINT_VALUES, At, MISSING),
    get(
        "/devices/{device}/data/history/timeseries", resampled, "Values in buckets of time", OBJECT, Resampled, MISSING
    )._replace(quality=True),
    get(
        "/devices/{device}/data/history/datapoints/{datapoint}", history, "Values of one datapoint as they came",
        COLLECTION, Raw, MISSING,
    )._replace(quality=True),
    get("/devices/{device}/data/download", download, "Values as a table", CSV, Span, MISSING),
    get(
        "/devices/{device}/data/requestDownload", request_download, "An address for the same that needs no token", OBJECT,
        Span, MISSING,
    ),
    Route(
        "GET", f"{BASE}/download/{{offer}}", downloaded, "A table that was asked for by requestDownload",
        {200: (CSV, "the table"), **MISSING}, tag="belimo", dialect=DIALECT, open=True,
    ),
)  # fmt: skip
