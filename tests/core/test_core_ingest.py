"""Every PUBLISH comes to one of: stored, refused with its reason, routed as it is."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from core_house import BACKEND, DEVICE, NOW, STRANGER, House

from bridge.core.principal import ANONYMOUS, Principal
from bridge.store.dead import Wanted
from schemas.topics import CustomPrefix

REPORT = "v2/user/T/D1/report/regular/post"


def meter(**changes: Any) -> dict[str, Any]:
    values = {"device_id": 7, "purpose": 1, "total_active_power": 12.5, "total_forward_active_energy": 1000.25}
    entry = {"type": "sub_elemeters", "index": 0, "data": values}
    envelope = {"mid": str(uuid.uuid4()), "type": "report_regular", "device_uid": "D1", "timestamp": NOW - 1000}
    return {**envelope, "data": [entry], **changes}


async def test_a_report_is_stored_mirrored_and_told_on_both_schemes(house: House) -> None:
    body = meter()
    record = await house.publish(DEVICE, REPORT, body)
    assert record.reject is None
    (stored,) = await house.ledger.messages(None, "D1", None, 0, 10)
    assert json.loads(bytes(stored["body"])) == body
    assert (stored["topic"], stored["mid"], stored["timestamp"]) == (REPORT, body["mid"], body["timestamp"])
    (route,) = [route for route in house.published if "report" in route.topics[0]]
    assert route.topics == (REPORT, "v2/wudun/PK/D1/report/regular/post")
    seq, _, device, samples = (await house.database.rows("SELECT seq, at, device, samples FROM outbox"))[0]
    assert (seq, device) == (stored["seq"], "D1")
    ((asset, timestamp, values),) = json.loads(samples)
    assert (asset, timestamp) == ("D1.meter.7", NOW - 1000)
    assert values == {"total_active_power": 12.5, "total_forward_active_energy": 1000.25}
    assert [row["suffix"] for row in await house.ledger.latest("D1")] == ["report/regular/post"]


async def test_a_device_with_turned_meters_gives_import_as_positive(house: House) -> None:
    await house.registry.add_device("D3", None, "T", signs={"meter": -1.0})
    await house.publish(Principal("device", "D3"), "v2/user/T/D3/report/regular/post", meter())
    ((_, _, values),) = json.loads((await house.database.rows("SELECT samples FROM outbox"))[0][0])
    assert values == {"total_active_power": -12.5, "total_forward_active_energy": 1000.25}


@pytest.mark.parametrize(
    ("principal", "topic", "body", "reason", "path"),
    [
        (DEVICE, "v1/user/T/D2/report/regular/post", meter(), "not_authorised", ""),
        (DEVICE, "v1/user/other/D1/report/regular/post", meter(), "not_authorised", ""),
        (DEVICE, "v1/user/T/D1/streaming_overdemand/sync/command", {}, "not_authorised", ""),
        (BACKEND, REPORT, meter(), "not_authorised", ""),
        (STRANGER, "v1/user/T/D1/streaming_overdemand/sync/command", {}, "not_authorised", ""),
        (BACKEND, "v1/user/T/D9/streaming_overdemand/sync/command", {}, "unknown_device", ""),
        (BACKEND, "v1/user/T/OTHERS/streaming_overdemand/sync/command", {}, "unknown_device", ""),
        (STRANGER, "v1/user/T/D9/streaming_overdemand/sync/command", {}, "not_authorised", ""),
        (BACKEND, "v1/user/T/D9/report/regular/post", meter(), "not_authorised", ""),
        (DEVICE, "v1/user/T/D1/nowhere/at_all/post", meter(), "unknown_type", ""),
        (DEVICE, "hello", {}, "unknown_topic", ""),
        (DEVICE, "bridge/v1/T/D1/presence", {}, "unknown_topic", ""),
        (DEVICE, REPORT, meter(type="alarm_details"), "unknown_type", "$.type"),
        (DEVICE, REPORT, b"", "not_json", ""),
        (DEVICE, REPORT, b"\xff\xfe{}", "not_json", ""),
        (DEVICE, REPORT, b'{"mid": NaN}', "not_json", ""),
        (DEVICE, REPORT, b"[" * 10_000, "invalid", ""),
        (DEVICE, REPORT, {key: value for key, value in meter().items() if key != "mid"}, "invalid", "$.mid"),
        (DEVICE, REPORT, meter(mid="17"), "invalid", "$.mid"),
        (DEVICE, REPORT, meter(timestamp=NOW // 1000), "bad_timestamp", "$.timestamp"),
        (DEVICE, REPORT, meter(timestamp=NOW + 90_000_000), "bad_timestamp", "$.timestamp"),
        (DEVICE, REPORT, meter(timestamp=-5), "bad_timestamp", "$.timestamp"),
    ],
)
async def test_a_refused_message_is_kept_and_its_sender_told(
    house: House, principal: Principal, topic: str, body: Any, reason: str, path: str
) -> None:
    await house.registry.add_device("OTHERS", None, "theirs")
    record = await house.publish(principal, topic, body)
    assert record.reject is not None
    assert record.reject.reason == reason
    if path:
        assert record.reject.path == path
    assert record.reject.detail
    (letter,) = await house.ledger.dead.find(Wanted(None), 10)
    assert letter["payload"] == (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert (letter["topic"], letter["sender"], letter["reason"]) == (
        topic,
        f"{principal.kind}:{principal.name}",
        reason,
    )
    told = json.loads(house.published[-1].payload)
    assert (told["topic"], told["reason"]) == (topic, reason)
    assert all(house.permissions.may_read(principal, each) for each in house.published[-1].topics)
    assert await house.ledger.messages(None, None, None, 0, 10) == []


async def test_a_dead_letter_is_replayed_after_a_fix(house: House) -> None:
    await house.publish(Principal("device", "D9"), "v1/user/T/D9/report/regular/post", meter())
    (letter,) = await house.ledger.dead.find(Wanted(None), 10)
    again = house.ingest.replay(Principal("device", "D9"), letter["id"], letter["topic"], letter["payload"], house.now)
    assert again.reject is not None
    assert again.rows == []
    await house.registry.add_device("D9", None, "T")
    again = house.ingest.replay(Principal("device", "D9"), letter["id"], letter["topic"], letter["payload"], house.now)
    assert again.reject is None
    house.submit(again)
    await house.settle()
    assert len(await house.ledger.messages(None, "D9", None, 0, 10)) == 1
    (letter,) = await house.ledger.dead.find(Wanted(None), 10)
    assert letter["replayed_at"] == house.now


async def test_an_anonymous_broker_takes_up_the_devices_that_it_sees(house: House) -> None:
    await house.publish(ANONYMOUS, "v1/user/N/new-1/report/regular/post", meter())
    await house.publish(ANONYMOUS, "v1/wudun/NP/new-1/report/regular/post", meter())
    device = house.registry.device("new-1")
    assert device is not None
    assert device.owners == (("wudun", "NP"), ("user", "N"))
    house = await house.again()
    device = house.registry.device("new-1")
    assert device is not None
    assert device.owners == (("wudun", "NP"), ("user", "N"))
    assert await house.registry.authenticate("new-1", "") is None


async def test_other_topics_are_routed_as_they_are_where_allowed(tmp_path: Path) -> None:
    house = await House(tmp_path / "other.db", other_topics=True).open()
    try:
        record = await house.publish(ANONYMOUS, "hello/world", b"\xff", qos=0)
        assert record.reject is None
        assert record.routes == [(("hello/world",), b"\xff", 0, False, "")]
        record = await house.publish(ANONYMOUS, "$other/topic", b"x", qos=0)
        assert record.routes == [(("$other/topic",), b"x", 0, False, "")]
        for topic in ("bridge/v1/T/D1/presence", "bridge", "$SYS/broker/uptime", "$SYS"):
            record = await house.publish(ANONYMOUS, topic, b"{}")
            assert record.reject is not None
            assert record.routes == [] or record.routes[0].topics[0].startswith("bridge/")
    finally:
        await house.close()


async def test_custom_prefixes_carry_the_same_device(tmp_path: Path) -> None:
    custom = (CustomPrefix("plant/7", "T", 2),)
    house = await House(tmp_path / "custom.db", custom=custom).open()
    try:
        await house.registry.add_device("D1", None, "T")
        record = await house.publish(DEVICE, "plant/7/D1/report/regular/post", meter())
        assert record.reject is None
        assert record.routes[0].topics == ("plant/7/D1/report/regular/post", "v2/user/T/D1/report/regular/post")
        assert house.permissions.may_read(BACKEND, "plant/7/D1/report/regular/post")
        assert not house.permissions.may_read(STRANGER, "plant/7/D1/report/regular/post")
    finally:
        await house.close()


async def test_what_comes_in_is_stored_refused_or_routed(house: House) -> None:
    for _ in range(3):
        await house.publish(DEVICE, REPORT, meter())
    await house.publish(DEVICE, REPORT, b"no")
    received, stored = (house.counts.value(f"ems_bridge_messages_{name}") for name in ("received", "stored"))
    assert (received, stored) == (4, 3)
    assert house.counts.value("ems_bridge_messages_rejected", (("reason", "not_json"),)) == 1


async def test_long_topics_are_not_remembered(house: House) -> None:
    await house.publish(BACKEND, f"v1/user/T/{'D' * 600}/streaming_overdemand/sync/command", {})
    assert house.ingest._places == {}
