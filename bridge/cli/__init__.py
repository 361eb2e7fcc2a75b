"""The command line. A wrong option, file or value gives one line on stderr and exit code 2; commands are imported when
they are called, so that each starts quickly."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from bridge.cli.exits import INTERRUPTED, OK, PIPE_CLOSED, TROUBLE, WRONG
from bridge.errors import BridgeError, ConfigError, Refused

COMMANDS = {
    "demo": ("run", "everything in one process on loopback, with a simulated site fleet"),
    "serve": ("run", "the service: broker, commands, mirror, HTTP"),
    "cloud": ("run", "only the receiving side: ingestion, time series, query APIs"),
    "check": ("check", "what is wrong in a configuration, or the effective one"),
    "device": ("provision", "provision devices"),
    "account": ("provision", "provision platform accounts and their API keys"),
    "mosquitto": ("mosquitto", "password file and access control list for an external Mosquitto"),
    "send": ("send", "send a command to a device and print the outcome"),
    "watch": ("watch", "follow the traffic, one line a message"),
    "dead": ("dead", "dead letters: list, show, replay, purge"),
    "sinks": ("sinks", "sinks and webhooks: what each took, and why one does not"),
    "schema": ("contracts", "print AsyncAPI, OpenAPI or JSON Schema"),
    "backup": ("care", "online backup of a data directory"),
    "verify": ("care", "integrity check of a data directory"),
}
"""Name -> (module of bridge.cli that has it, short help)."""


class Lazy(click.Group):
    """The commands, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"bridge.cli.{COMMANDS[cmd_name][0]}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a test walks the table
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Lazy, name="ems-bridge", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ems-bridge")
def cli() -> None:
    """MQTT broker, command ledger and cloud mirror for energy-management devices."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    sys.exit(call(args))


def call(args: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code. Expected failures print one line."""
    try:
        code = cli.main(list(args) if args is not None else None, prog_name="ems-bridge", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        return OK
    except click.ClickException as error:
        return complain(_told(error), WRONG)
    except (ConfigError, Refused) as error:
        return complain(str(error), WRONG)
    except BridgeError as error:
        return complain(str(error), TROUBLE)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code if isinstance(code, int) else OK


def complain(text: str, code: int) -> int:
    """One line on stderr."""
    click.echo("ems-bridge: " + " ".join(text.split()), err=True)
    return code


def _told(error: click.ClickException) -> str:
    """click's message with the command that it belongs to."""
    text = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None or context.parent is None:
        return f"{text} (ems-bridge --help lists the commands)"
    return f"{context.command_path.removeprefix('ems-bridge ')}: {text} ({context.command_path} --help tells more)"
