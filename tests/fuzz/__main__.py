"""`make fuzz`: millions of inputs for the codec and for all other decoders, streams for a whole broker, clients for a running
service, and what its OpenAPI document allows and does not.

PYTHONPATH=tests python -m fuzz                                  all of them, some ten minutes
PYTHONPATH=tests python -m fuzz codec --count 10000000 --seed x  one, as long as you like
PYTHONPATH=tests python -m fuzz atheris --count 1000000          the codec led by coverage, where atheris is installed

What fails names its seed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import zlib
from pathlib import Path

from fuzz import broker, codec, decoders, openapi, service

PARTS = {
    "codec": 2_000_000,
    "decoders": 300_000,
    "broker": 300_000,
    "stored": 30_000,
    "service": 20_000,
    "openapi": 100,
}
"""How many of each by default. `stored` is the broker with a real database behind it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["all", *PARTS, "atheris"], default="all")
    parser.add_argument("--count", type=int, default=0, help="how many inputs (default: some minutes of them)")
    parser.add_argument("--seed", default=f"{time.time_ns():x}", help="to repeat a run")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    if options.part == "atheris":
        from fuzz import guided

        return guided.run(options.count)
    for part in PARTS if options.part == "all" else [options.part]:
        with tempfile.TemporaryDirectory(prefix="ems-fuzz-") as home:
            print(run(part, options.count or PARTS[part], options.seed, Path(home)), flush=True)
    return 0


def run(part: str, count: int, seed: str, home: Path) -> str:
    """One part; gives its line. Raises what it finds."""
    if part == "codec":
        return codec.run(count, seed)
    if part == "decoders":
        return decoders.run(count, seed, home)
    if part == "openapi":
        return openapi.run(count, zlib.crc32(seed.encode()), home)
    if part == "service":
        return asyncio.run(service.rounds(count, seed, home))
    return asyncio.run(broker.rounds(count, seed, home / "bridge.db" if part == "stored" else None))


if __name__ == "__main__":
    sys.exit(main())
