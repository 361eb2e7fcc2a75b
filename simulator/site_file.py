"""SITE.toml: the site that a strategy is tried on, and what its electricity costs. Units stand in the names."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.errors import Invalid
from schemas.explain import explain
from simulator.battery import Battery, lfp
from simulator.piles import Piles
from simulator.site import TARIFF, Spec

PERIODS = ("sharp", "peak", "flat", "valley")

Amount = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Period = Literal["sharp", "peak", "flat", "valley"]


class Place(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it stands; `utc_offset_h` is its clock all year."""

    latitude: Annotated[float, Meta(ge=-90, le=90)] = 31.2
    longitude: Annotated[float, Meta(ge=-180, le=180)] = 121.5
    utc_offset_h: Annotated[float, Meta(ge=-12, le=14, multiple_of=0.25)] = 8.0


class Load(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the building draws: always `base_kw`, on a working day up to `swing_kw` more. `phases`: shares of the three."""

    base_kw: Amount = 60.0
    swing_kw: Amount = 240.0
    power_factor: Annotated[float, Meta(ge=0.1, le=1)] = 0.95
    phases: tuple[Share, Share, Share] = (0.338, 0.331, 0.331)


class Photovoltaics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PV, lying flat."""

    peak_kw: Amount = 150.0


class Storage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The storage: equal cabinets, figures of one. `soc`: at the start."""

    cabinets: Annotated[int, Meta(ge=1, le=64)] = 2
    cabinet_kwh: Annotated[float, Meta(gt=0, le=1e6)] = 104.5
    cabinet_kw: Annotated[float, Meta(gt=0, le=1e6)] = 50.0
    soc: Share = 0.5
    soc_min: Share = 0.08
    soc_max: Share = 0.96


class ChargingPiles(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The charging piles."""

    count: Annotated[int, Meta(ge=0, le=200)] = 0
    power_kw: Annotated[float, Meta(gt=0, le=1e4)] = 60.0
    vehicles_per_day: Annotated[float, Meta(ge=0, le=5000)] = 0.0


class Prices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time-of-use tariff: the period of each hour, prices of a kWh by period and of one fed back, and of a kW of each month's
    highest quarter hour."""

    hours: Annotated[list[Period], Meta(min_length=24, max_length=24)] = msgspec.field(
        default_factory=lambda: [PERIODS[period] for period in TARIFF]  # type: ignore[misc]
    )
    sharp: Amount = 1.25
    peak: Amount = 1.05
    flat: Amount = 0.65
    valley: Amount = 0.30
    export: Amount = 0.39
    demand_kw_month: Amount = 40.0
    currency: Annotated[str, Meta(max_length=16)] = "CNY"

    @property
    def kwh(self) -> tuple[float, float, float, float]:
        """Prices of a kWh by period."""
        return self.sharp, self.peak, self.flat, self.valley


class SiteFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole SITE.toml. Every table and every key may be left out. `start`: the first local day."""

    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1
    start: date = date(2025, 1, 1)
    transformer_kva: Annotated[float, Meta(gt=0, le=1e9)] = 500.0
    place: Place = Place()
    load: Load = Load()
    pv: Photovoltaics = Photovoltaics()
    storage: Storage = Storage()
    piles: ChargingPiles = ChargingPiles()
    prices: Prices = Prices()

    def __post_init__(self) -> None:
        storage = self.storage
        if not storage.soc_min < storage.soc_max:
            raise ValueError("field 'storage' has a soc_min that is not below its soc_max")
        if not storage.soc_min <= storage.soc <= storage.soc_max:
            raise ValueError("field 'storage' has a soc that is not from soc_min to soc_max")
        if abs(sum(self.load.phases) - 1.0) > 0.01:
            raise ValueError("field 'load' has phases that do not add up to 1")
        if not 1971 <= self.start.year <= 2200:
            raise ValueError("field 'start' is a day of the years 1971 to 2200")

    @property
    def start_s(self) -> float:
        """Epoch seconds of its first local midnight."""
        return datetime.combine(self.start, time(), UTC).timestamp() - self.place.utc_offset_h * 3600.0

    def spec(self) -> Spec:
        """The site as the simulation takes it: cabinets with real losses and age, no faults by chance."""
        return Spec(
            seed=self.seed,
            base_kw=self.load.base_kw,
            swing_kw=self.load.swing_kw,
            pv_peak_kw=self.pv.peak_kw,
            battery=self._battery(),
            latitude=self.place.latitude,
            longitude=self.place.longitude,
            utc_offset_s=self.place.utc_offset_h * 3600.0,
            transformer_kva=self.transformer_kva,
            power_factor=self.load.power_factor,
            tariff=tuple(PERIODS.index(name) for name in self.prices.hours),
            phases=self.load.phases,
            piles=Piles(self.piles.count, self.piles.power_kw, self.piles.vehicles_per_day),
        )

    def _battery(self) -> Battery:
        here = self.storage
        whole = lfp(here.cabinets * here.cabinet_kwh, here.cabinets * here.cabinet_kw, here.cabinets)
        return msgspec.structs.replace(whole, soc_min=here.soc_min, soc_max=here.soc_max)


def site_of(tables: Mapping[str, Any]) -> SiteFile:
    """The site that is written down. Raise Invalid, with a JSON path from `$`."""
    try:
        return msgspec.convert(dict(tables), SiteFile)
    except msgspec.ValidationError as error:
        raise explain(error, SiteFile) from None


def parse_site(text: str) -> SiteFile:
    """A SITE.toml. Raise Invalid."""
    try:
        return site_of(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Invalid("invalid", "", f"no TOML: {error}") from None
