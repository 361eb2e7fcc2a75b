"""Schedules against a plain reading of the vendor's pages: months, weekdays and dates from 0, half-open slots, the first wins."""

from __future__ import annotations

import math
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_simulator_answers import SLOT, START, make, say, told

from simulator import program
from simulator.charging import MOST, MOST_SLOTS
from simulator.device import Device
from simulator.identity import Identities, device_specs
from simulator.plan import Plan
from simulator.state import local_time

MINUTE_OF_DAY = 1440


def quiet(cabinets: int) -> Device:
    """A device whose storage does what schedules say and nothing else says anything."""
    identities = Identities()
    for spec in device_specs(100, versions=("v2",)):
        identity, site = identities.of(spec)
        if len(identity.cabinets) == cabinets:
            device = Device(spec, identity, msgspec.structs.replace(site, fault_share=0.0), START, 60.0)
            device.site = msgspec.structs.replace(device.site, plan=Plan())
            return device
    raise AssertionError


slots = st.builds(
    lambda start, end, mode, kw: {
        "start_hour": start // 60, "start_minute": start % 60, "end_hour": end // 60, "end_minute": end % 60,
        "cdc_enable_mode": mode, "run_power": kw,
    },
    st.sampled_from([0, 1, 59, 60, 480, 719, 720, 1439]),
    st.sampled_from([0, 1, 60, 61, 481, 720, 721, 1439]),
    st.sampled_from([0, 1, 2]),
    st.integers(0, 9),
)  # fmt: skip
schedules = st.fixed_dictionaries(
    {
        "charge_type": st.just(1),
        "status": st.sampled_from([1, 1, 1, 0]),
        "month": st.lists(st.sampled_from([0, 1, 2, 10, 11]), max_size=4, unique=True),
        "mode": st.sampled_from([1, 2]),
        "year": st.sampled_from([2024, 2025]),
        "dates": st.lists(st.sampled_from([0, 1, 27, 28, 29, 30]), max_size=5, unique=True),
        "week_day": st.lists(st.integers(0, 6), max_size=6, unique=True),
        "settings": st.lists(slots, max_size=4),
        "whom": st.sampled_from([None, [1], [2], [2, 3]]),
    }
)
seconds = st.sampled_from([0, 1, 59, 60, 480, 481, 720, 721, 1439]).flatmap(
    lambda minute: st.sampled_from([60 * minute - 1, 60 * minute, 60 * minute + 59])
)
moments = st.builds(
    lambda year, month, day, second: (
        datetime(year, month, min(day, monthrange(year, month)[1]), tzinfo=UTC) + timedelta(seconds=second)
    ),
    st.sampled_from([2024, 2025]),
    st.sampled_from([1, 2, 3, 11, 12]),
    st.sampled_from([1, 2, 28, 29, 30, 31]),
    seconds,
)


def backwards(slot: dict[str, Any]) -> bool:
    """Whether it ends before it begins; 00:00 is the end of the day."""
    start, end = 60 * slot["start_hour"] + slot["start_minute"], 60 * slot["end_hour"] + slot["end_minute"]
    return 0 < end < start


def on(schedule: dict[str, Any], local: datetime) -> dict[str, Any] | None:
    """The slot of a schedule that a moment lies in."""
    if schedule["status"] == 0 or local.month not in [month + 1 for month in schedule["month"]]:
        return None
    if schedule["mode"] == 1 and (
        local.year != schedule["year"] or local.day not in [n + 1 for n in schedule["dates"]]
    ):
        return None
    if schedule["mode"] == 2 and local.weekday() not in schedule["week_day"]:
        return None
    for slot in schedule["settings"]:
        start = timedelta(hours=slot["start_hour"], minutes=slot["start_minute"])
        end = timedelta(hours=slot["end_hour"], minutes=slot["end_minute"])
        if not end and start:
            end = timedelta(days=1)
        if start <= local - local.replace(hour=0, minute=0, second=0, microsecond=0) < end:
            return slot  # type: ignore[no-any-return]
    return None


def first(known: list[dict[str, Any]], local: datetime) -> dict[str, Any] | None:
    return next((slot for each in known if (slot := on(each, local)) is not None), None)


def sent(schedule: dict[str, Any], ids: str) -> dict[str, Any]:
    fields = {name: value for name, value in schedule.items() if name != "whom"}
    return fields | ({"apply_to_all": True} if schedule["whom"] is None else {ids: schedule["whom"]})


