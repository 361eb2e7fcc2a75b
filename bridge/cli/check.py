"""check: what is wrong in a configuration, or the one that holds."""

from __future__ import annotations

import click

from bridge.cli.exits import OK, WRONG
from bridge.cli.options import config_option


@click.command()
@config_option
def check(config_file: str | None) -> int:
    """Say what is wrong in a configuration, line by line, or print the effective one with secrets masked.

    The environment (EMS_BRIDGE__SECTION__KEY) counts too.
    """
    from bridge.config import effective, load, problems

    found = problems(config_file)
    for problem in found:
        click.echo(str(problem), err=True)
    if not found:
        click.echo(effective(load(config_file)), nl=False)
    return WRONG if found else OK
