"""SITE.toml: the site that a strategy is tried on, and what its electricity costs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

import msgspec

from schemas.errors import Invalid
from schemas.evaluation import PERIODS, EvaluationSite
from schemas.explain import explain
from simulator.battery import Battery, lfp
from simulator.piles import Piles
from simulator.site import Spec


class SiteFile(EvaluationSite, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole SITE.toml, as the simulation takes it."""

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
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Invalid("invalid", "", f"no TOML: {error}") from None
