"""Timed strategies of a site: what a good one is, how it is shown, what the storage does under it (the charge-strategy pages).

Photovoltaics deliver no more than a slot's power, nothing in one of standby; a charging pile draws no more, and nothing in one of
standby or of discharge, which it cannot. Outside their slots both are free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from simulator import cards
from simulator.identity import Identity
from simulator.plan import Order
from simulator.readouts import Fields

if TYPE_CHECKING:
    from simulator.device import Device

NODE = "node_id"
"""Kept of a strategy that was set for a branch; the vendor's list has no field for it."""

MOST = 4
"""Strategies of one kind for a device: a cabinet, the photovoltaics, the pile. The vendor's platform states it, no MQTT page."""
MOST_SLOTS = 12
"""Of a strategy; stated there too."""

_BY_DATE = 1
_CHARGE, _DISCHARGE = 1, 2
_FILLER = 21
_SHOWN = (
    *("charge_type", "status", "year", "month", "week_day", "dates", "mode"),
    *("apply_to_all", "settings"),
)


def charge_wrong(device: Device, fields: Fields) -> str | None:
    """What is wrong with a storage strategy."""
    known = {sub.id for sub in device.identity.cabinets} | {sub.uid for sub in device.identity.cabinets}
    asked = (*fields.get("ems_device_ids", ()), *fields.get("ems_device_uids", ()))
    return slots_wrong(fields) or _strangers(asked, known) or _node_wrong(device.identity, fields)


def photovoltaic_wrong(_device: Device, fields: Fields) -> str | None:
    """What is wrong with a photovoltaic strategy."""
    return slots_wrong(fields) or _strangers(fields.get("device_ids", ()), {cards.PHOTOVOLTAIC_ID})


def pail_wrong(_device: Device, fields: Fields) -> str | None:
    """What is wrong with a charging-pile strategy."""
    return slots_wrong(fields) or _strangers(fields.get("device_ids", ()), {cards.PILE_ID})


def crowded(_device: Device, wanted: list[Fields]) -> str | None:
    """Whether these are too many strategies for one device."""
    return f"at most {MOST} strategies for a device" if len(wanted) > MOST else None


def charge_crowded(device: Device, wanted: list[Fields]) -> str | None:
    """Whether these are too many strategies for a cabinet."""
    places = [at for fields in wanted for at in _covered(device.identity, fields)]
    full = [sub.id for at, sub in enumerate(device.identity.cabinets) if places.count(at) > MOST]
    return f"at most {MOST} strategies for a device: device {full[0]} has more" if full else None


def charge_shown(device: Device, key: int, fields: Fields, _now: float) -> Fields:
    """A storage strategy as the device lists it."""
    me = device.identity
    return _shown(key, fields) | {
        "ems_devices": [cards.device_info(me, me.cabinets[at]) for at in _covered(me, fields)]
    }


def photovoltaic_shown(device: Device, key: int, fields: Fields, _now: float) -> Fields:
    """A photovoltaic strategy as the device lists it."""
    return _shown(key, fields) | {"devices": [cards.photovoltaic(device.identity)]}


def pail_shown(device: Device, key: int, fields: Fields, _now: float) -> Fields:
    """A charging-pile strategy as the device lists it."""
    return _shown(key, fields) | {"devices": [cards.pile(device.identity)]}


def charge_acts(device: Device, now: float) -> None:
    """The storage follows the strategies that are on, the oldest first; a slot's power is each covered cabinet's."""
    orders: list[Order] = []
    for fields in device.shelves["charge"].items.values():
        orders += orders_of(fields, _covered(device.identity, fields))
    device.follow(msgspec.structs.replace(device.site.plan, orders=tuple(orders)), now)


def photovoltaic_acts(device: Device, now: float) -> None:
    """The inverter keeps to the strategies that are on."""
    orders = _bounds(device.shelves["charge_photovoltaic"].items.values(), _DISCHARGE)
    device.follow(msgspec.structs.replace(device.site.plan, pv_orders=orders), now)


