"""One table of kinds: what follows from a row follows for every row, and nobody else knows a kind by its name."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.core.permissions import Permissions
from bridge.core.principal import Principal
from bridge.core.registry import Registry
from bridge.store.database import Database
from schemas import export, kinds
from schemas.kind import Kind
from schemas.topics import Topics

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "bridge").rglob("*.py"))
BODIES = json.loads((ROOT / "tests" / "data" / "commands.json").read_text("utf-8"))
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text("utf-8")

NAMES = {name for kind in kinds.KINDS for name in (kind.feature, kind.suffix, kind.type, *kind.aliases)}
SCHEMAS = export.jsonschemas()
PAIRS = {f"{kind.feature}/{kind.action}" for kind in kinds.KINDS}

ALLOWED = {
    ("bridge/core/events.py", "alarm"): "the sort of event that listeners ask for; the table's column `event` names it",
    ("bridge/client/http.py", "alarm"): "the same",
    ("bridge/config/settings.py", "alarm"): "the same, of webhooks",
    ("bridge/http/belimo_stream.py", "alarm"): "the same, of changes",
    ("bridge/http/plots.py", "alarm"): "the same, in the column `event`",
    ("bridge/testing/fleet.py", "streaming_overdemand"): "whose strategies are shown unless a test says otherwise",
    ("bridge/cloud/statistics_asked.py", "charge"): "what yiqikong calls the cost of energy",
    ("bridge/http/statistics_shapes.py", "charge"): "the same, in the OpenAPI document",
    ("bridge/core/ingest.py", "report"): "the ledger's statement for any stored message",
    ("bridge/store/ledger.py", "report"): "the same statement's name",
    ("bridge/cli/send.py", "streaming_overdemand/create"): "the example in a usage error",
    ("bridge/app/demo.py", "streaming_overdemand/create"): "the command line that the demo prints for pasting",
}
"""(file, name) -> why it may stand there."""


def texts(path: Path) -> Iterator[str]:
    """Every string of a source file but docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def named(text: str) -> set[str]:
    """The kinds' names that a string is or, where they are unmistakable, holds."""
    return {text} & NAMES | {pair for pair in PAIRS if re.search(rf"(?<!\w){pair}(?!\w)", text)}


def test_no_kind_is_known_by_name_outside_the_table() -> None:
    found = {(str(path.relative_to(ROOT)), name) for path in SOURCES for text in texts(path) for name in named(text)}
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "text", ["alarm", "charge_create", "ota/upgrade", "v1/x/ota/upgrade", "send D1 safety/sync now"]
)
def test_a_name_is_seen(text: str) -> None:
    assert named(text)


def test_there_is_a_good_body_for_every_command_that_carries_one() -> None:
    wanted = {f"{kind.feature}/{kind.action}": kind for kind in kinds.KINDS if kind.kind == "command" and kind.data}
    assert set(BODIES) == set(wanted)
    for name, kind in wanted.items():
        assert kind.data_strict(BODIES[name]) is not None


@pytest.mark.parametrize("kind", kinds.KINDS, ids=repr)
def test_a_row_is_documented(kind: Kind) -> None:
    """In the table of docs/protocol.md, and in both contract documents."""
    cells = [line.split("|")[1].split("(")[0].strip() for line in PROTOCOL.splitlines() if line.startswith("| ")]
    assert any(names(cell, kind) for cell in cells), f"{kind} is missing from docs/protocol.md"
    assert kind.key in SCHEMAS


def names(cell: str, kind: Kind) -> bool:
    """Whether a cell such as `device_info, elemeter_info/sync, list` names the kind."""
    features, _, actions = cell.partition("/")
    return kind.feature in features.split(", ") and kind.action in actions.split(", ")


async def test_permissions_follow_from_the_kind_of_the_topic(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    try:
        registry = Registry(database)
        await registry.add_device("D1", "PK", "T")
        await registry.refresh()
        permissions = Permissions(registry, Topics())
        device, platform = Principal("device", "D1"), Principal("account", "p", frozenset({("wudun", "PK")}))
        stranger = Principal("account", "s", frozenset({("wudun", "other")}))
        for kind in kinds.KINDS:
            for suffix in (kind.suffix, *kind.also):
                topic = f"v1/wudun/PK/D1/{suffix}"
                address = permissions.topics.parse(topic)
                assert address is not None
                down = kind.kind == "command"
                at = registry.device("D1")
                assert permissions.may_publish(device, address, at) is not down
                assert permissions.may_publish(platform, address, at) is down
                assert not permissions.may_publish(stranger, address, at)
                assert permissions.may_read(device, topic)
                assert permissions.may_read(platform, topic)
                assert not permissions.may_read(stranger, topic)
    finally:
        await database.close()
