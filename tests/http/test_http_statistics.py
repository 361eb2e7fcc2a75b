"""`/dashboard` and `/charts`: from what devices, sinks and people tell to the numbers, in every encoding; hostile questions."""

from __future__ import annotations

import json
import random
import uuid
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import pytest
from harness import messages

from bridge.cloud.rollups import roll
from bridge.http.app import openapi_document

if TYPE_CHECKING:
    from .conftest import Window

BERLIN = ZoneInfo("Europe/Berlin")
BT = ["bt", "2024-03-30 00:00:00", "2024-04-01 23:59:59"]
RESOURCES = ["charge", "follow", "record", "sample", "status", "training"]


@pytest.fixture
def config_of() -> dict[str, object]:
    """Prices by the hour, a state that holds for two hours."""
    return {
        "devices.timezone": "Europe/Berlin",
        "statistics.price": 1.0,
        "statistics.periods": [{"start": "08:00", "end": "11:00", "price": 3, "weekdays": [1, 2, 3, 4, 5]}],
        "statistics.hold_s": 7200,
    }


def at(*wall: int) -> int:
    return int(datetime(*wall, tzinfo=BERLIN).timestamp() * 1000)  # type: ignore[misc,arg-type]


def pcs(uid: str, when: int, doing: int, *, fault: int = 0, number: int = 1) -> bytes:
    entry = {"type": "sub_ems_pcs", "index": 0, "data": {"running_status": doing, "pcs_fault_status": fault}}
    return messages.dump({**messages.report_of(uid, {}, when), "sub_device_id": number, "data": [entry]})


def alarm(uid: str, number: int, occur: str, handled: str | None = None) -> bytes:
    data = {"id": number, "content": "x", "device_type": "PCS", "alarm_type": "ems", "level": 1, "handle_status": 1}
    data["occur_time"] = occur
    if handled:
        data |= {"handle_status": 2, "handle_time": handled}
    envelope = {"mid": str(uuid.uuid4()), "type": "alarm_details", "device_uid": uid, "timestamp": at(2024, 4, 2)}
    return messages.dump({**envelope, "data": data})


async def tell(window: Window, *payloads: bytes, uid: str = "D1", suffix: str = messages.REPORT) -> None:
    async with await window.connect(uid) as device:
        for payload in payloads:
            await device.stored(messages.topic(uid, suffix), payload)


async def ask(window: Window, path: str, query: dict[str, Any], **more: Any) -> Any:
    return await window.get(f"{path}?{urlencode(query, doseq=True)}", **more)


async def test_runs_of_a_device(window: Window) -> None:
    """Two PCS, over midnight and the lost hour; out of order; a silence longer than two hours."""
    told = [
        pcs("D1", at(2024, 3, 30, 23), 3),
        pcs("D1", at(2024, 3, 31, 0, 30), 4),
        pcs("D1", at(2024, 3, 31, 3, 30), 2),  # 2 h later by the clock that devices have
        pcs("D1", at(2024, 3, 31, 1), 3, number=2),
        pcs("D1", at(2024, 3, 31, 3), 3, number=2),
        pcs("D1", at(2024, 3, 31, 3, 45), 1, number=2),
        pcs("D1", at(2024, 3, 31, 12), 3),  # nothing after it
        pcs("D1", at(2024, 4, 2, 12), 3),
        pcs("D1", at(2024, 4, 2, 12, 0, 30), 7, fault=1),
    ]
    random.Random(5).shuffle(told)
    await tell(window, *told)
    query = {"equipment": "D1", "resource": ["record", "status"], "time": BT}
    seconds = 3600 + 3600 * 3 - 3600 + 45 * 60
    assert await ask(window, "/dashboard", query) == {
        "record": {
            "total": {"use_numbers": 3, "service_times": 2, "service_time": seconds},
            "detail": [{"equipment": "D1", "use_numbers": "3", "service_times": "2", "service_time": str(seconds)}],
        },
        "status": {"total": {"break_time": 0, "break_times": 0}, "detail": []},
    }
    charts = await ask(window, "/charts", {**query, "unit": "day"})
    assert charts["record"]["detail"] == [
        {"date": "2024-03-30", "use_numbers": "1", "service_times": "1", "service_time": "3600"},
        {"date": "2024-03-31", "use_numbers": "2", "service_times": "1", "service_time": str(seconds - 3600)},
    ]
    months = await ask(window, "/charts", {**query, "time": ["ge", "2024-01-01"], "unit": "month"})
    assert [each["date"] for each in months["record"]["detail"]] == ["2024-03", "2024-04"]
    assert months["status"]["detail"] == [{"date": "2024-04", "break_time": 0, "break_times": 1}]


