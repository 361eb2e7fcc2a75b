"""When an instruction of the grid's frequency regulation reaches a simulated EMS (page grid-fm-passively)."""

from __future__ import annotations

from simulator.profile import unit
from simulator.readouts import Fields
from simulator.site import State

RARE_SHARE = 1 / 100
"""Share of quarter hours in which an instruction comes."""

_WINDOW_S = 900.0


def instruction(site: State, interval_s: float) -> Fields | None:
    """The instruction that has come within the last `interval_s`: to hold the power that the storage has."""
    window = int(site.at // _WINDOW_S)
    if window == int((site.at - interval_s) // _WINDOW_S) or unit(site.spec.seed ^ 0xF4, window) >= RARE_SHARE:
        return None
    return {"type": "power", "value": round(site.storage_kw, 1), "receive_time": int(site.at * 1000)}
