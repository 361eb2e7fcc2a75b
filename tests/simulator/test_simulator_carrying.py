"""Recording from and replaying to real brokers: every QoS, retained messages, MQTT 5 and 3.1.1, TLS, restarts, kills; broken
tapes."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from harness.mosquitto import OPEN, free_port, mosquitto, needs_mosquitto
from harness.pki import Pki
from harness.process import Bridge as Process
from scripted_broker import Script, ScriptConnection

from bridge.mqtt import framing, packets
from bridge.mqtt.framing import Frame
from bridge.testing import Bridge
from schemas.examples import examples
from schemas.kinds import KINDS
from simulator.cli import app
from simulator.fleet import Fleet
from simulator.identity import device_specs
from simulator.line import Post
from simulator.record import Recorded, Recorder
from simulator.staying import Staying
from simulator.tape import Bad, Gap, Message, Reader, Writer

PROGRAM = (sys.executable, "-W", "error", "-m", "simulator")
FORMATS = ("gz", "xz", "zst")
TOPIC = "v1/wudun/PK1/D1/alarm/details/post"
ALARM = msgspec.json.encode(next(examples(kind)[0].payload for kind in KINDS if TOPIC.endswith(kind.suffix)))


async def ems_sim(*arguments: object) -> tuple[int, dict[str, Any], str]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode is not None
    return process.returncode, json.loads(out) if out else {}, err.decode()


class Client(Staying):
    """One connection that keeps what it hears."""

    def __init__(self, port: int, filters: tuple[str, ...] = ()) -> None:
        super().__init__(("127.0.0.1", port), None, packets.Connect(f"test-{time.monotonic_ns()}"), filters)
        self.heard: list[Post] = []
        self.rung = asyncio.Event()
        self.taken = 0
        self.task = asyncio.create_task(self.stay())

    async def __aenter__(self) -> Client:
        await self.until(lambda: self.link.known)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})
        await self.leave()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.rung.clear()
                await self.rung.wait()

    def online(self) -> None:
        super().online()
        asyncio.get_running_loop().call_soon(self.rung.set)

    def settled(self, refusal: str) -> None:
        assert not refusal
        self.taken += 1
        self.rung.set()

    def message(self, post: Post) -> None:
        self.heard.append(post)
        self.rung.set()


class Rung(Recorder):
    """A recorder that rings a bell."""

    rung: asyncio.Event

    def online(self) -> None:
        super().online()
        self.rung.set()

    def message(self, post: Post) -> None:
        super().message(post)
        self.rung.set()


class Recording:
    """A recorder in this process."""

    def __init__(self, tape: Path, port: int, filters: tuple[str, ...] = ("#",)) -> None:
        self.writer, self.stop = Writer(tape, int(time.time() * 1000), filters), asyncio.Event()
        self.recorder = Rung(("127.0.0.1", port), (None, None), filters, self.writer)
        self.recorder.rung = asyncio.Event()

    @property
    def now(self) -> Recorded:
        return self.recorder._found

    async def __aenter__(self) -> Recording:
        self.running = asyncio.create_task(self.recorder.run(self.stop))
        await asyncio.wait_for(self.recorder.ready.wait(), 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        self.found: Recorded = await self.running
        self.writer.close()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self.recorder.rung.clear()
                await self.recorder.rung.wait()


def tape_of(path: Path, messages: list[Message]) -> Path:
    writer = Writer(path, int(time.time() * 1000), ["#"])
    for message in messages:
        writer.message(*message)
    writer.close()
    return path


def read(path: Path) -> tuple[list[Message | Gap], str]:
    try:
        with Reader(path) as tape:
            return list(tape), tape.problem
    except Bad as wrong:  # its first line is not there yet
        return [], str(wrong)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with mosquitto(tmp_path) as port:
        yield port


# Every QoS, retained or not


@needs_mosquitto
async def test_qos_and_retain_are_kept_from_broker_to_broker(port: int, tmp_path: Path) -> None:
    posts = [
        Post(f"lab/{qos}/{retain}", f"{qos}{retain}".encode(), qos, retain)
        for qos in (0, 1, 2)
        for retain in (False, True)
    ]
    tape = tmp_path / "tape.zst"
    async with Client(port) as client:
        client.link.publish(Post("lab/before", b"old", 1, True))
        await client.until(lambda: client.taken == 1)
        async with Recording(tape, port) as recording:
            for post in posts:
                client.link.publish(post)
            await recording.until(lambda: recording.now.messages == 7)
    found = [entry for entry in read(tape)[0] if isinstance(entry, Message)]
    assert [Post(*entry[1:]) for entry in found] == [Post("lab/before", b"old", 1, True), *posts]
    home = tmp_path / "other"
    home.mkdir()
    async with mosquitto(home) as other:
        async with Client(other, ("#",)) as client:
            code, ledger, err = await ems_sim("replay", tape, "--broker", f"127.0.0.1:{other}", "--speed", 1000)
            assert (code, err) == (0, "")
            assert (ledger["read"], ledger["published"], ledger["acked"]) == (7, 7, 7)
            await client.until(lambda: len(client.heard) == 7)
        assert [(post.topic, post.payload, post.qos) for post in client.heard] == [entry[1:4] for entry in found]
        async with Client(other, ("#",)) as late:
            await late.until(lambda: len(late.heard) == 4)
        assert {post.topic for post in late.heard} == {"lab/before", "lab/0/True", "lab/1/True", "lab/2/True"}


def test_a_tape_without_qos_is_played_at_1(tmp_path: Path) -> None:
    line = json.dumps({"t": 5, "topic": TOPIC, "payload": "{}"})
    (tmp_path / "old.gz").write_bytes(
        gzip.compress(f'{{"format":"ems-tape/1","started":1,"filters":[]}}\n{line}\n'.encode())
    )
    assert read(tmp_path / "old.gz") == ([Message(0.005, TOPIC, b"{}", 1, False)], "")


# MQTT 5 and 3.1.1


class Old(ScriptConnection):
    """A broker that speaks MQTT 3.1.1 alone: it says so, or hangs up."""

    def answer(self, frame: Frame) -> None:
        if frame[0] == framing.CONNECT and frame[3][6] == packets.V5:
            if self.script.code:
                self.transport.write(packets.encode_connack(1))
            self.transport.close()
        elif frame[0] == framing.CONNECT:
            self.transport.write(packets.encode_connack(0))
        else:
            super().answer(frame)


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_broker_without_mqtt_5(tmp_path: Path, says_so: bool) -> None:
    script = Script()
    script.code = int(says_so)
    server = await asyncio.get_running_loop().create_server(lambda: Old(script), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        tape = tape_of(tmp_path / "tape.gz", [Message(0.0, f"a/{n}", b"x", 1, n == 2) for n in range(50)])
        code, ledger, err = await ems_sim("replay", tape, "--broker", f"{host}:{port}", "--speed", 1000)
        assert (code, err, ledger["acked"], ledger["last_problem"] if says_so else "") == (0, "", 50, "")
        sent = script.frames(framing.PUBLISH)
        assert [(frame[1], frame[0]) for frame in sent] == [(f"a/{n}", 0x33 if n == 2 else 0x32) for n in range(50)]
        async with Recording(tmp_path / "back.gz", port) as recording:
            assert script.frames(framing.SUBSCRIBE)
            script.connections[-1].send(packets.encode_publish("b", b"kept", 1, retain=True, packet_id=1))
            await recording.until(lambda: recording.now.messages)
        assert [each[1:] for each in read(tmp_path / "back.gz")[0]] == [("b", b"kept", 1, True)]
        for peer in script.connections:
            peer.transport.abort()


@needs_mosquitto
@pytest.mark.ems_bridge({"broker.allow_anonymous": True})
async def test_what_a_broker_of_mqtt_5_refuses_is_told(ems_bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic readwrite open/#\ntopic deny closed/#\n")
    (tmp_path / "m").mkdir()
    async with mosquitto(tmp_path / "m", f"{OPEN}acl_file {tmp_path / 'acl'}\n") as port:
        tape = tape_of(
            tmp_path / "tape.gz", [Message(0, "open/a", b""), Message(0, "closed/a", b""), Message(0, "open/b", b"")]
        )
        code, ledger, err = await ems_sim("replay", tape, "--broker", f"127.0.0.1:{port}", "--speed", 1000)
    assert (code, ledger["published"], ledger["acked"], ledger["refused"]) == (1, 3, 2, 1)
    assert err == "ems-sim: 1 messages were refused: PUBACK 0x87\n"


async def test_wrong_logins_are_told_at_once(ems_bridge: Bridge, tmp_path: Path) -> None:
    tape = tape_of(tmp_path / "tape.gz", [Message(0, TOPIC, ALARM), Message(0, TOPIC.replace("D1", "D2"), ALARM)])
    host = ems_bridge.mqtt_url.removeprefix("mqtt://")
    said = f"ems-sim: never connected to {host}: CONNACK 0x86"
    for action in (("record", tmp_path / "x.gz"), ("replay", tape)):
        code, _, err = await ems_sim(*action, "--broker", f"mqtt://nobody:wrong@{host}")
        assert code == 1
        assert err.startswith(said)
        assert err.count("\n") == 1
    secret = ems_bridge.device("D2").secret
    (tmp_path / "keys").write_text(
        json.dumps({"uid": "D1", "secret": "wrong"}) + "\n" + json.dumps({"uid": "D2", "secret": secret})
    )
    code, ledger, err = await ems_sim(
        "replay", tape, "--broker", host, "--credentials", tmp_path / "keys", "--speed", 1000
    )
    assert (code, ledger["published"], ledger["acked"], ledger["refused"], ledger["pending"]) == (1, 2, 1, 1, 0)
    assert err.startswith("ems-sim: 1 messages were refused: CONNACK 0x86")


async def test_a_password_may_have_any_letters(ems_bridge: Bridge, tmp_path: Path) -> None:
    account = ems_bridge.account("me@home")
    url = ems_bridge.mqtt_url.replace("//", f"//me%40home:{account.secret}@")
    code, ledger, err = await ems_sim("record", tmp_path / "x.gz", "--broker", url, "--duration", 0.5)
    assert (code, err, ledger["messages"]) == (0, "", 0)


def test_nobody_listens_to_a_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.replay.CONNECT_S", 0.2)
    tape, port = tape_of(tmp_path / "tape.gz", [Message(0, TOPIC, b"{}")]), free_port()
    done = CliRunner().invoke(app, ["replay", str(tape), "--broker", f"127.0.0.1:{port}"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"ems-sim: never connected to 127.0.0.1:{port}: ")
    assert done.stderr.count("\n") == 1


# TLS


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


async def tls_is_right(url: str, pki: Pki, tmp_path: Path) -> None:
    """Replay to it with its CA; with another, without one, and without TLS one line says what is wrong."""
    tape = tape_of(tmp_path / "tape.gz", [Message(0, TOPIC, ALARM) for n in range(20)])
    code, ledger, err = await ems_sim("replay", tape, "--broker", url, "--ca", pki.ca, "--speed", 1000)
    assert (code, err, ledger["acked"]) == (0, "", 20)
    other = Pki(tmp_path / "other").ca
    port = url.rpartition(":")[2]
    for action in (("record", tmp_path / "x.gz"), ("replay", tape)):
        for ca in (("--ca", other), ()):
            began = time.monotonic()
            code, _, err = await ems_sim(*action, "--broker", url, *ca)
            assert code == 1
            assert err.startswith("ems-sim: never connected to 127.0.0.1:")
            assert ": its certificate is not trusted: " in err
            assert err.count("\n") == 1
            assert time.monotonic() - began < 15
    (tmp_path / "no.pem").write_text("hello")
    for ca, said in (("no.pem", "no PEM certificates"), ("none.pem", "No such file")):
        code, _, err = await ems_sim("record", tmp_path / "x.gz", "--broker", url, "--ca", tmp_path / ca)
        assert code == 2
        assert err.startswith(f"ems-sim: --ca: {tmp_path / ca}: {said}")
    code, _, err = await ems_sim("replay", tape, "--broker", f"127.0.0.1:{port}", "--ca", pki.ca)
    assert (code, err) == (2, "ems-sim: --ca: is for mqtts:// alone\n")


@needs_mosquitto
@pytest.mark.timeout(120)
async def test_mosquitto_with_tls(pki: Pki, tmp_path: Path) -> None:
    certificate, key = pki.server()
    port = free_port()
    config = f"listener {port} 127.0.0.1\n{OPEN}certfile {certificate}\nkeyfile {key}\ncafile {pki.ca}\n"
    async with mosquitto(tmp_path, config, port) as port:
        await tls_is_right(f"mqtts://127.0.0.1:{port}", pki, tmp_path)
    plain = free_port()
    (tmp_path / "plain").mkdir()
    async with mosquitto(tmp_path / "plain", port=plain):
        code, _, err = await ems_sim(
            "record", tmp_path / "y.gz", "--broker", f"mqtts://127.0.0.1:{plain}", "--duration", 1
        )
        assert code == 1
        assert err.startswith(f"ems-sim: never connected to 127.0.0.1:{plain}: ")


@pytest.mark.system
@pytest.mark.timeout(120)
async def test_the_bridge_with_tls(pki: Pki, tmp_path: Path) -> None:
    certificate, key = pki.server()
    bridge = Process(
        tmp_path,
        '[broker]\nallow_anonymous = true\n[[broker.listeners]]\nlisten = "127.0.0.1:0"\n'
        f'tls = {{ certificate = "{certificate}", key = "{key}" }}\n',
    ).start()
    try:
        found = re.search(r"listening: mqtts://127\.0\.0\.1:(\d+)", bridge.tail())
        assert found is not None, bridge.tail()
        await tls_is_right(f"mqtts://127.0.0.1:{found[1]}", pki, tmp_path)
    finally:
        bridge.stop()


# Restarts, kills


@needs_mosquitto
@pytest.mark.timeout(120)
async def test_a_broker_that_restarts_is_a_gap(tmp_path: Path) -> None:
    tape, port = tmp_path / "tape.gz", free_port()
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    async with mosquitto(first, port=port):
        recording = Recording(tape, port, ("v1/#", "v2/#"))
        await recording.__aenter__()
        fleet = Fleet(device_specs(4), ("127.0.0.1", port), interval_s=0.2)
        await fleet.__aenter__()
        await fleet.connected(10)
        await fleet.until(lambda: fleet.summary().acked > 60)
    async with mosquitto(second, port=port):
        await recording.until(lambda: recording.now.gaps)
        before = recording.now.messages
        await recording.until(lambda: recording.now.messages > before + 30)
        await fleet.__aexit__(None, None, None)
        await recording.__aexit__(None, None, None)
    entries, problem = read(tape)
    gaps = [n for n, entry in enumerate(entries) if isinstance(entry, Gap)]
    assert (len(gaps), problem, recording.found.gaps) == (1, "", 1)
    assert 50 < gaps[0] < len(entries) - 30
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


@needs_mosquitto
@pytest.mark.parametrize("suffix", FORMATS)
async def test_a_killed_recorder_leaves_a_tape(port: int, tmp_path: Path, suffix: str) -> None:
    tape = tmp_path / f"tape.{suffix}"
    code = "import simulator.packed; simulator.packed.STREAM_S = 0.5; from simulator.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "record", tape, "--broker", f"127.0.0.1:{port}", "--filter", "#"),
        stdout=asyncio.subprocess.PIPE,
    )
    async with Client(port) as client, asyncio.timeout(30):
        while not tape.exists() or len(read(tape)[0]) < 20:
            client.link.publish(Post("a/b", b"x" * 200))
            await client.until(lambda: not client.link.pending)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    entries, problem = read(tape)
    assert len(entries) >= 20
    code_, ledger, err = await ems_sim("replay", tape, "--broker", f"127.0.0.1:{port}", "--speed", 1000)
    assert ledger["acked"] == ledger["read"] == len(entries)
    assert (code_, bool(err)) == ((1, True) if problem else (0, False))


# Broken tapes


@needs_mosquitto
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("damage", ["cut", "bytes", "line", "zeros"])
async def test_what_stands_before_the_damage_is_published(port: int, tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"tape.{suffix}"
    writer = Writer(path, 1, ["#"])
    for n in range(4_000):
        writer.message(n / 1000, f"a/{n}", str(hash(str(n)) ** 3).encode())
        if n == 2000:
            writer.flush()
            if damage == "line":
                writer._file.write(b'{"t":2000,"topic":"a/+/b"}\n')
    writer.close()
    whole = path.read_bytes()
    half = len(whole) // 2
    damaged = {
        "cut": whole[:half],
        "bytes": whole[:half] + b"\xa5" * 64 + whole[half + 64 :],
        "zeros": whole + bytes(4096),
    }
    path.write_bytes(damaged.get(damage, whole))
    async with Client(port, ("#",)) as client:
        code, ledger, err = await ems_sim("replay", path, "--broker", f"127.0.0.1:{port}", "--speed", 1000)
        await client.until(lambda: len(client.heard) == ledger["read"])
    assert ledger["published"] == ledger["acked"] == ledger["read"]
    sure = 1500 if damage == "bytes" else ledger["read"]  # a compression finds out at its end what it got wrong
    assert ledger["read"] >= sure
    assert [post.topic for post in client.heard[:sure]] == [f"a/{n}" for n in range(sure)]
    if damage == "zeros":
        assert (code, err, ledger["read"]) == (0, "", 4000)
        return
    assert code == 1
    assert ledger["tape_problem"] in err
    assert err.count("\n") == 1
    assert err.startswith(f"ems-sim: {path}:{ledger['read'] + 2}: ")
    if damage == "line":
        assert ledger["read"] == 2001
        assert "wildcard" in err
    elif damage == "cut":
        assert ledger["truncated"]
        assert "cut off" in err


async def test_a_compression_that_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['zstandard'] = None; from simulator.cli import main; main()"
    for action in ("record", "replay"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, action, str(tmp_path / "x.zst"), "--broker", "127.0.0.1:1"),
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
        assert process.returncode == 2
        assert err.decode().count("\n") == 1
        assert "pip install 'ems-bridge[zst]'" in err.decode()


async def test_no_message_is_early(script: Script, tmp_path: Path) -> None:
    tape = tape_of(tmp_path / "tape.gz", [Message(n / 10, f"a/{n}", b"") for n in range(9)])
    host, port = script.address
    for speed, least in ((1, 0.8), (4, 0.2), (1000, 0.0)):
        code, ledger, _ = await ems_sim("replay", tape, "--broker", f"{host}:{port}", "--speed", speed)
        assert (code, ledger["acked"], ledger["recorded_s"]) == (0, 9, 0.8)
        assert ledger["seconds"] >= least
    assert [frame[1] for frame in script.frames(framing.PUBLISH)] == [f"a/{n}" for n in range(9)] * 3
