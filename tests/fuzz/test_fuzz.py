"""A few seconds of what `make fuzz` does for minutes; the same inputs every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import broker, codec, service

SEED = "make test"


def test_codec() -> None:
    codec.run(50_000, SEED)


async def test_a_whole_broker() -> None:
    await broker.rounds(5 * broker.ROUND, SEED)


async def test_a_whole_broker_with_a_database(tmp_path: Path) -> None:
    await broker.rounds(2 * broker.ROUND, SEED, tmp_path / "bridge.db")


@pytest.mark.system
async def test_a_running_service(tmp_path: Path) -> None:
    await service.rounds(service.ROUND, SEED, tmp_path)
