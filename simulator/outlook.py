"""What the storage of a site must hold so that a demand limit is kept: its EMS looks two days ahead by quarter hours. Pure.

The forecast is a perfect one: the site's own load, sun and vehicles, which follow from its seed. What is left to caution is what
the quarter hours hide. Energies are kWh at the cells, powers kW, times epoch seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from simulator import piles
from simulator.meter import BLOCK_H, BLOCK_S
from simulator.profile import DAY_S, cloudiness, irradiance, load_kw
from simulator.program import pile_limit, pv_kw, pv_limit
from simulator.state import Spec, State, demand_limit, local_time

DAYS = 2
"""What the second day takes may have to be charged in the first one's evening."""
_TODAY = int(DAY_S / BLOCK_S)
_STEP_S = 300.0
_CAUTION = 1.25
_MARGIN = 1.05
_PARTIAL = 0.93
"""The power is taken for so much higher than it looks, what is over the limit and the time to charge once more, and efficiency at
partial load for so much worse."""
_MILD_C = 25.0


def outlook(state: State) -> tuple[float, ...]:
    """Energy that the storage must hold at each quarter hour of the local day, its end included, so that the gateway stays under
    its limit; () when it need hold none. Backwards: what a quarter hour over the limit takes is added to what must be there
    after it, what one under the limit can charge is not needed before it."""
    spec, battery = state.spec, state.spec.battery
    midnight = math.floor((state.at + spec.utc_offset_s) / DAY_S) * DAY_S - spec.utc_offset_s
    usable = (battery.soc_max - battery.soc_min) * battery.capacity_kwh * state.soh
    limits = [demand_limit(state, local_time(spec, midnight + day * DAY_S).month) for day in range(DAYS)]
    ahead = list(_means(state, midnight))
    held = [0.0] * (DAYS * _TODAY + 1)
    for n, mean in zip(reversed(range(DAYS * _TODAY)), reversed(ahead), strict=False):
        limit = limits[n // _TODAY]
        over = -math.inf if limit is None else mean * _MARGIN - limit
        held[n] = min(max(held[n + 1] + _taken(spec, over), 0.0), usable)
    today = held[: _TODAY + 1]
    return tuple(today) if any(today) else ()


def to_hold(held: Sequence[float], since_midnight_s: float) -> float:
    """What an outlook asks for at a time of its day."""
    if not held:
        return 0.0
    place = min(max(since_midnight_s / BLOCK_S, 0.0), len(held) - 1.000001)
    low = int(place)
    return held[low] + (held[low + 1] - held[low]) * (place - low)


def _taken(spec: Spec, over_kw: float) -> float:
    """Energy that a quarter hour so far over the limit takes out of the cells; under it, less than 0, what it can put in."""
    battery = spec.battery
    if over_kw > 0.0:
        return min(over_kw * _CAUTION, battery.power_kw) * BLOCK_H / battery.discharge_efficiency / _PARTIAL
    return -min(-over_kw, battery.power_kw) / _CAUTION * BLOCK_H * battery.charge_efficiency * _PARTIAL


def _means(state: State, midnight: float) -> Iterator[float]:
    """The mean power without storage of every quarter hour from now to the end of the outlook."""
    spec, yard, at = state.spec, state.yard, state.at
    while at < midnight + DAYS * DAY_S - 1e-3:
        end, kwh, begun = (math.floor(at / BLOCK_S) + 1) * BLOCK_S, 0.0, at
        while at < end:
            to = min(end, at + _STEP_S)
            kw = _power(state, (at + to) / 2)
            if spec.piles.count:
                yard = piles.turn(spec.piles, yard, spec.seed, at, to, spec.utc_offset_s)
                left = spec.transformer_kva * spec.power_factor - kw
                each = pile_limit(state.plan, local_time(spec, (at + to) / 2))
                yard, drawn = piles.charge(spec.piles, yard, (to - at) / 3600.0, each, left)
                kw += drawn
            kwh += kw * (to - at) / 3600.0
            at = to
        yield kwh * 3600.0 / (end - begun)


def _power(state: State, at: float) -> float:
    """Building less sun."""
    spec = state.spec
    load = load_kw(spec.seed, at, spec.utc_offset_s, spec.base_kw, spec.swing_kw)
    sun = irradiance(at, spec.latitude, spec.longitude) if spec.pv_peak_kw else 0.0
    if not sun:
        return load
    made = pv_kw(spec.pv_peak_kw, sun * cloudiness(spec.seed, at), _MILD_C)
    return load - min(made, pv_limit(state.plan, local_time(spec, at)))
