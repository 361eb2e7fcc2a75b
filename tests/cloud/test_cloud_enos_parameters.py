"""The error table of EnOS row by row, and what good parameters mean (http_apis.md A.1, A.3)."""

# ruff: noqa: DTZ001 - wall clocks
from __future__ import annotations

import json
from datetime import datetime

import pytest

from bridge.cloud.enos import EnosError, Expression, envelope, query

GOOD = {
    "orgId": "o1",
    "modelId": "",
    "assetIds": "A,B",
    "measurepointsWithLogic": "sum(p),avg(p)",
    "interval": "2",
    "startTime": "2019-06-01 00:00:00",
    "endTime": "2019-06-11 23:00:00",
    "pageSize": "",
    "accessKey": "k",
}
TIMES = "Params startTime[] or endTime[] is invalid, and date format of them should be consistent"
SIZE = "assetIds size* measurepoints size* pageSize is too large to query, result size may exceed RPC limit"
REQUIRED = ("orgId", "assetIds", "measurepointsWithLogic", "interval", "startTime", "endTime")
POINTS = "param measurepointsWithLogic is invalid"


def ask(lenient: bool = False, **changes: str | list[str] | None):
    params = {**GOOD, **changes}
    return query({k: [v] if isinstance(v, str) else v for k, v in params.items() if v is not None}, lenient)


def test_good_parameters() -> None:
    got = ask()
    assert got.assets == ["A", "B"]
    assert got.expressions == [Expression("sum(p)", "sum", "p"), Expression("avg(p)", "avg", "p")]
    assert (got.minutes, got.page, got.accurate) == (2, 1000, False)
    assert (got.start, got.end) == (datetime(2019, 6, 1), datetime(2019, 6, 11, 23))


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        *(({name: None}, 400, f"{name} is required") for name in REQUIRED),
        *(({name: " "}, 702, f"{name} is empty") for name in REQUIRED),
        ({"assetIds": ", ,"}, 702, "assetIds is empty"),
        ({"orgId": "a,b"}, 702, "only one orgId is allowed"),
        ({"orgId": ["a", "b"]}, 702, "only one orgId is allowed"),
        ({"modelId": "a,b"}, 702, "only one modelId is allowed"),
        ({"interval": ["1", "2"]}, 702, "only one interval is allowed"),
        ({"interval": "x"}, 702, "interval is not a valid integer"),
        ({"interval": "1.5"}, 702, "interval is not a valid integer"),
        ({"interval": "9" * 5000}, 702, "interval is not a valid integer"),
        ({"interval": "-1"}, 702, "interval cannot be null or negative"),
        ({"interval": "1441"}, 702, "param interval is invalid"),
        ({"interval": "0"}, 702, POINTS),
        ({"measurepointsWithLogic": "p"}, 702, POINTS),
        ({"measurepointsWithLogic": "sum(p),q"}, 702, POINTS),
        ({"measurepointsWithLogic": "median(p)"}, 702, POINTS),
        ({"measurepointsWithLogic": "sum(p"}, 702, POINTS),
        ({"measurepointsWithLogic": "sum()"}, 702, POINTS),
        ({"measurepointsWithLogic": "sum(avg(p))"}, 702, POINTS),
        ({"measurepointsWithLogic": ",".join(f"sum(p{n})" for n in range(3001)), "pageSize": "1"}, 702, POINTS),
        ({"startTime": "2019-06-01+00:00:00", "endTime": "2019-06-11+23:00:00"}, 702, TIMES),
        ({"startTime": "2019-06-01T00:00:00+08:00"}, 702, TIMES),
        ({"endTime": "2019-06-11T23:00:00Z"}, 702, TIMES),
        ({"startTime": "yesterday"}, 702, TIMES),
        ({"startTime": "2019-06-31 00:00:00"}, 702, TIMES),
        ({"startTime": GOOD["endTime"], "endTime": GOOD["startTime"]}, 702, "endTime should not be later than startTime"),
        ({"startTime": GOOD["endTime"]}, 702, "endTime should not be later than startTime"),
        ({"pageSize": "ten"}, 702, "pageSize is not a valid integer"),
        ({"pageSize": "-5"}, 702, "pageSize cannot be null or negative"),
        ({"pageSize": "0"}, 702, "param pageSize is invalid"),
        ({"pageSize": "160001"}, 702, SIZE),
        ({"pageSize": str(2**63)}, 702, SIZE),
        ({"assetIds": ",".join(f"A{n}" for n in range(10_000))}, 702, SIZE),
        ({"localTimeAccuracy": "maybe"}, 702, "param localTimeAccuracy is invalid"),
    ],
)  # fmt: skip
def test_the_error_table(changes: dict[str, str | list[str] | None], status: int, text: str) -> None:
    with pytest.raises(EnosError) as caught:
        ask(**changes)
    assert (caught.value.status, caught.value.text) == (status, text)
    body = json.loads(envelope(status, text))
    assert body == {"status": status, "requestId": None, "msg": body["msg"], "submsg": text, "data": None}
    assert body["msg"]


@pytest.mark.parametrize(
    "changes",
    [
        {"modelId": None, "pageSize": None, "accessKey": None},
        {"pageSize": "160000"},
        {"pageSize": "1000.0"},
        {"interval": "1440"},
        {"interval": "2.0"},
        {"interval": "0", "measurepointsWithLogic": "p,q"},
        {"measurepointsWithLogic": ",".join(f"sum(p{n})" for n in range(3000)), "pageSize": "1"},
        {"measurepointsWithLogic": "count(p),cnt(p),avg(p),sum(p),max(p),min(p),first(p),last(p)"},
        {"assetIds": ["A", "B", "C"]},
        {"_": ["1", "2"], "a b": ["x", "y"]},
        {"measurepointsWithLogic": None, "pointIdsWithLogic": "sum(p)"},
        {"pointIdsWithLogic": "what the other version calls them, which counts for nothing here"},
        {"startTime": "9998-01-01 00:00:00", "endTime": "9999-12-31 23:59:59"},
    ],
)
def test_allowed(changes: dict[str, str | list[str] | None]) -> None:
    ask(**changes)


def test_the_same_twice_is_once() -> None:
    got = ask(assetIds=" B ,A,B,", measurepointsWithLogic="sum(p), sum(p)")
    assert (got.assets, len(got.expressions)) == (["B", "A"], 1)


@pytest.mark.parametrize(
    ("word", "accurate"), [("True", True), ("true", True), ("FALSE", False), ("", False), (" false ", False)]
)
def test_booleans_as_python_clients_write_them(word: str, accurate: bool) -> None:
    assert ask(localTimeAccuracy=word).accurate is accurate


def test_a_lenient_interval() -> None:
    assert ask(True, interval=None).minutes == 1440
    assert ask(True, interval=None, measurepointsWithLogic="p").minutes == 0
    with pytest.raises(EnosError, match="interval is empty"):
        ask(True, interval="")


def test_times_with_every_offset_form_are_the_same_instant() -> None:
    forms = [
        "2019-06-01T10:00:00+08:00",
        "2019-06-01T10:00:00 08:00",
        "2019-06-01T10:00:00%2B08:00",
        "2019-06-01T02:00:00Z",
    ]
    assert {ask(startTime=form, endTime="2019-06-12T00:00:00Z").start for form in forms} == {1_559_354_400_000}
