"""The bodies of the native API: what goes in and comes out. The OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.envelope import UUID
from schemas.notices import State

Ms = Annotated[int, Meta(description="epoch milliseconds")]
Limit = Annotated[int, Meta(ge=1, le=1000, description="items at most")]
ROW_MAX = 2**63 - 1
"""No row of SQLite has a larger number."""
Time = Annotated[
    str,
    Meta(
        description="epoch milliseconds, or ISO 8601 with an offset",
        examples=["1704067200000", "2024-06-01T00:00:00+02:00"],
        extra_json_schema={"minLength": 1},
    ),
]


class Presence(Struct, frozen=True):
    """Whether the device is connected, since when, and on which scheme it last was."""

    online: bool
    since: Ms | None
    scheme: str | None


class DeviceBody(Struct, frozen=True):
    """A registered device."""

    uid: str
    product_key: str | None
    tenant: str | None
    name: str
    timezone: str
    signs: dict[str, float]
    enabled: bool
    created_at: Ms
    presence: Presence


class StoredMessage(Struct, frozen=True):
    """A message as the device sent it."""

    suffix: Annotated[str, Meta(description="feature/action/kind")]
    topic: str
    mid: str
    received_at: Ms
    timestamp: Annotated[int, Meta(description="the device's own time, epoch milliseconds")]
    body: Annotated[Any, Meta(description="the payload as it came")]
    device: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    variant: str | UnsetType = UNSET


class DeviceDetail(DeviceBody, frozen=True):
    """A device with what it said last."""

    latest: list[StoredMessage]
    strategies: Annotated[dict[str, Any], Meta(description="feature -> data of its newest list report")]


class DeviceList(Struct, frozen=True):
    """Devices by uid. `next` goes into `after` for the following page; null on the last one."""

    devices: list[DeviceBody]
    next: str | None


class DevicesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which devices."""

    online: bool | None = None
    product_key: str | None = None
    tenant: str | None = None
    after: Annotated[str | None, Meta(description="uid that the page begins behind")] = None
    limit: Limit = 100


class CommandRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A command for a device."""

    feature: Annotated[str, Meta(min_length=1, max_length=128)]
    action: Annotated[str, Meta(min_length=1, max_length=128)]
    data: Annotated[Any, Meta(description="what the message kind asks for; see the AsyncAPI document")] = None
    mid: (
        Annotated[
            str,
            Meta(
                description="your own UUID: the same command again is not sent twice",
                extra_json_schema={"pattern": UUID},
            ),
        ]
        | None
    ) = None
    timeout_s: (
        Annotated[float, Meta(gt=0, le=86_400, description="seconds that the device has to answer, from sending")]
        | None
    ) = None
    hold_s: (
        Annotated[float, Meta(ge=0, le=604_800, description="seconds to wait for a device that is offline")] | None
    ) = None
    wait_s: Annotated[
        float, Meta(ge=0, le=3600, description="seconds that this request waits for the outcome; 0 answers 202 at once")
    ] = 0
    now: Annotated[bool, Meta(description="undeliverable when the device is offline")] = False
    sub_device_uid: str | None = None
    sub_device_id: Annotated[int, Meta(ge=-ROW_MAX, le=ROW_MAX)] | None = None


class Step(Struct, frozen=True):
    """A state that the command was in."""

    state: str
    at: Ms
    cause: str = ""
    code: int | None = None
    msg: str = ""


class CommandBody(Struct, frozen=True):
    """A command and how it stands. It has its outcome unless it is accepted, sent or delivered."""

    mid: str
    device: str
    feature: str
    action: str
    state: State
    cause: Annotated[str, Meta(description="why it is in this state, where the state alone does not say")]
    code: Annotated[int, Meta(description="the device's code; 200 is success")] | None
    msg: str
    data: Annotated[Any, Meta(description="what was sent")]
    answer: Annotated[Any, Meta(description="the data of the device's answer")]
    created_at: Ms
    sent_at: Ms | None
    delivered_at: Ms | None
    deadline: Annotated[int, Meta(description="when it times out; null before it was sent")] | None
    hold_until: Ms
    settled_at: Ms | None
    timeout_s: float
    sender: str
    via: str
    late: Annotated[Step | None, Meta(description="the answer that came after timed_out")]
    answers: Annotated[int, Meta(description="how many answers came")]
    history: Annotated[list[Step], Meta(description="every state it was in; empty in lists")]


class CommandList(Struct, frozen=True):
    """Commands, newest first. `next` goes into `before` for the following page; null on the last one."""

    commands: list[CommandBody]
    next: str | None


class CommandsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which commands."""

    device: str | None = None
    state: State | None = None
    before: (
        Annotated[str, Meta(description="`next` of the page before", extra_json_schema={"pattern": "^[0-9]{1,18}$"})]
        | None
    ) = None
    limit: Limit = 100


class CommandQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Long poll."""

    wait_s: Annotated[float, Meta(ge=0, le=3600, description="seconds to wait for the outcome")] = 0


class MessagesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which stored messages."""

    device: str | None = None
    suffix: Annotated[str | None, Meta(description="feature/action/kind")] = None
    since: Annotated[int, Meta(ge=0, le=ROW_MAX, description="sequence number that the page begins behind")] = 0
    limit: Limit = 100


