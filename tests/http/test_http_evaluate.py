"""POST /api/v1/evaluate: the simulator behind HTTP, beside a bridge that goes on serving."""

from __future__ import annotations

import asyncio
import io
import time
from typing import Any

import msgspec
import pytest

from bridge.app.evaluations import Evaluations
from bridge.errors import Exhausted, Unprocessable
from bridge.http import evaluate as shapes
from bridge.http.app import openapi_document
from simulator import evaluate as made

LIMIT: dict[str, Any] = {
    "ele_meter_id": 9, "over_demand_status": 1, "over_demand_condition": [160] * 12, "streaming_status": 2,
    "individual_phase_streaming_status": 2, "dynamic_demand_percentage": 100,
}  # fmt: skip
SITE: dict[str, Any] = {"start": "2025-05-28", "pv": {"peak_kw": 320}, "load": {"base_kw": 40, "swing_kw": 160}}
PATH = "/api/v1/evaluate"


async def test_it_answers_what_the_simulator_finds(window: Any) -> None:
    status, body, _ = await window.call("POST", PATH, {"strategy": LIMIT, "site": SITE, "days": 3})
    assert status == 200, body
    assert body == msgspec.to_builtins(made.evaluate(LIMIT, SITE, 3))
    assert body["with"]["months"][0]["month"] == "2025-05"
    status, body, _ = await window.call(
        "POST",
        PATH,
        {"strategy": [{"feature": "pcs_control", "action": "set", "data": {"pcs_device_stop": 1}}], "days": 1},
    )
    assert status == 200
    assert body["with"]["charged_kwh"] == 0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.strategy"),
        ({"strategy": LIMIT, "days": 0}, "$.days"),
        ({"strategy": LIMIT, "days": 367}, "$.days"),
        ({"strategy": LIMIT, "colour": 1}, "$"),
        ({"strategy": None}, "$.strategy"),
        ({"strategy": LIMIT | {"over_demand_condition": [1]}}, "$.strategy.over_demand_condition"),
        ({"strategy": [LIMIT, {"feature": "coffee", "action": "brew"}]}, "$.strategy[1].feature"),
        ({"strategy": {"feature": "charge", "action": "create", "data": {}}}, "$.strategy.data"),
        ({"strategy": LIMIT, "site": {"pv": {"peak_kw": -1}}}, "$.site.pv.peak_kw"),
        ({"strategy": LIMIT, "site": {"place": {"colour": 1}}}, "$.site.place.colour"),
        ({"strategy": LIMIT, "site": []}, "$.site"),
    ],
)
async def test_what_is_wrong_is_told_with_its_place(window: Any, body: dict[str, Any], path: str) -> None:
    status, said, _ = await window.call("POST", PATH, body)
    assert status == 422, said
    assert said["error"]["path"].startswith(path)


async def test_it_needs_a_key(window: Any) -> None:
    assert (await window.call("POST", PATH, {"strategy": LIMIT}, key=""))[0] == 401


async def test_the_bridge_goes_on_meanwhile_and_only_one_runs(window: Any) -> None:
    running = asyncio.create_task(window.call("POST", PATH, {"strategy": LIMIT, "site": SITE, "days": 366}))
    slowest, refused = 0.0, 0
    while not running.done() and refused < 1:
        begun = time.perf_counter()
        assert (await window.call("GET", "/healthz"))[0] == 200
        slowest = max(slowest, time.perf_counter() - begun)
        status, body, _ = await window.call("POST", PATH, {"strategy": LIMIT, "days": 1})
        refused += status == 429 and body["error"]["code"] == "busy"
    assert refused == 1
    assert slowest < 2.0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_hangs_up_ends_the_run(window: Any) -> None:
    evaluations = window.house._evaluations
    asking = asyncio.create_task(window.call("POST", PATH, {"strategy": LIMIT, "days": 366}))
    async with asyncio.timeout(20):
        while evaluations._process is None:  # noqa: ASYNC110 - the loop itself is what is waited for
            await asyncio.sleep(0.005)
        process = evaluations._process
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await process.wait() == -9
    status = 429
    while status == 429:  # what is left of the handler is over soon
        status, body, _ = await window.call("POST", PATH, {"strategy": LIMIT, "days": 1})
    assert (status, body["days"]) == (200, 1)


