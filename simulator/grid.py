"""The grid's side of a site: phases, voltage, reactive power. Pure.

Reactive power is kvar; positive at the gateway when the site draws it (inductive), positive of the converters when they give it.
"""

from __future__ import annotations

import math

from simulator.plan import Grid
from simulator.profile import noise

_VOLTS = 233.0
_DROP_ACTIVE = 0.02
_DROP_REACTIVE = 0.04
"""Shares of the voltage that fall where the transformer carries its rating as active and as reactive power."""
_APPARENT = 1.1
"""Apparent power of a converter for its rated active power."""

Three = tuple[float, float, float]


def phase_shares(shares: Three, seed: int, at: float) -> Three:
    """Which share of the load is on each phase: what is built, and what is switched on."""
    a = shares[0] * (1.0 + 0.12 * noise(seed ^ 0x83, at, 7200.0))
    b = shares[1] * (1.0 + 0.12 * noise(seed ^ 0x84, at, 7200.0))
    return a, b, 1.0 - a - b


def with_piles(building: float, shares: Three, piles: float) -> Three:
    """The shares of the whole load, where those of the building are `shares` and piles load all phases alike."""
    each, load = piles / 3.0, building + piles
    a, b = (building * shares[0] + each) / load, (building * shares[1] + each) / load
    return a, b, 1.0 - a - b


def on_phases(load: float, shares: Three, pv: float, storage: float) -> Three:
    """Power at the gateway in each phase: storage and PV have three equal ones."""
    rest = (storage - pv) / 3.0
    return load * shares[0] + rest, load * shares[1] + rest, load * shares[2] + rest


def storage_floor(load: float, shares: Three, pv: float, export_kw: float) -> float:
    """The least power of the storage with which no phase feeds back more than `export_kw`."""
    return pv - 3.0 * (load * min(shares) + export_kw)


def pv_ceiling(load: float, shares: Three, storage: float, export_kw: float) -> float:
    """The most that PV may deliver with which no phase feeds back more than `export_kw`."""
    return max(0.0, 3.0 * (load * min(shares) + export_kw) + storage)


def volts(seed: int, at: float, kw: float, kvar: float, transformer_kva: float) -> float:
    """Voltage at the gateway, phase to neutral."""
    swing = 2.0 * noise(seed ^ 0x82, at, 120.0)
    return _VOLTS + swing - _VOLTS * (_DROP_ACTIVE * kw + _DROP_REACTIVE * kvar) / transformer_kva


def compensation(
    told: Grid, seed: int, at: float, gateway_kw: float, load_kvar: float, storage_kw: float, rated_kw: float,
    transformer_kva: float,
) -> float:  # fmt: skip
    """What the converters give of reactive power, as far as active power leaves them room."""
    wish = 0.0
    if told.power_factor is not None and told.power_factor > 0.0:
        allowed = abs(gateway_kw) * math.tan(math.acos(min(told.power_factor, 1.0)))
        wish = max(0.0, load_kvar - allowed)
    if told.volts_low is not None or told.volts_high is not None:
        seen = volts(seed, at, gateway_kw, load_kvar - wish, transformer_kva)
        each = _VOLTS * _DROP_REACTIVE / transformer_kva
        if told.volts_low is not None and seen < told.volts_low:
            wish += (told.volts_low - seen) / each
        elif told.volts_high is not None and seen > told.volts_high:
            wish -= (seen - told.volts_high) / each
    room = math.sqrt(max(0.0, (_APPARENT * rated_kw) ** 2 - storage_kw**2))
    return min(max(wish, -room), room)
