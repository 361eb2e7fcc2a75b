"""What processes use, from /proc: CPU seconds of all their threads, resident bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

HERTZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """Of one or several processes together, so far."""

    cpu_s: float
    resident: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> Usage:
        cpu, resident = 0.0, 0
        for pid in pids:
            # The name of a process may hold spaces and parentheses: count fields from the last one.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            cpu += (int(fields[11]) + int(fields[12])) / HERTZ
            resident += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE
        return cls(cpu, resident)


def machine_cpu_s() -> float:
    """What all processes and interrupts of the machine used so far."""
    line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    user, nice, system, _idle, _waiting, *interrupts = line.split()[1:9]
    return sum(map(int, (user, nice, system, *interrupts))) / HERTZ
