"""Plain counters for hot paths; the window renders them as Prometheus text.

A counter is a dict slot: adding costs one hash. `gauge` registers a callable that is read at scrape time.
Names are Prometheus names without the `_total` suffix; labels are a tuple of (name, value) pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

Labels = tuple[tuple[str, str], ...]


class Counts:
    """Counters and gauges of one process."""

    __slots__ = ("gauges", "help", "values")

    def __init__(self) -> None:
        self.values: defaultdict[tuple[str, Labels], float] = defaultdict(float)
        self.gauges: dict[tuple[str, Labels], Callable[[], float]] = {}
        self.help: dict[str, str] = {}

    def add(self, name: str, labels: Labels = (), amount: float = 1) -> None:
        """Add `amount` to counter `name` with `labels`."""
        self.values[name, labels] += amount

    def gauge(self, name: str, read: Callable[[], float], labels: Labels = (), text: str = "") -> None:
        """Register a value that is read when somebody asks."""
        self.gauges[name, labels] = read
        if text:
            self.help[name] = text

    def describe(self, name: str, text: str) -> None:
        """Give `name` its help line."""
        self.help[name] = text

    def value(self, name: str, labels: Labels = ()) -> float:
        """The counter's present value; 0 when it was never added to."""
        return self.values.get((name, labels), 0)
