"""When a simulated EMS raises an alarm and clears it (page fault-alarm)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from simulator.cards import rfc3339
from simulator.profile import unit
from simulator.protection import HOT_C, LOW_V, hottest_c, lowest_v
from simulator.readouts import Fields
from simulator.site import State

RARE_SHARE = 1 / 200
"""Share of half-hours in which a passing communication alarm is up."""

_WINDOW_S = 1800.0
_LOW_MARGIN = 0.005


class Cause(NamedTuple):
    """A reason for an alarm: while `holds(state)` it is up."""

    holds: Callable[[State], bool]
    content: str
    device_type: str
    level: int


class Raised(NamedTuple):
    """An alarm that is up."""

    id: int
    at: float


def _fault(name: str) -> Callable[[State], bool]:
    return lambda site: any(there == name for there, _ in site.faults)


def _hot(site: State) -> bool:
    faults = frozenset(name for name, _ in site.faults)
    return any(hottest_c(pack, faults) >= HOT_C[1] for pack in site.packs)


def _sagging(site: State) -> bool:
    faults = frozenset(name for name, _ in site.faults)
    return any(lowest_v(site.pack_soc(place), faults) <= LOW_V[1] for place in range(len(site.packs)))


CAUSES: tuple[Cause, ...] = (
    Cause(lambda site: site.soc <= site.spec.battery.soc_min + _LOW_MARGIN, "SOC过低告警", "BMS", 2),
    Cause(lambda site: site.gateway_kw > site.spec.transformer_kva, "变压器过载告警", "PCS", 3),
    Cause(
        lambda site: unit(site.spec.seed ^ 0xA1, int(site.at // _WINDOW_S)) < RARE_SHARE, "PCS通讯中断告警", "PCS", 1
    ),
    Cause(_hot, "电芯过温告警", "BMS", 3),
    Cause(_sagging, "电芯欠压告警", "BMS", 2),
    Cause(_fault("smoke"), "烟雾告警", "FIRE", 3),
    Cause(_fault("flooding"), "水浸告警", "EMS", 3),
    Cause(_fault("cooling"), "空调离线告警", "AIRCON", 2),
    Cause(_fault("meter"), "关口电表离线告警", "METER", 2),
    Cause(_fault("ground"), "接地断开告警", "EMS", 2),
)


class Alarms:
    """Which alarms of a device are up."""

    __slots__ = ("_next_id", "_up")

    def __init__(self) -> None:
        self._up: dict[int, Raised] = {}
        self._next_id = 1

    def look(self, site: State) -> list[Fields]:
        """AlarmData of every alarm that came up or went away since the last look."""
        found = []
        for n, cause in enumerate(CAUSES):
            up = self._up.get(n)
            if cause.holds(site) == (up is not None):
                continue
            if up is None:
                up = self._up[n] = Raised(self._next_id, site.at)
                self._next_id += 1
                found.append(_data(cause, up))
            else:
                del self._up[n]
                found.append(_data(cause, up) | {"handle_status": 2, "handle_type": 1, "handle_time": rfc3339(site.at)})
        return found


def _data(cause: Cause, up: Raised) -> Fields:
    return {
        "id": up.id,
        "content": cause.content,
        "device_type": cause.device_type,
        "alarm_type": "ems",
        "level": cause.level,
        "handle_status": 1,
        "occur_time": rfc3339(up.at),
    }
