"""The databases beside which the time series store is measured: each private, in a folder that goes away.

PostgreSQL (Debian `postgresql-15`) listens on a UNIX socket in its folder; as root it runs as the user `postgres`. DuckDB
comes from PyPI (`pip install duckdb`, not a dependency). InfluxDB 1.x is Debian's `influxdb`, or EMS_BENCH_INFLUXD names its
`influxd`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.peers import binary, free_port, listening

SERVERS = Path("/usr/lib/postgresql/15/bin")
SETTINGS = ("shared_buffers=1GB", "work_mem=64MB", "max_wal_size=8GB", "listen_addresses=", "fsync=on")
TIMED = re.compile(r"Time: ([0-9.]+) ms")
START_S = 30.0


class Postgres:
    """A running cluster. `run` gives the milliseconds of each statement as psql has them, answers included."""

    def __init__(self, home: Path, user: str, pid: int) -> None:
        self.home = home
        self.user = user
        self.pid = pid

    def run(self, *statements: str, data: Iterable[bytes] | None = None) -> list[float]:
        """Statements in one session; after a single COPY … FROM STDIN come the lines of `data`."""
        script = [b"\\timing on\n\\o /dev/null\n", *(f"{each};\n".encode() for each in statements)]
        return self._psql([*script, *(() if data is None else (*data, b"\\.\n"))])

    def copies(self, table: str, parts: Sequence[str]) -> float:
        """Milliseconds of a COPY of each part, all in one session."""
        statement = f"COPY {table} FROM STDIN (FORMAT csv);\n"
        return sum(self._psql([b"\\timing on\n", *(f"{statement}{part}\\.\n".encode() for part in parts)]))

    def _psql(self, script: Iterable[bytes]) -> list[float]:
        command = [
            "psql",
            "-h",
            str(self.home),
            "-U",
            self.user,
            "-d",
            "postgres",
            "-qX",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            "-",
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.writelines(script)
            client.stdin.close()
            said = client.stdout.read().decode()
        if client.returncode:
            raise RuntimeError(f"psql: {client.returncode}: {said[-400:]}")
        return [float(found) for found in TIMED.findall(said)]


def no_postgres() -> str:
    """What is missing for it; empty when all is there."""
    if not (SERVERS / "initdb").is_file() or not shutil.which("psql"):
        return "PostgreSQL 15"
    if os.getuid() == 0 and "postgres" not in {each.pw_name for each in pwd.getpwall()}:
        return "the user postgres (PostgreSQL does not run as root)"
    return ""


def no_duckdb() -> str:
    """What is missing for it."""
    return "" if importlib.util.find_spec("duckdb") else "DuckDB (pip install duckdb)"


def no_influx() -> str:
    """What is missing for it."""
    return "" if influxd() else "InfluxDB 1.x (influxd)"


MISSING = (no_postgres, no_duckdb, no_influx)


def influxd() -> str:
    """Its program."""
    return os.environ.get("EMS_BENCH_INFLUXD") or binary("influxd")


@contextmanager
def postgres(home: Path, core: int | None = None) -> Iterator[Postgres]:
    """A new cluster in `home`; on one core, if it is given."""
    owner: dict[str, Any] = {}
    user = pwd.getpwuid(os.getuid()).pw_name
    home.mkdir(parents=True)
    if os.getuid() == 0:
        owner, user = {"user": "postgres", "group": "postgres"}, "postgres"
        shutil.chown(home, "postgres", "postgres")
    data = home / "data"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": "/", **owner}
    subprocess.run([SERVERS / "initdb", "-D", data, "-A", "trust", "--no-sync"], check=True, **quiet)
    options = [part for each in (*SETTINGS, f"unix_socket_directories={home}") for part in ("-c", each)]
    command = [*(("taskset", "-c", str(core)) if core is not None else ()), SERVERS / "postgres", "-D", data, *options]
    with subprocess.Popen(command, **quiet) as server:
        try:
            await_socket(home / ".s.PGSQL.5432", server)
            yield Postgres(home, user, server.pid)
        finally:
            server.send_signal(signal.SIGINT)  # whoever is connected still
            server.wait(START_S)


def await_socket(path: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server takes connections."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        ready = subprocess.run([SERVERS / "pg_isready", "-h", path.parent], stdout=subprocess.DEVNULL, check=False)
        if path.exists() and ready.returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError("PostgreSQL did not start")


@contextmanager
def influx(home: Path, core: int | None = None) -> Iterator[str]:
    """InfluxDB with an empty database; gives the address to write lines to."""
    home.mkdir(parents=True)
    port, other = free_port(), free_port()
    config = home / "influx.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{other}"\n[meta]\ndir = "{home}/meta"\n'
        f'[data]\ndir = "{home}/data"\nwal-dir = "{home}/wal"\nindex-version = "inmem"\nquery-log-enabled = false\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\nmax-body-size = 0\n[monitor]\nstore-enabled = false\n',
        encoding="utf-8",
    )
    environ = {**os.environ, "GOMAXPROCS": "1"} if core is not None else dict(os.environ)
    command = [*(("taskset", "-c", str(core)) if core is not None else ()), influxd(), "-config", str(config)]
    with (home / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environ) as server:
        try:
            listening(server, port, home / "log")
            post(f"http://127.0.0.1:{port}/query?q=CREATE%20DATABASE%20b", b"")
            yield f"http://127.0.0.1:{port}/write?db=b&precision=ms"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(START_S)
            server.kill()


def post(url: str, body: bytes) -> None:
    """A POST that must succeed."""
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=60) as answer:
        answer.read()


def duck(path: Path, statements: Sequence[str]) -> Any:
    """An open DuckDB file after `statements`."""
    import duckdb  # type: ignore[import-not-found,unused-ignore]

    connection = duckdb.connect(str(path))
    for statement in statements:
        connection.execute(statement)
    return connection
