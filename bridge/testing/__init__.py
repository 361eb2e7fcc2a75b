"""A bridge, devices and a sink inside pytest: the types of the fixtures of `bridge.testing.plugin`. docs/testing.md is their
manual.

Nothing is imported before it is asked for: pytest loads the plugin in every project that has the package installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.testing.bridge import Bridge
    from bridge.testing.bridges import Bridges
    from bridge.testing.clock import Clock
    from bridge.testing.fleet import Fleet, SimulatedDevice
    from bridge.testing.sink import Sink
    from bridge.testing.traffic import Said

__all__ = ["Bridge", "Bridges", "Clock", "Fleet", "Said", "SimulatedDevice", "Sink"]

_HOMES = {
    "Bridge": "bridge", "Bridges": "bridges", "Clock": "clock",
    "Fleet": "fleet", "Said": "traffic", "SimulatedDevice": "fleet", "Sink": "sink",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
