"""What a backend reads: events, stored messages, readings, devices; by HTTP and, as it comes, by MQTT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest
from client_site import BOTH, EMU, USER, Site

from bridge.client import Event, HttpClient, Received
from bridge.client import shapes as ours
from bridge.client.sse import Parser
from bridge.errors import BridgeError, Denied, NotFound, Unprocessable
from bridge.http import shapes as theirs

T = TypeVar("T")
PATIENCE_S = 30.0


async def take(source: AsyncIterator[T], true: Any) -> T:
    """The first of `source` for which `true` holds; the source ends."""
    async with asyncio.timeout(PATIENCE_S):
        async for each in source:
            if true(each):
                await source.aclose()  # type: ignore[attr-defined]
                return each
    raise AssertionError("it ended")


async def test_events_as_they_come(site: Site) -> None:
    reading = await take(site.http.events(["reading"], device=BOTH), lambda event: True)
    assert (reading.type, reading.device) == ("reading", BOTH)
    assert reading.data["asset"].startswith(BOTH)
    told = asyncio.create_task(take(site.http.events(["command"]), lambda event: event.data["state"] == "succeeded"))
    done: list[str] = []
    while not told.done():
        done.append((await site.http.device(USER).safety.sync()).mid)
    assert told.result().data["mid"] in done
    with pytest.raises(NotFound):
        await take(site.http.events(device="NOBODY"), lambda event: True)
    with pytest.raises(Unprocessable):
        await take(site.http.events(["odd"]), lambda event: True)
    async with HttpClient(site.bridge.http, "wrong") as client:
        with pytest.raises(Denied):
            await take(client.events(), lambda event: True)


@pytest.mark.system
@pytest.mark.process
async def test_events_go_on_after_a_restart(site: Site) -> None:
    """With a word that some are missing."""
    seen: list[Event] = []
    first, gap = asyncio.Event(), asyncio.Event()

    async def follow() -> None:
        async for event in site.http.events(["reading"]):
            seen.append(event)
            first.set()
            if event.type == "lost":
                gap.set()
            if event.type == "reading" and gap.is_set():
                return

    following = asyncio.create_task(follow())
    await asyncio.wait_for(first.wait(), PATIENCE_S)
    await site.restart()
    await asyncio.wait_for(following, PATIENCE_S)
    assert [event.data for event in seen if event.type == "lost"] == [{"lost": None}]


def reports(seen: list[ours.Stored]) -> list[ours.Stored]:
    return [each for each in seen if each.suffix == "report/regular/post" and each.device == BOTH]


async def test_stored_messages_each_once(site: Site) -> None:
    """From where one stopped reading."""
    since, seen = 0, []
    async with asyncio.timeout(PATIENCE_S):
        while len(seen) < 30 or not reports(seen):
            async for message in site.http.messages(since=since):
                assert isinstance(message.seq, int)
                since = message.seq
                seen.append(message)
            await asyncio.sleep(0.05)
    assert len({message.mid for message in seen}) == len(seen)
    assert [message.seq for message in seen] == sorted(message.seq for message in seen)  # type: ignore[type-var]
    report = reports(seen)[0]
    kind, message = report.read()
    assert (kind.key, message.mid) == ("report/regular/post:v2", report.mid)
    assert isinstance(message.data[0], msgspec.Struct)
    only = [each.suffix async for each in site.http.messages(device=EMU, suffix="report/regular/post")]
    assert set(only) == {"report/regular/post"}


async def test_messages_as_they_come(site: Site) -> None:
    """On the owner's prefix, whichever scheme the device speaks."""

    def report(uid: str) -> Any:
        return lambda got: got.device == uid

    for uid, key, version in ((BOTH, "v2", "v2"), (USER, "v1", "v1"), (EMU, "emu", "v1")):
        got: Received = await take(site.mqtt.messages("report/regular/post", prefix="+/wudun/PK001"), report(uid))
        assert got.kind.key == f"report/regular/post:{key}"
        assert got.topic == f"{version}/wudun/PK001/{uid}/report/regular/post"
        assert got.message.data is not None
        assert got.lost == 0
    twin = await take(site.mqtt.messages(device=BOTH, prefix="v2/user/acme"), report(BOTH))
    assert twin.topic.startswith(f"v2/user/acme/{BOTH}/")
    with pytest.raises(Denied):
        await take(site.mqtt.messages(prefix="v1/wudun/PK999"), report("FOREIGN"))
    with pytest.raises(Unprocessable):
        await take(site.mqtt.messages("#/post"), report(BOTH))


