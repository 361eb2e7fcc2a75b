"""How fast one client may publish: a token bucket of publishes and one of bytes, refilled by time.

Who is too fast is not read until the buckets have refilled: TCP slows it down, nothing is lost. Who stays too fast is
disconnected. Acknowledgements cost nothing: we ask for them.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from bridge.broker.limits import Limits

BURST_S: Final = 2.0
"""A bucket holds what its rate gives in so long: a device that comes back sends what it has kept."""


class Pace:
    """The buckets of one connection."""

    __slots__ = ("_at", "_bytes", "_packets", "_since")

    def __init__(self, limits: Limits) -> None:
        self._packets = limits.publish_rate * BURST_S
        self._bytes = limits.publish_bytes_rate * BURST_S
        self._at = monotonic()
        self._since = 0.0

    def spend(self, packets: int, size: int, limits: Limits) -> float:
        """Take publishes and their bytes; gives the seconds that the client is not to be read now, mostly 0. Negative: it has
        been too fast for `limits.throttle_s` without a pause."""
        if self._packets >= packets and self._bytes >= size:
            self._packets -= packets
            self._bytes -= size
            return 0.0
        now = monotonic()
        past, self._at = now - self._at, now
        had = min(self._packets + past * limits.publish_rate, limits.publish_rate * BURST_S)
        had_bytes = min(self._bytes + past * limits.publish_bytes_rate, limits.publish_bytes_rate * BURST_S)
        if min(had / limits.publish_rate, had_bytes / limits.publish_bytes_rate) > BURST_S / 2:
            self._since = 0.0
        self._packets, self._bytes = had - packets, had_bytes - size
        wait = max(-self._packets / limits.publish_rate, -self._bytes / limits.publish_bytes_rate)
        if wait <= 0:
            return 0.0
        self._since = self._since or now
        return wait if now - self._since <= limits.throttle_s else -1.0
