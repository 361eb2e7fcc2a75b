"""The native API over a running house, with a device at the other end of MQTT."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from harness import messages
from harness.tasks import beside
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

from bridge.http.app import ROUTES, openapi_document
from bridge.http.openapi import COMMANDS
from schemas import export

if TYPE_CHECKING:
    from .conftest import Window

DELETE = {"feature": "streaming_overdemand", "action": "delete", "data": {"id": 1}}


# Devices and what they said.


async def test_devices_with_presence_and_what_they_said_last(window: Window) -> None:
    async with await window.connect("D1") as device:
        await device.stored(messages.topic("D1", messages.REPORT), messages.report("D1", 12.5))
        listed = await window.get("/api/v1/devices")
        assert [(each["uid"], each["presence"]["online"]) for each in listed["devices"]] == [
            ("D1", True),
            ("D2", False),
        ]
        assert listed["next"] is None
        online = await window.get("/api/v1/devices?online=true")
        assert [each["uid"] for each in online["devices"]] == ["D1"]
        shown = await window.get("/api/v1/devices/D1")
    assert shown["product_key"] == "PK001"
    assert shown["timezone"] == "UTC"
    (latest,) = shown["latest"]
    assert latest["suffix"] == messages.REPORT
    assert latest["body"]["data"][0]["data"]["total_active_power"] == 12.5


async def test_strategies_as_last_reported(window: Window) -> None:
    async with await window.connect("D1") as device:
        for percentage in (80, 90):
            item = {"id": 1, "ele_meter_id": 7, "over_demand_status": 1, "over_demand_condition": [100] * 12}
            item |= {"streaming_status": 0, "dynamic_demand_percentage": percentage}
            body = {"mid": str(uuid.uuid4()), "type": "streaming_overdemand_list", "device_uid": "D1", "data": [item]}
            body["timestamp"] = messages.now_ms()
            await device.stored(messages.topic("D1", "streaming_overdemand/list/post"), messages.dump(body))
        shown = await window.get("/api/v1/devices/D1")
    assert shown["strategies"]["streaming_overdemand"][0]["dynamic_demand_percentage"] == 90


async def test_paging_of_devices(window: Window) -> None:
    first = await window.get("/api/v1/devices?limit=1")
    assert ([each["uid"] for each in first["devices"]], first["next"]) == (["D1"], "D1")
    second = await window.get("/api/v1/devices?limit=1&after=D1")
    assert ([each["uid"] for each in second["devices"]], second["next"]) == (["D2"], None)


async def test_stored_messages_in_order(window: Window) -> None:
    async with await window.connect("D1") as device:
        for power in (1, 2, 3):
            await device.stored(messages.topic("D1", messages.REPORT), messages.report("D1", power))
    first = await window.get("/api/v1/messages?limit=2&device=D1")
    rest = await window.get(f"/api/v1/messages?since={first['next']}")
    powers = [each["body"]["data"][0]["data"]["total_active_power"] for each in first["messages"] + rest["messages"]]
    assert powers == [1, 2, 3]
    assert (await window.get(f"/api/v1/messages?since={rest['next']}"))["messages"] == []
    assert (await window.get("/api/v1/messages?suffix=alarm/details/post"))["messages"] == []


# Commands.


async def answering(window: Window, code: int = 200) -> AsyncIterator[Any]:
    async with await window.connect("D1") as device:

        async def answer() -> None:
            while True:
                got = await device.inbox.get()
                topic = got.topic.removesuffix("command") + "result"
                await device.stored(topic, messages.answer(got.payload, "D1", code=code))

        async with beside(answer()):
            yield device


@pytest.mark.parametrize(("code", "state"), [(200, "succeeded"), (400, "rejected")])
async def test_a_command_that_is_waited_for_gives_its_outcome(window: Window, code: int, state: str) -> None:
    async for _ in answering(window, code):
        status, body, _ = await window.call("POST", "/api/v1/devices/D1/commands", {**DELETE, "wait_s": 10})
        assert (status, body["state"], body["code"]) == (200, state, code)
        assert body["data"] == {"id": 1}
        history = await window.get(f"/api/v1/commands/{body['mid']}")
        states = [step["state"] for step in history["history"]]
        assert (states[:2], states[-1]) == (["accepted", "sent"], state)


async def test_a_command_that_is_not_waited_for_gives_202_and_a_location(window: Window) -> None:
    async with await window.connect("D1") as device:
        status, body, headers = await window.call("POST", "/api/v1/devices/D1/commands", DELETE)
        assert (status, headers["Location"]) == (202, f"/api/v1/commands/{body['mid']}")
        got = await device.get()
        polling = asyncio.create_task(window.get(headers["Location"] + "?wait_s=15"))
        topic = got.topic.removesuffix("command") + "result"
        await device.stored(topic, messages.answer(got.payload, "D1"))
        assert (await polling)["state"] == "succeeded"


async def test_a_late_answer_keeps_both_facts(window: Window) -> None:
    async with await window.connect("D1") as device:
        wanted = {**DELETE, "timeout_s": 0.2, "wait_s": 10}
        status, body, _ = await window.call("POST", "/api/v1/devices/D1/commands", wanted)
        assert (status, body["state"], body["late"]) == (200, "timed_out", None)
        got = await device.get()
        await device.stored(got.topic.removesuffix("command") + "result", messages.answer(got.payload, "D1"))
        body = await window.get(f"/api/v1/commands/{body['mid']}")
    assert body["state"] == "late_succeeded"
    assert body["late"]["code"] == 200
    assert "timed_out" in [step["state"] for step in body["history"]]


async def test_offline_devices(window: Window) -> None:
    url = "/api/v1/devices/D1/commands"
    status, body, _ = await window.call("POST", url, {**DELETE, "now": True, "wait_s": 10})
    assert (status, body["state"]) == (200, "undeliverable")
    status, body, _ = await window.call("POST", url, {**DELETE, "hold_s": 0, "wait_s": 10})
    assert (status, body["state"]) == (200, "expired")
    status, body, _ = await window.call("POST", url, {**DELETE, "hold_s": 600})
    assert (status, body["state"]) == (202, "accepted")
    status, gone, _ = await window.call("DELETE", f"/api/v1/commands/{body['mid']}")
    assert (status, gone["state"]) == (200, "cancelled")
    status, again, _ = await window.call("DELETE", f"/api/v1/commands/{body['mid']}")
    assert (status, again["error"]["code"]) == (409, "not_cancellable")


async def test_the_same_mid_is_the_same_command_or_a_conflict(window: Window) -> None:
    url, mid = "/api/v1/devices/D1/commands", str(uuid.uuid4())
    wanted = {**DELETE, "hold_s": 600, "mid": mid}
    assert (await window.call("POST", url, wanted))[0] == 202
    status, body, _ = await window.call("POST", url, wanted)
    assert (status, body["mid"]) == (202, mid)
    status, body, _ = await window.call("POST", url, {**wanted, "data": {"id": 2}})
    assert (status, body["error"]["path"]) == (409, "$.mid")
    assert len((await window.get("/api/v1/commands"))["commands"]) == 1


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"data": {"id": "x"}}, "$.data.id"),
        ({"data": {"id": 1, "more": 2}}, "$.data.more"),
        ({"data": {}}, "$.data.id"),
        ({"feature": "nonsense"}, "$.feature"),
        ({"feature": 3}, "$.feature"),
        ({"mid": "no-uuid"}, "$.mid"),
        ({"timeout_s": -1}, "$.timeout_s"),
        ({"hold_s": 1e9}, "$.hold_s"),
        ({"wait_s": "x"}, "$.wait_s"),
        ({"bogus": 1}, "$.bogus"),
    ],
)
async def test_a_wrong_command_is_422_with_its_path(window: Window, change: dict[str, Any], path: str) -> None:
    status, body, _ = await window.call("POST", "/api/v1/devices/D1/commands", {**DELETE, **change})
    assert (status, body["error"]["path"]) == (422, path)
    assert body["error"]["message"]


async def test_paging_and_filters_of_commands(window: Window) -> None:
    for number in range(3):
        wanted = {**DELETE, "data": {"id": number + 1}, "hold_s": 600}
        assert (await window.call("POST", "/api/v1/devices/D1/commands", wanted))[0] == 202
    first = await window.get("/api/v1/commands?limit=2&device=D1&state=accepted")
    rest = await window.get(f"/api/v1/commands?limit=2&before={first['next']}")
    assert [each["data"]["id"] for each in first["commands"] + rest["commands"]] == [3, 2, 1]
    assert rest["next"] is None
    assert (await window.get("/api/v1/commands?state=succeeded"))["commands"] == []
    assert (await window.call("GET", "/api/v1/commands?state=bogus"))[0] == 422
    assert (await window.call("GET", "/api/v1/commands?before=x"))[0] == 422
    assert (await window.call("GET", f"/api/v1/commands/{uuid.uuid4()}"))[0] == 404


# Dead letters.


async def test_dead_letters_are_listed_shown_replayed_and_purged(window: Window) -> None:
    async with await window.connect("D1") as device:
        await device.stored(messages.topic("D1", messages.REPORT), b'{"mid": 1}')
        await device.stored(messages.topic("D1", messages.REPORT), b"\xff\xfe")
        await device.stored(messages.topic("D1", messages.REPORT), b"{")
    listed = (await window.get("/api/v1/dead-letters"))["dead_letters"]
    assert len(listed) == 3
    assert "payload" not in listed[0]
    page = await window.get("/api/v1/dead-letters?limit=2&device=D1&source=mqtt")
    assert (len(page["dead_letters"]), page["next"]) == (2, page["dead_letters"][1]["id"])
    by_payload = {}
    for each in listed:
        shown = await window.get(f"/api/v1/dead-letters/{each['id']}")
        by_payload[shown.get("payload") or shown["payload_base64"]] = shown
    assert set(by_payload) == {'{"mid": 1}', "//4=", "{"}
    wrong = by_payload['{"mid": 1}']
    assert wrong["path"]
    assert wrong["device"] == "D1"
    status, replayed, _ = await window.call("POST", f"/api/v1/dead-letters/{wrong['id']}/replay")
    assert (status, replayed["outcome"], replayed["reason"]) == (200, "rejected", wrong["reason"])
    assert (await window.call("POST", "/api/v1/dead-letters/999/replay"))[0] == 404
    assert (await window.call("GET", "/api/v1/dead-letters/x"))[0] == 404
    status, body, _ = await window.call("DELETE", f"/api/v1/dead-letters/{wrong['id']}")
    assert (status, body) == (200, {"purged": 1})
    assert (await window.call("DELETE", "/api/v1/dead-letters"))[0] == 422
    status, body, _ = await window.call("DELETE", "/api/v1/dead-letters?source=mqtt")
    assert (status, body) == (200, {"purged": 2})
    assert (await window.get("/api/v1/dead-letters"))["dead_letters"] == []


# Events.


async def events_of(window: Window, path: str, count: int, act: Any) -> list[tuple[str, Any]]:
    """The next `count` events of a stream, after it was opened and `act` was done."""
    found: list[tuple[str, Any]] = []
    headers = {"X-API-Key": window.key}
    async with window.session.get(window.url + path, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert (await response.content.readline()).startswith(b"retry: ")
        await act()
        kind = ""
        while len(found) < count:
            line = (await response.content.readline()).decode().strip()
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
    return found


async def test_events_tell_readings_commands_and_presence(window: Window) -> None:
    async def act() -> None:
        async with await window.connect("D1") as device:
            await device.stored(messages.topic("D1", messages.REPORT), messages.short_report("D1", 7))

    found = await events_of(window, "/api/v1/events", 4, act)
    assert {kind for kind, _ in found} == {"presence", "reading"}
    (reading,) = [data for kind, data in found if kind == "reading"]
    assert (reading["asset"], reading["values"]) == ("D1.meter.7", {"total_active_power": 7})
    presences = [(data["online"], data["scheme"]) for kind, data in found if kind == "presence"]
    assert presences == [(True, None), (True, "wudun"), (False, "wudun")]


async def test_events_of_one_device_and_of_messages_when_asked(window: Window) -> None:
    async def act() -> None:
        async with await window.connect("D1") as device:
            await device.stored(messages.topic("D1", messages.REPORT), messages.short_report("D1", 7))
            await device.stored(messages.topic("D1", messages.REPORT), b"{")

    found = await events_of(window, "/api/v1/events?types=message,dead_letter&device=D1", 2, act)
    assert [kind for kind, _ in found] == ["message", "dead_letter"]
    assert found[0][1]["body"]["data"]
    assert found[1][1]["reason"] == "not_json"
    assert (await window.call("GET", "/api/v1/events?types=bogus"))[1]["error"]["path"] == "?types"
    assert (await window.call("GET", "/api/v1/events?device=D9"))[0] == 404


class TestHeartbeat:
    @pytest.fixture
    def config_of(self) -> dict[str, object]:
        return {"http.heartbeat_s": 0.05, "http.max_streams": 1}

    async def test_a_silent_stream_gets_comments_and_streams_are_bounded(self, window: Window) -> None:
        async with window.session.get(
            window.url + "/api/v1/events?types=alarm", headers={"X-API-Key": window.key}
        ) as one:
            while (await one.content.readline()) != b": heartbeat\n":
                pass
            status, body, _ = await window.call("GET", "/api/v1/events")
            assert (status, body["error"]["code"]) == (503, "too_many_streams")


async def test_streams_and_long_polls_end_when_the_server_stops(window: Window) -> None:
    _, body, _ = await window.call("POST", "/api/v1/devices/D1/commands", {**DELETE, "hold_s": 600})
    polling = asyncio.create_task(window.call("GET", f"/api/v1/commands/{body['mid']}?wait_s=60"))
    async with window.session.get(window.url + "/api/v1/events", headers={"X-API-Key": window.key}) as response:
        assert (await response.content.readline()).startswith(b"retry: ")
        window.house.services.closing.set()
        async with asyncio.timeout(5):
            await response.content.read()
            assert (await polling)[1]["state"] == "accepted"


# Operation and contracts.


async def test_probes_and_metrics(window: Window) -> None:
    assert await window.get("/healthz", key="") == {"status": "ok"}
    ready = await window.get("/readyz", key="")
    assert ready["ready"] is True
    async with await window.connect("D1") as device:
        await device.stored(messages.topic("D1", messages.REPORT), messages.report("D1", 1))
        await device.stored(messages.topic("D1", messages.REPORT), b"{")
    status, text, headers = await window.call("GET", "/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
    assert all(name.startswith(("ems_bridge_", "process_")) for name, _ in samples)
    assert samples["ems_bridge_messages_received_total", ()] == 2
    assert samples["ems_bridge_messages_rejected_total", (("reason", "not_json"),)] == 1


async def test_the_contracts_are_served(window: Window) -> None:
    served = await window.get("/api/v1/openapi.json")
    assert served == json.loads(json.dumps(openapi_document()))
    assert (await window.get("/api/v1/asyncapi.json"))["asyncapi"].startswith("3.")


def test_openapi_is_valid_and_has_every_route() -> None:
    document = openapi_document()
    validate(document)
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", route.path))
        assert ("requestBody" in operation) == (route.body is not None)
        assert (operation.get("security") == []) == route.open
        assert route.open or route.tag == "enos" or "429" in operation["responses"]
        for answer in operation["responses"].values():
            assert answer["content"]
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


async def test_every_answer_fits_the_openapi_document(window: Window) -> None:
    """The shapes that a client would generate accept what the server says."""
    from jsonschema import Draft202012Validator

    document = openapi_document()
    async with await window.connect("D1") as device:
        await device.stored(messages.topic("D1", messages.REPORT), messages.report("D1", 1))
        await device.stored(messages.topic("D1", messages.REPORT), b"{")
    await window.call("POST", "/api/v1/devices/D1/commands", {**DELETE, "hold_s": 600})
    for path in (
        "/devices",
        "/devices/D1",
        "/commands",
        "/messages",
        "/dead-letters",
        "/dead-letters/1",
        "/devices/none",
    ):
        status, body, _ = await window.call("GET", f"/api/v1{path}")
        template = next(each for each in document["paths"] if _fits(each, f"/api/v1{path}"))
        answer = document["paths"][template]["get"]["responses"][str(status)]
        schema = {**answer["content"]["application/json"]["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(body)


def _fits(template: str, path: str) -> bool:
    ours, theirs = template.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(a == b or a.startswith("{") for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    "query",
    [
        "commands?state=null",
        "devices?online=null",
        "dead-letters?source=NULL",
        "dead-letters?before=null",
        "devices?limit=null",
    ],
)
async def test_null_is_no_query_parameter(window: Window, query: str) -> None:
    status, body, _ = await window.call("GET", f"/api/v1/{query}")
    assert (status, body["error"]["path"]) == (422, f"?{query.partition('?')[2].partition('=')[0]}")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "Infinity"])
async def test_a_wait_is_a_number(window: Window, seconds: str) -> None:
    _, asked, _ = await window.call("POST", "/api/v1/devices/D1/commands", {**DELETE, "hold_s": 600})
    status, body, _ = await window.call("GET", f"/api/v1/commands/{asked['mid']}?wait_s={seconds}")
    assert (status, body["error"]["path"]) == (422, "?wait_s")


async def test_null_is_a_name_where_text_is_meant(window: Window) -> None:
    assert (await window.get("/api/v1/devices?tenant=null"))["devices"] == []


def test_the_openapi_document_shows_every_command_with_its_data() -> None:
    schemas = openapi_document()["components"]["schemas"]
    shown = schemas["CommandRequest"]["anyOf"]
    assert {each["title"] for each in shown} == {f"{kind.feature}/{kind.action}" for kind in COMMANDS}
    assert not [name for name in schemas if name.endswith("CommandStrict")]
    for name, schema in export.schemas(COMMANDS, "#/components/schemas/{name}")[1].items():
        assert schemas.get(name, schema) == schema, f"two shapes are called {name}"
