"""What the EMS of a site was told, as plain values: limits, schedules, protection, what every cabinet was set to. Pure."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import msgspec

from simulator.battery import Setting, Steps


class Order(msgspec.Struct, frozen=True, cache_hash=True):
    """A slot of a schedule: from minute `start` to minute `end` of the days that it is for, at `kw`. For storage that is the
    power of all `cabinets` together (None: every cabinet; positive: charge), for PV what it may deliver, for piles what each may
    draw. Months, weekdays (0 = Monday) and dates count from 0; None is any."""

    start: int
    end: int
    kw: float
    months: frozenset[int]
    week_days: frozenset[int] | None = None
    dates: frozenset[int] | None = None
    year: int | None = None
    cabinets: frozenset[int] | None = None

    def holds(self, local: datetime) -> bool:
        """Whether it is for this moment."""
        return (
            self.start <= local.hour * 60 + local.minute < self.end
            and local.month - 1 in self.months
            and (self.week_days is None or local.weekday() in self.week_days)
            and (self.dates is None or local.day - 1 in self.dates)
            and self.year in (None, local.year)
        )


class Safety(msgspec.Struct, frozen=True, gc=False):
    """What stops the storage (True) and after how long; `bms_2_kw` is left to a cabinet with a level-2 alarm of its battery,
    where that is on."""

    bms_3: bool = True
    bms_2: bool = True
    bms_2_kw: float = 25.0
    fire_control: bool = True
    flooding: bool = True
    aircon: bool = True
    aircon_mins: float = 10.0
    temp: bool = True
    temp_celsius: float = 45.0
    grounded: bool = False
    grounded_mins: float = 5.0
    meter_offline_power0: bool = True
    meter_offline_mins: float = 5.0


class Grid(msgspec.Struct, frozen=True, gc=False):
    """What the converters keep with reactive power: the power factor at the gateway, its voltage (V). None: nothing."""

    power_factor: float | None = None
    volts_low: float | None = None
    volts_high: float | None = None


class Plan(msgspec.Struct, frozen=True):
    """What the EMS was told.

    demand_kw: twelve monthly import limits, January first. export_kw bounds what flows back in all, phase_export_kw in each
    phase. dynamic_share: where this share of the highest demand of the month is higher than the monthly limit, it is the limit;
    without monthly limits it alone is, of the higher of this month's and the last one's. The first of `orders` that holds for a
    cabinet says what it does, within those limits. charge_steps, discharge_steps: the charge depth. settings: of each cabinet,
    () as delivered. faults: those of `protection.FAULTS` that are there. regulation: whether it follows instructions of the grid.
    """

    demand_kw: tuple[float, ...] | None = None
    export_kw: float | None = None
    orders: tuple[Order, ...] = ()
    phase_export_kw: float | None = None
    dynamic_share: float | None = None
    pv_orders: tuple[Order, ...] = ()
    pile_orders: tuple[Order, ...] = ()
    charge_steps: Steps = ()
    discharge_steps: Steps = ()
    safety: Safety = Safety()
    grid: Grid = Grid()
    settings: tuple[Setting, ...] = ()
    faults: frozenset[str] = frozenset()
    regulation: bool = False

    def demand_limit(self, month: int, this_month_kw: float, last_month_kw: float) -> float | None:
        """The import limit in a month (1 to 12) whose highest demand so far, and that of the month before, are these."""
        fixed = None if self.demand_kw is None else self.demand_kw[month - 1]
        if self.dynamic_share is None:
            return fixed
        reference = this_month_kw if fixed is not None else max(this_month_kw, last_month_kw)
        followed = reference * self.dynamic_share
        if fixed is None:
            return followed or None
        return max(fixed, followed)


@lru_cache(maxsize=256)
def edges(*schedules: tuple[Order, ...]) -> tuple[float, ...]:
    """Seconds of the day at which a slot begins or ends between two quarter hours."""
    minutes = {minute for orders in schedules for order in orders for minute in (order.start, order.end)}
    return tuple(60.0 * minute for minute in sorted(minutes) if minute % 15)


def holding(orders: tuple[Order, ...], local: datetime) -> Order | None:
    """The first that holds."""
    return next((order for order in orders if order.holds(local)), None)
