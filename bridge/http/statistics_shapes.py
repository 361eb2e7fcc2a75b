"""What statistics take and give: their numbers, and events of equipment."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from bridge.http.shapes import ROW_MAX, Limit, Ms, Time

Word = Annotated[str, Meta(description="a number as text")]
Sort = Literal["follow", "sample", "training"]
EVENT_ID = r"^[A-Za-z0-9._:@-]{1,128}$"
_EQUIPMENT = Meta(description="uids; repeated, equipment[], equipment[0], or one JSON array")
_TIME = Meta(description="bt, from, to; also gt, ge, lt, le, eq, in. Both ends count, to the second")


class DashboardQuery(Struct, frozen=True):
    """Parameters of /dashboard; each in any of the encodings of docs/statistics.md."""

    equipment: Annotated[list[str], _EQUIPMENT]
    resource: list[Literal["charge", "follow", "record", "sample", "status", "training"]]
    time: Annotated[list[str], _TIME]


class ChartsQuery(Struct, frozen=True):
    """Parameters of /charts."""

    equipment: Annotated[list[str], _EQUIPMENT]
    resource: list[Literal["charge", "record", "sample", "status", "training"]]
    time: Annotated[list[str], _TIME]
    unit: Literal["day", "month"]


class Charge(Struct, frozen=True):
    charge_amount: float


class Follow(Struct, frozen=True):
    follow_numbers: int


class Record(Struct, frozen=True):
    use_numbers: int
    service_times: int
    service_time: Annotated[int, Meta(description="seconds")]


class Sample(Struct, frozen=True):
    sample_times: int


class Status(Struct, frozen=True):
    break_time: Annotated[int, Meta(description="seconds")]
    break_times: int


class Training(Struct, frozen=True):
    training_times: int
    approved_times: int


class ChargeOf(Struct, frozen=True):
    equipment: str
    charge_amount: Word


class FollowOf(Struct, frozen=True):
    equipment: str
    follow_numbers: Word


class RecordOf(Struct, frozen=True):
    equipment: str
    use_numbers: Word
    service_times: Word
    service_time: Word


class SampleOf(Struct, frozen=True):
    equipment: str
    sample_times: Word


class StatusOf(Struct, frozen=True):
    equipment: str
    break_time: Word
    break_times: Word


class TrainingOf(Struct, frozen=True):
    equipment: str
    training_times: Word
    approved_times: Word


class ChargeSum(Struct, frozen=True):
    total: Charge
    detail: list[ChargeOf]


class FollowSum(Struct, frozen=True):
    total: Follow
    detail: list[FollowOf]


class RecordSum(Struct, frozen=True):
    total: Record
    detail: list[RecordOf]


class SampleSum(Struct, frozen=True):
    total: Sample
    detail: list[SampleOf]


class StatusSum(Struct, frozen=True):
    total: Status
    detail: list[StatusOf]


class TrainingSum(Struct, frozen=True):
    total: Training
    detail: list[TrainingOf]


class DashboardAnswer(Struct, frozen=True):
    """By resource, those that were asked for. Details are of equipment that has any."""

    charge: ChargeSum | UnsetType = UNSET
    follow: FollowSum | UnsetType = UNSET
    record: RecordSum | UnsetType = UNSET
    sample: SampleSum | UnsetType = UNSET
    status: StatusSum | UnsetType = UNSET
    training: TrainingSum | UnsetType = UNSET


class ChargeOn(Struct, frozen=True):
    date: str
    charge_amount: Word


class RecordOn(Struct, frozen=True):
    date: str
    use_numbers: Word
    service_times: Word
    service_time: Word


class SampleOn(Struct, frozen=True):
    date: str
    sample_times: Word


class StatusOn(Struct, frozen=True):
    date: str
    break_time: int
    break_times: int


class TrainingOn(Struct, frozen=True):
    date: str
    training_times: int
    approved_times: int


class ChargeChart(Struct, frozen=True):
    detail: list[ChargeOn]


class RecordChart(Struct, frozen=True):
    detail: list[RecordOn]


class SampleChart(Struct, frozen=True):
    detail: list[SampleOn]


class StatusChart(Struct, frozen=True):
    detail: list[StatusOn]


class TrainingChart(Struct, frozen=True):
    detail: list[TrainingOn]


class ChartsAnswer(Struct, frozen=True):
    """By resource, those that were asked for. Days and months that have none are left out."""

    charge: ChargeChart | UnsetType = UNSET
    record: RecordChart | UnsetType = UNSET
    sample: SampleChart | UnsetType = UNSET
    status: StatusChart | UnsetType = UNSET
    training: TrainingChart | UnsetType = UNSET


# Events.


class NewEvent(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that people did with a device. The same `id` is the same event."""

    id: Annotated[str, Meta(pattern=EVENT_ID, description="the sender's own")]
    type: Sort
    at: Annotated[int | str, Meta(description="epoch milliseconds, or ISO 8601 with an offset")]
    count: Annotated[
        int, Meta(ge=1, le=1_000_000, description="samples measured, trainings held; followers that came")
    ] = 1
    approved: Annotated[bool, Meta(description="of a training: it was applied for and approved")] = False
    user: Annotated[str, Meta(max_length=128)] = ""
    note: Annotated[str, Meta(max_length=1000)] = ""


class EventBody(Struct, frozen=True):
    """A stored event."""

    number: Annotated[int, Meta(description="rises in the order of coming")]
    id: str
    type: Sort
    at: Ms
    count: int
    approved: bool
    user: str
    note: str


class EventList(Struct, frozen=True):
    """A page of events, in the order of coming. `next` goes into `after`; null is the end."""

    events: list[EventBody]
    next: int | None


class EventsStored(Struct, frozen=True):
    """What became of the events of one request: new ones, and those that were there already."""

    stored: int
    known: int


class EventsRemoved(Struct, frozen=True):
    """How many events were removed."""

    removed: int


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events."""

    type: Sort | None = None
    since: Time | None = None
    until: Annotated[str, Meta(description="not included")] | None = None
    after: Annotated[int, Meta(ge=0, le=ROW_MAX)] = 0
    limit: Limit = 100
