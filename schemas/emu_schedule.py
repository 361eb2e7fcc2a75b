"""An EMU's own schedule (deprecated by the vendor, still served). Source: emu-charge-policy page."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct

from schemas.scalars import values
from schemas.schedules import EmuSlotSent, Months, WeekDays


class EmuChargeSetting(Struct, kw_only=True, forbid_unknown_fields=True):
    """charge/setting: the whole schedule; there is no mode, year or dates, so it goes by weekday."""

    charge_type: Literal[1]
    status: Annotated[Literal[0, 1], values(_0="off", _1="on")]
    month: Months
    week_day: WeekDays
    settings: list[EmuSlotSent]
