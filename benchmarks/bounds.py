"""What must be reached (issue "Speed", PERFORMANCE.md), and where in the results it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.figures import Bound
from benchmarks.peers import AMQTT, MOSQUITTO, NATS, RABBITMQ
from benchmarks.runs import Key, Results
from benchmarks.servers import DURABLE, ROUTING, Candidate
from benchmarks.studies import RATES, WINDOWS, paced, window

KIB = 1024
MANY = 1_000
IDLE = 10_000


class Line(NamedTuple):
    """One figure: its bound, and how it is read."""

    bound: Bound
    value: Callable[[Results], float | None]


def key(candidate: Candidate, phase: str, devices: int = MANY, idle: int = 0) -> Key:
    return Key(candidate.name, devices, idle, phase)


def against(ours: Key, theirs: Key, figure: str) -> Callable[[Results], float | None]:
    return lambda results: results.against(ours, theirs, figure)


def lines() -> list[Line]:
    return [*_routing(), *_durable(), *_latency(), *_connections(), *_idle()]


def verdicts(results: Results) -> list[tuple[Line, float | None]]:
    return [(line, line.value(results)) for line in lines()]


def _routing() -> list[Line]:
    found = []
    for phase in (window(20), paced(RATES[-1])):
        value = against(key(ROUTING, phase), key(MOSQUITTO, phase), "cpu_us")
        found.append(Line(Bound(f"routing only, CPU a message against Mosquitto, {phase}", 1.1, 1.0, most=True), value))
    value = against(key(ROUTING, window(1)), key(AMQTT, window(1)), "cpu_us")
    found.append(Line(Bound("routing only, CPU a message against amqtt, W=1", 1 / 30, 1 / 60, most=True), value))
    for size in WINDOWS:
        value = against(key(ROUTING, window(size)), key(MOSQUITTO, window(size)), "delivered_per_s")
        found.append(
            Line(Bound(f"routing only, delivered/s against Mosquitto without loss, W={size}", 1.0, 1.5), value)
        )
    return found


def _durable() -> list[Line]:
    found = []
    for peer, name, must, goal in (
        (MOSQUITTO, "Mosquitto in memory", 0.6, 1.0),
        (NATS, "NATS JetStream", 5.0, 10.0),
        (RABBITMQ, "RabbitMQ", 5.0, 10.0),
        (AMQTT, "amqtt", 50.0, 100.0),
    ):
        for size in WINDOWS:
            value = against(key(DURABLE, window(size)), key(peer, window(size)), "delivered_per_s")
            found.append(Line(Bound(f"validated + durable, delivered/s against {name}, W={size}", must, goal), value))
    for size in WINDOWS:
        many, few = key(DURABLE, window(size), 5_000), key(DURABLE, window(size), 100)
        bound = Bound(f"validated + durable, CPU a message at 5,000 devices against 100, W={size}", 1.5, 1.1, most=True)
        found.append(Line(bound, against(many, few, "cpu_us")))
    return found


def _latency() -> list[Line]:
    found = []
    for rate, must, goal in ((RATES[0], 10.0, 5.0), (RATES[1], 25.0, 10.0)):
        for figure, what in (("ack_p99_ms", "publish→PUBACK"), ("deliver_p99_ms", "publish→deliver")):
            place = key(DURABLE, paced(rate))
            bound = Bound(f"validated + durable, p99 {what} at {paced(rate)}", must, goal, "ms", most=True)
            found.append(Line(bound, _read(place, figure)))
    return found


def _connections() -> list[Line]:
    def value(figure: str) -> Callable[[Results], float | None]:
        many, few = key(DURABLE, "idle", idle=IDLE), key(DURABLE, "connected")

        def read(results: Results) -> float | None:
            found = results.value(many, figure)
            return results.value(few, figure) if found is None else found

        return read

    memory = value("connection_bytes")
    return [
        Line(Bound("connections/s, no TLS, each with its secret checked", 5_000, 20_000, "/s"), value("connections_per_s")),
        Line(
            Bound("memory of an idle connection", 12, 6, "KiB", most=True),
            lambda results: None if (found := memory(results)) is None else found / KIB,
        ),
    ]  # fmt: skip


def _idle() -> list[Line]:
    """10,000 idle connections beside 1,000 active ones, against the 1,000 alone; all as `how much worse`."""
    found = []
    for phase, figure, what, inverse in (
        (window(20), "delivered_per_s", "time a message, W=20", True),
        (paced(RATES[-1]), "cpu_us", f"CPU a message at {paced(RATES[-1])}", False),
        (paced(RATES[0]), "ack_p99_ms", f"p99 publish→PUBACK at {paced(RATES[0])}", False),
        (paced(RATES[-1]), "ack_p99_ms", f"p99 publish→PUBACK at {paced(RATES[-1])}", False),
    ):
        crowded, alone = key(DURABLE, phase, idle=IDLE), key(DURABLE, phase)
        value = against(alone, crowded, figure) if inverse else against(crowded, alone, figure)
        found.append(Line(Bound(f"10,000 idle connections beside: {what}", 1.3, 1.1, most=True), value))
    return found


def _read(place: Key, figure: str) -> Callable[[Results], float | None]:
    return lambda results: results.value(place, figure)
