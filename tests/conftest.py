"""Fixtures for every room: the real service as a process. Rooms keep their own fixtures beside their tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from harness.postgres import Cluster, started
from harness.process import Bridge
from harness.sink import Sink
from hypothesis import HealthCheck, settings

from bridge.testing import plugin

# Two cores shared by two test processes and what they start: how long an example takes says nothing about the code.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("project")

MakeBridge = Callable[..., Bridge]


def pytest_configure(config: pytest.Config) -> None:
    """Our own plugin, where the installed package does not bring it already."""
    if not config.pluginmanager.has_plugin("ems_bridge"):
        config.pluginmanager.register(plugin, "ems_bridge")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that failed shows what its processes said."""
    report: Any = yield
    if report.failed:
        for bridge in getattr(item, "funcargs", {}).get("bridges", []):
            report.sections.append((f"stderr of {bridge.home.name}", bridge.tail()))
    return report


@pytest.fixture
def bridges() -> Iterator[list[Bridge]]:
    """Every Bridge that this test made; all are killed at its end."""
    made: list[Bridge] = []
    try:
        yield made
    finally:
        for bridge in made:
            bridge.kill()


@pytest.fixture
def make_bridge(tmp_path: Path, bridges: list[Bridge]) -> MakeBridge:
    """`make_bridge(config="", name="bridge")` gives a Bridge that is not started yet."""

    def make(config: str = "", name: str = "bridge") -> Bridge:
        home = tmp_path / name
        home.mkdir()
        bridges.append(Bridge(home, config))
        return bridges[-1]

    return make


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that all tests of a process share, each in schemas of its own."""
    with started() as made:
        yield made


@pytest.fixture
def bridge(make_bridge: MakeBridge) -> Bridge:
    """A running service with an empty data directory and default settings."""
    return make_bridge().start()


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    """A running sink that accepts everything until told otherwise."""
    async with Sink() as running:
        yield running


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session
