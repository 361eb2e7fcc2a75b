"""The vendor's platform API: a read, and a command that goes to a device and back, one at a time and many.

    python -m benchmarks.vendor [--devices N] [--seconds S] [--window W] [--repeat R]

Devices and askers are those of benchmarks.commands: 1,000 devices that answer at once. The read is the charge strategies of
one device, of which each has one; the command is POST /pcs-control. `window` requests are under way at a time, each about
another device.
"""

from __future__ import annotations

import argparse

from benchmarks.commands import Request, Trips, benched, told

BASE = "/wad/ems/v1/api"
GOOD = b"HTTP/1.1 200 "
SLOT = {"start_hour": 1, "start_minute": 0, "end_hour": 5, "end_minute": 0, "cdc_enable_mode": 1, "run_power": 30}
SCHEDULE = {"charge_type": 1, "status": 1, "month": list(range(12)), "week_day": list(range(7)), "settings": [SLOT]}
CREATE = Request(
    "POST", lambda _device: f"{BASE}/charge-strategy", lambda device: {"device_uid": device, **SCHEDULE}, GOOD
)
READ = Request("GET", lambda device: f"{BASE}/charge-strategy?device_uid={device}", lambda _device: None, b'"total":1,')
COMMAND = Request(
    "POST", lambda _device: f"{BASE}/pcs-control", lambda device: {"device_uid": device, "command": 2}, GOOD
)


def run(devices: int, seconds: float, window: int) -> Trips:
    """One service, all four measurements."""
    with benched(devices) as (bench, pid):
        bench.each(window, CREATE)
        return {
            f"{name}, {size} at a time": bench.measure(bench.by_http(size, request), seconds, pid)
            for name, request in (("read", READ), ("command", COMMAND))
            for size in (1, window)
        }


def middle(repeat: int, seconds: float, devices: int = 1_000, window: int = 64) -> Trips:
    """The median of each figure."""
    print("\n== benchmarks.vendor", flush=True)
    return told([run(devices, seconds, window) for _ in range(repeat)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    middle(options.repeat, options.seconds, options.devices, options.window)


if __name__ == "__main__":
    main()
