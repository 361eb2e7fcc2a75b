"""watch: the traffic, decoded, one line a message."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from bridge.cli.exits import OK
from bridge.cli.options import json_option, remote_options
from bridge.cli.send import stamp

WIDTH = 600
"""Characters of a body that a line shows, unless --full."""


@click.command()
@click.argument("filter_", metavar="[FILTER]", required=False)
@click.option("--full", is_flag=True, help="Show whole bodies.")
@json_option
@remote_options
def watch(
    filter_: str | None,
    full: bool,
    as_json: bool,
    url: str | None,
    key: str | None,
    config_file: str | None,
    data: str | None,
) -> int:
    """Follow the traffic: messages, command states, presence, dead letters.

    FILTER is a device's uid, or an MQTT topic filter such as 'v1/wudun/+/+/report/#'.
    """
    from bridge.cli import remote

    wanted = _wanted(filter_)
    bridge = remote.find(url, key, config_file, data)
    for kind, event in bridge.events("/api/v1/events", types="message,command,presence,dead_letter"):
        if kind != "lost" and not wanted(event):
            continue
        click.echo(json.dumps({"event": kind, **event}, ensure_ascii=False) if as_json else line(kind, event, full))
        sys.stdout.flush()
    return OK


def line(kind: str, event: dict[str, Any], full: bool = False) -> str:
    """One event as one line."""
    at = stamp(event.get("received_at") or event.get("at") or event.get("since"))
    if kind == "message":
        text = _short(event.get("body"), full)
        return f"{at} {event.get('topic', event.get('device'))} {text}"
    if kind == "command":
        words = [event["mid"], event["state"]]
        words += [str(event["code"])] if event.get("code") is not None else []
        return f"{at} {event['device']} command {' '.join(words)} {event.get('msg') or ''}".rstrip()
    if kind == "presence":
        return (
            f"{at} {event['device']} {'online' if event['online'] else 'offline'} {event.get('scheme') or ''}".rstrip()
        )
    if kind == "lost":
        return f"{at} … {event['lost']} events were too many to follow"
    where = event.get("topic") or event.get("device") or "-"
    return f"{at} {where} refused: {event.get('reason')} {event.get('path') or ''} {event.get('detail') or ''}".rstrip()


def _short(body: object, full: bool) -> str:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text if full or len(text) <= WIDTH else text[: WIDTH - 1] + "…"


def _wanted(text: str | None) -> Callable[[dict[str, Any]], bool]:
    if text is None or text == "#":
        return lambda _event: True
    if "/" not in text and "+" not in text and "#" not in text:
        return lambda event: event.get("device") == text
    from bridge.mqtt import topics

    try:
        topics.check_filter(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} is no topic filter: {error}") from None
    return lambda event: "topic" in event and topics.matches(text, event["topic"])
