"""The Belimo-compatible API: the change stream. Devices are told as they become, not every change on the way.

The vendor's npm client reads chunks, not lines: `data:`, the JSON and the empty line have to be chunks of their own, heartbeats
too.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Final

import msgspec
from aiohttp import web

from bridge.cloud.belimo_points import datapoints
from bridge.core.events import Event
from bridge.core.principal import Principal
from bridge.errors import NotFound
from bridge.http.belimo import BASE, DIALECT, MISSING, errors, get, iso, reply
from bridge.http.belimo_data import present, stamp
from bridge.http.belimo_devices import bodies, device_id, place_at, seen, uid_of
from bridge.http.belimo_shapes import OBJECT, BelimoFailure, Wanted
from bridge.http.belimo_state import Subscription
from bridge.http.errors import begin
from bridge.http.services import Receiving, Services
from bridge.http.table import Answer, Call, Route
from bridge.store.series import Batch

OFFER_MS: Final = 12 * 3_600_000
"""The npm client asks for a new offer, and opens a new stream, when one ends."""
HEARTBEAT_S: Final = 30.0
"""At least so often: the npm client begins anew after 120 s without one, however much else comes."""
TOGETHER: Final = 50
"""Devices that are read at a time."""
BEAT: Final = b":heartbeat\n\n"


async def offer(call: Call) -> Answer:
    """POST /devices/change-stream"""
    body, belimo = call.body(Wanted), call.receiving.belimo
    devices = frozenset(uid_of(call.receiving, name) for name in body.includedDeviceIds or ())
    wanted = Subscription(
        call.principal, stamp(call.receiving, call.principal), devices, frozenset(body.includedDatapointIds or ())
    )
    until = belimo.tokens.clock() + OFFER_MS
    return reply({"token": belimo.subscriptions.put(wanted, until), "validUntil": iso(until, exact=True)})


async def listen(call: Call) -> Answer:
    """GET /devices/change-stream/{offer}: who knows it may listen, since browsers' EventSource sends no token."""
    receiving, belimo = call.receiving, call.receiving.belimo
    wanted = belimo.subscriptions.find(call.path("offer"))
    if wanted is None or present(receiving, wanted) is None:
        raise NotFound("not_found", "there is no such change stream, or no more")
    if len(belimo.streams) >= receiving.limits.max_streams:
        return errors(503, "too_many_streams", f"{receiving.limits.max_streams} change streams are open already")
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a handler runs in a task
    belimo.streams.add(task)
    changes = _Changes(receiving, wanted)
    receiving.cloud.series.stored.append(changes.stored)
    listening = asyncio.create_task(changes.presence(), name="presence of a change stream")
    try:
        return await _serve(call.request, receiving, changes)
    finally:
        receiving.cloud.series.stored.remove(changes.stored)
        belimo.streams.discard(task)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


class _Changes:
    """The devices that have changed since they were told last; each stands there once, however often it changed."""

    def __init__(self, receiving: Receiving, wanted: Subscription) -> None:
        self.wanted = wanted
        self._receiving = receiving
        self._pending: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._revision = receiving.registry.revision
        self._visible = self._seen(wanted.principal)

    def stored(self, batch: Batch) -> None:
        """Readings have come."""
        for (asset, _), values in batch.samples.items():
            uid = batch.devices[asset]
            if uid not in self._pending and self._wants(uid, asset, values):
                self.add(uid)

    async def presence(self) -> None:
        """Follow who comes and goes, and their alarms, where there is a broker."""
        if not isinstance(self._receiving, Services):
            return
        with self._receiving.events.subscribe(frozenset({"presence", "alarm"}), lambda _uid: True) as listener:
            event: Event
            async for event in listener:
                if self._includes(event.device):
                    self.add(event.device)

    def add(self, uid: str) -> None:
        """A device has changed."""
        self._pending[uid] = None
        self._wake.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something, or so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()

    def take(self) -> list[str]:
        """The next devices to tell."""
        taken = list(self._pending)[:TOGETHER]
        for uid in taken:
            del self._pending[uid]
        if not self._pending:
            self._wake.clear()
        return taken

    def gone(self, principal: Principal) -> list[str]:
        """Devices that `principal` sees no more, when the registry has changed; those that it sees now are told as changed."""
        if self._receiving.registry.revision == self._revision:
            return []
        self._revision = self._receiving.registry.revision
        before, self._visible = self._visible, self._seen(principal)
        for uid in self._visible - before:
            self.add(uid)
        return sorted(before - self._visible)

    def _seen(self, principal: Principal) -> set[str]:
        return {each.uid for each in seen(self._receiving, principal) if self._includes(each.uid)}

    def _includes(self, uid: str) -> bool:
        return not self.wanted.devices or uid in self.wanted.devices

    def _wants(self, uid: str, asset: str, values: dict[str, float]) -> bool:
        if not self._includes(uid) or not self.wanted.datapoints:
            return self._includes(uid)
        known = self._receiving.cloud.series.assets[asset]
        told = datapoints(uid, [known]).values()
        return any(each.point in values and each.id in self.wanted.datapoints for each in told)


async def _serve(request: web.Request, receiving: Receiving, changes: _Changes) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await begin(request, response)
    stop = asyncio.ensure_future(receiving.closing.wait())
    stop.add_done_callback(lambda _: changes.add(""))
    beat_s = min(HEARTBEAT_S, receiving.limits.heartbeat_s)
    beat_at = monotonic()
    try:
        while not receiving.closing.is_set():
            principal = present(receiving, changes.wanted)
            if principal is None:
                break
            if monotonic() >= beat_at:
                await response.write(BEAT)
                beat_at = monotonic() + beat_s
            for uid in changes.gone(principal):
                await _tell(response, {"deviceId": device_id(uid)})
            found = [each for uid in changes.take() if (each := place_at(receiving, principal, uid)) is not None]
            for body in await bodies(receiving, found, changes.wanted.datapoints):
                await _tell(response, {"deviceId": body["id"], "device": body})
            await changes.wait(beat_at - monotonic())
    finally:
        stop.cancel()
    await response.write_eof()
    return response


async def _tell(response: web.StreamResponse, event: dict[str, object]) -> None:
    for chunk in (b"data:", msgspec.json.encode(event), b"\n\n"):
        await response.write(chunk)


ROUTES: Final = (
    Route(
        "POST", f"{BASE}/devices/change-stream", offer, "Ask for a stream of changes",
        {200: (OBJECT, "the name of a stream")}, body=Wanted, tag="belimo", dialect=DIALECT,
    ),
    get(
        "/devices/change-stream/{offer}", listen, "Devices as they change, as server-sent events", "text/event-stream",
        more={**MISSING, 503: (BelimoFailure, "too many streams")},
    )._replace(open=True),
)  # fmt: skip
