"""What a scenario file says beside a run's options: phases, commands, and what must have come of it. Pure.

expect = ["acked_share >= 0.99", "commands.timed_out == 3"]

[[phase]]
name = "deaf"
at = 5
duration = 10
faults = "silent=3"
commands = [{ command = "streaming_overdemand/sync", to = "100%" }]
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from schemas import kinds
from simulator.counters import Summary
from simulator.faults import HONEST, Behaviour, assign, both, parse_faults
from simulator.platform import OUTCOMES

Seconds = Annotated[float, Meta(ge=0, le=1e8)]

SHARES: Final = ("acked_share", "online_share", "answered_share")
NAMES: Final = (*Summary.__struct_fields__, *SHARES, "commands.sent", *(f"commands.{name}" for name in OUTCOMES))
"""What an expectation may speak of."""
OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_EXPECTATION = re.compile(r"\s*([a-z0-9_.]+)\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?)\s*(%?)\s*")


class Order(Struct, forbid_unknown_fields=True, frozen=True):
    """Commands of a phase: `command` to `to` (a count, a percentage, uids with +), once or `every` so many seconds."""

    command: str
    to: str | int = "100%"
    every: Annotated[float, Meta(ge=0.01)] | None = None
    data: Any = None


class Phase(Struct, forbid_unknown_fields=True, frozen=True):
    """A part of a run. `at`: seconds from the start, by default when the phase before it ends. Without a `duration`
    its faults last until the run ends."""

    name: str = ""
    at: Seconds | None = None
    duration: Seconds = 0.0
    faults: str | list[str] = ""
    storm: bool = False
    commands: list[Order] = []


class Login(Struct, forbid_unknown_fields=True, frozen=True):
    """Who sends the commands."""

    username: str | None = None
    password: str | None = None


class Stage(NamedTuple):
    """A phase with its times (seconds from the start of the run), faults for every device, and orders with their devices."""

    name: str
    begins: float
    ends: float
    behaviours: list[Behaviour]
    storm: bool
    orders: list[tuple[Order, list[str]]]


class Expectation(NamedTuple):
    """`name op number`."""

    text: str
    name: str
    holds: Callable[[Any, Any], bool]
    number: float


class Scenario(NamedTuple):
    """`stages` in the order of the file; `settle_s`: time that commands get in the end for their outcome."""

    stages: list[Stage]
    expectations: list[Expectation]
    login: Login
    settle_s: float

    @property
    def ends(self) -> float:
        """When the last phase ends."""
        return max((stage.ends for stage in self.stages), default=0.0)

    @property
    def commands(self) -> bool:
        """Whether it needs a platform."""
        return any(stage.orders for stage in self.stages)


def stages(phases: Sequence[Phase], uids: Sequence[str], seed: int) -> list[Stage]:
    """The phases with who is meant, drawn by the seed. ValueError says which phase is wrong."""
    found: list[Stage] = []
    before = 0.0
    for n, phase in enumerate(phases):
        name = phase.name or f"phase {n + 1}"
        begins = before if phase.at is None else phase.at
        before = begins + phase.duration
        spec = phase.faults if isinstance(phase.faults, str) else ",".join(phase.faults)
        try:
            behaviours = assign(parse_faults(spec), len(uids), seed + n + 1, uids)
            orders = [
                (order, _addressed(order, uids, seed + 100 * (n + 1) + m, phase.duration))
                for m, order in enumerate(phase.commands)
            ]
        except ValueError as error:
            raise ValueError(f"phase {name!r}: {error}") from None
        if any(name == other.name for other in found):
            raise ValueError(f"two phases are called {name!r}")
        found.append(Stage(name, begins, before, behaviours, phase.storm, orders))
    return found


def expectation(text: str) -> Expectation:
    """`acked_share >= 0.99`. ValueError says what would be right."""
    found = _EXPECTATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no expectation: NAME {' '.join(OPERATORS)} NUMBER, as in acked_share >= 0.99")
    name, sign, number, percent = found.groups()
    if name not in NAMES:
        raise ValueError(f"{text!r}: nothing is called {name!r}; there are {', '.join(NAMES)}")
    return Expectation(text, name, OPERATORS[sign], float(number) / (100.0 if percent else 1.0))


def figures(summary: Summary, outcomes: Mapping[str, int]) -> dict[str, Any]:
    """Every name that an expectation may speak of."""
    found: dict[str, Any] = msgspec.to_builtins(summary)
    found["acked_share"] = summary.acked / summary.published if summary.published else 1.0
    found["online_share"] = summary.online / summary.devices if summary.devices else 1.0
    found["answered_share"] = summary.answers / summary.commands if summary.commands else 1.0
    return found | {f"commands.{name}": outcomes.get(name, 0) for name in ("sent", *OUTCOMES)}


def failed(expectations: Sequence[Expectation], found: Mapping[str, Any]) -> list[str]:
    """What did not hold, with what was instead."""
    wrong = []
    for each in expectations:
        value = found[each.name]
        if not isinstance(value, int | float):
            wrong.append(f"{each.text}: {each.name} is {value!r}")
        elif not each.holds(value, each.number):
            wrong.append(f"{each.text}: {each.name} is {value:g}")
    return wrong


def together(layers: Sequence[Sequence[Behaviour]], total: int) -> list[Behaviour]:
    """The faults of every layer, for each device."""
    found = [HONEST] * total
    for layer in layers:
        found = [both(mine, yours) for mine, yours in zip(found, layer, strict=True)]
    return found


def _addressed(order: Order, uids: Sequence[str], seed: int, duration: float) -> list[str]:
    if order.every and not duration:
        raise ValueError("commands that come again and again need the phase's duration")
    if kinds.command(*order.command.partition("/")[::2]) is None:
        raise ValueError(f"no command {order.command!r} is known")
    try:
        (fault,) = parse_faults(f"silent={order.to}")
        chosen = assign([fault], len(uids), seed, uids)
    except ValueError:
        right = f"a count up to {len(uids)}, a percentage, or uids of the fleet with + between them"
        raise ValueError(f"{order.command}: to = {order.to!r} is not {right}") from None
    return [uid for uid, behaviour in zip(uids, chosen, strict=True) if behaviour.silent]
