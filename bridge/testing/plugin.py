"""The pytest plugin (entry point `ems_bridge`): a bridge, devices, a sink and a held clock as fixtures. docs/testing.md is
its manual.

This module imports nothing but pytest; the rest comes with the first fixture that a test asks for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.testing.bridge import Bridge
    from bridge.testing.bridges import Bridges
    from bridge.testing.clock import Clock
    from bridge.testing.engine import Engine
    from bridge.testing.fleet import Fleet
    from bridge.testing.sink import Sink

MARK, CLOCK_MARK = "ems_bridge", "ems_clock"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", 'ems_bridge(settings): settings of the bridge of this test, as {"commands.timeout_s": 3}'
    )
    config.addinivalue_line("markers", 'ems_clock(start): when the held clock stands, as "2026-06-15T00:00:00+08:00"')


@pytest.fixture(scope="session")
def _ems_engine() -> Iterator[Engine]:
    from bridge.testing.engine import Engine

    engine = Engine().start()
    try:
        yield engine
    finally:
        engine.stop()


@pytest.fixture
def ems_bridge_settings() -> dict[str, object]:
    """Settings of the bridge, by dotted key. Override it in a conftest.py or a module; the mark goes before it."""
    return {}


@pytest.fixture
def ems_clock(request: pytest.FixtureRequest) -> Clock:
    """A clock that stands still until `ems_clock.advance(seconds)`; bridge and devices of the test go by it. It stands at the
    present, or where the mark `ems_clock` says."""
    from bridge.testing.clock import Clock

    mark = request.node.get_closest_marker(CLOCK_MARK)
    return Clock(*mark.args, **mark.kwargs) if mark else Clock()


@pytest.fixture
def ems_sink(_ems_engine: Engine) -> Iterator[Sink]:
    """A real HTTP sink, to which the bridge of the test posts its readings."""
    from bridge.testing.sink import Sink

    sink = Sink(_ems_engine)
    sink.up()
    try:
        yield sink
    finally:
        sink.down()


@pytest.fixture(scope="session")
def ems_bridges(_ems_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Bridges:
    """For fixtures of a wider scope: `with ems_bridges({"commands.timeout_s": 3}) as bridge` is a bridge while that lasts."""

    @contextmanager
    def bridges(settings: Mapping[str, object] | None = None, clock: Clock | None = None) -> Iterator[Bridge]:
        from bridge.testing.bridge import Bridge
        from bridge.testing.clock import Impatient

        bridge = Bridge(
            _ems_engine, tmp_path_factory.mktemp("ems") / "ems-bridge", settings or {}, clock or Impatient()
        )
        with _running(bridge):
            yield bridge

    return bridges


@pytest.fixture
def ems_bridge(
    request: pytest.FixtureRequest, tmp_path: Path, _ems_engine: Engine, ems_bridge_settings: dict[str, object]
) -> Iterator[Bridge]:
    """A running bridge on free ports with an empty data directory."""
    from bridge.testing.bridge import Bridge
    from bridge.testing.clock import Impatient

    settings = dict(ems_bridge_settings)
    for mark in reversed(list(request.node.iter_markers(MARK))):
        settings |= dict(*mark.args, **mark.kwargs)
    if "ems_sink" in request.fixturenames:
        sink: Sink = request.getfixturevalue("ems_sink")
        sinks: Any = settings.get("mirror.sinks", [])
        settings["mirror.sinks"] = [*sinks, sink.settings()]
    clock = request.getfixturevalue("ems_clock") if "ems_clock" in request.fixturenames else Impatient()
    with _running(Bridge(_ems_engine, tmp_path / "ems-bridge", settings, clock)) as bridge:
        yield bridge


@pytest.fixture
def ems_fleet(ems_bridge: Bridge) -> Iterator[Fleet]:
    """Simulated devices at the bridge of the test: none until it is called."""
    from bridge.testing.fleet import Fleet

    fleet = Fleet(ems_bridge)
    yield fleet
    fleet.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A test that failed shows the last messages of its devices."""
    _ = item
    report: Any = yield
    if report.failed:
        for bridge in _bridges:
            if bridge.http:
                report.sections.append(("ems_bridge: devices and messages", bridge.report()))
    if call.when == "teardown":
        _bridges[:] = [bridge for bridge in _bridges if not bridge.is_over]
    return report


@contextmanager
def _running(bridge: Bridge) -> Iterator[Bridge]:
    _bridges.append(bridge)
    try:
        yield bridge.start()
    finally:
        bridge.stop()


_bridges: list[Bridge] = []
"""Those of the test that runs: its own, and those of its module and session."""
