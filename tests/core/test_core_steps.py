"""Answers in steps, answers on a foreign topic, and every command of the table through the ledger."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from core_house import ANSWER, BACKEND, DEVICE, NOW, House

from bridge.core.command import Command
from bridge.store.verify import verify
from schemas import kinds
from schemas.kind import Kind

DATA = Path(__file__).parents[1] / "data"
BODIES = json.loads((DATA / "commands.json").read_text("utf-8"))
PREFIXES = ("v1/wudun/PK", "v2/wudun/PK", "v1/user/T", "v2/user/T")
COMMANDS = [kind for kind in kinds.KINDS if kind.kind == "command"]


async def ask(house: House, feature: str, action: str, **more: Any) -> Command:
    command = await house.commands.request(BACKEND, "D1", feature, action, BODIES.get(f"{feature}/{action}"), **more)
    await house.settle()
    return command


async def say(house: House, suffix: str, type_: str, reply: str | None, data: Any = None, **more: Any) -> None:
    body = {**ANSWER, "mid": str(uuid.uuid4()), "type": type_, "reply": reply, "data": data, **more}
    record = await house.publish(DEVICE, f"v1/user/T/D1/{suffix}", {k: v for k, v in body.items() if v is not None})
    assert record.reject is None


async def upgraded(house: House, reply: str | None, status: int | None, **more: Any) -> None:
    data = {"source": "ems_II"} | ({} if status is None else {"status": status})
    await say(house, "ota/upgrade/result", "ota_upgrade", reply, data, **more)


async def shown(house: House, mid: str) -> Command:
    command = await house.commands.get(mid)
    assert command is not None
    return command


@pytest.mark.parametrize(("status", "state"), [(4, "succeeded"), (5, "rejected"), (6, "rejected")])
@pytest.mark.parametrize("acked", [False, True])
@pytest.mark.parametrize("with_reply", [False, True])
async def test_an_update_answers_twice(house: House, status: int, state: str, acked: bool, with_reply: bool) -> None:
    command = await ask(house, "ota", "upgrade")
    reply = command.mid if with_reply else None
    if acked:
        house.acks[0]()
        await house.settle()
    await upgraded(house, reply, 2)
    between = await shown(house, command.mid)
    assert (between.state, between.msg, between.answers, between.settled_at) == ("delivered", "prepared", 0, None)
    assert between.answer == {"source": "ems_II", "status": 2}
    assert between.delivered_at == NOW
    house.acks[0]()
    await house.settle()
    await house.pass_time(900)
    await upgraded(house, reply, status)
    done = await shown(house, command.mid)
    assert (done.state, done.answers, done.answer) == (state, 1, {"source": "ems_II", "status": status})
    steps = ["accepted", "sent", *(["delivered"] if acked else []), "delivered", state]
    assert [event["state"] for event in done.history] == steps
    assert done.history[-2]["msg"] == "prepared"
    assert house.states(command.mid) == steps
    assert house.counts.value("ems_bridge_results_unsolicited") == 0


@pytest.mark.parametrize(("status", "msg"), [(1, "update refused"), (3, "preparation failed")])
async def test_an_update_that_does_not_begin_is_rejected_at_once(house: House, status: int, msg: str) -> None:
    command = await ask(house, "ota", "upgrade")
    await upgraded(house, command.mid, status)
    done = await shown(house, command.mid)
    assert (done.state, done.msg) == ("rejected", msg)


@pytest.mark.parametrize(
    ("status", "code", "state"),
    [
        (2, 400, "rejected"),
        (2, 200, "delivered"),
        (None, 200, "succeeded"),
        (None, None, "delivered"),
        (9, None, "delivered"),
    ],
)
async def test_a_code_that_refuses_counts_more_than_a_status(
    house: House, status: int | None, code: int | None, state: str
) -> None:
    command = await ask(house, "ota", "upgrade")
    await upgraded(house, command.mid, status, code=code)
    assert (await shown(house, command.mid)).state == state


async def test_the_deadline_is_for_the_final_answer(house: House) -> None:
    command = await ask(house, "ota", "upgrade")
    assert command.timeout_s == 1800
    await house.pass_time(1000)
    await upgraded(house, command.mid, 2)
    await house.pass_time(799)
    assert (await shown(house, command.mid)).state == "delivered"
    await house.pass_time(2)
    assert (await shown(house, command.mid)).state == "timed_out"
    await upgraded(house, command.mid, 2)
    assert (await shown(house, command.mid)).state == "timed_out"
    await upgraded(house, command.mid, 4)
    assert (await shown(house, command.mid)).state == "late_succeeded"


async def test_an_update_holds_other_changes_back_and_survives_a_restart(house: House) -> None:
    command = await ask(house, "ota", "upgrade")
    later = await ask(house, "charge", "delete", hold_s=3600)
    await upgraded(house, command.mid, 2)
    house = await house.again()
    house.flow.pump("D1")
    await house.settle()
    assert (await shown(house, later.mid)).state == "accepted"
    await upgraded(house, None, 4)
    assert [(await shown(house, each.mid)).state for each in (command, later)] == ["succeeded", "sent"]
    assert verify(house.path.parent) == []


@pytest.mark.parametrize(("status", "state"), [(1, "succeeded"), (2, "rejected"), (6, "rejected")])
async def test_what_became_of_a_download_is_in_the_data(house: House, status: int, state: str) -> None:
    command = await ask(house, "ota", "emu_upgrade")
    data = {"device_id": 2, "download_status": status}
    await say(house, "ota/emu_upgrade/result", "emu_upgrade", None, data)
    assert (await shown(house, command.mid)).state == state


@pytest.mark.parametrize("suffix", ["charge_percentage/sync/result", "device_info/sync/result"])
@pytest.mark.parametrize("with_reply", [False, True])
async def test_charge_depth_answers_on_its_own_topic_or_the_foreign_one(
    house: House, suffix: str, with_reply: bool
) -> None:
    other, command = await ask(house, "device_info", "sync"), await ask(house, "charge_percentage", "sync")
    data = json.loads((DATA / "charge-depth__charge_percentage_details_post.json").read_text("utf-8"))["data"]
    await say(house, suffix, "charge_percentage_sync", command.mid if with_reply else None, data)
    assert (await shown(house, command.mid)).answer == data
    ((heard,),) = ([route.topics for route in house.published if route.topics[0].endswith("/result")],)
    assert heard[0] == f"v1/user/T/D1/{suffix}"
    assert {f"{prefix}/D1/charge_percentage/sync/result" for prefix in PREFIXES} <= set(heard)
    (stored,) = await house.ledger.messages(None, "D1", "charge_percentage/sync/result", 0, 10)
    assert stored["topic"] == heard[0]
    assert [(await shown(house, each.mid)).state for each in (command, other)] == ["succeeded", "sent"]


@pytest.mark.parametrize("kind", COMMANDS, ids=repr)
@pytest.mark.parametrize(("code", "state"), [(200, "succeeded"), (400, "rejected")])
async def test_every_command_has_its_outcome(house: House, kind: Kind, code: int, state: str) -> None:
    command = await ask(house, kind.feature, kind.action)
    topic, sent = house.received[0]
    assert topic == f"v1/wudun/PK/D1/{kind.suffix}"
    assert (sent["type"], sent.get("data")) == (kind.type, BODIES.get(f"{kind.feature}/{kind.action}"))
    answer = kinds.result_of(kind)
    assert answer is not None
    await say(house, answer.suffix, answer.type, None, code=code)
    assert (await shown(house, command.mid)).state == state


@pytest.mark.parametrize("kind", COMMANDS, ids=repr)
async def test_every_command_comes_by_mqtt_too(house: House, kind: Kind) -> None:
    body = {**ANSWER, "mid": str(uuid.uuid4()), "type": kind.type, "data": BODIES.get(f"{kind.feature}/{kind.action}")}
    record = await house.publish(BACKEND, f"v1/user/T/D1/{kind.suffix}", body)
    assert record.reject is None
    assert [received["mid"] for _, received in house.received] == [body["mid"]]
