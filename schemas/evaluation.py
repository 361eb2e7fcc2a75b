"""The site that a strategy is tried on: SITE.toml of docs/simulator.md, and `site` of POST /api/v1/evaluate. Units stand in the
names.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

Period = Literal["sharp", "peak", "flat", "valley"]
PERIODS: Final[tuple[Period, ...]] = ("sharp", "peak", "flat", "valley")

HOURS: Final[tuple[Period, ...]] = (
    *("valley",) * 8, "flat", "flat", "peak", "peak", "flat", "flat", "flat", "peak", "peak", "peak", "sharp", "sharp", "sharp",
    "peak", "flat", "flat",
)  # fmt: skip
"""Periods of the hours of a day, as they are unless a site says otherwise."""

Amount = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]


class SitePlace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it stands; `utc_offset_h` is its clock all year."""

    latitude: Annotated[float, Meta(ge=-90, le=90)] = 31.2
    longitude: Annotated[float, Meta(ge=-180, le=180)] = 121.5
    utc_offset_h: Annotated[float, Meta(ge=-12, le=14, multiple_of=0.25)] = 8.0


class SiteLoad(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the building draws: always `base_kw`, on a working day up to `swing_kw` more. `phases`: shares of the three."""

    base_kw: Amount = 60.0
    swing_kw: Amount = 240.0
    power_factor: Annotated[float, Meta(ge=0.1, le=1)] = 0.95
    phases: tuple[Share, Share, Share] = (0.338, 0.331, 0.331)


class SitePhotovoltaics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PV, lying flat."""

    peak_kw: Amount = 150.0


class SiteStorage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The storage: equal cabinets, figures of one. `soc`: at the start."""

    cabinets: Annotated[int, Meta(ge=1, le=64)] = 2
    cabinet_kwh: Annotated[float, Meta(ge=0.01, le=1e6)] = 104.5
    cabinet_kw: Annotated[float, Meta(ge=0.01, le=1e6)] = 50.0
    soc: Share = 0.5
    soc_min: Share = 0.08
    soc_max: Share = 0.96


class SitePiles(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The charging piles."""

    count: Annotated[int, Meta(ge=0, le=200)] = 0
    power_kw: Annotated[float, Meta(ge=0.01, le=1e4)] = 60.0
    vehicles_per_day: Annotated[float, Meta(ge=0, le=5000)] = 0.0


class SitePrices(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time-of-use tariff: the period of each hour, prices of a kWh by period and of one fed back, and of a kW of each month's
    highest quarter hour."""

    hours: Annotated[list[Period], Meta(min_length=24, max_length=24)] = msgspec.field(default_factory=lambda: [*HOURS])
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


class EvaluationSite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole SITE.toml. Every table and every key may be left out. `start`: the first local day."""

    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1
    start: date = date(2025, 1, 1)
    transformer_kva: Annotated[float, Meta(ge=0.01, le=1e9)] = 500.0
    place: SitePlace = SitePlace()
    load: SiteLoad = SiteLoad()
    pv: SitePhotovoltaics = SitePhotovoltaics()
    storage: SiteStorage = SiteStorage()
    piles: SitePiles = SitePiles()
    prices: SitePrices = SitePrices()

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


EXAMPLES: Final[list[Any]] = [
    {
        "over_demand_status": 1, "over_demand_condition": [160] * 12, "streaming_status": 1, "streaming_condition": 10,
        "individual_phase_streaming_status": 2, "dynamic_demand_percentage": 100, "ele_meter_id": 9,
    },
    {"feature": "pcs_control", "action": "set", "data": {"pcs_device_stop": 1}, "sub_device_id": 2},
]  # fmt: skip
"""Strategies, for the documents."""
