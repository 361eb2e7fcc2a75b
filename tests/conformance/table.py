"""The table of clients: one line a (client, version), one column a way in, from pytest's reports."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from typing import NamedTuple

import pytest
from harness.process import ROOT

TESTS = ROOT / "tests" / "conformance" / "test_conformance_clients.py"
_NAME = re.compile(r".*\[(?P<client>.+)-(?P<version>3\.1\.1|5)-(?P<way>[^-]+)-(?P<step>[^-]+)\]$")


class Cell(NamedTuple):
    """What became of the steps of one client in one version over one way."""

    passed: list[str]
    failed: list[str]
    skipped: set[str]

    def __str__(self) -> str:
        if self.failed:
            return f"FAILED: {', '.join(self.failed)}"
        if self.passed:
            return f"{len(self.passed)} steps passed"
        return f"skipped: {', '.join(sorted(self.skipped))}"


class Table:
    """A plugin of pytest that gathers the cells."""

    def __init__(self) -> None:
        self.cells: defaultdict[tuple[str, str], dict[str, Cell]] = defaultdict(dict)
        self.why: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = _NAME.fullmatch(report.nodeid)
        if report.failed:
            self.why.append(f"{report.nodeid}\n{report.longreprtext[-3000:]}")
        if name is None or (report.passed and report.when != "call"):
            return
        cell = self.cells[name["client"], name["version"]].setdefault(name["way"], Cell([], [], set()))
        if report.failed:
            cell.failed.append(name["step"])
        elif report.skipped:
            cell.skipped.add(
                str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
            )
        else:
            cell.passed.append(name["step"])

    def lines(self) -> list[str]:
        return [
            f"  {client:10} MQTT {version:6} {way:20} {cell}"
            for (client, version), cells in self.cells.items()
            for way, cell in cells.items()
        ]


def run() -> tuple[Table, bool]:
    """(the table, whether nothing failed)."""
    table = Table()
    options = ["-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    with redirect_stdout(StringIO()):
        code = pytest.main([*options, str(TESTS)], plugins=[table])
    return table, code == pytest.ExitCode.OK
