"""What the bridge itself says on MQTT: how a command stands, what was refused and why, who is there.

These are the shapes of the documents; the core writes them (docs/commands.md).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

State = Literal[
    "accepted",
    "sent",
    "delivered",
    "succeeded",
    "rejected",
    "timed_out",
    "late_succeeded",
    "late_rejected",
    "expired",
    "undeliverable",
    "cancelled",
]
"""How a command stands (PRODUCT.md §4.3; bridge/core/states.py has the moves)."""
OPEN: Final[tuple[State, ...]] = ("accepted", "sent", "delivered")
"""It has no outcome yet."""
At = Annotated[int, Meta(description="epoch milliseconds", extra_json_schema={"x-unit": "ms"})]


class CommandStatus(Struct, forbid_unknown_fields=True):
    """A command has come into a state."""

    mid: Annotated[str, Meta(description="the command's")]
    state: State
    code: Annotated[int, Meta(description="the device's code; 200 is success")] | None
    msg: str
    at: At


class ErrorNotice(Struct, forbid_unknown_fields=True):
    """A message was refused; it lies among the dead letters."""

    mid: Annotated[str, Meta(description="of the refused message, where it has one")] | None
    topic: str
    reason: Annotated[str, Meta(description="a stable word; docs/commands.md lists them")]
    path: Annotated[
        str, Meta(description="JSON path into the message, such as $.data.id; empty when it is none of its fields")
    ]
    detail: Annotated[str, Meta(description="what was wrong and what would be right")]
    at: At


class PresenceNotice(Struct, forbid_unknown_fields=True):
    """A device has come or gone. Retained."""

    online: bool
    since: At | None
    scheme: Annotated[str, Meta(description="the one that it last spoke on")] | None


class Notice(NamedTuple):
    """One topic of the bridge's. `key` names it in the documents, `parameters` are the variables of its address."""

    key: str
    address: str
    shape: type[Struct]
    parameters: tuple[str, ...]
    summary: str
    retained: bool = False


_DEVICE = ("owner", "device")

NOTICES = (
    Notice(
        "command_status",
        "bridge/v1/{owner}/{device}/command/{mid}",
        CommandStatus,
        (*_DEVICE, "mid"),
        "Each state of a command, once for each owner of the device",
    ),
    Notice(
        "error",
        "bridge/v1/{owner}/{device}/error",
        ErrorNotice,
        _DEVICE,
        "A refused message of a device, or for one",
    ),
    Notice(
        "account_error",
        "bridge/v1/account/{account}/error",
        ErrorNotice,
        ("account",),
        "A refused message of an account that named no device it may touch",
    ),
    Notice(
        "presence",
        "bridge/v1/{owner}/{device}/presence",
        PresenceNotice,
        _DEVICE,
        "Whether a device is connected",
        retained=True,
    ),
)
"""Every topic that the bridge publishes on by itself, but for `$SYS/broker/…`."""
