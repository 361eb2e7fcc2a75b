"""An evaluation as a picture: the gateway over a week, the storage, peaks by month, cost. Needs matplotlib (the extra `plot`).

Without the strategy is a broad light line and a hatched bar, with it a narrow dark line and a full bar: they are told apart in
grey, and where one covers the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulator.evaluate import Evaluation, Series
from simulator.site_file import SiteFile

_DAY = 96
_SHOWN_DAYS = 7
_SAME_KW = 0.05
_MOST_NAMES = 15
"""Of months along an axis."""
_LONG, _LEGIBLE = 1e5, 1e6
"""Figures from here on must be small to stand above their bars; are too long for them."""
_LONGEST = 90
"""Letters of the title."""
_WITHOUT, _WITH, _SUN, _LOAD, _LIMIT = "#b0b0b0", "#1a4f8a", "#f2d27a", "#555555", "#b3261e"
_BEFORE = {"color": _WITHOUT, "linewidth": 3.0, "solid_capstyle": "butt"}
_AFTER = {"color": _WITH, "linewidth": 1.2}


def draw(path: Path, found: Evaluation, with_it: Series, without: Series, site: SiteFile) -> None:
    """Write the picture, PNG or SVG by the name. Raise OSError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 9.5), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(3.2, 1.8, 2.0))
    first, apart = _week(with_it, without)
    shown = slice(first, first + _SHOWN_DAYS * _DAY)
    begin = datetime.fromtimestamp(with_it.start_s + site.place.utc_offset_h * 3600.0, UTC) + timedelta(
        minutes=15 * first
    )
    edges = [begin + timedelta(minutes=15 * n) for n in range(len(with_it.gateway_kw[shown]) + 1)]
    top = figure.add_subplot(grid[0, :])
    _gateway(top, edges, with_it, without, shown)
    top.set_title(_title(edges, apart, found.days), loc="left", fontsize=10)
    below = figure.add_subplot(grid[1, :], sharex=top)
    _storage(below, edges, with_it, without, shown)
    below.set_xlabel(f"local time, {_zone(site.place.utc_offset_h)}", fontsize=9)
    _peaks(figure.add_subplot(grid[2, 0]), found)
    _costs(figure.add_subplot(grid[2, 1]), found)
    names = ", ".join(dict.fromkeys(found.commands))
    names = names if len(names) <= _LONGEST else f"{names[:_LONGEST]}…"
    days = "1 day" if found.days == 1 else f"{found.days} days"
    figure.suptitle(f"{names}\n{days} from {found.start}, seed {found.seed}", fontsize=12)
    svg = path.suffix.lower() == ".svg"
    figure.savefig(path, dpi=110, metadata={"Date": None} if svg else None)


def _week(one: Series, two: Series) -> tuple[int, bool]:
    """Where the days begin in which the gateway differs most, and whether it does."""
    days = len(one.gateway_kw) // _DAY
    apart = [
        math.fsum(abs(one.gateway_kw[n] - two.gateway_kw[n]) for n in range(day * _DAY, (day + 1) * _DAY))
        for day in range(days)
    ]
    starts = range(max(1, days - _SHOWN_DAYS + 1))
    first = max(starts, key=lambda day: math.fsum(apart[day : day + _SHOWN_DAYS]))
    return first * _DAY, max(apart) > _SAME_KW


def _title(edges: Sequence[datetime], apart: bool, all_days: int) -> str:
    last = edges[-1] - timedelta(minutes=1)
    days = f"{edges[0]:%Y-%m-%d}" + ("" if last.date() == edges[0].date() else f" to {last:%Y-%m-%d}")
    which = "no day differs; " if not apart else "the days that differ most; " if all_days > _SHOWN_DAYS else ""
    return f"Mean power of quarter hours, {days} ({which}below 0: fed back)"


def _zone(hours: float) -> str:
    minutes = round(abs(hours) * 60)
    return f"UTC{'-' if hours < 0 else '+'}{minutes // 60}:{minutes % 60:02d}"


