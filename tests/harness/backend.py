"""Two platform backends that send commands, by HTTP and by MQTT, and repeat what a kill left undecided."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from random import Random

import aiohttp

from harness import messages
from harness.process import Bridge, Secret
from harness.wire import PATIENCE_S, Client, within
from harness.witness import Pending, Witness, told

FEATURE = "streaming_overdemand"
ACTIONS: list[tuple[str, dict[str, int] | None]] = [("sync", None), ("sync", None), ("delete", {"id": 1})]
"""Two reading commands for a changing one, of which a device has but one at a time."""
PACE_S = 0.02


class Backend:
    """Posts commands over HTTP. `left` are (mid, uid) whose request had no answer."""

    def __init__(
        self, people: list[Secret], account: Secret, witness: Witness, rng: Random, web: aiohttp.ClientSession
    ) -> None:
        self.people, self.witness, self.rng, self.web = people, witness, Random(rng.random()), web
        self.headers = {"X-API-Key": account.secret}
        self.left: dict[str, str] = {}

    async def run(self, bridge: Bridge) -> None:
        """Until cancelled: first what is left, then new ones."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self.settle(bridge)
            while True:
                self.left[str(uuid.uuid4())] = self.rng.choice(self.people).name
                await self.settle(bridge)
                await asyncio.sleep(self.rng.uniform(0, 2 * PACE_S))
        await asyncio.Event().wait()

    async def settle(self, bridge: Bridge) -> None:
        """Ask again, under the same mid, for what had no answer."""
        for mid, uid in list(self.left.items()):
            action, data = ACTIONS[int(mid[0], 16) % len(ACTIONS)]
            body = {"feature": FEATURE, "action": action, "mid": mid, "timeout_s": self.rng.choice([1.0, 2.5])}
            body["data"] = data
            body["hold_s"] = self.rng.choice([0.5, 3.0])
            url = f"{bridge.http}/api/v1/devices/{uid}/commands"
            async with self.web.post(url, json=body, headers=self.headers) as answer:
                assert answer.status in (200, 202), f"{mid}: {answer.status} {await answer.text()}"
                self.witness.tell(mid, (await answer.json())["state"])
            del self.left[mid]
            self.witness.commands.add(mid)


class MqttBackend:
    """Publishes commands and follows their states."""

    def __init__(self, people: list[Secret], account: Secret, witness: Witness, rng: Random) -> None:
        self.people, self.account, self.witness, self.rng = people, account, witness, Random(rng.random())
        self.left = Pending()

    async def run(self, bridge: Bridge) -> None:
        """Until cancelled."""
        with contextlib.suppress(OSError):
            async with self.following(bridge) as client:
                while not client.closed.is_set():
                    self._ask(client, self.rng.choice(self.people).name)
                    await asyncio.sleep(self.rng.uniform(0, 4 * PACE_S))
        await asyncio.Event().wait()

    async def settle(self, bridge: Bridge) -> None:
        """Publish again, under the same mid, what had no PUBACK."""
        async with self.following(bridge):
            await within(PATIENCE_S, self.left.below(1))

    @contextlib.asynccontextmanager
    async def following(self, bridge: Bridge) -> AsyncIterator[Client]:
        """Connected, and the witness hears every status that this client acknowledges."""
        async with await self._connect(bridge) as client:
            follower = asyncio.create_task(self._follow(client))
            try:
                yield client
            finally:
                follower.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await follower
                while not client.inbox.empty():
                    self.witness.status(*told(client.inbox.get_nowait()))

    async def _connect(self, bridge: Bridge) -> Client:
        client = await Client.open(bridge.mqtt, "backend", *self.account, clean=False)
        try:
            await client.subscribe("bridge/v1/+/+/command/+")
            for mid, (topic, payload) in self.left.items():
                self._send(client, mid, topic, payload)
        except BaseException:
            await client.cut()
            raise
        return client

    async def _follow(self, client: Client) -> None:
        while True:
            self.witness.status(*told(await client.inbox.get()))

    def _ask(self, client: Client, uid: str) -> None:
        mid = str(uuid.uuid4())
        scheme, owner = self.rng.choice([("wudun", "PK001"), ("user", "acme")])
        action, data = self.rng.choice(ACTIONS)
        topic = messages.topic(uid, f"{FEATURE}/{action}/command", scheme=scheme, owner=owner)
        payload = messages.command(uid, f"{FEATURE}_{action}", mid=mid, data=data)
        self.left[mid] = (topic, payload)
        self._send(client, mid, topic, payload)

    def _send(self, client: Client, mid: str, topic: str, payload: bytes) -> None:
        def acked(ended: asyncio.Future[bytes]) -> None:
            if not ended.cancelled() and ended.exception() is None:
                self.left.done(mid)
                self.witness.commands.add(mid)

        client.publish(topic, payload).add_done_callback(acked)
