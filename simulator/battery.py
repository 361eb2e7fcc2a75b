"""Storage cabinets: what they can take and give, what it costs, how warm they get, how they age. Pure.

Powers are kW and positive when charging, at the grid's side (AC) or the cells' (DC); energies kWh; temperatures °C. Losses of a
running converter follow its load: a standing part, a linear part (the efficiencies) and one that grows with the square.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import msgspec

COP = 3.0
"""Heat that cooling or heating moves for a unit of electricity."""
_AIR_SHARE = 0.06
"""Heat that a cabinet's air conditioning can move, as a share of the rated power."""
_HEAT_KWH_K = 0.004
"""Heat that warms a kWh of cells and their cabinet by 1 °C."""
_WALL_KW_K = 0.0003
"""Heat that leaves through the walls for a kWh of cells and 1 °C."""
_CELL_SHARE = 0.6
"""Share of the losses that warms the cells; the rest leaves with the converter's air."""
_HOTTEST_K = 200.0
"""Above 25 °C; cells that are hotter age no faster."""
_YEAR_H = 8766.0
_TOLERANCE = 1e-6

Steps: TypeAlias = tuple[tuple[float, float, float], ...]
"""Charge depth: (state of charge 0 to 1, cell voltage V, power kW of a cabinet); 0 for what is not configured."""


class Battery(msgspec.Struct, frozen=True, gc=False):
    """Storage of a site: `cabinets` equal cabinets. Figures are of the whole site. As written here it has flat efficiencies
    and does not age; `lfp` is a real one.

    standby_share: loss of a running converter, copper_share: loss at full power that grows with the square of it, both as
    shares of the rated power. calendar_fade: share of the capacity that goes in a year at 25 °C; cycle_fade: in a full cycle.
    """

    capacity_kwh: float
    power_kw: float
    cabinets: int = 1
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    soc_min: float = 0.08
    soc_max: float = 0.96
    standby_share: float = 0.0
    copper_share: float = 0.0
    calendar_fade: float = 0.0
    cycle_fade: float = 0.0


def lfp(capacity_kwh: float, power_kw: float, cabinets: int) -> Battery:
    """Lithium iron phosphate behind a converter: 94 % one way at half power, 92 % at full; 80 % of the capacity after some 5,500
    cycles or 13 years."""
    return Battery(
        capacity_kwh,
        power_kw,
        cabinets,
        0.965,
        0.965,
        standby_share=0.006,
        copper_share=0.03,
        calendar_fade=0.015,
        cycle_fade=0.000036,
    )


class Setting(msgspec.Struct, frozen=True, gc=False):
    """What one cabinet was told: whether its converter runs, whether it obeys the EMS, whether the battery's contactor is
    closed, and what its air conditioning keeps."""

    running: bool = True
    remote: bool = True
    closed: bool = True
    cooled: bool = True
    cooling_c: float = 25.0
    heating_c: float = 15.0

    @property
    def works(self) -> bool:
        """Whether it can do anything for the EMS."""
        return self.running and self.remote and self.closed


class Pack(msgspec.Struct, frozen=True, gc=False):
    """One cabinet. `share`: of the energy in all of them. `air_kw`: heat that its air conditioning takes out (negative: puts in).
    `day`: the four counters at the start of the local day."""

    share: float
    temp_c: float = 25.0
    soh: float = 1.0
    ac_kw: float = 0.0
    dc_kw: float = 0.0
    air_kw: float = 0.0
    ac_charged_kwh: float = 0.0
    ac_discharged_kwh: float = 0.0
    dc_charged_kwh: float = 0.0
    dc_discharged_kwh: float = 0.0
    day: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def counters(self) -> tuple[float, float, float, float]:
        """Charged and discharged, AC then DC, kWh since they were last reset."""
        return self.ac_charged_kwh, self.ac_discharged_kwh, self.dc_charged_kwh, self.dc_discharged_kwh


