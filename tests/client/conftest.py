"""The site that every test of the client talks to."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator

import pytest
from client_site import CONFIG, PK, TENANT, Served, Site, opened

from bridge.testing import Bridge as InProcess


@pytest.fixture
def config() -> str:
    """What a test may set otherwise by overriding this fixture."""
    return CONFIG


@pytest.fixture
def ems_bridge_settings(config: str) -> dict[str, object]:
    return {f"{table}.{key}": value for table, keys in tomllib.loads(config).items() for key, value in keys.items()}


@pytest.fixture
def served(request: pytest.FixtureRequest, config: str) -> Served:
    """A bridge in this process, or one of its own for a test that is marked `process`: it kills it."""
    if request.node.get_closest_marker("process") is not None:
        return Served.process(request.getfixturevalue("make_bridge")(config))
    bridge: InProcess = request.getfixturevalue("ems_bridge")
    bridge.device("FOREIGN", product_key="PK999")
    key = bridge.account("office", product_keys=[PK], tenants=[TENANT]).secret
    return Served.here(bridge, key)


@pytest.fixture
async def site(served: Served) -> AsyncIterator[Site]:
    async with opened(served) as made:
        yield made
