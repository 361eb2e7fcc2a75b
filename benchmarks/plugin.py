"""What the pytest plugin costs a test: a start of `ems_bridge`, and one of 100 devices of `ems_fleet` until all that they say
first is stored.

    python -m benchmarks.plugin [--repeat R]

The first start of a session, with its imports, is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.figures import Bound
from bridge.testing.bridge import Bridge
from bridge.testing.clock import Impatient
from bridge.testing.engine import Engine
from bridge.testing.fleet import Fleet

DEVICES = 100
BOUNDS = {
    "bridge": Bound("pytest plugin: a start of ems_bridge, median", 150.0, 50.0, "ms", most=True),
    "fleet": Bound(
        f"pytest plugin: {DEVICES} devices of ems_fleet, connected and stored", 5_000.0, 2_000.0, "ms", most=True
    ),
}


def measured(repeat: int = 30, fleets: int = 3) -> dict[str, float]:
    """Medians, ms."""
    engine = Engine().start()
    starts, gathered = [], []
    try:
        with tempfile.TemporaryDirectory(prefix="ems-bench-") as home:
            for n in range(repeat + 1):
                bridge = Bridge(engine, Path(home) / str(n), {}, Impatient())
                began = perf_counter()
                bridge.start()
                starts.append((perf_counter() - began) * 1000)
                if n < fleets:
                    began = perf_counter()
                    Fleet(bridge)(DEVICES)
                    gathered.append((perf_counter() - began) * 1000)
                bridge.stop()
    finally:
        engine.stop()
    return {"bridge": median(starts[1:]), "fleet": median(gathered)}


def verdicts(found: dict[str, float]) -> list[tuple[Bound, float | None]]:
    """Each figure beside its bound."""
    return [(bound, found[name]) for name, bound in BOUNDS.items()]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plugin", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeat", type=int, default=30)
    print(*(bound.line(value) for bound, value in verdicts(measured(parser.parse_args().repeat))), sep="\n")


if __name__ == "__main__":
    main()
