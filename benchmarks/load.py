"""The load generator: a process of its own that does to one broker what a plan says, and prints a JSON line for each step.

    python -m benchmarks.load < plan.json

The plan: `address`, `pids` (of the server), `credentials` (a file of JSON lines, devices first, the platform last), `anonymous`
(leave the secrets out), `idle` (how many only connect), and `phases`, each with `rate` (reports/s of all devices together; 0
keeps every window full), `window` (unacknowledged reports a device), `warm_s`, `seconds` and `drain_s`. CPU and memory of both
sides are read inside the measured time.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks import fleet, sockets
from benchmarks.figures import quantile
from benchmarks.fleet import Device, Platform, Traffic
from benchmarks.sockets import Loop, Peer
from benchmarks.usage import Usage, machine_cpu_s

AT_ONCE = 64
"""Handshakes under way; more only lengthen the broker's queue of accepts."""
CONNECT_S = 60.0
STALLED_S = 1.5
"""Without a message for so long, a drain is over: what is missing does not come."""
SETTLE_S = 0.3
"""Before memory is read."""


class Phase(NamedTuple):
    """One measurement over devices that are connected."""

    name: str
    rate: float = 0.0
    window: int = 20
    warm_s: float = 0.5
    seconds: float = 2.0
    drain_s: float = 5.0


class Mark(NamedTuple):
    """A moment of a phase."""

    at: float
    acked: int
    delivered: int
    server: Usage
    own: Usage
    machine_cpu_s: float


