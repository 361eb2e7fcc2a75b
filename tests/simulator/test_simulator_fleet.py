"""Fleets on real sockets: against mosquitto with a platform beside them, and against a scripted broker."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import msgspec
import pytest
from scripted_broker import Address, Script

from bridge.mqtt import framing, packets
from schemas import kinds
from simulator.counters import Latency
from simulator.faults import parse_faults
from simulator.fleet import Fleet
from simulator.identity import device_specs
from simulator.member import Member

START = 1_750_003_200.0


class Platform:
    """A backend: publishes commands, waits for their results."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client

    async def send(self, member: Member, action: str, data: object = None) -> str:
        kind = kinds.command("streaming_overdemand", action)
        assert kind is not None
        mid = str(uuid.uuid4())
        body = {"mid": mid, "type": kind.type, "device_uid": member.uid, "timestamp": 1_750_003_200_000, "data": data}
        await self.client.publish(f"{member.device.prefix}/{kind.suffix}", msgspec.json.encode(body), qos=1)
        return mid

    async def result(self, mid: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            async for message in self.client.messages:
                answer = msgspec.json.decode(message.payload)
                if answer.get("reply") == mid:
                    return dict(answer)
        raise AssertionError("the platform was disconnected")


@pytest.fixture
async def platform(mosquitto: Address) -> AsyncIterator[Platform]:
    async with aiomqtt.Client(*mosquitto) as client:
        await client.subscribe("+/+/+/+/+/+/result", qos=1)
        yield Platform(client)


async def test_a_mixed_fleet_reports_and_everything_is_acknowledged(mosquitto: Address) -> None:
    specs = device_specs(12, schemes=("wudun", "user"), versions=("v2", "v1", "emu"))
    async with aiomqtt.Client(*mosquitto) as listener:
        await listener.subscribe("#", qos=1)
        async with Fleet(specs, mosquitto, interval_s=0.2, ramp_per_s=1000) as fleet:
            await fleet.connected(10)
            await fleet.until(lambda: fleet.summary().acked > 200, 10)
        summary = fleet.summary()
        assert summary.published == summary.sent == summary.acked
        assert (summary.connects, summary.online, summary.dropped, summary.pending) == (12, 0, 0, 0)
        assert summary.ack_p50_ms is not None
        seen: dict[str, set[str]] = {}
        async with asyncio.timeout(10):
            async for message in listener.messages:
                prefix, suffix = message.topic.value.split("/", 4)[:4], message.topic.value.split("/", 4)[4]
                kind, decoded = kinds.resolve(suffix, bytes(message.payload))
                assert decoded.device_uid == prefix[3]
                seen.setdefault(prefix[3], set()).add(f"{prefix[0]}/{prefix[1]} {kind.key}")
                if len(seen) == 12 and all(any("report" in x for x in found) for found in seen.values()):
                    break
    assert "v2/wudun report/regular/post:v2" in seen["EMS00001"]
    assert "v1/user report/regular/post:v1" in seen["EMS00004"]
    assert seen["EMU00005"] == {"v1/wudun report/regular/post:emu"}


async def test_a_ramp_is_no_stampede(mosquitto: Address) -> None:
    """A fleet comes, and comes again after its broker cut it off, at the rate that was asked for; a storm is over it."""
    began = time.monotonic()
    async with Fleet(device_specs(40), mosquitto, ramp_per_s=40) as fleet:
        await fleet.connected()
        assert time.monotonic() - began > 0.85
        fleet.storm()
        await fleet.until(lambda: fleet.summary().reconnects == 40)
        began = time.monotonic()
        for member in fleet.members.values():
            member.cut()
        await fleet.until(lambda: fleet.summary().reconnects == 80)
        assert time.monotonic() - began > 0.85
        fleet.members["EMS00001"].offline()
        await fleet.until(lambda: fleet.summary().online == 39)
        summary = fleet.summary()
        assert (summary.connecting, summary.offline) == (0, 1)


async def test_a_command_changes_a_device_and_faults_do_what_they_say(mosquitto: Address, platform: Platform) -> None:
    async with Fleet(device_specs(1), mosquitto, interval_s=60) as fleet:
        await fleet.connected(10)
        member = fleet.device("EMS00001")
        strategy = {"id": 1, "ele_meter_id": 9, "over_demand_status": 1, "over_demand_condition": [123] * 12}
        strategy |= {"streaming_status": 2, "individual_phase_streaming_status": 2, "dynamic_demand_percentage": 80}
        answer = await platform.result(await platform.send(member, "update", strategy))
        assert (answer["code"], answer["type"]) == (200, "streaming_overdemand_update")
        assert member.strategies()[0]["over_demand_condition"] == [123] * 12

        member.reject()
        answer = await platform.result(await platform.send(member, "delete", {"id": 1}))
        assert answer["code"] == 400
        assert len(member.strategies()) == 1

        member.honest()
        member.silence()
        unanswered = member.answers
        await platform.send(member, "delete", {"id": 1})
        await fleet.until(lambda: member.commands == 3)
        assert (member.answers, len(member.strategies())) == (unanswered, 1)

        member.honest()
        member.slow(0.2)
        before = asyncio.get_running_loop().time()
        await platform.result(await platform.send(member, "sync"))
        assert asyncio.get_running_loop().time() - before >= 0.2

        member.honest()
        await platform.result(await platform.send(member, "sync"))
        assert fleet.summary().commands == 5


async def test_garbage_is_no_json(mosquitto: Address, platform: Platform) -> None:
    async with Fleet(device_specs(1), mosquitto, faults=parse_faults("garbage")) as fleet:
        await fleet.connected(10)
        await platform.send(fleet.device("EMS00001"), "sync")
        async with asyncio.timeout(10):
            async for message in platform.client.messages:
                with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
                    msgspec.json.decode(message.payload)
                break


async def test_a_late_answer_comes_after_the_commands_timeout(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = kinds.command("streaming_overdemand", "sync")
    assert kind is not None
    monkeypatch.setattr(kind, "timeout_s", 0.1)
    async with Fleet(device_specs(1), script.address, faults=parse_faults("late=1")) as fleet:
        await fleet.connected(10)
        member = fleet.device("EMS00001")
        loop = asyncio.get_running_loop()
        asked = loop.time()
        payload = msgspec.json.encode({"mid": str(uuid.uuid4()), "type": kind.type, "device_uid": "", "timestamp": 1})
        topic = f"{member.device.prefix}/{kind.suffix}"
        script.connections[0].send(packets.encode_publish(topic, payload, 1, packet_id=1))
        await script.until(lambda: any(frame[1].endswith("/result") for frame in script.frames(framing.PUBLISH)))
        assert loop.time() - asked >= 0.12


async def test_offline_devices_stay_away_until_they_may_come(mosquitto: Address) -> None:
    async with Fleet(device_specs(4), mosquitto, faults=parse_faults("offline=1")) as fleet:
        await fleet.connected(10)
        (away,) = (member for member in fleet.members.values() if not member.is_online)
        assert fleet.summary().online == 3
        away.honest()
        await fleet.connected(10)
        away.offline()
        await fleet.until(lambda: not away.is_online)
        assert fleet.summary().online == 3
        away.honest()
        await fleet.connected(10)
        assert fleet.summary().reconnects == 1


async def test_a_cut_connection_comes_back_and_nothing_is_lost(script: Script) -> None:
    async with Fleet(device_specs(3), script.address, interval_s=60) as fleet:
        await fleet.connected(10)
        script.acks = False
        for member in fleet.members.values():
            member.publish([("v1/wudun/PK1/x/report/regular/post", b"{}")] * 5)
        await script.until(lambda: len(script.frames(framing.PUBLISH)) >= 15)
        script.acks = script.session_present = True
        for member in fleet.members.values():
            member.cut()
        await fleet.until(lambda: fleet.summary().reconnects == 3)
        await fleet.until(lambda: fleet.summary().pending == 0)
    summary = fleet.summary()
    assert summary.resent >= 15
    assert summary.acked == summary.published


async def test_refusals_are_counted_and_retried(script: Script) -> None:
    script.code = 5
    async with Fleet(device_specs(1), script.address) as fleet:
        await fleet.until(lambda: fleet.summary().refused >= 1)
        assert fleet.summary().last_problem == "EMS00001: CONNACK 5: not authorised"
        script.code = 0
        await fleet.connected(10)


async def test_stopping_waits_for_acknowledgements_only_so_long(script: Script) -> None:
    script.acks = False
    loop = asyncio.get_running_loop()
    async with Fleet(device_specs(2), script.address, drain_s=0.2) as fleet:
        await fleet.connected(10)
        await script.until(lambda: len(script.frames(framing.PUBLISH)) > 0)
        began = loop.time()
    assert 0.2 <= loop.time() - began < 2
    assert fleet.summary().pending > 0
    assert len(script.frames(framing.DISCONNECT)) == 2


async def test_simulated_time_runs_faster(script: Script) -> None:
    async with Fleet(device_specs(1), script.address, interval_s=100, time_scale=1000, start=START) as fleet:
        await fleet.until(lambda: fleet.now() > START + 500)
        await script.until(lambda: sum("report" in frame[1] for frame in script.frames(framing.PUBLISH)) >= 6)
    stamps = [
        msgspec.json.decode(frame[3])["timestamp"]
        for frame in script.frames(framing.PUBLISH)
        if frame[1].endswith("report/regular/post")
    ]
    instants = sorted({*stamps})
    assert instants[0] >= START * 1000
    late = 100_000  # a tenth of a second of real time, by which the first of them may be late
    assert instants[-1] - instants[0] >= 100_000 * (len(instants) - 1) - late


async def test_a_broken_device_ends_the_fleet(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = kinds.command("device_info", "list")
    assert kind is not None

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        async with Fleet(device_specs(1), script.address, drain_s=0.1) as fleet:
            await fleet.connected(10)
            member = fleet.device("EMS00001")
            monkeypatch.setattr("simulator.cards.device_info", broken)
            payload = msgspec.json.encode(
                {"mid": str(uuid.uuid4()), "type": kind.type, "device_uid": "", "timestamp": 1}
            )
            script.connections[0].send(packets.encode_publish(f"{member.device.prefix}/{kind.suffix}", payload, 0))
            await asyncio.sleep(10)


async def test_an_error_in_the_block_comes_out_as_it_is(script: Script) -> None:
    async def block() -> None:
        async with Fleet(device_specs(2), script.address) as fleet:
            await fleet.connected(10)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await block()


async def test_two_devices_with_one_uid_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="same uid"):
        Fleet(device_specs(1) * 2, ("127.0.0.1", 1))


def test_latency_quantiles_are_good_to_their_buckets() -> None:
    latency = Latency()
    assert latency.quantile(0.5) is None
    for n in range(1, 1001):
        latency.add(n / 1000)
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        found = latency.quantile(share)
        assert found is not None
        assert share * 0.99 <= found <= share * 1.1
    latency.add(1e9)
    latency.add(0)
    assert latency.count == 1002
