"""Statistics of runs, and the table of what must be reached (PERFORMANCE.md)."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import NamedTuple


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed; 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[max(0, ceil(len(values) * share) - 1)]


def middle(values: Sequence[float | None]) -> float | None:
    """The median of what is there; None of nothing."""
    there = [value for value in values if value is not None]
    return median(there) if there else None


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """The median of the quotients of runs that stood side by side; None when no pair is whole."""
    return middle([a / b if a is not None and b else None for a, b in zip(ours, theirs, strict=False)])


class Bound(NamedTuple):
    """A figure that must be reached, and the goal behind it. `most`: smaller is better."""

    text: str
    must: float
    goal: float
    unit: str = "×"
    most: bool = False

    def verdict(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        reached = value <= self.must if self.most else value >= self.must
        further = value <= self.goal if self.most else value >= self.goal
        return "goal" if further and reached else "OK" if reached else "MISSED"

    def line(self, value: float | None) -> str:
        shown = "–" if value is None else f"{number(value)} {self.unit}"
        sign = "≤" if self.most else "≥"
        return (
            f"{self.text:<74}{shown:>14}   must {sign} {number(self.must)}, goal {number(self.goal)}"
            f"   {self.verdict(value)}"
        )


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    lines = []
    for first, *others in (head, *rows):
        cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join((f"{first:<{widths[0]}}", *cells)))
    return "\n".join(lines)
