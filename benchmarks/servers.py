"""What is measured: our own service as it is run, in three configurations."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness.fleet import provision
from harness.process import Bridge

from bridge.config.settings import Broker as BrokerSettings

ROOT = Path(__file__).resolve().parents[1]
PLATFORM = "platform"


class Server(NamedTuple):
    """A listening broker and its processes, without helpers that do not work for a message."""

    address: tuple[str, int]
    pids: list[int]
    http: str = ""


class Fleet(NamedTuple):
    """Who connects: a file of credentials, devices first, and a data directory of ours that knows them."""

    size: int
    credentials: Path
    data: Path

    @classmethod
    def make(cls, home: Path, size: int) -> Fleet:
        """Provision `size` devices and the platform's account once, for all runs."""
        home.mkdir(parents=True)
        service = Bridge(home)
        people = asyncio.run(provision(service.data, [f"LOAD{number:05d}" for number in range(size)]))
        people.append(service.account(PLATFORM))
        credentials = home / "credentials.jsonl"
        credentials.write_text("".join(json.dumps(one._asdict()) + "\n" for one in people), encoding="utf-8")
        return cls(size, credentials, service.data)

    def part(self, size: int) -> Path:
        """A file of credentials with the first `size` devices."""
        *devices, platform = self.credentials.read_text(encoding="utf-8").splitlines(keepends=True)
        path = self.credentials.with_name(f"credentials-{size}.jsonl")
        path.write_text("".join((*devices[:size], platform)), encoding="utf-8")
        return path


Start = Callable[[Path, Fleet], AbstractContextManager[Server]]


class Candidate(NamedTuple):
    """A broker that can be measured. `missing` is what it needs and this machine lacks."""

    key: str
    name: str
    start: Start
    missing: Callable[[], str]
    anonymous: bool = True
    slow: bool = False
    """It does not keep up: it gets short runs, and a start for each, since what one left is in the next one's way."""


def ours(config: str) -> Start:
    """`ems-bridge serve` with a configuration of its own, on a copy of the fleet's data directory."""

    @contextmanager
    def start(home: Path, fleet: Fleet) -> Iterator[Server]:
        home.mkdir(parents=True)
        service = Bridge(home, config)
        shutil.copytree(fleet.data, service.data)
        try:
            service.start()
            assert service.process is not None
            yield Server(service.mqtt, [service.process.pid], service.http)
        finally:
            service.stop()
            shutil.rmtree(service.data, ignore_errors=True)

    return start


def _routing() -> str:
    return "" if "routing_only" in BrokerSettings.__struct_fields__ else "the setting broker.routing_only"


_ALL = "[broker]\nmax_connections = 20000\n"
NO_LOSS = _ALL + "inflight = 65535\nqueue_messages = 1000000\nqueue_bytes = 1073741824\n"
"""A platform that is behind by more than the default 1,000 messages loses some; nobody may lose any in a comparison."""
ALONE = "[mirror]\nlocal = false\n"

DURABLE = Candidate("durable", "ems-bridge, durable", ours(NO_LOSS + ALONE), lambda: "", anonymous=False)
DEFAULT = Candidate("default", "ems-bridge, durable, default queue", ours(_ALL + ALONE), lambda: "", anonymous=False)
MIRRORED = Candidate("mirrored", "ems-bridge, durable + mirror", ours(NO_LOSS), lambda: "", anonymous=False)
ROUTING = Candidate(
    "routing", "ems-bridge, routing only", ours(NO_LOSS + "routing_only = true\n" + ALONE), _routing, anonymous=False
)
OURS = (DURABLE, MIRRORED, ROUTING, DEFAULT)
