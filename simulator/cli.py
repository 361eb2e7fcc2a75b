"""`ems-sim`: a simulated fleet from the command line (PRODUCT.md §2)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.live import Live

from simulator.descriptors import make_room
from simulator.evaluate_cli import evaluate_command
from simulator.options import Given, Options, Wrong, options
from simulator.orders import Orders
from simulator.run import Outcome, Run
from simulator.tapes import record, replay
from simulator.view import View, address

T = TypeVar("T")

PROGRESS_S = 0.5
SILENCE_S = 3.0
"""Without a live view: how long nobody is told that nothing is connected."""
EXIT_WRONG = 2
EXIT_NEVER_CONNECTED = EXIT_FAILED = 1


@click.group(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """Simulated energy-management devices, for a broker to serve."""


@app.command()
@click.option("--broker", metavar="URL", help="mqtt://HOST:PORT, or mqtt://USER:PASSWORD@HOST:PORT for all devices.")
@click.option("--devices", type=int, metavar="N", help="How many devices.")
@click.option("--scheme", metavar="LIST", help="Topic schemes, the fleet is split over them: wudun,user. [wudun]")
@click.option("--version", metavar="LIST", help="Forms of report/regular: v1, v2, emu. [v2]")
@click.option("--interval", type=float, metavar="S", help="Seconds between two reports, in simulated time. [60]")
@click.option("--scenario", type=click.Path(path_type=Path), metavar="FILE", help="TOML file with the same options.")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same fleet. [1]")
@click.option("--faults", metavar="SPEC", help="silent=1, offline=10%, reject=…, garbage=…, late=…, slow=S[@SHARE].")
@click.option("--time-scale", type=float, metavar="X", help="Simulated time runs X times as fast, up to 1000. [1]")
@click.option("--duration", type=float, metavar="S", help="Stop after so many seconds of real time.")
@click.option("--credentials", metavar="FILE", help='JSON lines {"uid", "secret", "product_key", "tenant"}.')
@click.option("--prefix", metavar="TOPIC", help="A custom topic prefix before the device, instead of a scheme's.")
@click.option("--product-key", metavar="KEY", help="Owner of wudun devices without credentials. [PK1]")
@click.option("--tenant", metavar="NAME", help="Owner of user devices without credentials. [T1]")
@click.option("--ramp", type=float, metavar="N", help="Connections opened in a second. [200]")
@click.option("--keep-alive", type=int, metavar="S", help="MQTT keep-alive. [60]")
@click.option(
    "--dialect", metavar="NAME", help="plain, or vendor-docs: messages with the documents' contradictions. [plain]"
)
@click.option("--control", type=click.Path(path_type=Path), metavar="FILE", help="Obey the lines written to this file.")
def run(scenario: Path | None, control: Path | None, **given: Any) -> None:
    """Run a fleet; its summary is one line of JSON on stdout (states: at the end of the run, before leaving)."""
    asked = options(Given(**given), scenario)
    if control is not None:
        _can_obey(control)
    if trouble := make_room(len(asked.specs)):
        raise Wrong("--devices", trouble)
    with contextlib.ExitStack() as stack:
        outcome = _run(_fleet(asked, None if control is None else stack.enter_context(_orders(control))))
    click.echo(outcome.json().decode())
    summary = outcome.summary
    for wrong in outcome.failed:
        click.echo(f"ems-sim: expected {wrong} (seed {asked.seed})", err=True)
    if outcome.failed:
        raise SystemExit(EXIT_FAILED)
    if not summary.connects:
        click.echo(
            f"ems-sim: no device was ever connected to {address(asked)}: {summary.last_problem or 'no answer'}",
            err=True,
        )
        raise SystemExit(EXIT_NEVER_CONNECTED)


app.add_command(record)
app.add_command(replay)
app.add_command(evaluate_command)


def main() -> None:
    """Entry point. A mistake of the user is one line on stderr and exit code 2."""
    try:
        app(prog_name="ems-sim", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        click.echo(help_wanted.format_message(), err=True)
        sys.exit(EXIT_WRONG)
    except click.ClickException as error:
        click.echo(f"ems-sim: {error.format_message()}", err=True)
        sys.exit(EXIT_WRONG)
    except Wrong as error:
        click.echo(f"ems-sim: {error}", err=True)
        sys.exit(EXIT_WRONG)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:  # stdout takes no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"ems-sim: {error.strerror or error}", err=True)
        sys.exit(EXIT_FAILED)


def _can_obey(path: Path) -> None:
    try:
        with path.open("a+b"):
            pass
    except OSError as error:
        raise Wrong("--control", f"{path}: {error.strerror}") from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return asyncio.run(work)
    return uvloop.run(work)


@contextlib.contextmanager
def _orders(path: Path) -> Iterator[Orders]:
    try:
        orders = Orders(path)
    except OSError as error:
        raise Wrong("--control", f"{path}: {error.strerror}") from None
    try:
        yield orders
    finally:
        orders.close()


async def _fleet(asked: Options, control: Orders | None) -> Outcome:
    console = Console(stderr=True)
    run = Run(asked, lambda line: console.print(f"ems-sim: {line}", markup=False, highlight=False, soft_wrap=True))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, run.stop.set)
    async with run.going():
        playing = asyncio.create_task(run.play())
        obeying = [asyncio.create_task(run.control(control))] if control is not None else []
        await _watch(run, asked, console, playing)
        if not run.stop.is_set():
            await playing
        before = run.outcome()
        run.stop.set()
        await asyncio.gather(playing, *obeying)
    left = {name: getattr(before.summary, name) for name in ("online", "connecting", "offline")}
    return run.outcome(msgspec.structs.replace(run.fleet.summary(), **left))


async def _watch(run: Run, asked: Options, console: Console, playing: asyncio.Task[None]) -> None:
    """Until the end of the run or a signal; with a live view where stderr is a terminal, as long as commands get for their
    outcomes."""
    if not console.is_terminal:
        await _watch_blind(run, asked)
        return
    loop = asyncio.get_running_loop()
    end = None if asked.duration_s is None else loop.time() + asked.duration_s
    view = View(run)
    with Live(view.table(), console=console, auto_refresh=False, transient=True) as live:
        while not run.stop.is_set() and (end is None or (left := end - loop.time()) > 0 or not playing.done()):
            await _sleep(run.stop, PROGRESS_S if end is None or left <= 0 else min(PROGRESS_S, left))
            live.update(view.table(), refresh=True)


async def _watch_blind(run: Run, asked: Options) -> None:
    """The same where nobody looks: one line when nothing is connected after a while."""
    first = SILENCE_S if asked.duration_s is None else min(SILENCE_S, asked.duration_s)
    await _sleep(run.stop, first)
    summary = run.fleet.summary()
    if not summary.connects and summary.last_problem and asked.duration_s != first and not run.stop.is_set():
        click.echo(f"ems-sim: nothing is connected to {address(asked)} yet: {summary.last_problem}", err=True)
    await _sleep(run.stop, None if asked.duration_s is None else asked.duration_s - first)


async def _sleep(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
