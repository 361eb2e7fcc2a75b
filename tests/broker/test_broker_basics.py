from __future__ import annotations

from broker_rig import rig


async def test_smoke() -> None:
    async with rig() as r:
        async with r.client("a") as a, r.client("b") as b:
            assert await a.subscribe(("x/#", 1), ("y", 2)) == [1, 2]
            await b.publish("x/1", b"one", 1)
            assert await a.message() == ("x/1", b"one", 1, 1, False, False)
            await b.publish("y", b"two", 2)
            assert await a.message() == ("y", b"two", 2, 2, False, False)
