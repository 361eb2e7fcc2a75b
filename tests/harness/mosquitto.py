"""A real Mosquitto on a free port of 127.0.0.1, with a configuration of the test's."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

BINARY = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_mosquitto = pytest.mark.skipif(BINARY is None, reason="needs mosquitto")
START_S = 15.0

OPEN = "allow_anonymous true\nmax_inflight_messages 1000\nmax_queued_messages 100000\n"
"""Everybody may do everything."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def mosquitto(home: Path, config: str = OPEN, port: int = 0) -> AsyncIterator[int]:
    """Run it while the block lasts; gives the port. What it keeps is under `home`."""
    port = port or free_port()
    file = home / "mosquitto.conf"
    listener = "" if "listener " in config else f"listener {port} 127.0.0.1\n"
    listener += "user root\n" if os.geteuid() == 0 else ""  # it would not reach the test's directory as anybody else
    file.write_text(f"{listener}{config}log_type error\nlog_type warning\n", encoding="utf-8")
    assert BINARY is not None
    process = await asyncio.create_subprocess_exec(BINARY, "-c", str(file))
    try:
        await _listening(port)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        assert await process.wait() == 0, "mosquitto failed"


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
