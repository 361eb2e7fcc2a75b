"""The plugin as other projects meet it: what it imports, what it costs, what a failure shows, and the example project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import venv
from pathlib import Path
from time import perf_counter

import pytest
from harness.process import ROOT

from bridge.testing.bridge import Bridge
from bridge.testing.clock import Impatient
from bridge.testing.engine import Engine

START_S = 0.15
"""What a start may cost (issue: 150 ms)."""

FAILING = """
    import pytest

    def test_fails(ems_bridge, ems_fleet):
        fleet = ems_fleet("D1", "D2")
        fleet.device("D1").answers("safety/sync", code=400, msg="not today")
        assert ems_bridge.send("D1", "safety/sync").ok

    def test_waits(ems_bridge, ems_fleet, ems_clock):
        ems_fleet("D7").device("D7").silent()
        ems_bridge.send("D7", "safety/sync", wait_s=0)
        ems_bridge.until(lambda: False, 0.1, "the answer of D7")

    @pytest.mark.ems_bridge({"broker.listen": "nowhere:0"})
    def test_cannot_start(ems_bridge):
        pass

    def test_passes(ems_bridge):
        pass
"""


def python(*arguments: str, cwd: Path, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_plugin_alone_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import pytest, sys; before = set(sys.modules); import bridge.testing.plugin; print(*set(sys.modules) - before)"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"__future__", "bridge", "bridge.testing", "bridge.testing.plugin", "importlib"}


def test_a_failure_shows_the_last_messages_of_its_devices(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(textwrap.dedent(FAILING))
    off = [] if "ems_bridge" not in installed() else ["-p", "no:ems_bridge"]
    done = python("-m", "pytest", "-q", *off, "-p", "bridge.testing.plugin", "-p", "no:cacheprovider", cwd=tmp_path)
    out = done.stdout
    assert "2 failed, 1 passed, 1 error" in out, out + done.stderr
    first, second = out.split("test_waits", 1)
    assert re.search(r"D1: online, a script, no faults, 1 commands, 1 answers", first)
    assert re.search(r"← v1/wudun/PK1/D1/safety/sync/command", first)
    assert re.search(r'→ v1/wudun/PK1/D1/safety/sync/result .*"msg":"not today"', first)
    assert first.index("D1: the last") < first.index("D2: the last")
    assert "not within 0.1 s: the answer of D7" in second
    assert re.search(r"commands without an outcome:\n  \S+ D7 safety/sync/command: delivered", second)
    assert "ConfigError('broker.listen: " in second


STYLES = """
    import asyncio
    import unittest
    import pytest
    from bridge.testing import Bridge, Clock, Fleet

    WRONG = "the last words"

    def speak(ems_bridge, ems_fleet, uid):
        ems_fleet(uid).device(uid).publishes("…/report/regular/post", WRONG.encode())
        ems_bridge.until(lambda: ems_bridge.messages(uid, way="refused"))

    @pytest.fixture
    def platform(ems_bridge, ems_fleet):
        speak(ems_bridge, ems_fleet, "INDIRECT")

    def test_indirect(platform):
        assert False

    def test_dynamic(request):
        speak(request.getfixturevalue("ems_bridge"), request.getfixturevalue("ems_fleet"), "DYNAMIC")
        assert False

    @pytest.fixture
    def broken(ems_bridge, ems_fleet):
        speak(ems_bridge, ems_fleet, "SETUP")
        assert False

    def test_setup(broken):
        pass

    class TestClass:
        def test_class(self, ems_bridge, ems_fleet):
            speak(ems_bridge, ems_fleet, "CLASS")
            assert False

    class Old(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def given(self, ems_bridge, ems_fleet):
            self.bridge, self.fleet = ems_bridge, ems_fleet

        def test_unittest(self):
            speak(self.bridge, self.fleet, "UNITTEST")
            self.fail("as planned")

    @pytest.mark.asyncio
    async def test_asyncio(ems_bridge, ems_fleet):
        await asyncio.to_thread(speak, ems_bridge, ems_fleet, "ASYNCIO")
        assert (await asyncio.to_thread(ems_bridge.send, "ASYNCIO", "safety/sync")).ok
        async with ems_bridge.client() as client:
            assert (await client.device("ASYNCIO").safety.sync()).ok
        assert False

    @pytest.mark.anyio
    async def test_anyio(ems_bridge, ems_fleet):
        speak(ems_bridge, ems_fleet, "ANYIO")
        assert False

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.fixture(scope="module")
    def shared(ems_bridges):
        clock = Clock()
        with ems_bridges({"commands.timeout_s": 3}, clock=clock) as bridge:
            yield bridge, Fleet(bridge)("S1"), clock

    def test_shared(shared):
        bridge, fleet, clock = shared
        fleet.device("S1").silent()
        asked = bridge.send("S1", "safety/sync", wait_s=0)
        clock.advance(3)
        assert bridge.state(asked.mid) == "timed_out"

    def test_shared_still_runs(shared):
        bridge, fleet, clock = shared
        fleet.device("S1").publishes("…/report/regular/post", WRONG.encode())
        bridge.until(lambda: bridge.messages("S1", way="refused"))
        assert False
"""
NAMES = ("INDIRECT", "DYNAMIC", "SETUP", "CLASS", "UNITTEST", "ASYNCIO", "ANYIO", "S1")


@pytest.mark.parametrize(
    "more", [("-o", "asyncio_mode=strict"), ("-o", "asyncio_mode=auto", "-n", "2")], ids=["strict", "auto, -n 2"]
)
def test_every_style_of_test_shows_them(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "test_it.py").write_text(textwrap.dedent(STYLES))
    off = [] if "ems_bridge" not in installed() else ["-p", "no:ems_bridge"]
    strict = "asyncio_default_fixture_loop_scope=function"
    done = python(
        *(
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            *off,
            "-p",
            "bridge.testing.plugin",
            "-p",
            "no:cacheprovider",
            "-o",
            strict,
            *more,
        ),
        cwd=tmp_path,
    )
    out = done.stdout
    assert "7 failed, 1 passed, 1 error" in out, out + done.stderr
    for uid in NAMES:
        assert re.search(rf"✗ \S+/{uid}/report/regular/post \[not_json.*the last words", out), uid


def test_without_the_plugin_nothing_of_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(): pass\ndef test_needs(ems_bridge): pass\n")
    off = ["-p", "no:ems_bridge"]
    done = python("-m", "pytest", "-q", *off, "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed, 1 error" in done.stdout
    assert "fixture 'ems_bridge' not found" in done.stdout


@pytest.mark.timeout(180)
def test_the_example_is_typed(tmp_path: Path) -> None:
    example = tmp_path / "example"
    subprocess.run(["cp", "-r", str(ROOT / "docs" / "example"), str(example)], check=True)
    code = "import sys; from mypy.api import run; out, err, code = run(sys.argv[1:]); print(out, err); sys.exit(code)"
    options = ["--strict", "--follow-imports", "silent", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-c", code, *options, "demand_limit.py", "tests"],
        cwd=example, env=os.environ | {"MYPYPATH": f"{ROOT}:."}, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def installed() -> str:
    from importlib.metadata import entry_points

    return " ".join(each.name for each in entry_points(group="pytest11"))


def test_a_start_is_cheap(tmp_path: Path) -> None:
    engine = Engine().start()
    try:
        taken = []
        for n in range(40):
            bridge = Bridge(engine, tmp_path / f"{n}", {}, Impatient())
            began = perf_counter()
            bridge.start()
            taken.append(perf_counter() - began)
            bridge.stop()
            if taken[-1] < START_S:
                break
    finally:
        engine.stop()
    assert min(taken) < START_S, (
        taken
    )  # the machine may be busy with other tests; a start that never comes near is slow


@pytest.mark.timeout(400)
def test_the_example_project_in_a_fresh_virtual_environment(tmp_path: Path) -> None:
    wheel = pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT))
    assert wheel.returncode == 0, wheel.stdout + wheel.stderr
    (built,) = tmp_path.glob("ems_bridge-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    fresh = str(tmp_path / "venv" / "bin" / "python")
    pins = re.findall(r"^([\w.-]+==[^\\\n]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    (tmp_path / "pins.txt").write_text("\n".join(pins))
    done = pip(fresh, "install", "-c", str(tmp_path / "pins.txt"), str(built), "pytest")
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("needs a package index")
    assert done.returncode == 0, done.stderr
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    example = tmp_path / "example"
    subprocess.run(["cp", "-r", str(ROOT / "docs" / "example"), str(example)], check=True)
    ran = subprocess.run(
        [fresh, "-m", "pytest", "-q", "-W", "error"],
        cwd=example,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "5 passed" in ran.stdout


def pip(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "-m", "pip", *arguments, "-q"], capture_output=True, text=True, timeout=300, check=False
    )
