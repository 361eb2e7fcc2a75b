"""The site that every test of the client talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from client_site import CONFIG, Site, opened
from harness.process import Bridge


@pytest.fixture
def config() -> str:
    """What a test may set otherwise by overriding this fixture."""
    return CONFIG


@pytest.fixture
async def site(make_bridge: Callable[..., Bridge], config: str) -> AsyncIterator[Site]:
    async with opened(make_bridge, config) as made:
        yield made
