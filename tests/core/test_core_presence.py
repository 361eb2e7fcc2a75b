"""Who is there, as it is told and as it is kept."""

from __future__ import annotations

import json

from core_house import DEVICE, House
from test_core_ingest import meter

from bridge.core.presence import NEVER, Presence


def told(house: House) -> list[tuple[str, bool, str | None]]:
    """(topic, online, scheme) of every presence message so far; they are all retained."""
    found = [route for route in house.published if route.topics[0].endswith("/presence")]
    assert all(route.retain for route in found)
    found = [route for route in found if route.payload]
    bodies = [(route.topics[0], json.loads(route.payload)) for route in found]
    return [(topic, body["online"], body["scheme"]) for topic, body in bodies]


async def test_a_device_comes_speaks_and_goes(house: House) -> None:
    assert house.presences.get("D2") == NEVER
    house.presences.connected("D2")
    await house.publish(DEVICE._replace(name="D2"), "v2/user/T/D2/report/regular/post", meter())
    house.presences.disconnected("D2")
    await house.settle()
    topic = "bridge/v1/T/D2/presence"
    assert told(house) == [(topic, True, None), (topic, True, "user"), (topic, False, "user")]
    assert ("D2", False, house.now, "user") in await house.ledger.presences()


async def test_a_take_over_is_no_absence(house: House) -> None:
    house.presences.connected("D2")
    house.presences.connected("D2")
    house.presences.disconnected("D2")
    assert house.presences.get("D2").online
    assert house.presences.online() == 1


async def test_a_device_that_speaks_on_both_schemes_is_told_once(house: House) -> None:
    house.presences.connected("D1")
    for topic in ("v1/wudun/PK/D1", "v1/user/T/D1") * 3:
        await house.publish(DEVICE, f"{topic}/report/regular/post", meter())
    assert [scheme for _, _, scheme in told(house)] == [None, None, "wudun", "wudun"]


async def test_who_was_there_when_the_bridge_ended_is_away_since_it_began_again(house: House) -> None:
    house.presences.connected("D2")
    await house.settle()
    house = await house.again()
    house.now += 1_000
    house.presences.restore(await house.ledger.presences())
    assert house.presences.get("D2") == Presence(False, house.now, None)


async def test_a_presence_follows_the_device_to_its_owners(house: House) -> None:
    """What is retained stands under the present owners alone, also when they changed while the bridge was down."""
    house.registry.changed = lambda _ended: house.presences.moved()
    house.presences.connected("D2")
    await house.registry.describe_device("D2", "", ("wudun", "PK"))
    await house.settle()
    assert told(house)[-2:] == [("bridge/v1/PK/D2/presence", True, None), ("bridge/v1/T/D2/presence", True, None)]
    await house.registry.remove_device("D2")
    await house.settle()
    assert house.retained() == {}
    house.presences.disconnected("D2")
    await house.settle()
    assert house.retained() == {}
    stale = {"bridge/v1/old/D1/presence": b"{}", "bridge/v1/T/D1/presence": b"{}", "bridge/v1/T/D9/presence": b"{}"}
    house.presences.restore([("D1", True, 1, None)], stale)
    await house.settle()
    assert house.retained(stale).keys() == {"bridge/v1/PK/D1/presence", "bridge/v1/T/D1/presence"}
