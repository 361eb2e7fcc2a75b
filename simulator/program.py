"""What an EMS does with its storage: its schedule or its own habit, and the limits that hold over both. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from simulator.meter import BLOCK_H, BLOCK_S, PEAK, SHARP, VALLEY
from simulator.plan import Plan, holding
from simulator.profile import unit

RARE_SHARE = 1 / 100
"""Share of quarter hours in which the grid gives an instruction."""

_VALLEY_SHARE = 0.6
_ROUNDING_S = 1e-3
_PV_LOSSES = 0.86
_PV_HEAT = 0.0035
_PV_WARMTH_K = 0.03


def wishes(
    plan: Plan,
    local: datetime,
    period: int,
    net_kw: float,
    gives: Sequence[float],
    takes: Sequence[float],
    rated_kw: float,
) -> list[float]:
    """What every cabinet should do: what the first order for it says; else charge in the valley and from surplus sun, and serve
    the load at the peak, shared by what they can."""
    able = sum(take > 0.0 for take in takes)
    whole = _habit(period, net_kw, math.fsum(gives), able * rated_kw)
    found = _shares(whole, gives, takes)
    if not plan.orders:
        return found
    free = set(range(len(found)))
    for order in plan.orders:
        if order.holds(local):
            mine = free if order.cabinets is None else free & order.cabinets
            among = len(found) if order.cabinets is None else max(1, len(order.cabinets))
            for n in mine:
                found[n] = order.kw / among
            free -= mine
            if not free:
                break
    return found


def spread(
    wanted: Sequence[float], gives: Sequence[float], takes: Sequence[float], low: float, high: float
) -> list[float]:
    """Powers of the cabinets: as they are wanted, within what each can do, and together from `low` to `high` as far as they can;
    `low` goes before `high`."""
    kws = [min(max(kw, -give), take) for kw, give, take in zip(wanted, gives, takes, strict=True)]
    total = math.fsum(kws)
    if total > high:
        room = [kw + give for kw, give in zip(kws, gives, strict=True)]
        share = _part(total - high, math.fsum(room))
        kws = [kw - each * share for kw, each in zip(kws, room, strict=True)]
        total = math.fsum(kws)
    if total < low:
        room = [take - kw for kw, take in zip(kws, takes, strict=True)]
        share = _part(low - total, math.fsum(room))
        kws = [kw + each * share for kw, each in zip(kws, room, strict=True)]
    return kws


def allowed_kw(limit: float, block_kwh: float, at: float, dt: float) -> float:
    """The import with which a quarter hour that has had `block_kwh` stays under a demand limit: the limit, or less when it was
    passed before."""
    left_s = math.floor(at / BLOCK_S + 1.0) * BLOCK_S - at
    if dt > left_s + _ROUNDING_S:
        return limit
    return min(limit, max(0.0, (limit * BLOCK_H - block_kwh) * 3600.0 / left_s))


def instructed(seed: int, at: float) -> float | None:
    """Share of the rated power, -1 to 1, that the grid asks for in this quarter hour; mostly None."""
    window = int(at // BLOCK_S)
    if unit(seed ^ 0xF4, window) >= RARE_SHARE:
        return None
    return 2.0 * unit(seed ^ 0xF5, window) - 1.0


def pv_kw(peak_kw: float, sun: float, ambient: float) -> float:
    """What modules of `peak_kw` deliver through their inverter at an irradiance (W/m²) and outdoor temperature."""
    if sun <= 0.0:
        return 0.0
    return peak_kw * _PV_LOSSES * sun / 1000.0 * (1.0 - _PV_HEAT * (ambient + _PV_WARMTH_K * sun - 25.0))


def pv_limit(plan: Plan, local: datetime) -> float:
    """What a schedule lets the PV deliver."""
    order = holding(plan.pv_orders, local) if plan.pv_orders else None
    return math.inf if order is None else order.kw


def pile_limit(plan: Plan, local: datetime) -> float:
    """What a schedule lets each pile draw."""
    order = holding(plan.pile_orders, local) if plan.pile_orders else None
    return math.inf if order is None else order.kw


def _habit(period: int, net: float, give: float, rated: float) -> float:
    wish = 0.0
    if period == VALLEY:
        wish = _VALLEY_SHARE * rated
    elif period in (SHARP, PEAK):
        wish = -min(give, max(net, 0.0))
    return max(wish, -net) if net < 0 else wish


def _shares(whole: float, gives: Sequence[float], takes: Sequence[float]) -> list[float]:
    able = takes if whole >= 0.0 else gives
    total = math.fsum(able)
    return [whole * each / total for each in able] if total > 0.0 else [0.0] * len(able)


def _part(wanted: float, room: float) -> float:
    return 0.0 if room <= 0.0 else min(1.0, wanted / room)
