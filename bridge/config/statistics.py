"""[statistics]: the settings of /dashboard and /charts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from schemas.points import DRAWN

CLOCK = r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"


class TariffPeriod(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price at some times of the day."""

    price: Annotated[float, Meta(ge=-1e6, le=1e6, description="of a kWh in this time")]
    start: Annotated[str, Meta(pattern=CLOCK, description="HH:MM on the wall clock, included")] = "00:00"
    end: Annotated[
        str,
        Meta(pattern=CLOCK, description="HH:MM, not included; `24:00` ends the day, what goes on is another period"),
    ] = "24:00"
    months: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=12)], ...],
        Meta(description="months, 1 to 12, in which it holds; empty for all"),
    ] = ()
    weekdays: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=7)], ...],
        Meta(description="weekdays, 1 (Monday) to 7 (Sunday), on which it holds; empty for all"),
    ] = ()


class Statistics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Statistics of equipment: /dashboard and /charts."""

    timezone: Annotated[
        str, Meta(description="IANA time zone of their days, months and prices; empty for each device's own")
    ] = ""
    price: Annotated[float, Meta(ge=-1e6, le=1e6, description="of a kWh outside the periods")] = 0.0
    periods: Annotated[
        tuple[TariffPeriod, ...], Meta(description="the time-of-use tariff; of several that fit the first counts")
    ] = ()
    energy: Annotated[
        tuple[str, ...],
        Meta(description="cumulative registers that tell what a device draws: the first of them that it has"),
    ] = DRAWN
    hold_s: Annotated[
        float,
        Meta(
            gt=0, le=86_400, description="how long a device's state holds without a word of it; after that nobody knows"
        ),
    ] = 3600.0
