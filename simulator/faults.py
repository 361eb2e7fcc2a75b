"""What a device does wrong on purpose, and which devices of a fleet do it.

SPEC is a comma list: `silent=1`, `silent=10%`, `offline=2`, `reject=5%`, `garbage=1`, `late=1`, `slow=3` (every device, by 3
seconds), `slow=3@10%`. A share is a count, or a percentage of the fleet; without one the whole fleet is meant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

LATE_FACTOR = 1.2
"""A late answer comes when this many times its command's own timeout has passed."""


class Behaviour(NamedTuple):
    """How a device meets commands.

    silent: takes no notice of them. offline: has no connection. slow_s: answers after so many seconds. reject: answers 400
    without doing anything. garbage: does what it is told and answers broken JSON. late: answers after the command's timeout.
    """

    silent: bool = False
    offline: bool = False
    reject: bool = False
    garbage: bool = False
    late: bool = False
    slow_s: float = 0.0


HONEST = Behaviour()


class Fault(NamedTuple):
    """One entry of a SPEC: `share` of the fleet (a fraction) or `number` devices behave like `behaviour`."""

    name: str
    behaviour: Behaviour
    number: int | None = None
    share: float = 1.0

    def devices(self, total: int) -> int:
        """How many of `total` devices; a share above 0 is at least one device."""
        if self.number is not None:
            return self.number
        return min(total, math.ceil(self.share * total))


def parse_faults(spec: str) -> tuple[Fault, ...]:
    """The faults of a SPEC; ValueError says which entry is wrong and what would be right."""
    return tuple(_parse(entry.strip()) for entry in spec.split(",") if entry.strip())


def assign(faults: Sequence[Fault], total: int, seed: int) -> list[Behaviour]:
    """A behaviour for each of `total` devices, drawn by `seed`. Faults of a count or share take different devices, as long
    as there are honest ones left; one for the whole fleet comes on top of the others. ValueError when a count is too big."""
    order = list(range(total))
    Random(seed).shuffle(order)  # noqa: S311 - a simulation must repeat
    given = [HONEST] * total
    used = 0
    for fault in faults:
        wanted = fault.devices(total)
        if wanted > total:
            raise ValueError(f"{fault.name}={wanted}: the fleet has {total} devices")
        if wanted == total:
            chosen = order
        else:
            chosen = [order[(used + n) % total] for n in range(wanted)]
            used += wanted
        for n in chosen:
            given[n] = _both(given[n], fault.behaviour)
    return given


def spoil(payload: bytes) -> bytes:
    """A payload as broken JSON."""
    return payload[: max(1, len(payload) * 2 // 3)] + b"\xff"


def _both(a: Behaviour, b: Behaviour) -> Behaviour:
    return Behaviour(
        a.silent or b.silent,
        a.offline or b.offline,
        a.reject or b.reject,
        a.garbage or b.garbage,
        a.late or b.late,
        max(a.slow_s, b.slow_s),
    )


def _parse(entry: str) -> Fault:
    name, given, rest = entry.partition("=")
    if name == "slow":
        seconds, at, share = rest.partition("@")
        try:
            slow = float(seconds)
        except ValueError:
            slow = -1.0
        if not 0 < slow < math.inf:
            raise ValueError(f"fault {entry!r}: give the seconds, as in slow=3 or slow=3@10%")
        return _share(entry, name, Behaviour(slow_s=slow), share if at else "100%")
    if name not in _SWITCHES:
        raise ValueError(f"fault {entry!r}: the faults are {', '.join((*_SWITCHES, 'slow'))}")
    return _share(entry, name, Behaviour(**{name: True}), rest if given else "100%")


def _share(entry: str, name: str, behaviour: Behaviour, text: str) -> Fault:
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100.0
            if 0.0 <= share <= 1.0:
                return Fault(name, behaviour, None, share)
        elif int(text) >= 0:
            return Fault(name, behaviour, int(text))
    except ValueError:
        pass
    raise ValueError(f"fault {entry!r}: {text!r} is no count and no percentage from 0% to 100%")


_SWITCHES = ("silent", "offline", "reject", "garbage", "late")
