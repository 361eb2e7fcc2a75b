"""What the app hands to the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from bridge.core.principal import Principal
from bridge.core.record import Done, Record, Row

if TYPE_CHECKING:
    from bridge.broker.session import Session


class Source(NamedTuple):
    """What MQTT 5 tells of a message beside topic and payload. It travels with the Record (`Record.source`), and holds for the
    routes that carry `payload`."""

    session: Session | None
    payload: bytes
    properties: bytes = b""
    """Encoded without their length, without expiry and alias."""
    expires: int = 0
    """Epoch ms; 0 is never."""


class Submit(Protocol):
    """Takes a PUBLISH to core and the writer; `done(True)` after COMMIT, in order of the calls. Gives the Record, whose `reject`
    says at that time whether and why the message was refused."""

    def __call__(
        self,
        principal: Principal,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        extra_rows: list[Row],
        done: Done,
        source: Source | None = None,
        /,
    ) -> Record: ...


class Persist(Protocol):
    """Commits rows of the broker's own; `done` after COMMIT, in order with those of Submit."""

    def __call__(self, rows: list[Row], done: Done | None, /) -> None: ...
