"""What a command in the docs claims, a test runs (HOUSE.md, rule 12); links resolve, commands and settings are documented."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import psutil
import pytest
from harness.process import ROOT, environment

from bridge.cli import cli as ems_bridge
from bridge.config import Config
from simulator.cli import app as ems_sim

DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
KINDS = {"", "background", "demo", "dry", "mosquitto"}
STEP_S = 60.0
LOOK_AGAIN_S = 20.0
QUERIES = ("curl ", "ems-bridge dead list")
"""What a reader would ask again: readings are there a second after the report, not with it."""
KEPT = ("SECRET", "KEY", "LIMIT", "PATH")
"""Variables of the README that live from one command to the next."""


class Block(NamedTuple):
    """A fence `console KIND`: commands, each with the lines that it must print (`…` for anything). One with a file's name, such
    as `python see.py`, is that file: its kind is `file`, its one step the name and the text."""

    kind: str
    steps: tuple[tuple[str, tuple[str, ...]], ...]


def blocks(path: Path) -> list[Block]:
    found = []
    page = path.read_text(encoding="utf-8")
    for language, kind, text in re.findall(r"^```(\w+) ?([\w.]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if language != "console":
            found += [Block("file", ((kind, (text,)),))] if kind else []
            continue
        assert kind in KINDS, f"{path.name}: fence `console {kind}`"
        steps: list[tuple[str, list[str]]] = []
        for line in text.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(line)
        found.append(Block(kind, tuple((command, tuple(lines)) for command, lines in steps)))
    return found


class Terminal:
    """The README's shells: one for what ends, one for each background command, in one directory with free ports."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: list[tuple[subprocess.Popen[bytes], Path]] = []
        self.ports = {"1883": free_port(), "8080": free_port()}
        self.state = home / "shell.env"
        self.state.touch()
        for name in ("tests", ".venv", "Makefile"):
            (home / name).symlink_to(ROOT / name)

    def run(self, command: str, expected: tuple[str, ...]) -> None:
        """Run to the end; variables stay for the next command."""
        keep = f"declare -p {' '.join(KEPT)} > {self.state} 2>/dev/null || true"
        script = f". {self.state}; set -e\n{self.local(command)}\n{keep}"
        deadline = time.monotonic() + (LOOK_AGAIN_S if command.startswith(QUERIES) else 0)
        while True:
            done = subprocess.run(
                ["bash", "-c", script], cwd=self.home, env=environment(), capture_output=True, text=True, timeout=STEP_S
            )
            said = done.stdout + done.stderr
            if found(tuple(self.local(line) for line in expected), said) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert done.returncode == 0, f"{command}\n{said}\n{self.said()}"
        assert found(tuple(self.local(line) for line in expected), said), f"{command}\n{said}\n{self.said()}"

    def start(self, commands: list[str], expected: tuple[str, ...]) -> subprocess.Popen[bytes]:
        """Start the last command behind the others; wait until it printed what it should, or is connected to a server."""
        output = self.home / f"background{len(self.running)}.log"
        *before, last = [self.local(command) for command in commands]
        script = "\n".join([f". {self.state}", "set -e", *before, f"exec {last}"])
        with output.open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=self.home, env=environment(), stdout=log, stderr=log, start_new_session=True
            )
        self.running.append((process, output))
        deadline = time.monotonic() + STEP_S
        while expected and not found(expected, output.read_text(encoding="utf-8")):
            assert process.poll() is None, f"{last}: exit {process.returncode}\n{self.said()}"
            assert time.monotonic() < deadline, f"{last}: never printed {expected}\n{self.said()}"
            time.sleep(0.05)
        while not expected and not talks(process.pid):
            assert process.poll() is None, f"{last}: exit {process.returncode}\n{self.said()}"
            assert time.monotonic() < deadline, f"{last}: never connected\n{self.said()}"
            time.sleep(0.05)
        return process

    def local(self, text: str) -> str:
        """The README's ports become free ones."""
        for port, instead in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(instead), text)
        return text

    def said(self) -> str:
        return "\n".join(f"-- {path.name}\n{path.read_text(encoding='utf-8')[-2000:]}" for _, path in self.running)

    def close(self) -> None:
        """End what runs, the last first; TERM, then KILL."""
        for process, _ in reversed(self.running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)


def found(expected: tuple[str, ...], said: str) -> bool:
    """Whether each expected line is a line of the output, in order; `…` stands for anything."""
    lines = iter(said.splitlines())
    return all(any(re.fullmatch(pattern(line), given.strip()) for given in lines) for line in expected)


