"""The vendor's platform API as its clients call it, and devices that answer: simulated, or saying what they are told."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from harness import messages
from harness.tasks import beside
from harness.wire import Client

from simulator.device import Device
from simulator.identity import DeviceSpec, Identities

if TYPE_CHECKING:
    from conftest import Window

BASE = "/wad/ems/v1/api"
SLOT = {"start_hour": 20, "start_minute": 0, "end_hour": 23, "end_minute": 0, "cdc_enable_mode": 1, "run_power": 30}
SCHEDULE = {"charge_type": 1, "status": 1, "month": [1, 7], "week_day": [5, 6], "settings": [SLOT]}

Script = Callable[[str, Any], "tuple[int, Any] | None"]
"""(feature/action, data of the command) -> (code, data of the answer); None: silence."""


def simulated(version: Any = "v2", uid: str = "D1") -> Device:
    spec = DeviceSpec(uid, "wudun", "PK001", version)
    identity, site = Identities().of(spec)
    return Device(spec, identity, site, messages.now_ms() / 1000, 60.0)


@asynccontextmanager
async def online(window: Window, device: Device) -> AsyncIterator[Client]:
    """The device is there, has greeted and reported, and does what it is told."""

    async def serve(line: Client) -> None:
        while True:
            got = await line.inbox.get()
            for topic, payload in device.handle(got.topic, got.payload, messages.now_ms() / 1000):
                await line.stored(topic, payload)

    async with await window.connect(device.spec.uid) as line:
        for _ in range(2):
            for topic, payload in device.due(device.next_due):
                await line.stored(topic, payload)
        async with beside(serve(line)):
            yield line


@asynccontextmanager
async def scripted(window: Window, script: Script, uid: str = "D1") -> AsyncIterator[list[tuple[str, Any]]]:
    """A device that answers what `script` says; gives what it was asked, as it is asked."""
    asked: list[tuple[str, Any]] = []

    async def serve(line: Client) -> None:
        while True:
            got = await line.inbox.get()
            command = json.loads(got.payload)
            name = "/".join(got.topic.split("/")[-3:-1])
            asked.append((name, command.get("data")))
            said = script(name, command.get("data"))
            if said is not None:
                answer = {
                    "mid": str(uuid.uuid4()), "reply": command["mid"], "type": command["type"], "device_uid": uid,
                    "code": said[0], "msg": "no" if said[0] != 200 else "", "timestamp": messages.now_ms(),
                }  # fmt: skip
                if said[1] is not None:
                    answer["data"] = said[1]
                await line.stored(got.topic.removesuffix("command") + "result", json.dumps(answer).encode())

    async with await window.connect(uid) as line, beside(serve(line)):
        yield asked


async def good(window: Window, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """The body of a success."""
    status, said, _ = await window.call(method, BASE + path, body, **more)
    assert (status, said.get("code")) == (200, 0), said
    return said


async def bad(window: Window, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
    """(code, message) of a failure."""
    status, said, _ = await window.call(method, BASE + path, body, **more)
    assert status == 400, said
    assert set(said) == {"code", "message"}
    return said["code"], said["message"]