class Run:
    """All phases against one broker."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.pids: list[int] = plan["pids"]
        self.loop = Loop()
        self.traffic = Traffic()
        self.late: list[float] = []
        *names, platform = fleet.people(Path(plan["credentials"]), anonymous=plan["anonymous"])
        idle = plan.get("idle", 0)
        self.idle = [Peer(self.loop, *one) for one in names[:idle]]
        self.devices = [Device(self.loop, self.traffic, *one) for one in names[idle:]]
        self.platform = Platform(self.loop, self.traffic, *platform, self.devices[0].shape)

    def go(self) -> None:
        if self.idle:
            say("idle", self.connect(self.idle))
        say("connected", self.connect(self.devices))
        address = self.plan["address"]
        sockets.connect(self.loop, tuple(address), [self.platform], 1, CONNECT_S)
        sockets.subscribe(self.loop, [(self.platform, fleet.FILTER)], 1, CONNECT_S)
        self.loop.prompt = self.platform
        gc.collect()
        gc.freeze()
        gc.disable()
        phases = [Phase(**given) for given in self.plan["phases"]]
        for number, phase in enumerate(phases):
            found = self.measure(phase)
            say("phase", {"name": phase.name, "number": number, **found})
            if found["unacked"] and phase is not phases[-1]:
                say("stopped", {"why": f"{found['unacked']:,.0f} reports were not acknowledged"})
                return

    def connect(self, peers: Sequence[Peer]) -> dict[str, float]:
        """Connect, then subscribe each to its commands; memory is read after both."""
        address = self.plan["address"]
        before = Usage.of(self.pids)
        seconds = sockets.connect(self.loop, (address[0], address[1]), peers, AT_ONCE, CONNECT_S)
        self.pause()
        connected = Usage.of(self.pids)
        sockets.subscribe(self.loop, [(peer, fleet.commands(peer.name)) for peer in peers], AT_ONCE, CONNECT_S)
        self.pause()
        return {
            "connections": len(peers),
            "connections_per_s": len(peers) / seconds,
            "connection_bytes": (connected.resident - before.resident) / len(peers),
            "subscribed_bytes": (Usage.of(self.pids).resident - before.resident) / len(peers),
            "connection_cpu_us": (connected.cpu_s - before.cpu_s) / len(peers) * 1e6,
        }

    def pause(self) -> None:
        ends = perf_counter() + SETTLE_S
        while (left := ends - perf_counter()) > 0:
            self.loop.turn(left)

    def measure(self, phase: Phase) -> dict[str, float]:
        """Warm up, measure, stop, drain."""
        traffic = self.traffic
        traffic.begin(saturated=not phase.rate)
        self.late = []
        for device in self.devices:
            device.window(phase.window)
        if not phase.rate:
            for device in self.devices:
                device.fill()
        started = perf_counter()
        self.drive(phase, started, 0.0, phase.warm_s)
        traffic.forget()
        self.late = []
        first = self.mark()
        self.drive(phase, started, phase.warm_s, phase.warm_s + phase.seconds)
        last = self.mark()
        acks, deliveries, late = traffic.ack_s, traffic.deliver_s, self.late
        traffic.going = False
        for device in self.devices:
            device.due.clear()
        return {**rates(first, last), **latencies(acks, deliveries, late), **self.drain(phase.drain_s)}

    def drive(self, phase: Phase, started: float, begin: float, end: float) -> None:
        """Until `end` seconds after `started`: report n is due at n / rate, each device in its turn."""
        loop, ends = self.loop, started + end
        if not phase.rate:
            while (left := ends - perf_counter()) > 0:
                loop.turn(min(left, 0.05))
            return
        number, total, count = int(begin * phase.rate), int(end * phase.rate), len(self.devices)
        while number < total:
            now = perf_counter()
            reached = min(int((now - started) * phase.rate) + 1, total)
            while number < reached:
                due = started + number / phase.rate
                self.late.append(perf_counter() - due)
                self.devices[number % count].publish(due)
                number += 1
            loop.turn(max(0.0, min(started + number / phase.rate, ends) - perf_counter()))

    def drain(self, seconds: float) -> dict[str, float]:
        """Wait for what is under way, until nothing comes any more: what is missing then is lost. What was still coming when time
        was up is late, no worse."""
        traffic = self.traffic
        started = moved = perf_counter()
        seen, stalled = (traffic.acked, traffic.delivered), False
        while traffic.acked < traffic.sent or len(traffic.seen) < traffic.sent:
            self.loop.turn(0.02)
            now, came = perf_counter(), (traffic.acked, traffic.delivered)
            if came != seen:
                seen, moved = came, now
            stalled = now - moved > STALLED_S
            if stalled or now - started > seconds:
                break
        missing = max(traffic.sent - len(traffic.seen), 0)
        return {
            "sent": traffic.sent,
            "unacked": traffic.sent - traffic.acked,
            "lost": missing if stalled else 0,
            "late": 0 if stalled else missing,
            "twice": traffic.delivered - len(traffic.seen),
            "closed": self.loop.closed,
            "drained_s": perf_counter() - started,
        }

    def mark(self) -> Mark:
        traffic = self.traffic
        server, own = Usage.of(self.pids), Usage.of([os.getpid()])
        return Mark(perf_counter(), traffic.acked, traffic.delivered, server, own, machine_cpu_s())


def rates(first: Mark, last: Mark) -> dict[str, float]:
    elapsed, delivered = last.at - first.at, last.delivered - first.delivered
    server, own = last.server.cpu_s - first.server.cpu_s, last.own.cpu_s - first.own.cpu_s
    others = last.machine_cpu_s - first.machine_cpu_s - server - own
    return {
        "acked_per_s": (last.acked - first.acked) / elapsed,
        "delivered_per_s": delivered / elapsed,
        "cpu_us": server / max(delivered, 1) * 1e6,
        "server_cores": server / elapsed,
        "generator_cores": own / elapsed,
        "other_cores": max(others, 0.0) / elapsed,
        "resident_mb": last.server.resident / 1e6,
    }


def latencies(acks: list[float], deliveries: list[float], late: list[float]) -> dict[str, float]:
    return {
        f"{name}_p{share}_ms": quantile(values, share / 100) * 1e3
        for name, values in (("ack", acks), ("deliver", deliveries), ("late", late))
        for share in (50, 99)
    }


def say(event: str, found: dict[str, Any]) -> None:
    print(json.dumps({"event": event, **found}), flush=True)


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        Run(json.load(sys.stdin)).go()
    except (OSError, TimeoutError) as error:
        say("stopped", {"why": str(error)})


if __name__ == "__main__":
    main()