class MessageList(Struct, frozen=True):
    """Stored messages in the order of their coming. `next` goes into `since`; it stays the same when nothing is left."""

    messages: list[StoredMessage]
    next: int


class DeadLetter(Struct, frozen=True):
    """A message, or a mirrored row, that was refused. Its payload is `payload` when it is text, else `payload_base64`."""

    id: int
    at: Ms
    source: Annotated[str, Meta(description="mqtt, mirror or webhook")]
    device: str | None
    topic: str | None
    sender: str | None
    reason: str
    path: str
    detail: str
    context: Any
    replayed_at: Ms | None
    payload_bytes: int
    payload: str | UnsetType = UNSET
    payload_base64: str | UnsetType = UNSET


class DeadLetterList(Struct, frozen=True):
    """Dead letters without payload, newest first. `next` goes into `before` for the following page."""

    dead_letters: list[DeadLetter]
    next: int | None


class DeadFilter(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters."""

    device: str | None = None
    source: Literal["mqtt", "mirror", "webhook"] | None = None
    reason: str | None = None
    topic: Annotated[str, Meta(min_length=1, description="one topic, or with /# at its end all behind it")] | None = (
        None
    )
    since: Annotated[Time, Meta(description="refused then or later; epoch ms, or ISO 8601 with an offset")] | None = (
        None
    )
    until: Annotated[Time, Meta(description="refused before")] | None = None
    before: Annotated[int, Meta(ge=1, le=ROW_MAX, description="with an id below this")] | None = None


class DeadQuery(DeadFilter, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters."""

    limit: Limit = 100


class PurgeQuery(DeadFilter, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to delete: a filter, or `all=true`."""

    all: bool = False


class ReplayQuery(DeadFilter, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to replay: a filter, or `all=true`."""

    all: bool = False
    after: Annotated[int, Meta(ge=0, le=ROW_MAX, description="with an id above this: `next` of the page before")] = 0
    limit: Limit = 1000


class Purged(Struct, frozen=True):
    """How many were deleted."""

    purged: int


class Replayed(Struct, frozen=True):
    """What became of a dead letter that went through the pipeline again."""

    id: int
    outcome: Annotated[str, Meta(description="accepted, or rejected")]
    reason: str = ""
    path: str = ""
    detail: str = ""


class ReplayedList(Struct, frozen=True):
    """What became of dead letters that went through the pipeline again, oldest first; of the accepted only how many there
    are. `next` goes into `after`, with the same filter and `before`, for those behind them; null when nothing is left."""

    accepted: int
    rejected: list[Replayed]
    before: Annotated[int, Meta(description="letters that come meanwhile have this id or a higher one")]
    next: int | None


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events."""

    types: Annotated[
        str, Meta(description="comma-separated of reading, command, presence, alarm, dead_letter, message")
    ] = "reading,command,presence,alarm"
    device: str | None = None


class Health(Struct, frozen=True):
    """The process lives."""

    status: str


class Readiness(Struct, frozen=True):
    """Whether the service can do its work; `checks` maps each check to `ok` or the reason. `sinks` says which of the
    mirror's sinks take nothing: the service can do its work without them."""

    ready: bool
    checks: dict[str, str]
    sinks: dict[str, str] = {}


class AssetsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which assets."""

    asset: Annotated[str | None, Meta(description="an asset with its parts")] = None
    device: str | None = None
    after: Annotated[str | None, Meta(description="asset that the page begins behind")] = None
    limit: Limit = 100


class AssetBody(Struct, frozen=True):
    """A device or a part of one (`EMS001.meter.1`), with the ends of its readings."""

    asset: str
    device: str
    timezone: str
    first_at: Ms
    last_at: Ms
    points: Annotated[int, Meta(description="how many points it has")]


class AssetList(Struct, frozen=True):
    """Assets by name. `next` goes into `after` for the following page; null on the last one."""

    assets: list[AssetBody]
    next: str | None


class PointBody(Struct, frozen=True):
    """A point. A counter is a running register, a gauge is not."""

    point: str
    unit: str
    kind: str


class PointList(Struct, frozen=True):
    """The points of an asset, by name."""

    asset: str
    points: list[PointBody]


class ReadingsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose readings, of which points, when."""

    asset: Annotated[str | None, Meta(description="an asset (`EMS001.meter.1`), or a device with all its parts")] = None
    device: str | None = None
    point: Annotated[str, Meta(min_length=1, description="points, parted by commas")] | None = None
    start: Time | None = None
    end: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    order: Literal["asc", "desc"] = "asc"
    format: Annotated[
        Literal["json", "csv"] | None, Meta(description="or Accept: text/csv; CSV without limit gives everything")
    ] = None


class ReadingBody(Struct, frozen=True):
    """One value."""

    asset: str
    point: str
    timestamp: Ms
    value: float
    unit: str


class ReadingList(Struct, frozen=True):
    """Readings by time, then asset, then point. `truncated`: there are more than `limit` (1000 when not given)."""

    readings: list[ReadingBody]
    truncated: bool
