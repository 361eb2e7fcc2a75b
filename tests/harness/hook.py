"""A receiver of webhooks that checks each signature and counts: a real server on port 0 that a test can make fail."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

SECRET = "a secret of the receiver's own"

Verdict = Callable[[dict[str, Any]], Awaitable[int | None]]
"""Which status an event gets; None cuts the connection. Below 300 it counts."""


async def take(event: dict[str, Any]) -> int | None:
    """Accept everything."""
    return 200


class Hook:
    """`events` are those that were taken, in the order of their first coming, each id once; `faults` what was wrong."""

    def __init__(self) -> None:
        self.verdict: Verdict = take
        self.attempts = 0
        self.events: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.changed = asyncio.Condition()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?from=bridge"

    @property
    def config(self) -> str:
        """The section that names it."""
        return f'[[webhooks]]\nname = "test"\nurl = "{self.url}"\nsecret = "{SECRET}"\ntimeout_s = 2.0\n'

    async def __aenter__(self) -> Hook:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def up(self) -> None:
        """Listen (again on the same port)."""
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        """Stop listening; connections are refused until `up`."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for event in self.events if event["type"] == kind]

    async def until(self, true: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until `true()` after some attempt; TimeoutError when it does not come."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(true)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        event = json.loads(body)
        self.attempts += 1
        try:
            self._check(request, body, event)
            status = await self.verdict(event)
            if status is None:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            if status < 300 and event["id"] not in {each["id"] for each in self.events}:
                self.events.append(event)
            return web.Response(status=status, text="no" if status >= 300 else "")
        finally:
            async with self.changed:
                self.changed.notify_all()

    def _check(self, request: web.Request, body: bytes, event: dict[str, Any]) -> None:
        fields = dict(part.split("=", 1) for part in request.headers["EMS-Signature"].split(","))
        digest = hmac.new(SECRET.encode(), fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
        if fields["v1"] != digest:
            self.faults.append(f"a wrong signature for {event['id']}")
        if abs(int(fields["t"]) - time.time()) > 60:
            self.faults.append(f"an old signature for {event['id']}")
        if request.headers["Idempotency-Key"] != event["id"] or request.content_type != "application/json":
            self.faults.append(f"wrong headers for {event['id']}")
        known = next((each for each in self.events if each["id"] == event["id"]), event)
        if known != event:
            self.faults.append(f"{event['id']} came with another body")
