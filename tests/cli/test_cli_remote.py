"""The commands that talk to a running bridge, against the real process, with a device at the other end of MQTT."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import tarfile
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from harness import messages
from harness.process import SCRIPT, Bridge, environment
from harness.wire import Client

DELETE = ("streaming_overdemand/delete", '{"id": 1}')


async def run(bridge: Bridge, *args: str, stdin: str = "") -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `ems-bridge ARGS` on this bridge's data, while the test's own loop goes on."""
    process = await asyncio.create_subprocess_exec(
        SCRIPT / "ems-bridge",
        *args,
        "--data",
        str(bridge.data),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    out, err = await process.communicate(stdin.encode())
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def device(bridge: Bridge) -> AsyncIterator[Client]:
    """EMS001 of PK001, connected and listening for commands."""
    secret = bridge.device("EMS001", tenant=None)
    async with await Client.open(bridge.mqtt, "EMS001", *secret) as client:
        await client.subscribe("v1/wudun/PK001/EMS001/+/+/command")
        yield client


async def answer(device: Client, code: int = 200, **more: Any) -> None:
    got = await device.get()
    topic = got.topic.removesuffix("command") + "result"
    await device.stored(topic, messages.answer(got.payload, "EMS001", code=code, **more))


@pytest.mark.parametrize(("code", "state", "exit_code"), [(200, "succeeded", 0), (400, "rejected", 1)])
async def test_send_prints_the_outcome(bridge: Bridge, device: Client, code: int, state: str, exit_code: int) -> None:
    sending = asyncio.create_task(run(bridge, "send", "EMS001", *DELETE))
    await answer(device, code)
    got, out, err = await sending
    assert (got, err) == (exit_code, "")
    assert out.startswith(f"{state} code={code} ")
    assert len(out.splitlines()) == 1


async def test_send_of_a_silent_device_times_out_and_its_late_answer_is_kept(bridge: Bridge, device: Client) -> None:
    got, out, _ = await run(bridge, "send", "EMS001", *DELETE, "--timeout", "0.3", "--json")
    shown = json.loads(out)
    assert (got, shown["state"], shown["timeout_s"]) == (3, "timed_out", 0.3)
    await answer(device)
    again, out, _ = await run(bridge, "send", "EMS001", *DELETE, "--mid", shown["mid"])
    assert (again, out.split()[0]) == (0, "late_succeeded")


@pytest.mark.parametrize(
    ("options", "exit_code", "state"),
    [(["--now"], 4, "undeliverable"), (["--hold", "0"], 4, "expired"), (["--no-wait"], 5, "accepted")],
)
async def test_send_to_an_offline_device(bridge: Bridge, options: list[str], exit_code: int, state: str) -> None:
    bridge.device("EMS001", tenant=None)
    got, out, _ = await run(bridge, "send", "EMS001", *DELETE, *options)
    assert (got, out.split()[0]) == (exit_code, state)


async def test_send_takes_its_data_from_a_file_or_stdin(bridge: Bridge, device: Client) -> None:
    path = bridge.home / "data.json"
    path.write_text(DELETE[1], encoding="utf-8")
    for source, stdin in ((f"@{path}", ""), ("-", DELETE[1])):
        sending = asyncio.create_task(run(bridge, "send", "EMS001", DELETE[0], source, stdin=stdin))
        await answer(device)
        assert (await sending)[0] == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["send", "EMS001", DELETE[0], '{"id": "x"}'], "$.data.id"),
        (["send", "EMS001", "no/such"], "no command no/such"),
        (["send", "EMS009", *DELETE], "there is no device 'EMS009'"),
        (["send", "EMS001", *DELETE, "--mid", "x"], "$.mid"),
        (["send", "EMS001", *DELETE, "--key", "wrong"], "--key: the bridge refused it"),
        (["dead", "show", "7"], "there is no dead letter '7'"),
        (["dead", "replay", "7"], "there is no dead letter '7'"),
    ],
)
async def test_what_the_bridge_refuses_is_one_line(bridge: Bridge, args: list[str], said: str) -> None:
    bridge.device("EMS001", tenant=None)
    got, out, err = await run(bridge, *args)
    assert (got, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


async def test_dead_letters(bridge: Bridge, device: Client) -> None:
    await device.stored(messages.topic("EMS001", messages.REPORT), b"{")
    await device.stored(messages.topic("EMS001", messages.REPORT), b"\xff")
    _, out, _ = await run(bridge, "dead", "list")
    assert [line.split("\t")[2:4] for line in out.splitlines()] == [["EMS001", "not_json"]] * 2
    number = out.splitlines()[1].split("\t")[0]
    assert (await run(bridge, "dead", "show", number, "--payload"))[1] == "{"
    assert "payload: {" in (await run(bridge, "dead", "show", number))[1]
    got, out, _ = await run(bridge, "dead", "replay", number)
    assert (got, out.split()[:3]) == (1, [number, "rejected", "not_json"])
    assert (await run(bridge, "dead", "purge", number))[1] == "1 purged\n"
    assert (await run(bridge, "dead", "purge", "--device", "EMS001"))[1] == "1 purged\n"
    assert (await run(bridge, "dead", "list"))[1] == ""


async def test_dead_letters_are_replayed_and_purged_by_filter(bridge: Bridge, device: Client) -> None:
    for number in range(3):
        await device.stored(messages.topic("EMS001", messages.REPORT), b"{")
        await device.stored(messages.topic("EMS001", f"none/of{number}/post"), messages.short_report("EMS001", 1))
    got, out, _ = await run(bridge, "dead", "replay", "--device", "EMS001", "--reason", "not_json")
    assert (got, out.splitlines()[-1]) == (1, "0 accepted, 3 rejected")
    assert [line.split()[1:3] for line in out.splitlines()[:-1]] == [["rejected", "not_json"]] * 3
    got, out, _ = await run(
        bridge, "dead", "replay", "--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z"
    )
    assert (got, out) == (0, "0 accepted, 0 rejected\n")
    got, out, err = await run(bridge, "dead", "replay", "--since", "yesterday")
    assert (got, out, len(err.splitlines())) == (2, "", 1)
    got, out, _ = await run(bridge, "dead", "list", "--topic", "v1/wudun/PK001/EMS001/none/#")
    assert (got, len(out.splitlines())) == (0, 3)
    assert (await run(bridge, "dead", "purge", "--topic", messages.topic("EMS001", "none/of1/post")))[1] == "1 purged\n"


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"\x1b]0;title\x07\x1b[2J", "payload: \\x1b]0;title\\x07\\x1b[2J\n"),
        (b'{\n\t"a": 1\r\n}', 'payload: {\n\\t"a": 1\n}\n'),
        ("\u202eabc\u009b1m ü 中".encode(), "payload: \\u202eabc\\x9b1m ü 中\n"),
        (b"", "payload: \n"),
        (
            b"\xff\xfe{}\x00",
            "payload: no UTF-8; its bytes:\n  000000  ff fe 7b 7d 00                                   ..{}.\n",
        ),
        (b"x" * 200_000, "payload: " + "x" * 4_096 + "\n… 200000 bytes in all; --payload prints them\n"),
    ],
)
async def test_payloads_of_strangers_are_shown_sanely(
    bridge: Bridge, device: Client, payload: bytes, shown: str
) -> None:
    topic = messages.topic("EMS001", messages.REPORT)
    await device.stored(topic, payload)
    _, out, _ = await run(bridge, "dead", "show", "1")
    assert out.endswith(shown)
    _, out, _ = await run(bridge, "dead", "list")
    assert len(out.splitlines()) == 1
    assert out.isprintable() or not any(each in out.strip() for each in "\x1b\x07\u202e")
    _, out, _ = await run(bridge, "dead", "show", "1", "--json")
    assert len(out.splitlines()) == 1
    found = json.loads(out)
    assert (found["payload"].encode() if "payload" in found else base64.b64decode(found["payload_base64"])) == payload


