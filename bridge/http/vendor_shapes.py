"""Envelopes and parameters of the vendor's platform API; its bodies are schemas.platform."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas.platform import Id, Uid

Size = Annotated[int, Meta(ge=1, le=1000)]
Page = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[int, Meta(ge=0, le=253_402_300_800, description="epoch seconds")]


class Failure(Struct, frozen=True):
    """What went wrong: `code` 0 for a missing or wrong key, else one of docs/vendor.md."""

    code: int
    message: str


class Ok(Struct, frozen=True):
    """The key is good."""

    message: str


class Done(Struct, frozen=True, omit_defaults=True):
    """It was done."""

    code: int
    message: str
    data: Any | UnsetType = UNSET


class PageData(Struct, frozen=True):
    """A page of a list, and how many items there are in all."""

    total: int
    list: Any


class Listing(Struct, frozen=True):
    """A list."""

    code: int
    message: str
    data: PageData


class Accuracy(Struct, frozen=True):
    """How far off the same method was on the last days, each forecast from what was known before it. Means over their
    quarter-hours; `naive` is what the same hour of the day before would have given."""

    days: int
    mae: Annotated[float, Meta(description="kW")]
    rmse: Annotated[float, Meta(description="kW")]
    nmae: Annotated[float | None, Meta(description="mae as a share of the mean power; null when that is 0")]
    naive_mae: Annotated[float, Meta(description="kW")]


class Forecast(Struct, frozen=True):
    """Mean powers of quarter-hours, kW, by local time: `HH:MM`, or `YYYY-MM-DD HH:MM` of seven days."""

    code: int
    message: str
    data: dict[str, float]
    accuracy: Accuracy
    method: str
    start: str
    timezone: str
    devices: list[str]


class Paged(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page."""

    page_size: Size = field(default=50, name="page-size")
    page: Page = 1


class TimeQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices that changed in [start_time, end_time]."""

    start_time: Seconds = 0
    end_time: Seconds | None = None


class PagedDevice(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one device, or of all."""

    device_uid: Uid | None = None


class DeviceQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which device."""

    device_uid: Uid


class IndexQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which strategy of a device, by its index there."""

    device_uid: Uid
    index: Id


class StrategyQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which strategy of a device, by its id."""

    device_uid: Uid
    strategy_id: Id


class SubDeviceQuery(Paged, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands below a device."""

    device_uid: Uid
    subdevice_type: Annotated[Literal[1, 2], Meta(description="1 storage devices, 2 meters")]


class ForecastQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How far, and for which device; all that the caller may see when none is named."""

    period: Literal["24h", "7d"]
    device_uid: Uid | None = None
