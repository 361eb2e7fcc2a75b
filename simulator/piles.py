"""Charging piles: vehicles come, wait, charge and go. Pure: who comes when follows from the seed and the quarter hour.

Powers kW at the grid's side, energies kWh in the vehicle's battery.
"""

from __future__ import annotations

import math

import msgspec

from simulator.meter import BLOCK_S
from simulator.profile import unit

EFFICIENCY = 0.94
"""Of a pile and the vehicle's charger together."""
QUEUE_PER_PILE = 2
"""Vehicles that wait for a pile; who finds more drives on."""
_STAY_S = 4 * 3600.0
_TAPER_FROM = 0.8
"""State of charge from which a vehicle asks for less, down to a tenth when full."""

# Share of the day's arrivals in each local hour.
_ARRIVALS = (
    *(0.005, 0.004, 0.003, 0.003, 0.005, 0.010, 0.025, 0.055),
    *(0.085, 0.075, 0.060, 0.060, 0.070, 0.065, 0.055, 0.050),
    *(0.055, 0.070, 0.075, 0.060, 0.045, 0.032, 0.020, 0.013),
)


class Piles(msgspec.Struct, frozen=True, gc=False):
    """The piles of a site: `count` of `power_kw` each, where `vehicles_per_day` come."""

    count: int = 0
    power_kw: float = 60.0
    vehicles_per_day: float = 0.0


class Vehicle(msgspec.Struct, frozen=True, gc=False):
    """A vehicle that wants its battery of `capacity_kwh` at `target` (0 to 1), at `power_kw` at most, and leaves at `until`.
    `kw` is what it draws, `kwh` what it has had."""

    capacity_kwh: float
    soc: float
    target: float
    power_kw: float
    until: float
    kw: float = 0.0
    kwh: float = 0.0


class Yard(msgspec.Struct, frozen=True):
    """Who stands at the piles (None: free) and who waits. `kwh` is what all vehicles have had, `drawn_kwh` what it took."""

    stalls: tuple[Vehicle | None, ...] = ()
    queue: tuple[Vehicle, ...] = ()
    served: int = 0
    turned_away: int = 0
    kwh: float = 0.0
    drawn_kwh: float = 0.0


def demand_kw(vehicle: Vehicle) -> float:
    """What a vehicle asks for: all it can take, less and less towards full."""
    if vehicle.soc <= _TAPER_FROM:
        return vehicle.power_kw
    return vehicle.power_kw * max(0.1, 1.0 - 0.9 * (vehicle.soc - _TAPER_FROM) / (1.0 - _TAPER_FROM))


def wanted(piles: Piles, vehicle: Vehicle, hours: float) -> float:
    """What a vehicle would draw for so long, kW."""
    need = max(0.0, vehicle.target - vehicle.soc) * vehicle.capacity_kwh / EFFICIENCY / hours
    return min(piles.power_kw, demand_kw(vehicle), need)


def charge(piles: Piles, yard: Yard, hours: float, each_kw: float, total_kw: float) -> tuple[Yard, float]:
    """All vehicles charge for so long, none over `each_kw`, together not over `total_kw`, shared by what they want; and what
    they draw."""
    asked = [0.0 if one is None else min(wanted(piles, one, hours), each_kw) for one in yard.stalls]
    total = math.fsum(asked)
    if total <= 0.0 and all(one is None or one.kw == 0.0 for one in yard.stalls):
        return yard, 0.0
    share = min(1.0, max(0.0, total_kw) / total) if total > 0.0 else 0.0
    stalls = tuple(
        None if one is None else _fuller(one, kw * share, hours) for one, kw in zip(yard.stalls, asked, strict=True)
    )
    drawn = total * share
    energy = drawn * hours
    return (
        Yard(
            stalls, yard.queue, yard.served, yard.turned_away, yard.kwh + energy * EFFICIENCY, yard.drawn_kwh + energy
        ),
        drawn,
    )


def turn(piles: Piles, yard: Yard, seed: int, start: float, end: float, utc_offset_s: float) -> Yard:
    """Who has left and who has come by `end`; arrivals are those of the quarter hours that begin from `start` to before it."""
    if not piles.count:
        return yard
    first = math.ceil(start / BLOCK_S)
    comers = [
        vehicle
        for window in range(first, math.ceil(end / BLOCK_S))
        for vehicle in arrivals(piles, seed, window, utc_offset_s)
    ]
    stalls = [None if one is None or one.soc >= one.target - 1e-9 or one.until <= end else one for one in yard.stalls]
    stalls += [None] * (piles.count - len(stalls))
    if not comers and len(stalls) == len(yard.stalls) and all(a is b for a, b in zip(stalls, yard.stalls, strict=True)):
        return yard
    served = yard.served + sum(a is not None and b is None for a, b in zip(yard.stalls, stalls, strict=False))
    queue = [one for one in yard.queue if one.until > end] + comers
    for n, one in enumerate(stalls):
        if one is None and queue:
            stalls[n] = queue.pop(0)
    room = QUEUE_PER_PILE * piles.count
    return Yard(
        tuple(stalls), tuple(queue[:room]), served, yard.turned_away + len(queue[room:]), yard.kwh, yard.drawn_kwh
    )


def arrivals(piles: Piles, seed: int, window: int, utc_offset_s: float) -> list[Vehicle]:
    """Who comes in a quarter hour (counted since 1970)."""
    at = window * BLOCK_S
    mean = piles.vehicles_per_day * _ARRIVALS[int((at + utc_offset_s) % 86_400.0 // 3600.0)] / 4.0
    number = int(mean + unit(seed ^ 0x91, window))
    return [_vehicle(seed ^ 0x92, window * 64 + n, at) for n in range(min(number, 64))]


def _vehicle(seed: int, number: int, at: float) -> Vehicle:
    one, two, three = (unit(seed + n, number) for n in range(3))
    return Vehicle(
        capacity_kwh=(45.0, 60.0, 75.0, 90.0)[int(one * 4)],
        soc=0.1 + 0.5 * two,
        target=0.8 + 0.2 * three,
        power_kw=(7.0, 60.0, 90.0, 120.0)[int(three * 4)],
        until=at + _STAY_S * (0.25 + 0.75 * one),
    )


def _fuller(one: Vehicle, kw: float, hours: float) -> Vehicle:
    gained = kw * hours * EFFICIENCY
    return Vehicle(
        one.capacity_kwh, one.soc + gained / one.capacity_kwh, one.target, one.power_kw, one.until, kw, one.kwh + gained
    )