async def test_watch_shows_one_line_a_message(bridge: Bridge, device: Client) -> None:
    process = await asyncio.create_subprocess_exec(
        SCRIPT / "ems-bridge",
        "watch",
        "v1/wudun/+/EMS001/#",
        "--data",
        str(bridge.data),
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        reading = asyncio.create_task(process.stdout.readline())
        pretty = json.dumps(json.loads(messages.short_report("EMS001", 7)), indent=2).encode()
        async with asyncio.timeout(20):
            while not reading.done():  # until it listens
                await device.stored(messages.topic("EMS001", messages.REPORT), pretty)
                await asyncio.wait({reading}, timeout=0.2)
        line = reading.result().decode()
        await run(bridge, "send", "EMS001", "streaming_overdemand/sync", "--no-wait")  # an event that has no topic
        await device.stored(messages.topic("EMS001", messages.REPORT), messages.short_report("EMS001", 8))
        async with asyncio.timeout(20):
            while b'"total_active_power":8' not in (later := await process.stdout.readline()):
                assert b"/report/regular/post {" in later
    finally:
        process.terminate()
        await process.wait()
    assert " v1/wudun/PK001/EMS001/report/regular/post {" in line
    assert '"total_active_power":7' in line


async def test_serve_leaves_its_address_for_its_user_alone_and_takes_it_away(bridge: Bridge) -> None:
    path = bridge.data / "local.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text(encoding="utf-8"))["http"] == bridge.http
    assert bridge.stop() == 0
    assert not path.exists()


async def test_a_second_service_on_the_same_data_is_refused(bridge: Bridge) -> None:
    got, out, err = await run(bridge, "serve", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0")
    assert (got, out) == (2, "")
    assert "another service runs on this data directory" in err


async def test_backup_and_verify_while_it_runs(bridge: Bridge, device: Client) -> None:
    await device.stored(messages.topic("EMS001", messages.REPORT), messages.report("EMS001", 1))
    target = bridge.home / "copy.tar"
    assert (await run(bridge, "backup", str(target)))[0] == 0
    assert target.stat().st_size > 0
    assert (await run(bridge, "verify"))[:2] == (0, "clean\n")


async def test_a_backup_that_is_unpacked_serves_the_same(
    bridge: Bridge, device: Client, make_bridge: Callable[..., Bridge]
) -> None:
    await device.stored(messages.topic("EMS001", messages.REPORT), messages.report("EMS001", 1))
    target = bridge.home / "copy.tar"
    assert (await run(bridge, "backup", str(target)))[0] == 0
    again = make_bridge(name="again")
    with tarfile.open(target) as tar:
        tar.extractall(again.data, filter="data")
    again.start()
    assert (await run(again, "verify"))[:2] == (0, "clean\n")
    assert (await run(again, "device", "list"))[1] == (await run(bridge, "device", "list"))[1]
    shown = await run(again, "send", "EMS001", *DELETE, "--now")
    assert shown[1].startswith("undeliverable ")


def test_the_receiving_side_alone(bridge: Bridge) -> None:
    import signal
    import subprocess
    import urllib.request

    command = [SCRIPT / "ems-bridge", "cloud", "--http", "127.0.0.1:0", "--data", bridge.home / "cloud"]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready http=127.0.0.1:")
        window = f"http://{line.split('=')[1].strip()}"
        for path in ("/healthz", "/readyz"):
            with urllib.request.urlopen(window + path) as answered:
                assert answered.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
