"""dead: what was refused, and what to do about it."""

from __future__ import annotations

import base64
import json
import sys
import unicodedata
from datetime import UTC, datetime
from typing import Any

import click

from bridge.cli.exits import OK, TROUBLE
from bridge.cli.options import json_option, remote_options

PAGE = 500
SHOWN = 4_096
"""Characters of a payload that `show` prints."""
DUMPED = 256
"""Bytes of one that is no text."""


@click.group()
def dead() -> None:
    """Dead letters: messages and mirrored rows that were refused."""


def _filters(function: Any) -> Any:
    for option in (
        click.option("--until", metavar="TIME", help="Refused before: ISO 8601 with an offset, or epoch ms."),
        click.option("--since", metavar="TIME", help="Refused then or later."),
        click.option("--topic", metavar="TOPIC", help="Only on this topic; TOPIC/# for all behind it."),
        click.option("--reason", metavar="WORD", help="Only this reason, such as invalid."),
        click.option("--source", type=click.Choice(["mqtt", "mirror", "webhook"]), help="Only from here."),
        click.option("--device", metavar="UID", help="Only of this device."),
    ):
        function = option(function)
    return function


FILTERS = ("device", "source", "reason", "topic", "since", "until")


@dead.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="At most so many.")
@json_option
@remote_options
def listing(limit: int, as_json: bool, **options: str | None) -> None:
    """List them, newest first, one a line: id, time, device, reason, path, detail."""
    filters, where = _parted(options)
    bridge, before = _bridge(where), None
    while limit > 0:
        page = bridge.get("/api/v1/dead-letters", **filters, before=before, limit=min(limit, PAGE))
        for letter in page["dead_letters"]:
            click.echo(json.dumps(letter) if as_json else _line(letter))
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
        click.echo(json.dumps(letter))
        return
    for name in ("payload", "payload_base64"):
        letter.pop(name, None)
    for name, value in letter.items():
        if name in ("at", "replayed_at") and value is not None:
            value = _time(value)
        click.echo(f"{name}: {plain(value) if isinstance(value, str) else json.dumps(value)}")
    _show_payload(raw)


@dead.command()
@click.argument("numbers", metavar="[ID...]", type=click.IntRange(1), nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="Every one.")
@remote_options
def replay(numbers: tuple[int, ...], everything: bool, **options: str | None) -> int:
    """Send dead letters through the pipeline again, oldest first: by ID, by filter, or all that were not replayed yet. Exit
    code 1 when one was refused again."""
    filters, where = _parted(options)
    _one_way(numbers, filters, everything)
    refused = False
    if numbers:
        for number in numbers:
            result = _asked(where, "POST", f"/api/v1/dead-letters/{number}/replay")
            click.echo(_outcome(result))
            refused = refused or result["outcome"] != "accepted"
        return TROUBLE if refused else OK
    bridge, accepted, count = _bridge(where), 0, 0
    query: dict[str, Any] = {**filters, "all": "true" if everything else None}
    while True:
        page = bridge.call("POST", "/api/v1/dead-letters/replay", query)
        for result in page["rejected"]:
            click.echo(_outcome(result))
        accepted, count = accepted + page["accepted"], count + len(page["rejected"])
        if page["next"] is None:
            break
        query |= {"after": page["next"], "before": page["before"]}
    click.echo(f"{accepted} accepted, {count} rejected")
    return TROUBLE if count else OK


@dead.command()
@click.argument("numbers", metavar="[ID...]", type=click.IntRange(1), nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="Every one.")
@remote_options
def purge(numbers: tuple[int, ...], everything: bool, **options: str | None) -> None:
    """Delete dead letters by ID, by filter, or all."""
    filters, where = _parted(options)
    _one_way(numbers, filters, everything)
    if numbers:
        gone = sum(_asked(where, "DELETE", f"/api/v1/dead-letters/{number}")["purged"] for number in numbers)
    else:
        query = {**filters, "all": "true" if everything else None}
        gone = _asked(where, "DELETE", "/api/v1/dead-letters", query)["purged"]
    click.echo(f"{gone} purged")


def plain(text: str) -> str:
    """Text of a stranger for a terminal: one line, and nothing that moves a cursor or turns the direction of writing."""
    return "".join(
        each if unicodedata.category(each)[0] not in "CZ" or each == " " else _escaped(each) for each in text
    )


def _escaped(each: str) -> str:
    return each.encode("unicode_escape", "surrogatepass").decode()


def _show_payload(raw: bytes) -> None:
    """As text where it is text, else as a dump; its beginning, when it is long."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        click.echo("payload: no UTF-8; its bytes:")
        for start in range(0, min(len(raw), DUMPED), 16):
            row = raw[start : start + 16]
            signs = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            click.echo(f"  {start:06x}  {row.hex(' '):<47}  {signs}")
        left = len(raw) - DUMPED
    else:
        lines = text[:SHOWN].splitlines() or [""]
        click.echo("payload: " + "\n".join(map(plain, lines)))
        left = len(text) - SHOWN
    if left > 0:
        click.echo(f"… {len(raw)} bytes in all; --payload prints them")


def _parted(options: dict[str, str | None]) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Filters, and where the bridge is."""
    filters = {name: options.pop(name) for name in FILTERS}
    return filters, options


def _one_way(numbers: tuple[int, ...], filters: dict[str, str | None], everything: bool) -> None:
    if bool(numbers) + any(value is not None for value in filters.values()) + everything != 1:
        raise click.UsageError("name IDs, or filters, or --all")


def _outcome(result: dict[str, Any]) -> str:
    return " ".join(
        plain(str(result[name])) for name in ("id", "outcome", "reason", "path", "detail") if result.get(name)
    )


def _bridge(where: dict[str, str | None]) -> Any:
    from bridge.cli import remote

    return remote.find(where["url"], where["key"], where["config_file"], where["data"])


def _asked(where: dict[str, str | None], method: str, path: str, query: dict[str, Any] | None = None) -> Any:
    return _bridge(where).call(method, path, query)


def _line(letter: dict[str, Any]) -> str:
    where = letter["device"] or letter["topic"] or "-"
    said = (where, letter["reason"], letter["path"] or "-", letter["detail"])
    return "\t".join((str(letter["id"]), _time(letter["at"]), *map(plain, said)))


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
