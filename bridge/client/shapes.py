"""What the HTTP API answers, as far as the client reads it: further keys are passed over."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from schemas import kinds
from schemas.envelope import Message
from schemas.kinds import Kind
from schemas.notices import OPEN


class Presence(Struct, frozen=True):
    """Whether the device is connected, since when (epoch ms), and on which scheme it last was."""

    online: bool
    since: int | None
    scheme: str | None


class DeviceInfo(Struct, frozen=True):
    """A registered device."""

    uid: str
    product_key: str | None
    tenant: str | None
    name: str
    timezone: str
    signs: dict[str, float]
    enabled: bool
    created_at: int
    presence: Presence


class Stored(Struct, frozen=True):
    """A message as the device sent it. Times are epoch ms: `received_at` the bridge's, `timestamp` the device's own."""

    suffix: str
    topic: str
    mid: str
    received_at: int
    timestamp: int
    body: Any
    device: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET

    def read(self) -> tuple[Kind, Message]:
        """Its kind and its typed message, whose `data` is the kind's Struct. Raises schemas.errors.Invalid."""
        return kinds.resolve(self.suffix, msgspec.json.encode(self.body))


class DeviceDetail(DeviceInfo, frozen=True):
    """A device with what it said last; `strategies` maps a feature to the data of its newest list report."""

    latest: list[Stored]
    strategies: dict[str, Any]


class Step(Struct, frozen=True):
    """A state that a command was in, since `at` (epoch ms)."""

    state: str
    at: int
    cause: str = ""
    code: int | None = None
    msg: str = ""


class Command(Struct, frozen=True):
    """A command as the ledger has it. Times are epoch ms; `data` is what was sent, `answer` what the device's result carried."""

    mid: str
    device: str
    feature: str
    action: str
    state: str
    cause: str
    code: int | None
    msg: str
    data: Any
    answer: Any
    created_at: int
    sent_at: int | None
    delivered_at: int | None
    deadline: int | None
    hold_until: int
    settled_at: int | None
    timeout_s: float
    sender: str
    via: str
    late: Step | None
    answers: int
    history: list[Step]

    @property
    def settled(self) -> bool:
        """Whether it has its outcome."""
        return self.state not in OPEN


class Reading(Struct, frozen=True):
    """One value of one point (`total_active_power`) of an asset (`EMS001.meter.1`), at epoch ms."""

    asset: str
    point: str
    timestamp: int
    value: float
    unit: str


class Readings(Struct, frozen=True):
    """Readings by time; `truncated` when there are more than `limit`."""

    readings: list[Reading]
    truncated: bool


class Event(Struct, frozen=True):
    """Something happened: `reading`, `command`, `presence`, `alarm`, `dead_letter`, `message`. `lost` says that events are
    missing here, `{"lost": n}` or, after the connection was gone, `{"lost": null}`: read /messages and /commands."""

    type: str
    data: Any

    @property
    def device(self) -> str:
        """The device's uid, or ""."""
        return str(self.data.get("device") or "") if isinstance(self.data, dict) else ""


class Page(Struct, frozen=True):
    """A list of the API and how to ask for the next one."""

    next: str | int | None = None
    devices: list[DeviceInfo] = []
    messages: list[Stored] = []
    commands: list[Command] = []