async def test_a_late_report_inside_a_run(window: Window) -> None:
    when = [at(2024, 5, 1, 8, minute) for minute in (0, 10, 20, 30, 40)]
    await tell(window, *(pcs("D1", each, 3) for each in (when[0], when[1], when[3], when[4])))
    query = {"equipment": "D1", "resource": "record", "time": "2024-05-01"}
    assert (await ask(window, "/dashboard", query))["record"]["total"]["service_time"] == 2400
    await tell(window, pcs("D1", when[2], 1), pcs("D1", when[2], 1))
    told = (await ask(window, "/dashboard", query))["record"]["total"]
    assert told == {"use_numbers": 2, "service_times": 2, "service_time": 1800}


async def test_alarms_are_faults_until_they_are_handled(window: Window) -> None:
    alarms = "alarm/details/post"
    await tell(
        window,
        alarm("D1", 1, "2024-03-30T22:30:00Z"),  # 23:30 in Berlin
        alarm("D1", 1, "2024-03-30T22:30:00Z", "2024-03-31T02:00:00Z"),
        alarm("D1", 2, "2024-03-31T01:00:00Z", "2024-03-31T03:00:00Z"),  # overlaps: one break
        alarm("D1", 3, "2024-04-01T21:00:00Z"),  # still up
        alarm("D1", 4, "0001-01-01T00:00:00Z", "no time"),
        suffix=alarms,
    )
    query = {"equipment": "D1", "resource": "status", "time": BT}
    status = (await ask(window, "/dashboard", query))["status"]
    assert status["total"] == {"break_time": 4 * 3600 + 1800 + 3600, "break_times": 2}
    assert status["detail"] == [{"equipment": "D1", "break_time": "19800", "break_times": "2"}]
    days = (await ask(window, "/charts", {**query, "unit": "day"}))["status"]["detail"]
    assert days == [
        {"date": "2024-03-30", "break_time": 1800, "break_times": 1},
        {"date": "2024-03-31", "break_time": 4 * 3600, "break_times": 0},
        {"date": "2024-04-01", "break_time": 3600, "break_times": 1},
    ]


async def test_messages_count_once_across_a_restart(window: Window, tmp_path: Path) -> None:
    """What was told before the statistics were first asked is looked at too, and what was, is not again."""
    from bridge.cloud.statistics_follow import Follower

    await tell(window, pcs("D1", at(2024, 5, 1, 8), 3), pcs("D1", at(2024, 5, 1, 9), 1))
    query = {"equipment": "D1", "resource": "record", "time": "2024-05-01"}
    first = await ask(window, "/dashboard", query)
    equipment = window.house.statistics.equipment
    assert await Follower(equipment, 7_200_000).catch_up() == 0
    assert await ask(window, "/dashboard", query) == first
    await equipment.learn([], [], [], 0)  # the mark lost: the same messages change nothing
    assert await ask(window, "/dashboard", query) == first
    assert first["record"]["total"] == {"use_numbers": 1, "service_times": 1, "service_time": 3600}


