"""Command round trips: 1,000 devices that answer at once, asked by HTTP and by MQTT; every state of a command is durable.

    python -m benchmarks.commands [--devices N] [--seconds S] [--window W] [--repeat R]

One process on one epoll is all devices and everybody who asks; the server's CPU is read from /proc. `window` commands are
under way at a time, each to another device. `alone` is one at a time: what a single command costs on its way.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import sys
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import messages, wire

from benchmarks import fleet, sockets
from benchmarks.figures import Bound, quantile
from benchmarks.servers import ALONE, Fleet, ours
from benchmarks.sockets import Loop, Peer
from benchmarks.usage import Usage

FEATURE, ACTION, TYPE, DATA = "streaming_overdemand", "delete", "streaming_overdemand_delete", {"id": 7}
SUFFIX = f"{FEATURE}/{ACTION}"
MUST, GOAL = 2_000, 5_000
ALONE_MS = 5.0
"""What a command may take beside the device's own time, median."""
CONNECT_S = 60.0
LINE = "{:<22} {per_s:8,.0f}/s  p50 {p50_ms:6.2f} ms  p99 {p99_ms:6.2f} ms  {cpu_us:6.0f} µs CPU"
Trips = dict[str, dict[str, float]]
"""Figures by what was measured."""
_REPLY = re.compile(rb'"reply":"([0-9a-f-]{36})"')


class Asked:
    """What is under way, and how long each took."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        self.took: list[float] = []
        self.failed = 0
        self.going = False

    def ended(self, key: str) -> bool:
        """Whether it was under way."""
        began = self.since.pop(key, None)
        if began is not None:
            self.took.append(perf_counter() - began)
        return began is not None


class Device(Peer):
    """Answers every command at once, with 200."""

    __slots__ = ("number",)

    def __init__(self, loop: Loop, name: str, secret: str | None) -> None:
        super().__init__(loop, name, secret)
        self.number = 0

    def on_packet(self, first: int, body: bytes) -> None:
        if first >> 4 != wire.PUBLISH:
            super().on_packet(first, body)
            return
        size = struct.unpack(">H", body[:2])[0]
        self.number = self.number % 65_535 + 1
        result = messages.answer(body[2 + size + 2 :], self.name)
        topic = body[2 : 2 + size].decode().removesuffix("command") + "result"
        self.send(b"\x40\x02" + body[2 + size : 4 + size] + wire.publish(topic, result, self.number))


class Request(NamedTuple):
    """What is asked by HTTP. `path` and `body` are of a device; an answer with `good` in it is a success."""

    method: str
    path: Callable[[str], str]
    body: Callable[[str], Any]
    good: bytes


COMMAND = Request(
    "POST",
    lambda device: f"/api/v1/devices/{device}/commands",
    lambda _device: {"feature": FEATURE, "action": ACTION, "data": DATA, "wait_s": 30},
    b'"state":"succeeded"',
)


class Web(Peer):
    """One HTTP connection with one request at a time."""

    __slots__ = ("again", "asked", "head", "request")

    def __init__(self, loop: Loop, asked: Asked, secret: str, request: Request, again: Callable[[Web], None]) -> None:
        super().__init__(loop, "web", None)
        self.asked, self.request, self.again = asked, request, again
        self.hello = b""
        self.head = f"Host: bench\r\nX-API-Key: {secret}\r\nContent-Type: application/json\r\n"

    def ask(self, device: str) -> None:
        """Send it, about a device."""
        method, path, body, _ = self.request
        said = body(device)
        text = "" if said is None else json.dumps(said)
        head = f"{method} {path(device)} HTTP/1.1\r\n{self.head}Content-Length: {len(text)}\r\n\r\n"
        self.asked.since[str(id(self))] = perf_counter()
        self.send((head + text).encode())

    def on_data(self, data: bytes) -> None:
        head = data.find(b"\r\n\r\n")
        size = int(data[data.find(b"Content-Length: ") + 16 : head].split(b"\r\n")[0]) if head >= 0 else 0
        if head < 0 or len(data) < head + 4 + size:
            self.buffer = data
            return
        self.buffer = b""
        self.asked.failed += self.request.good not in data
        self.asked.ended(str(id(self)))
        self.again(self)


class Platform(Peer):
    """One MQTT connection that publishes commands and sees the results."""

    __slots__ = ("again", "asked", "number")

    def __init__(self, loop: Loop, asked: Asked, name: str, secret: str | None, again: Callable[[], None]) -> None:
        super().__init__(loop, name, secret)
        self.asked, self.again = asked, again
        self.number = 0

    def ask(self, device: str) -> None:
        """Publish a command."""
        mid = str(uuid.uuid4())
        self.number = self.number % 65_535 + 1
        payload = messages.command(device, TYPE, mid=mid, data=DATA)
        self.asked.since[mid] = perf_counter()
        self.send(wire.publish(messages.topic(device, f"{SUFFIX}/command"), payload, self.number))

    def on_packet(self, first: int, body: bytes) -> None:
        if first >> 4 != wire.PUBLISH:
            super().on_packet(first, body)
            return
        size = struct.unpack(">H", body[:2])[0]
        self.send(b"\x40\x02" + body[2 + size : 4 + size])
        reply = _REPLY.search(body)
        if reply is not None and self.asked.ended(reply[1].decode()):
            self.again()


class Bench:
    """Devices and askers against one service."""

    def __init__(
        self,
        address: tuple[str, int],
        http: tuple[str, int],
        people: list[tuple[str, str | None]],
    ) -> None:
        self.loop, self.asked = Loop(), Asked()
        *devices, (self.name, secret) = people
        self.secret = secret or ""
        self.address, self.http = address, http
        self.devices = [Device(self.loop, *one) for one in devices]
        self.free = deque(device.name for device in self.devices)
        sockets.connect(self.loop, address, self.devices, 64, CONNECT_S)
        pairs: list[tuple[Peer, str]] = [(one, fleet.commands(one.name)) for one in self.devices]
        sockets.subscribe(self.loop, pairs, 64, CONNECT_S)

    def by_http(self, window: int, request: Request = COMMAND) -> Callable[[], None]:
        """Askers by HTTP; gives what starts them."""
        names = cycle(self.free)
        again: Callable[[Web], None] = lambda web: web.ask(next(names)) if self.asked.going else None  # noqa: E731
        askers = [Web(self.loop, self.asked, self.secret, request, again) for _ in range(window)]
        for asker in askers:
            asker.open(self.http)
        return lambda: [asker.ask(next(names)) for asker in askers] and None

    def by_mqtt(self, window: int) -> Callable[[], None]:
        """One asker by MQTT; gives what starts it."""
        names = cycle(self.free)
        again: Callable[[], None] = lambda: platform.ask(next(names)) if self.asked.going else None  # noqa: E731
        platform = Platform(self.loop, self.asked, self.name, self.secret, again)
        platform.hello = wire.connect(f"{self.name}-{window}", self.name, self.secret)
        sockets.connect(self.loop, self.address, [platform], 1, CONNECT_S)
        sockets.subscribe(self.loop, [(platform, f"v1/+/+/+/{SUFFIX}/result")], 1, CONNECT_S)
        return lambda: [platform.ask(next(names)) for _ in range(window)] and None

    def each(self, window: int, request: Request) -> None:
        """Ask once about every device. Raises RuntimeError where that fails."""
        left, asked = list(self.free), self.asked

        def again(web: Web) -> None:
            if left:
                web.ask(left.pop())

        asked.failed = 0
        askers = [Web(self.loop, asked, self.secret, request, again) for _ in range(window)]
        for asker in askers:
            asker.open(self.http)
            again(asker)
        if not self.loop.until(lambda: not left and not asked.since, CONNECT_S) or asked.failed:
            raise RuntimeError(f"{len(left)} devices left, {asked.failed} failed")

    def measure(self, begin: Callable[[], None], seconds: float, pid: int) -> dict[str, float]:
        """Round trips a second, latencies, the server's CPU µs for each."""
        asked = self.asked
        asked.going, asked.failed = True, 0
        begin()
        self.turn(0.5)
        asked.took.clear()
        before, began = Usage.of([pid]), perf_counter()
        self.turn(seconds)
        took, elapsed = list(asked.took), perf_counter() - began
        used = Usage.of([pid]).cpu_s - before.cpu_s
        asked.going = False
        if not self.loop.until(lambda: not asked.since, 10) or asked.failed:
            raise RuntimeError(f"{len(asked.since)} commands without an outcome, {asked.failed} that did not succeed")
        count = max(len(took), 1)
        return {
            "per_s": len(took) / elapsed,
            "p50_ms": quantile(took, 0.5) * 1e3,
            "p99_ms": quantile(took, 0.99) * 1e3,
            "cpu_us": used / count * 1e6,
        }

    def close(self) -> None:
        """End every connection."""
        for peer in tuple(self.loop.peers.values()):
            peer.close()
        self.loop.epoll.close()

    def turn(self, seconds: float) -> None:
        ends = perf_counter() + seconds
        while (left := ends - perf_counter()) > 0:
            self.loop.turn(min(left, 0.05))


