"""amqtt's plugins in the whole house: a password file beside the registry."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiomqtt
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from bridge.app import serve
from bridge.config import load
from bridge.errors import ConfigError
from bridge.testing import Bridge


@pytest.fixture
def ems_bridge_settings(tmp_path: Path) -> dict[str, object]:
    passwords = tmp_path / "passwords"
    passwords.write_text(f"guest:{PasswordHash((Argon2Hasher(),)).hash('open sesame')}\n")
    return {"broker.plugins": {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(passwords)}}}


async def test_a_password_file_lets_a_registered_account_in(ems_bridge: Bridge) -> None:
    host, port = ems_bridge.mqtt
    async with aiomqtt.Client(host, port, username="guest", password="open sesame") as client:
        await client.subscribe("v1/user/+/+/report/regular/post")
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client(host, port, username="guest", password="wrong"):
            pass


async def test_a_plugin_that_is_not_there_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(f'[store]\ndata = "{tmp_path / "data"}"\n[broker.plugins."nowhere.Plugin"]\n')
    with pytest.raises(ConfigError, match="nowhere"):
        await serve(load(file), lambda _addresses: None, asyncio.Event())
