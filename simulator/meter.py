"""A meter: power, registers by tariff period and direction, and the highest quarter-hour demand of the month. Pure.

Energies are kWh, powers kW, times epoch seconds. All figures are primary ones: what the meter's
own transformers (`Identity.ct`) leave of them is multiplied by their ratios before it is told.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

BLOCK_S = 900.0
"""Demand is the mean of a quarter of an hour, aligned to the clock."""
BLOCK_H = BLOCK_S / 3600.0

SHARP, PEAK, FLAT, VALLEY = range(4)

Registers: TypeAlias = tuple[float, float, float, float]
"""kWh by tariff period: sharp, peak, flat, valley."""


class Meter(msgspec.Struct, frozen=True):
    """A meter. `forward` and `reverse` only grow; the demands are those of the local month so far, `last_demand_kw` is the
    highest forward one of the month before."""

    power_kw: float = 0.0
    forward: Registers = (0.0, 0.0, 0.0, 0.0)
    reverse: Registers = (0.0, 0.0, 0.0, 0.0)
    block_forward: float = 0.0
    block_reverse: float = 0.0
    demand_forward_kw: float = 0.0
    demand_forward_at: int = 0
    demand_reverse_kw: float = 0.0
    demand_reverse_at: int = 0
    last_demand_kw: float = 0.0


def count(meter: Meter, power: float, period: int, hours: float, at: float) -> Meter:
    """The meter after a step of `hours` at `power` that ends `at`. Its energy is booked under one period; every block that ends
    in the step has its share of it."""
    forward, reverse = meter.forward, meter.reverse
    energy = power * hours
    if energy >= 0:
        forward = _book(forward, period, energy)
        into, out = power, 0.0
    else:
        reverse = _book(reverse, period, -energy)
        into, out = 0.0, -power
    first = math.floor((at - hours * 3600.0) / BLOCK_S + 1.0) * BLOCK_S
    if first > at:
        return Meter(
            power, forward, reverse, meter.block_forward + into * hours, meter.block_reverse + out * hours,
            meter.demand_forward_kw, meter.demand_forward_at, meter.demand_reverse_kw, meter.demand_reverse_at,
            meter.last_demand_kw,
        )  # fmt: skip
    blocks = math.floor(at / BLOCK_S) * BLOCK_S
    late = (at - blocks) / 3600.0
    early = hours - (at - first) / 3600.0
    top, top_at = _higher(
        meter.demand_forward_kw, meter.demand_forward_at, meter.block_forward + into * early, into, first, blocks
    )
    low, low_at = _higher(
        meter.demand_reverse_kw, meter.demand_reverse_at, meter.block_reverse + out * early, out, first, blocks
    )
    return Meter(
        power, forward, reverse, into * late, out * late, top, top_at, low, low_at, meter.last_demand_kw
    )  # fmt: skip


def turn_month(meter: Meter) -> Meter:
    """The meter at the start of a month: its highest demands begin anew."""
    return Meter(
        meter.power_kw,
        meter.forward,
        meter.reverse,
        meter.block_forward,
        meter.block_reverse,
        last_demand_kw=meter.demand_forward_kw,
    )


def _higher(top: float, top_at: int, energy: float, power: float, first: float, last: float) -> tuple[float, int]:
    """The higher of a demand and those of the blocks that end from `first` to `last`: one with `energy`, others at `power`."""
    if energy / BLOCK_H > top:
        top, top_at = energy / BLOCK_H, int(first)
    if last > first and power > top:
        top, top_at = power, int(first + BLOCK_S)
    return top, top_at


def _book(registers: Registers, period: int, energy: float) -> Registers:
    a, b, c, d = registers
    if period == SHARP:
        return (a + energy, b, c, d)
    if period == PEAK:
        return (a, b + energy, c, d)
    if period == FLAT:
        return (a, b, c + energy, d)
    return (a, b, c, d + energy)
