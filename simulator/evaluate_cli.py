"""`ems-sim evaluate`: a strategy on a simulated site, as tables, JSON and a plot."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from schemas.errors import Invalid
from simulator.evaluate import MAX_DAYS, Evaluation, Series, evaluate, peak_of
from simulator.options import Wrong
from simulator.site_file import SiteFile, parse_site

FORMATS = (".png", ".svg")
MAX_BYTES = 4 << 20

_ROWS: tuple[tuple[str, str, int], ...] = (
    ("imported_kwh", "imported, kWh", 0),
    ("exported_kwh", "fed back, kWh", 0),
    ("load_kwh", "load, kWh", 0),
    ("pv_kwh", "PV, kWh", 0),
    ("curtailed_kwh", "PV given up, kWh", 0),
    ("over_limit", "quarter hours over limit", 0),
    ("self_consumption", "self-consumption", 3),
    ("self_sufficiency", "self-sufficiency", 3),
    ("charged_kwh", "charged, kWh", 0),
    ("discharged_kwh", "discharged, kWh", 0),
    ("full_cycles", "full cycles", 1),
    ("soc_end", "state of charge, end", 3),
    ("soh_end", "state of health", 4),
    ("energy_cost", "energy", 2),
    ("demand_cost", "demand", 2),
    ("export_revenue", "fed back", 2),
    ("cost", "cost", 2),
)
_MONEY = frozenset({"energy_cost", "demand_cost", "export_revenue", "cost"})


@click.command("evaluate")
@click.argument("strategy", metavar="STRATEGY.json")
@click.option("--site", type=click.Path(path_type=Path), metavar="FILE", help="SITE.toml; without it a site of 300 kW.")
@click.option("--days", type=int, default=30, show_default=True, metavar="N", help="How many days.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw both runs: FILE.png or FILE.svg.")
def evaluate_command(strategy: str, site: Path | None, days: int, as_json: bool, plot: Path | None) -> None:
    """Run a simulated site with a strategy and without it.

    STRATEGY.json (- is stdin) holds a command's data, {"feature", "action", "data"}, or a list of them.
    """
    if not 1 <= days <= MAX_DAYS:
        raise Wrong("--days", f"{days} is not 1 to {MAX_DAYS}")
    if plot is not None:
        _can_plot(plot)
    wanted, here = _strategy(strategy), SiteFile() if site is None else _site(site)
    seen: list[Series] = []
    try:
        found = evaluate(wanted, here, days, watch=lambda with_it, without: seen.extend((with_it, without)))
    except Invalid as wrong:
        raise Wrong(strategy, str(wrong)) from None
    if plot is not None:
        _draw(plot, found, seen, here)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        tables(found, Console(file=sys.stdout))


def tables(found: Evaluation, console: Console) -> None:
    """What was found, for a reader."""
    a, b = found.without_strategy, found.with_strategy
    commands = ", ".join(found.commands)
    outer = _table(f"{found.days} days from {found.start}, seed {found.seed}: {commands}", "")
    for name, label, digits in _ROWS:
        unit = f" ({found.currency})" if name in _MONEY else ""
        _row(outer, label + unit, getattr(a, name), getattr(b, name), digits)
    console.print(outer)
    peaks = _table("Highest quarter hour, kW", "month")
    for before, after in zip(a.months, b.months, strict=True):
        _row(peaks, before.month, before.peak_kw, after.peak_kw, 1)
    _row(peaks, "all", peak_of(a), peak_of(b), 1)
    console.print(peaks)


def _table(title: str, first: str) -> Table:
    made = Table(title=title, title_justify="left")
    made.add_column(first)
    for name in ("without", "with", "change"):
        made.add_column(name, justify="right")
    return made


def _row(table: Table, label: str, before: float, after: float, digits: int) -> None:
    change = round(after - before, digits)
    table.add_row(label, f"{before:,.{digits}f}", f"{after:,.{digits}f}", f"{change:+,.{digits}f}" if change else "–")


def _strategy(name: str) -> Any:
    try:
        return json.loads(_text(name))
    except OSError as error:
        raise Wrong(name, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise Wrong(name, f"not UTF-8: {error.reason} at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise Wrong(name, f"no JSON: {error}") from None


def _text(name: str) -> str:
    """What a file holds (`-`: stdin). Raises OSError, ValueError."""
    if name == "-":
        text = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with Path(name).open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
    return text.decode("utf-8-sig")


def _site(path: Path) -> SiteFile:
    try:
        return parse_site(_text(str(path)))
    except OSError as error:
        raise Wrong("--site", f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Wrong("--site", f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    except (Invalid, ValueError) as wrong:
        raise Wrong("--site", f"{path}: {wrong}") from None


def _can_plot(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise Wrong("--plot", f"{path} ends neither in {' nor in '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise Wrong("--plot", f"{path.parent} is no directory")
    if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise Wrong("--plot", f"{path} cannot be written")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise Wrong("--plot", "needs matplotlib: pip install 'ems-bridge[plot]'") from None


def _draw(path: Path, found: Evaluation, seen: list[Series], site: SiteFile) -> None:
    from simulator.plot import draw

    try:
        draw(path, found, seen[0], seen[1], site)
    except OSError as error:
        raise Wrong("--plot", f"{path}: {error.strerror}") from None
