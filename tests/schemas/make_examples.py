"""Writes schemas/examples.json anew from tests/data: `python tests/schemas/make_examples.py`. A test says when that is due."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conftest_schemas import COMMAND_DATA, message, vendor_samples

from schemas.kind import Kind
from schemas.kinds import KINDS, resolve

FILE = Path(__file__).resolve().parents[2] / "schemas" / "examples.json"
BODIES: dict[str, Any] = {
    "charge/by_node/result": {"policy_id": 1},
    "ota/upgrade/result": {"status": 4},
}
"""Of results that have no twin."""
REPLY = "0b2f6a3c-8a2e-4c35-9c5c-0d0f6f9a4b11"


def made() -> dict[str, list[tuple[str, Any]]]:
    found: dict[str, list[tuple[str, Any]]] = {kind.key: [] for kind in KINDS}
    for sample in vendor_samples():
        kind, _ = resolve(sample.suffix, sample.payload)
        found[kind.key].append((sample.file.removesuffix(".json"), sample.body))
    for kind in KINDS:
        if not found[kind.key]:
            found[kind.key].append(("", ours(kind, found)))
    return found


def ours(kind: Kind, found: dict[str, list[tuple[str, Any]]]) -> Any:
    """Where the vendor prints none: a command with a good body; else the body of a twin of the same sort."""
    if kind.kind == "command":
        return message(kind.type, COMMAND_DATA.get(f"{kind.feature}/{kind.action}"))
    data = None
    if kind.data is not None:
        twins = [twin for twin in KINDS if twin.feature == kind.feature and twin.data == kind.data]
        bodies = [body["data"] for twin in twins for _, body in found[twin.key] if "data" in body]
        data = bodies[0] if bodies else BODIES.get(kind.key) or COMMAND_DATA.get(f"{kind.feature}/set")
    answer = {"reply": REPLY, "code": 200} if kind.kind == "result" else {}
    return message(kind.type, data, **answer)


def text() -> str:
    rows = [
        f" {json.dumps(key)}: [\n  " + ",\n  ".join(json.dumps(list(row), ensure_ascii=False) for row in rows) + "\n ]"
        for key, rows in made().items()
    ]
    return "{\n" + ",\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
