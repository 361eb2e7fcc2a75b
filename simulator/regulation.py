"""When an instruction of the grid's frequency regulation reaches a simulated EMS (page grid-fm-passively).

The site follows it for its quarter hour, within its limits (`program.instructed`); what is told is the power that it keeps.
"""

from __future__ import annotations

from simulator.meter import BLOCK_S
from simulator.program import instructed
from simulator.readouts import Fields
from simulator.site import State, step

_AT_ONCE_S = 1.0


def instruction(site: State, interval_s: float) -> tuple[Fields, State] | None:
    """The instruction that has come within the last `interval_s`, and the site that follows it: one that comes just now is
    followed for a second before it is told."""
    if int(site.at // BLOCK_S) == int((site.at - interval_s) // BLOCK_S) or instructed(site.spec.seed, site.at) is None:
        return None
    after = step(site, _AT_ONCE_S) if site.at % BLOCK_S < _AT_ONCE_S else site
    return {"type": "power", "value": round(after.storage_kw, 1), "receive_time": int(site.at * 1000)}, after
