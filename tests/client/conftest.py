"""The site that every test of the client talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from client_site import Site, opened
from harness.process import Bridge


@pytest.fixture
async def site(make_bridge: Callable[..., Bridge]) -> AsyncIterator[Site]:
    async with opened(make_bridge) as made:
        yield made
