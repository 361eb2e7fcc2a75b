"""`make conformance`: what others wrote, against a real `ems-bridge serve`. Exit 1 when something failed.

PYTHONPATH=tests python -m conformance            everything, about four minutes
PYTHONPATH=tests python -m conformance suites     eclipse/paho.mqtt.testing
PYTHONPATH=tests python -m conformance clients    the clients, in both versions, over every way in
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from conformance import fetched, suites, table

PARTS = ("all", "suites", "clients")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="conformance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=PARTS, default="all")
    options = parser.parse_args()
    good = True
    if options.part in ("all", "suites"):
        good &= run_suites()
    if options.part in ("all", "clients"):
        good &= run_clients()
    return 0 if good else 1


def run_suites() -> bool:
    try:
        folder, what = fetched.paho()
    except fetched.NotThere as error:
        print(f"eclipse/paho.mqtt.testing: {error}", file=sys.stderr)
        return False
    print(f"eclipse/paho.mqtt.testing, {what}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ems-conformance-") as home:
        verdicts = suites.run(folder, Path(home))
    for verdict in verdicts:
        why = f"  because {verdict.why}" if verdict.outcome == "off" else ""
        print(f"  {verdict.file:16} {verdict.test:32} {verdict.outcome}{why}")
    for verdict in verdicts:
        if verdict.outcome == "failed":
            print(f"\n{verdict.file} {verdict.test}:\n{verdict.why}")
    for file in suites.FILES:
        mine = [verdict.outcome for verdict in verdicts if verdict.file == file]
        print(f"{file}: {mine.count('passed')} of {suites.TESTS[file]} passed, {mine.count('off')} off")
    return all(verdict.outcome in ("passed", "off") for verdict in verdicts)


def run_clients() -> bool:
    print("\nclients, one script each", flush=True)
    try:
        fetched.install("MQTT.js")
    except fetched.NotThere as error:
        print(f"  MQTT.js: {error}")
    made, good = table.run()
    print("", *made.lines(), *made.why, sep="\n")
    return good


if __name__ == "__main__":
    sys.exit(main())
