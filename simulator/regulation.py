"""When instructions of the grid's frequency regulation reach a simulated EMS (page grid-fm-passively): a start, a power for
each quarter hour, a stop.

The site follows the power for its quarter hour, within its limits (`program.instructed`); the power that it keeps is told.
"""

from __future__ import annotations

from schemas.regulation import POWER, STATUS
from simulator.meter import BLOCK_S
from simulator.program import instructed
from simulator.readouts import Fields
from simulator.site import State, step

_AT_ONCE_S = 1.0
_STOP, _START = 0, 1


def instructions(site: State, interval_s: float) -> tuple[list[Fields], State]:
    """The instructions that have come within the last `interval_s`, and the site that follows them: a power that comes just now
    is followed for a second before it is told."""
    at, seed = site.at, site.spec.seed
    if int(at // BLOCK_S) == int((at - interval_s) // BLOCK_S):
        return [], site
    now, before = instructed(seed, at) is not None, instructed(seed, at - BLOCK_S) is not None
    told = [_told(STATUS, _START if now else _STOP, at)] if now != before else []
    if now:
        site = step(site, _AT_ONCE_S) if at % BLOCK_S < _AT_ONCE_S else site
        told.append(_told(POWER, round(site.storage_kw, 1), at))
    return told, site


def _told(sort: str, value: float, at: float) -> Fields:
    return {"type": sort, "value": value, "receive_time": int(at * 1000)}
