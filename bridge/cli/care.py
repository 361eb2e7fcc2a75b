"""backup and verify: care of a data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.exits import OK, TROUBLE
from bridge.cli.options import config_option, configuration, data_option
from bridge.errors import ConfigError

if TYPE_CHECKING:
    from bridge.config import Config


@click.command()
@click.argument("file")
@config_option
@data_option
def backup(file: str, config_file: str | None, data: str | None) -> None:
    """Write a consistent copy of the data directory to FILE while the service may run."""
    config = configuration(config_file, store__data=data)
    directory = _existing(config)
    target = Path(file)
    if target.exists():
        raise ConfigError(file, "exists already", "the path of a new file")
    if not target.absolute().parent.is_dir():
        raise ConfigError(file, "its directory does not exist", "the path of a new file")
    from bridge import app

    asyncio.run(app.backup(directory, target))
    click.echo(f"{directory} -> {target}")
    if config.cloud.database:
        schema = config.cloud.database_schema
        click.echo(
            f"The time series are in PostgreSQL, not in this file. Copy them now: pg_dump --schema={schema} DATABASE"
        )


@click.command()
@config_option
@data_option
def verify(config_file: str | None, data: str | None) -> int:
    """Check a data directory; one line a problem and exit code 1, or `clean`."""
    config = configuration(config_file, store__data=data)
    directory = _existing(config)
    from bridge import app

    problems = asyncio.run(app.verify(directory, app.time_series(config, directory)))
    for problem in problems:
        click.echo(problem)
    if not problems:
        click.echo("clean")
    return TROUBLE if problems else OK


def _existing(config: Config) -> Path:
    directory = Path(config.store.data)
    if not (directory / "bridge.db").is_file() and not (directory / "series.db").is_file():
        raise ConfigError(str(directory), "no data directory of the bridge", "--data DIR with a bridge.db in it")
    return directory
