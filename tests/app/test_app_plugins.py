"""amqtt's plugins in the whole house: a password file beside the registry."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiomqtt
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from bridge.app import Addresses, serve
from bridge.config import load
from bridge.errors import ConfigError


async def test_a_password_file_lets_a_registered_account_in(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(f"guest:{PasswordHash((Argon2Hasher(),)).hash('open sesame')}\n")
    file = tmp_path / "bridge.toml"
    file.write_text(
        f'[broker]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "127.0.0.1:0"\n[store]\ndata = "{tmp_path / "data"}"\n'
        f'[broker.plugins."amqtt.plugins.authentication.FileAuthPlugin"]\npassword_file = "{passwords}"\n'
    )
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(load(file), ready.set_result, stop))
    try:
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        addresses: Addresses = ready.result()
        host, _, port = str(addresses.mqtt).rpartition(":")
        async with aiomqtt.Client(host, int(port), username="guest", password="open sesame") as client:
            await client.subscribe("v1/user/+/+/report/regular/post")
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client(host, int(port), username="guest", password="wrong"):
                pass
    finally:
        stop.set()
        await serving


async def test_a_plugin_that_is_not_there_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(f'[store]\ndata = "{tmp_path / "data"}"\n[broker.plugins."nowhere.Plugin"]\n')
    with pytest.raises(ConfigError, match="nowhere"):
        await serve(load(file), lambda _addresses: None, asyncio.Event())