def talks(pid: int) -> bool:
    """Whether the process has a connection."""
    found = psutil.Process(pid).net_connections(kind="tcp")
    return any(connection.status == psutil.CONN_ESTABLISHED for connection in found)


def pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.strip().split("…"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    try:
        yield opened
    finally:
        opened.close()


def walk(terminal: Terminal, path: Path, clients: bool) -> None:
    """Every block, top to bottom, as a reader would paste it; without `clients` not those for Debian's mosquitto-clients."""
    if not (ROOT / ".venv").exists():
        pytest.skip("needs the .venv that `make` makes")
    for block in blocks(path):
        if block.kind == "mosquitto" and not clients:
            continue
        if block.kind == "file":
            ((name, (text,)),) = block.steps
            (terminal.home / name).write_text(terminal.local(text), encoding="utf-8")
        if block.kind == "background":
            commands = [command for command, _ in block.steps]
            terminal.start(commands, tuple(terminal.local(line) for line in block.steps[-1][1]))
        elif block.kind in ("", "mosquitto"):
            for command, expected in block.steps:
                terminal.run(command, expected)


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_readme_runs(terminal: Terminal) -> None:
    clients = shutil.which("mosquitto_pub") is not None
    walk(terminal, ROOT / "README.md", clients)
    if clients:
        watched = [line for line in terminal.said().splitlines() if '"type":"report_regular"' in line]
        assert any("v1/wudun/PK001/EMS001/report/regular/post {" in line for line in watched), terminal.said()


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_page_from_device_to_backend_runs(terminal: Terminal) -> None:
    page = ROOT / "docs" / "client.md"
    clients = shutil.which("mosquitto_pub") is not None
    walk(terminal, page, clients)
    if not clients:
        return
    *_, post = [command for block in blocks(page) for command, _ in block.steps if command.startswith("mosquitto_pub")]
    wanted = (
        "message EMS001 v1/user/acme/EMS001/report/regular/post 1760000000000",
        "event reading EMS001",
        "event presence EMS001",
    )
    deadline = time.monotonic() + LOOK_AGAIN_S
    while not all(line in terminal.said() for line in wanted):
        assert time.monotonic() < deadline, terminal.said()
        terminal.run(post, ())  # the first one may have come before `follow.py` had subscribed


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_page_on_pandas_runs(terminal: Terminal) -> None:
    walk(terminal, ROOT / "docs" / "pandas.md", clients=False)
    assert (terminal.home / "power.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.system
def test_make_demo_runs_and_ends(tmp_path: Path) -> None:
    """`make demo` prints what the README says, and Ctrl-C ends it with nothing left behind."""
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("needs the .venv that `make` makes")
    (demo,) = [block for block in blocks(ROOT / "README.md") if block.kind == "demo"]
    ((command, expected),) = demo.steps
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        command.split(),
        cwd=ROOT,
        env=environment({"TMPDIR": str(scratch)}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "stored" in line and "online" in line:
                os.killpg(process.pid, signal.SIGINT)
                break
        said += process.communicate(timeout=30)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert found(expected, said), said
    assert "Traceback" not in said
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_dry_blocks_are_make_targets(path: Path) -> None:
    for block in blocks(path):
        for command, _ in block.steps if block.kind == "dry" else ():
            program, *targets = command.split()
            assert program == "make"
            done = subprocess.run(
                ["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_resolve(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    assert [link for link in links if link and "://" not in link and not (path.parent / link).exists()] == []


def commands(group: click.Group, name: str) -> Iterator[str]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}"


@pytest.mark.parametrize(
    ("name", "document"),
    [(name, "cli.md") for name in commands(ems_bridge, "ems-bridge")]
    + [(name, "simulator.md") for name in commands(ems_sim, "ems-sim")],
)
def test_a_command_is_documented(name: str, document: str) -> None:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    assert re.search(rf"{re.escape(name)}\b", text), f"{name} is not in docs/{document}"


def settings(struct: type[msgspec.Struct], path: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(struct):
        kind = inner(field.type)
        many = "[]" if kind and kind is not field.type else ""
        yield from settings(kind, f"{path}{field.name}{many}.") if kind else (f"{path}{field.name}",)


def inner(kind: object) -> type[msgspec.Struct] | None:
    """The Struct that a field holds, one or many."""
    for part in (kind, *getattr(kind, "__args__", ())):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
        if part is not kind and (found := inner(part)):
            return found
    return None


@pytest.mark.parametrize("name", list(settings(Config)))
def test_a_setting_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert f"| `{name}` |" in text, f"{name} is not in docs/configuration.md"
