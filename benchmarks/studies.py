"""Which broker runs under which loads, and the tables of what was found."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import number, table
from benchmarks.load import Phase
from benchmarks.peers import AEDES, AMQTT, MOSQUITTO, PEERS
from benchmarks.runs import Case, Key, Results, run, tell
from benchmarks.servers import DURABLE, OURS, ROUTING, Candidate, Fleet

RATES = (2_000, 10_000)
WINDOWS = (1, 20)
LONG, LONG_WARM_S, LONG_S = 20_000, 6.0, 8.0
"""More reports under way than that take seconds to go round once: acknowledged and delivered differ before they have."""
BUSY = 0.95
"""Of a core: more, and the generator has nothing left."""
DISTURBED = 0.2
"""Cores that were used by others than server and generator."""

CANDIDATES: dict[str, Candidate] = {each.key: each for each in (DURABLE, MOSQUITTO, ROUTING, *OURS, *PEERS)}
"""In the order of a repetition: those that are compared most stand side by side."""


def paced(rate: int) -> str:
    return f"{rate:,}/s"


def window(size: int) -> str:
    return f"W={size}"


def phases(candidate: Candidate, seconds: float, devices: int) -> tuple[Phase, ...]:
    """Fixed rates first: a saturated broker leaves work behind. Slow ones are not asked for what they cannot hold."""
    rates = RATES if not candidate.slow or candidate is AEDES else () if candidate is AMQTT else RATES[:1]
    length = min(seconds, 1.5) if candidate.slow else seconds
    drain = 2.0 if candidate.slow else 5.0
    fixed = tuple(Phase(paced(rate), rate, 20, 0.5, length, drain) for rate in rates)
    return fixed + tuple(
        Phase(window(size), 0.0, size, LONG_WARM_S, max(length, LONG_S), 2 * drain)
        if devices * size > LONG and not candidate.slow
        else Phase(window(size), 0.0, size, 0.5, length, drain)
        for size in WINDOWS
    )


def cases(keys: list[str], devices: int, seconds: float, idle: int = 0, *, fixed: bool = True) -> list[Case]:
    """A case for each broker; one for each phase of those that need a start for each."""
    found = []
    for key in keys:
        candidate = CANDIDATES[key]
        wanted = tuple(each for each in phases(candidate, seconds, devices) if fixed or not each.rate)
        parts = [(each,) for each in wanted] if candidate.slow else [wanted]
        found += [Case(candidate, devices, part, idle) for part in parts]
    return found


def measure(todo: list[Case], home: Path, repeat: int, results: Results) -> None:
    """All cases on fleets that are provisioned once."""
    size = max(case.devices + case.idle for case in todo)
    tell(f"provisioning {size:,} devices")
    run(todo, Fleet.make(home / f"fleet-{size}", size), home, repeat, results)


def everything(home: Path, repeat: int, seconds: float, results: Results) -> None:
    """What `make bench` measures."""
    few = [DURABLE.key, ROUTING.key, MOSQUITTO.key]
    todo = cases(list(CANDIDATES), 1_000, seconds)
    todo += cases(few, 100, seconds, fixed=False) + cases(few, 5_000, seconds, fixed=False)
    todo += cases([DURABLE.key, MOSQUITTO.key], 1_000, seconds, idle=10_000)
    measure(todo, home, repeat, results)


# Tables.


def report(todo: list[tuple[int, int]], results: Results) -> str:
    """The tables of each (devices, idle)."""
    parts = []
    for devices, idle in todo:
        beside = f" beside {idle:,} that are idle" if idle else ""
        parts += [
            f"\n{devices:,} devices{beside}, 918-byte reports at QoS 1, one subscriber that acknowledges",
            saturated(devices, idle, results),
        ]
        fixed = latencies(devices, idle, results)
        parts += ["", fixed] if fixed else []
    parts += [f"skipped: {name} needs {what}" for name, what in results.skipped.items()]
    for (name, devices, idle), why in results.stopped.items():
        parts.append(f"stopped: {name}, {devices:,} + {idle:,}: {why}")
    return "\n".join(parts)


def saturated(devices: int, idle: int, results: Results) -> str:
    head = ["saturated: delivered/s (server CPU µs)", *map(window, WINDOWS), "connections/s", "KiB a connection", "MB"]
    rows = []
    for each in CANDIDATES.values():
        place = (each.name, devices, idle)
        connected = Key(*place, "idle" if idle else "connected")
        if results.value(connected, "connections") is None:
            continue
        cells = [throughput(Key(*place, window(size)), results) for size in WINDOWS]
        memory = results.value(connected, "connection_bytes") or 0.0
        cells += [shown(results.value(connected, "connections_per_s")), f"{memory / 1024:.1f}"]
        cells.append(shown(results.value(Key(*place, window(WINDOWS[-1])), "resident_mb")))
        rows.append([each.name, *cells])
    return table(head, rows)


def latencies(devices: int, idle: int, results: Results) -> str:
    """Milliseconds at fixed rates: p50, p99 of publish→PUBACK and publish→deliver, and the server's CPU µs."""
    head = ["fixed rate: p50 / p99 ms"]
    for rate in RATES:
        head += [f"{paced(rate)} PUBACK", "deliver", "CPU µs"]
    rows = []
    for each in CANDIDATES.values():
        keys = [Key(each.name, devices, idle, paced(rate)) for rate in RATES]
        if all(results.value(key, "sent") is None for key in keys):
            continue
        cells = []
        for key, rate in zip(keys, RATES, strict=True):
            cells += [pair(key, "ack", results), pair(key, "deliver", results) + marks(key, results, rate)]
            cells.append(shown(results.value(key, "cpu_us")))
        rows.append([each.name, *cells])
    return table(head, rows) if rows else ""


def throughput(key: Key, results: Results) -> str:
    rate = results.value(key, "delivered_per_s")
    if rate is None:
        return "–"
    return f"{rate:,.0f} ({shown(results.value(key, 'cpu_us'))})" + marks(key, results)


def pair(key: Key, name: str, results: Results) -> str:
    low, high = (results.value(key, f"{name}_p{share}_ms") for share in (50, 99))
    return "–" if low is None or high is None else f"{number(low)} / {number(high)}"


def marks(key: Key, results: Results, rate: float = 0.0) -> str:
    """See LEGEND."""
    sent, delivered = results.worst(key, "sent"), results.value(key, "delivered_per_s") or 0.0
    missing = results.worst(key, "lost")
    found = f" ✗{max(missing / sent * 100, 1):.0f}%" if sent and missing else ""
    found += " …" if results.worst(key, "late") else ""
    if rate and delivered < 0.98 * rate:
        found += " <"
    if results.worst(key, "generator_cores") > BUSY and not rate:
        found += " g"
    if results.worst(key, "other_cores") > DISTURBED:
        found += " ~"
    return found


def shown(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


LEGEND = (
    "✗ lost · … under way when the run ended · < below the rate · g the generator's core was full too · ~ others were busy\n"
    "CPU µs are the server's own, all threads, a delivered message. Medians; quotients are taken within one repetition."
)
