"""What a device does wrong on purpose, and which devices of a fleet do it.

SPEC is a comma list: `silent=1`, `silent=10%`, `offline=2`, `reject=5%`, `silent=EMS00001+EMS00007`; faults with a value have
their share behind it: `slow=3` (every device, by 3 seconds), `slow=3@10%`, `skew=-60@EMS00001`. A share is a count, a
percentage of the fleet, or uids; without one the whole fleet is meant. What is wrong with a site has the names of
`protection.FAULTS`: `smoke=2`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from random import Random
from typing import NamedTuple

from simulator import protection

LATE_FACTOR = 1.2
"""A late answer comes when this many times its command's own timeout has passed."""


class Behaviour(NamedTuple):
    """How a device meets commands, and what it makes of its messages and its connection.

    silent: takes no notice of commands. offline: has no connection. reject: answers 400 without doing anything. garbage: does
    what it is told and answers broken JSON. late: answers after the command's timeout. slow_s: answers after so many seconds.
    wrong_reply, no_reply: answers under another mid, under none. duplicate: sends everything twice. reorder: sends a message
    after the one that follows it. wrong_device: names another device. corrupt: sends broken JSON alone. wrong_units: measures
    in W, Wh and mV. half_open: neither reads nor writes, and does not hang up. flap_s: loses its connection every so many
    seconds. skew_s: its clock is wrong by so much. jump_s: its clock jumps by up to so much. huge_bytes: its messages are so
    much longer. power_cut_s: has no power for so many seconds, forgets what it was about to send, and starts anew. The others
    are faults of its site (`protection.FAULTS`): it behaves, and tells of them.
    """

    silent: bool = False
    offline: bool = False
    reject: bool = False
    garbage: bool = False
    late: bool = False
    slow_s: float = 0.0
    wrong_reply: bool = False
    no_reply: bool = False
    duplicate: bool = False
    reorder: bool = False
    wrong_device: bool = False
    corrupt: bool = False
    wrong_units: bool = False
    half_open: bool = False
    flap_s: float = 0.0
    skew_s: float = 0.0
    jump_s: float = 0.0
    huge_bytes: float = 0.0
    power_cut_s: float = 0.0
    smoke: bool = False
    flooding: bool = False
    cooling: bool = False
    meter: bool = False
    ground: bool = False
    hot_cell: bool = False
    weak_cell: bool = False

    @property
    def site(self) -> tuple[str, ...]:
        """The faults of its site."""
        return tuple(name for name in protection.FAULTS if getattr(self, name))

    def with_site(self, faults: Collection[str]) -> Behaviour:
        """The same with these faults of the site, and no others. ValueError for what is none."""
        protection.check(faults)
        return self._replace(**{name: name in faults for name in protection.FAULTS})

    def names(self) -> list[str]:
        """The faults that it has."""
        return [_NAMES[field] for field, value in self._asdict().items() if value]


HONEST = Behaviour()

VALUES = {
    "slow": "slow_s",
    "flap": "flap_s",
    "skew": "skew_s",
    "jump": "jump_s",
    "huge": "huge_bytes",
    "power_cut": "power_cut_s",
}
"""Faults that need a number: seconds, or bytes."""
SWITCHES = tuple(name for name in Behaviour._fields if name not in VALUES.values())
_NAMES = {name: name for name in SWITCHES} | {field: name for name, field in VALUES.items()}
_LONGEST_S = 1e9
_MOST = {"huge": 64 * 1024 * 1024}


class Fault(NamedTuple):
    """One entry of a SPEC: `share` of the fleet (a fraction), `number` devices, or those of `uids` behave like
    `behaviour`."""

    name: str
    behaviour: Behaviour
    number: int | None = None
    share: float = 1.0
    uids: tuple[str, ...] = ()

    def devices(self, total: int) -> int:
        """How many of `total` devices; a share above 0 is at least one device."""
        if self.number is not None:
            return self.number
        return min(total, math.ceil(self.share * total))


def parse_faults(spec: str) -> tuple[Fault, ...]:
    """The faults of a SPEC; ValueError says which entry is wrong and what would be right."""
    return tuple(_parse(entry.strip()) for entry in spec.split(",") if entry.strip())


def assign(faults: Sequence[Fault], total: int, seed: int, uids: Sequence[str] = ()) -> list[Behaviour]:
    """A behaviour for each of `total` devices, drawn by `seed`. Faults of a count or share take different devices, as long as
    there are honest ones left; one for the whole fleet, or for devices by name, comes on top of the others. ValueError when a
    count is too big or nobody has the name."""
    order = list(range(total))
    Random(seed).shuffle(order)  # noqa: S311 - a simulation must repeat
    places = {uid: n for n, uid in enumerate(uids)}
    given = [HONEST] * total
    used = 0
    for fault in faults:
        if fault.uids:
            chosen = [_place(fault, uid, places) for uid in fault.uids]
        elif (wanted := fault.devices(total)) > total:
            raise ValueError(f"{fault.name}={wanted}: the fleet has {total} devices")
        elif wanted == total:
            chosen = order
        else:
            chosen = [order[(used + n) % total] for n in range(wanted)]
            used += wanted
        for n in chosen:
            given[n] = both(given[n], fault.behaviour)
    return given


def spoil(payload: bytes) -> bytes:
    """A payload as broken JSON."""
    return payload[: max(1, len(payload) * 2 // 3)] + b"\xff"


def both(a: Behaviour, b: Behaviour) -> Behaviour:
    """The faults of both; of two numbers the one that is further from 0."""
    if a is HONEST or b is HONEST:  # as most of a large fleet are
        return b if a is HONEST else a
    return Behaviour._make(max(mine, yours, key=abs) for mine, yours in zip(a, b, strict=True))


def _place(fault: Fault, uid: str, places: dict[str, int]) -> int:
    if uid not in places:
        raise ValueError(f"fault {fault.name}: {uid!r} is no count, no percentage, and no device of the fleet")
    return places[uid]


def _parse(entry: str) -> Fault:
    name, given, rest = entry.partition("=")
    if name in VALUES:
        value, at, share = rest.partition("@")
        behaviour = HONEST._replace(**{VALUES[name]: _number(entry, name, value)})  # type: ignore[arg-type]
        return _share(entry, name, behaviour, share if at else "100%")
    if name not in SWITCHES:
        raise ValueError(f"fault {entry!r}: the faults are {', '.join((*SWITCHES, *VALUES))}")
    return _share(entry, name, HONEST._replace(**{name: True}), rest if given else "100%")


def _number(entry: str, name: str, text: str) -> float:
    unit = "bytes" if name == "huge" else "seconds"
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    least = -_LONGEST_S if name == "skew" else 0.0
    if value == 0.0 or not least < value < _MOST.get(name, _LONGEST_S):
        raise ValueError(f"fault {entry!r}: give the {unit}, as in {name}=3 or {name}=3@10%")
    return value


def _share(entry: str, name: str, behaviour: Behaviour, text: str) -> Fault:
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100.0
            if 0.0 <= share <= 1.0:
                return Fault(name, behaviour, None, share)
        elif re.fullmatch(r"[+-]?\d+", text) is None:
            uids = tuple(uid for uid in text.split("+") if uid)
            if uids:
                return Fault(name, behaviour, uids=uids)
        elif int(text) >= 0:
            return Fault(name, behaviour, int(text))
    except ValueError:
        pass
    raise ValueError(f"fault {entry!r}: {text!r} is no count and no percentage from 0% to 100%")
