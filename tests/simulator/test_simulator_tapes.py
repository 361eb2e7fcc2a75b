"""A fleet is recorded and played again: every message once, under other names where that is asked."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_broker import Address

from bridge.testing import Bridge
from schemas import kinds
from simulator.fleet import Fleet
from simulator.identity import device_specs
from simulator.mapping import Renaming
from simulator.record import FILTERS, Recorded, Recorder
from simulator.tape import Bad, Gap, Message, Reader, Writer

PROGRAM = (sys.executable, "-W", "error", "-m", "simulator")
TOPIC = "v1/wudun/PK9/REAL1/report/regular/post"

anonymous = pytest.mark.ems_bridge({"broker.allow_anonymous": True})


async def ems_sim(*arguments: object) -> tuple[int, dict[str, Any], str]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, json.loads(out) if out else {}, err.decode()


async def recorded(mosquitto: Address, tape: Path, uids: tuple[str, ...]) -> tuple[Recorded, int]:
    """Record a fleet of these devices; the recorder's ledger, and how many messages the fleet sent."""
    specs = [
        spec._replace(uid=uid)
        for spec, uid in zip(
            device_specs(len(uids), schemes=("wudun", "user"), versions=("v2", "v1")), uids, strict=True
        )
    ]
    writer, stop = Writer(tape, int(time.time() * 1000), FILTERS), asyncio.Event()
    recorder = Recorder(mosquitto, (None, None), FILTERS, writer)
    running = asyncio.create_task(recorder.run(stop))
    await asyncio.wait_for(recorder.ready.wait(), 20)
    async with Fleet(specs, mosquitto, interval_s=0.5) as fleet:
        await fleet.connected(10)
        await fleet.until(lambda: fleet.summary().acked > 150)
    stop.set()
    ledger = await running
    writer.close()
    return ledger, fleet.summary().acked


async def test_the_command_line_records(mosquitto: Address, tmp_path: Path) -> None:
    tape = tmp_path / "fleet.gz"
    broker = f"mqtt://127.0.0.1:{mosquitto[1]}"
    async with Fleet(device_specs(3), mosquitto, interval_s=0.2) as fleet:
        await fleet.connected(10)
        code, ledger, err = await ems_sim("record", tape, "--broker", broker, "--filter", "v2/#", "--duration", 2)
    assert (code, err) == (0, "")
    assert ledger["devices"] == 3
    with Reader(tape) as reader:
        found = list(reader)
        assert reader.head.filters == ["v2/#"]
    assert len(found) == ledger["messages"] > 0
    assert all(isinstance(each, Message) and each.topic.startswith("v2/") and each.at <= 2.5 for each in found)


@anonymous
async def test_a_fleet_is_played_again_without_its_names(
    mosquitto: Address, ems_bridge: Bridge, tmp_path: Path
) -> None:
    tape, uids = tmp_path / "fleet.gz", ("SECRET-A", "SECRET-B", "SECRET-C", "SECRET-D")
    ledger, sent = await recorded(mosquitto, tape, uids)
    assert (ledger.messages, ledger.devices, ledger.gaps) == (sent, 4, 0)
    with Reader(tape) as reader:
        took = time.time() * 1000 - reader.head.started
    code, played, err = await ems_sim(
        "replay", tape, "--broker", ems_bridge.mqtt_url, "--speed", 50, "--anonymise", "--now"
    )
    assert (code, err) == (0, "")
    assert (played["read"], played["acked"], played["pending"], played["skipped"]) == (sent, sent, 0, 0)
    assert played["seconds"] < played["recorded_s"]
    names = [f"D{n:05d}" for n in range(1, 20)]
    said = [each for name in names for each in ems_bridge.messages(name)]
    assert len(said) == sent
    assert [each.why for each in said if each.way == "refused"] == []
    assert not [each for each in said if b"SECRET" in each.payload or "SECRET" in each.topic]
    assert {each.topic.split("/")[2] for each in said} == {"PK2", "T2"}  # PK1 and T1 are their own
    stamps = [each.body["timestamp"] for each in said]
    assert abs(max(stamps) - time.time() * 1000) < took
    for each in said:
        kinds.resolve(each.suffix, each.payload)


async def test_devices_with_their_own_logins(mosquitto: Address, ems_bridge: Bridge, tmp_path: Path) -> None:
    tape = tmp_path / "fleet.xz"
    ledger, sent = await recorded(mosquitto, tape, ("OLD1", "OLD2", "OLD3", "OLD4"))
    known = ems_bridge.device("NEW1", product_key="PK7"), ems_bridge.device("LAB-OLD3", product_key="PK7")
    (tmp_path / "keys.jsonl").write_text("".join(json.dumps({"uid": uid, "secret": key}) + "\n" for uid, key in known))
    options = ("--speed", 1000, "--map", "OLD1=NEW1", "--map", "PK1=PK7", "--prefix", "LAB-")
    code, played, err = await ems_sim(
        *("replay", tape, "--broker", ems_bridge.mqtt_url, "--credentials", tmp_path / "keys.jsonl", *options)
    )
    assert (code, err) == (0, "")
    assert played["read"] == ledger.messages == sent
    assert played["published"] == played["acked"] == sent - played["skipped"]
    assert played["skipped"] > 0
    heard = {uid: ems_bridge.messages(uid) for uid in ("NEW1", "LAB-OLD3", "OLD1", "OLD2", "LAB-OLD2")}
    assert [uid for uid, said in heard.items() if said] == ["NEW1", "LAB-OLD3"]
    assert sum(len(said) for said in heard.values()) == played["published"]
    assert {said.body["device_uid"] for said in heard["NEW1"]} == {"NEW1"}
    assert [said.why for uid in heard for said in heard[uid] if said.why] == []