async def test_energy_by_price(window: Window) -> None:
    point = "pcs_ac_charge_accumulated_energy"
    rows = [
        {"asset": "D1.pcs.1.0", "device": "D1", "timestamp": when, "values": {point: value}}
        for when, value in (
            (at(2024, 3, 29, 7, 0), 100.0),
            (at(2024, 3, 29, 9, 0), 110.0),  # Friday: half of it in the dear hours
            (at(2024, 3, 29, 23, 0), 110.0),
            (at(2024, 3, 30, 1, 0), 112.0),
            (at(2024, 3, 30, 9, 0), 4.0),  # a reset, on a Saturday
            (at(2024, 4, 1, 10, 0), 5.5),  # two days later: all of it then
        )
    ]
    rows += [
        {**row, "asset": "D1.meter.1", "values": {"total_forward_active_energy": 3 * n}} for n, row in enumerate(rows)
    ]
    status, body, _ = await window.call("POST", "/ingest/v1/power", rows, headers={"Content-Type": "application/json"})
    assert (status, body["rejected"]) == (200, 0)
    query = {
        "equipment": ["D1", "D2"],
        "resource": "charge",
        "time": ["bt", "2024-03-01 00:00:00", "2024-04-30 23:59:59"],
    }
    assert await ask(window, "/dashboard", query) == {
        "charge": {
            "total": {"charge_amount": 20 + 2 + 4 + 4.5},
            "detail": [{"equipment": "D1", "charge_amount": "30.5"}],
        }
    }
    assert (await ask(window, "/charts", {**query, "unit": "day"}))["charge"]["detail"] == [
        {"date": "2024-03-29", "charge_amount": "21"},
        {"date": "2024-03-30", "charge_amount": "5"},
        {"date": "2024-04-01", "charge_amount": "4.5"},
    ]
    assert (await ask(window, "/charts", {**query, "unit": "month"}))["charge"]["detail"] == [
        {"date": "2024-03", "charge_amount": "26"},
        {"date": "2024-04", "charge_amount": "4.5"},
    ]
    two = {**query, "time": ["in", "2024-03-29", "2024-04-01 10:00:00"]}
    assert (await ask(window, "/dashboard", two))["charge"]["total"] == {"charge_amount": 25.5}


