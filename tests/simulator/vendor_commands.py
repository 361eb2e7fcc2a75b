"""Commands to a simulated device, by the table of kinds: the vendor's own sample where there is one, else a good body."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from schemas import kinds
from schemas.kind import Kind
from simulator.identity import Version

DATA: Final = Path(__file__).parents[1] / "data"
BODIES: Final[dict[str, Any]] = json.loads((DATA / "commands.json").read_text("utf-8"))
SAMPLES: Final[dict[str, str]] = {
    row["topic_suffix"]: (DATA / row["file"]).read_text("utf-8")
    for row in json.loads((DATA / "index.json").read_text("utf-8"))
}
EMU_ONLY: Final = ("charge/setting",)
"""The page of the EMU's schedule. An EMU serves nothing else, an EMS everything else."""
_ORDER: Final = ("create", "by_node", "update", "delete", "update_all")


def served(version: Version) -> list[Kind]:
    """The kinds of a version: which the table has for it."""
    return [kind for kind in kinds.KINDS if _has(version, kind)]


def commands(version: Version) -> list[Kind]:
    """Its commands; a strategy is made before it is changed, and changed before it is deleted."""
    found = [kind for kind in served(version) if kind.kind == "command"]
    return sorted(found, key=lambda kind: _ORDER.index(kind.action) if kind.action in _ORDER else -1)


def body(kind: Kind, uid: str, cabinet: str, **changes: Any) -> dict[str, Any]:
    """The whole message, to `uid` and, where the sample names a sub-device, its first cabinet."""
    made: dict[str, Any] = {"type": kind.type, "timestamp": 1}
    if kind.suffix in SAMPLES:
        text = SAMPLES[kind.suffix].replace("${SUB_DEVICE_UID}", cabinet).replace('"${SUB_DEVICE_ID}"', "1")
        made = json.loads(text)
        made.pop("reply", None)
    elif f"{kind.feature}/{kind.action}" in BODIES:
        made["data"] = BODIES[f"{kind.feature}/{kind.action}"]
    return made | {"mid": str(uuid.uuid4()), "device_uid": uid} | changes


def flat(data: Any) -> Iterator[dict[str, Any]]:
    """One object or several."""
    yield from data if isinstance(data, list) else [data]


def _has(version: Version, kind: Kind) -> bool:
    if ":" in kind.key:
        return kind.key.endswith(f":{version}")
    return (version == "emu") == (f"{kind.feature}/{kind.action}" in EMU_ONLY)
