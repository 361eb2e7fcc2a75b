"""InfluxDB 1 of Debian as a process of its own, on a free port, in a directory that goes with the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

INFLUXD = shutil.which("influxd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_influxd = pytest.mark.skipif(INFLUXD is None, reason="needs influxd")
START_S = 30.0

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "{home}/meta"
[data]
dir = "{home}/data"
wal-dir = "{home}/wal"
[http]
bind-address = "127.0.0.1:0"
auth-enabled = {auth}
log-enabled = false
[monitor]
store-enabled = false
"""


class Influx:
    """`url` once it is started; `query` gives the rows of a statement."""

    def __init__(self, home: Path, *, auth: bool = False) -> None:
        home.mkdir()
        self._log = home / "influxd.log"
        config = home / "influxdb.conf"
        config.write_text(CONFIG.format(home=home, auth=str(auth).lower()), encoding="utf-8")
        assert INFLUXD is not None
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([INFLUXD, "-config", config], stdout=log, stderr=log)
        self.url = f"http://127.0.0.1:{self._port()}"

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    async def query(self, statement: str, database: str = "ems", **params: str) -> list[dict[str, Any]]:
        """POST /query; each row as a dict, of all series."""
        body = {"q": statement, "db": database, "epoch": "ms"}
        async with aiohttp.ClientSession() as web, web.post(f"{self.url}/query", data=body, params=params) as answer:
            assert answer.status == 200, await answer.text()
            (result,) = (await answer.json())["results"]
        assert "error" not in result, result
        return [
            dict(zip(series["columns"], row, strict=True)) | series.get("tags", {})
            for series in result.get("series", [])
            for row in series["values"]
        ]

    def _port(self) -> int:
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            text = self._log.read_text(encoding="utf-8", errors="replace")
            found = re.search(r"Listening on HTTP.*? addr=127\.0\.0\.1:(\d+)", text)
            if found and int(found[1]):
                return int(found[1])
            time.sleep(0.02)
        self.stop()
        raise AssertionError(f"influxd does not listen\n{self._log.read_text(encoding='utf-8')[-3000:]}")
