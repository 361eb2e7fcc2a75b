"""What the world outside saw of the bridge: sent, acknowledged, answered, told. It outlives every kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

from bridge.core.states import MOVES
from harness import messages
from harness.process import Bridge, Secret
from harness.wire import PATIENCE_S, Client, Got, within

TERMINAL = {
    "succeeded", "rejected", "timed_out", "late_succeeded", "late_rejected", "expired", "undeliverable", "cancelled",
}  # fmt: skip
FLAPPING = 0.02
"""How often a device that has sent a report goes, and comes back at once."""
WINDOW = 6
"""Unacknowledged reports of one device."""


class Pending(dict[str, tuple[str, bytes]]):
    """mid -> (topic, payload) that have no acknowledgement yet, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def done(self, mid: str) -> None:
        """It was acknowledged."""
        self.pop(mid, None)
        self._changed.set()

    async def below(self, count: int) -> None:
        """Wait until fewer than `count` are left."""
        while len(self) >= count:
            self._changed.clear()
            await self._changed.wait()


class Witness:
    """Facts. `acked` are mids with a PUBACK; `commands` those that HTTP or a PUBACK took."""

    def __init__(self) -> None:
        self.acks = 0
        self.acked: set[str] = set()
        self.reports: set[str] = set()
        self.commands: set[str] = set()
        self.received: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.told: dict[str, list[str]] = {}
        self.statuses: dict[str, list[str]] = {}
        """What a persistent session heard of each command, repetitions left out."""
        self._repeated: set[tuple[str, str, int]] = set()
        self._heard = asyncio.Event()
        self.since = 0
        self.stored: Counter[str] = Counter()
        self.readings: list[tuple[str, int]] = []
        self._goal = asyncio.Event()
        self._goal_at = 0

    def ack(self, mid: str) -> None:
        """A message of a device was acknowledged."""
        self.acks += 1
        self.acked.add(mid)
        if self.acks >= self._goal_at:
            self._goal.set()

    async def until(self, acks: int) -> None:
        """Wait until so many acknowledgements came in all; TimeoutError when they do not."""
        self._goal_at = acks
        self._goal.clear()
        await within(PATIENCE_S, self._goal.wait())

    def tell(self, mid: str, state: str) -> None:
        """Somebody was told that the command is in this state."""
        if state in TERMINAL:
            self.told.setdefault(mid, []).append(state)

    def status(self, mid: str, state: str, at: int) -> None:
        """The status topic said so. At least once: the acknowledgement of one that came before a kill may be lost."""
        self.tell(mid, state)
        if (mid, state, at) not in self._repeated:
            self._repeated.add((mid, state, at))
            self.statuses.setdefault(mid, []).append(state)
        self._heard.set()

    async def heard(self, histories: dict[str, list[str]]) -> None:
        """Wait until the status topics have told every move of these commands, in their order."""
        while untold := {
            mid: (self.statuses.get(mid), moves) for mid, moves in histories.items() if self.statuses.get(mid) != moves
        }:
            self._heard.clear()
            try:
                await within(PATIENCE_S, self._heard.wait())
            except TimeoutError:
                raise AssertionError(
                    f"{len(untold)} commands told otherwise than they moved: {list(untold.items())[:5]}"
                ) from None

    def fault(self, command: dict[str, Any]) -> str:
        """What is wrong with a command's end, or nothing."""
        mid, state = command["mid"], command["state"]
        ends = [step["state"] for step in command["history"] if step["state"] in TERMINAL]
        allowed = [[state], ["timed_out", state]] if state.startswith("late_") else [[state]]
        if state not in TERMINAL or ends not in allowed:
            return f"{state} after {ends}"
        moves = [step["state"] for step in command["history"]]
        if moves[0] != "accepted" or not all(before in MOVES[after] for before, after in pairwise(moves)):
            return f"moved as it may not: {moves}"
        if not set(self.told.get(mid, [])) <= set(ends):
            return f"{state}, but told {self.told[mid]}"
        if self.received[mid] > 1:
            return f"the device got it {self.received[mid]} times"
        if mid in self.answered and state not in ("succeeded", "late_succeeded"):
            return f"{state}, but its answer 200 was acknowledged"
        return ""


