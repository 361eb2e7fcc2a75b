"""A cheap load generator: D devices publish 918-byte meter reports at QoS 1, one platform subscriber acknowledges them.

    python -m benchmarks.load --broker 127.0.0.1:1883 --credentials FILE --rate 5000 --seconds 10

Prints one JSON object. `FILE` has a JSON line {"name", "secret"} a device and, last, the platform account. A rate of 0 means
saturation: every device keeps `--window` reports unacknowledged. Raw asyncio protocols, packets built once and patched.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import struct
import sys
import uuid
from collections import deque
from pathlib import Path
from time import monotonic, perf_counter, time_ns
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import messages, wire

TICK_S = 0.001
"""The pace of a fixed rate: finer costs the generator more than it tells."""
CONNECT_AT_ONCE = 100
CONNECT_S = 15.0
DRAIN_S = 20.0
"""How long the acknowledgements may lag behind the last report before the run counts as a backlog."""
FILTER = "v1/+/+/+/report/regular/post"


class Session(asyncio.Protocol):
    """Packets out of a stream; acknowledgements and publishes are handed to `on_ack` and `on_publish`."""

    def __init__(self, hello: bytes) -> None:
        self.hello = hello
        self.buffer = b""
        self.ready = asyncio.get_running_loop().create_future()
        self.granted = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.hello)

    def connection_lost(self, error: Exception | None) -> None:
        for waiting in (self.ready, self.granted):
            if not waiting.done():
                waiting.set_exception(ConnectionError(f"closed: {error}"))

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        at, end = 0, len(data)
        while end - at >= 2:
            size, width, shift = data[at + 1] & 127, 2, 7
            while data[at + width - 1] & 128:
                if at + width >= end:
                    self.buffer = data[at:]
                    return
                size |= (data[at + width] & 127) << shift
                width, shift = width + 1, shift + 7
            if at + width + size > end:
                break
            self.packet(data[at], data[at + width : at + width + size])
            at += width + size
        self.buffer = data[at:]

    def packet(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == wire.PUBACK:
            self.on_ack(body[0] << 8 | body[1])
        elif kind == wire.PUBLISH:
            self.on_publish(first, body)
        elif kind == wire.CONNACK:
            if body[1]:
                self.ready.set_exception(ConnectionError(f"CONNACK {body[1]}"))
            else:
                self.ready.set_result(None)
        elif kind == wire.SUBACK:
            self.granted.set_result(list(body[2:]))

    def on_ack(self, packet_id: int) -> None:
        """A PUBACK came."""

    def on_publish(self, first: int, body: bytes) -> None:
        """A PUBLISH came."""


class Device(Session):
    """Publishes its report again and again: packet id, mid and timestamp are patched in place."""

    def __init__(self, run: Run, name: str, secret: str) -> None:
        super().__init__(wire.connect(name, name, secret))
        self.run = run
        self.sent: deque[tuple[int, float]] = deque()
        self.count = 0
        self.clock = time_ns() // 1_000_000
        mid, at = str(uuid.uuid4()), self.clock
        payload = messages.report(name, 12.5, at=at, mid=mid)
        topic = messages.topic(name, messages.REPORT)
        self.template = bytearray(wire.publish(topic, payload, 1))
        self.id_at = self.template.index(topic.encode()) + len(topic)
        self.mid_at = self.template.index(mid.encode()) + 28
        self.time_at = self.template.index(str(at).encode())

    def report(self, now: float) -> None:
        self.count += 1
        packet_id = self.count % 65_535 + 1
        self.clock = max(self.clock + 1, self.run.epoch_ms)
        packet = self.template
        struct.pack_into(">H", packet, self.id_at, packet_id)
        packet[self.mid_at : self.mid_at + 8] = b"%08x" % (self.count & 0xFFFFFFFF)
        packet[self.time_at : self.time_at + 13] = b"%013d" % self.clock
        self.sent.append((packet_id, now))
        assert self.transport is not None
        self.transport.write(bytes(packet))

    def on_ack(self, packet_id: int) -> None:
        expected, since = self.sent.popleft()
        if expected != packet_id:
            raise AssertionError(f"PUBACK {packet_id} before {expected} [MQTT-4.6.0-2]")
        now = perf_counter()
        self.run.acknowledged(self, now, now - since)


class Platform(Session):
    """Subscribes to every report and acknowledges it."""

    def __init__(self, name: str, secret: str) -> None:
        super().__init__(wire.connect(name, name, secret))
        self.count = 0
        self.acks: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.acks:
            assert self.transport is not None
            self.transport.write(b"".join(self.acks))
            self.acks.clear()

    def on_publish(self, first: int, body: bytes) -> None:
        self.count += 1
        if first & 6:
            at = (body[0] << 8 | body[1]) + 2
            self.acks.append(b"\x40\x02" + body[at : at + 2])


class Run:
    """One measurement over devices that are connected."""

    def __init__(self, rate: float, seconds: float, window: int) -> None:
        self.rate, self.seconds, self.window = rate, seconds, window
        self.devices: list[Device] = []
        self.latencies: list[float] = []
        self.sent = self.acked = 0
        self.epoch_ms = time_ns() // 1_000_000
        self.going = False
        self.drained = asyncio.Event()

    def acknowledged(self, device: Device, now: float, latency: float) -> None:
        self.acked += 1
        self.latencies.append(latency)
        if self.going:
            if not self.rate:
                self.publish(device, now)
        elif self.acked == self.sent:
            self.drained.set()

    def publish(self, device: Device, now: float) -> None:
        self.sent += 1
        device.report(now)

    async def measure(self) -> dict[str, float]:
        started = perf_counter()
        self.going = True
        worst = await (self._paced(started) if self.rate else self._saturated())
        self.going = False
        elapsed = perf_counter() - started
        in_time, behind = self.acked, self.sent - self.acked
        if behind:
            try:
                await asyncio.wait_for(self.drained.wait(), DRAIN_S)
            except TimeoutError:
                print(f"{self.sent - self.acked} reports were never acknowledged", file=sys.stderr)
        ordered = sorted(self.latencies) or [0.0]
        quantile = {
            f"p{share}_ms": ordered[min(len(ordered) * share // 100, len(ordered) - 1)] * 1e3 for share in (50, 99)
        }
        return {
            "acked_per_s": in_time / elapsed,
            "sent": self.sent,
            "lost": self.sent - self.acked,
            "behind": behind,
            "drained_s": perf_counter() - started - elapsed,
            "generator_late_ms": worst * 1e3,
            **quantile,
        }

    async def _saturated(self) -> float:
        now = perf_counter()
        for device in self.devices:
            for _ in range(self.window):
                self.publish(device, now)
        ends = now + self.seconds
        while (left := ends - perf_counter()) > 0:
            await asyncio.sleep(min(left, 0.1))
            self.epoch_ms = time_ns() // 1_000_000
        return 0.0

    async def _paced(self, started: float) -> float:
        """Publish report n at started + n / rate; gives how late the generator itself was at worst."""
        number, worst, count = 0, 0.0, len(self.devices)
        total = int(self.rate * self.seconds)
        while number < total:
            now = perf_counter()
            self.epoch_ms = time_ns() // 1_000_000
            due = min(int((now - started) * self.rate) + 1, total)
            worst = max(worst, now - started - number / self.rate)
            while number < due:
                self.publish(self.devices[number % count], perf_counter())
                number += 1
            await asyncio.sleep(TICK_S)
        return worst


async def connect(host: str, port: int, sessions: list[Session]) -> float:
    """Connect all; gives connections a second."""
    loop = asyncio.get_running_loop()
    started = monotonic()
    for first in range(0, len(sessions), CONNECT_AT_ONCE):
        part = sessions[first : first + CONNECT_AT_ONCE]
        async with asyncio.timeout(CONNECT_S):
            await asyncio.gather(*(loop.create_connection(lambda one=one: one, host, port) for one in part))
            await asyncio.gather(*(one.ready for one in part))
    return len(sessions) / (monotonic() - started)


async def run(options: argparse.Namespace) -> dict[str, float]:
    people = [json.loads(line) for line in options.credentials.read_text(encoding="utf-8").splitlines()]
    *devices, platform = [(one["name"], one["secret"]) for one in people]
    load = Run(options.rate, options.seconds, options.window)
    load.devices = [Device(load, *one) for one in devices]
    host, _, port = options.broker.rpartition(":")
    per_s = await connect(host, int(port), list(load.devices))
    subscriber = Platform(*platform)
    await connect(host, int(port), [subscriber])
    assert subscriber.transport is not None
    subscriber.transport.write(wire.subscribe(1, [(FILTER, 1)]))
    granted = await asyncio.wait_for(subscriber.granted, 10)
    if granted != [1]:
        raise AssertionError(f"SUBACK {granted}")
    print("connected", flush=True)
    gc.collect()
    gc.disable()
    found = await load.measure()
    return {**found, "delivered": subscriber.count, "connections_per_s": per_s}


def main() -> None:
    options = parser().parse_args()
    try:
        import uvloop
    except ImportError:
        found = asyncio.run(run(options))
    else:
        found = uvloop.run(run(options))
    print(json.dumps(found), flush=True)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.splitlines()[0])
    found.add_argument("--broker", required=True, metavar="HOST:PORT")
    found.add_argument("--credentials", required=True, type=Path, metavar="FILE")
    found.add_argument("--rate", type=float, default=0.0, help="reports a second, all devices together; 0 saturates")
    found.add_argument("--seconds", type=float, default=10.0)
    found.add_argument("--window", type=int, default=20, help="unacknowledged reports a device, when saturating")
    return found


if __name__ == "__main__":
    main()
