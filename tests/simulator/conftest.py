"""Brokers to connect to: Debian's mosquitto, and a scripted peer for what a good broker never does."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_broker import Address, Script, ScriptConnection


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Address]:
    """A mosquitto of our own on a free port, anonymous, without persistence."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    with (tmp_path / "mosquitto.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "-c", str(config), stdout=log, stderr=log)
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        yield "127.0.0.1", port
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    """A running Script on a free port."""
    made = Script()
    server = await asyncio.get_running_loop().create_server(lambda: ScriptConnection(made), "127.0.0.1", 0)
    made.address = server.sockets[0].getsockname()
    try:
        yield made
    finally:
        server.close()
        for peer in made.connections:
            peer.transport.abort()
        await server.wait_closed()
        await made.until(lambda: not any(peer.is_open for peer in made.connections))