@given(st.lists(schedules, min_size=1, max_size=MOST), st.lists(moments, min_size=1, max_size=8))
@settings(max_examples=150)
def test_cabinets_do_what_the_first_schedule_says(wanted: list[dict[str, Any]], at: list[datetime]) -> None:
    device = quiet(3)
    kept: list[dict[str, Any]] = []
    for schedule in wanted:
        (answer,) = say(device, "charge/create", sent(schedule, "ems_device_ids"))
        assert (answer["code"] == 400) == any(backwards(slot) for slot in schedule["settings"])
        kept += [schedule] if answer["code"] == 200 else []
    signs = {0: 0, 1: 1, 2: -1}
    for moment in at:
        now = moment.timestamp() - device.site.spec.utc_offset_s
        half = device.site.spec.battery.capacity_kwh / 2
        device.site = msgspec.structs.replace(device.site, at=now, energy_kwh=half)
        device.follow(device.site.plan, now + 0.5)
        for place, pack in enumerate(device.site.packs):
            slot = first([each for each in kept if each["whom"] is None or place + 1 in each["whom"]], moment)
            if slot is not None:
                expected = signs[slot["cdc_enable_mode"]] * slot["run_power"]
                assert pack.ac_kw == pytest.approx(expected, abs=1e-9), (place, moment)


@given(st.lists(schedules, min_size=1, max_size=MOST), st.lists(moments, min_size=1, max_size=8))
def test_photovoltaics_and_piles_keep_to_the_first_schedule(wanted: list[dict[str, Any]], at: list[datetime]) -> None:
    device = quiet(1)
    for feature, works, limit in (
        ("charge_photovoltaic", 2, program.pv_limit),
        ("charge_pail", 1, program.pile_limit),
    ):
        kept = []
        for schedule in wanted:
            fields = schedule | {"whom": None}
            if feature == "charge_photovoltaic":
                fields["settings"] = [slot for slot in schedule["settings"] if slot["cdc_enable_mode"] != 1]
            (answer,) = say(device, f"{feature}/create", sent(fields, "device_ids"))
            assert (answer["code"] == 400) == any(backwards(slot) for slot in fields["settings"])
            kept += [fields] if answer["code"] == 200 else []
        for moment in at:
            slot = first(kept, moment)
            expected = math.inf if slot is None else slot["run_power"] if slot["cdc_enable_mode"] == works else 0
            local = local_time(device.site.spec, moment.timestamp() - device.site.spec.utc_offset_s)
            assert limit(device.site.plan, local) == expected


PLAIN = {"charge_type": 1, "status": 1, "mode": 2, "month": [0], "week_day": [0], "settings": [SLOT]}


def codes(device: Device, what: str, *bodies: Any) -> list[int]:
    return [say(device, what, body)[0]["code"] for body in bodies]


def test_a_cabinet_has_at_most_four() -> None:
    device = quiet(3)
    every, one, two = PLAIN | {"apply_to_all": True}, PLAIN | {"ems_device_ids": [1]}, PLAIN | {"ems_device_ids": [2]}
    assert codes(device, "charge/create", every, one, one, two, one) == [200] * 5
    assert codes(device, "charge/create", one, every) == [400, 400]
    assert codes(device, "charge/create", two, two, two) == [200, 200, 400]
    assert "device 1 has more" in say(device, "charge/create", one)[0]["msg"]
    assert codes(device, "charge/update", every | {"id": 4}, two | {"id": 4}, two | {"id": 2}) == [400, 200, 400]
    assert codes(device, "charge/by_node", PLAIN | {"node_id": 2}, PLAIN | {"node_id": 7}) == [400, 200]
    assert codes(device, "charge/update_all", [every] * 5, [one] * 4 + [two] * 4) == [400, 200]
    assert len(told(device, "charge/sync")) == 8


@pytest.mark.parametrize("feature", ["charge_photovoltaic", "charge_pail"])
def test_one_device_has_at_most_four(feature: str) -> None:
    device = quiet(1)
    body = PLAIN | {"apply_to_all": True}
    assert codes(device, f"{feature}/create", *[body] * (MOST + 1)) == [200] * MOST + [400]
    assert codes(device, f"{feature}/update", body | {"id": MOST}) == [200]
    assert codes(device, f"{feature}/update_all", [body] * (MOST + 1), [body] * MOST) == [400, 200]


@pytest.mark.parametrize(("version", "what"), [("v2", "charge/create"), ("emu", "charge/setting")])
def test_a_schedule_has_at_most_twelve_slots(version: Any, what: str) -> None:
    device = make(version)
    body = PLAIN | ({"apply_to_all": True} if version == "v2" else {})
    if version == "emu":
        body.pop("mode")
    assert codes(device, what, body | {"settings": [SLOT] * MOST_SLOTS}) == [200]
    (answer,) = say(device, what, body | {"settings": [SLOT] * (MOST_SLOTS + 1)})
    assert (answer["code"], answer["msg"]) == (400, "settings: at most 12 slots")


def test_a_night_is_two_slots() -> None:
    """No page speaks of slots over midnight."""
    device = quiet(1)
    night = SLOT | {"start_hour": 22, "start_minute": 0, "end_hour": 6, "end_minute": 0}
    body = PLAIN | {"apply_to_all": True}
    assert "settings[0] ends before it begins" in say(device, "charge/create", body | {"settings": [night]})[0]["msg"]
    halves = [night | {"end_hour": 0}, night | {"start_hour": 0}]
    assert codes(device, "charge/create", body | {"settings": halves}) == [200]
