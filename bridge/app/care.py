"""Care of a data directory: one service at a time, how the command line finds it, copies, checks, bounds."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import resource
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from bridge.config import Config
from bridge.counts import Counts
from bridge.errors import ConfigError, StoreError
from bridge.store.dialect import Postgres
from bridge.store.ledger import COMMAND_STEP, Ledger
from bridge.store.verify import verify as verify_files

log = logging.getLogger(__name__)

FILES = ("bridge.db", "series.db")
LOCK = "lock"
LOCAL = "local.json"
DAY_MS = 86_400_000
TRIM_EVERY_S = 30.0
"""Between two looks at the bounds; a step that was full is followed by the next at once."""
LATEST_KEPT = 200
"""Sorts of reports of one device whose newest is kept for ever; a site with thirty cabinets has some 150."""
LATEST_EVERY = 120
"""Looks between two counts of them: an hour."""
DEAD_DAYS = 90
"""Dead letters, and commands that have their outcome, are kept this long."""
DEAD_ROWS = 100_000
"""Dead letters kept: a device that sends nothing else fills 256 KiB × this at most."""


OTHER_FILES = 4_500
"""Files beside MQTT connections: HTTP's, handshakes under way, the store's, the couriers'."""


class Lock:
    """One service a data directory. Held until the process ends or `release`."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file: IO[str] = (directory / LOCK).open("a")
        except OSError as error:
            raise ConfigError(str(directory), error.strerror or str(error), "a directory that can be written") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise ConfigError(
                str(directory), "another service runs on this data directory", "stop it, or give --data DIR"
            ) from None

    def release(self) -> None:
        """Let the next service in."""
        self._file.close()


def open_files(connections: int) -> None:
    """Let the process have as many files as it promises connections, if the system does: the usual 1,024 are fewer."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if usual < wanted:
        most = most if most != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))
    if most < wanted:
        log.warning(
            "the system allows %d open files; broker.max_connections = %d needs %d (LimitNOFILE)",
            most,
            connections,
            wanted,
        )


def leave_address(directory: Path, http: str, mqtt: str | None, token: str, listeners: Sequence[str] = ()) -> None:
    """Write where the service listens, and the operator's token, readable by this user alone."""
    path = directory / LOCAL
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump({"http": f"http://{http}", "mqtt": mqtt, "listeners": list(listeners), "token": token}, file)


def remove_address(directory: Path) -> None:
    """The service has stopped."""
    (directory / LOCAL).unlink(missing_ok=True)


async def trim_forever(ledger: Ledger, config: Config, counts: Counts, now: Callable[[], int]) -> None:
    """Keep the ledger inside its bounds for as long as the service runs. A store that cannot be written (disk full) is said
    and tried again."""
    store, looks = config.store, 0
    while True:
        cutoff = now() - int(store.reports_max_age_days * DAY_MS)
        try:
            if looks % LATEST_EVERY == 0:
                await ledger.trim_latest(LATEST_KEPT)
            looks += 1
            gone = await ledger.trim(cutoff, store.reports_max_bytes, now() - DEAD_DAYS * DAY_MS, DEAD_ROWS)
        except StoreError as error:
            log.warning("retention: %s", error)
            gone = {}
        for name, count in gone.items():
            if count:
                counts.add("ems_bridge_retired", (("what", name),), count)
        await asyncio.sleep(0 if any(count >= COMMAND_STEP for count in gone.values()) else TRIM_EVERY_S)


async def backup(directory: Path, target: Path) -> None:
    """A consistent copy of both databases as one tar file, while the service may run. Raises ConfigError."""
    try:
        await asyncio.to_thread(_backup, directory, target)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(str(target), f"the copy failed: {error}") from None


async def verify(directory: Path, series: Path | Postgres) -> list[str]:
    """Every problem of a data directory, and of the PostgreSQL that has its time series; empty when there is none."""
    found = await asyncio.to_thread(verify_files, directory)
    if isinstance(series, Postgres):
        from bridge.store.verify_postgres import verify_postgres

        found += await asyncio.to_thread(verify_postgres, series)
    return found


def _backup(directory: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".ems-bridge-") as folder:
        for name in FILES:
            if (directory / name).is_file():
                _copy(directory / name, Path(folder) / name)
        try:
            with tarfile.open(part, "w") as tar:
                for copy in sorted(Path(folder).iterdir()):
                    tar.add(copy, copy.name)
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    origin = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    copy = sqlite3.connect(target)
    try:
        origin.backup(copy)
    finally:
        copy.close()
        origin.close()
