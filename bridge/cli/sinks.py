"""sinks: what the couriers of sinks and webhooks are up to."""

from __future__ import annotations

import json
from typing import Any

import click

from bridge.cli.dead import plain
from bridge.cli.exits import OK, TROUBLE
from bridge.cli.options import json_option, remote_options
from bridge.cli.send import stamp


@click.command()
@json_option
@remote_options
def sinks(as_json: bool, url: str | None, key: str | None, config_file: str | None, data: str | None) -> int:
    """Show each sink and webhook: what it took, how far behind it is, and why it takes nothing. Exit code 1 when one does
    not."""
    from bridge.cli import remote

    found = remote.find(url, key, config_file, data).get("/api/v1/sinks")["sinks"]
    for state in found:
        click.echo(json.dumps(state) if as_json else line(state))
    return TROUBLE if any(state["failing"] for state in found) else OK


def line(state: dict[str, Any]) -> str:
    """One sink as one line."""
    words = [state["name"], state["format"], state["host"], f"taken {state['rows']}", f"behind {state['lag_s']:.0f} s"]
    if state["buried"]:
        words.append(f"refused {state['buried']}")
    if state["failing"]:
        words.append(f"FAILING since {stamp(state['failing_since'])}: {plain(state['failing'])}")
    return "  ".join(words)
