"""`python -m simulator` is `ems-sim`."""

from __future__ import annotations

from simulator.cli import main

main()
