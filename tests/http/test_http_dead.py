"""Dead letters replayed and purged by filter: each once, in their order, with the rights of their senders."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from harness import messages
from harness.process import ROOT

from bridge.app.replays import STEP
from bridge.core.record import Record
from schemas import kinds
from schemas.kind import Kind

if TYPE_CHECKING:
    from .conftest import Window

ALARM = "alarm/details/post"


def alarm(number: int = 0) -> bytes:
    sample = json.loads((ROOT / "tests" / "data" / "fault-alarm__alarm_details_post.json").read_text("utf-8"))
    return messages.dump(
        {**sample, "mid": str(uuid.UUID(int=number + 1)), "device_uid": "D1", "timestamp": messages.now_ms()}
    )


async def bury(
    window: Window, *payloads: bytes, uid: str = "D1", suffix: str = ALARM, sender: str = "", at: int = 0
) -> None:
    """Letters as an older version of the table of kinds left them."""
    record = Record()
    topic = messages.topic(uid, suffix)
    for payload in payloads:
        row = (
            at or messages.now_ms(),
            "mqtt",
            uid,
            topic,
            sender or f"device:{uid}",
            "invalid",
            "$.data",
            "",
            payload,
            "{}",
        )
        record.rows.append(("dead_letter", row))
    await window.house.writer.commit(record)


async def stored(window: Window) -> list[str]:
    """The mids of all stored messages, in their order."""
    found: list[str] = []
    since = 0
    while True:
        page = await window.get(f"/api/v1/messages?since={since}&limit=1000")
        found += [message["mid"] for message in page["messages"]]
        if page["next"] == since:
            return found
        since = page["next"]


async def replay(window: Window, query: str, **more: Any) -> Any:
    status, body, _ = await window.call("POST", f"/api/v1/dead-letters/replay?{query}", **more)
    assert status == 200, body
    return body


async def test_replay_after_the_table_of_kinds_was_corrected(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that reads a field as something else than devices send; then the right one."""
    wrong = Kind("alarm", "details", "post", "alarm_details", list[bool], aliases=("alarms_details",), event="alarm")
    mids = [str(uuid.UUID(int=number + 1)) for number in range(5)]
    async with await window.connect("D1") as device:
        with monkeypatch.context() as before:
            before.setitem(kinds._BY_SUFFIX, ALARM, (wrong,))
            for number in range(5):
                await device.stored(messages.topic("D1", ALARM), alarm(number))
            await device.stored(messages.topic("D1", messages.REPORT), b"{")
            again = await replay(window, "reason=invalid")
            assert (again["accepted"], len(again["rejected"]), again["next"]) == (0, 5, None)
            assert {each["path"] for each in again["rejected"]} == {"$.data"}
        assert await stored(window) == []
        done = await replay(window, "reason=invalid&device=D1&source=mqtt")
        assert (done["accepted"], done["rejected"], done["next"]) == (5, [], None)
    assert await stored(window) == mids
    assert (await replay(window, "reason=invalid"))["accepted"] == 0
    letters = (await window.get("/api/v1/dead-letters?reason=invalid"))["dead_letters"]
    assert all(letter["replayed_at"] for letter in letters)
    again = await replay(window, "all=true")
    assert [each["reason"] for each in again["rejected"]] == ["not_json"]
    metrics = (await window.call("GET", "/metrics"))[1].decode()
    count = {
        line.split("{")[0].split()[0]: 0.0 for line in metrics.splitlines() if line.startswith("ems_bridge_messages")
    }
    for line in metrics.splitlines():
        if line.startswith("ems_bridge_messages"):
            count[line.split("{")[0].split()[0]] += float(line.split()[-1])
    assert count["ems_bridge_messages_received_total"] == (
        count["ems_bridge_messages_stored_total"] + count["ems_bridge_messages_rejected_total"]
    )


async def test_many_are_replayed_in_bounded_steps_and_in_their_order(window: Window) -> None:
    total = 3 * STEP + 7
    await bury(window, *(alarm(number) for number in range(total)))
    pages, query = 0, "reason=invalid&limit=250"
    while True:
        page = await replay(window, query)
        assert page["rejected"] == []
        pages += 1
        if page["next"] is None:
            break
        query = f"reason=invalid&limit=250&after={page['next']}&before={page['before']}"
    assert pages == 3
    assert await stored(window) == [str(uuid.UUID(int=number + 1)) for number in range(total)]


