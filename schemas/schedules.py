"""Timed schedules: what storage, photovoltaic and charging-pile strategies share. Source: the three charge-strategy pages.

Months, weekdays (0 = Monday) and dates count from 0. A slot is half open; an end of 00:00 means the next midnight.
Mode 1 (month and date) goes by year and dates, mode 2 (month and weekday) by week_day: the tables mark them otherwise.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.errors import at_field
from schemas.rules import Rule, by_value, one_of
from schemas.scalars import Maybe, Port, Text, Whole, values

BY_DATE = 1
BY_WEEKDAY = 2


class Slot(Struct, gc=False, kw_only=True):
    """What to do in a part of the day. Samples fill up with slots of mode 21 from 00:00 to 00:00, which no table explains."""

    start_hour: int
    start_minute: int
    end_hour: int
    end_minute: int
    cdc_enable_mode: Annotated[int, values(_0="standby", _1="charge", _2="discharge")]
    run_power: Annotated[float, Meta(extra_json_schema={"x-unit": "kW"})]


class Schedule(Struct, kw_only=True):
    """A strategy as the device reports it."""

    id: int
    charge_type: Annotated[int, values(_1="timed schedule")]
    status: Annotated[int, values(_0="off", _1="on")]
    month: list[int]
    mode: Annotated[int, values(_1="month and date", _2="month and weekday")]
    settings: list[Slot]
    apply_to_all: bool
    year: Whole = UNSET
    dates: Maybe[list[int]] = UNSET
    week_day: Maybe[list[int]] = UNSET


class ScheduleDevice(Struct, gc=False, kw_only=True):
    """A storage device, or one that steers photovoltaics, under a schedule. The license is missing from samples."""

    id: int
    name: str
    site_name: str
    location: str
    longitude: float
    latitude: float
    level: int
    type: str
    running_status: Annotated[int, values(_1="running", _2="offline", _3="fault")]
    host: str
    port: Port
    license: Text = UNSET
    statistics_port: Whole = UNSET


class PolicyCreated(Struct, gc=False, kw_only=True):
    """The id that the device gave; absent when it refused."""

    policy_id: Whole = UNSET


Hour: TypeAlias = Annotated[int, Meta(ge=0, le=23)]
Minute: TypeAlias = Annotated[int, Meta(ge=0, le=59)]
Months: TypeAlias = list[Annotated[int, Meta(ge=0, le=11)]]
WeekDays: TypeAlias = list[Annotated[int, Meta(ge=0, le=6)]]
Dates: TypeAlias = list[Annotated[int, Meta(ge=0, le=30)]]
RunPower: TypeAlias = Annotated[int, Meta(ge=0, le=65_535, extra_json_schema={"x-unit": "kW"})]
Modes: TypeAlias = Annotated[Literal[0, 1, 2], values(_0="standby", _1="charge", _2="discharge")]


class _SlotTimes(Struct, kw_only=True, forbid_unknown_fields=True):
    """When a slot is, and with which power."""

    start_hour: Hour
    start_minute: Minute
    end_hour: Hour
    end_minute: Minute
    run_power: RunPower


class SlotSent(_SlotTimes, kw_only=True):
    """A slot of a storage or charging-pile strategy, as a platform sends it."""

    cdc_enable_mode: Modes


class PhotovoltaicSlotSent(_SlotTimes, kw_only=True):
    """A slot of a photovoltaic strategy: generation cannot charge."""

    cdc_enable_mode: Annotated[Literal[0, 2], values(_0="standby", _2="discharge")]


class EmuSlotSent(_SlotTimes, kw_only=True):
    """A slot of an EMU's schedule; the vendor's own sample sends mode 21."""

    cdc_enable_mode: Annotated[Literal[0, 1, 2, 21], values(_0="standby", _1="charge", _2="discharge", _21="filler")]


class ScheduleSent(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a platform says of a schedule, but for the devices that it is for."""

    charge_type: Literal[1]
    status: Annotated[Literal[0, 1], values(_0="off", _1="on")]
    month: Months
    mode: Annotated[Literal[1, 2], values(_1="month and date", _2="month and weekday")]
    year: Annotated[int, Meta(ge=0, description="required in mode 1")] | UnsetType = UNSET
    dates: Annotated[Dates, Meta(description="required in mode 1; 0 is the 1st")] | UnsetType = UNSET
    week_day: Annotated[WeekDays, Meta(description="required in mode 2; 0 is Monday")] | UnsetType = UNSET
    apply_to_all: Annotated[bool, Meta(description="for every device; else name them by ids or uids")] | UnsetType = (
        UNSET
    )

    rules: ClassVar[tuple[Rule, ...]] = (by_value("mode", BY_DATE, "year", "dates", otherwise=("week_day",)),)

    def __post_init__(self) -> None:
        wanted = ("year", "dates") if self.mode == BY_DATE else ("week_day",)
        for name in wanted:
            if getattr(self, name) is UNSET:
                raise at_field(name, f"required in mode {self.mode}, but missing")


def rules_of(*names: str, needed: bool = True) -> tuple[Rule, ...]:
    """The rules of a schedule that `pick_one` checks with the same arguments."""
    return (*ScheduleSent.rules, one_of(*names, flag="apply_to_all", needed=needed))


def pick_one(schedule: ScheduleSent, *names: str, needed: bool = True) -> None:
    """Raise ValueError unless the schedule says in one way only for which devices it is. False and [] say nothing."""
    given = [name for name in (*names, "apply_to_all") if getattr(schedule, name) not in (UNSET, False, [])]
    if len(given) > 1:
        raise at_field(given[1], f"only one of {', '.join((*names, 'apply_to_all'))} may be given")
    if needed and not given:
        raise at_field(names[0], f"one of {', '.join((*names, 'apply_to_all'))} is required, but all are missing")
