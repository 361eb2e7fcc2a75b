"""Lookups that share a hop."""

from __future__ import annotations

import asyncio

import pytest

from bridge.store.together import Together


class Slow:
    """A store that says what it was asked for, and answers when it is let."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = asyncio.Event()
        self.values = {"a": 1, "b": 2}
        self.broken = False

    async def fetch(self, keys: list[str]) -> dict[str, int]:
        self.calls.append(list(keys))
        await self.gate.wait()
        if self.broken:
            raise OSError("no disk")
        return {key: self.values[key] for key in keys if key in self.values}


async def begun(slow: Slow, calls: int) -> None:
    while len(slow.calls) < calls:  # noqa: ASYNC110 - a turn of the loop, no time
        await asyncio.sleep(0)


async def test_what_comes_meanwhile_goes_together() -> None:
    slow = Slow()
    together = Together(slow.fetch)
    first = asyncio.create_task(together.get("a"))
    await begun(slow, 1)
    others = [asyncio.create_task(together.get(key)) for key in ("b", "a", "c")]
    await asyncio.sleep(0)
    slow.values["a"] = 5  # who asks later sees what is there later
    slow.gate.set()
    assert await first == 5
    assert await asyncio.gather(*others) == [2, 5, None]
    assert slow.calls == [["a"], ["b", "a", "c"]]


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    slow = Slow()
    together = Together(slow.fetch)
    impatient, patient = (asyncio.create_task(together.get("a")) for _ in range(2))
    await begun(slow, 1)
    impatient.cancel()
    slow.gate.set()
    assert await patient == 1
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_failure_reaches_all_and_the_next_look_is_a_new_one() -> None:
    slow = Slow()
    slow.broken = True
    slow.gate.set()
    together = Together(slow.fetch)
    found = await asyncio.gather(together.get("a"), together.get("b"), return_exceptions=True)
    assert all(isinstance(error, OSError) for error in found)
    slow.broken = False
    assert await together.get("b") == 2
