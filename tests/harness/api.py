"""The bridge's HTTP API as a platform account sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from harness.process import Bridge, Secret

POLL_S = 0.05
"""Between two looks at something that HTTP can only be asked for."""


class Api:
    """Requests with the account's key."""

    def __init__(self, web: aiohttp.ClientSession, bridge: Bridge, account: Secret) -> None:
        self.web, self.bridge = web, bridge
        self.headers = {"X-API-Key": account.secret}

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """The JSON of an answer with this status."""
        params = {name: str(value) for name, value in query.items()}
        async with self.web.get(self.bridge.http + path, params=params, headers=self.headers) as answer:
            assert answer.status == status, f"{path}: {answer.status} {await answer.text()}"
            return await answer.json()

    async def post(self, path: str, body: Any, *statuses: int) -> Any:
        """POST JSON; the JSON of the answer."""
        async with self.web.post(self.bridge.http + path, json=body, headers=self.headers) as answer:
            assert answer.status in (statuses or (200,)), f"{path}: {answer.status} {await answer.text()}"
            return await answer.json()

    async def metrics(self) -> dict[str, float]:
        """Each metric's sum over its labels, and `name{a=b}` for each of its labels by itself."""
        async with self.web.get(self.bridge.http + "/metrics", headers=self.headers) as answer:
            assert answer.status == 200
            text = await answer.text()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = [f"{sample.name}{{{name}={value}}}" for name, value in sample.labels.items() if value]
                for name in (sample.name, *labels):
                    found[name] = found.get(name, 0) + sample.value
        return found

    async def readings(self, asset: str, point: str, **query: Any) -> dict[int, float]:
        """timestamp -> value."""
        found = await self.get("/api/v1/readings", asset=asset, point=point, **query)
        return {row["timestamp"]: row["value"] for row in found["readings"]}

    async def until(self, look: Any, true: Any, seconds: float = 20.0) -> Any:
        """Ask with `await look()` again and again until `true(answer)`; the last answer is in the failure."""
        found = None
        try:
            async with asyncio.timeout(seconds):
                while not true(found := await look()):  # noqa: ASYNC110 - HTTP rings no bell for these
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s; last: {found!r:.2000}") from None
        return found
