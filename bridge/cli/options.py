"""Options that several commands share, and how they become a configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bridge.config import Config

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = {
    "broker.listen": "--mqtt",
    "http.listen": "--http",
    "store.data": "--data",
    "broker.allow_anonymous": "--allow-anonymous",
}


def config_option(function: F) -> F:
    """--config FILE"""
    return click.option("--config", "config_file", metavar="FILE", help="TOML configuration file.")(function)


def data_option(function: F) -> F:
    """--data DIR"""
    return click.option("--data", metavar="DIR", help="Data directory (default: [store] data).")(function)


def json_option(function: F) -> F:
    """--json"""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def remote_options(function: F) -> F:
    """--url and --key, with --config and --data to find the server that runs on this machine."""
    function = click.option(
        "--key", metavar="KEY", envvar="EMS_BRIDGE_KEY", help="API key (default: $EMS_BRIDGE_KEY)."
    )(function)
    function = click.option(
        "--url",
        metavar="URL",
        envvar="EMS_BRIDGE_URL",
        help="The bridge's HTTP address (default: $EMS_BRIDGE_URL, else the one that serves the data directory).",
    )(function)
    return data_option(config_option(function))


def configuration(config_file: str | None, **overrides: object) -> Config:
    """The configuration with options on top; `overrides` are keys with `__` for the dot, None where not given."""
    from bridge.config import load

    given = {key.replace("__", "."): value for key, value in overrides.items() if value is not None}
    return load(config_file, given, options=OPTIONS)


def data_directory(config_file: str | None, data: str | None) -> Path:
    """Where the data lies."""
    return Path(configuration(config_file, store__data=data).store.data)
