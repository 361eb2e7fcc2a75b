"""What tests of the mirror start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from harness.influx import INFLUXD, Influx
from mirror_post import Post, opened


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    """One process for the tests of a file; each makes a database of its own."""
    if INFLUXD is None:
        pytest.skip("needs influxd")
    running = Influx(tmp_path_factory.mktemp("influx") / "home")
    yield running
    running.stop()
