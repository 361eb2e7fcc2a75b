"""mosquitto: the registry as files of an external Mosquitto."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.options import config_option, configuration, data_directory, data_option
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.broker.mosquitto import Files

PASSWORDS, ACL, SECRET = "passwords", "acl", "bridge-password"


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@config_option
@data_option
def mosquitto(directory: Path, config_file: str | None, data: str | None) -> None:
    """Write `passwords`, `acl` and `bridge-password` for Mosquitto 2 into DIRECTORY.

    Call it again after every change of devices and accounts, then send Mosquitto a SIGHUP. The bridge's own password there is
    made once and stays."""
    ledger = data_directory(config_file, data) / "bridge.db"
    if not ledger.is_file():
        raise ConfigError(str(ledger.parent), "no data directory of the bridge", "--data DIR with a bridge.db in it")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(_made(ledger, config_file, _secret(directory)))
        _write(directory / PASSWORDS, found.passwords)
        _write(directory / ACL, found.acl)
    except OSError as error:
        raise ConfigError(str(directory), f"cannot be written: {error.strerror}", "a directory of yours") from None
    for name, why in found.left_out:
        click.echo(f"left out: {name}: {why}", err=True)
    click.echo(f"{directory}: {found.passwords.count(chr(10))} logins")


def _secret(directory: Path) -> str:
    """The bridge's own password there, made at the first call."""
    from bridge.core import secrets

    path = directory / SECRET
    if not path.is_file():
        _write(path, secrets.new_secret() + "\n")
    return path.read_text(encoding="utf-8").strip()


async def _made(ledger: Path, config_file: str | None, secret: str) -> Files:
    from bridge.app.settings import custom_prefixes
    from bridge.broker.mosquitto import files
    from bridge.core import secrets
    from bridge.core.permissions import Permissions
    from bridge.core.registry import Registry
    from bridge.store.database import Database
    from schemas.topics import Topics

    custom = custom_prefixes(configuration(config_file))
    database = await Database.open(ledger, "bridge")
    try:
        registry = Registry(database)
        await registry.refresh()
        return files(Permissions(registry, Topics(custom), custom), secrets.broker_hash(secret))
    finally:
        await database.close()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, readable by this user alone; mode and group of a file that was there stay."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    made = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if path.exists():
            was = path.stat()
            os.chown(made, -1, was.st_gid)
            made.chmod(was.st_mode & 0o7777)
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
