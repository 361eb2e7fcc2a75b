"""backup and verify: care of a data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from bridge.cli.exits import OK, TROUBLE
from bridge.cli.options import config_option, data_directory, data_option
from bridge.errors import ConfigError


@click.command()
@click.argument("file")
@config_option
@data_option
def backup(file: str, config_file: str | None, data: str | None) -> None:
    """Write a consistent copy of the data directory to FILE while the service may run."""
    directory = _existing(config_file, data)
    target = Path(file)
    if target.exists():
        raise ConfigError(file, "exists already", "the path of a new file")
    if not target.absolute().parent.is_dir():
        raise ConfigError(file, "its directory does not exist", "the path of a new file")
    from bridge import app

    asyncio.run(app.backup(directory, target))
    click.echo(f"{directory} -> {target}")


@click.command()
@config_option
@data_option
def verify(config_file: str | None, data: str | None) -> int:
    """Check a data directory; one line a problem and exit code 1, or `clean`."""
    directory = _existing(config_file, data)
    from bridge import app

    problems = asyncio.run(app.verify(directory))
    for problem in problems:
        click.echo(problem)
    if not problems:
        click.echo("clean")
    return TROUBLE if problems else OK


def _existing(config_file: str | None, data: str | None) -> Path:
    directory = data_directory(config_file, data)
    if not (directory / "bridge.db").is_file() and not (directory / "series.db").is_file():
        raise ConfigError(str(directory), "no data directory of the bridge", "--data DIR with a bridge.db in it")
    return directory
