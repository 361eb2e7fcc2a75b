"""dead: what was refused, and what to do about it."""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from bridge.cli.exits import OK, TROUBLE
from bridge.cli.options import json_option, remote_options

PAGE = 500


@click.group()
def dead() -> None:
    """Dead letters: messages and mirrored rows that were refused."""


def _filters(function: Any) -> Any:
    function = click.option("--reason", metavar="WORD", help="Only this reason, such as invalid.")(function)
    function = click.option("--source", type=click.Choice(["mqtt", "mirror", "webhook"]), help="Only from here.")(
        function
    )
    return click.option("--device", metavar="UID", help="Only of this device.")(function)


@dead.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="At most so many.")
@json_option
@remote_options
def listing(
    device: str | None, source: str | None, reason: str | None, limit: int, as_json: bool, **where: str | None
) -> None:
    """List them, newest first, one a line: id, time, device, reason, path, detail."""
    bridge, before = _bridge(where), None
    while limit > 0:
        page = bridge.get(
            "/api/v1/dead-letters", device=device, source=source, reason=reason, before=before, limit=min(limit, PAGE)
        )
        for letter in page["dead_letters"]:
            click.echo(json.dumps(letter, ensure_ascii=False) if as_json else _line(letter))
        limit -= len(page["dead_letters"])
        before = page["next"]
        if before is None:
            return


@dead.command()
@click.argument("number", metavar="ID", type=click.IntRange(1))
@click.option("--payload", is_flag=True, help="Print the payload alone, byte for byte.")
@json_option
@remote_options
def show(number: int, payload: bool, as_json: bool, **where: str | None) -> None:
    """Show dead letter ID with its payload."""
    letter = _asked(where, "GET", f"/api/v1/dead-letters/{number}")
    raw = letter["payload"].encode() if "payload" in letter else base64.b64decode(letter["payload_base64"])
    if payload:
        sys.stdout.buffer.write(raw)
        return
    if as_json:
        click.echo(json.dumps(letter, ensure_ascii=False))
        return
    for name, value in letter.items():
        if name in ("at", "replayed_at") and value is not None:
            value = _time(value)
        click.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


@dead.command()
@click.argument("numbers", metavar="ID...", type=click.IntRange(1), nargs=-1, required=True)
@remote_options
def replay(numbers: tuple[int, ...], **where: str | None) -> int:
    """Send dead letters through the pipeline again; exit code 1 when one was refused again."""
    refused = False
    for number in numbers:
        result = _asked(where, "POST", f"/api/v1/dead-letters/{number}/replay")
        click.echo(
            f"{number} "
            + " ".join(str(result[name]) for name in ("outcome", "reason", "path", "detail") if result.get(name))
        )
        refused = refused or result["outcome"] != "accepted"
    return TROUBLE if refused else OK


@dead.command()
@click.argument("numbers", metavar="[ID...]", type=click.IntRange(1), nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="Every one.")
@remote_options
def purge(
    numbers: tuple[int, ...],
    device: str | None,
    source: str | None,
    reason: str | None,
    everything: bool,
    **where: str | None,
) -> None:
    """Delete dead letters by ID, by filter, or all."""
    filters = {"device": device, "source": source, "reason": reason}
    if bool(numbers) + any(filters.values()) + everything != 1:
        raise click.UsageError("name IDs, or filters, or --all")
    if numbers:
        gone = sum(_asked(where, "DELETE", f"/api/v1/dead-letters/{number}")["purged"] for number in numbers)
    else:
        query = {**filters, "all": "true" if everything else None}
        gone = _asked(where, "DELETE", "/api/v1/dead-letters", query)["purged"]
    click.echo(f"{gone} purged")


def _bridge(where: dict[str, str | None]) -> Any:
    from bridge.cli import remote

    return remote.find(where["url"], where["key"], where["config_file"], where["data"])


def _asked(where: dict[str, str | None], method: str, path: str, query: dict[str, Any] | None = None) -> Any:
    return _bridge(where).call(method, path, query)


def _line(letter: dict[str, Any]) -> str:
    where = letter["device"] or letter["topic"] or "-"
    return f"{letter['id']}\t{_time(letter['at'])}\t{where}\t{letter['reason']}\t{letter['path'] or '-'}\t{letter['detail']}"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
