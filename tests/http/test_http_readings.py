"""Readings: what can be queried, as JSON and CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Window

START = 1_717_200_000_000
"""2024-06-01T00:00:00Z"""


async def fill(window: Window, rows: list[dict[str, Any]]) -> None:
    status, body, _ = await window.call("POST", "/ingest/v1/power", rows, headers={"Content-Type": "application/json"})
    assert (status, body["accepted"]) == (200, len(rows))


@pytest.fixture
async def filled(window: Window) -> Window:
    """D1.meter.7 with two points at five minutes, D2 with one."""
    rows = [
        {
            "asset": "D1.meter.7",
            "device": "D1",
            "timestamp": START + minute * 60_000,
            "values": {"p": minute, "q": -minute},
        }
        for minute in range(5)
    ]
    await fill(window, [*rows, {"asset": "D2", "point": "p", "timestamp": START, "value": 9, "unit": "kW"}])
    return window


async def test_assets_and_their_points(filled: Window) -> None:
    listed = await filled.get("/api/v1/assets")
    assert [(each["asset"], each["device"], each["points"]) for each in listed["assets"]] == [
        ("D1.meter.7", "D1", 2),
        ("D2", "D2", 1),
    ]
    assert listed["assets"][0]["first_at"] == START
    assert (await filled.get("/api/v1/assets?limit=1"))["next"] == "D1.meter.7"
    assert (await filled.get("/api/v1/assets?after=D1.meter.7"))["next"] is None
    shown = await filled.get("/api/v1/assets/D1.meter.7/points")
    assert [each["point"] for each in shown["points"]] == ["p", "q"]
    assert (await filled.call("GET", "/api/v1/assets/none/points"))[0] == 404


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("asset=D1.meter.7&point=p", [0, 1, 2, 3, 4]),
        ("asset=D1&point=p", [0, 1, 2, 3, 4]),
        ("device=D1&point=p&order=desc&limit=2", [4, 3]),
        (f"asset=D1&point=p&start={START + 60_000}&end={START + 180_000}", [1, 2]),
        ("asset=D1&point=p&start=2024-06-01T00:03:00Z", [3, 4]),
        ("asset=D1&point=p&start=2024-06-01T02:03:00%2B02:00", [3, 4]),
        ("asset=D1&point=p&start=2024-06-01T02:03:00+02:00", [3, 4]),
        ("asset=D1&point=p,q&limit=4", [0, 0, 1, -1]),
        ("asset=D1&point=none", []),
        ("asset=none", []),
    ],
)
async def test_queries(filled: Window, query: str, values: list[float]) -> None:
    body = await filled.get(f"/api/v1/readings?{query}")
    assert [each["value"] for each in body["readings"]] == values
    assert body["truncated"] is ("limit" in query)


@pytest.mark.parametrize(("query", "headers"), [("&format=csv", {}), ("", {"Accept": "text/csv"})])
async def test_csv(filled: Window, query: str, headers: dict[str, str]) -> None:
    status, raw, got = await filled.call("GET", f"/api/v1/readings?device=D2{query}", headers=headers)
    assert (status, got["Content-Type"]) == (200, "text/csv; charset=utf-8; header=present")
    rows = list(csv.reader(io.StringIO(raw.decode())))
    assert rows == [["asset", "point", "timestamp", "value", "unit"], ["D2", "p", str(START), "9.0", "kW"]]


async def test_csv_has_no_end_but_the_one_that_is_asked_for(window: Window) -> None:
    rows = [{"asset": "D1", "timestamp": START + at, "values": {"p": at}} for at in range(5_000)]
    await fill(window, rows)
    _, raw, _ = await window.call("GET", "/api/v1/readings?asset=D1&format=csv")
    assert raw.count(b"\n") == 5_001
    _, raw, _ = await window.call("GET", "/api/v1/readings?asset=D1&format=csv&limit=1500")
    assert raw.count(b"\n") == 1_501
    body = await window.get("/api/v1/readings?asset=D1")
    assert (len(body["readings"]), body["truncated"]) == (1_000, True)
