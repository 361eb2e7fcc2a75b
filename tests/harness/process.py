"""The real `ems-bridge` as a process: on port 0, waited for by its ready line, killed at the end whatever happens."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(sys.executable).parent
READY = re.compile(
    r"ready mqtt=(?P<mqtt_host>[^:\s]+):(?P<mqtt_port>\d+) http=(?P<http_host>[^:\s]+):(?P<http_port>\d+)\s*$"
)
START_S = 40.0
"""A cold start on a busy machine of two cores."""
STOP_S = 20.0
CLI_S = 40.0

PRODUCT_KEY, TENANT = "PK001", "acme"


class Secret(NamedTuple):
    """Who may log in: a device's uid or an account's name, and its password (an account's is its API key too)."""

    name: str
    secret: str


class CliError(AssertionError):
    """A command of the product ended otherwise than the test expected."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any setting of the bridge, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMS_BRIDGE")}
    return {**kept, "PYTHONUNBUFFERED": "1", **(extra or {})}


def cli(
    *args: str | Path, expect: int | None = 0, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `ems-bridge ARGS` to its end; CliError when the exit code is not `expect` (None takes any)."""
    done = subprocess.run(
        [SCRIPT / "ems-bridge", *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=CLI_S,
        env=environment(env),
        check=False,
    )
    if expect is not None and done.returncode != expect:
        raise CliError(f"ems-bridge {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Bridge:
    """One data directory and, between `start` and `stop` or `kill`, the process that serves it."""

    def __init__(self, home: Path, config: str = "") -> None:
        self.home = home
        self.data = home / "data"
        self.log = home / "serve.log"
        self.config = home / "bridge.toml"
        self.config.write_text(config, encoding="utf-8")
        self.process: subprocess.Popen[str] | None = None
        self.mqtt = ("", 0)
        self.http = ""

    def start(self, *options: str, env: Mapping[str, str] | None = None) -> Bridge:
        """Start and wait for the ready line; AssertionError with the log when it does not come."""
        command = [SCRIPT / "ems-bridge", "serve", "--config", self.config, "--data", self.data]
        command += ["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(env),
            )
        line = read_line(self.process, START_S)
        match = READY.search(line)
        if match is None:
            self.kill()
            raise AssertionError(f"no ready line but {line!r}\n{self.tail()}")
        self.mqtt = (match["mqtt_host"], int(match["mqtt_port"]))
        self.http = f"http://{match['http_host']}:{match['http_port']}"
        return self

    def kill(self) -> None:
        """kill -9, and wait until it is gone. Harmless when nothing runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit code. Killed (and -9) when it does not drain in time."""
        return self._end(signal.SIGTERM)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tail(self, size: int = 6000) -> str:
        """The end of what it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-size:] if self.log.exists() else ""

    def memory(self) -> int:
        """Resident bytes of the process (Linux)."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cli(self, *args: str | Path, expect: int | None = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command that works on this data directory (`--data` is added behind its name)."""
        return cli(*args, "--data", self.data, expect=expect, stdin=stdin)

    def device(
        self,
        uid: str,
        *,
        product_key: str | None = PRODUCT_KEY,
        tenant: str | None = TENANT,
        timezone: str | None = None,
    ) -> Secret:
        """Provision a device by the command line."""
        options = [
            f"--{name}={value}"
            for name, value in (("product-key", product_key), ("tenant", tenant), ("timezone", timezone))
            if value
        ]
        return Secret(uid, self._secret("device", "add", uid, *options))

    def account(self, name: str, *options: str) -> Secret:
        """Provision a platform account; without options it may touch every owner."""
        return Secret(name, self._secret("account", "add", name, *(options or ("--all",))))

    def _secret(self, *args: str) -> str:
        secret = json.loads(self.cli(*args, "--json").stdout)["secret"]
        assert isinstance(secret, str)
        return secret

    def _end(self, sign: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(sign)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(STOP_S)
        finally:
            if process.stdout is not None:
                process.stdout.close()


def read_line(process: subprocess.Popen[str], seconds: float) -> str:
    """The next line of its stdout; empty when the process ends or says nothing for `seconds`."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([process.stdout], [], [], left)
        if ready:
            return process.stdout.readline()
    return ""
