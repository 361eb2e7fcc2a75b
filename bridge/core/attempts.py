"""Logins that fail: who guesses has to wait, longer each time. No clock of its own but the one it is given, no I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal, NamedTuple, TypeVar

from bridge.core.peer import LOCAL_SOCKET, is_local, place

WINDOW_S: Final = 60.0
"""Failures are counted within this time of the first."""
CALM_S: Final = 3_600.0
"""After as long without a new ban the next one is a first one."""
REMEMBERED: Final = 20_000
"""Pairs, addresses and good logins remembered, each; the oldest go first. Some 20 MiB when all are full of long names."""
NAME: Final = 128
"""Characters of a name that are told apart: ours have no more, and who guesses could send 64 KiB."""
PER_ADDRESS: Final = 100
PER_ADDRESS_LOCAL: Final = 1_000
"""Behind the loopback address of a box stand all its programs, or the whole world behind a reverse proxy."""

Scope = Literal["", "user", "address"]
_K = TypeVar("_K", str, tuple[str, str])


class AttemptLimits(NamedTuple):
    """Bounds of failures within WINDOW_S, and how long a ban is. 0 for `per_address` means PER_ADDRESS, or PER_ADDRESS_LOCAL
    for who comes from this machine."""

    per_user: int = 5
    per_address: int = 0
    ban_s: float = 10.0
    ban_max_s: float = 900.0


class _Tally:
    """Failures of one pair or address."""

    __slots__ = ("bans", "count", "since", "until")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.bans = 0
        self.since = now
        self.until = 0.0

    def fail(self, now: float, most: int, limits: AttemptLimits) -> bool:
        """Count a failure; whether it begins a ban. What was under way when one began does not lengthen it."""
        if self.until > now:
            return False
        if self.bans and now - self.until > CALM_S:
            self.bans = 0
        if now - self.since > WINDOW_S:
            self.count, self.since = 0, now
        self.count += 1
        if self.count < most:
            return False
        self.until = now + min(limits.ban_max_s, limits.ban_s * 2.0 ** min(self.bans, 30))
        self.bans += 1
        self.count, self.since = 0, self.until
        return True


class Attempts:
    """Failed logins by (address, user name) and by address.

    Who has logged in from an address before is not kept out by what others do there: a hundred sites behind one NAT
    must not suffer for one wrong secret.
    """

    def __init__(self, limits: AttemptLimits | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits or AttemptLimits()
        self._clock = clock
        self._pairs: OrderedDict[tuple[str, str], _Tally] = OrderedDict()
        self._places: OrderedDict[str, _Tally] = OrderedDict()
        self._good: OrderedDict[tuple[str, str], None] = OrderedDict()

    def banned(self, host: str, name: str | None) -> Scope:
        """Why `name` (None: a key without a name) may not try from `host` at the moment, or ""."""
        now, at = self._clock(), place(host)
        if name is not None:
            key = (at, name[:NAME])
            pair = self._pairs.get(key)
            if pair is not None and pair.until > now:
                return "user"
            if key in self._good:
                return ""
        tally = self._places.get(at)
        return "address" if tally is not None and tally.until > now else ""

    def failed(self, host: str, name: str | None) -> Scope:
        """Count a failure; the scope whose ban it begins, or ""."""
        now, at, begun = self._clock(), place(host), False
        if name is not None:
            begun = _tally(self._pairs, (at, name[:NAME]), now).fail(now, self._limits.per_user, self._limits)
        if at != LOCAL_SOCKET:
            most = self._limits.per_address or (PER_ADDRESS_LOCAL if is_local(host) else PER_ADDRESS)
            if _tally(self._places, at, now).fail(now, most, self._limits):
                return "address"
        return "user" if begun else ""

    def succeeded(self, host: str, name: str) -> None:
        """A login: earlier failures of the pair are forgotten."""
        pair = (place(host), name[:NAME])
        self._pairs.pop(pair, None)
        self._good[pair] = None
        self._good.move_to_end(pair)
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)

    def credentials_changed(self) -> None:
        """Somebody has got a new secret: who failed with the old one may try at once."""
        self._pairs.clear()


def _tally(kept: OrderedDict[_K, _Tally], key: _K, now: float) -> _Tally:
    tally = kept.get(key)
    if tally is None:
        tally = kept[key] = _Tally(now)
        if len(kept) > REMEMBERED:
            kept.popitem(last=False)
    else:
        kept.move_to_end(key)
    return tally
