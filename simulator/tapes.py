"""`ems-sim record` and `ems-sim replay`."""

from __future__ import annotations

import asyncio
import signal
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from schemas.envelope import new_mid
from simulator.descriptors import make_room
from simulator.mapping import Renaming
from simulator.options import Wrong, parse_broker
from simulator.record import FILTERS, Recorded, Recorder
from simulator.replay import Replayed, Replayer, Unreachable, copy, measure
from simulator.tape import Bad, Writer

SPEEDS = (1.0, 1000.0)
EXIT_FAILED = 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--broker", metavar="URL", help="mqtt:// or mqtts://[USER:PASSWORD@]HOST[:PORT]")
@click.option(
    "--filter", "filters", multiple=True, metavar="TOPIC", help="What to subscribe to, again and again. [v1/#, v2/#]"
)
@click.option("--duration", type=float, metavar="S", help="Stop after so many seconds.")
@click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Certificates to trust, for mqtts://.")
def record(file: Path, broker: str | None, filters: tuple[str, ...], duration: float | None, ca: Path | None) -> None:
    """Capture what a broker carries, with its timing, into FILE (.gz, .xz, .zst), written anew."""
    host, port, login, tls = _broker(broker, ca)
    wanted = filters or FILTERS
    try:
        tape = Writer(file, int(time.time() * 1000), wanted)
    except (OSError, Bad) as error:
        raise Wrong("FILE", _text(error, file)) from None
    try:
        try:
            found, ready = asyncio.run(_record((host, port), login, wanted, tape, tls, duration))
        finally:
            tape.close()
    except OSError as error:
        _fail(_text(error, file))
    click.echo(msgspec.json.encode(found).decode())
    if not ready:
        _fail(f"never connected to {host}:{port}: {found.last_problem or 'no answer'}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--broker", metavar="URL", help="mqtt:// or mqtts://[USER:PASSWORD@]HOST[:PORT]")
