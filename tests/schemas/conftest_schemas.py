"""The vendor's samples and one good message of each family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).parent.parent / "data"


class VendorSample(NamedTuple):
    file: str
    suffix: str
    payload: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.payload)


def vendor_samples() -> list[VendorSample]:
    """Every sample under tests/data, byte for byte."""
    found = []
    for row in json.loads((DATA / "index.json").read_text("utf-8")):
        text = (DATA / row["file"]).read_text("utf-8")
        found.append(VendorSample(row["file"], row["topic_suffix"], text.encode()))
    return found


COMMAND_DATA: dict[str, Any] = json.loads((DATA / "commands.json").read_text("utf-8"))
"""A good body for every command that carries one, by `feature/action`."""

MID = "ee2e8f09-b280-4e4d-bcb9-1529b703cfed"
NOW = 1_705_980_251_899


def message(type_: str, data: Any = None, **more: Any) -> dict[str, Any]:
    """An envelope; `data` left out when None."""
    body: dict[str, Any] = {"mid": MID, "type": type_, "device_uid": "EMS001", "timestamp": NOW, **more}
    if data is not None:
        body["data"] = data
    return body


def limit(**changes: Any) -> dict[str, Any]:
    """An over-demand limit as a sender writes it."""
    return {
        "ele_meter_id": 9,
        "over_demand_status": 1,
        "streaming_status": 1,
        "individual_phase_streaming_status": 2,
        "over_demand_condition": [2000] * 12,
        "dynamic_demand_percentage": 80,
    } | changes
