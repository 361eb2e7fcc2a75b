"""Probes and metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.counts import Counts, Labels
from bridge.errors import NotFound
from bridge.http.shapes import Health, Readiness
from bridge.http.table import Answer, Call, Route, json

PREFIX = "ems_bridge_"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def alive(_call: Call) -> Answer:
    """GET /healthz"""
    return Health("ok")


async def ready(call: Call) -> Answer:
    """GET /readyz"""
    reasons = {name: check() for name, check in call.receiving.ready.items()}
    if call.receiving.closing.is_set():
        reasons["running"] = "the server is stopping"
    checks = {name: reason or "ok" for name, reason in reasons.items()}
    states = [state for state in call.receiving.sinks() if state["kind"] == "sink"]
    sinks = {state["name"]: (state["failing"] or "ok").partition(":")[0] for state in states}
    body = Readiness(not any(reasons.values()), checks, sinks)
    return json(body, 200 if body.ready else 503)


async def metrics(call: Call) -> Answer:
    """GET /metrics"""
    if call.principal.kind == "device":
        raise NotFound("unknown_route", "metrics are for platform accounts")
    registry = CollectorRegistry()
    registry.register(CountsCollector(call.receiving.counts))
    ProcessCollector(registry=registry)
    return web.Response(body=generate_latest(registry), headers={"Content-Type": TEXT})


class CountsCollector(Collector):
    """The plain counters as Prometheus metrics."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """One family a name; counters get `_total`."""
        counters: defaultdict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for (name, labels), value in self._counts.values.copy().items():
            counters[name].append((labels, value))
        gauges: defaultdict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for (name, labels), read in self._counts.gauges.copy().items():
            gauges[name].append((labels, read()))
        for name, samples in sorted(counters.items()):
            yield _filled(CounterMetricFamily(_name(name), self._text(name), labels=_labels(samples)), samples)
        for name, samples in sorted(gauges.items()):
            yield _filled(GaugeMetricFamily(_name(name), self._text(name), labels=_labels(samples)), samples)

    def _text(self, name: str) -> str:
        return self._counts.help.get(name, name.removeprefix(PREFIX).replace("_", " "))


def _name(name: str) -> str:
    return name if name.startswith(PREFIX) else PREFIX + name


def _labels(samples: list[tuple[Labels, float]]) -> list[str]:
    """The label names of a family, in the order of their first use."""
    return list(dict.fromkeys(label for labels, _ in samples for label, _ in labels))


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, samples: list[tuple[Labels, float]]
) -> CounterMetricFamily | GaugeMetricFamily:
    names = _labels(samples)
    for labels, value in sorted(samples):
        given = dict(labels)
        family.add_metric([given.get(name, "") for name in names], value)
    return family


ROUTES = (
    Route("GET", "/healthz", alive, "The process lives", {200: (Health, "it does")}, open=True, tag="operation"),
    Route(
        "GET",
        "/readyz",
        ready,
        "Whether the service can do its work, with reasons",
        {200: (Readiness, "ready"), 503: (Readiness, "not ready")},
        open=True,
        tag="operation",
    ),
    Route(
        "GET",
        "/metrics",
        metrics,
        "Prometheus text",
        {200: ("text/plain", "metrics named ems_bridge_*")},
        tag="operation",
    ),
)
