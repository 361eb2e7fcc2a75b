"""What is measured: our own service and, beside it in the same run, the peers that this machine has."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness.fleet import provision
from harness.process import Bridge, Secret, read_line

ROOT = Path(__file__).resolve().parents[1]
HERTZ = os.sysconf("SC_CLK_TCK")
LOAD_S = 90.0
"""When a load process counts as stuck."""


class Server(NamedTuple):
    """A listening broker, its process, and the file of credentials that it knows."""

    name: str
    address: tuple[str, int]
    pid: int
    credentials: Path


@contextmanager
def bridge(home: Path, devices: int) -> Iterator[Server]:
    """`ems-bridge serve` with everything on: validated, stored with synchronous=FULL, mirrored to its own endpoint."""
    home.mkdir(parents=True)
    service = Bridge(home)
    people = asyncio.run(provision(service.data, names(devices)))
    people.append(service.account("platform"))
    try:
        service.start()
        assert service.process is not None
        yield Server("ems-bridge serve", service.mqtt, service.process.pid, write(home, people))
    finally:
        service.stop()


@contextmanager
def mosquitto(home: Path, devices: int) -> Iterator[Server]:
    """Debian's Mosquitto, forwarding in memory, configured so that it loses nothing (PERFORMANCE.md, note 1)."""
    home.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = home / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type none\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [binary("mosquitto"), "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        listening(port)
        people = [Secret(name, "-") for name in (*names(devices), "platform")]
        yield Server("Mosquitto, in memory", ("127.0.0.1", port), process.pid, write(home, people))
    finally:
        process.terminate()
        process.wait(10)


def binary(name: str) -> str:
    """Its path, or nothing; Debian keeps brokers in /usr/sbin."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def names(devices: int) -> list[str]:
    return [f"LOAD{number:05d}" for number in range(devices)]


def write(home: Path, people: list[Secret]) -> Path:
    path = home / "credentials.jsonl"
    path.write_text("".join(json.dumps(one._asdict()) + "\n" for one in people), encoding="utf-8")
    return path


def listening(port: int, seconds: float = 10.0) -> None:
    """Wait until the port answers; it is no process of ours, so it cannot tell."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


class Usage(NamedTuple):
    """What a process used so far: CPU seconds of all its threads, resident bytes now."""

    cpu_s: float
    resident: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        return cls((int(fields[11]) + int(fields[12])) / HERTZ, resident * os.sysconf("SC_PAGE_SIZE"))


def load(server: Server, *, rate: float, seconds: float, window: int = 20) -> dict[str, float]:
    """Run the load generator as its own process; its figures, and what the server used for them."""
    host, port = server.address
    command = [sys.executable, "-m", "benchmarks.load", "--broker", f"{host}:{port}"]
    command += ["--credentials", str(server.credentials), "--rate", str(rate), "--seconds", str(seconds)]
    command += ["--window", str(window)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            if read_line(process, LOAD_S).strip() != "connected":
                raise RuntimeError(f"the load did not connect to {server.name}")
            before = Usage.of(server.pid)
            said, _ = process.communicate(timeout=LOAD_S)
            after = Usage.of(server.pid)
        finally:
            process.kill()
    found: dict[str, float] = json.loads(said)
    done = found["sent"] - found["lost"]
    return {
        **found,
        "cpu_us": (after.cpu_s - before.cpu_s) / max(done, 1) * 1e6,
        "resident_mb": after.resident / 1e6,
    }
