"""`ems-sim` as a process: what it prints, how it ends, and one line for every mistake."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest
from scripted_broker import Address

from simulator.options import EARLIEST_S, Given, Wrong, options

PROGRAM = (sys.executable, "-W", "error", "-m", "simulator")


async def ems_sim(*arguments: object) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_run_prints_one_line_of_json(mosquitto: Address) -> None:
    broker = f"mqtt://127.0.0.1:{mosquitto[1]}"
    code, out, err = await ems_sim(
        *("run", "--broker", broker, "--devices", 6, "--scheme", "wudun,user", "--version", "v2,v1,emu"),
        *("--interval", 0.3, "--duration", 1.5, "--seed", 4, "--faults", "offline=1,slow=1@50%"),
    )
    assert (code, err) == (0, "")
    summary = json.loads(out)
    assert out.count("\n") == 1
    assert (summary["devices"], summary["online"], summary["seed"]) == (6, 5, 4)
    assert summary["published"] == summary["acked"] > 20


async def test_a_signal_ends_a_run_in_good_order(mosquitto: Address, tmp_path: Path) -> None:
    (tmp_path / "keys.jsonl").write_text('{"uid":"EMS9","secret":"s","tenant":"T"}\n\n')
    scenario = tmp_path / "fleet.toml"
    scenario.write_text(
        f'broker = "mqtt://127.0.0.1:{mosquitto[1]}"\ndevices = 1\ninterval = 0.2\nversion = ["v1"]\ncredentials = "keys.jsonl"\n'
    )
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "run", "--scenario", str(scenario), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with aiomqtt.Client(*mosquitto) as client:
        await client.subscribe("v1/user/T/EMS9/report/regular/post")
        async with asyncio.timeout(30):
            await anext(aiter(client.messages))
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
    summary = json.loads(out)
    assert summary["published"] == summary["acked"] > 0


BUSY = """
devices = 12
ramp = 1000.0
interval = 600.0
settle = 0.5
time_scale = 600.0
[[phase]]
name = "a night of troubles"
duration = 1.2
faults = "offline=2,silent=1,slow=1@3,power_cut=30@1"
commands = [{ command = "safety/sync", to = 4 }]
"""


@pytest.mark.parametrize("columns", [80, 120])
async def test_a_terminal_shows_times_states_rates_faults_and_phases(
    mosquitto: Address, tmp_path: Path, columns: int
) -> None:
    (tmp_path / "busy.toml").write_text(BUSY)
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "run", "--broker", f"127.0.0.1:{mosquitto[1]}", "--scenario", str(tmp_path / "busy.toml")),
        stdout=asyncio.subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": str(columns)},
    )
    os.close(theirs)
    shown = await asyncio.to_thread(read_all, ours)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    lines = [line.strip("│ ") for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))]
    assert max(map(len, lines)) <= columns
    rows = {line.partition("│")[0].strip(): line.partition("│")[2].strip() for line in lines if "│" in line}
    assert re.search(r"s, simulated 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ \(×600\)$", rows["time"])
    assert "│ 9 online, 0 connecting, 3 offline" in "\n".join(lines)
    assert re.fullmatch(r"\d+ \(\d+/s\), 0 pending, \d+ dropped", rows["published"])
    assert any("│ slow 3, offline 2, silent 1, power_cut 1" in line for line in lines)
    assert any("│ a night of troubles (1 of 1 have begun)" in line for line in lines)
    assert rows["platform"].startswith("sent 4, ")
    found = json.loads(out)
    assert [found[name] for name in ("online", "connecting", "offline")] == [11, 0, 1]
    assert found["faults"] == {"offline": 2, "power_cut": 1, "silent": 1, "slow": 3}
    assert (found["begun"], found["phases"]) == (["a night of troubles"], [])
    assert 0 <= found["late_max_s"] < 5


async def test_more_devices_than_open_files(mosquitto: Address) -> None:
    """It takes as many as it may; where that is not enough it says what to do."""

    def few(soft: int, hard: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    options = ("--broker", f"127.0.0.1:{mosquitto[1]}", "--duration", "1", "--ramp", "1000", "--devices", "100")
    for limits, code in (((80, 400), 0), ((80, 150), 2)):
        process = await asyncio.create_subprocess_exec(
            *(*PROGRAM, "run", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=few(*limits),
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == code, err
        if code:
            assert b"--devices: 100 connections need 164 open files, this process may have 150: `ulimit -n 164`" in err
        else:
            assert json.loads(out)["online"] == 100


def read_all(terminal: int) -> str:
    """All that is written to a terminal until its other end is closed."""
    seen = b""
    try:
        while chunk := os.read(terminal, 65_536):
            seen += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(terminal)
    return seen.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run", "--broker: required"),
        ("run --broker mqtt://127.0.0.1:1", "--devices: required"),
        ("run --broker http://127.0.0.1:1 --devices 1", "use mqtt://HOST:PORT"),
        ("run --broker mqtt://127.0.0.1:70000 --devices 1", "use mqtt://HOST:PORT"),
        ("run --broker mqtt://127.0.0.1:1 --devices many", "--devices"),
        ("run --broker mqtt://127.0.0.1:1 --devices 0", "--devices: 0 is outside"),
        ("run --broker mqtt://127.0.0.1:1 --devices 1 --interval nan", "--interval: nan is outside"),
        ("run --broker mqtt://127.0.0.1:1 --devices 1 --time-scale 5000", "--time-scale: 5000.0 is outside"),
        ("run --broker mqtt://127.0.0.1:1 --devices 1 --scheme post", "--scheme: 'post' is none of wudun, user"),
        ("run --broker mqtt://127.0.0.1:1 --devices 1 --version v3", "--version: 'v3' is none of v1, v2, emu"),
        ("run --broker mqtt://127.0.0.1:1 --devices 1 --faults tired", "--faults: fault 'tired'"),
        (
            "run --broker mqtt://127.0.0.1:1 --devices 1 --faults silent=2",
            "--faults: silent=2: the fleet has 1 devices",
        ),
        ("run --broker mqtt://127.0.0.1:1 --devices 1 --tenant a/b --scheme user", "--tenant: 'a/b'"),
        ("run --broker mqtt://127.0.0.1:1 --devices 1 --prefix a/#", "--prefix"),
        ("run --broker mqtt://127.0.0.1:1 --credentials /no/such/file", "--credentials: /no/such/file"),
        ("run --scenario /no/such/file", "--scenario: /no/such/file"),
        ("run --colour blue", "--colour"),
        ("run --broker h:1 --devices 1 --control /dev/zero", "--control: /dev/zero: neither a file nor a FIFO"),
        ("run --broker h:1 --devices 1 --control /", "--control: /: Is a directory"),
        ("record traffic.gz", "--broker: required"),
        ("record /nowhere/x.bin --broker h:1", "FILE: /nowhere/x.bin: a tape ends in .gz, .xz, .zst"),
        ("record /nowhere/x.gz --broker h:1", "FILE: /nowhere/x.gz: No such file"),
        ("replay /nowhere/x.gz --broker h:1", "FILE: /nowhere/x.gz: No such file"),
        ("replay x.gz --broker h:1 --speed 0.5", "--speed: 0.5 is outside 1 to 1000"),
        ("replay x.gz --broker h:1 --map a=b/c", "--map: 'a=b/c'"),
        ("replay x.gz --broker http://h:1", "--broker: 'http://h:1' is no broker address"),
    ],
)
async def test_a_mistake_is_one_line_and_exit_code_2(arguments: str, said: str) -> None:
    code, out, err = await ems_sim(*arguments.split())
    assert (code, out) == (2, "")
    assert err.startswith("ems-sim: ")
    assert err.count("\n") == 1
    assert said in err


async def test_a_control_file_that_cannot_be_is_said_so() -> None:
    code, out, err = await ems_sim(
        "run", "--broker", "mqtt://127.0.0.1:1", "--devices", 1, "--control", "/nowhere/at/all"
    )
    assert (code, out, err) == (2, "", "ems-sim: --control: /nowhere/at/all: No such file or directory\n")


async def test_who_has_no_live_view_is_told_that_nothing_is_connected() -> None:
    process = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "run", "--broker", "mqtt://127.0.0.1:1", "--devices", "1"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(30):
        said = await process.stderr.readline()
    assert said.startswith(b"ems-sim: nothing is connected to 127.0.0.1:1 yet: EMS00001: ")
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1


async def test_no_broker_at_all_is_exit_code_1() -> None:
    code, out, err = await ems_sim("run", "--broker", "mqtt://127.0.0.1:1", "--devices", 1, "--duration", 0.5)
    assert code == 1
    assert json.loads(out)["connect_failures"] >= 1
    assert err.startswith("ems-sim: no device was ever connected to 127.0.0.1:1: EMS00001: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("devices = 'x'", "fleet.toml: devices: "),
        ("speed = 3", "fleet.toml: speed: unknown option"),
        ("devices = ", "no TOML"),
        ("faults = ['loud=1']\ndevices = 1\nbroker = 'h:1'", "fleet.toml: faults: fault 'loud=1'"),
        ("credentials = 'no.jsonl'\nbroker = 'h:1'", "no.jsonl: No such file"),
        ('credentials = "\\u0000"\nbroker = "h:1"', "null byte"),
        (f"seed = {'9' * 5000}", "no TOML: Exceeds the limit"),
        ("seed = " + "[" * 5000, "no TOML: maximum recursion"),
    ],
)
def test_a_wrong_scenario_names_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(Wrong) as caught:
        options(Given(), path)
    assert said in str(caught.value)


def test_a_scenario_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text("broker = 'h:1'\ndevices = 3\n", encoding="utf-8-sig")
    assert len(options(Given(), path).specs) == 3


def test_the_command_line_goes_before_the_scenario(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text("broker = 'host:99'\ndevices = 5\ninterval = 7\nscheme = ['user']\ntenant = 'X'\n")
    asked = options(Given(devices=2), path)
    assert (len(asked.specs), asked.interval_s, asked.broker) == (2, 7.0, ("host", 99))
    assert asked.specs[0].owner == "X"


def test_credentials_of_the_url_and_a_custom_prefix() -> None:
    asked = options(Given(broker="mqtt://me:pass@host", devices=1, prefix="factory/line1/"), None)
    assert asked.broker == ("host", 1883)
    assert asked.specs[0][4:] == ("me", "pass", 1, "factory/line1")


def test_an_accelerated_run_ends_in_the_present() -> None:
    asked = options(Given(broker="h", devices=1, time_scale=100, duration=10), None)
    assert asked.start + 10 * 100 == pytest.approx(time.time() + 10, abs=5)


def test_the_longest_and_fastest_run_begins_in_1971() -> None:
    asked = Given(broker="h:1", devices=1, time_scale=1000.0, duration=1e8)
    assert options(asked, None).start == EARLIEST_S
