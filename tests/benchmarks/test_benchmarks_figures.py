"""Statistics and verdicts of the benchmarks. No timing here."""

from __future__ import annotations

import os

import pytest

from benchmarks import bounds, studies
from benchmarks.figures import Bound, middle, number, quantile, ratio, table
from benchmarks.runs import Key, Results
from benchmarks.servers import DURABLE
from benchmarks.usage import Usage, machine_cpu_s


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.99, 0), ([5], 0.5, 5), ([3, 1, 2], 0.5, 2), (range(1, 101), 0.99, 99), (range(1, 101), 1.0, 100), ([1, 2], 0, 1)],
)  # fmt: skip
def test_quantile(values: list[float], share: float, found: float) -> None:
    assert quantile(values, share) == found


def test_medians_and_ratios_leave_out_what_is_missing() -> None:
    assert middle([3.0, None, 1.0, 2.0]) == 2.0
    assert middle([None]) is None
    assert ratio([10, 20, None, 30], [5, 0, 1, 10]) == 2.5
    assert ratio([1], [None]) is None


def test_a_ratio_is_taken_inside_a_repetition() -> None:
    """The machine was half as fast the second time, for both."""
    results, ours, theirs = Results(), Key("a", 1, 0, "W=1"), Key("b", 1, 0, "W=1")
    for round_, speed in enumerate((1.0, 0.5, 1.0)):
        results.add(ours, round_, {"rate": 60 * speed})
        if round_ < 2:
            results.add(theirs, round_, {"rate": 100 * speed})
    assert results.series(theirs, "rate") == [100, 50, None]
    assert results.against(ours, theirs, "rate") == 0.6


@pytest.mark.parametrize(
    ("bound", "value", "verdict"),
    [
        (Bound("throughput", 0.6, 1.0), 0.6, "OK"),
        (Bound("throughput", 0.6, 1.0), 1.2, "goal"),
        (Bound("throughput", 0.6, 1.0), 0.59, "MISSED"),
        (Bound("latency", 10, 5, "ms", most=True), 10, "OK"),
        (Bound("latency", 10, 5, "ms", most=True), 4, "goal"),
        (Bound("latency", 10, 5, "ms", most=True), 10.1, "MISSED"),
        (Bound("latency", 10, 5, "ms", most=True), None, "not measured"),
    ],
)
def test_verdicts(bound: Bound, value: float | None, verdict: str) -> None:
    assert bound.verdict(value) == verdict
    assert bound.line(value).endswith(verdict)


def test_every_bound_can_be_read_from_results_that_are_empty() -> None:
    assert [value for _, value in bounds.verdicts(Results())] == [None] * len(bounds.lines())


def test_a_latency_bound_reads_its_place() -> None:
    results = Results()
    results.add(Key(DURABLE.name, 1_000, 0, "2,000/s"), 0, {"ack_p99_ms": 3.25})
    assert [value for _, value in bounds.verdicts(results) if value is not None] == [3.25]


def test_tables_show_loss() -> None:
    results, key = Results(), Key(DURABLE.name, 10, 0, "W=1")
    results.add(Key(DURABLE.name, 10, 0, "connected"), 0, {"connections": 10, "connections_per_s": 5000.0})
    results.add(key, 0, {"delivered_per_s": 1000.0, "cpu_us": 7.0, "sent": 100, "lost": 25})
    assert "1,000 (7) ✗25%" in studies.saturated(10, 0, results)


def test_numbers_and_tables() -> None:
    assert [number(value) for value in (1234.5, 12.34, 1.234)] == ["1,234", "12.3", "1.23"]
    assert table(["a", "b"], [["long", "1"]]) == "a     b\nlong  1"


def test_usage_of_this_process() -> None:
    found = Usage.of([os.getpid()])
    assert found.resident > 1_000_000
    assert 0 < found.cpu_s <= machine_cpu_s()