@click.option("--speed", type=float, default=1.0, metavar="X", help="1 to 1000 times as fast as it was recorded. [1]")
@click.option(
    "--map", "names", multiple=True, metavar="OLD=NEW", help="A device or owner under another name, again and again."
)
@click.option("--prefix", default="", metavar="TEXT", help="What goes before the uid of every other device.")
@click.option("--anonymise", is_flag=True, help="Made-up names for all devices and owners; private fields are hashed.")
@click.option("--now", "moved", is_flag=True, help="Move timestamps, so that the tape's end is the end of the replay.")
@click.option(
    "--keep-mids", is_flag=True, help="Send the recorded mids; a bridge that knows them takes no message twice."
)
@click.option("--commands", is_flag=True, help="Publish the recorded commands too.")
@click.option(
    "--credentials",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='JSON lines {"uid", "secret"}: one connection each.',
)
@click.option("--ca", type=click.Path(path_type=Path), metavar="FILE", help="Certificates to trust, for mqtts://.")
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="TAPE", help="Write it to another tape, not to a broker."
)
def replay(file: Path, **given: Any) -> None:
    """Play a tape to a broker. Prints the ledger: what was read, published, acknowledged, refused, skipped."""
    to = given["to"]
    if to is not None and (given["broker"] is not None or given["credentials"] is not None):
        raise Wrong("--to", "is instead of --broker and --credentials")
    host, port, login, tls = ("", 0, (None, None), None) if to is not None else _broker(given["broker"], given["ca"])
    speed = given["speed"]
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise Wrong("--speed", f"{speed:g} is outside {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    if given["prefix"] and not _level(given["prefix"]):
        raise Wrong("--prefix", f"{given['prefix']!r} has /, +, # or NUL in it")
    names, secrets = _names(given["names"]), _secrets(given["credentials"])
    if trouble := make_room(len(secrets)):
        raise Wrong("--credentials", trouble)
    try:
        renaming = Renaming(
            names,
            prefix=given["prefix"],
            anonymise=given["anonymise"],
            salt="" if given["keep_mids"] else new_mid(),
        )
        if given["moved"] or given["anonymise"]:
            length = measure(file, renaming if given["anonymise"] else None)
            if given["moved"]:
                left = 0.0 if to is not None else length.seconds / speed
                renaming.shift_ms = int((time.time() + left - length.seconds) * 1000) - length.started_ms
        if to is not None:
            ledger = _copied(file, to, renaming, given["commands"])
        else:
            ledger = asyncio.run(_replay(file, (host, port), login, renaming, secrets, given["commands"], tls, speed))
    except Unreachable as error:
        _fail(f"never connected to {host}:{port}: {error}")
    except (OSError, Bad) as error:
        raise Wrong("FILE", _text(error, file)) from None
    click.echo(msgspec.json.encode(ledger).decode())
    if ledger.tape_problem:
        click.echo(f"ems-sim: {ledger.tape_problem}; what stands before that was published", err=True)
    if ledger.pending:
        click.echo(f"ems-sim: {ledger.pending} messages have no PUBACK: {ledger.last_problem}", err=True)
    if ledger.refused:
        click.echo(f"ems-sim: {ledger.refused} messages were refused: {ledger.last_problem}", err=True)
    if ledger.pending or ledger.refused or ledger.tape_problem:
        raise SystemExit(EXIT_FAILED)


def _copied(file: Path, to: Path, renaming: Renaming, commands: bool) -> Replayed:
    if to.exists() and file.exists() and to.samefile(file):
        raise Wrong("--to", f"{to} is the tape that is read")
    try:
        return copy(file, to, renaming, commands=commands)
    except OSError as error:
        raise Wrong("--to", _text(error, to)) if error.filename == str(to) else error from None


def _fail(why: str) -> NoReturn:
    click.echo(f"ems-sim: {why}", err=True)
    raise SystemExit(EXIT_FAILED)


async def _record(
    broker: tuple[str, int], login: tuple[str | None, str | None], filters: Sequence[str], tape: Writer,
    tls: ssl.SSLContext | None, duration: float | None,
) -> tuple[Recorded, bool]:  # fmt: skip
    stop = _stop(duration)
    recorder = Recorder(broker, login, filters, tape, tls)
    return await recorder.run(stop), recorder.ready.is_set()


async def _replay(
    file: Path, broker: tuple[str, int], login: tuple[str | None, str | None], renaming: Renaming,
    secrets: dict[str, str], commands: bool, tls: ssl.SSLContext | None, speed: float,
) -> Replayed:  # fmt: skip
    replayer = Replayer(broker, login, renaming, secrets=secrets, commands=commands, tls=tls)
    return await replayer.run(file, speed, _stop(None))


def _stop(seconds: float | None) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    return stop


def _broker(url: str | None, ca: Path | None) -> tuple[str, int, tuple[str | None, str | None], ssl.SSLContext | None]:
    if url is None:
        raise Wrong("--broker", "required, as in --broker mqtt://127.0.0.1:1883")
    try:
        host, port, user, password = parse_broker(url, ("mqtt", "tcp", "mqtts"))
    except ValueError as error:
        raise Wrong("--broker", str(error)) from None
    if ca is not None and not url.startswith("mqtts:"):
        raise Wrong("--ca", "is for mqtts:// alone")
    try:
        tls = ssl.create_default_context(cafile=ca) if url.startswith("mqtts:") else None
    except ssl.SSLError as error:
        raise Wrong("--ca", f"{ca}: no PEM certificates: {error.reason or error}") from None
    except OSError as error:
        raise Wrong("--ca", f"{ca}: {error.strerror or error}") from None
    return host, port, (user, password), tls


def _names(given: Sequence[str]) -> dict[str, str]:
    names = {}
    for entry in given:
        old, _, new = entry.partition("=")
        if not old or not new or not _level(new):
            raise Wrong("--map", f"{entry!r}: give OLD=NEW, without /, + and #")
        names[old] = new
    return names


def _level(name: str) -> bool:
    """Whether it may stand in a level of a topic."""
    return not any(sign in name for sign in "/+#\0")


def _secrets(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    found = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Wrong("--credentials", f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            row = msgspec.json.decode(line or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Wrong("--credentials", f"{path}:{number}: no JSON object: {error}") from None
        if "uid" in row and "secret" in row:
            found[str(row["uid"])] = str(row["secret"])
    if not found:
        raise Wrong("--credentials", f"{path} names no device")
    return found


def _text(error: Exception, file: Path) -> str:
    return f"{file}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
