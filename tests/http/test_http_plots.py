"""What pages ask for: plots, newest readings, newest alarms."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from harness import messages

from bridge.cloud.plots import MOST, STEPS, step_of

if TYPE_CHECKING:
    from .conftest import Window

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_760_000_000_000 // DAY * DAY


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=BERLIN).timestamp() * 1000)  # type: ignore[misc,arg-type]


async def fill(window: Window, rows: Sequence[dict[str, Any]]) -> None:
    for first in range(0, len(rows), 5_000):
        status, body, _ = await window.call("POST", "/ingest/v1/power", rows[first : first + 5_000])
        assert status == 200, body


async def plot(window: Window, start: int, end: int, **more: Any) -> Any:
    asked = {"asset": "D1", "point": "total_active_power", **more}
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return await window.get(f"/api/v1/plot?{query}&start={start}&end={end}")


async def test_a_year_of_minutes_is_few_values_and_keeps_its_peaks(window: Window) -> None:
    """A month of minutes stands for the year: what is asked is more than what is there."""
    peak, hole = START + 12_345 * MINUTE, START + 23_456 * MINUTE
    values = [round(50 + 40 * math.sin(i / 229), 2) for i in range(30 * 1440)]
    values[12_345], values[23_456] = 987.5, -321.25
    rows = [
        {"asset": "D1", "timestamp": START + i * MINUTE, "values": {"total_active_power": value}}
        for i, value in enumerate(values)
    ]
    await fill(window, rows)
    for days in (30, 366):
        (series,) = (await plot(window, START, START + days * DAY))["series"]
        step, times = series["step_ms"], series["times"]
        assert sum(len(series[part]) for part in ("values", "low", "high")) <= MOST
        assert max(series["high"]) == 987.5
        assert min(series["low"]) == -321.25
        assert times[series["high"].index(987.5)] == peak - (peak - START) % step
        assert times[series["low"].index(-321.25)] == hole - (hole - START) % step
        assert {after - before for before, after in pairwise(times)} == {step}
        whole = zip(series["values"], series["low"], series["high"], strict=True)
        assert all(low <= mean <= high for mean, low, high in whole)
    first = values[: DAY // MINUTE]
    assert series["step_ms"] == DAY
    assert series["values"][0] == pytest.approx(math.fsum(first) / len(first), rel=1e-12)


async def test_few_readings_come_as_they_are(window: Window) -> None:
    rows = [
        {"asset": "D1", "timestamp": START + i * MINUTE + 7, "values": {"total_active_power": float(i)}}
        for i in range(MOST)
    ]
    await fill(window, rows)
    (series,) = (await plot(window, START, START + 3 * DAY))["series"]
    assert (series["step_ms"], series["low"], series["high"]) == (0, [], [])
    assert series["times"] == [row["timestamp"] for row in rows]
    assert series["values"] == [float(i) for i in range(MOST)]
    (fewer,) = (await plot(window, START, START + 3 * DAY, values=1_999))["series"]
    assert fewer["step_ms"] > 0


async def test_holes_are_left_out(window: Window) -> None:
    rows = [
        {"asset": "D1", "timestamp": START + i * MINUTE, "values": {"total_active_power": 1.0}}
        for i in range(4_320)
        if not 1_000 <= i < 2_000
    ]
    await fill(window, rows)
    (series,) = (await plot(window, START, START + 3 * DAY))["series"]
    apart = [after - before for before, after in pairwise(series["times"])]
    assert series["step_ms"] == 10 * MINUTE
    assert sorted(set(apart)) == [10 * MINUTE, 1_000 * MINUTE + 10 * MINUTE]
    assert apart.count(10 * MINUTE) == len(apart) - 1


@pytest.mark.parametrize(
    ("day", "hours"),
    [((2025, 3, 30), 23), ((2025, 10, 26), 25), ((2025, 6, 1), 24)],
    ids=["spring", "autumn", "summer"],
)
async def test_energy_of_the_hours_of_a_local_day(window: Window, day: tuple[int, int, int], hours: int) -> None:
    start = at(*day)
    end = start + hours * HOUR
    rows = [
        {"asset": "D1", "timestamp": when, "timezone": "Europe/Berlin", "values": {"total_active_energy": n * 0.25}}
        for n, when in enumerate(range(start - HOUR, end + HOUR, MINUTE))
    ]
    await fill(window, rows)
    (series,) = (await plot(window, start, end, point="total_active_energy", values=28))["series"]
    assert (series["timezone"], series["step_ms"], series["kind"]) == ("Europe/Berlin", HOUR, "counter")
    assert series["times"] == list(range(start, end, HOUR))
    assert series["values"] == [15.0] * hours
    days = await plot(window, start - 2 * DAY, end + DAY, point="total_active_energy", values=16)
    (by_day,) = days["series"]
    assert sum(by_day["values"]) == pytest.approx(sum(series["values"]) + 29.75 - 0.0)
    assert start in by_day["times"]


async def test_whole_days_are_local(window: Window) -> None:
    start, end = at(2025, 1, 1), at(2026, 1, 1)
    rows = [
        {"asset": "D1", "timestamp": when, "timezone": "Europe/Berlin", "values": {"total_active_power": 1.0}}
        for when in range(start, end, 15 * MINUTE)
    ]
    await fill(window, rows)
    (series,) = (await plot(window, start, end))["series"]
    assert series["step_ms"] == DAY
    assert len(series["times"]) == 365
    assert {datetime.fromtimestamp(each / 1000, BERLIN).hour for each in series["times"]} == {0}


async def test_own_assets_only_and_those_without_the_point(window: Window) -> None:
    await fill(
        window, [{"asset": uid, "timestamp": START, "values": {"total_active_power": 1}} for uid in ("D1", "D2")]
    )
    await fill(window, [{"asset": "D1.meter.1", "device": "D1", "timestamp": START, "values": {"soc": 1}}])
    key = await window.house.registry.add_account("other", [("user", "other")])
    asked = {"asset": "D1,D2,D1.meter.1,nobody"}
    mine = await plot(window, START, START + DAY, **asked)
    assert [each["asset"] for each in mine["series"]] == ["D1", "D2"]
    assert mine["missing"] == ["D1.meter.1", "nobody"]
    query = f"asset=D1,D2&point=total_active_power&start={START}&end={START + DAY}"
    theirs = await window.get(f"/api/v1/plot?{query}", key=key)
    assert [each["asset"] for each in theirs["series"]] == ["D2"]
    assert theirs["missing"] == ["D1"]
    newest = await window.get("/api/v1/latest?point=total_active_power", key=key)
    assert [each["asset"] for each in newest["readings"]] == ["D2"]
    assert (await window.call("GET", f"/api/v1/plot?{query}", key=""))[0] == 401


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("asset=&point=p&start=1760000000000&end=1760000000001", "?asset"),
        ("asset=,&point=p&start=1760000000000&end=1760000000001", "?asset"),
        ("asset=" + ",".join(map(str, range(17))) + "&point=p&start=1760000000000&end=1760000000001", "?asset"),
        ("asset=D1&start=1760000000000&end=1760000000001", "?point"),
        ("asset=D1&point=p&end=1760000000001", "?start"),
        ("asset=D1&point=p&start=1760000000000&end=1760000000000", "?end"),
        ("asset=D1&point=p&start=1&end=1760000000000", "?start"),
        ("asset=D1&point=p&start=1760000000000&end=1760000000001&values=2001", "?values"),
        ("asset=D1&point=p&start=1760000000000&end=1760000000001&values=9223372036854775808", "?values"),
        ("asset=D1&point=p&start=1760000000000&end=1760000000001&width=1", "?width"),
    ],
)
async def test_questions_that_make_no_sense(window: Window, query: str, path: str) -> None:
    status, body, _ = await window.call("GET", f"/api/v1/plot?{query}")
    assert (status, body["error"]["path"]) == (422, path)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
async def test_all_times_that_there_are(window: Window, zone: str) -> None:
    rows = [
        {
            "asset": "D1",
            "timestamp": START,
            "timezone": zone,
            "values": {"total_active_power": 1, "total_active_energy": 2},
        }
    ]
    await fill(window, rows)
    for start, end in (
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"),
    ):
        for point in ("total_active_power", "total_active_energy"):
            body = await window.get(f"/api/v1/plot?asset=D1&point={point}&start={start}&end={end}")
            assert len(body["series"]) <= 1


async def test_what_is_kept_of_old_readings_is_drawn_too(window: Window) -> None:
    """Quarter-hours instead of readings: a day of them is 96, with their extremes."""
    cloud = window.house.cloud
    old = cloud.clock() // DAY * DAY - 20 * DAY
    rows = [
        {
            "asset": "D1",
            "timestamp": old + i * MINUTE,
            "values": {"total_active_power": float(i % 15), "total_active_energy": i},
        }
        for i in range(1440)
    ]
    await fill(window, rows)
    await cloud.series.fold(cloud.clock())
    object.__setattr__(cloud, "settings", type(cloud.settings)(raw_days=10))
    await cloud.retire()
    (series,) = (await plot(window, old, old + DAY))["series"]
    assert (series["step_ms"], len(series["times"])) == (15 * MINUTE, 96)
    assert (set(series["low"]), set(series["values"]), set(series["high"])) == ({0.0}, {7.0}, {14.0})
    (energy,) = (await plot(window, old, old + DAY, point="total_active_energy", values=28))["series"]
    assert sum(energy["values"]) == 1439


@pytest.mark.parametrize("buckets", [3, 16, 28, 100, 666, 2_000])
def test_no_step_gives_more_buckets_than_are_wanted(buckets: int) -> None:
    for span in (1, 999, MINUTE, HOUR, DAY - 1, DAY + HOUR, 7 * DAY, 31 * DAY, 366 * DAY, 4_000 * DAY, 3_000_000 * DAY):
        step = step_of(span, buckets)
        assert span // step + 2 <= buckets
        assert DAY % step == 0 or step % DAY == 0
    assert all(DAY % step == 0 for step in STEPS)


async def test_the_newest_readings_page_by_page(window: Window) -> None:
    names = ["D1", "D1.meter.1", "D1.meter.2", "D2"]
    for n, asset in enumerate(names):
        for when in (START, START + 5):
            await fill(
                window, [{"asset": asset, "timestamp": when, "values": {"total_active_power": n + when - START}}]
            )
    await fill(window, [{"asset": "D1.x", "timestamp": START, "values": {"soc": 1}}])
    seen, after = [], ""
    while True:
        page = await window.get(f"/api/v1/latest?point=total_active_power,total_power&limit=3{after}")
        seen += [(each["asset"], each["timestamp"], each["value"], each["unit"]) for each in page["readings"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == [(name, START + 5, n + 5.0, "kW") for n, name in enumerate(names)]
    for devices, there in (("D2", ["D2"]), ("D2,none,D1", names), ("none", [])):
        some = await window.get(f"/api/v1/latest?point=total_active_power&device={devices}")
        assert [each["asset"] for each in some["readings"]] == there
    for many in (",", ",".join(map(str, range(201)))):
        status, body, _ = await window.call("GET", f"/api/v1/latest?point=p&device={many}")
        assert (status, body["error"]["path"]) == (422, "?device")


async def test_the_newest_alarm_of_each_device(window: Window) -> None:
    def alarm(content: str) -> bytes:
        data = {"content": content, "device_type": "PCS", "alarm_type": "ems", "level": 1, "handle_status": 1}
        body = {"mid": str(uuid.uuid4()), "type": "alarm_details", "device_uid": "D1", "timestamp": messages.now_ms()}
        return messages.dump({**body, "data": [{**data, "occur_time": "2024-04-16T02:30:27Z"}]})

    assert await window.get("/api/v1/alarms") == {"alarms": [], "next": None}
    async with await window.connect("D1") as device:
        for content in ("first", "<img src=x onerror=alert(1)>"):
            await device.stored(messages.topic("D1", "alarm/details/post"), alarm(content))
    (told,) = (await window.get("/api/v1/alarms"))["alarms"]
    assert (told["device"], told["suffix"]) == ("D1", "alarm/details/post")
    assert told["body"]["data"][0]["content"] == "<img src=x onerror=alert(1)>"
    page = await window.get("/api/v1/alarms?limit=1")
    assert page["next"] == "D1"
    assert await window.get("/api/v1/alarms?after=D1") == {"alarms": [], "next": None}
    key = await window.house.registry.add_account("other", [("user", "other")])
    assert (await window.get("/api/v1/alarms", key=key))["alarms"] == []
