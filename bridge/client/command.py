"""A device's commands as calls: what is generated into features.py stands on this."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, get_type_hints

import msgspec

from bridge.client.outcome import Outcome
from bridge.errors import Unprocessable
from schemas import kinds
from schemas.envelope import canonical
from schemas.errors import Invalid
from schemas.kinds import Kind

A = TypeVar("A")
D = TypeVar("D")

Json: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Rows: TypeAlias = list[A]
"""A list, under a name that no action has."""


class Options(TypedDict, total=False):
    """How a command is sent; all may be left out."""

    timeout_s: float
    """Seconds that the device has to answer, from sending. By HTTP."""
    hold_s: float
    """Seconds that it waits for a device that is offline. By HTTP."""
    now: bool
    """Undeliverable when the device is offline. By HTTP."""
    wait_s: float
    """Seconds to wait for the outcome; without it until there is one. 0: only until the bridge has taken it."""
    mid: str
    """Your own UUID: the same command again is not sent twice."""
    sub_device_uid: str
    sub_device_id: int


class Asked(NamedTuple):
    """One command on its way to a transport. `data` is plain JSON, checked, None for none."""

    device: str
    kind: Kind
    data: Any
    mid: str
    options: Options


class Transport(Protocol):
    """What carries a command."""

    async def ask(self, asked: Asked) -> Outcome[Any]:
        """Send and wait, see Options. Raises the errors of bridge.errors."""


class Call:
    """One command of one device."""

    def __init__(self, transport: Transport, device: str, kind: Kind) -> None:
        self._transport = transport
        self._device = device
        self._kind = kind

    def __repr__(self) -> str:
        return f"<{self._kind.feature}/{self._kind.action} of {self._device}>"

    async def _ask(self, data: object, options: Options) -> Outcome[Any]:
        return await self._transport.ask(asked(self._device, self._kind, data, options))


class Read(Call, Generic[A]):
    """A command without data: `await device.safety.sync()`."""

    async def __call__(self, **options: Unpack[Options]) -> Outcome[A]:
        """Send it and wait for its outcome. Raises NotFound, Denied, Conflict, Exhausted, Unprocessable, Unreachable."""
        return await self._ask(None, options)


class Write(Call, Generic[D, A]):
    """A command with data: its Struct, or the same as plain JSON values."""

    async def __call__(self, data: D | Json, **options: Unpack[Options]) -> Outcome[A]:
        """Send it and wait for its outcome. The data is checked before anything is sent. Raises NotFound, Denied, Conflict,
        Exhausted, Unprocessable (with the JSON path), Unreachable."""
        return await self._ask(data, options)


class Feature:
    """A device's commands of one feature; each is an attribute, as features.py declares it."""

    def __init__(self, transport: Transport, device: str, feature: str) -> None:
        for kind in _commands(feature):
            call = Read if kind.data is None else Write
            setattr(self, kind.action, call(transport, device, kind))


class AnyDevice:
    """A device's commands by name; `Device` of features.py has them by attribute."""

    def __init__(self, transport: Transport, uid: str) -> None:
        self.uid = uid
        self._transport = transport
        for feature, cls in _features(type(self)).items():
            setattr(self, feature, cls(transport, uid, feature))

    def __repr__(self) -> str:
        return f"<device {self.uid}>"

    async def send(self, feature: str, action: str, data: object = None, **options: Unpack[Options]) -> Outcome[Any]:
        """Any command, known by its name. Raises as the calls do."""
        kind = kinds.command(feature, action)
        if kind is None:
            raise Unprocessable("unknown_command", f"no command {feature}/{action} is known", "$.feature")
        return await self._transport.ask(asked(self.uid, kind, data, options))


def asked(device: str, kind: Kind, data: object, options: Options) -> Asked:
    """Check what can be checked before anything is sent. Raises Unprocessable."""
    try:
        plain = None if data is None else msgspec.to_builtins(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unprocessable("invalid", f"not JSON: {error}", "$.data") from None
    try:
        kind.data_strict(plain)
    except Invalid as error:
        raise Unprocessable(error.reason, error.detail, error.path) from None
    mid = options.get("mid") or str(uuid.uuid4())
    if canonical(mid) is None:
        raise Unprocessable("invalid", f"{mid[:80]!r} is not a UUID", "$.mid")
    return Asked(device, kind, plain, mid, options)


@cache
def _commands(feature: str) -> tuple[Kind, ...]:
    return tuple(kind for kind in kinds.KINDS if kind.kind == "command" and kind.feature == feature)


def _features(device: type[AnyDevice]) -> dict[str, type[Feature]]:
    if device not in _known:
        _known[device] = get_type_hints(device)
    return _known[device]


_known: dict[type[AnyDevice], dict[str, type[Feature]]] = {}
