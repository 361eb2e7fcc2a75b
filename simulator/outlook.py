"""What the storage of a site must hold so that a demand limit is kept: its EMS looks two days ahead by quarter hours. Pure.

The forecast is a perfect one: the site's own load, sun and vehicles, which follow from its seed. What is left to caution is what
the quarter hours hide. Energies are kWh at the cells, powers kW, times epoch seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from simulator import piles
from simulator.meter import BLOCK_H, BLOCK_S
from simulator.profile import DAY_S, cloudiness, irradiance, load_kw, most_kw
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
    after it, what one under the limit can charge is not needed before it. Where nothing must be there after a quarter hour that
    cannot be over the limit, nobody asks how high it is: most are such, and a fleet has its midnight all at once."""
    spec, battery = state.spec, state.spec.battery
    midnight = math.floor((state.at + spec.utc_offset_s) / DAY_S) * DAY_S - spec.utc_offset_s
    usable = (battery.soc_max - battery.soc_min) * battery.capacity_kwh * state.soh
    months = [local_time(spec, midnight + day * DAY_S).month for day in range(DAYS)]
    limits = [math.inf if (limit := demand_limit(state, month)) is None else limit for month in months]
    quarters = _quarters(state.at, midnight)
    most = [most_kw(at, end, spec.utc_offset_s, spec.base_kw, spec.swing_kw, spec.latitude) for at, end in quarters]
    drawn = list(_drawn(state, quarters, most))
    held = [0.0] * (DAYS * _TODAY + 1)
    first = len(held) - 1 - len(quarters)
    for n, (at, end) in reversed(list(enumerate(quarters))):
        limit, after = limits[(first + n) // _TODAY], held[first + n + 1]
        if not after and (most[n] + drawn[n]) * _MARGIN <= limit:
            continue
        mean = _building(state, at, end) + drawn[n]
        held[first + n] = min(max(after + _taken(spec, mean * _MARGIN - limit), 0.0), usable)
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


def _quarters(at: float, midnight: float) -> list[tuple[float, float]]:
    """Begin and end of every quarter hour from now, which may be within one, to the end of the outlook."""
    first = math.floor(at / BLOCK_S)
    edges = [at, *(n * BLOCK_S for n in range(first + 1, math.floor((midnight + DAYS * DAY_S) / BLOCK_S + 1e-6) + 1))]
    return list(pairwise(edges))


def _steps(at: float, end: float) -> Iterator[tuple[float, float]]:
    while at < end:
        to = min(end, at + _STEP_S)
        yield at, to
        at = to


def _drawn(state: State, quarters: Sequence[tuple[float, float]], most: Sequence[float]) -> Iterator[float]:
    """What the piles draw on average in each quarter hour, in which the building does not draw more than `most`."""
    spec, yard = state.spec, state.yard
    carries, all_kw = spec.transformer_kva * spec.power_factor, spec.piles.count * spec.piles.power_kw
    for (begun, end), building in zip(quarters, most, strict=True):
        kwh = 0.0
        for at, to in _steps(begun, end) if spec.piles.count else ():
            yard = piles.turn(spec.piles, yard, spec.seed, at, to, spec.utc_offset_s)
            if not any(yard.stalls):
                break  # who comes, comes when a quarter hour begins
            middle, hours = (at + to) / 2, (to - at) / 3600.0
            left = carries - building
            if left < all_kw:
                left = carries - _power(state, middle)
            yard, kw = piles.charge(spec.piles, yard, hours, pile_limit(state.plan, local_time(spec, middle)), left)
            kwh += kw * hours
        yield kwh * 3600.0 / (end - begun)


def _building(state: State, begun: float, end: float) -> float:
    """Building less sun, on average."""
    return math.fsum(_power(state, (at + to) / 2) * (to - at) for at, to in _steps(begun, end)) / (end - begun)


def _power(state: State, at: float) -> float:
    """Building less sun."""
    spec = state.spec
    load = load_kw(spec.seed, at, spec.utc_offset_s, spec.base_kw, spec.swing_kw, spec.latitude)
    sun = irradiance(at, spec.latitude, spec.longitude) if spec.pv_peak_kw else 0.0
    if not sun:
        return load
    made = pv_kw(spec.pv_peak_kw, sun * cloudiness(spec.seed, at), _MILD_C)
    return load - min(made, pv_limit(state.plan, local_time(spec, at)))
