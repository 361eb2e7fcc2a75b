"""The house of core_house, with two devices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from core_house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = await House(tmp_path / "bridge.db").open()
    await made.registry.add_device("D1", "PK", "T")
    await made.registry.add_device("D2", None, "T")
    try:
        yield made
    finally:
        await made.close()
