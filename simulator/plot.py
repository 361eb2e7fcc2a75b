"""An evaluation as a picture: the gateway over a week, the storage, peaks by month, cost. Needs matplotlib (the extra `plot`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulator.evaluate import Evaluation, Series
from simulator.site_file import SiteFile

_DAY = 96
_SHOWN_DAYS = 7
_WITHOUT, _WITH, _SUN, _LOAD = "#9a9a9a", "#1f6fb2", "#e0a100", "#555555"


def draw(path: Path, found: Evaluation, with_it: Series, without: Series, site: SiteFile) -> None:
    """Write the picture, PNG or SVG by the name. Raise OSError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 9.0), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(3.0, 2.0, 2.0))
    first = _week(with_it, without)
    shown = slice(first, first + _SHOWN_DAYS * _DAY)
    begin = datetime.fromtimestamp(with_it.start_s + site.place.utc_offset_h * 3600.0, UTC) + timedelta(
        minutes=15 * first
    )
    number = len(with_it.gateway_kw[shown])
    times = [begin + timedelta(minutes=15 * n) for n in range(number)]
    top = figure.add_subplot(grid[0, :])
    _gateway(top, times, with_it, without, shown)
    _storage(figure.add_subplot(grid[1, :], sharex=top), times, with_it, without, shown)
    _peaks(figure.add_subplot(grid[2, 0]), found)
    _costs(figure.add_subplot(grid[2, 1]), found)
    names = ", ".join(dict.fromkeys(found.commands))
    figure.suptitle(f"{names}: {found.days} days from {found.start}, seed {found.seed}")
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _week(one: Series, two: Series) -> int:
    """Where the days begin in which the gateway differs most."""
    days = len(one.gateway_kw) // _DAY
    apart = [
        sum(abs(one.gateway_kw[n] - two.gateway_kw[n]) for n in range(day * _DAY, (day + 1) * _DAY))
        for day in range(days)
    ]
    starts = range(max(1, days - _SHOWN_DAYS + 1))
    return max(starts, key=lambda day: sum(apart[day : day + _SHOWN_DAYS])) * _DAY


def _gateway(axes: Any, times: Sequence[datetime], with_it: Series, without: Series, shown: slice) -> None:
    axes.plot(times, with_it.load_kw[shown], color=_LOAD, linewidth=0.8, linestyle=":", label="load")
    axes.fill_between(times, with_it.pv_kw[shown], color=_SUN, alpha=0.25, linewidth=0, label="PV")
    axes.plot(times, without.gateway_kw[shown], color=_WITHOUT, linewidth=1.2, label="gateway without")
    axes.plot(times, with_it.gateway_kw[shown], color=_WITH, linewidth=1.4, label="gateway with")
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylabel("kW")
    axes.set_title("Power at the gateway in the days that differ most (negative: fed back)", loc="left", fontsize=10)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, fontsize=8, frameon=False)
    axes.margins(x=0)
    axes.tick_params(labelbottom=False)


def _storage(axes: Any, times: Sequence[datetime], with_it: Series, without: Series, shown: slice) -> None:
    from matplotlib.dates import ConciseDateFormatter

    axes.plot(times, [100.0 * soc for soc in without.soc[shown]], color=_WITHOUT, linewidth=1.2, label="without")
    axes.plot(times, [100.0 * soc for soc in with_it.soc[shown]], color=_WITH, linewidth=1.4, label="with")
    axes.set_ylim(0, 100)
    axes.set_ylabel("%")
    axes.set_title("State of charge", loc="left", fontsize=10)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
    axes.margins(x=0)


def _peaks(axes: Any, found: Evaluation) -> None:
    months = [month.month for month in found.without_strategy.months]
    _pairs(
        axes,
        months,
        [month.peak_kw for month in found.without_strategy.months],
        [month.peak_kw for month in found.with_strategy.months],
    )
    axes.set_ylabel("kW")
    axes.set_title("Highest quarter hour of each month", loc="left", fontsize=10)
    if len(months) > 6:
        axes.tick_params(axis="x", labelrotation=60, labelsize=8)


def _costs(axes: Any, found: Evaluation) -> None:
    a, b = found.without_strategy, found.with_strategy
    names = ("energy", "demand", "fed back", "cost")
    _pairs(
        axes,
        names,
        [a.energy_cost, a.demand_cost, -a.export_revenue, a.cost],
        [b.energy_cost, b.demand_cost, -b.export_revenue, b.cost],
    )
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylabel(found.currency)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("Cost", loc="left", fontsize=10)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8, frameon=False)


def _pairs(axes: Any, names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> None:
    places = range(len(names))
    axes.bar([n - 0.2 for n in places], before, 0.4, color=_WITHOUT, label="without")
    axes.bar([n + 0.2 for n in places], after, 0.4, color=_WITH, label="with")
    axes.set_xticks(list(places), list(names))
    axes.set_xlim(-0.6, max(len(names), 4) - 0.4)
