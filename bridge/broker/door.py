"""What is asked of a client before its first byte: how many come from where, and how fast."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from bridge.core.crowd import Crowd
from bridge.core.peer import LOCAL_SOCKET, is_local, place

SHARE: Final = 5
"""One address may hold a fifth of all connections: no single one fills the house, and 2,000 devices of 10,000 may share a NAT."""
PER_ADDRESS_RATE: Final = 100.0
BURST_S: Final = 2.0
"""A bucket holds what comes in so many seconds: after an outage everybody comes at once."""
HANDSHAKES: Final = 400
"""TLS handshakes of one address at once, a fifth of what there is room for: no single one holds up those of the others."""
BUCKETS: Final = 20_000
"""Addresses whose rate is remembered; the oldest go first, and would be full again by then."""


class DoorLimits(NamedTuple):
    """0 for a bound per address is the automatic one: of strangers `max_connections` / SHARE connections, PER_ADDRESS_RATE a
    second and as many at once; of this machine itself, whose programs are the operator's own, no bound but the ones for all.
    0 for `rate` is none."""

    max_connections: int = 10_000
    per_address: int = 0
    rate: float = 10_000.0
    rate_per_address: float = 0.0


class Bucket:
    """A token bucket."""

    __slots__ = ("_left", "_rate", "_seen", "_size")

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate = rate
        self._size = self._left = max(1.0, size)
        self._seen = now

    def take(self, now: float) -> bool:
        """Whether one more may pass."""
        self._left = min(self._size, self._left + (now - self._seen) * self._rate)
        self._seen = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Door:
    """Counts who is inside, by address. UNIX sockets have none: file permissions bound them."""

    def __init__(self, limits: DoorLimits | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits or DoorLimits()
        self._clock = clock
        self._inside = Crowd()
        self._shaking = Crowd()
        self._all = Bucket(self._limits.rate, self._limits.rate * BURST_S, clock())
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def knock(self, host: str) -> str:
        """Why nobody may come in from `host` just now, or "". Each call is one arrival."""
        now = self._clock()
        refused = self.full(host)
        if not refused and host != LOCAL_SOCKET:
            rate = self._limits.rate_per_address or (0.0 if is_local(host) else PER_ADDRESS_RATE)
            if rate and not self._bucket(place(host), rate, now).take(now):
                refused = "connect_rate_per_address"
        # last of all: who is refused for his own sake takes nothing from what all share
        if not refused and self._limits.rate and not self._all.take(now):
            return "connect_rate"
        return refused

    def full(self, host: str) -> str:
        """The part of `knock` that counts who is inside."""
        limits = self._limits
        if host == LOCAL_SOCKET:
            return ""
        most = limits.per_address or (0 if is_local(host) else max(1, limits.max_connections // SHARE))
        return "connections_per_address" if most and self._inside.of(host) >= most else ""

    def enter(self, host: str) -> None:
        """One more from `host` is inside."""
        self._inside.enter(host)

    def leave(self, host: str) -> None:
        """One of those has gone."""
        self._inside.leave(host)

    def shake(self, host: str) -> str:
        """Why no TLS handshake may begin with `host` just now; "" when one has begun, which `shaken` ends."""
        if not is_local(host) and self._shaking.of(host) >= HANDSHAKES:
            return "handshakes_per_address"
        self._shaking.enter(host)
        return ""

    def shaken(self, host: str) -> None:
        """A handshake has ended, well or not."""
        self._shaking.leave(host)

    def _bucket(self, at: str, rate: float, now: float) -> Bucket:
        bucket = self._buckets.get(at)
        if bucket is None:
            burst = rate * BURST_S if self._limits.rate_per_address else self._limits.max_connections / SHARE
            bucket = self._buckets[at] = Bucket(rate, burst, now)
            if len(self._buckets) > BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(at)
        return bucket
