"""Scenario files: who is hit and when, what must come of it, and what is said to a run meanwhile."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.testing import Bridge
from simulator.faults import HONEST
from simulator.options import Given, Wrong, options
from simulator.run import Run
from simulator.scenario import Order, Phase, expectation, failed, stages, together

PROGRAM = (sys.executable, "-W", "error", "-m", "simulator", "run")
UIDS = [f"EMS{n:05d}" for n in range(1, 11)]
HEAD = "devices = 10\nramp = 1000.0\ninterval = 0.5\nseed = 7\n"

anonymous = pytest.mark.ems_bridge({"broker.allow_anonymous": True, "commands.timeout_s": 1.0})


def ems_sim(bridge: Bridge, scenario: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "--broker", bridge.mqtt_url, "--scenario", str(scenario), *more],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_seed_decides_who_is_meant() -> None:
    phases = [
        Phase("a", 5, 10, "silent=3", commands=[Order("safety/sync", 2), Order("safety/sync", "EMS00004+EMS00002")]),
        Phase(duration=1),
        Phase(at=2, faults=["late=1", "slow=2@50%"]),
    ]
    first, second, third = stages(phases, UIDS, 1)
    assert (first.begins, first.ends, second.begins, second.ends, third.begins) == (5, 15, 15, 16, 2)
    assert second.name == "phase 2"
    assert sum(each.silent for each in first.behaviours) == 3
    assert [len(uids) for _, uids in first.orders] == [2, 2]
    assert first.orders[1][1] == ["EMS00002", "EMS00004"]
    assert stages(phases, UIDS, 1) == [first, second, third]
    assert stages(phases, UIDS, 2) != [first, second, third]
    both = together([first.behaviours, third.behaviours], 10)
    assert sum(each != HONEST for each in both) >= 6


def test_expectations() -> None:
    wanted = [expectation(text) for text in ("acked_share >= 99%", "commands.timed_out==3", "last_problem == 0")]
    found = {"acked_share": 0.98, "commands.timed_out": 3, "last_problem": "x"}
    assert failed(wanted, found) == [
        "acked_share >= 99%: acked_share is 0.98",
        "last_problem == 0: last_problem is 'x'",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("expect = ['speed > 1']", "expect: 'speed > 1': nothing is called 'speed'; there are devices, online"),
        ("expect = ['acked']", "expect: 'acked' is no expectation"),
        ("expect = 'acked > 1'", "expect: Expected `array`"),
        ("settle = -1.0", "settle: -1.0 is outside"),
        ("[[phase]]\nfaults = 'loud=1'", "phase: phase 'phase 1': fault 'loud=1'"),
        ("[[phase]]\nfaults = 'silent=11'", "phase: phase 'phase 1': silent=11: the fleet has 10 devices"),
        ("[[phase]]\nlenght = 1", "phase[0].lenght: unknown key; known are at, commands, duration"),
        ("[[phase]]\ncommands = [{command = 'a/b'}]", "no command 'a/b' is known"),
        (
            "[[phase]]\ncommands = [{command = 'safety/sync', to = 'X'}]",
            "safety/sync: to = 'X' is not a count up to 10, a percentage",
        ),
        ("[[phase]]\ncommands = [{command = 'safety/sync', every = 1.0}]", "need the phase's duration"),
        ("[[phase]]\nname = 'a'\n[[phase]]\nname = 'a'", "two phases are called 'a'"),
        ("dialect = 'latin'", "dialect: 'latin' is none of plain, vendor-docs"),
    ],
)
def test_a_wrong_scenario_says_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "storm.toml"
    path.write_text(f"broker = 'h:1'\n{HEAD}{text}\n")
    with pytest.raises(Wrong) as caught:
        options(Given(), path)
    assert said in str(caught.value)


@anonymous
def test_phases_commands_and_expectations(ems_bridge: Bridge, tmp_path: Path) -> None:
    path = tmp_path / "deaf.toml"
    path.write_text(
        f"""{HEAD}
