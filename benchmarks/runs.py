"""Runs of the load generator against one broker after the other, and what they found.

Repetitions are interleaved (ours, peer, ours, peer, …): a machine that grows slower meanwhile does so for all. A quotient is
taken inside one repetition.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.figures import middle, ratio
from benchmarks.load import CONNECT_S, Phase
from benchmarks.servers import ROOT, Candidate, Fleet

Found = dict[str, Any]


class Case(NamedTuple):
    """One broker under one load: `devices` publish, `idle` more are only there."""

    candidate: Candidate
    devices: int
    phases: tuple[Phase, ...]
    idle: int = 0


class Key(NamedTuple):
    """A place in the results."""

    broker: str
    devices: int
    idle: int
    phase: str


class Results:
    """Figures by key, one for each repetition; None where a run did not come so far."""

    def __init__(self) -> None:
        self.rounds = 0
        self.skipped: dict[str, str] = {}
        self.stopped: dict[tuple[str, int, int], str] = {}
        self._found: dict[Key, list[Found | None]] = {}

    def add(self, key: Key, round_: int, found: Found) -> None:
        self.rounds = max(self.rounds, round_ + 1)
        line = self._found.setdefault(key, [])
        line += [None] * (round_ + 1 - len(line))
        line[round_] = found

    def series(self, key: Key, figure: str) -> list[float | None]:
        """The figure of each repetition."""
        line = self._found.get(key, [])
        return [found.get(figure) if found else None for found in line] + [None] * (self.rounds - len(line))

    def value(self, key: Key, figure: str) -> float | None:
        """The median."""
        return middle(self.series(key, figure))

    def against(self, key: Key, other: Key, figure: str) -> float | None:
        """The median quotient of two places."""
        return ratio(self.series(key, figure), self.series(other, figure))

    def worst(self, key: Key, figure: str) -> float:
        return max((value for value in self.series(key, figure) if value is not None), default=0.0)

    def plain(self) -> list[Found]:
        """For a file: a line for each figure of each repetition."""
        return [
            {**key._asdict(), "round": number, **found}
            for key, line in self._found.items()
            for number, found in enumerate(line)
            if found
        ]


def run(cases: Sequence[Case], fleet: Fleet, home: Path, repeat: int, results: Results) -> None:
    """All cases, `repeat` times in turn."""
    for case in cases:
        missing = case.candidate.missing()
        if missing and case.candidate.name not in results.skipped:
            results.skipped[case.candidate.name] = missing
            tell(f"skipped: {case.candidate.name} needs {missing}")
    for round_ in range(repeat):
        for case in cases:
            if case.candidate.name not in results.skipped:
                once(case, fleet, home / "run", round_, results)


def once(case: Case, fleet: Fleet, home: Path, round_: int, results: Results) -> None:
    """One broker from its start to its end."""
    name, started = case.candidate.name, perf_counter()
    place = (name, case.devices, case.idle)
    shutil.rmtree(home, ignore_errors=True)
    try:
        with case.candidate.start(home, fleet) as server:
            plan = {
                "address": server.address,
                "pids": server.pids,
                "credentials": str(fleet.part(case.devices + case.idle)),
                "anonymous": case.candidate.anonymous,
                "idle": case.idle,
                "phases": [phase._asdict() for phase in case.phases],
            }
            for found in generate(plan, case.phases):
                event = found.pop("event")
                if event == "stopped":
                    results.stopped[place] = found["why"]
                else:
                    results.add(Key(*place, found.pop("name", event)), round_, found)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        results.stopped[place] = str(error).strip()[-400:]
    finally:
        shutil.rmtree(home, ignore_errors=True)
    load = f"{case.devices:,} devices" + (f" + {case.idle:,} idle" if case.idle else "")
    why = f": {results.stopped[place]}" if place in results.stopped else ""
    tell(f"{round_ + 1}  {name}, {load}, {perf_counter() - started:.0f} s{why}")


def generate(plan: dict[str, Any], phases: Iterable[Phase]) -> list[Found]:
    """What the generator says. Its own limits bound a run; this one is for a generator that hangs."""
    longest = 3 * CONNECT_S + sum(phase.warm_s + phase.seconds + phase.drain_s for phase in phases)
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(plan),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=longest,
        check=True,
    ).stdout
    return [json.loads(line) for line in said.splitlines()]


def tell(line: str) -> None:
    """Progress; the tables come at the end."""
    print(line, file=sys.stderr, flush=True)