def fresh(battery: Battery) -> tuple[Pack, ...]:
    """New cabinets with equal shares."""
    return (Pack(1.0 / battery.cabinets),) * battery.cabinets


def limits(
    battery: Battery, pack: Pack, energy: float, hours: float, cap_kw: float, depth: tuple[Steps, Steps]
) -> tuple[float, float]:
    """What a cabinet with `energy` in it can give and take for so long, AC kW, both 0 or more: its rating or `cap_kw`, its
    temperature, the energy that it has or has room for, and the steps of the charge depth (`depth`: charging, discharging)."""
    rated = min(battery.power_kw / battery.cabinets, cap_kw)
    capacity = battery.capacity_kwh / battery.cabinets * pack.soh
    soc = energy / capacity
    top, bottom = battery.soc_max, battery.soc_min
    take = rated * charge_share(pack.temp_c)
    give = rated * discharge_share(pack.temp_c)
    if depth[0]:
        top, take = _charge_step(depth[0], soc, top, take)
    if depth[1]:
        bottom, give = _discharge_step(depth[1], soc, bottom, give)
    return (
        min(give, _given(battery, max(0.0, energy - bottom * capacity) / hours)),
        min(take, _taken(battery, max(0.0, top * capacity - energy) / hours)),
    )


def direct_kw(battery: Battery, ac_kw: float) -> float:
    """Power at the cells of one cabinet for a power at its grid side."""
    if ac_kw == 0.0:
        return 0.0
    rated = battery.power_kw / battery.cabinets
    loss = (battery.standby_share + battery.copper_share * (ac_kw / rated) ** 2) * rated
    if ac_kw > 0.0:
        return max(0.0, ac_kw * battery.charge_efficiency - loss)
    return ac_kw / battery.discharge_efficiency - loss


def run(
    battery: Battery, pack: Pack, energy: float, ac_kw: float, outside_c: float, hours: float, told: Setting
) -> tuple[Pack, float]:
    """The cabinet after running at `ac_kw` for so long, and the energy in it. Its `share` is the old one."""
    capacity = battery.capacity_kwh / battery.cabinets
    dc_kw = direct_kw(battery, ac_kw)
    moved = dc_kw * hours
    temp_c, air_kw = _warmth(battery, pack.temp_c, (ac_kw - dc_kw) * _CELL_SHARE, outside_c, hours, told)
    soh = pack.soh
    if battery.calendar_fade or battery.cycle_fade:
        older = battery.calendar_fade * hours / _YEAR_H * 2.0 ** (min(pack.temp_c - 25.0, _HOTTEST_K) / 10.0)
        soh = max(0.1, soh - older - battery.cycle_fade * abs(moved) / (2.0 * capacity))
    a, b, c, d = pack.ac_charged_kwh, pack.ac_discharged_kwh, pack.dc_charged_kwh, pack.dc_discharged_kwh
    if ac_kw >= 0.0:
        a, c = a + ac_kw * hours, c + moved
    else:
        b, d = b - ac_kw * hours, d - moved
    return Pack(pack.share, temp_c, soh, ac_kw, dc_kw, air_kw, a, b, c, d, pack.day), max(0.0, energy + moved)


def shared(pack: Pack, share: float) -> Pack:
    """The cabinet with another share of the energy."""
    return Pack(
        share, pack.temp_c, pack.soh, pack.ac_kw, pack.dc_kw, pack.air_kw,
        pack.ac_charged_kwh, pack.ac_discharged_kwh, pack.dc_charged_kwh, pack.dc_discharged_kwh, pack.day,
    )  # fmt: skip


def new_day(packs: tuple[Pack, ...]) -> tuple[Pack, ...]:
    """The cabinets at the start of a day. Cabinets that are alike are one object, before and after: they are stepped once."""
    alike: dict[int, Pack] = {}
    for pack in packs:
        if id(pack) not in alike:
            alike[id(pack)] = msgspec.structs.replace(pack, day=pack.counters)
    return tuple(alike[id(pack)] for pack in packs)


