"""What a device does beyond the limits: schedules, controls, protection, branches, updates, frequency regulation."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import kinds
from simulator.device import Device
from simulator.identity import Identities, Version, device_specs
from simulator.site import Order, Plan, begin, step

START = 1_750_003_200.0
DATA: dict[str, Any] = msgspec.json.decode((Path(__file__).parents[1] / "data" / "commands.json").read_bytes())
BY_WEEKDAY = DATA["charge/create"]
SLOT = BY_WEEKDAY["settings"][0]


def make(version: Version = "v2", n: int = 1) -> Device:
    spec = device_specs(n + 1, versions=(version,))[n]
    identity, site = Identities().of(spec)
    return Device(spec, identity, site, START, 60.0)


def cabinets_of(count: int) -> Device:
    """A device with so many storage cabinets."""
    return next(device for device in (make(n=n) for n in range(40)) if len(device.identity.cabinets) == count)


def say(
    device: Device, what: str, data: object = None, now: float = START + 5, **extra: object
) -> list[dict[str, Any]]:
    """The device's answers to a command, all of its result's kind."""
    feature, action = what.split("/")
    kind = kinds.command(feature, action)
    assert kind is not None
    head = {"mid": str(uuid.uuid4()), "type": kind.type, "device_uid": device.spec.uid, "timestamp": int(now * 1000)}
    body = head | ({} if data is None else {"data": data}) | extra
    posts = device.handle(f"v1/wudun/PK1/{device.spec.uid}/{kind.suffix}", msgspec.json.encode(body), now)
    return [msgspec.json.decode(payload) for topic, payload in posts if topic.endswith(f"{what}/result")]


def told(device: Device, what: str, **extra: object) -> Any:
    (answer,) = say(device, what, **extra)
    assert answer["code"] == 200
    return answer["data"]


FAMILIES = [("charge", "ems_device_ids", "ems_devices"), ("charge_photovoltaic", "device_ids", "devices"),
            ("charge_pail", "device_ids", "devices")]  # fmt: skip


@pytest.mark.parametrize(("feature", "ids", "shown"), FAMILIES)
def test_schedules_are_created_changed_and_deleted(feature: str, ids: str, shown: str) -> None:
    device = make()
    plain = {name: value for name, value in BY_WEEKDAY.items() if name != "ems_device_ids"}
    (created,) = say(device, f"{feature}/create", plain | {ids: [1]})
    assert created["data"] == {"policy_id": 1}
    (listed,) = told(device, f"{feature}/sync")
    assert (listed["id"], listed["apply_to_all"], listed["week_day"]) == (1, False, [5, 6])
    assert [each["id"] for each in listed[shown]] == [1]
    assert say(device, f"{feature}/update", DATA[f"{feature}/update"])[0]["code"] == 200
    (listed,) = told(device, f"{feature}/sync")
    assert (listed["apply_to_all"], listed["dates"]) == (True, [0, 30])
    assert "week_day" not in listed
    (answer,) = say(device, f"{feature}/create", plain | {ids: [77]})
    assert answer["code"] == 400
    assert "no device 77" in answer["msg"]
    backwards = plain | {"apply_to_all": True, "settings": [SLOT, SLOT | {"end_hour": 1, "end_minute": 49}]}
    assert "settings[1] ends" in say(device, f"{feature}/create", backwards)[0]["msg"]
    assert say(device, f"{feature}/delete", {"id": 1})[0]["code"] == 200
    assert told(device, f"{feature}/sync") == []


def test_a_branch_has_one_schedule() -> None:
    device = cabinets_of(2)
    nodes = {node["id"]: node for node in told(device, "power_node/sync")}
    assert [node["type"] for node in nodes.values()] == [1, 1, 1, 1, 2, 2, 1, 1]
    assert {node["parent_id"] for node in nodes.values()} == {0, 1, 2, 4}
    plain = {name: value for name, value in BY_WEEKDAY.items() if name != "ems_device_ids"}
    assert say(device, "charge/by_node", plain | {"node_id": 2})[0]["data"] == {"policy_id": 1}
    assert say(device, "charge/by_node", plain | {"node_id": 6})[0]["data"] == {"policy_id": 2}
    assert say(device, "charge/by_node", plain | {"node_id": 2, "status": 0})[0]["data"] == {"policy_id": 1}
    first, second = told(device, "charge/sync")
    assert first["status"] == 0
    assert [each["id"] for each in first["ems_devices"]] == [1, 2]
    assert [each["id"] for each in second["ems_devices"]] == [2]
    assert "no power node 9" in say(device, "charge/by_node", plain | {"node_id": 9})[0]["msg"]
    assert "no storage below power node 3" in say(device, "charge/by_node", plain | {"node_id": 3})[0]["msg"]
    wrong = plain | {"node_id": 2, "settings": [SLOT | {"end_hour": 1, "end_minute": 0}]}
    assert say(device, "charge/by_node", wrong)[0]["code"] == 400
    assert told(device, "charge/sync") == [first, second]


def schedule(device: Device, at: float, **changes: Any) -> dict[str, Any]:
    """A schedule of one slot around `at`, on that weekday in that month."""
    local = datetime.fromtimestamp(at + device.site.spec.utc_offset_s, UTC)
    slot = SLOT | {"start_hour": local.hour, "start_minute": 0, "end_hour": (local.hour + 1) % 24, "end_minute": 0}
    return {
        "charge_type": 1,
        "status": 1,
        "month": [local.month - 1],
        "week_day": [local.weekday()],
        "settings": [slot | {"run_power": 20} | changes],
    }


def storage_at(device: Device, now: float) -> float:
    device.follow(device.site.plan, now)
    return device.site.storage_kw


NOON, LAST_HOUR = START + 12 * 3600, START + 7.5 * 3600


@pytest.mark.parametrize(("mode", "per_cabinet"), [(1, 20.0), (2, -20.0), (0, 0.0)])
@pytest.mark.parametrize("at", [NOON, LAST_HOUR])
def test_the_storage_follows_its_schedule(mode: int, per_cabinet: float, at: float) -> None:
    device = make()
    device.site = msgspec.structs.replace(device.site, plan=Plan())
    fields = schedule(device, at, cdc_enable_mode=mode) | {"mode": 2, "apply_to_all": True}
    assert say(device, "charge/create", fields, at - 60)[0]["code"] == 200
    device.site = msgspec.structs.replace(device.site, energy_kwh=device.site.spec.battery.capacity_kwh / 2)
    assert storage_at(device, at + 60) == pytest.approx(per_cabinet * len(device.identity.cabinets))


def test_an_emu_follows_its_own_schedule() -> None:
    device = make("emu")
    fields = schedule(device, NOON, cdc_enable_mode=2)
    filler = SLOT | {"start_hour": 0, "start_minute": 0, "end_hour": 0, "cdc_enable_mode": 21, "run_power": 0}
    (answer,) = say(device, "charge/setting", fields | {"settings": [*fields["settings"], filler]}, NOON - 60)
    assert (answer["code"], "data" in answer) == (200, False)
    device.site = msgspec.structs.replace(device.site, energy_kwh=device.site.spec.battery.capacity_kwh / 2)
    assert storage_at(device, NOON + 60) == pytest.approx(-20.0 * device.site.spec.battery.cabinets)
    wrong = fields | {"settings": [SLOT | {"end_hour": 1, "end_minute": 0}]}
    assert "ends before" in say(device, "charge/setting", wrong)[0]["msg"]
    say(device, "charge/setting", fields | {"status": 0}, NOON)
    assert device.site.plan.orders == ()


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"months": frozenset({4})}, False),
        ({"week_days": frozenset({0})}, True),
        ({"week_days": frozenset({1})}, False),
        ({"dates": frozenset({15})}, True),
        ({"dates": frozenset({16})}, False),
        ({"year": 2025}, True),
        ({"year": 2024}, False),
        ({"start": 601}, False),
        ({"end": 600}, False),
        ({"start": 600, "end": 601}, True),
    ],
)
def test_an_order_is_for_its_days_and_minutes(changes: dict[str, Any], holds: bool) -> None:
    order = msgspec.structs.replace(Order(0, 1440, 1.0, frozenset({5})), **changes)
    assert order.holds(datetime(2025, 6, 16, 10, 0, 30, tzinfo=UTC)) is holds


def test_limits_hold_under_a_schedule() -> None:
    spec = make().site.spec
    order = Order(0, 1440, 1e6, frozenset(range(12)))
    free = step(begin(spec, START, plan=Plan(orders=(order,))), 60.0)
    assert free.storage_kw == pytest.approx(spec.battery.power_kw)
    limit = free.gateway_kw - 10.0
    bound = step(begin(spec, START, plan=Plan(demand_kw=(limit,) * 12, orders=(order,))), 60.0)
    assert bound.gateway_kw == pytest.approx(limit)


CONTROLS = [
    ("pcs_control", {"pcs_device_stop": 1}, "pcs_remote_local_setting", 1),
    ("bms_control", {"battery_system_reset": 1}, "high_voltage_command", 1),
    ("condition_control", {"target_cooling_point": 22.5}, "target_heating_point", 15.0),
]


@pytest.mark.parametrize(("feature", "wanted", "other", "default"), CONTROLS)
def test_a_control_is_kept_by_cabinet(feature: str, wanted: dict[str, Any], other: str, default: Any) -> None:
    device = cabinets_of(2)
    ((name, value),) = wanted.items()
    assert say(device, f"{feature}/set", wanted, sub_device_id=2)[0]["code"] == 200
    assert told(device, f"{feature}/sync", sub_device_id=2) == told(device, f"{feature}/sync", sub_device_id=1) | wanted
    assert told(device, f"{feature}/sync")[name] != value
    assert told(device, f"{feature}/sync")[other] == default
    say(device, f"{feature}/set", wanted)
    assert [told(device, f"{feature}/sync", sub_device_id=n)[name] for n in (1, 2)] == [value] * 2
    assert told(cabinets_of(2), f"{feature}/sync")[name] != value


def test_what_is_posted_at_the_start_is_what_sync_tells() -> None:
    device = make()
    posts = {topic.split("/", 4)[4]: msgspec.json.decode(payload)["data"] for topic, payload in device.due(START)}
    for feature, action in (("charge_percentage", "details"), ("safety", "details"), ("power_node", "list")):
        assert posts[f"{feature}/{action}/post"] == told(device, f"{feature}/sync")


def test_the_grid_asks_for_what_the_storage_does() -> None:
    device = make()
    device.due(START)
    sorts, running = [], False
    for n in range(1, 2000):
        device.next_due = START + n * 900
        for topic, payload in device.due(device.next_due):
            if topic.endswith("grid_fm/receive/post"):
                kind, message = kinds.resolve("grid_fm/receive/post", payload)
                assert kinds.unknown_keys(kind, payload) == ()
                assert message.data.receive_time == (START + n * 900) * 1000
                sorts.append(message.data.type)
                if message.data.type == "power":
                    assert running
                    assert message.data.regulation_power == round(device.site.storage_kw, 1)
                else:
                    assert message.data.regulation_power == (not running)
                    running = not running
    assert 5 < sorts.count("power") < 60
    assert sorts.count("power") < sorts.count("status") <= 2 * sorts.count("power")