@pytest.mark.parametrize("config_of", [{"devices.timezone": "Europe/Berlin", "statistics.price": 2.0}])
async def test_energy_of_readings_is_that_of_their_quarter_hours(window: Window) -> None:
    """Resets within a quarter-hour and a minute, gaps, an end in the midst of one: retention takes no charge, and EnOS agrees."""
    point, values = "pcs_ac_charge_accumulated_energy", 100.0
    rows, first = [], at(2024, 3, 28, 23, 7)
    for n in range(700):
        values = 0.5 if n % 47 == 0 else values * 0.999 if n % 31 == 0 else values + n % 5 / 8
        when = first + n * 310_000 + (n // 200) * 7 * 3_600_000
        rows += [{"asset": "D1.pcs.1.0", "device": "D1", "timestamp": when, "values": {point: round(values, 3)}}]
        rows += [{**rows[-1], "timestamp": when + 9_000, "values": {point: 3.0}}] if n % 53 == 0 else []
    status, body, _ = await window.call("POST", "/ingest/v1/power", rows, headers={"Content-Type": "application/json"})
    assert (status, body["rejected"]) == (200, 0)
    series = window.house.cloud.series
    enos = {
        "orgId": "o", "assetIds": "D1.pcs.1.0", "measurepointsWithLogic": f"sum({point})", "interval": 1440,
        "startTime": "2024-03-20T00:00:00Z", "endTime": "2024-04-20T00:00:00Z",
    }  # fmt: skip

    async def charged(time: list[str]) -> float:
        found = await ask(window, "/dashboard", {"equipment": "D1", "resource": "charge", "time": time})
        return float(found["charge"]["total"]["charge_amount"])

    for _ in range(2):
        total = await charged(["bt", "2024-03-20", "2024-04-20"])
        dates = [date(2024, 3, 20) + timedelta(days=day) for day in range(32)]
        days = [await charged(["eq", str(each)]) for each in dates]
        assert sum(days) == pytest.approx(total, abs=1e-8)
        _, told, _ = await window.call("GET", f"/tsdb-service/v2.0/electric-power?{urlencode(enos)}")
        assert sum(item[f"sum({point})"] for item in told["data"]["items"]) * 2 == pytest.approx(total, abs=1e-8)
        await series.fold(at(2024, 6, 1))
        await series.retire(roll, at(2024, 6, 1) // 86_400_000, None)


EVENTS = "/api/v1/equipment/D1/events"


async def test_events(window: Window) -> None:
    training = {"id": "t1", "type": "training", "at": at(2024, 3, 30, 23, 59, 59), "count": 3, "approved": True}
    assert (await window.call("POST", EVENTS, training))[1] == {"stored": 1, "known": 0}
    several = [
        training,
        {"id": "t2", "type": "training", "at": "2024-03-31T00:00:00+01:00"},
        {"id": "s1", "type": "sample", "at": at(2024, 4, 1, 23, 59, 59), "count": 32, "note": "样品", "user": "eve"},
        {"id": "f1", "type": "follow", "at": at(2024, 4, 2)},
    ]
    status, body, _ = await window.call("POST", EVENTS, several)
    assert (status, body) == (200, {"stored": 3, "known": 1})
    assert (await window.call("POST", EVENTS, several))[1] == {"stored": 0, "known": 4}
    query = {"equipment": "D1", "resource": ["training", "sample", "follow"], "time": BT}
    assert await ask(window, "/dashboard", query) == {
        "training": {
            "total": {"training_times": 4, "approved_times": 3},
            "detail": [{"equipment": "D1", "training_times": "4", "approved_times": "3"}],
        },
        "sample": {"total": {"sample_times": 32}, "detail": [{"equipment": "D1", "sample_times": "32"}]},
        "follow": {"total": {"follow_numbers": 0}, "detail": []},
    }
    charts = await ask(window, "/charts", {**query, "resource": ["training", "sample"], "unit": "day"})
    assert charts == {
        "training": {
            "detail": [
                {"date": "2024-03-30", "training_times": 3, "approved_times": 3},
                {"date": "2024-03-31", "training_times": 1, "approved_times": 0},
            ]
        },
        "sample": {"detail": [{"date": "2024-04-01", "sample_times": "32"}]},
    }
    assert list(charts) == ["training", "sample"]
    listed = await window.get(f"{EVENTS}?limit=2&type=training")
    assert ([each["id"] for each in listed["events"]], listed["next"]) == (["t1", "t2"], None)
    page = await window.get(f"{EVENTS}?limit=3")
    assert [each["id"] for each in (await window.get(f"{EVENTS}?after={page['next']}"))["events"]] == ["f1"]
    since = quote("2024-03-31T00:00:00+01:00")
    assert [each["id"] for each in (await window.get(f"{EVENTS}?since={since}&limit=1"))["events"]] == ["t2"]
    assert (await window.call("DELETE", f"{EVENTS}/t1"))[:2] == (200, {"removed": 1})
    assert (await window.call("DELETE", f"{EVENTS}/t1"))[0] == 404
    assert (await ask(window, "/dashboard", query))["training"]["total"]["training_times"] == 1


GOOD = {"id": "a", "type": "sample", "at": 1_711_753_200_000}


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({**GOOD, "id": ""}, 422, "$.id"),
        ({**GOOD, "id": "a b"}, 422, "$.id"),
        ({**GOOD, "type": "charge"}, 422, "$.type"),
        ({**GOOD, "at": 1_711_753_200}, 422, "$.at"),
        ({**GOOD, "at": 10**30}, 422, "$.at"),
        ({**GOOD, "at": -5}, 422, "$.at"),
        ({**GOOD, "at": True}, 422, "$.at"),
        ({**GOOD, "at": "2024-03-30 00:00:00"}, 422, "$.at"),
        ({**GOOD, "at": "9999-03-30T00:00:00Z"}, 422, "$.at"),
        ([GOOD, {**GOOD, "count": 0}], 422, "$[1].count"),
        ([GOOD, {**GOOD, "count": 1.5}], 422, "$[1].count"),
        ([GOOD, {**GOOD, "id": "b", "approved": True}], 422, "$[1].approved"),
        ([GOOD, {**GOOD, "count": 2}], 409, "$[1].id"),
        ([GOOD, {**GOOD, "more": 2}], 422, "$[1].more"),
        ([GOOD, [GOOD]], 422, "$[1]"),
        ([GOOD] * 10_001, 422, "$"),
        (b"", 400, ""),
        (b"[", 400, ""),
        (b"[" * 5_000, 422, "$[0]"),
        (b'{"id": "\xff"}', 400, ""),
        (b'{"id": "a", "type": "sample", "at": 1711753200000, "note": "\\ud800"}', 400, ""),
        (b"null", 422, "$"),
    ],
)
async def test_wrong_events_leave_nothing(window: Window, body: Any, status: int, path: str) -> None:
    got, answer, _ = await window.call("POST", EVENTS, body)
    assert (got, answer["error"]["path"]) == (status, path), answer
    assert (await window.get(EVENTS))["events"] == []


