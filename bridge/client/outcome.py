"""How a command ended, the same by HTTP and by MQTT."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from bridge.errors import Refused
from schemas import kinds
from schemas.kinds import Kind
from schemas.notices import OPEN

A = TypeVar("A")

ANSWERED = frozenset({"succeeded", "rejected", "late_succeeded", "late_rejected"})
OK = frozenset({"succeeded", "late_succeeded"})


class Outcome(Struct, Generic[A], frozen=True, kw_only=True):
    """A command and its state (docs/commands.md). `code` and `message` are the device's, or `message` says why it is in this
    state; `data` is what its answer carried, None where it carried none; `seconds` is how long it took from asking."""

    mid: str
    device: str
    command: str
    """feature/action"""
    state: str
    code: int | None = None
    message: str = ""
    data: A | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the device did it, in time or late."""
        return self.state in OK

    @property
    def settled(self) -> bool:
        """Whether this is the end: False only where `wait_s` ended first."""
        return self.state not in OPEN

    def check(self) -> Outcome[A]:
        """Itself when the device did it. Raises Refused with the state as its code."""
        if self.ok:
            return self
        said = f"code {self.code}: {self.message}" if self.code is not None else self.message
        raise Refused(self.state, f"{self.command} of {self.device} is {self.state}" + (f": {said}" if said else ""))


def typed(kind: Kind, answer: Any) -> Any:
    """The data of an answer to command `kind` (plain JSON values) as its Struct; as it is where it does not fit."""
    result = kinds.result_of(kind)
    if answer is None or result is None or result.data is None:
        return answer
    try:
        return msgspec.convert(answer, result.data)
    except msgspec.ValidationError:
        return answer
