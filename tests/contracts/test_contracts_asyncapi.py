"""The AsyncAPI document under the official parser, and what the bridge says under the document."""

from __future__ import annotations

import json
import re
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from harness import messages
from harness.process import PRODUCT_KEY, Bridge
from harness.wire import Client
from jsonschema import Draft202012Validator

from bridge.http.app import asyncapi_document
from bridge.http.shapes import State
from contracts import parser
from schemas.asyncapi import asyncapi
from schemas.kinds import KINDS, result_of
from schemas.notices import NOTICES, CommandStatus, Notice

DOCUMENT = json.loads(msgspec.json.encode(asyncapi()))


@pytest.mark.skipif(not parser.there(), reason=parser.NEEDS)
def test_the_official_parser_takes_the_document() -> None:
    said = parser.parse(msgspec.json.encode(asyncapi_document()))
    assert [each for each in said["diagnostics"] if each["code"] not in parser.EXPECTED] == []
    operations = {each["id"]: each for each in said["operations"]}
    assert set(operations) == set(DOCUMENT["operations"])
    for kind in KINDS:
        name = kind.suffix.replace("/", "_")
        down = kind.kind == "command"
        assert operations[name]["action"] == ("send" if down else "receive")
        assert operations[f"device_{name}"]["action"] == ("receive" if down else "send")
        answer = result_of(kind)
        for each in (operations[name], operations[f"device_{name}"]):
            assert each["addresses"] == [f"{{version}}/{{scheme}}/{{owner}}/{{device}}/{kind.suffix}"]
            assert each["reply"].endswith(f"/{answer.suffix}" if answer else "")
            assert bool(each["reply"]) == bool(answer)


@pytest.mark.skipif(not parser.there(), reason=parser.NEEDS)
def test_the_parser_sees_what_is_wrong() -> None:
    wrong: Any = json.loads(json.dumps(DOCUMENT))
    del wrong["components"]["schemas"]["OverDemandCreate"]
    said = parser.parse(json.dumps(wrong).encode())
    assert "invalid-ref" in {each["code"] for each in said["diagnostics"]}


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_a_message_has_examples_that_fit_its_schema(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    checked = Draft202012Validator({**message["payload"], "components": DOCUMENT["components"]})
    assert message["examples"]
    for example in message["examples"]:
        checked.validate(example["payload"])


def test_the_documents_other_parts() -> None:
    assert set(DOCUMENT["servers"]) == {"mqtt", "mqtts", "ws", "wss"}
    assert all(server["security"] for server in DOCUMENT["servers"].values())
    assert DOCUMENT["components"]["parameters"]["scheme"]["enum"] == ["wudun", "user"]
    assert DOCUMENT["components"]["parameters"]["version"]["enum"] == ["v1", "v2"]
    for channel in DOCUMENT["channels"].values():
        assert {word[1:-1] for word in channel["address"].split("/") if word[0] == "{"} == set(channel["parameters"])
    text = json.dumps(DOCUMENT, ensure_ascii=False)
    assert '"x-unit": "kW"' in text
    assert "discriminator" not in text


def test_units_values_and_ranges_stand_in_the_schemas() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    create = schemas["OverDemandCreate"]["properties"]
    assert create["over_demand_condition"]["items"] == {"type": "integer", "minimum": 0, "x-unit": "kW"}
    assert create["over_demand_status"] == {"enum": [1, 2]}
    assert schemas["SlotSent"]["properties"]["start_hour"] == {"type": "integer", "minimum": 0, "maximum": 23}


def notice_of(topic: str) -> Notice:
    """The notice whose address a topic has."""
    fits = [each for each in NOTICES if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each.address), topic)]
    return fits[-1] if len(fits) == 1 else next(each for each in fits if each.key == "account_error")


@pytest.mark.system
async def test_what_the_bridge_says_has_the_shapes_of_the_document(bridge: Bridge) -> None:
    device, account = bridge.device("EMS001", tenant=None), bridge.account("backend")
    limit = messages.topic("EMS001", "streaming_overdemand/delete/command", owner=PRODUCT_KEY)
    seen: dict[str, dict[str, Any]] = {}
    async with await Client.open(bridge.mqtt, "platform", *account) as platform:
        await platform.subscribe("bridge/v1/#")
        async with await Client.open(bridge.mqtt, "EMS001", *device) as line:
            await line.subscribe("v1/wudun/PK001/EMS001/+/+/command")
            await line.stored(messages.topic("EMS001", messages.REPORT, owner=PRODUCT_KEY), b"{")
            await platform.stored("v1/wudun/none/none/no/such/command", b"{}")
            asked = {"mid": "ee2e8f09-b280-4e4d-bcb9-1529b703cfed", "type": "streaming_overdemand_delete", "device_uid": "EMS001",
                     "timestamp": messages.now_ms(), "data": {"id": 1}}  # fmt: skip
            await platform.stored(limit, json.dumps(asked).encode())
            got = await line.get()
            await line.stored(limit.removesuffix("command") + "result", messages.answer(got.payload, "EMS001"))
            while len(seen) < len(NOTICES) or seen["command_status"]["state"] != "succeeded":
                said = await platform.get()
                notice = notice_of(said.topic)
                seen[notice.key] = msgspec.to_builtins(msgspec.json.decode(said.payload, type=notice.shape))
    assert {key: list(value) for key, value in seen.items()} == {
        notice.key: [field.encode_name for field in msgspec.structs.fields(notice.shape)] for notice in NOTICES
    }


def test_a_command_status_names_every_state() -> None:
    assert set(get_args(get_type_hints(CommandStatus)["state"])) == set(get_args(State))