async def test_a_letter_is_replayed_once_however_often_it_is_asked_for(window: Window) -> None:
    await bury(window, alarm())
    ways = ["1/replay"] * 20 + ["replay?all=true"] * 5
    answers = await asyncio.gather(*(window.call("POST", f"/api/v1/dead-letters/{way}") for way in ways))
    assert {status for status, _, _ in answers} == {200}
    assert await stored(window) == [str(uuid.UUID(int=1))]
    status, body, _ = await window.call("POST", "/api/v1/dead-letters/1/replay")
    assert (status, body["outcome"]) == (200, "accepted")
    assert "before" in body["detail"]


async def test_a_command_runs_once(window: Window) -> None:
    suffix = "streaming_overdemand/delete/command"
    command = messages.command("D1", "streaming_overdemand_delete", data={"id": 1})
    other = messages.dump({**json.loads(command), "data": {"id": 2}})
    await bury(window, command, command, other, suffix=suffix, sender="account:backend")
    async with await window.connect("D1") as device:
        done = await replay(window, f"topic={messages.topic('D1', suffix)}")
        assert done["accepted"] == 2
        assert [each["reason"] for each in done["rejected"]] == ["conflict"]
        got = await device.get()
        assert got.payload == command
        await device.stored(got.topic.replace("/command", "/result"), messages.answer(command, "D1", data={"id": 1}))
        assert device.inbox.empty()


async def test_whose_sender_is_gone_has_no_rights(window: Window) -> None:
    """Nor those of a device that has got the name of an account since."""
    await bury(window, alarm(), sender="account:D1")
    await bury(window, alarm(), sender="device:D9")
    done = await replay(window, "all=true")
    assert [each["reason"] for each in done["rejected"]] == ["not_authorised"] * 2


async def test_filters(window: Window) -> None:
    start = messages.now_ms() - 100_000
    for number in range(6):
        await bury(window, alarm(number), at=start + number * 1000, suffix=ALARM if number % 2 else messages.REPORT)

    async def ids(query: str) -> list[int]:
        return [letter["id"] for letter in (await window.get(f"/api/v1/dead-letters?{query}"))["dead_letters"]]

    assert await ids(f"topic={messages.topic('D1', ALARM)}") == [6, 4, 2]
    assert await ids("topic=v1/wudun/PK001/D1/alarm/%23") == [6, 4, 2]
    assert await ids("topic=v1/wudun/PK001/D1/al/%23") == []
    assert await ids(f"since={start + 1000}&until={start + 3000}") == [3, 2]
    assert await ids("device=D2") == []
    for query, path in (
        ("topic=v1/%2B/x", "?topic"),
        ("since=x", "?since"),
        ("until=5", "?until"),
        ("", "?all"),
        ("all=false", "?all"),
    ):
        for method, where in (("POST", "/replay"), ("DELETE", "")):
            status, body, _ = await window.call(method, f"/api/v1/dead-letters{where}?{query}")
            assert (status, body["error"]["path"]) == (422, path)
    done = await replay(window, f"topic=v1/wudun/PK001/D1/alarm/%23&since={start + 2000}")
    assert done["accepted"] == 2
    status, body, _ = await window.call("DELETE", f"/api/v1/dead-letters?until={start + 2000}")
    assert (status, body) == (200, {"purged": 2})
    assert await ids("limit=10") == [6, 5, 4, 3]


async def test_nobody_replays_or_purges_what_is_not_his(window: Window) -> None:
    stranger = await window.house.registry.add_account("stranger", [("wudun", "other")])
    await bury(window, alarm())
    assert (await replay(window, "all=true", key=stranger))["accepted"] == 0
    assert (await window.call("DELETE", "/api/v1/dead-letters?all=true", key=stranger))[1] == {"purged": 0}
    assert (await window.call("POST", "/api/v1/dead-letters/1/replay", key=stranger))[0] == 404
    assert (await replay(window, "all=true"))["accepted"] == 1
