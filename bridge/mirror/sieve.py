"""What a sink wants of an outbox line: shell patterns, and at most one reading in so many seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Final

import msgspec

from bridge.mirror.rows import parts
from bridge.mirror.sink import Filter
from bridge.store.outbox import OutboxLine

KNOWN: Final = 50_000
"""Names whose answer is remembered."""
INTERVALS: Final = 500_000
"""Points of assets whose last interval is remembered: 25,000 assets with 20 points each, in some 100 MB."""

Owners = Callable[[str], tuple[str, ...]]
Seen = dict[tuple[str, str], int]
_encode = msgspec.json.Encoder().encode


class Sieve:
    """`pass_on` lets lines through as far as they are wanted. What it has seen of intervals counts from `keep` on: the same
    lines may be asked about several times before they are sent."""

    def __init__(self, wanted: Filter, owners: Owners) -> None:
        self._devices, self._owners = _pattern(wanted.devices), _pattern(wanted.owners)
        self._assets, self._points = _Names(wanted.assets), _Names(wanted.points)
        self._inside = bool(wanted.assets or wanted.points or wanted.min_interval_s)
        self._interval_ms = int(wanted.min_interval_s * 1000)
        self._owners_of = owners
        self._last: Seen = {}

    def pass_on(self, line: OutboxLine, seen: Seen, news: Seen) -> OutboxLine | None:
        """The line with what is wanted of it; None when that is nothing. `seen` are intervals of lines before it, `news`
        gathers its own."""
        if self._devices is not None and not self._devices(line.device):
            return None
        if self._owners is not None and not any(map(self._owners, self._owners_of(line.device))):
            return None
        if not self._inside:
            return line
        samples = []
        for asset, at, values in parts(line.samples):
            if self._assets.has(asset):
                kept = {point: value for point, value in values.items() if self._takes(asset, point, at, seen, news)}
                if kept:
                    samples.append((asset, at, kept))
        return line._replace(samples=_encode(samples).decode()) if samples else None

    def keep(self, seen: Seen) -> None:
        """These intervals have been sent from."""
        if len(self._last) > INTERVALS:
            self._last.clear()
        self._last.update(seen)

    def _takes(self, asset: str, point: str, at: int, seen: Seen, news: Seen) -> bool:
        if not self._points.has(point):
            return False
        if not self._interval_ms:
            return True
        interval, name = at // self._interval_ms, (asset, point)
        if interval in (news.get(name), seen.get(name), self._last.get(name)):
            return False
        news[name] = interval
        return True


class _Names:
    """Patterns with their answers so far."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._match = _pattern(patterns)
        self._answers: dict[str, bool] = {}

    def has(self, name: str) -> bool:
        if self._match is None:
            return True
        answer = self._answers.get(name)
        if answer is None:
            if len(self._answers) > KNOWN:
                self._answers.clear()
            answer = self._answers[name] = self._match(name)
        return answer


def _pattern(patterns: Iterable[str]) -> Callable[[str], bool] | None:
    """Whether a name matches any of them; None for no patterns."""
    text = "|".join(translate(pattern) for pattern in patterns)
    if not text:
        return None
    match = re.compile(text).match
    return lambda name: match(name) is not None


def sieve_of(wanted: Filter, owners: Owners) -> Sieve | None:
    """None for a sink that wants everything."""
    return Sieve(wanted, owners) if wanted != Filter() else None