async def test_two_at_once(window: Any) -> None:
    asked = [window.call("POST", PATH, {"strategy": LIMIT, "days": 5}) for _ in range(2)]
    answers = await asyncio.gather(*asked)
    assert sorted(status for status, _, _ in answers) == [200, 429]
    (refused,) = (body for status, body, _ in answers if status == 429)
    assert refused["error"]["code"] == "busy"


async def test_a_long_list_is_checked_beside_the_loop(window: Any) -> None:
    slots = [
        {
            "start_hour": hour,
            "start_minute": 0,
            "end_hour": hour,
            "end_minute": 30,
            "cdc_enable_mode": 1,
            "run_power": 1,
        }
        for hour in range(24)
    ]
    data = {
        "charge_type": 1, "status": 1, "mode": 2, "month": list(range(12)), "week_day": list(range(7)), "apply_to_all": True,
        "settings": slots,
    }  # fmt: skip
    asking = asyncio.create_task(window.call("POST", PATH, {"strategy": [data] * 64, "days": 1}))
    slowest = 0.0
    while not asking.done():
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        slowest = max(slowest, time.perf_counter() - begun)
    status, body, _ = await asking
    assert status == 422, body  # an EMS has at most eight
    assert slowest < 0.5


async def test_a_body_that_is_too_large_is_not_read(window: Any) -> None:
    large = io.BytesIO(b'{"strategy": "' + b"x" * (20 << 20) + b'"}')
    async with window.session.post(window.url + PATH, data=large, headers={"X-API-Key": window.key}) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "too_large")


def test_the_site_has_a_schema() -> None:
    document = openapi_document()
    schemas = document["components"]["schemas"]
    request = schemas["EvaluationRequest"]["properties"]
    assert "EvaluationSite" in str(request["site"])
    site = schemas["EvaluationSite"]["properties"]
    assert set(site) == {"seed", "start", "transformer_kva", "place", "load", "pv", "storage", "piles", "prices"}
    assert schemas["SitePlace"]["properties"]["utc_offset_h"]["multipleOf"] == 0.25
    assert schemas["SitePlace"]["additionalProperties"] is False
    for example in request["strategy"]["examples"]:
        made.check(example, {})


async def test_a_run_that_takes_too_long_is_ended_and_makes_room() -> None:
    evaluations = Evaluations(limit_s=0.05)
    for _ in range(2):
        with pytest.raises(Exhausted) as caught:
            await evaluations(LIMIT, SITE, 366)
        assert caught.value.code == "too_long"
    with pytest.raises(Unprocessable):
        await evaluations(5, SITE, 1)


async def test_one_that_is_given_up_makes_room() -> None:
    evaluations = Evaluations()
    task = asyncio.create_task(evaluations(LIMIT, SITE, 366))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert msgspec.json.decode(await evaluations(LIMIT, SITE, 1))["days"] == 1


async def test_a_bridge_that_stops_does_not_wait_for_one() -> None:
    evaluations = Evaluations()
    task = asyncio.create_task(evaluations(LIMIT, SITE, 366))
    while evaluations._process is None:  # noqa: ASYNC110 - the loop itself is what is waited for
        await asyncio.sleep(0)
    evaluations.stop()
    for each in (task, evaluations(LIMIT, SITE, 1)):
        with pytest.raises(Exhausted) as caught:
            await each
        assert caught.value.code == "stopping"


@pytest.mark.parametrize("name", ["Month", "Outcome", "Change"])
def test_the_shapes_are_those_of_the_simulator(name: str) -> None:
    assert getattr(shapes, f"Evaluation{name}").__struct_fields__ == getattr(made, name).__struct_fields__