@contextmanager
def benched(devices: int) -> Iterator[tuple[Bench, int]]:
    """A service of its own with so many devices connected, and its process."""
    with tempfile.TemporaryDirectory(prefix="ems-bench-") as folder:
        home = Path(folder)
        made = Fleet.make(home / "fleet", devices)
        with ours(ALONE)(home / "run", made) as server:
            host, _, port = server.http.removeprefix("http://").rpartition(":")
            people = fleet.people(made.credentials, anonymous=False)
            bench = Bench(server.address, (host, int(port)), people)
            yield bench, server.pids[0]
            bench.close()


def run(devices: int, seconds: float, window: int) -> Trips:
    """One service, all four measurements."""
    with benched(devices) as (bench, pid):
        asked = (
            ("HTTP, alone", bench.by_http, 1),
            ("MQTT, alone", bench.by_mqtt, 1),
            (f"HTTP, {window} at a time", bench.by_http, window),
            (f"MQTT, {window} at a time", bench.by_mqtt, window),
        )
        return {name: bench.measure(ask(size), seconds, pid) for name, ask, size in asked}


def middle(repeat: int, seconds: float, devices: int = 1_000, window: int = 64) -> Trips:
    """The median of each figure."""
    print("\n== benchmarks.commands", flush=True)
    return told([run(devices, seconds, window) for _ in range(repeat)])


def told(runs: list[Trips]) -> Trips:
    """The median of each figure of several runs, printed."""
    found = {name: {key: median(one[name][key] for one in runs) for key in runs[0][name]} for name in runs[0]}
    for name, each in found.items():
        print(LINE.format(name, **each), flush=True)
    return found


def verdicts(found: Trips) -> list[tuple[Bound, float | None]]:
    """What must be reached: one command beside the device's own time, and how many there can be."""
    return [
        (Bound(f"one command, {name}, median", ALONE_MS, 2.0, "ms", most=True), each["p50_ms"])
        if name.endswith("alone")
        else (Bound(f"command round trips, {name}", MUST, GOAL, "/s"), each["per_s"])
        for name, each in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    for bound, value in verdicts(middle(options.repeat, options.seconds, options.devices, options.window)):
        print(bound.line(value))


if __name__ == "__main__":
    main()