@pytest.mark.system
@pytest.mark.process
async def test_messages_go_on_after_a_restart(site: Site) -> None:
    """Two readers of one filter, over the kill of the bridge; one may leave."""
    one, other = (site.mqtt.messages("report/regular/post", prefix="+/wudun/PK001") for _ in range(2))
    await asyncio.wait_for(anext(one), PATIENCE_S)
    await take(other, lambda got: True)
    await site.restart()
    after = datetime.now(UTC).timestamp() * 1000
    assert (await take(one, lambda got: got.message.timestamp > after)).lost == 0


async def test_devices_and_readings(site: Site) -> None:
    found = [device async for device in site.http.devices()]
    assert [device.uid for device in found] == ["EMS001", "EMS002", "EMS004", "EMU003"]
    online = {device.uid async for device in site.http.devices(online=True)}
    assert online == {BOTH, USER, EMU}
    async with asyncio.timeout(PATIENCE_S):
        while not (page := await site.http.readings(BOTH, newest=True, limit=5)).readings:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    detail = await site.http.show(BOTH)
    assert detail.presence.online
    assert "report/regular/post" in {message.suffix for message in detail.latest}
    newest = page.readings[0]
    assert newest.asset.startswith(BOTH)
    start = datetime.fromtimestamp(newest.timestamp / 1000, UTC)
    narrow = await site.http.readings(newest.asset, [newest.point], start=start, end=start + timedelta(seconds=1))
    assert newest in narrow.readings
    with pytest.raises(Unprocessable, match="zone"):
        await site.http.readings(BOTH, start=start.replace(tzinfo=None))
    with pytest.raises(NotFound):
        await site.http.show("a/../b")


async def test_not_open() -> None:
    with pytest.raises(BridgeError, match="not open"):
        await HttpClient("http://127.0.0.1:1").show("D1")


STREAM = (
    b'retry: 3000\n: hello\n\nevent: reading\ndata: {"a":1}\n\n\r\n: beat\n\nevent: command\r\ndata: {"device":"D1",\r\n'
    b'data: "b":"\xc3\xbc"}\r\nid: 7\r\n\r\ndata: {}\n\nevent: nothing\n\n'
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_in_pieces(size: int) -> None:
    parser = Parser()
    chunks = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == [
        Event("reading", {"a": 1}),
        Event("command", {"device": "D1", "b": "ü"}),
        Event("message", {}),
    ]


@pytest.mark.parametrize(
    "stream", [b"data: {\n\n", b"data: \xff\n\n", b"data: " + b"[" * 3_000 + b"\n\n"], ids=["cut", "binary", "deep"]
)
def test_a_stream_of_something_else(stream: bytes) -> None:
    with pytest.raises(BridgeError):
        list(Parser().feed(stream))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Presence", theirs.Presence),
        ("DeviceInfo", theirs.DeviceBody),
        ("DeviceDetail", theirs.DeviceDetail),
        ("Stored", theirs.StoredMessage),
        ("Step", theirs.Step),
        ("Command", theirs.CommandBody),
        ("Reading", theirs.ReadingBody),
        ("Readings", theirs.ReadingList),
    ],
)
def test_the_shapes_are_those_of_the_api(name: str, known: type[msgspec.Struct]) -> None:
    """The client reads no key that the bridge does not give."""
    shape = getattr(ours, name)
    wanted = {field.encode_name: field.type for field in msgspec.structs.fields(known)}
    assert set(shape.__struct_fields__) <= set(wanted)
    assert set(wanted) - set(shape.__struct_fields__) <= {"variant"}
