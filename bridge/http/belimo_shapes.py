"""Parameters and bodies of the Belimo-compatible API. What it answers stands in Belimo's own document: here only its outline."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

MAX_LIMIT = 2_000


class BelimoFault(Struct, frozen=True):
    """One thing that is wrong."""

    code: str
    message: str


class BelimoFailure(Struct, frozen=True):
    """The body of every answer that is no success."""

    errors: list[BelimoFault]


class TokenFailure(Struct, frozen=True):
    """The body of what OAuth2 refuses."""

    error: str
    error_description: str = ""


class Paged(Struct, frozen=True, kw_only=True):
    """A page of a collection."""

    limit: Annotated[int, Meta(ge=0, le=MAX_LIMIT)] = 20
    offset: Annotated[int, Meta(ge=0, le=2**53)] = 0
    sortDirection: Literal["ASC", "DESC"] = "ASC"  # noqa: N815 - Belimo's names, here and below


class Devices(Paged, frozen=True, kw_only=True):
    """GET /devices"""

    state: Literal["REGISTERED", "UNREGISTERED", "ALL"] | None = None
    search: Annotated[str, Meta(min_length=1)] | None = None
    owner: str | None = None
    sortBy: Literal[  # noqa: N815
        "id", "productionId", "displayName", "name", "serialNumber", "deviceType", "owner.displayName",
        "dataprofile.displayName", "software.displayName", "health.state", "health.lastSeen", "projectName",
        "addressCity", "addressCountry",
    ] = "productionId"  # fmt: skip


class Owned(Struct, frozen=True):
    """GET /devices/stats"""

    owner: str | None = None


class At(Struct, frozen=True):
    """GET …/data"""

    at: str | None = None


class Span(Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """A range of time, [from, to), and datapoints."""

    datapointIds: str | None = None  # noqa: N815
    start: str | None = None
    end: str | None = None


class Resampled(Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """GET …/data/history/timeseries"""

    datapointIds: Annotated[str, Meta(description="parted by commas; unknown ones are ignored")]  # noqa: N815
    start: str | None = None
    end: str | None = None
    resolution: Annotated[str, Meta(description="15m, 1h, 1d, …, or a number of points")] = "100"
    aggregation: Literal["last", "first", "min", "max", "mean", "sum", "count"] = "last"


class Raw(Paged, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """GET …/data/history/datapoints/{dp}"""

    start: str | None = None
    end: str | None = None
    sortBy: Literal["time"] = "time"  # noqa: N815


class Profiles(Paged, frozen=True, kw_only=True):
    """GET /definitions/dataprofiles"""

    sortBy: Literal["name", "version"] = "name"  # noqa: N815
    expanded: bool = True


class Written(Struct, frozen=True, kw_only=True):
    """POST …/data"""

    datapoints: dict[str, Any]
    mergeable: bool | None = False
    cancelable: bool | None = False
    autoCancelAfter: str | None = None  # noqa: N815


class Described(Struct, frozen=True, kw_only=True):
    """POST …/metadata"""

    datapoints: dict[str, Any]


class Wanted(Struct, frozen=True, kw_only=True):
    """POST /devices/change-stream. Empty lists mean all."""

    includedDeviceIds: Annotated[list[str], Meta(max_length=10_000)] | None = None  # noqa: N815
    includedDatapointIds: Annotated[list[str], Meta(max_length=10_000)] | None = None  # noqa: N815


COLLECTION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": {"type": "array", "items": {"type": "object"}},
        "paging": {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 0} for name in ("total", "offset", "limit")},
            "required": ["total", "offset", "limit"],
        },
        "sorting": {
            "type": "object",
            "properties": {"field": {"type": "string"}, "direction": {"enum": ["ASC", "DESC"]}},
            "required": ["field", "direction"],
        },
        "filter": {"type": "object"},
    },
    "required": ["data", "paging", "sorting"],
}
OBJECT: dict[str, Any] = {"type": "object"}
POINT_VALUES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "timestamp": {"type": "string"},
        "datapoints": {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": {"value": {}}, "required": ["value"]},
        },
    },
    "required": ["timestamp", "datapoints"],
}
DEVICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("id", "displayName", "serialNumber", "productionId", "deviceType")},
        **dict.fromkeys(("dataprofile", "health", "owner"), OBJECT),
        "state": POINT_VALUES,
    },
    "required": ["id", "displayName", "serialNumber", "dataprofile", "health", "owner", "state"],
}
JOB: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "mergeable": {"type": "boolean"},
        "cancelable": {"type": "boolean"},
        "createdAt": {"type": "string"},
        "createdBy": OBJECT,
        "state": {"enum": ["PENDING", "CANCELED", "EXECUTING", "SUCCESS", "FAILURE"]},
    },
    "required": ["id", "mergeable", "cancelable", "createdAt", "createdBy", "state"],
}