async def test_an_id_with_other_content_is_refused(window: Window) -> None:
    assert (await window.call("POST", EVENTS, GOOD))[1] == {"stored": 1, "known": 0}
    status, answer, _ = await window.call("POST", EVENTS, {**GOOD, "note": "other"})
    assert (status, answer["error"]["path"]) == (409, "$.id")
    assert (await window.call("POST", EVENTS.replace("D1", "D2"), GOOD))[1]["stored"] == 1


# Encodings.

SAMPLE = {"equipment": ["D1", "D2"], "resource": ["sample"], "time": BT}


def _bracketed(mark: str) -> str:
    pairs = [(name + mark.format(n), each) for name, many in SAMPLE.items() for n, each in enumerate(many)]
    if "{}" in mark:
        pairs.reverse()  # the numbers say the order
    return urlencode(pairs)


ENCODED = {
    "repeated": (urlencode(SAMPLE, doseq=True), None),
    "k[]": (_bracketed("[]"), None),
    "k[0]": (_bracketed("[{}]"), None),
    "json": (urlencode({name: json.dumps(value) for name, value in SAMPLE.items()}), None),
    "scalar": (urlencode({"equipment": '["D1","D2"]', "resource": "sample", "time": json.dumps(BT)}), None),
    "body": ("", json.dumps(SAMPLE).encode()),
    "body, scalar": ("equipment=D1&equipment=D2", json.dumps({"resource": "sample", "time": BT}).encode()),
    "form": ("", urlencode(SAMPLE, doseq=True).encode()),
    "unknown names": (urlencode(SAMPLE, doseq=True) + "&_=7&limit[]=3&x[y][z]=1", None),
}


@pytest.mark.parametrize("name", ENCODED)
async def test_every_encoding(window: Window, name: str) -> None:
    query, body = ENCODED[name]
    await window.call("POST", EVENTS, {"id": "s", "type": "sample", "at": at(2024, 3, 31), "count": 7})
    for path in ("/dashboard", "/charts"):
        unit = "&unit=day" if path == "/charts" else ""
        status, answer, _ = await window.call("GET", f"{path}?{query}{unit}", body)
        assert status == 200, answer
        assert list(answer) == ["sample"]
        assert answer["sample"]["detail"][0]["sample_times"] == "7"


@pytest.mark.parametrize(
    ("time", "found"),
    [
        (["bt", "2024-03-31 12:00:00", "2024-03-31 12:00:00"], "b"),
        (["bt", "2024-03-31 00:00:00", "2024-03-31 11:59:59"], "a"),
        (["bt", "2024-03-31", "2024-03-31"], "abc"),
        (["gt", "2024-03-31 12:00:00"], "c"),
        (["ge", "2024-03-31 12:00:00"], "bc"),
        (["lt", "2024-03-31 12:00:00"], "a"),
        (["le", "2024-03-31 12:00:00"], "ab"),
        (["eq", "2024-03-31 12:00:00"], "b"),
        (["eq", "2024-03"], "abc"),
        (["gt", "2024-03-30"], "abc"),
        (["lt", "2024-03-31"], ""),
        (["in", "2024-03-31 12:00:00", "2024-03-31 23:59:59", "2024-03-31 12:00:00"], "bc"),
        (["2024-03-31 12:00:00"], "b"),
        (["bt", "2024-03-31T10:00:00Z", "2024-03-31T12:00:00+02:00"], "b"),
        (["bt", "0001-01-01 00:00:00", "9999-12-31 23:59:59"], "abc"),
        (["le", "9999-12"], "abc"),
        (["gt", "9999-12-31 23:59:59"], ""),
    ],
)
async def test_operators(window: Window, time: list[str], found: str) -> None:
    """Three events with the weights 1, 10 and 100."""
    moments = (at(2024, 3, 31), at(2024, 3, 31, 12), at(2024, 3, 31, 23, 59, 59) + 999)
    told = [{"id": str(n), "type": "sample", "at": when, "count": 10**n} for n, when in enumerate(moments)]
    assert (await window.call("POST", EVENTS, told))[0] == 200
    answer = await ask(window, "/dashboard", {"equipment": "D1", "resource": "sample", "time": time})
    assert answer["sample"]["total"]["sample_times"] == sum(10 ** "abc".index(each) for each in found)


