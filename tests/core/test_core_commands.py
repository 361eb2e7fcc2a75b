"""A command has exactly one outcome: every road through PRODUCT.md §4.3, over a real ledger."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from core_house import ANSWER, BACKEND, DEVICE, NOW, STRANGER, House

from bridge.core.command import Command
from bridge.core.flow import AT_ONCE, OPEN_KEPT
from bridge.core.open_command import Open
from bridge.errors import Conflict, Exhausted, NotFound, StoreError, Unprocessable
from bridge.store.dead import Wanted

CREATE = {
    "over_demand_status": 1,
    "streaming_status": 1,
    "over_demand_condition": [2000] * 12,
    "ele_meter_id": 9,
    "dynamic_demand_percentage": 80,
    "streaming_condition": 1000,
    "individual_phase_streaming_status": 2,
    "individual_phase_streaming_condition": 100,
    "dynamic_demand_status": 1,
    "device_type": 2,
}


async def ask(house: House, action: str = "create", data: Any = CREATE, uid: str = "D1", **more: Any) -> Command:
    command = await house.commands.request(BACKEND, uid, "streaming_overdemand", action, data, **more)
    await house.settle()
    return command


async def state(house: House, mid: str) -> str:
    command = await house.commands.get(mid)
    assert command is not None
    return command.state


async def test_an_answer_reaches_the_topic_beside_the_command_on_whichever_prefix_it_comes(house: House) -> None:
    record = await house.answer((await ask(house)).mid)
    suffix = "D1/streaming_overdemand/create/result"
    first, *twins = record.routes[0].topics
    assert first == f"v1/user/T/{suffix}"
    assert set(twins) == {f"{prefix}/{suffix}" for prefix in ("v1/wudun/PK", "v2/wudun/PK", "v2/user/T")}


async def test_the_whole_walk(house: House) -> None:
    command = await ask(house)
    topic, sent = house.received[0]
    assert topic == "v1/wudun/PK/D1/streaming_overdemand/create/command"
    assert sent["mid"] == command.mid
    assert sent["data"] == CREATE
    assert await state(house, command.mid) == "sent"
    house.acks[0]()
    await house.settle()
    assert await state(house, command.mid) == "delivered"
    waiting = asyncio.create_task(house.commands.wait(command.mid, 60))
    await asyncio.sleep(0)
    await house.answer(command.mid)
    done = await waiting
    assert (done.state, done.code, done.answer, done.answers) == ("succeeded", 200, {"id": 1}, 1)
    assert [event["state"] for event in done.history] == ["accepted", "sent", "delivered", "succeeded"]
    assert house.states(command.mid) == ["accepted", "sent", "delivered", "succeeded"]


async def test_a_rejected_answer_keeps_its_code_and_words(house: House) -> None:
    command = await ask(house)
    await house.answer(command.mid, 400, msg="no such meter", data=None)
    done = await house.commands.get(command.mid)
    assert done is not None
    assert (done.state, done.code, done.msg) == ("rejected", 400, "no such meter")


async def test_silence_times_out_and_a_late_answer_keeps_both_facts(house: House) -> None:
    command = await ask(house)
    await house.pass_time(9.99)
    assert await state(house, command.mid) == "sent"
    await house.pass_time(0.02)
    assert await state(house, command.mid) == "timed_out"
    await house.answer(command.mid)
    late = await house.commands.get(command.mid)
    assert late is not None
    assert late.state == "late_succeeded"
    assert [event["state"] for event in late.history] == ["accepted", "sent", "timed_out", "late_succeeded"]


async def test_a_late_rejection_without_reply_after_a_restart(house: House) -> None:
    command = await ask(house, timeout_s=1)
    await house.pass_time(2)
    house = await house.again()
    await house.answer(None, 400)
    assert await state(house, command.mid) == "late_rejected"


async def test_the_first_answer_wins_and_the_second_is_counted(house: House) -> None:
    command = await ask(house)
    await house.answer(command.mid)
    await house.answer(command.mid, 400)
    done = await house.commands.get(command.mid)
    assert done is not None
    assert (done.state, done.code, done.answers) == ("succeeded", 200, 2)
    assert house.counts.value("ems_bridge_results_repeated") == 1


async def test_an_answer_from_the_wrong_device_is_refused(house: House) -> None:
    command = await ask(house, uid="D2")
    record = await house.answer(command.mid)
    assert record.reject is not None
    assert (record.reject.reason, record.reject.path) == ("wrong_device", "$.reply")
    assert await state(house, command.mid) == "sent"


async def test_an_answer_without_reply_settles_the_oldest_of_its_sort(house: House) -> None:
    first = await ask(house, "sync", None)
    second = await ask(house, "sync", None)
    other = await ask(house)
    await house.answer(None, None, "sync", data=[])
    assert [await state(house, each.mid) for each in (first, second, other)] == ["succeeded", "sent", "sent"]
    own = "4c5b3c27-cea8-4ea1-a936-41fd3596e0e9"
    await house.answer(own, None, "sync", mid=own, data=[])
    assert [await state(house, each.mid) for each in (first, second, other)] == ["succeeded", "succeeded", "sent"]


async def test_a_code_beyond_64_bits_is_refused(house: House) -> None:
    command = await ask(house)
    record = await house.answer(command.mid, 2**63)
    assert record.reject is not None
    assert (record.reject.reason, record.reject.path) == ("invalid", "$.code")


async def test_an_answer_that_nobody_asked_for_is_stored_and_counted(house: House) -> None:
    record = await house.answer(str(uuid.uuid4()))
    assert record.reject is None
    assert house.counts.value("ems_bridge_results_unsolicited") == 1
    assert len(await house.ledger.messages(None, "D1", None, 0, 10)) == 1


async def test_offline_commands_are_held_and_sent_in_order(house: House) -> None:
    house.online = False
    first, second = await ask(house, hold_s=60), await ask(house, "delete", {"id": 1}, hold_s=60)
    assert await state(house, first.mid) == "accepted"
    assert house.received == []
    house.online = True
    house.flow.pump("D1")
    await house.settle()
    assert [body["mid"] for _, body in house.received] == [first.mid]
    await house.answer(first.mid)
    assert [body["mid"] for _, body in house.received] == [first.mid, second.mid]


async def test_a_reading_command_passes_a_changing_one(house: House) -> None:
    changing, reading = await ask(house), await ask(house, "sync", None)
    later = await ask(house, "delete", {"id": 3})
    assert [body["mid"] for _, body in house.received] == [changing.mid, reading.mid]
    await house.pass_time(10)
    assert await state(house, changing.mid) == "timed_out"
    assert house.received[-1][1]["mid"] == later.mid


async def test_hold_ends_in_expired_and_it_never_runs(house: House) -> None:
    house.online = False
    command = await ask(house, hold_s=5)
    await house.pass_time(5)
    assert await state(house, command.mid) == "expired"
    house.online = True
    house.flow.pump("D1")
    await house.settle()
    assert house.received == []


async def test_now_on_an_offline_device_is_undeliverable(house: House) -> None:
    house.online = False
    command = await ask(house, now=True)
    assert await state(house, command.mid) == "undeliverable"


async def test_a_device_that_leaves_before_the_write_gets_it_later_once(house: House) -> None:
    house.gone_when_written = True
    command = await ask(house, hold_s=60)
    assert await state(house, command.mid) == "accepted"
    assert house.received == []
    house.gone_when_written, house.online = False, True
    house.flow.pump("D1")
    await house.settle()
    assert [body["mid"] for _, body in house.received] == [command.mid]
    assert await state(house, command.mid) == "sent"


async def test_only_an_accepted_command_can_be_cancelled(house: House) -> None:
    house.online = False
    held = await ask(house, hold_s=60)
    assert (await house.commands.cancel(BACKEND, held.mid)).state == "cancelled"
    house.online = True
    sent = await ask(house)
    with pytest.raises(Conflict, match="only an accepted one"):
        await house.commands.cancel(BACKEND, sent.mid)
    with pytest.raises(NotFound):
        await house.commands.cancel(STRANGER, sent.mid)


async def test_the_same_mid_is_the_same_command(house: House) -> None:
    mid = str(uuid.uuid4())
    await ask(house, mid=mid)
    await ask(house, mid=mid)
    assert len(house.received) == 1
    with pytest.raises(Conflict):
        await ask(house, "delete", {"id": 1}, mid=mid)
    await house.answer(mid)
    await ask(house, mid=mid)
    assert len(house.received) == 1


async def test_the_same_mid_by_mqtt_on_either_scheme_and_with_another_payload(house: House) -> None:
    body = {
        "mid": str(uuid.uuid4()),
        "type": "streaming_overdemand_delete",
        "data": {"id": 1},
        "device_uid": "D1",
        "timestamp": NOW,
    }
    topic = "streaming_overdemand/delete/command"
    await house.publish(BACKEND, f"v1/user/T/D1/{topic}", body)
    await house.publish(BACKEND, f"v1/wudun/PK/D1/{topic}", {**body, "timestamp": NOW + 5})
    assert [each for each, _ in house.received] == [f"v1/user/T/D1/{topic}"]
    await house.publish(BACKEND, f"v1/user/T/D1/{topic}", {**body, "data": {"id": 2}})
    assert len(house.received) == 1
    letters = await house.ledger.dead.find(Wanted(None), 10)
    assert [(letter["reason"], letter["path"]) for letter in letters] == [("conflict", "$.mid")]
    assert house.published[-1].topics == ("bridge/v1/PK/D1/error", "bridge/v1/T/D1/error")
    count = house.counts.value
    assert count("ems_bridge_messages_received") == 3
    assert count("ems_bridge_messages_stored") == 2
    assert count("ems_bridge_messages_rejected", (("reason", "conflict"),)) == 1
    again = house.ingest.replay(BACKEND, letters[0]["id"], letters[0]["topic"], letters[0]["payload"], house.now)
    house.submit(again)
    await house.settle()
    assert again.reject is not None
    assert again.reject.reason == "conflict"
    (letter,) = await house.ledger.dead.find(Wanted(None), 10)
    assert letter["replayed_at"] is None


async def test_open_commands_and_their_deadlines_survive_a_restart(house: House) -> None:
    sent = await ask(house, timeout_s=10)
    waiting = await ask(house, "delete", {"id": 1}, hold_s=100)
    reading = await ask(house, "sync", None, timeout_s=60)
    house = await house.again()
    house.now += 10_000
    house.timer += 10
    assert [await state(house, each.mid) for each in (sent, waiting, reading)] == ["sent", "accepted", "sent"]
    house.flow.tick()
    await house.settle()
    assert await state(house, sent.mid) == "timed_out"
    assert house.received[-1][1]["mid"] == waiting.mid
    await house.answer(reading.mid, None, "sync", data=[])
    assert await state(house, reading.mid) == "succeeded"


async def test_a_deadline_that_passed_while_the_bridge_was_down(house: House) -> None:
    command = await ask(house, timeout_s=10)
    await house.close()
    house.now += 3_600_000
    await house.open()
    house.flow.tick()
    await house.settle()
    assert await state(house, command.mid) == "timed_out"


async def test_a_jump_of_the_wall_clock_moves_no_deadline(house: House) -> None:
    command = await ask(house, timeout_s=10)
    house.now += 3_600_000
    house.flow.tick()
    await house.settle()
    assert await state(house, command.mid) == "sent"
    await house.pass_time(10)
    assert await state(house, command.mid) == "timed_out"


@pytest.mark.parametrize(
    ("feature", "action", "data", "more", "path"),
    [
        ("nowhere", "create", {}, {}, "$.feature"),
        ("streaming_overdemand", "nowhere", {}, {}, "$.feature"),
        ("streaming_overdemand", "delete", {"id": "one"}, {}, "$.data.id"),
        ("streaming_overdemand", "delete", {"id": 1}, {"mid": "17"}, "$.mid"),
        ("streaming_overdemand", "delete", {"id": 1}, {"timeout_s": 0}, "$.timeout_s"),
        ("streaming_overdemand", "delete", {"id": 1}, {"hold_s": 8 * 86_400}, "$.hold_s"),
    ],
)
async def test_bad_requests_name_the_path(
    house: House, feature: str, action: str, data: Any, more: dict[str, Any], path: str
) -> None:
    with pytest.raises(Unprocessable) as caught:
        await house.commands.request(BACKEND, "D1", feature, action, data, **more)
    assert caught.value.path == path
    assert await house.commands.find(None) == []


async def test_a_device_has_a_bounded_number_of_open_commands(house: House) -> None:
    house.online = False
    mids = [str(uuid.uuid4()) for _ in range(OPEN_KEPT)]
    asked = (house.commands.request(BACKEND, "D1", "streaming_overdemand", "sync", None, mid=mid) for mid in mids)
    await asyncio.gather(*asked)
    with pytest.raises(Exhausted):
        await ask(house, "sync", None)
    assert (await ask(house, "sync", None, mid=mids[0])).mid == mids[0]
    body = {"mid": str(uuid.uuid4()), "type": "streaming_overdemand_sync", "device_uid": "D1", "timestamp": NOW}
    record = await house.publish(BACKEND, "v1/user/T/D1/streaming_overdemand/sync/command", body)
    assert record.reject is not None
    assert record.reject.reason == "quota_exceeded"
    await house.commands.cancel(BACKEND, mids[0])
    assert (await ask(house, "sync", None)).state == "accepted"


async def test_foreign_and_unknown_devices_are_not_there(house: House) -> None:
    for principal, uid in ((STRANGER, "D1"), (BACKEND, "D9"), (DEVICE, "D2")):
        with pytest.raises(NotFound):
            await house.commands.request(principal, uid, "streaming_overdemand", "sync", None)


async def test_a_commit_that_failed_ends_no_hold(house: House) -> None:
    house.online = False
    command = await ask(house, hold_s=3_600)
    house.online = True
    await house.fail(lambda: house.flow.pump("D1"))
    await house.pass_time(0.5)
    assert (await state(house, command.mid), house.received) == ("accepted", [])
    await house.pass_time(0.6)
    assert await state(house, command.mid) == "sent"
    assert len(house.received) == 1


async def test_a_device_that_listens_but_takes_nothing_is_asked_ever_more_seldom(house: House) -> None:
    house.refuses = True
    command = await ask(house, hold_s=3_600)
    for _ in range(600):
        await house.pass_time(1)
    shown = await house.commands.get(command.mid)
    assert shown is not None
    assert shown.state == "accepted"
    assert len(shown.history) < 50
    house.refuses = False
    await house.pass_time(60)
    assert [body["mid"] for _, body in house.received] == [command.mid]


async def test_a_hold_that_ends_while_sent_is_being_committed_still_ends(house: House) -> None:
    house.online = False
    command = await ask(house, hold_s=5)
    house.online = house.gone_when_written = True
    house.flow.pump("D1")
    house.now += 5_000
    house.timer += 5
    house.flow.tick()
    await house.settle()
    await house.pass_time(0)
    assert await state(house, command.mid) == "expired"


async def test_a_return_to_accepted_that_cannot_be_stored_is_tried_again(house: House) -> None:
    house.online = False
    command = await ask(house, hold_s=60)
    house.online = house.gone_when_written = True
    refuse = (
        "CREATE TEMP TRIGGER refuse BEFORE UPDATE OF state ON main.commands WHEN new.state = 'accepted'"
        " BEGIN SELECT raise(ABORT, 'refused by the test'); END"
    )
    await house.database.maintain(lambda connection: connection.execute(refuse))
    house.flow.pump("D1")
    await house.settle()
    assert (await state(house, command.mid), house.received) == ("sent", [])
    await house.database.maintain(lambda connection: connection.execute("DROP TRIGGER refuse"))
    house.gone_when_written, house.online = False, True
    await house.pass_time(1)
    await house.pass_time(1)
    assert [body["mid"] for _, body in house.received] == [command.mid]
    assert await state(house, command.mid) == "sent"


async def test_now_is_not_kept_over_a_restart(house: House) -> None:
    house.refuses = True
    command = await ask(house, now=True)
    assert await state(house, command.mid) == "accepted"
    house = await house.again()
    house.online = house.refuses = False
    house.flow.tick()
    await house.settle()
    assert await state(house, command.mid) == "undeliverable"


async def test_two_answers_without_reply_in_one_batch_settle_two_commands(house: House) -> None:
    first, second = await ask(house, "sync", None), await ask(house, "sync", None)
    mids = [str(uuid.uuid4()), str(uuid.uuid4())]
    await asyncio.gather(*(house.answer(None, None, "sync", mid=mid, data=[]) for mid in mids))
    assert [await state(house, each.mid) for each in (first, second)] == ["succeeded", "succeeded"]


async def test_an_answer_to_a_command_that_was_never_sent_changes_nothing(house: House) -> None:
    house.online = False
    command = await ask(house)
    await house.answer(command.mid)
    shown = await house.commands.get(command.mid)
    assert shown is not None
    assert (shown.state, shown.answers) == ("accepted", 0)
    assert house.counts.value("ems_bridge_results_unsolicited") == 1


async def test_a_caller_that_goes_away_does_not_undo_its_cancellation(house: House) -> None:
    house.online = False
    command = await ask(house)
    asking = asyncio.create_task(house.flow.cancelled(command.mid, "withdrawn"))
    await asyncio.sleep(0)
    asking.cancel()
    await house.settle()
    assert (await state(house, command.mid), house.flow.open) == ("cancelled", {})


async def test_a_cancellation_that_cannot_be_stored_says_so(house: House) -> None:
    house.online = False
    command = await ask(house)
    await house.full(True)
    with pytest.raises(StoreError):
        await house.commands.cancel(BACKEND, command.mid)
    await house.full(False)


async def test_a_jump_of_the_wall_clock_ends_no_hold(house: House) -> None:
    house.online = False
    command = await ask(house, hold_s=60)
    house.now += 3_600_000
    house.flow.pump("D1")
    await house.settle()
    assert await state(house, command.mid) == "accepted"


async def test_what_comes_at_once_does_not_keep_the_writer(house: House) -> None:
    house.online = False
    devices = [f"X{number}" for number in range(6)]
    for uid in devices:
        await house.registry.add_device(uid, "PK", "T")
    asked = [
        house.commands.request(BACKEND, uid, "streaming_overdemand", "sync", None)
        for uid in devices
        for _ in range(300)
    ]
    mids = [command.mid for command in await asyncio.gather(*asked)]
    house.online = True
    for uid in devices:
        house.flow.pump(uid)
    assert waiting(house) < AT_ONCE + 300  # a device that has its turn is served whole
    await house.settle()
    assert len(house.received) == len(mids)
    house.now, house.timer = house.now + 11_000, house.timer + 11
    house.flow.tick()
    assert waiting(house) == AT_ONCE
    while waiting(house):
        await house.settle()
        house.flow.tick()
    assert {await state(house, mid) for mid in mids} == {"timed_out"}


def waiting(house: House) -> float:
    return house.counts.gauges["ems_bridge_writer_queue", ()]()


async def test_deadlines_that_no_longer_count_do_not_pile_up(house: House) -> None:
    house.online = False
    for _ in range(1_500):
        command = await house.commands.request(BACKEND, "D1", "streaming_overdemand", "sync", None, hold_s=604_800)
        await house.flow.cancelled(command.mid, "")
    assert len(house.flow._deadlines) <= 1_026


async def test_a_clock_that_went_back_while_the_bridge_was_down_makes_nobody_wait_longer(house: House) -> None:
    sent = await ask(house, timeout_s=10)
    waiting = await ask(house, "delete", {"id": 1}, hold_s=20)
    house.now -= 3_600_000
    house = await house.again()
    house.online = False
    await house.pass_time(10)
    assert await state(house, sent.mid) == "timed_out"
    await house.pass_time(10)
    assert await state(house, waiting.mid) == "expired"


async def test_a_clock_that_jumps_while_sent_is_being_committed_moves_no_deadline(house: House) -> None:
    for jump in (3_600_000, -3_600_000):
        command = await house.commands.request(BACKEND, "D1", "streaming_overdemand", "sync", None, timeout_s=10)
        house.now += jump
        await house.settle()
        await house.pass_time(9)
        assert await state(house, command.mid) == "sent"
        await house.pass_time(1)
        assert await state(house, command.mid) == "timed_out"


async def test_a_message_that_expires_is_held_no_longer(house: House) -> None:
    """MQTT 5: its expiry is the hold of a command that is published."""
    house.online = False
    topic, more = (
        "streaming_overdemand/sync/command",
        {"type": "streaming_overdemand_sync", "device_uid": "D1", "timestamp": NOW},
    )
    mids = [str(uuid.uuid4()) for _ in range(4)]
    for mid, left in zip(mids, (0, 5_000, 100_000, None), strict=True):
        payload = json.dumps({"mid": mid, **more}).encode()
        expires = 0 if left is None else house.now + left
        house.submit(house.ingest.accept(BACKEND, f"v1/user/T/D1/{topic}", payload, 1, False, house.now, expires))
        await house.settle()
    assert [await state(house, mid) for mid in mids] == ["expired", "accepted", "accepted", "accepted"]
    await house.pass_time(5)
    assert [await state(house, mid) for mid in mids] == ["expired", "expired", "accepted", "accepted"]
    await house.pass_time(60)
    assert [await state(house, mid) for mid in mids] == ["expired", "expired", "accepted", "expired"]
    house.online = True
    house.flow.pump("D1")
    await house.settle()
    assert [body["mid"] for _, body in house.received] == [mids[2]]


async def test_what_was_not_told_before_a_crash_is_told_after_it(house: House) -> None:
    """Each move once, though the process ended between its COMMIT and the one of what it tells."""
    command = await ask(house)
    body = {
        **ANSWER,
        "type": "streaming_overdemand_create",
        "reply": command.mid,
        "code": 400,
        "msg": "no",
        "data": {"id": 1},
    }
    topic = "v1/user/T/D1/streaming_overdemand/create/result"
    record = house.ingest.accept(DEVICE, topic, json.dumps(body).encode(), 1, False, house.now)
    record.effects.insert(0, house.kill)
    house.submit(record)
    house = await house.crashed()
    assert await state(house, command.mid) == "rejected"
    assert (await house.kept())[command.mid] == ["accepted", "sent", "rejected"]
    status = json.loads(house.published[-1].payload)
    assert (status["code"], status["msg"], status["at"]) == (400, "no", house.now)


async def test_what_a_full_disk_kept_from_being_told_is_told_later(house: House) -> None:
    """Its move was stored, the messages to those who are away were not."""
    house.online = False
    command = await ask(house)
    await house.fail(lambda: house.flow.announce(command_of(house, command.mid), "accepted", at=NOW))
    assert (await house.kept())[command.mid] == ["accepted"]
    async with asyncio.timeout(10):
        while (await house.kept())[command.mid] != ["accepted"] * 2:  # noqa: ASYNC110 - SQLite rings no bell
            await asyncio.sleep(0.05)


def command_of(house: House, mid: str) -> Open:
    return house.flow.open[mid]