expect = [
    "acked_share == 100%", "online == 10", "commands.sent == 20", "commands.timed_out == 3", "commands.succeeded == 15",
    "commands.rejected == 2", "reconnects >= 10",
]
[[phase]]
name = "deaf"
at = 1.0
duration = 2.5
faults = "silent=3"
commands = [{{ command = "streaming_overdemand/sync" }}]
[[phase]]
name = "storm"
storm = true
[[phase]]
name = "refusing"
at = 4.5
duration = 2.0
faults = "reject=2"
commands = [{{ command = "streaming_overdemand/sync" }}]
"""
    )
    done = ems_sim(ems_bridge, path)
    assert (done.returncode, done.stderr.splitlines()) == (
        0,
        ["ems-sim: phase deaf", "ems-sim: phase storm", "ems-sim: phase refusing"],
    ), done.stdout
    found = json.loads(done.stdout)
    assert found["outcomes"] == {"sent": 20, "succeeded": 15, "rejected": 2, "timed_out": 3}
    assert found["failed"] == []


@anonymous
def test_phases_after_the_end_do_not_begin(ems_bridge: Bridge, tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    early, late = (
        "[[phase]]\nname = 'early'\nat = 0.1\n",
        "[[phase]]\nname = 'late'\nat = 3000.0\nfaults = 'silent'\n",
    )
    path.write_text(f"{HEAD}{early}{late}")
    done = ems_sim(ems_bridge, path, "--duration", "1.0")
    assert (done.returncode, done.stderr.splitlines()) == (0, ["ems-sim: phase early"])
    assert json.loads(done.stdout)["begun"] == ["early"]


@anonymous
def test_what_failed_is_said_with_the_seed(ems_bridge: Bridge, tmp_path: Path) -> None:
    path = tmp_path / "deaf.toml"
    path.write_text(f"{HEAD}duration = 1.0\nexpect = ['acked > 1000000', 'online == 9']\n")
    done = ems_sim(ems_bridge, path, "--faults", "offline=1")
    assert done.returncode == 1
    assert done.stderr.startswith("ems-sim: expected acked > 1000000: acked is ")
    assert done.stderr.endswith("(seed 7)\n")
    assert done.stderr.count("\n") == 1
    assert len(json.loads(done.stdout)["failed"]) == 1


@anonymous
def test_a_run_obeys_its_control_file(ems_bridge: Bridge, tmp_path: Path) -> None:
    control, scenario = tmp_path / "control", tmp_path / "run.toml"
    scenario.write_text(HEAD)
    process = subprocess.Popen(
        [*PROGRAM, "--broker", ems_bridge.mqtt_url, "--scenario", str(scenario), "--control", str(control)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        ems_bridge.until(lambda: online(ems_bridge) == 10, 30)

        def say(line: str) -> str:
            with control.open("a") as file:
                file.write(f"{line}\n")
            assert process.stderr is not None
            return process.stderr.readline()

        assert say("faults offline=4") == "ems-sim: control: faults offline=4\n"
        ems_bridge.until(lambda: online(ems_bridge) == 6, 30)
        assert "the faults are silent" in say("faults loud")
        assert "the words are" in say("dance")
        told = json.loads(say("summary").removeprefix("ems-sim: control: "))
        assert (told["online"], told["offline"], told["faults"]) == (6, 4, {"offline": 4})
        assert say("honest") == "ems-sim: control: honest\n"
        ems_bridge.until(lambda: online(ems_bridge) == 10, 30)
        assert say("stop") == "ems-sim: control: stop\n"
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, json.loads(out)["online"]) == (0, 10)


def online(bridge: Bridge) -> int:
    return bridge.engine.do(lambda: sum(bridge.house.presences.get(uid).online for uid in UIDS))


@anonymous
@pytest.mark.parametrize("version", ["v1", "v2", "emu"])
def test_the_dialect_of_the_documents_is_understood(ems_bridge: Bridge, tmp_path: Path, version: str) -> None:
    commands = [
        "streaming_overdemand/sync", "charge/sync", "charge_photovoltaic/sync", "charge_pail/sync", "charge_percentage/sync",
        "safety/sync", "device_info/sync", "device_info/list", "elemeter_info/sync", "power_node/sync", "pcs_control/sync",
    ]  # fmt: skip
    phases = "".join(
        f"[[phase]]\nat = {1 + n / 4}\nduration = 0.25\ncommands = [{{ command = '{command}', to = 3 }}]\n"
        for n, command in enumerate(commands)
    )
    path = tmp_path / "docs.toml"
    path.write_text(f"{HEAD}dialect = 'vendor-docs'\nversion = '{version}'\n{phases}")
    done = ems_sim(ems_bridge, path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["published"] == found["acked"] > 30
    outcome = "rejected" if version == "emu" else "succeeded"
    assert found["outcomes"] == {"sent": 33, outcome: 33}
    refused = [said for uid in seen(ems_bridge) for said in ems_bridge.messages(uid, way="refused")]
    assert [(said.topic, said.why) for said in refused] == []


def seen(bridge: Bridge) -> Iterator[str]:
    for n in range(1, 11):
        yield from (f"EMS{n:05d}", f"EMU{n:05d}")


async def test_no_broker_is_no_hang() -> None:
    asked = options(Given(broker="127.0.0.1:1", devices=1, duration=0.2), None)
    phase = Phase(commands=[Order("safety/sync")])
    scenario = asked.scenario._replace(stages=stages([phase], ["EMS00001"], 1), settle_s=0.1)
    run = Run(asked._replace(scenario=scenario), lambda _line: None)
    began = time.monotonic()
    async with asyncio.timeout(10), run.going():
        await run.play()
    assert run.outcome().commands["unanswered"] == 1
    assert time.monotonic() - began < 10