# What is refused.

ASK = urlencode(SAMPLE, doseq=True)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 400, "参数错误"),
        ("equipment=D1&resource=sample", 400, "参数错误"),
        ("equipment=D1&time=2024", 400, "参数错误"),
        (f"{ASK}&resource=all", 400, "参数错误"),
        (f"{ASK}&time=bt", 400, "参数错误"),
        ("equipment=D1&resource=sample&time=bt&time=2024-02-30&time=2024-03-01", 400, "参数错误"),
        ("equipment=D1&resource=sample&time=bt&time=2024-03-02&time=2024-03-01", 400, "参数错误"),
        ("equipment=D1&resource=sample&time=like&time=2024-03-02", 400, "参数错误"),
        ("equipment=D1&resource=sample&time=in", 400, "参数错误"),
        ("equipment=[1&resource=sample&time=2024-03-02", 400, "参数错误"),
        ("equipment={}&resource=sample&time=2024-03-02", 400, "参数错误"),
        ("equipment=[[]]&resource=sample&time=2024-03-02", 400, "参数错误"),
        ("&".join(f"equipment=D{n}" for n in range(1001)) + "&resource=sample&time=2024-03-02", 400, "参数错误"),
        (ASK + "&_=1" * 4_000, 400, "参数错误"),
        (f"{ASK}&equipment=none", 404, "没有找到对应的仪器"),
        (f"{ASK}&equipment=%27%20OR%201=1--", 404, "没有找到对应的仪器"),
        (f"{ASK}&equipment=..%2F..%2Fetc%0d%0aX:1", 404, "没有找到对应的仪器"),
        (f"{ASK}&equipment=%ff%00", 404, "没有找到对应的仪器"),
    ],
)
async def test_refusals_are_bare_strings(window: Window, query: str, status: int, said: str) -> None:
    for path in ("/dashboard", "/charts"):
        got, answer, headers = await window.call("GET", f"{path}?{query}&unit=day")
        assert (got, answer) == (status, said)
        assert headers["X-Reason"].isascii()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/charts", json.dumps(SAMPLE).encode(), 400),  # no unit
        ("/charts", json.dumps({**SAMPLE, "unit": "week"}).encode(), 400),
        ("/charts", json.dumps({**SAMPLE, "unit": ["day", "month"]}).encode(), 400),
        ("/charts", json.dumps({**SAMPLE, "unit": "day", "resource": ["follow"]}).encode(), 400),
        ("/dashboard", json.dumps({**SAMPLE, "equipment": {"a": 1}}).encode(), 400),
        ("/dashboard", json.dumps({**SAMPLE, "equipment": [None]}).encode(), 400),
        ("/dashboard", json.dumps({**SAMPLE, "time": [["bt"], True]}).encode(), 400),
        ("/dashboard", b"{", 400),
        ("/dashboard", b"{" * 4_000, 400),
        ("/dashboard", b'{"a":' * 800, 400),
        ("/dashboard", b"\xff\xfe", 400),
        ("/dashboard", json.dumps({**SAMPLE, "pad": "x" * 4096}).encode(), 413),
    ],
)
async def test_wrong_bodies(window: Window, path: str, body: bytes, status: int) -> None:
    got, answer, _ = await window.call("GET", path, body)
    assert (got, answer) == (status, "参数错误")


