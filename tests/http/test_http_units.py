"""Pure parts of the window."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bridge.counts import Counts
from bridge.errors import Unprocessable
from bridge.http.health import CountsCollector
from bridge.http.times import milliseconds


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1717200000000", 1717200000000),
        ("2024-06-01T00:00:00Z", 1717200000000),
        ("2024-06-01T02:00:00+02:00", 1717200000000),
        ("2024-06-01T02:00:00 02:00", 1717200000000),
        ("2024-06-01 02:00:00+02:00", 1717200000000),
        ("2024-06-01T00:00:00.001Z", 1717200000001),
        ("2024-05-31T18:00:00-06:00", 1717200000000),
    ],
)
def test_times(text: str, at: int) -> None:
    assert milliseconds(text, "start") == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-06-01",
        "2024-06-01T00:00:00",
        "1717200000",
        "-5",
        "9" * 40,
        "１７１７２０００００００００",
        "2024-13-01T00:00:00Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        milliseconds(text, "start")
    assert caught.value.path == "?start"


def test_metrics_are_prometheus_text() -> None:
    counts = Counts()
    counts.add("ems_bridge_in", (("reason", 'a"b\nc'),), 2)
    counts.add("out")
    counts.gauge("ems_bridge_depth", lambda: 3, text="How deep")
    registry = CollectorRegistry()
    registry.register(CountsCollector(counts))
    text = generate_latest(registry).decode()
    assert 'ems_bridge_in_total{reason="a\\"b\\nc"} 2.0' in text
    assert "ems_bridge_out_total 1.0" in text
    assert "# HELP ems_bridge_depth How deep" in text
    assert "ems_bridge_depth 3.0" in text
