"""What the app hands to the broker."""

from __future__ import annotations

from typing import Protocol

from bridge.core.principal import Principal
from bridge.core.record import Done, Row


class Submit(Protocol):
    """Takes a PUBLISH to core and the writer; `done(True)` after COMMIT, in order of the calls."""

    def __call__(
        self,
        principal: Principal,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        extra_rows: list[Row],
        done: Done,
        /,
    ) -> None: ...


class Persist(Protocol):
    """Commits rows of the broker's own; `done` after COMMIT, in order with those of Submit."""

    def __call__(self, rows: list[Row], done: Done | None, /) -> None: ...
