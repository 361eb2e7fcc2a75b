"""demo, serve, cloud: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.exits import OK
from bridge.cli.options import config_option, configuration, data_option
from bridge.errors import BridgeError, ConfigError

if TYPE_CHECKING:
    from bridge.app import Addresses
    from bridge.config import Config

HTTP = click.option("--http", metavar="HOST:PORT", help="HTTP listener; port 0 takes a free one.")
MQTT = click.option("--mqtt", metavar="HOST:PORT", help="MQTT listener; port 0 takes a free one.")


@click.command()
@config_option
@MQTT
@HTTP
@data_option
@click.option("--allow-anonymous", is_flag=True, default=None, help="No passwords, no keys; binds loopback only.")
def serve(
    config_file: str | None, mqtt: str | None, http: str | None, data: str | None, allow_anonymous: bool | None
) -> int:
    """Run the service. Prints `ready mqtt=HOST:PORT http=HOST:PORT` once it listens; SIGTERM drains and stops,
    SIGHUP reads certificates again."""
    config = configuration(
        config_file,
        broker__listen=mqtt,
        http__listen=http,
        store__data=data,
        broker__allow_anonymous=allow_anonymous,
    )
    from bridge import app

    return _run(config, lambda stop, reload: app.serve(config, _ready, stop, reload), reloads=True)


@click.command()
@config_option
@HTTP
@data_option
@click.option("--allow-anonymous", is_flag=True, default=None, help="No keys; binds loopback only.")
def cloud(config_file: str | None, http: str | None, data: str | None, allow_anonymous: bool | None) -> int:
    """Run only the receiving side. Prints `ready http=HOST:PORT` once it listens."""
    config = configuration(config_file, http__listen=http, store__data=data, broker__allow_anonymous=allow_anonymous)
    from bridge import app

    return _run(config, lambda stop, reload: app.cloud(config, _ready, stop, reload), reloads=True)


@click.command()
@MQTT
@HTTP
@click.option("--devices", type=click.IntRange(1, 1000), default=6, show_default=True, metavar="N", help="Fleet size.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=5,
    show_default=True,
    metavar="S",
    help="Seconds between reports.",
)
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Another seed, another site.")
@click.option("--data", metavar="DIR", help="Data directory, which stays (default: one that is forgotten at the end).")
def demo(mqtt: str | None, http: str | None, devices: int, interval: float, seed: int, data: str | None) -> int:
    """Run everything in one process on loopback, with a simulated site fleet. Ctrl-C stops it."""
    with tempfile.TemporaryDirectory(prefix="ems-bridge-demo-") as scratch:
        config = configuration(
            None,
            broker__listen=mqtt or _loopback(1883),
            http__listen=http or _loopback(8080),
            store__data=data or scratch,
            log__level="warning",
        )
        from bridge import app

        return _run(
            config,
            lambda stop, _: app.demo(config, click.echo, stop, devices=devices, interval_s=interval, seed=seed),
        )


def _loopback(port: int) -> str:
    """The usual port, or any where something listens there already."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return f"127.0.0.1:{port}"
    except OSError:
        return "127.0.0.1:0"


def _ready(addresses: Addresses) -> None:
    """The one line on stdout."""
    parts = [(name, getattr(addresses, name, None)) for name in ("mqtt", "http")]
    click.echo("ready " + " ".join(f"{name}={address}" for name, address in parts if address))
    sys.stdout.flush()


def _run(
    config: Config, make: Callable[[asyncio.Event, asyncio.Event], Coroutine[Any, Any, None]], *, reloads: bool = False
) -> int:
    """Run until SIGINT or SIGTERM; a second one ends it at once. With `reloads`, SIGHUP sets the second event."""
    from bridge import app

    logging.basicConfig(
        stream=sys.stderr,
        level=config.log.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )

    async def main() -> None:
        stop, reload, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

        def ask() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ask)
        if reloads:
            loop.add_signal_handler(signal.SIGHUP, reload.set)
        await make(stop, reload)

    try:
        app.run(main())
    except* (BridgeError, OSError) as group:
        raise _first(group) from None
    return OK


def _first(group: BaseExceptionGroup[BaseException]) -> BridgeError:
    """The first thing that went wrong, as an error of ours."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, BridgeError):
        return error
    return ConfigError("cannot start", str(error))
