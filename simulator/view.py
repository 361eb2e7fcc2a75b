"""A run as a terminal shows it: rates, states, faults, phases, times."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from rich.table import Table

from simulator.counters import Summary
from simulator.faults import HONEST
from simulator.options import Options
from simulator.run import Run

RATE_S: Final = 5.0
"""Rates are means over so long."""


class View:
    """What is shown; each look adds to what rates are taken from."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._asked = run.asked
        self._seen: deque[Summary] = deque()

    def table(self) -> Table:
        """How it stands now."""
        found = self._run.outcome()
        now = found.summary
        published, acked = self._rates(now)
        table = Table(title=f"{now.devices} devices at {address(self._asked)}, seed {now.seed}", show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("time", self._time(now.seconds, found.simulated))
        table.add_row("devices", f"{now.online} online, {now.connecting} connecting, {now.offline} offline")
        table.add_row(
            "connections",
            f"{now.connects}, {now.reconnects} again, {now.refused} refused, {now.connect_failures} failed",
        )
        table.add_row("published", f"{now.published} ({published:.0f}/s), {now.pending} pending, {now.dropped} dropped")
        table.add_row("acknowledged", f"{now.acked} ({acked:.0f}/s), {now.resent} sent again")
        table.add_row("latency", f"p50 {_ms(now.ack_p50_ms)}, p99 {_ms(now.ack_p99_ms)}, worst {_ms(now.ack_max_ms)}")
        table.add_row("behind time", f"{now.late_max_s:.1f} s at worst")
        table.add_row("commands", f"{now.commands} came, {now.answers} answered")
        table.add_row("faults", self._faults())
        if stages := self._asked.scenario.stages:
            on = ", ".join(found.phases) or "none"
            table.add_row("phases", f"{on} ({len(found.begun)} of {len(stages)} have begun)")
        if self._asked.scenario.commands:
            table.add_row(
                "platform", ", ".join(f"{name} {n}" for name, n in found.commands.items() if n) or "none sent"
            )
        if now.last_problem:
            table.add_row("last problem", now.last_problem)
        return table

    def _time(self, seconds: float, simulated: str) -> str:
        whole = "" if self._asked.duration_s is None else f" of {self._asked.duration_s:.0f}"
        return f"{seconds:.0f}{whole} s, simulated {simulated} (×{self._asked.time_scale:g})"

    def _faults(self) -> str:
        behaviours = [member.behaviour for member in self._run.fleet.members.values()]
        counted = Counter(name for each in behaviours if each != HONEST for name in each.names())
        return ", ".join(f"{name} {count}" for name, count in counted.most_common()) or "none"

    def _rates(self, now: Summary) -> tuple[float, float]:
        """Published and acknowledged in a second."""
        self._seen.append(now)
        while now.seconds - self._seen[0].seconds > RATE_S:
            self._seen.popleft()
        first = self._seen[0]
        passed = max(now.seconds - first.seconds, 1e-9)
        return (now.published - first.published) / passed, (now.acked - first.acked) / passed


def address(asked: Options) -> str:
    """Of the broker."""
    return f"{asked.broker[0]}:{asked.broker[1]}"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"
