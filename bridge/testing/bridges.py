"""What `ems_bridges` is: its type, without anything of the bridge's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bridge.testing.bridge import Bridge
    from bridge.testing.clock import Clock


class Bridges(Protocol):
    """`with ems_bridges({"commands.timeout_s": 3}) as bridge`: a bridge while that lasts."""

    def __call__(
        self, settings: Mapping[str, object] | None = None, clock: Clock | None = None
    ) -> AbstractContextManager[Bridge]: ...
