"""A few seconds of what `make fuzz` does for minutes; the same inputs every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import broker, codec, decoders, openapi, service

SEED = "make test"


def test_codec() -> None:
    codec.run(50_000, SEED)


def test_whatever_reads_what_others_wrote(tmp_path: Path) -> None:
    decoders.run(20_000, SEED, tmp_path)


async def test_a_whole_broker() -> None:
    await broker.rounds(5 * broker.ROUND, SEED)


async def test_a_whole_broker_with_a_database(tmp_path: Path) -> None:
    await broker.rounds(2 * broker.ROUND, SEED, tmp_path / "bridge.db")


@pytest.mark.system
async def test_a_running_service(tmp_path: Path) -> None:
    await service.rounds(service.ROUND, SEED, tmp_path)


@pytest.mark.system
@pytest.mark.timeout(180)
def test_what_the_openapi_document_allows_and_does_not(tmp_path: Path) -> None:
    openapi.run(15, 1, tmp_path)