def charge_share(temp_c: float) -> float:
    """Share of the rating that cells may take: nothing at or below 0 °C and at 55 °C, all from 10 to 45 °C."""
    return _trapeze(temp_c, 0.0, 10.0, 45.0, 55.0)


def discharge_share(temp_c: float) -> float:
    """Share of the rating that cells may give: nothing at -20 °C and at 60 °C, all from -10 to 50 °C."""
    return _trapeze(temp_c, -20.0, -10.0, 50.0, 60.0)


def cell_voltage(soc: float) -> float:
    """Open-circuit voltage of an LFP cell: flat in the middle, steep at both ends."""
    return 3.20 + 0.14 * soc + 0.10 * math.exp(-(1.0 - soc) / 0.04) - 0.35 * math.exp(-soc / 0.04)


def _trapeze(x: float, a: float, b: float, c: float, d: float) -> float:
    if b <= x <= c:
        return 1.0
    return max(0.0, (x - a) / (b - a) if x < b else (d - x) / (d - c))


def _charge_step(steps: Steps, soc: float, top: float, power: float) -> tuple[float, float]:
    """Up to where and how fast: a step that is reached limits the power, the next one ends the charge until it is reached."""
    cell = 0.0
    for at, volts, limit in steps:
        if volts and not cell:
            cell = cell_voltage(soc)
        if (at and soc >= at - _TOLERANCE) or (volts and cell >= volts):
            power = min(power, max(0.0, limit))
        elif at:
            top = min(top, at)
    return top, power


def _discharge_step(steps: Steps, soc: float, bottom: float, power: float) -> tuple[float, float]:
    cell = 0.0
    for at, volts, limit in steps:
        if volts and not cell:
            cell = cell_voltage(soc)
        if (at and soc <= at + _TOLERANCE) or (volts and cell <= volts):
            power = min(power, max(0.0, limit))
        elif at:
            bottom = max(bottom, at)
    return bottom, power


def _taken(battery: Battery, dc_kw: float) -> float:
    """AC power that charges the cells with `dc_kw`: `direct_kw` turned round."""
    if dc_kw <= 0.0:
        return 0.0
    rated = battery.power_kw / battery.cabinets
    square, standing, share = battery.copper_share / rated, battery.standby_share * rated, battery.charge_efficiency
    if not square:
        return (dc_kw + standing) / share
    inside = share * share - 4.0 * square * (dc_kw + standing)
    return math.inf if inside <= 0.0 else (share - math.sqrt(inside)) / (2.0 * square)


def _given(battery: Battery, dc_kw: float) -> float:
    """AC power, 0 or more, that takes `dc_kw` out of the cells."""
    rated = battery.power_kw / battery.cabinets
    square, left = battery.copper_share / rated, dc_kw - battery.standby_share * rated
    if left <= 0.0:
        return 0.0
    share = battery.discharge_efficiency
    if not square:
        return left * share
    return (math.sqrt(1.0 / (share * share) + 4.0 * square * left) - 1.0 / share) / (2.0 * square)


def _warmth(
    battery: Battery, temp_c: float, heat_kw: float, outside_c: float, hours: float, told: Setting
) -> tuple[float, float]:
    """Temperature after so long, and the heat that the air conditioning moved on average. The exact solution of one heat capacity
    behind a wall, so that it is stable at any step."""
    cells = battery.capacity_kwh / battery.cabinets
    wall = _WALL_KW_K * cells
    kept = math.exp(-hours * wall / (_HEAT_KWH_K * cells))
    rest = outside_c + heat_kw / wall
    free = rest + (temp_c - rest) * kept
    if not told.cooled or told.heating_c <= free <= told.cooling_c:
        return free, 0.0
    strength = (1.0 - kept) / wall
    most = _AIR_SHARE * battery.power_kw / battery.cabinets
    air = (free - (told.cooling_c if free > told.cooling_c else told.heating_c)) / strength if strength else 0.0
    air = min(max(air, -most), most)
    return free - air * strength, air
