"""Many open commands: what each takes in memory, how soon a restart has them again, how punctual their timeouts are.

    python -m benchmarks.held [--commands N] [--devices N] [--spread S]

Reading commands are posted by HTTP for devices that are away; the service is stopped and started; the devices come, take their
commands and answer none. A platform hears of each timeout on the status topic: that moment is compared with the deadline of the
ledger, by the clock of one machine. Memory is what the process has more after that restart than after a start with no command.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import wire
from harness.process import Bridge

from benchmarks import fleet, sockets
from benchmarks.commands import COMMAND, Asked, Web
from benchmarks.figures import Bound, quantile
from benchmarks.servers import ALONE, NO_LOSS, Fleet
from benchmarks.sockets import Loop, Peer

MEMORY = Bound("memory of an open command", 1024, 1024, "B", most=True)
RESTART = Bound("restart with 100,000 open commands, until it is ready", 3.0, 3.0, "s", most=True)
LATE = Bound("timeouts behind their deadlines, the worst", 50.0, 20.0, "ms", most=True)
FIRST_S = 40.0
"""The shortest timeout: by then the commands are all sent."""
ASKERS = 32
PATIENCE_S = 300.0
SEED = 20261121


class Device(Peer):
    """Takes commands, and answers none."""

    __slots__ = ("taken",)

    def __init__(self, loop: Loop, name: str, secret: str | None) -> None:
        super().__init__(loop, name, secret)
        self.taken = 0

    def on_packet(self, first: int, body: bytes) -> None:
        if first >> 4 != wire.PUBLISH:
            super().on_packet(first, body)
            return
        size = struct.unpack(">H", body[:2])[0]
        self.taken += 1
        self.send(b"\x40\x02" + body[2 + size : 4 + size])


class Platform(Peer):
    """Hears of states; keeps when each command timed out, epoch ms."""

    __slots__ = ("ended", "sent")

    def __init__(self, loop: Loop, name: str, secret: str | None) -> None:
        super().__init__(loop, name, secret)
        self.ended: dict[str, float] = {}
        self.sent = 0

    def on_packet(self, first: int, body: bytes) -> None:
        if first >> 4 != wire.PUBLISH:
            super().on_packet(first, body)
            return
        size = struct.unpack(">H", body[:2])[0]
        qos = first >> 1 & 3
        if qos:
            self.send(b"\x40\x02" + body[2 + size : 4 + size])
        told = json.loads(body[2 + size + 2 * bool(qos) :])
        self.sent += told["state"] == "sent"
        if told["state"] == "timed_out":
            self.ended[told["mid"]] = time.time() * 1000


def run(home: Path, devices: int, commands: int, spread: float) -> dict[str, float]:
    """All three figures, of one service."""
    made = Fleet.make(home / "fleet", devices)
    service = Bridge(home, NO_LOSS + ALONE)
    shutil.copytree(made.data, service.data)
    *people, (account, secret) = fleet.people(made.credentials, anonymous=False)
    try:
        service.start()
        empty = service.memory()
        took = _post(service, [name for name, _ in people], secret or "", commands, spread)
        service.stop()
        began = perf_counter()
        service.start()
        found = {"posted_per_s": commands / took, "restart": perf_counter() - began}
        found["memory"] = (service.memory() - empty) / commands
        return found | _timeouts(service, people, (account, secret), commands, spread)
    finally:
        service.stop()


def _post(service: Bridge, names: list[str], secret: str, commands: int, spread: float) -> float:
    """Ask until so many commands are taken; gives seconds."""
    loop, asked = Loop(), Asked()
    host, _, port = service.http.removeprefix("http://").rpartition(":")
    turn = iter(range(commands - ASKERS))
    lot = random.Random(SEED)

    def again(web: Web) -> None:
        number = next(turn, None)
        if number is not None:
            web.ask(names[number % len(names)])

    command = COMMAND._replace(body=lambda _device: _body(lot, spread), good=b'"state":"accepted"')
    askers = [Web(loop, asked, secret, command, again) for _ in range(ASKERS)]
    began = perf_counter()
    for asker in askers:
        asker.open((host, int(port)))
        asker.ask(names[0])
    if not loop.until(lambda: len(asked.took) == commands, PATIENCE_S) or asked.failed:
        raise RuntimeError(
            f"{len(asked.took):,} of {commands:,} commands were taken, {asked.failed} otherwise than asked"
        )
    for asker in askers:
        asker.close()
    return perf_counter() - began


def _body(lot: random.Random, spread: float) -> dict[str, Any]:
    timeout_s = round(FIRST_S + lot.random() * spread, 3)
    return {"feature": "streaming_overdemand", "action": "sync", "timeout_s": timeout_s, "hold_s": 86_400, "wait_s": 0}


def _timeouts(
    service: Bridge, people: list[tuple[str, str | None]], account: tuple[str, str | None], commands: int, spread: float
) -> dict[str, float]:
    loop = Loop()
    platform = Platform(loop, *account)
    sockets.connect(loop, service.mqtt, [platform], 1, PATIENCE_S)
    sockets.subscribe(loop, [(platform, "bridge/v1/PK001/+/command/+")], 1, PATIENCE_S)
    loop.prompt = platform
    began = perf_counter()
    devices: list[Peer] = [Device(loop, *one) for one in people]
    sockets.connect(loop, service.mqtt, devices, 64, PATIENCE_S)
    sockets.subscribe(loop, [(one, fleet.commands(one.name)) for one in devices], 64, PATIENCE_S)
    if not loop.until(lambda: platform.sent >= commands, FIRST_S):
        raise RuntimeError(f"{platform.sent:,} of {commands:,} commands were sent before the first deadline")
    sent = perf_counter() - began
    if not loop.until(lambda: len(platform.ended) >= commands, FIRST_S + spread + PATIENCE_S):
        raise RuntimeError(f"{len(platform.ended):,} of {commands:,} commands have timed out")
    for peer in tuple(loop.peers.values()):
        peer.close()
    rows = list(_deadlines(service))
    late = [platform.ended[mid] - deadline for mid, deadline, _ in rows]
    decided = [behind for _, _, behind in rows]
    return {
        "sent": sent,
        "decided": max(decided),
        "p50": quantile(late, 0.5),
        "p99": quantile(late, 0.99),
        "late": max(late),
        "early": min(late),
    }


def _deadlines(service: Bridge) -> Iterator[tuple[str, int, int]]:
    ledger = sqlite3.connect(f"file:{service.data / 'bridge.db'}?mode=ro", uri=True)
    try:
        yield from ledger.execute("SELECT mid, deadline, settled_at - deadline FROM commands WHERE state = 'timed_out'")
    finally:
        ledger.close()


def measured(devices: int = 1_000, commands: int = 100_000, spread: float = 60.0) -> dict[str, float]:
    """Print and give the figures."""
    print(f"\n== benchmarks.held: {commands:,} open commands of {devices:,} devices", flush=True)
    with tempfile.TemporaryDirectory(prefix="ems-bench-") as home:
        found = run(Path(home), devices, commands, spread)
    print(
        "posted {posted_per_s:,.0f}/s; {memory:,.0f} B each; ready again in {restart:.2f} s; all sent in {sent:.1f} s;"
        " timeouts told after their deadline: p50 {p50:.1f}, p99 {p99:.1f}, worst {late:.1f} ms, of these until it was decided"
        " {decided:.0f} ms".format(**found),
        flush=True,
    )
    return found


def verdicts(found: dict[str, float]) -> list[tuple[Bound, float | None]]:
    """What must be reached."""
    return [(MEMORY, found.get("memory")), (RESTART, found.get("restart")), (LATE, found.get("late"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--spread", type=float, default=60.0, help="seconds between the first deadline and the last")
    options = parser.parse_args()
    for bound, value in verdicts(measured(options.devices, options.commands, options.spread)):
        print(bound.line(value))


if __name__ == "__main__":
    main()
