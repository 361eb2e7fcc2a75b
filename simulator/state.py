"""What a site is and how it is at one instant, as plain values. Units and signs are those of `simulator.site`."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from simulator.battery import Battery, Pack, Setting, fresh
from simulator.meter import FLAT, PEAK, SHARP, VALLEY, Meter
from simulator.piles import Piles, Yard
from simulator.plan import Plan

TARIFF = (
    (VALLEY,) * 8 + (FLAT, FLAT, PEAK, PEAK) + (FLAT,) * 3 + (PEAK,) * 3 + (SHARP, SHARP, SHARP, PEAK) + (FLAT, FLAT)
)
"""The tariff period of each local hour: sharp, peak, flat, valley."""

GATEWAY, STORAGE, PV, LOAD, PILES, BUILDING = range(6)
"""Places of a site's meters in `State.meters`. The load is what piles and building draw."""

_AS_DELIVERED = Setting()
_NEW = Meter()


class Spec(msgspec.Struct, frozen=True, cache_hash=True):
    """What a site is built of; never changes. `tariff`: the period of each local hour. `phases`: which share of the load is on
    each. `fault_share`: share of half hours in which each of `protection.FAULTS` is there."""

    seed: int
    base_kw: float
    swing_kw: float
    pv_peak_kw: float
    battery: Battery
    latitude: float = 31.2
    longitude: float = 121.5
    utc_offset_s: float = 28_800.0
    transformer_kva: float = 1000.0
    power_factor: float = 0.95
    tariff: tuple[int, ...] = TARIFF
    phases: tuple[float, float, float] = (0.338, 0.331, 0.331)
    piles: Piles = Piles()
    fault_share: float = 0.0


class Marks(msgspec.Struct, frozen=True):
    """Register readings at the start of the local day, month and year, for the energies "today", "this month"."""

    day: int
    month: int
    year: int
    charged_kwh: float = 0.0
    discharged_kwh: float = 0.0
    dc_charged_kwh: float = 0.0
    dc_discharged_kwh: float = 0.0
    pv_day_kwh: float = 0.0
    pv_month_kwh: float = 0.0
    pv_year_kwh: float = 0.0


class State(msgspec.Struct, frozen=True):
    """A site at one instant. Powers are those of the step that ended there.

    `load_kw` is building, piles and the air conditioning of the cabinets; `packs` share `energy_kwh`; `phases` are the three of
    the gateway, `kvar` what the converters give of reactive power, `faults` what is wrong since when. `held`: what the storage
    keeps for limits to come, by quarter hours of the day `outlook_day`.
    """

    spec: Spec
    at: float
    marks: Marks
    plan: Plan = Plan()
    load_kw: float = 0.0
    pv_kw: float = 0.0
    storage_kw: float = 0.0
    energy_kwh: float = 0.0
    dc_charged_kwh: float = 0.0
    dc_discharged_kwh: float = 0.0
    meters: tuple[Meter, Meter, Meter, Meter, Meter, Meter] = (_NEW, _NEW, _NEW, _NEW, _NEW, _NEW)
    phases: tuple[Meter, Meter, Meter] = (_NEW, _NEW, _NEW)
    packs: tuple[Pack, ...] = ()
    yard: Yard = Yard()
    pile_kw: float = 0.0
    curtailed_kw: float = 0.0
    kvar: float = 0.0
    faults: tuple[tuple[str, float], ...] = ()
    outlook_day: int = 0
    held: tuple[float, ...] = ()

    @property
    def soc(self) -> float:
        """State of charge, 0 to 1, of what capacity is left: 1 too where a full one has lost some of it."""
        return min(1.0, self.energy_kwh / (self.spec.battery.capacity_kwh * self.soh))

    @property
    def soh(self) -> float:
        """State of health of the whole storage, 0 to 1."""
        return sum(pack.soh for pack in self.packs) / len(self.packs)

    @property
    def gateway_kw(self) -> float:
        """Import at the gateway, kW; negative when the site feeds back."""
        return self.meters[GATEWAY].power_kw

    def pack_soc(self, place: int) -> float:
        """State of charge of one cabinet."""
        battery, pack = self.spec.battery, self.packs[place]
        return min(1.0, self.energy_kwh * pack.share / (battery.capacity_kwh / battery.cabinets * pack.soh))

    def setting(self, place: int) -> Setting:
        """What one cabinet was told."""
        told = self.plan.settings
        return told[place] if place < len(told) else _AS_DELIVERED


def begin(spec: Spec, at: float, soc: float = 0.5, plan: Plan | None = None) -> State:
    """A site that wakes at `at`, its registers at zero."""
    local = local_time(spec, at)
    marks = Marks(local.toordinal(), local.month, local.year)
    packs = fresh(spec.battery)
    return State(spec, at, marks, plan or Plan(), energy_kwh=soc * spec.battery.capacity_kwh, packs=packs)


def replan(state: State, plan: Plan) -> State:
    """The same site under another plan."""
    return msgspec.structs.replace(state, plan=plan, outlook_day=0)


def reset(state: State, place: int, charged: bool, discharged: bool) -> State:
    """The same site, counters of one cabinet at zero."""
    pack = state.packs[place]
    if charged:
        pack = msgspec.structs.replace(
            pack, ac_charged_kwh=0.0, dc_charged_kwh=0.0, day=(0.0, pack.day[1], 0.0, pack.day[3])
        )
    if discharged:
        pack = msgspec.structs.replace(
            pack, ac_discharged_kwh=0.0, dc_discharged_kwh=0.0, day=(pack.day[0], 0.0, pack.day[2], 0.0)
        )
    return msgspec.structs.replace(state, packs=(*state.packs[:place], pack, *state.packs[place + 1 :]))


def local_time(spec: Spec, at: float) -> datetime:
    """The site's own time, as if it were UTC."""
    return datetime.fromtimestamp(at + spec.utc_offset_s, UTC)


def demand_limit(state: State, month: int | None = None) -> float | None:
    """The import limit that the EMS keeps now, kW, or in the month (1 to 12) that comes next."""
    gateway = state.meters[GATEWAY]
    if month in (None, state.marks.month):
        return state.plan.demand_limit(state.marks.month, gateway.demand_forward_kw, gateway.last_demand_kw)
    return state.plan.demand_limit(month, 0.0, gateway.demand_forward_kw)