class Fleet:
    """Devices that publish reports, answer commands, and send again what a kill left unacknowledged."""

    def __init__(self, people: list[Secret], witness: Witness, rng: Random) -> None:
        self.witness = witness
        self.devices = [FleetDevice(one, witness, Random(rng.random())) for one in people]

    async def run(self, bridge: Bridge) -> None:
        """Until cancelled. A connection that ends is only waited out: the kill is near."""
        async with asyncio.TaskGroup() as group:
            for device in self.devices:
                group.create_task(device.run(bridge))

    async def settle(self, bridge: Bridge) -> None:
        """Reconnect and send what is left until everything is acknowledged."""
        await asyncio.gather(*(device.settle(bridge) for device in self.devices))
        assert self.witness.reports <= self.witness.acked


class FleetDevice:
    """One device: `left` is what it sends again."""

    def __init__(self, secret: Secret, witness: Witness, rng: Random) -> None:
        self.uid, self.secret = secret
        self.witness = witness
        self.rng = rng
        self.left = Pending()
        self.clock = messages.now_ms()

    async def run(self, bridge: Bridge) -> None:
        with contextlib.suppress(OSError):
            while True:
                async with await self._connect(bridge) as client, asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._answer(client)), group.create_task(self._report(client))]
                    await client.closed.wait()
                    for task in tasks:
                        task.cancel()
        await asyncio.Event().wait()

    async def settle(self, bridge: Bridge) -> None:
        async with await self._connect(bridge):
            await self.left.below(1)

    async def _connect(self, bridge: Bridge) -> Client:
        client = await Client.open(bridge.mqtt, self.uid, self.uid, self.secret, clean=False)
        try:
            await client.subscribe(f"v1/wudun/PK001/{self.uid}/+/+/command")
            for mid, (topic, payload) in self.left.items():
                self._send(client, mid, topic, payload)
        except BaseException:
            await client.cut()
            raise
        return client

    async def _report(self, client: Client) -> None:
        """A report every 10 to 150 ms, until the connection ends."""
        while not client.closed.is_set():
            self.clock = max(self.clock + 1, messages.now_ms())
            mid = str(uuid.uuid4())
            payload = messages.short_report(self.uid, self.rng.uniform(-50, 50), at=self.clock, mid=mid)
            self.witness.reports.add(mid)
            self._post(client, mid, messages.topic(self.uid, messages.REPORT), payload)
            await asyncio.sleep(self.rng.uniform(0.01, 0.15))
            await self.left.below(WINDOW)
            if self.rng.random() < FLAPPING:
                client.closed.set()

    async def _answer(self, client: Client) -> None:
        """Answer every command, now and then slowly."""
        while not client.closed.is_set():
            got = await client.inbox.get()
            self.witness.received[json.loads(got.payload)["mid"]] += 1
            if self.rng.random() < 0.1:
                await asyncio.sleep(self.rng.uniform(0, 0.3))
            payload = messages.answer(got.payload, self.uid, data=[])
            self._post(client, json.loads(payload)["mid"], got.topic.removesuffix("command") + "result", payload)

    def _post(self, client: Client, mid: str, topic: str, payload: bytes) -> None:
        self.left[mid] = (topic, payload)
        self._send(client, mid, topic, payload)

    def _send(self, client: Client, mid: str, topic: str, payload: bytes) -> None:
        def acked(ended: asyncio.Future[bytes]) -> None:
            if ended.cancelled() or ended.exception() is not None:
                return
            self.left.done(mid)
            self.witness.ack(mid)
            if topic.endswith("/result"):
                self.witness.answered.add(json.loads(payload)["reply"])

        client.publish(topic, payload).add_done_callback(acked)


def told(got: Got) -> tuple[str, str, int]:
    """(mid, state, at) of a message on `bridge/v1/…/command/{mid}`."""
    body = json.loads(got.payload)
    return body["mid"], body["state"], body["at"]