async def test_what_a_device_may_fill_is_bounded(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.store import equipment

    monkeypatch.setattr(equipment, "MAX_RUNS", 3)
    monkeypatch.setattr(equipment, "MAX_ALARMS", 2)
    monkeypatch.setattr(equipment, "MAX_EVENTS", 2)
    times = [at(2024, 3, 31, 4 + n) for n in range(5)]
    await tell(window, *(pcs("D1", when, 3 if n % 2 else 1) for n, when in enumerate(times)))
    occurred = [f"2024-03-31T0{n}:00:00Z" for n in range(5)]
    await tell(window, *(alarm("D1", n, when, when) for n, when in enumerate(occurred)), suffix="alarm/details/post")
    query = {"equipment": "D1", "resource": ["record", "status"], "time": "2024-03-31"}
    before = await ask(window, "/dashboard", query)
    assert (before["record"]["total"]["service_times"], before["status"]["total"]["break_times"]) == (2, 5)
    store = window.house.statistics.equipment
    assert [await store.trim(), await store.trim()] == [5, 0]
    after = await ask(window, "/dashboard", query)
    assert (after["record"]["total"]["service_times"], after["status"]["total"]["break_times"]) == (1, 2)
    several = [{**GOOD, "id": str(n)} for n in range(3)]
    assert (await window.call("POST", EVENTS, several))[0] == 429
    assert (await window.get(EVENTS))["events"] == []
    assert (await window.call("POST", EVENTS, several[:2]))[0] == 200


async def test_an_account_sees_its_own_equipment_alone(window: Window) -> None:
    key = await window.house.registry.add_account("brief", [("wudun", "PK001")])
    query = urlencode({**SAMPLE, "equipment": "D1"}, doseq=True)
    assert (await window.call("GET", f"/dashboard?{query}", key=key))[0] == 200
    assert (await window.call("GET", f"/dashboard?{ASK}", key=key))[:2] == (404, "没有找到对应的仪器")
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/a")):
        status, body, _ = await window.call(method, f"/api/v1/equipment/D2/events{path}", GOOD, key=key)
        assert (status, body["error"]["code"]) == (404, "unknown_equipment")
    assert (await window.call("GET", f"/dashboard?{query}", key="wrong"))[:2] == (401, "没有权限")


async def test_equipment_that_only_measures(window: Window) -> None:
    """A cloud stores assets of devices that are registered elsewhere: an account that may see all sees them."""
    row = {"asset": "FAR.meter.1", "timestamp": at(2024, 3, 31), "point": "total_active_energy", "value": 1}
    await window.call("POST", "/ingest/v1/power", [row], headers={"Content-Type": "application/json"})
    query = {"equipment": "FAR", "resource": "charge", "time": "2024-03-31"}
    assert (await ask(window, "/dashboard", query))["charge"]["total"] == {"charge_amount": 0}


async def test_a_removed_device_takes_its_statistics_along(window: Window) -> None:
    await tell(window, pcs("D1", at(2024, 3, 31, 8), 3), pcs("D1", at(2024, 3, 31, 9), 1))
    await window.call("POST", EVENTS, {**GOOD, "at": at(2024, 3, 31)})
    query = {"equipment": "D1", "resource": ["record", "sample"], "time": "2024-03-31"}
    assert (await ask(window, "/dashboard", query))["record"]["detail"] != []
    await window.house.registry.remove_device("D1")
    await window.device("D1", None, "another")
    found = await ask(window, "/dashboard", query)
    assert [found[name]["detail"] for name in ("record", "sample")] == [[], []]


async def test_answers_fit_the_openapi_document(window: Window) -> None:
    from jsonschema import Draft202012Validator

    await tell(window, pcs("D1", at(2024, 3, 31, 8), 3, fault=1), pcs("D1", at(2024, 3, 31, 9), 1))
    told = [{**GOOD, "id": sort, "type": sort, "at": at(2024, 3, 31)} for sort in ("follow", "sample", "training")]
    await window.call("POST", EVENTS, told)
    document = openapi_document()
    for path, resources in (("/dashboard", RESOURCES), ("/charts", [each for each in RESOURCES if each != "follow"])):
        query = {"equipment": "D1", "resource": resources, "time": "2024-03-31", "unit": "month"}
        answer = await ask(window, path, query)
        assert list(answer) == resources
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
