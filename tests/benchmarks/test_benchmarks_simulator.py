"""The part `simulator`, in small: that it finds a figure for every bound, and that a fleet of some dozens keeps them."""

from __future__ import annotations

import pytest

from benchmarks.simulator import BOUNDS, measured, planned, verdicts


@pytest.mark.system
def test_every_bound_has_a_figure() -> None:
    found = measured(devices=40, interval=2.0, ramp=200.0)
    assert found.keys() == set(BOUNDS._fields)
    assert [bound.text for bound, value in verdicts(found) if value is None] == []
    assert (found["lost"], found["ramp"] <= 1.1) == (0, True)


def test_a_plan_is_the_messages_of_all_reports() -> None:
    assert planned(6, 2.0) * 2.0 == sum(planned(n, 1.0) - planned(n - 1, 1.0) for n in range(1, 7))
    assert planned(600, 60.0) == pytest.approx(600 / 60 * 2.67, rel=0.05)
