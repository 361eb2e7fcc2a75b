"""Who gets in, and what they may touch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from core_house import BACKEND, DEVICE, STRANGER, House

from bridge.core.principal import Principal
from bridge.core.registry import Registry
from bridge.errors import Conflict, NotFound, Unprocessable
from bridge.store.database import Database


async def test_a_secret_opens_and_is_kept_only_as_a_hash(house: House) -> None:
    secret = await house.registry.add_device("D5", None, "T")
    assert len(secret) == 43
    assert await house.registry.authenticate("D5", secret) == Principal("device", "D5")
    assert await house.registry.authenticate("D5", secret[:-1]) is None
    await house.close()
    assert secret.encode() not in house.path.read_bytes()
    await house.open()


async def test_rotation_and_removal_end_the_old_secret_and_tell(house: House) -> None:
    ended: list[set[tuple[str, str]]] = []
    house.registry.changed = ended.append
    secret = await house.registry.add_device("D5", None, "T")
    fresh = await house.registry.rotate_device("D5")
    assert await house.registry.authenticate("D5", secret) is None
    assert await house.registry.authenticate("D5", fresh) is not None
    await house.registry.remove_device("D5")
    assert await house.registry.authenticate("D5", fresh) is None
    assert ended == [set(), {("device", "D5")}, {("device", "D5")}]
    with pytest.raises(NotFound):
        await house.registry.remove_device("D5")


async def test_accounts_by_key_and_by_chosen_password(house: House) -> None:
    secret = await house.registry.add_account("ops", [("user", "T")], password="correct horse")
    expected = Principal("account", "ops", frozenset({("user", "T")}))
    assert await house.registry.authenticate("ops", secret) == expected
    assert await house.registry.authenticate("ops", "correct horse") == expected
    assert await house.registry.authenticate("ops", "wrong horse") is None
    assert await house.registry.authenticate_key(secret) == expected
    assert await house.registry.authenticate_key("correct horse") is None


async def test_a_running_service_follows_another_process(house: House) -> None:
    other = Registry(house.database)
    secret = await other.add_device("D7", "PK", None)
    assert house.registry.device("D7") is None
    assert await house.registry.authenticate("D7", secret) == Principal("device", "D7")
    await other.remove_device("D7")
    await house.registry.refresh()
    assert house.registry.device("D7") is None


@pytest.mark.parametrize("uid", ["", "a/b", "a,b", "a b", "+", "#", "x" * 129, "ä", ".a", "a\x00"])
async def test_names_that_topics_or_urls_cannot_carry(house: House, uid: str) -> None:
    with pytest.raises(Unprocessable):
        await house.registry.add_device(uid, None, "T")


async def test_a_device_needs_an_owner_a_zone_that_exists_and_a_name_of_its_own(house: House) -> None:
    with pytest.raises(Unprocessable):
        await house.registry.add_device("D8")
    with pytest.raises(Unprocessable, match="time zone"):
        await house.registry.add_device("D8", None, "T", timezone="Mars/Olympus")
    with pytest.raises(Conflict):
        await house.registry.add_device("D1", None, "T")
    with pytest.raises(Conflict):
        await house.registry.add_account("D1", None)


@pytest.mark.parametrize(
    ("principal", "topic_filter", "granted"),
    [
        (DEVICE, "v1/user/T/D1/#", True),
        (DEVICE, "v2/wudun/PK/D1/+/+/command", True),
        (DEVICE, "bridge/v1/T/D1/error", True),
        (DEVICE, "v1/user/T/+/#", False),
        (DEVICE, "v1/user/T/D10/#", False),
        (DEVICE, "#", False),
        (BACKEND, "v1/user/T/#", True),
        (BACKEND, "v1/+/+/+/report/regular/post", True),
        (BACKEND, "v1/user/other/#", False),
        (BACKEND, "bridge/v1/other/#", False),
        (BACKEND, "bridge/v1/+/+/presence", True),
    ],
)
async def test_subscriptions(house: House, principal: Principal, topic_filter: str, granted: bool) -> None:
    assert house.permissions.may_subscribe(principal, topic_filter) is granted


@pytest.mark.parametrize(
    ("principal", "topic", "allowed"),
    [
        (BACKEND, "v1/user/T/D1/report/regular/post", True),
        (BACKEND, "v1/user/other/D1/report/regular/post", False),
        (STRANGER, "v1/user/T/D1/report/regular/post", False),
        (BACKEND, "bridge/v1/PK/D1/presence", True),
        (STRANGER, "bridge/v1/PK/D1/presence", False),
        (BACKEND, "some/other/topic", False),
        (DEVICE, "bridge/v1/T/D2/error", False),
        (Principal("account", "root", None), "v1/user/any/D9/report/regular/post", True),
    ],
)
async def test_deliveries(house: House, principal: Principal, topic: str, allowed: bool) -> None:
    assert house.permissions.may_read(principal, topic) is allowed


async def test_refreshes_that_overlap_never_go_back(house: House) -> None:
    seen: list[int] = []
    house.registry.changed = lambda _ended: seen.append(len(house.registry.devices()))
    for number in range(20):
        adding = house.registry.add_device(f"N{number}", "PK")
        await asyncio.gather(adding, *(house.registry.refresh() for _ in range(5)))
    assert seen == sorted(seen)
    assert len(house.registry.devices()) == 22


async def test_two_who_provision_at_once_see_each_others_devices(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "bridge.db", "bridge")
    one, other = Registry(database), Registry(database)
    ended: list[set[tuple[str, str]]] = []
    one.changed = ended.append
    await asyncio.gather(*((one, other)[number % 2].add_device(f"D{number}", "PK") for number in range(20)))
    await one.rotate_device("D0")
    assert ended[-1] == {("device", "D0")}
    await other.refresh()
    for registry in (one, other):
        assert [device.uid for device in registry.devices()] == sorted(f"D{number}" for number in range(20))
    assert one.device("D0") == other.device("D0")
    await database.close()