def _gateway(axes: Any, edges: Sequence[datetime], with_it: Series, without: Series, shown: slice) -> None:
    axes.fill_between(edges, _steps(with_it.pv_kw[shown]), color=_SUN, linewidth=0, step="post", label="PV")
    axes.step(
        edges, _steps(with_it.load_kw[shown]), where="post", color=_LOAD, linewidth=0.9, linestyle=":", label="load"
    )
    highest = 0.0
    for series, name, style, color in ((without, "without", _BEFORE, "#707070"), (with_it, "with", _AFTER, _WITH)):
        axes.step(edges, _steps(series.gateway_kw[shown]), where="post", label=f"gateway {name}", **style)
        peak = max(series.gateway_kw[shown])
        axes.axhline(peak, color=color, linewidth=0.9, linestyle=(0, (1, 3)), label=f"highest {name}: {peak:,.1f} kW")
        highest = max(highest, peak)
    _limits(axes, edges, with_it, without, shown, highest)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylabel("kW")
    axes.margins(x=0, y=0.08)
    axes.tick_params(labelbottom=False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _steps(values: Sequence[float]) -> list[float]:
    """The last one holds until the end."""
    return [*values, values[-1]]


def _limits(
    axes: Any, edges: Sequence[datetime], with_it: Series, without: Series, shown: slice, highest: float
) -> None:
    """The limits that the strategy sets, where they are near what is drawn; those that it found, where they were reached."""
    sets = with_it.demand_limit_kw[shown] != without.demand_limit_kw[shown]
    near = highest * 2.0 if sets else highest + _SAME_KW
    demand = [kw if kw < near else math.nan for kw in with_it.demand_limit_kw[shown]]
    export = [-kw if math.isfinite(kw) else math.nan for kw in with_it.export_limit_kw[shown]]
    if not all(map(math.isnan, demand)):
        axes.step(
            edges, _steps(demand), where="post", color=_LIMIT, linewidth=1.0, linestyle="--", label="demand limit"
        )
    if not all(map(math.isnan, export)):
        axes.step(
            edges, _steps(export), where="post", color=_LIMIT, linewidth=1.0, linestyle="-.", label="limit fed back"
        )


def _storage(axes: Any, edges: Sequence[datetime], with_it: Series, without: Series, shown: slice) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter

    for series, name, style in ((without, "without", _BEFORE), (with_it, "with", _AFTER)):
        axes.plot(edges[1:], [100.0 * soc for soc in series.soc[shown]], label=name, **style)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 102)
    axes.set_ylabel("%")
    axes.set_title("State of charge", loc="left", fontsize=10)
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    several = edges[-1] - edges[0] > timedelta(days=2)
    form = DateFormatter("%a %m-%d" if several else "%H:%M", tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(form)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _peaks(axes: Any, found: Evaluation) -> None:
    without, with_it = found.without_strategy.months, found.with_strategy.months
    months = [month.month for month in without]
    _pairs(axes, months, [month.peak_kw for month in without], [month.peak_kw for month in with_it], "{:,.0f}")
    axes.set_ylabel("kW")
    axes.set_title("Highest quarter hour of each month", loc="left", fontsize=10)
    if len(months) > 6:
        every = math.ceil(len(months) / _MOST_NAMES)
        axes.set_xticks(list(range(0, len(months), every)), months[::every])
        axes.tick_params(axis="x", labelrotation=60, labelsize=8)


def _costs(axes: Any, found: Evaluation) -> None:
    a, b = found.without_strategy, found.with_strategy
    names = ("energy", "demand", "fed back", "cost")
    _pairs(
        axes,
        names,
        [a.energy_cost, a.demand_cost, -a.export_revenue, a.cost],
        [b.energy_cost, b.demand_cost, -b.export_revenue, b.cost],
        "{:,.0f}",
    )
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_ylabel(found.currency)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(f"Cost (change {b.cost - a.cost + 0.0:+,.2f} {found.currency})", loc="left", fontsize=10)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _pairs(axes: Any, names: Sequence[str], before: Sequence[float], after: Sequence[float], form: str) -> None:
    places = range(len(names))
    light = {"facecolor": "#dddddd", "edgecolor": "#707070", "linewidth": 0.6}
    bars = (
        axes.bar([n - 0.2 for n in places], before, 0.4, hatch="////", label="without", **light),
        axes.bar([n + 0.2 for n in places], after, 0.4, color=_WITH, label="with"),
    )
    highest = max(map(abs, (*before, *after)))
    if len(names) <= 4 and highest < _LEGIBLE:
        for each in bars:
            axes.bar_label(each, fmt=form, fontsize=7 if highest < _LONG else 5.5, padding=2)
        axes.margins(y=0.14)
    axes.set_xticks(list(places), list(names))
    axes.set_xlim(-0.6, max(len(names), 4) - 0.4)
