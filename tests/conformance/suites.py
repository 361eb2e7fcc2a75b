"""eclipse/paho.mqtt.testing against a real `ems-bridge serve`."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from harness.process import ROOT, Bridge

FILES = ("client_test.py", "client_test5.py")
SUITE_S = 600.0
CONFIG = """
[broker]
max_keep_alive_s = 60

[broker.plugins."conformance.refusals.NoSubscribe"]
"""
"""The suites' own conditions: 60 s is what `test_server_keep_alive` expects of a server; one filter is refused."""
OFF: dict[tuple[str, str], str] = {}
"""(file, test) -> the reason, for tests of an option that is off."""
TESTS = {"client_test.py": 10, "client_test5.py": 27}
"""How many there are: a suite that ends early has not passed."""


class Verdict(NamedTuple):
    """A test of a suite; `outcome` is passed, failed or off."""

    file: str
    test: str
    outcome: str
    why: str


def run(suites: Path, home: Path) -> list[Verdict]:
    """Both files at the same time, each against a service of its own: most of what they do is wait."""
    with ThreadPoolExecutor() as pool:
        both = pool.map(lambda file: _one(suites / file, home / file.removesuffix(".py")), FILES)
        return [verdict for verdicts in both for verdict in verdicts]


def _one(file: Path, home: Path) -> list[Verdict]:
    home.mkdir()
    bridge = Bridge(home, CONFIG)
    try:
        bridge.start("--allow-anonymous", env={"PYTHONPATH": str(ROOT / "tests")})
        verdicts = _verdicts(file, bridge.mqtt[1])
        if not bridge.running():
            verdicts.append(Verdict(file.name, "(the service)", "failed", f"it ended\n{bridge.tail()}"))
    finally:
        bridge.stop()
    if "Traceback" in bridge.tail(1_000_000):
        verdicts.append(Verdict(file.name, "(the service)", "failed", bridge.tail()))
    return verdicts


def _verdicts(file: Path, port: int) -> list[Verdict]:
    command = [sys.executable, str(Path(__file__).with_name("paho_suite.py")), str(file), str(port)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SUITE_S, check=False)
        said, ending = done.stdout, f"exit {done.returncode}\n{done.stderr[-1500:]}"
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
        ending = f"did not end within {SUITE_S:.0f} s"
    found = []
    for line in said.splitlines():
        if line.startswith("RESULT "):
            result = json.loads(line.removeprefix("RESULT "))
            off = OFF.get((file.name, result["test"]))
            outcome = "off" if off and result["outcome"] != "passed" else result["outcome"]
            found.append(Verdict(file.name, result["test"], outcome, off or result["why"]))
    if len(found) < TESTS[file.name]:
        found.append(Verdict(file.name, "(the suite)", "failed", f"{len(found)} tests ran; {ending}"))
    return found
