"""The fixtures by themselves: a bridge, scripted devices, a failing sink, a held clock."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import aiomqtt
import pytest

from bridge.errors import Conflict
from bridge.testing import Bridge, Clock, Fleet, Sink

SYNC = "streaming_overdemand/sync"
ALARM = {"alarm_id": 1}


def test_a_device_answers_as_it_is_told(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    fleet = ems_fleet("D1", "D2")
    fleet.device("D1").answers("streaming_overdemand/create", code=400, msg="no room", times=1)
    strategy = {"device_type": 2, "ele_meter_id": 9, "over_demand_status": 1, "over_demand_condition": [300] * 12}
    refused = ems_bridge.send("D1", "streaming_overdemand/delete", {"id": 1})
    assert refused.ok
    outcome = ems_bridge.send("D1", "streaming_overdemand/create", FULL | strategy)
    assert (outcome.state, outcome.code, outcome.message) == ("rejected", 400, "no room")
    assert ems_bridge.send("D1", "streaming_overdemand/create", FULL | strategy).ok
    assert len(fleet.device("D1").got("streaming_overdemand/create")) == 2
    assert len(fleet.device("D1").strategies()) == 1
    assert len(fleet.device("D2").strategies()) == 1
    assert ems_bridge.send("D2", "streaming_overdemand/sync").ok


FULL = {
    "dynamic_demand_status": 1,
    "dynamic_demand_percentage": 80,
    "streaming_status": 1,
    "streaming_condition": 10,
    "individual_phase_streaming_status": 2,
    "individual_phase_streaming_condition": 5,
}


def test_deadlines_pass_on_a_held_clock(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    began = time.monotonic()
    device = ems_fleet("D1").device("D1").silent()
    asked = ems_bridge.send("D1", SYNC, timeout_s=600, wait_s=0)
    assert not asked.settled
    ems_clock.advance(599)
    assert ems_bridge.state(asked.mid) == "delivered"
    ems_clock.advance(1)
    assert ems_bridge.state(asked.mid) == "timed_out"
    device.honest().offline()
    held = ems_bridge.send("D1", SYNC, hold_s=86_400, wait_s=0)
    ems_clock.advance(86_000)
    assert ems_bridge.state(held.mid) == "accepted"
    device.online()
    ems_bridge.until(lambda: ems_bridge.state(held.mid) == "succeeded")
    assert time.monotonic() - began < 10


def test_an_answer_comes_late_on_the_same_clock(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    ems_fleet("D1").device("D1").after(5)
    asked = ems_bridge.send("D1", SYNC, timeout_s=3, wait_s=0)
    ems_clock.advance(3)
    assert ems_bridge.state(asked.mid) == "timed_out"
    ems_clock.advance(2)
    assert ems_bridge.state(asked.mid) == "late_succeeded"


def test_one_step_passes_many_deadlines_in_their_order(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    device = ems_fleet("D1").device("D1").silent("streaming_overdemand/delete", times=1)
    first = ems_bridge.send("D1", "streaming_overdemand/delete", {"id": 1}, timeout_s=10, wait_s=0)
    second = ems_bridge.send("D1", "streaming_overdemand/delete", {"id": 1}, timeout_s=10, wait_s=0)
    ems_clock.advance(100)
    assert [ems_bridge.state(each.mid) for each in (first, second)] == ["timed_out", "succeeded"]
    assert device.strategies() == []
    told = ems_bridge.command(second.mid)
    assert told.created_at + 10_000 <= (told.settled_at or 0) < told.created_at + 11_000


def test_reports_come_as_the_clock_goes(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    ems_fleet("D1", interval_s=60)
    before = len(ems_bridge.messages("D1", "report/regular/post"))
    ems_clock.advance(3600)
    reports = ems_bridge.messages("D1", "report/regular/post")[before:]
    stamps = sorted({said.body["timestamp"] for said in reports})
    assert len(stamps) == 60
    assert {later - earlier for earlier, later in pairwise(stamps)} == {60_000}


def test_a_sink_that_fails_gets_every_reading_once(
    ems_bridge: Bridge, ems_fleet: Fleet, ems_sink: Sink, ems_clock: Clock
) -> None:
    ems_sink.fails(503, times=3).cuts(times=1)
    ems_fleet("D1", interval_s=60)
    ems_clock.advance(300)
    ems_sink.until(lambda sink: len({row.timestamp for row in sink.readings}) >= 4)
    assert [batch.status for batch in ems_sink.batches[:5]] == [503, 503, 503, 0, 200]
    assert ems_sink.twice() == []


def test_a_sink_that_is_down_is_waited_for(ems_bridge: Bridge, ems_fleet: Fleet, ems_sink: Sink) -> None:
    ems_sink.down()
    ems_fleet(1, interval_s=1)
    ems_bridge.until(lambda: ems_bridge.messages("D1", "report/regular/post"))
    ems_sink.up()
    ems_sink.until(lambda sink: sink.values("D1.meter.9", "total_active_power"))


@pytest.mark.ems_bridge({"commands.timeout_s": 1.5})
async def test_the_same_from_a_coroutine(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    device = ems_fleet("D1").device("D1").silent(times=1)
    async with ems_bridge.client() as client, ems_bridge.mqtt_client() as mqtt:
        assert (await client.device("D1").streaming_overdemand.sync()).state == "timed_out"
        assert (await mqtt.device("D1").streaming_overdemand.sync()).ok
    host, port = ems_bridge.mqtt
    secret = ems_bridge.device("OWN")
    async with aiomqtt.Client(host, port, username=secret.name, password=secret.secret) as own:
        await own.publish("v1/wudun/PK1/OWN/report/regular/post", b"{", qos=1)
    await ems_bridge.reached(lambda: ems_bridge.messages("OWN", way="refused"))
    assert "not_json" in ems_bridge.messages("OWN")[0].why
    assert len(device.commands) == 2


def test_a_restart_keeps_what_was_committed(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    device = ems_fleet("D1").device("D1")
    asked = ems_bridge.send("D1", SYNC)
    ems_bridge.restart()
    ems_bridge.until(lambda: device.is_online)
    assert ems_bridge.state(asked.mid) == "succeeded"
    assert ems_bridge.send("D1", SYNC).ok


def test_a_storm_and_faults_by_name(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    fleet = ems_fleet(20)
    assert [device.uid for device in fleet][:2] == ["D1", "D2"]
    fleet.storm()
    device = fleet.device("D3").faulty("no_reply,duplicate")
    assert ems_bridge.send("D3", SYNC).ok
    assert "no_reply" in device.state()
    device.honest()
    with pytest.raises(KeyError, match="ems_fleet has D1, D2"):
        fleet.device("D99")
    with pytest.raises(Conflict):
        fleet("D1")


def test_a_device_says_what_a_test_wants(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    device = ems_fleet("D1").device("D1")
    device.publishes("…/report/regular/post", b"[]")
    ems_bridge.until(lambda: ems_bridge.messages("D1", way="refused"))
    assert ems_bridge.get("/api/v1/dead-letters")["dead_letters"][0]["device"] == "D1"
    with pytest.raises(ValueError, match="nothing that a device posts"):
        device.posts("report/regular", {})
    with pytest.raises(ValueError, match=r"alarm/details/post: \$\.data\.\w+: "):
        device.posts("alarm/details/post", {"alarm_type": "smoke"})


def test_a_site_has_trouble_and_is_rid_of_it(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    device = ems_fleet("D1").device("D1").afflict("smoke")
    ems_clock.advance(60)
    (raised,) = ems_bridge.messages("D1", "alarm/details/post")
    assert ems_bridge.get("/api/v1/alarms")["alarms"][0]["device"] == "D1"
    device.afflict()
    ems_clock.advance(60)
    assert [said.data["id"] for said in ems_bridge.messages("D1", "alarm/details/post")] == [raised.data["id"]] * 2
    with pytest.raises(ValueError, match="no fault coffee; there are smoke"):
        device.afflict("coffee")


def test_a_device_that_went_offline_is_offline(ems_bridge: Bridge, ems_fleet: Fleet) -> None:
    device = ems_fleet("D1").device("D1")
    for _ in range(5):
        device.offline()
        assert ems_bridge.send("D1", SYNC, now=True).state == "undeliverable"
        device.online()
        assert ems_bridge.send("D1", SYNC, now=True).ok


def test_an_emu_says_nothing_before_its_first_report(ems_bridge: Bridge, ems_fleet: Fleet, ems_clock: Clock) -> None:
    device = ems_fleet("EMU1", version="emu", tenant="acme", scheme="user").device("EMU1")
    assert ems_bridge.messages("EMU1") == []
    ems_clock.advance(60)
    assert [said.topic for said in ems_bridge.messages("EMU1")] == ["v1/user/acme/EMU1/report/regular/post"]
    assert ems_bridge.send("EMU1", SYNC).state == "rejected"
    assert len(device.got(SYNC)) == 1


def test_what_does_not_come_is_said(ems_bridge: Bridge) -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the moon"):
        ems_bridge.until(lambda: False, 0.05, "the moon")
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the moon"):
        asyncio.run(ems_bridge.reached(lambda: False, 0.05, "the moon"))
    with pytest.raises(AssertionError, match="GET /nowhere: 404"):
        ems_bridge.get("/nowhere")


def test_owners(ems_bridge: Bridge) -> None:
    office = ems_bridge.account("office", tenants=["acme"])
    ems_bridge.device("D1", product_key=None, tenant="acme")
    ems_bridge.device("D2")

    async def seen() -> list[str]:
        async with ems_bridge.client(office.secret) as client:
            return [device.uid async for device in client.devices()]

    assert asyncio.run(seen()) == ["D1"]


def test_a_command_that_there_is_not_is_said_so(ems_fleet: Fleet) -> None:
    device = ems_fleet("D1").device("D1")
    for wrong in (
        lambda: device.answers("streaming_overdemand/creat"),
        lambda: device.got("safety"),
        lambda: device.silent(""),
    ):
        with pytest.raises(ValueError, match="is known"):
            wrong()
    with pytest.raises(ValueError, match=r"did you mean streaming_overdemand/create"):
        device.answers("streaming_overdemand/creat", code=400)
    with pytest.raises(ValueError, match="'v3' is none of v1, v2, emu"):
        ems_fleet("D2", version="v3")  # type: ignore[arg-type]
