"""`make bench`: the figures of PERFORMANCE.md that this version answers for, with ratios against the peers of the same run.

python -m benchmarks [--devices N] [--seconds S]    bounded to three minutes with the defaults
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import servers
from benchmarks.servers import ROOT

PACED = 5.0
"""Reports a second and device (issue "The main job runs": 1,000 devices at 5 msg/s)."""
P99_MS = 50.0

COLUMNS = (
    ("acked/s", "acked_per_s", "{:,.0f}"),
    ("p50 ms", "p50_ms", "{:.1f}"),
    ("p99 ms", "p99_ms", "{:.1f}"),
    ("behind", "behind", "{:,.0f}"),
    ("CPU µs/msg", "cpu_us", "{:.0f}"),
    ("RSS MB", "resident_mb", "{:.0f}"),
    ("conn/s", "connections_per_s", "{:,.0f}"),
)


def main() -> int:
    options = parser().parse_args()
    functions()
    with tempfile.TemporaryDirectory(prefix="ems-bench-") as home:
        return brokers(Path(home), options.devices, options.seconds)


def functions() -> None:
    """The two pure functions of the hot path, each by its own program."""
    for name in ("framing", "accept"):
        print(f"\n== benchmarks.{name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=True)


def brokers(home: Path, devices: int, seconds: float) -> int:
    """The same load against ours and the peers; 1 when the paced figure is missed."""
    paced = devices * PACED
    plans = [("paced", paced, seconds), ("saturated", 0.0, seconds / 2)]
    table: dict[tuple[str, str], dict[str, float]] = {}
    makers = [servers.bridge] + ([servers.mosquitto] if servers.binary("mosquitto") else [])
    for make in makers:
        for name, rate, length in plans:
            with make(home / f"{make.__name__}-{name}", devices) as server:
                table[server.name, name] = servers.load(server, rate=rate, seconds=length)
    print(f"\n== publish → PUBACK, {devices:,} devices, 918-byte reports, QoS 1, one subscriber")
    print(f"{'server':<22}{'load':<18}" + "".join(f"{title:>12}" for title, _, _ in COLUMNS))
    for (server_name, name), found in table.items():
        load = f"{paced:,.0f}/s" if name == "paced" else "saturated"
        cells = "".join(f"{form.format(found[key]):>12}" for _, key, form in COLUMNS)
        print(f"{server_name:<22}{load:<18}{cells}")
    ratios(table)
    return verdict(table["ems-bridge serve", "paced"], paced)


def ratios(table: dict[tuple[str, str], dict[str, float]]) -> None:
    ours = table["ems-bridge serve", "saturated"]
    for (server, name), found in table.items():
        if name == "saturated" and found is not ours:
            ratio = ours["acked_per_s"] / found["acked_per_s"]
            print(f"validated + durable against {server}: {ratio:.2f} × (must 0.6, goal 1.0)")


def verdict(found: dict[str, float], paced: float) -> int:
    good = found["p99_ms"] < P99_MS and not found["lost"] and found["acked_per_s"] > 0.98 * paced
    print(
        f"{paced:,.0f}/s validated and durable: p99 {found['p99_ms']:.1f} ms (must be < {P99_MS:.0f}), "
        f"{found['behind']:,.0f} unacknowledged at the end, {found['lost']:,.0f} lost: {'holds' if good else 'MISSED'}"
    )
    return 0 if good else 1


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    found.add_argument("--devices", type=int, default=1000)
    found.add_argument("--seconds", type=float, default=10.0)
    return found


if __name__ == "__main__":
    sys.exit(main())
