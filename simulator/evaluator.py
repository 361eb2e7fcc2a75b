"""One evaluation in a process of its own: `python -m simulator.evaluator` reads {strategy, site, days} as JSON on stdin and
writes the Evaluation. It gives way to everything else on the machine. What is wrong was found before (`evaluate.check`)."""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec
from msgspec import Struct

from simulator.evaluate import evaluate

NICENESS = 10


class Asked(Struct, frozen=True):
    """What to evaluate."""

    strategy: Any
    site: dict[str, Any]
    days: int


def main() -> None:
    """Entry point."""
    os.nice(NICENESS)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    found = evaluate(asked.strategy, asked.site, asked.days)
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
