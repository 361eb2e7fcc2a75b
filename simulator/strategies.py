"""Strategies that a platform may set on a device: one generic store, and one row for each kind of strategy.

A row says how many there may be, what a good one is, how it is shown and what it does to the site. Create, update, delete,
update_all, sync and the list that a device posts after a change are the same for every row (pages overdemand and the three charge
strategies).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from schemas import kinds
from schemas.envelope import CODE_ACCEPTED, CODE_INVALID, Message
from simulator import cards, charging
from simulator.identity import METER_IDS
from simulator.readouts import Fields
from simulator.site import GATEWAY

if TYPE_CHECKING:
    from simulator.device import Device

ENABLED = 1
STRATEGY_LIMIT = 8
"""Demand limits that a device takes; the vendor states no number."""

UPDATED_BY = "user: 1-platform"


class Later(NamedTuple):
    """A second answer, so many seconds of the device's time later: `data(cut)` does what is left to do and is what it says;
    `cut`: the power was gone meanwhile."""

    after_s: float
    data: Callable[[bool], Fields]


class Answer(NamedTuple):
    """What a device says to a command. `post` names a feature that the device posts because it changed."""

    code: int = CODE_ACCEPTED
    msg: str = ""
    data: object = None
    post: str | None = None
    later: Later | None = None


class Shelf:
    """The strategies of one kind on one device: id -> fields. Ids are never used twice."""

    __slots__ = ("items", "next_id")

    def __init__(self) -> None:
        self.items: dict[int, Fields] = {}
        self.next_id = 1

    def add(self, fields: Fields) -> int:
        """Keep `fields` under a fresh id."""
        made = self.next_id
        self.next_id += 1
        self.items[made] = fields
        return made


class Strategy(NamedTuple):
    """One kind of strategy. `check` gives what is wrong with the fields or None; `act` makes the site follow what is kept;
    `made` is what a created one's id is called in the answer, `merges` whether an update keeps what it does not name; `crowd`
    gives whether these are too many or None."""

    feature: str
    check: Callable[[Device, Fields], str | None]
    show: Callable[[Device, int, Fields, float], Fields]
    act: Callable[[Device, float], None]
    made: str = "policy_id"
    merges: bool = False
    crowd: Callable[[Device, list[Fields]], str | None] = charging.crowded
    post: str = "list"


Handler = Callable[["Device", Strategy, Message, float], Answer]


def refuse(msg: str) -> Answer:
    """Code 400."""
    return Answer(CODE_INVALID, msg)


def listing(device: Device, row: Strategy, now: float) -> list[Fields]:
    """All strategies of a kind, as the device shows them."""
    return [row.show(device, key, fields, now) for key, fields in device.shelves[row.feature].items.items()]


def _sync(device: Device, row: Strategy, _message: Message, now: float) -> Answer:
    return Answer(data=listing(device, row, now))


def _create(device: Device, row: Strategy, message: Message, now: float) -> Answer:
    shelf = device.shelves[row.feature]
    fields = _fields(message.data)
    if wrong := row.check(device, fields) or row.crowd(device, [*shelf.items.values(), fields]):
        return refuse(wrong)
    made = shelf.add(_stamped(fields, {}, now))
    row.act(device, now)
    return Answer(data={row.made: made}, post=row.feature)


def _by_node(device: Device, row: Strategy, message: Message, now: float) -> Answer:
    """The strategy of a branch: made if there is none, else changed. The branch itself is checked by the row."""
    shelf = device.shelves[row.feature]
    fields = _fields(message.data)
    known = (key for key, old in shelf.items.items() if old.get(charging.NODE) == fields[charging.NODE])
    key = next(known, None)
    if key is None:
        return _create(device, row, message, now)
    if wrong := _misfit(device, row, key, fields):
        return refuse(wrong)
    shelf.items[key] = _stamped(fields, shelf.items[key], now)
    row.act(device, now)
    return Answer(data={row.made: key}, post=row.feature)


def _update(device: Device, row: Strategy, message: Message, now: float) -> Answer:
    shelf = device.shelves[row.feature]
    fields = _fields(message.data)
    key = fields.get("id")
    old = shelf.items.get(key) if isinstance(key, int) else None
    if old is None:
        return refuse(f"no strategy with id {key} in {row.feature}")
    fields = old | fields if row.merges else fields
    if wrong := _misfit(device, row, fields["id"], fields):
        return refuse(wrong)
    shelf.items[fields["id"]] = _stamped(fields, old, now)
    row.act(device, now)
    return Answer(post=row.feature)


def _delete(device: Device, row: Strategy, message: Message, now: float) -> Answer:
    shelf = device.shelves[row.feature]
    key = _fields(message.data).get("id")
    if not isinstance(key, int) or shelf.items.pop(key, None) is None:
        return refuse(f"no strategy with id {key} in {row.feature}")
    row.act(device, now)
    return Answer(post=row.feature)


def _update_all(device: Device, row: Strategy, message: Message, now: float) -> Answer:
    """Replaces everything, or nothing when one is wrong. Those that name a known id keep it."""
    shelf = device.shelves[row.feature]
    wanted = [_fields(item) for item in message.data]
    seen: set[int] = set()
    for n, fields in enumerate(wanted):
        key = fields.get("id")
        if key is not None and (key not in shelf.items or key in seen):
            return refuse(f"data[{n}]: no strategy with id {key} in {row.feature}, or it is named twice")
        if wrong := row.check(device, fields):
            return refuse(f"data[{n}]: {wrong}")
        if key is not None:
            seen.add(key)
    if wrong := row.crowd(device, wanted):
        return refuse(wrong)
    old, shelf.items = shelf.items, {}
    for fields in wanted:
        key = fields.get("id")
        if key is None:
            shelf.add(_stamped(fields, {}, now))
        else:
            shelf.items[key] = _stamped(fields, old[key], now)
    row.act(device, now)
    return Answer(post=row.feature)


def _misfit(device: Device, row: Strategy, key: int, fields: Fields) -> str | None:
    """What is wrong with `fields` in place of strategy `key`."""
    items = device.shelves[row.feature].items
    return row.check(device, fields) or row.crowd(device, [*(items | {key: fields}).values()])


def _fields(data: Any) -> Fields:
    fields: Fields = msgspec.to_builtins(data)
    return {name: value for name, value in fields.items() if value is not None}


def _stamped(fields: Fields, old: Fields, now: float) -> Fields:
    fields = {name: value for name, value in fields.items() if name != "id"}
    fields["created_at"] = old.get("created_at", cards.rfc3339(now))
    fields["updated_at"] = cards.rfc3339(now)
    return fields


def _overdemand_wrong(_device: Device, fields: Fields) -> str | None:
    limits = fields.get("over_demand_condition")
    if not isinstance(limits, list) or len(limits) != 12 or any(limit < 0 for limit in limits):
        return "over_demand_condition needs twelve limits of 0 kW or more, January first"
    for name in (
        "over_demand_status",
        "streaming_status",
        "individual_phase_streaming_status",
        "dynamic_demand_status",
    ):
        if fields.get(name, ENABLED) not in (1, 2):
            return f"{name} is 1 (enabled) or 2 (disabled)"
    if fields.get("ele_meter_id") not in METER_IDS:
        return f"no meter with id {fields.get('ele_meter_id')}; this site has {', '.join(map(str, METER_IDS))}"
    for name in ("streaming_condition", "individual_phase_streaming_condition"):
        if fields.get(name, 0) < 0:
            return f"{name} is 0 kW or more"
    if not 0 <= fields.get("dynamic_demand_percentage", 0) <= 100:
        return "dynamic_demand_percentage is 0 to 100"
    return None


def _overdemand_crowded(_device: Device, wanted: list[Fields]) -> str | None:
    return f"at most {STRATEGY_LIMIT} demand limits" if len(wanted) > STRATEGY_LIMIT else None


def _overdemand_shown(device: Device, key: int, fields: Fields, now: float) -> Fields:
    site = device.site
    month = cards.rfc3339(now + site.spec.utc_offset_s)[5:7]
    place = METER_IDS.index(fields["ele_meter_id"])
    share = fields.get("dynamic_demand_percentage", 100)
    return {
        "id": key,
        "device_type": 2,
        "individual_phase_streaming_status": 2,
        "individual_phase_streaming_condition": 0,
        "streaming_condition": 0,
        "dynamic_demand_status": 2,
        "dynamic_demand_percentage": 100,
        **fields,
        "devices": [cards.storage_device(device.identity, sub) for sub in device.identity.cabinets],
        "ele_meter": cards.strategy_meter(device.identity, place),
        "current_over_demand_condition": fields["over_demand_condition"][int(month) - 1],
        "dynamic_demand": round(site.meters[place].demand_forward_kw * share / 100.0),
        "updated_by": UPDATED_BY,
    }


def _overdemand_acts(device: Device, now: float) -> None:
    """The tightest enabled limits on the gateway meter hold."""
    shelf = device.shelves["streaming_overdemand"]
    mine = [x for x in shelf.items.values() if x["ele_meter_id"] == METER_IDS[GATEWAY]]
    demands = [x["over_demand_condition"] for x in mine if x.get("over_demand_status") == ENABLED]
    shares = [float(x.get("dynamic_demand_percentage", 100)) for x in mine if x.get("dynamic_demand_status") == ENABLED]
    plan = msgspec.structs.replace(
        device.site.plan,
        demand_kw=tuple(float(min(month)) for month in zip(*demands, strict=True)) if demands else None,
        export_kw=_tightest(mine, "streaming"),
        phase_export_kw=_tightest(mine, "individual_phase_streaming"),
        dynamic_share=min(shares) / 100.0 if shares else None,
    )
    device.follow(plan, now)


def _tightest(limits: list[Fields], name: str) -> float | None:
    return min(
        (float(x.get(f"{name}_condition", 0)) for x in limits if x.get(f"{name}_status") == ENABLED), default=None
    )


STRATEGIES: tuple[Strategy, ...] = (
    Strategy(
        "streaming_overdemand",
        _overdemand_wrong,
        _overdemand_shown,
        _overdemand_acts,
        "id",
        merges=True,
        crowd=_overdemand_crowded,
    ),
    Strategy(
        "charge", charging.charge_wrong, charging.charge_shown, charging.charge_acts, crowd=charging.charge_crowded
    ),
    Strategy(
        "charge_photovoltaic", charging.photovoltaic_wrong, charging.photovoltaic_shown, charging.photovoltaic_acts
    ),
    Strategy("charge_pail", charging.pail_wrong, charging.pail_shown, charging.pail_acts),
)
"""A further kind of strategy is a row here."""

BY_FEATURE = {row.feature: row for row in STRATEGIES}

VERBS: dict[str, Handler] = {
    "sync": _sync,
    "create": _create,
    "update": _update,
    "delete": _delete,
    "update_all": _update_all,
    "by_node": _by_node,
}


def list_type(row: Strategy) -> str:
    """The envelope type of the list that a device posts after a change."""
    return kinds.find(f"{row.feature}/{row.post}/post")[0].type
