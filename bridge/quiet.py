"""Log lines about what strangers cause: one at once, the rest as a number. A flood of refusals must not fill a disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Final

EVERY_S: Final = 60.0
"""Between two lines of one sort."""


class Quiet:
    """Warnings of a few sorts, each at most once in EVERY_S."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._clock = clock
        self._sorts: dict[str, list[float]] = {}

    def warn(self, sort: str, text: str, *values: object) -> None:
        """Log `text % values`, or count it when a line of this sort was written within EVERY_S."""
        now = self._clock()
        seen = self._sorts.get(sort)
        if seen is not None and now - seen[0] >= EVERY_S:
            self._due(sort, seen[0], seen[1], now)
            seen = self._sorts.get(sort)
        if seen is None:
            self._sorts[sort] = [now, 0]
            self._log.warning(text, *values)
        else:
            seen[1] += 1

    def tell(self) -> None:
        """Write the numbers that are due. Call it every few seconds; without, they come with the next warning of their sort."""
        now = self._clock()
        for sort, (since, more) in tuple(self._sorts.items()):
            if now - since >= EVERY_S:
                self._due(sort, since, more, now)

    def _due(self, sort: str, since: float, more: float, now: float) -> None:
        if more:
            self._sorts[sort] = [now, 0]
            self._log.warning("%s: %d more in the last %d s", sort, more, round(now - since))
        else:
            del self._sorts[sort]
