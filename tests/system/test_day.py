"""`python -m benchmarks day` in small: two hours of forty devices with every kind of fault, and a ledger that balances."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.day import DAY, day

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


async def test_two_hours_of_a_faulty_fleet_balance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every message stored or a dead letter, every command one outcome, every reading at the sink once."""
    found = await day(tmp_path, hours=2, devices=40)
    assert [check.line() for check in found.wrong] == [], found.text()
    assert capsys.readouterr().out.splitlines() == [f"phase {part.name}" for part in DAY]