async def test_nobody_listens(tmp_path: Path) -> None:
    tape = tmp_path / "x.gz"
    code, ledger, err = await ems_sim("record", tape, "--broker", "127.0.0.1:1", "--duration", 0.5)
    assert (code, ledger["messages"]) == (1, 0)
    assert err.startswith("ems-sim: never connected to 127.0.0.1:1: ")


def test_a_tape_holds_bytes_and_gaps(tmp_path: Path) -> None:
    for suffix in ("gz", "xz", "zst"):
        path = tmp_path / f"tape.{suffix}"
        writer = Writer(path, 1_700_000_000_000, ["v1/#"])
        writer.message(0.5, TOPIC, b'{"a":"\xe5\x82\xa8"}')
        writer.flush()
        writer.gap(1.0, "cable")
        writer.message(1.5, "other", b"\xff\x00", 2, True)
        writer.close()
        with Reader(path) as tape:
            assert (tape.head.started, tape.head.filters) == (1_700_000_000_000, ["v1/#"])
            found = list(tape)
        assert found == [
            Message(0.5, TOPIC, b'{"a":"\xe5\x82\xa8"}'),
            Gap(1.0, "cable"),
            Message(1.5, "other", b"\xff\x00", 2, True),
        ]
        assert not tape.truncated


def test_a_tape_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "tape.gz"
    writer = Writer(path, 1, ["v1/#"])
    for n in range(500):
        writer.message(n, TOPIC, f"{n}".encode())
    writer.flush()
    whole = path.read_bytes()
    writer.close()
    path.write_bytes(whole)
    with Reader(path) as tape:
        assert len(list(tape)) == 500
        assert tape.truncated
    path.write_bytes(whole[: len(whole) // 2])
    with Reader(path) as tape:
        assert 0 < len(list(tape)) < 500
        assert tape.truncated


@pytest.mark.parametrize(
    "content",
    [b"", gzip.compress(b""), gzip.compress(b"{}\n"), gzip.compress(b"\xff\n"), b"no gzip"],
    # gzip tells the time, by which every process would have names of its own
    ids=["empty", "packed nothing", "no head", "no text", "no gzip"],
)
def test_what_is_no_tape(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tape.gz"
    path.write_bytes(content)
    with pytest.raises(Bad, match="is no tape"):
        Reader(path)


@pytest.mark.parametrize(
    "line",
    [b'{"t":"x"}', b'{"t":-1,"topic":"a"}', b'{"t":1' + b"0" * 400 + b',"topic":"a"}', b'{"t":1,"x":' + b"[" * 5000],
    ids=["text", "before the start", "after the end of time", "too deep"],
)
def test_what_is_no_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "tape.gz"
    path.write_bytes(gzip.compress(b'{"format":"ems-tape/1"}\n' + line + b"\n"))
    with Reader(path) as tape:
        assert list(tape) == []
        assert "tape.gz:2: no line of a tape" in tape.problem


def test_what_is_nested_too_deep_goes_as_it_is() -> None:
    payload = b'{"device_uid":"REAL1","data":' + b"[" * 450 + b"]" * 450 + b"}"
    assert Renaming({"REAL1": "B"}, salt="s").rename(TOPIC, payload)[1] == payload
    anonymous = Renaming({}, anonymise=True)
    anonymous.learn(TOPIC, payload)
    assert anonymous.rename(TOPIC, payload)[1] == b"?" * len(payload)


def test_names_in_topics_and_payloads() -> None:
    body = {
        "mid": "m", "device_uid": "REAL1", "sub_device_uid": "CAB1", "timestamp": 1000, "reply": "r",
        "data": [{"uid": "REAL1", "asset": "REAL1.meter.9", "host": "10.1.2.3", "longitude": 7.5, "soc": 3}],
    }  # fmt: skip
    renaming = Renaming({"REAL1": "D9"}, prefix="X-", salt="s", shift_ms=5)
    topic, payload, device = renaming.rename(TOPIC, json.dumps(body).encode())
    told = json.loads(payload)
    assert (topic, device) == ("v1/wudun/PK9/D9/report/regular/post", "D9")
    assert (told["device_uid"], told["sub_device_uid"], told["timestamp"]) == ("D9", "X-CAB1", 1005)
    assert told["data"] == [{"uid": "D9", "asset": "D9.meter.9", "host": "10.1.2.3", "longitude": 7.5, "soc": 3}]
    assert told["mid"] not in ("m", told["reply"])
    again = json.loads(renaming.rename(TOPIC, json.dumps(body | {"reply": "m"}).encode())[1])
    assert again["reply"] == told["mid"] == again["mid"]
