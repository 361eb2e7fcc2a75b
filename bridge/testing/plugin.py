"""The pytest plugin (entry point `ems_bridge`): a bridge, devices, a sink and a held clock as fixtures. docs/testing.md is
its manual.

This module imports nothing but pytest; the rest comes with the first fixture that a test asks for.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.testing.bridge import Bridge
    from bridge.testing.clock import Clock
    from bridge.testing.engine import Engine
    from bridge.testing.fleet import Fleet
    from bridge.testing.sink import Sink

MARK = "ems_bridge"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", 'ems_bridge(settings): settings of the bridge of this test, as {"commands.timeout_s": 3}'
    )


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
def ems_clock() -> Clock:
    """A clock that stands still until `ems_clock.advance(seconds)`; bridge and devices of the test go by it."""
    from bridge.testing.clock import Clock

    return Clock()


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
    bridge = Bridge(_ems_engine, tmp_path / "ems-bridge", settings, clock)
    try:
        yield bridge.start()
    finally:
        bridge.stop()


@pytest.fixture
def ems_fleet(ems_bridge: Bridge) -> Iterator[Fleet]:
    """Simulated devices at the bridge of the test: none until it is called."""
    from bridge.testing.fleet import Fleet

    fleet = Fleet(ems_bridge)
    ems_bridge.at_end(fleet.stop)
    yield fleet
    fleet.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A test that failed shows the last messages of its devices."""
    report: Any = yield
    given = getattr(item, "funcargs", {})
    bridge: Bridge | None = given.get("ems_bridge")
    if report.failed and bridge is not None and call.when in ("call", "teardown"):
        fleet: Fleet | None = given.get("ems_fleet")
        if fleet is not None and len(fleet):
            report.sections.append(("ems_fleet", "\n".join(device.state() for device in fleet.concerned())))
        report.sections.append(("ems_bridge: messages", bridge.report(fleet.touched if fleet is not None else ())))
    return report
