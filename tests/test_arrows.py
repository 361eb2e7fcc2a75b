"""The arrows of docs/house.md, read from the document and held against every import of every product file."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("schemas", "bridge", "simulator")
FILES = sorted(path for top in PRODUCT for path in (ROOT / top).rglob("*.py"))

LEAVES = frozenset({"certificates", "counts", "errors", "quiet", "templates"})
"""Every room of `bridge` may import these (docs/house.md)."""

CONFIG = frozenset({"schemas"})
"""The only reader of files and environment: a composers' tool, so nobody else has an arrow to it."""

EVERYTHING = frozenset({"everything"})

OWNERS = {
    "aiohttp": {"http", "cloud", "mirror", "client"},
    "aiosqlite": {"store"},
    "psycopg": {"store"},
    "amqtt": {"broker"},
}
"""Libraries that only some rooms may know; the composers (app, cli, testing) may know all."""

PURE = {"mqtt": frozenset[str](), "schemas": frozenset({"msgspec"})}
"""Rooms whose third-party libraries are counted out."""

AMQTT_FILE = "bridge/broker/access"


def arrows() -> dict[str, frozenset[str]]:
    """Room -> rooms it may import, from the first fenced block of docs/house.md (`a, b -> c, d`, two columns)."""
    text = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    block = text.split("```")[1]
    found: dict[str, frozenset[str]] = {"config": CONFIG}
    for cell in re.split(r"\n|\s{3,}", block):
        if "->" not in cell:
            continue
        left, right = cell.split("->")
        targets = frozenset(plain(name) for name in right.split(","))
        for room in left.split(","):
            found[plain(room)] = targets
    return found


def plain(name: str) -> str:
    return name.strip().removeprefix("bridge.")


def room_of(module: str) -> str | None:
    """`bridge.store.writer` -> store, `schemas.kinds` -> schemas; None for what is not ours, "" for `bridge` itself."""
    parts = module.split(".")
    if parts[0] in ("schemas", "simulator"):
        return parts[0]
    if parts[0] == "bridge":
        return parts[1] if len(parts) > 1 else ""
    return None


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, absolute module) of every import statement of a file, wherever it stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    package = path.relative_to(ROOT).parent.parts
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            # `from bridge import store` names a room only in its alias.
            found += [(node.lineno, f"{module}.{alias.name}" if module == "bridge" else module) for alias in node.names]
    return found


def refused(path: Path, allowed: dict[str, frozenset[str]]) -> list[str]:
    """What this file imports against the arrows, one line each."""
    room = room_of(module_of(path)) or "__init__"
    if room == "__main__":
        room = "cli"
    wrong = []
    for line, module in imports(path):
        where = f"{path.relative_to(ROOT)}:{line}: {room} -> {module}"
        top = module.split(".")[0]
        target = room_of(module)
        if target is None:
            if top not in sys.stdlib_module_names and not may_use(room, top, path):
                wrong.append(where)
        elif not may_enter(room, target, allowed):
            wrong.append(where)
    return wrong


def may_enter(room: str, target: str, allowed: dict[str, frozenset[str]]) -> bool:
    if target in (room, ""):
        return True
    targets = allowed.get(room, frozenset())
    if targets == EVERYTHING:
        return True
    if target in LEAVES:
        return room not in (*PURE, "simulator", *(LEAVES if target != "errors" else ()))
    return target in targets


def may_use(room: str, library: str, path: Path) -> bool:
    if room in PURE:
        return library in PURE[room]
    if library == "amqtt":
        return str(path.relative_to(ROOT)).startswith(AMQTT_FILE)
    return library not in OWNERS or room in OWNERS[library] or room in ("app", "cli", "testing")


def test_the_document_names_every_room() -> None:
    rooms = {room_of(module_of(path)) for path in FILES} - {None, "", "__main__"}
    assert rooms - LEAVES <= set(arrows()), "a room without an arrow in docs/house.md"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    assert refused(path, arrows()) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("schemas", "import bridge.errors"),
        ("schemas", "import aiohttp"),
        ("bridge/mqtt", "import msgspec"),
        ("bridge/mqtt", "from bridge.core import record"),
        ("bridge/mqtt", "from bridge import counts"),
        ("bridge/store", "from bridge.core.record import Record"),
        ("bridge/store", "from ..broker import hub"),
        ("bridge/core", "import aiosqlite"),
        ("bridge/broker", "from bridge.store.database import Database"),
        ("bridge/broker", "from amqtt.client import MQTTClient"),
        ("bridge/client", "from bridge.http import shapes"),
        ("bridge/mirror", "def late():\n    from bridge.cloud import routes"),
        ("simulator", "from bridge.errors import BridgeError"),
    ],
)
def test_a_wrong_arrow_is_seen(room: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / room / "probe.py"
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    allowed = arrows()
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert len(refused(path, allowed)) == 1


def test_folders_are_at_most_two_deep() -> None:
    code = [path for path in FILES if ast.parse(path.read_text(encoding="utf-8")).body or path.name != "__init__.py"]
    assert [str(path) for path in code if len(path.parent.relative_to(ROOT).parts) > 2] == []


def test_a_file_is_one_idea() -> None:
    """HOUSE.md: a file that passes about 400 lines is two ideas."""
    counts = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in counts.items() if lines > 400} == {}
