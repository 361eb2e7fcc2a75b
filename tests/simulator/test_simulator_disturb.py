"""What faults make of messages and connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiomqtt
import msgspec
import pytest
from scripted_broker import Address, Script

from bridge.mqtt import framing, packets
from schemas import kinds
from simulator.device import Device
from simulator.disturb import STRANGER, disturbed, misanswered
from simulator.faults import HONEST, parse_faults
from simulator.fleet import Fleet
from simulator.identity import VERSIONS, Identities, Version, device_specs
from simulator.script import Scripted
from simulator.strategies import Answer

BODY: dict[str, Any] = {
    "mid": "m",
    "reply": "r",
    "device_uid": "D",
    "timestamp": 1_000_000,
    "data": {"total_active_power": 2.5, "list": [{"power": 1, "soc": 7}]},
}
POST = ("v1/wudun/PK1/D/report/regular/post", msgspec.json.encode(BODY))


def told(post: tuple[str, bytes]) -> dict[str, Any]:
    found = msgspec.json.decode(post[1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("behaviour", "changed"),
    [
        (HONEST._replace(wrong_device=True), {"device_uid": STRANGER}),
        (HONEST._replace(skew_s=-60), {"timestamp": 940_000}),
        (HONEST._replace(jump_s=10), {"timestamp": 1_005_000}),
        (HONEST._replace(huge_bytes=5), {"padding": "xxxxx"}),
        (
            HONEST._replace(wrong_units=True),
            {"data": {"total_active_power": 2500, "list": [{"power": 1000, "soc": 7}]}},
        ),
    ],
)
def test_a_message_is_changed_in_one_place(behaviour: Any, changed: dict[str, Any]) -> None:
    assert told(disturbed(POST, behaviour, 0.75)) == BODY | changed


@pytest.mark.parametrize("version", VERSIONS)
def test_wrong_units_reach_powers_energies_and_voltages(version: Version) -> None:
    spec = device_specs(1, versions=(version,))[0]
    identity, site = Identities().of(spec)
    device = Device(spec, identity, site, 1_750_003_200.0, 60.0)
    device.due(device.next_due)
    device.next_due = 1_750_043_200.0
    factors: dict[str, set[float]] = {}
    for post in device.due(device.next_due):
        if post[0].endswith("/report/regular/post"):
            kind, message = kinds.resolve("report/regular/post", post[1])
            wrong = disturbed(post, HONEST._replace(wrong_units=True), 0.0)
            assert kinds.resolve("report/regular/post", wrong[1])[0] is kind
            for name, was, is_now in numbers(message.data, kinds.resolve("report/regular/post", wrong[1])[1].data):
                factors.setdefault(name, set()).add(round(is_now / was) if was else 0)
    emu = version == "emu"
    powers = ["pcs_total_active_power", "pcs_active_power_phase_a", "power"]
    energies = [] if emu else ["total_forward_active_energy", "pcs_ac_charge_accumulated_energy"]
    volts = ["pcs_voltage_phase_a", "total_voltage", "cell_voltage"] if emu else ["voltage_phase_a", "cell_voltage"]
    for name in (*powers, *energies, *volts):
        assert factors[name] - {0} == {1000}, name
    for name in ("soc", "pcs_current_phase_a", "pcs_input_current", "running_status", "cell_temp"):
        assert factors[name] <= {0, 1}, name


def numbers(before: Any, after: Any, name: str = "") -> Iterator[tuple[str, float, float]]:
    """(field, value, value) of two messages of the same shape."""
    if isinstance(before, list):
        for one, other in zip(before, after, strict=True):
            yield from numbers(one, other, name)
    elif isinstance(before, msgspec.Struct):
        for field in before.__struct_fields__:
            yield from numbers(getattr(before, field), getattr(after, field), field)
    elif isinstance(before, int | float):
        yield name, before, after


def test_answers_under_another_mid_and_under_none() -> None:
    assert "reply" not in told(misanswered(POST, HONEST._replace(no_reply=True)))
    wrong = told(misanswered(POST, HONEST._replace(wrong_reply=True)))
    assert wrong["reply"] != "r"
    assert wrong == BODY | {"reply": wrong["reply"]}
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        told(disturbed(POST, HONEST._replace(corrupt=True), 0.0))


def test_what_is_no_json_stays_as_it_is() -> None:
    assert disturbed(("t", b"{"), HONEST._replace(skew_s=1.0), 0.0) == ("t", b"{")


async def test_duplicates_and_reordering_lose_nothing(mosquitto: Address) -> None:
    async with aiomqtt.Client(*mosquitto) as listener:
        await listener.subscribe("#", qos=1)
        faults = parse_faults("duplicate=EMS00001,reorder=EMS00002")
        async with Fleet(device_specs(2), mosquitto, interval_s=0.2, faults=faults) as fleet:
            await fleet.connected(10)
            await fleet.until(lambda: fleet.summary().acked > 120)
            fleet.behave([HONEST, HONEST])
        summary = fleet.summary()
        assert summary.published == summary.acked
        mids: dict[str, list[str]] = {"EMS00001": [], "EMS00002": []}
        async with asyncio.timeout(10):
            async for message in listener.messages:
                body = msgspec.json.decode(message.payload)
                mids[body["device_uid"]].append(body["mid"])
                if sum(map(len, mids.values())) == summary.published:
                    break
    assert set(Counter(mids["EMS00001"]).values()) == {2}
    assert set(Counter(mids["EMS00002"]).values()) == {1}


async def test_a_storm_comes_back_whatever_the_ramp(mosquitto: Address) -> None:
    async with Fleet(device_specs(40), mosquitto, ramp_per_s=1000) as fleet:
        await fleet.connected(10)
        fleet._ramp_per_s = 0.1
        fleet.storm()
        await fleet.until(lambda: fleet.summary().reconnects == 40 and fleet.summary().online == 40, 10)


async def test_a_power_cut_forgets_and_starts_anew(mosquitto: Address) -> None:
    heard: list[str] = []

    def overhear(_uid: str, ours: bool, topic: str, _payload: bytes) -> None:
        if ours and topic.endswith("device_info/details/post"):
            heard.append(topic)

    async with Fleet(device_specs(1), mosquitto, interval_s=60, overhear=overhear) as fleet:
        await fleet.connected(10)
        member = fleet.device("EMS00001")
        await fleet.until(lambda: fleet.summary().acked > 5 and not member.link.pending)
        greetings, strategies = len(heard), member.strategies()
        member.power_cut(0.3)
        assert not member.wants_connection
        await fleet.until(lambda: member.connects == 2)
        await fleet.until(lambda: len(heard) == 2 * greetings)
        assert member.strategies() == strategies


async def test_a_half_open_connection_says_nothing_and_is_not_closed(script: Script) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    fleet = Fleet(
        device_specs(1),
        script.address,
        interval_s=0.1,
        drain_s=0.0,
        overhear=lambda _uid, _ours, topic, _payload: said.put_nowait(topic),
    )
    async with fleet:
        await fleet.connected(10)
        member = fleet.device("EMS00001")
        await fleet.until(lambda: fleet.summary().acked > 5)
        member.behave(HONEST._replace(half_open=True))
        before = len(script.frames(framing.PUBLISH))
        while not said.empty():
            said.get_nowait()
        for _ in range(10):
            await asyncio.wait_for(said.get(), 10)
        script.connections[0].send(packets.PINGRESP_BYTES)
        assert len(script.frames(framing.PUBLISH)) <= before + 16
        assert script.connections[0].is_open
        member.honest()
        await script.until(lambda: len(script.frames(framing.PUBLISH)) > before + 3)
        assert len(script.connections) == 1


async def test_a_flapping_device_comes_back_again_and_again(mosquitto: Address) -> None:
    async with Fleet(device_specs(2), mosquitto, faults=parse_faults("flap=0.1@EMS00002")) as fleet:
        await fleet.until(lambda: fleet.device("EMS00002").connects >= 3, 20)
        assert fleet.device("EMS00001").connects == 1


async def test_scripted_answers_go_before_faults(script: Script) -> None:
    async with Fleet(device_specs(1), script.address, interval_s=60) as fleet:
        await fleet.connected(10)
        member = fleet.device("EMS00001")
        member.reject()
        member.scripted("safety/sync", Scripted(Answer(200, "first", {"x": 1})), times=1)
        member.scripted("safety/sync", Scripted(None))
        for n, action in enumerate(("safety/sync", "safety/sync", "power_node/sync")):
            topic = f"{member.device.prefix}/{action}/command"
            payload = msgspec.json.encode({"mid": f"m{n}", "type": "t", "device_uid": "EMS00001", "timestamp": 1})
            script.connections[0].send(packets.encode_publish(topic, payload, 1, packet_id=n + 1))

        def answers() -> dict[str, int]:
            sent = [frame for frame in script.frames(framing.PUBLISH) if str(frame[1]).endswith("/result")]
            return {msgspec.json.decode(frame[3])["reply"]: msgspec.json.decode(frame[3])["code"] for frame in sent}

        await script.until(lambda: "m2" in answers())
        assert answers() == {"m0": 200, "m2": 400}
