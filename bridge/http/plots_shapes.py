"""What pages ask beside the rest of the native API: plots, newest readings, newest alarms."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from bridge.cloud.plots import MOST
from bridge.http.shapes import Limit, Ms, ReadingBody, Time

Name = Annotated[str, Meta(min_length=1)]


class PlotQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which assets, of which point, when, in how many values."""

    asset: Annotated[Name, Meta(description="up to 16 assets, parted by commas")]
    point: Name
    start: Time
    end: Time
    values: Annotated[int, Meta(ge=16, le=MOST, description="values of a series at most")] = MOST


class PlotSeries(Struct, frozen=True):
    """One asset's part. A gauge is given as it is (`step_ms` 0), or by buckets: `values` are then means, with `low` and
    `high`. A counter is given by buckets, `values` are what it came to in each. A bucket without readings is left out."""

    asset: str
    point: str
    unit: str
    kind: str
    timezone: str
    step_ms: Annotated[int, Meta(description="length of the buckets, by the asset's own wall clock; 0: no buckets")]
    times: list[Ms]
    values: Annotated[list[float | None], Meta(description="null: larger than any number that JSON knows")]
    low: list[float]
    high: list[float]


class PlotBody(Struct, frozen=True):
    """What a plot of [start, end) is drawn of. `missing` are the assets that do not have the point, or are none of yours."""

    start: Ms
    end: Ms
    series: list[PlotSeries]
    missing: list[str]


class LatestQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Of which points, whose."""

    point: Annotated[Name, Meta(description="up to 16 points, parted by commas")]
    device: Annotated[str | None, Meta(description="up to 200 devices, parted by commas; all when not given")] = None
    after: Annotated[str | None, Meta(description="asset that the page begins behind")] = None
    limit: Limit = 100


class LatestList(Struct, frozen=True):
    """The newest reading of each point that an asset has, by asset. `next` goes into `after` for the following page; null on
    the last one."""

    readings: list[ReadingBody]
    next: str | None


class AlarmsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose alarms."""

    after: Annotated[str | None, Meta(description="device that the page begins behind")] = None
    limit: Limit = 100


class AlarmBody(Struct, frozen=True):
    """The newest message of a device that tells alarms."""

    device: str
    suffix: str
    received_at: Ms
    body: Annotated[Any, Meta(description="the payload as it came")]


class AlarmList(Struct, frozen=True):
    """The newest alarm of each device that had one, by device. `limit` counts devices; `next` goes into `after`."""

    alarms: list[AlarmBody]
    next: str | None