def pail_acts(device: Device, now: float) -> None:
    """The charging pile keeps to the strategies that are on."""
    orders = _bounds(device.shelves["charge_pail"].items.values(), _CHARGE)
    device.follow(msgspec.structs.replace(device.site.plan, pile_orders=orders), now)


def orders_of(fields: Fields, cabinets: Sequence[int]) -> list[Order]:
    """What a schedule asks of the storage in these cabinets; nothing while it is off."""
    signs = {_CHARGE: 1.0, _DISCHARGE: -1.0}
    return [
        msgspec.structs.replace(
            order, kw=signs.get(mode, 0.0) * order.kw * len(cabinets) + 0.0, cabinets=frozenset(cabinets)
        )
        for order, mode in _slots(fields)
        if cabinets
    ]


def _bounds(schedules: Iterable[Fields], working: int) -> tuple[Order, ...]:
    """Slots of schedules as upper bounds of a power; in a mode other than `working` nothing may flow."""
    return tuple(
        order if mode == working else msgspec.structs.replace(order, kw=0.0)
        for fields in schedules
        for order, mode in _slots(fields)
    )


def _slots(fields: Fields) -> list[tuple[Order, int]]:
    """The slots of a schedule with their power as it stands and their mode; none while it is off."""
    if fields["status"] != 1:
        return []
    by_date = fields.get("mode") == _BY_DATE
    months = frozenset(fields["month"])
    week_days = None if by_date else frozenset(fields["week_day"])
    dates, year = (frozenset(fields["dates"]), fields["year"]) if by_date else (None, None)
    found = []
    for slot in fields["settings"]:
        start, end = _minutes(slot)
        if slot["cdc_enable_mode"] != _FILLER and start < end:
            order = Order(start, end, float(slot["run_power"]), months, week_days, dates, year)
            found.append((order, slot["cdc_enable_mode"]))
    return found


def slots_wrong(fields: Fields) -> str | None:
    """What is wrong with the slots of a schedule. Where slots overlap, the first counts."""
    if len(fields["settings"]) > MOST_SLOTS:
        return f"settings: at most {MOST_SLOTS} slots"
    for n, slot in enumerate(fields["settings"]):
        start, end = _minutes(slot)
        if end < start:
            return f"settings[{n}] ends before it begins"
    return None


def _shown(key: int, fields: Fields) -> Fields:
    return {"id": key, "apply_to_all": False, **{name: fields[name] for name in _SHOWN if name in fields}}


def _covered(identity: Identity, fields: Fields) -> list[int]:
    """Places of the cabinets that a strategy is for: those it names, the one of its node, else all."""
    ids, uids, node = fields.get("ems_device_ids"), fields.get("ems_device_uids"), fields.get(NODE, 0)
    if ids or uids:
        return [at for at, sub in enumerate(identity.cabinets) if sub.id in (ids or ()) or sub.uid in (uids or ())]
    meters = len(cards.METER_NODES)
    return [at for at in range(len(identity.cabinets)) if node <= meters or node == meters + 1 + at]


def _minutes(slot: Fields) -> tuple[int, int]:
    """Start and end in minutes of the day; an end of 00:00 after a later start is the next midnight."""
    start = slot["start_hour"] * 60 + slot["start_minute"]
    end = slot["end_hour"] * 60 + slot["end_minute"]
    return start, 1440 if end == 0 and start > 0 else end


def _strangers(asked: Iterable[Any], known: set[Any]) -> str | None:
    strange = [str(each) for each in asked if each not in known]
    return f"no device {', '.join(strange)}; there are {', '.join(sorted(map(str, known)))}" if strange else None


def _node_wrong(identity: Identity, fields: Fields) -> str | None:
    number = fields.get(NODE)
    if number is None:
        return None
    nodes = cards.power_nodes(identity)
    if all(node["id"] != number for node in nodes):
        return f"no power node {number}; there are 1 to {len(nodes)}"
    if not any(node["type"] == 2 and (node["id"] == number or f"-{number}-" in node["path"]) for node in nodes):
        return f"no storage below power node {number}"
    return None
