"""What a fleet counts: numbers and a latency distribution of fixed size."""

from __future__ import annotations

import math

import msgspec

_FIRST_S = 1e-5
_PER_DOUBLING = 8
_BUCKETS = 24 * _PER_DOUBLING


class Latency:
    """A distribution of durations in buckets that grow by 9 %: from 10 µs to 160 s in constant memory."""

    __slots__ = ("_buckets", "count")

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        place = int(math.log2(max(seconds, _FIRST_S) / _FIRST_S) * _PER_DOUBLING)
        self._buckets[min(place, _BUCKETS - 1)] += 1
        self.count += 1

    def quantile(self, share: float) -> float | None:
        """The duration in seconds that `share` of all stayed below (to 9 %); None when nothing was counted."""
        if not self.count:
            return None
        left = share * self.count
        for place, number in enumerate(self._buckets):
            left -= number
            if left <= 0 and number:
                return float(_FIRST_S * 2.0 ** ((place + 1) / _PER_DOUBLING))
        return float(_FIRST_S * 2.0 ** (_BUCKETS / _PER_DOUBLING))


class Busiest:
    """How many there were in the busiest second."""

    __slots__ = ("_count", "_second", "most")

    def __init__(self) -> None:
        self._second = self._count = self.most = 0

    def add(self, now: float) -> None:
        """One more, at this second."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        self.most = max(self.most, self._count)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet's counters at one moment. Messages are QoS 1; `dropped` never had a PUBACK when they were given up.

    `devices` = `online` + `connecting` (which should be online) + `offline` (which should not). `published` = `acked` +
    `dropped` + `pending`. `connects_max_per_s`: of the busiest second. `late_max_s`: how far behind its time a report or an
    answer was, at worst. Latencies are from first sending to PUBACK, milliseconds. `commands` counts what came, `answers` what
    was answered, redelivered commands included.
    """

    devices: int
    online: int
    connecting: int
    offline: int
    connects: int
    connects_max_per_s: int
    reconnects: int
    refused: int
    connect_failures: int
    published: int
    sent: int
    resent: int
    acked: int
    dropped: int
    pending: int
    late_max_s: float
    commands: int
    answers: int
    ack_p50_ms: float | None
    ack_p99_ms: float | None
    ack_max_ms: float
    seed: int
    seconds: float
    last_problem: str
