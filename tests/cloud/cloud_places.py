"""Where a test's time series lie: each test runs over SQLite and over PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness.postgres import Cluster

from bridge.store.dialect import Postgres
from bridge.store.verify import verify
from bridge.store.verify_postgres import verify_postgres

Place = Path | Postgres
Places = Callable[[], Place]


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Each call gives a place of its own."""
    if request.param == "sqlite":
        return lambda: tmp_path_factory.mktemp("series") / "series.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.place


@pytest.fixture
def place(places: Places) -> Place:
    return places()


def problems(place: Place) -> list[str]:
    """What `ems-bridge verify` has to say of it, without the place."""
    found = verify_postgres(place) if isinstance(place, Postgres) else verify(place.parent)
    return [line.split(": ", 1)[1] for line in found]
