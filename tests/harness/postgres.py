"""A private PostgreSQL cluster on a UNIX socket, of Debian's programs; as root it runs as the user `postgres`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from bridge.store.dialect import Postgres

START_S = 30.0
SETTINGS = {
    "listen_addresses": "", "shared_buffers": "32MB", "fsync": "off", "max_connections": "200",
    "synchronous_commit": "off",  # the bridge has to ask for more by itself
}  # fmt: skip


def programs() -> Path | None:
    """Where the newest version's programs are; None where there are none, or nobody who could run them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    runs = os.getuid() != 0 or "postgres" in {each.pw_name for each in pwd.getpwall()}
    return found[-1].parent if found and runs else None


class Cluster:
    """`start` and `kill` as often as wanted; `place` gives a schema that is new. `remove` at the end."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        found = programs()
        assert found is not None
        self._programs = found
        self._settings = {**SETTINGS, **(settings or {})}
        self.home = Path(tempfile.mkdtemp(prefix="ems-pg-"))
        self.home.chmod(0o755)
        self._as: dict[str, Any] = {}
        self.user = pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            self._as, self.user = {"user": "postgres", "group": "postgres"}, "postgres"
            shutil.chown(self.home, "postgres", "postgres")
        self._server: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self._run("initdb", "-D", self.home / "data", "-A", "trust", "-U", self.user, "-E", "UTF8", "--no-sync")

    def url(self, user: str = "", database: str = "postgres") -> str:
        return f"postgresql://{user or self.user}@/{database}?host={self.home}"

    def place(self) -> Postgres:
        return Postgres(self.url(), f"s{next(self._numbers)}")

    def start(self) -> Cluster:
        """Start the server and wait until it takes connections."""
        given = {**self._settings, "unix_socket_directories": str(self.home)}
        options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        with (self.home / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._programs / "postgres", "-D", self.home / "data", *options],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._as,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._server.poll() is None:
            ready = subprocess.run(
                [self._programs / "pg_isready", "-h", self.home], stdout=subprocess.DEVNULL, check=False
            )
            if ready.returncode == 0:
                return self
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL did not start: {(self.home / 'log').read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """kill -9 of all its processes, as when the power goes; harmless when nothing runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """At once, but in order; connections are cut."""
        self._end(signal.SIGINT)

    def sql(self, *statements: str) -> str:
        """What psql says."""
        commands = [part for each in statements for part in ("-c", each)]
        return self._run("psql", "-h", self.home, "-d", "postgres", "-U", self.user, "-qXAt", *commands)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, name: str, *args: str | Path) -> str:
        done = subprocess.run(
            [self._programs / name, *args], capture_output=True, text=True, cwd="/", check=False, **self._as
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _end(self, sign: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        if sign == signal.SIGKILL:
            self._send(server, sign)
        else:
            server.send_signal(sign)
        server.wait(START_S)

    def signal(self, sign: signal.Signals) -> None:
        """To the server and all that it started."""
        assert self._server is not None
        self._send(self._server, sign)

    def _send(self, server: subprocess.Popen[bytes], sign: signal.Signals) -> None:
        children = psutil.Process(server.pid).children()
        server.send_signal(sign)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(sign)
