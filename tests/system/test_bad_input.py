"""Bad input against the real process (issue "The main job runs", Bad input): the promised error, and the process lives on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import struct
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import aiohttp
import pytest
from harness import messages, wire
from harness.api import Api
from harness.process import ROOT, Bridge, Secret, cli
from harness.wire import Client

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

UID, FOREIGN = "BAD001", "OTHER01"
MB = 1_000_000
MEMORY = 100 * MB
"""What bad input may cost in memory: far below the 200 MB that the input itself has."""
TOPIC = messages.topic(UID, messages.REPORT)
GOOD = messages.report_of(UID, {"device_id": 7, "purpose": 1, "total_active_power": 1.5})
DAY_MS = 86_400_000


class House(NamedTuple):
    """One bridge for this whole file: it has to live through all of it."""

    bridge: Bridge
    device: Secret
    account: Secret


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    bridge = Bridge(tmp_path_factory.mktemp("bad"))
    try:
        device, _ = bridge.device(UID), bridge.device(FOREIGN)
        account = bridge.account("tester")
        bridge.start()
        yield House(bridge, device, account)
    finally:
        bridge.kill()


@pytest.fixture
async def house(running: House, web: aiohttp.ClientSession) -> AsyncIterator[House]:
    """After each test the same process still does its work, within bounds."""
    before = running.bridge.memory()
    yield running
    assert running.bridge.running(), running.bridge.tail()
    async with web.get(running.bridge.http + "/healthz") as answer:
        assert answer.status == 200
    await asyncio.wait_for(works(running), 20)
    assert running.bridge.memory() - before < MEMORY
    assert f'File "{ROOT}/bridge' not in running.bridge.tail(), running.bridge.tail()


async def works(house: House) -> None:
    """A good message is still taken."""
    async with await Client.open(house.bridge.mqtt, f"check-{uuid.uuid4().hex[:8]}", *house.device) as client:
        await client.stored(TOPIC, messages.dump({**GOOD, "mid": str(uuid.uuid4()), "timestamp": messages.now_ms()}))


def body(**changes: Any) -> bytes:
    """A good report but for `changes`; None takes a key away."""
    fresh = {**GOOD, "mid": str(uuid.uuid4()), "timestamp": messages.now_ms(), **changes}
    return messages.dump({name: value for name, value in fresh.items() if value is not None})


def valued(text: bytes) -> bytes:
    return body().replace(b"1.5", text)


DEEP = b"[" * 10_000 + b"]" * 10_000

REFUSED = {
    "empty": (TOPIC, b"", "not_json", ""),
    "not JSON": (TOPIC, b"hello", "not_json", ""),
    "cut JSON": (TOPIC, body()[:-9], "not_json", ""),
    "NaN": (TOPIC, valued(b"NaN"), "not_json", ""),
    "Infinity": (TOPIC, valued(b"-Infinity"), "not_json", ""),
    "1e400": (TOPIC, valued(b"1e400"), "invalid", "$.data[0].data.total_active_power"),
    "bad UTF-8": (TOPIC, body(trace_id="zz").replace(b"zz", b"\xff\xfe"), "not_json", ""),
    "an array": (TOPIC, b"[" + body() + b"]", "invalid", "$"),
    "10,000 deep": (TOPIC, DEEP, "invalid", "$"),
    "10,000 deep in data": (TOPIC, valued(DEEP), "invalid", "$.data[0].data.total_active_power"),
    "10,000 deep in a key of nobody": (TOPIC, body(trace=1).replace(b'"trace":1', b'"trace":' + DEEP), None, None),
    "missing mid": (TOPIC, body(mid=None), "invalid", "$.mid"),
    "mid is no UUID": (TOPIC, body(mid="42"), "invalid", "$.mid"),
    "mid is a number": (TOPIC, body(mid=42), "invalid", "$.mid"),
    "timestamp in seconds": (TOPIC, body(timestamp=1_700_000_000), "bad_timestamp", "$.timestamp"),
    "negative timestamp": (TOPIC, body(timestamp=-5), "bad_timestamp", "$.timestamp"),
    "timestamp far in the future": (TOPIC, body(timestamp=4_102_444_800_000), "bad_timestamp", "$.timestamp"),
    "timestamp as text": (TOPIC, body(timestamp="now"), "bad_timestamp", "$.timestamp"),
    "type of another topic": (TOPIC, body(type="alarm_details"), "unknown_type", "$.type"),
    "unknown type": (TOPIC, body(type="weather"), "unknown_type", "$.type"),
    "wrong value": (TOPIC, valued(b'"much"'), "invalid", "$.data[0].data.total_active_power"),
    "unknown feature": (messages.topic(UID, "weather/now/post"), body(), ("unknown_type", "unknown_topic"), ""),
    "outside the schemes": ("a/b/c", body(), "unknown_topic", ""),
    "the bridge's own topic": (f"bridge/v1/PK001/{UID}/presence", body(), "unknown_topic", ""),
    "a foreign device": (messages.topic(FOREIGN, messages.REPORT), body(), "not_authorised", ""),
    "a foreign owner": (messages.topic(UID, messages.REPORT, owner="PK999"), body(), "not_authorised", ""),
    "a command from a device": (
        messages.topic(UID, "streaming_overdemand/sync/command"), body(type="streaming_overdemand_sync"), "not_authorised", "",
    ),
}  # fmt: skip
"""name -> (topic, payload, reason, path); reason None: taken or refused, but answered."""


@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_message_is_kept_told_and_counted(house: House, web: aiohttp.ClientSession, name: str) -> None:
    """PRODUCT.md §4.2: acknowledged, told on the error topic of an MQTT 3.1.1 sender, a dead letter, counted."""
    topic, payload, reasons, path = REFUSED[name]
    api = Api(web, house.bridge, house.account)
    before = await api.metrics()
    async with await Client.open(house.bridge.mqtt, "bad", *house.device) as client:
        assert await client.subscribe(f"bridge/v1/PK001/{UID}/error") == [1]
        await client.stored(topic, payload)
        if reasons is None:
            return
        told = json.loads((await client.get()).payload)
    assert told["reason"] in ((reasons,) if isinstance(reasons, str) else reasons), told
    assert (told["topic"], told["path"]) == (topic, path)
    assert told["detail"]
    assert abs(told["at"] - messages.now_ms()) < 60_000
    letters = (await api.get("/api/v1/dead-letters", limit=1))["dead_letters"]
    letter = await api.get(f"/api/v1/dead-letters/{letters[0]['id']}")
    assert (letter["topic"], letter["reason"], letter["path"]) == (topic, told["reason"], path)
    assert (letter["sender"], letter["payload_bytes"]) == (f"device:{UID}", len(payload))
    after = await api.metrics()
    counter = f"ems_bridge_messages_rejected_total{{reason={told['reason']}}}"
    assert after[counter] - before.get(counter, 0) == 1


async def test_the_metrics_balance(house: House, web: aiohttp.ClientSession) -> None:
    """in = stored + rejected + routed, whatever came before (PRODUCT.md §4.5)."""
    await works(house)
    found = await Api(web, house.bridge, house.account).metrics()
    out = sum(found.get(f"ems_bridge_messages_{name}_total", 0) for name in ("stored", "rejected", "routed", "dropped"))
    assert found["ems_bridge_messages_received_total"] == out > 0


def packets(limit: int) -> dict[str, bytes]:
    """Bytes behind a good CONNECT after which the connection must be closed."""
    good = wire.publish(TOPIC, body(), 1)
    return {
        "oversized": wire.packet(0x32, b"")[:1] + wire.length(200 * MB),
        "just too large": wire.publish(TOPIC, b"x" * limit, 1)[: limit // 2],
        "length of five bytes": b"\x32\xff\xff\xff\xff\x01",
        "reserved packet type 0": b"\x00\x00",
        "reserved packet type 15": b"\xf0\x00",
        "reserved bits of SUBSCRIBE": b"\x80" + wire.subscribe(1, [("a", 1)])[1:],
        "reserved bits of PUBREL": b"\x60\x02\x00\x01",
        "QoS 3": bytes([0x36]) + good[1:],
        "packet id 0": wire.publish(TOPIC, body(), 0),
        "no filter": wire.packet(0x82, b"\x00\x01"),
        "filter with QoS 3": wire.subscribe(1, [("a", 3)]),
        "a bad filter": wire.subscribe(1, [("a/#/b", 1)]),
        "wildcard in a topic": wire.publish("v1/#", body(), 1),
        "empty topic": wire.publish("", body(), 1),
        "bad UTF-8 in a topic": wire.packet(0x32, struct.pack(">H", 3) + b"a\xffb" + b"\x00\x01{}"),
        "a NUL in a topic": wire.publish("a\0b", body(), 1),
        "topic longer than its packet": wire.packet(0x32, struct.pack(">H", 900) + b"abc"),
        "a second CONNECT": wire.connect("again", None, None),
        "a packet of the server": b"\x20\x02\x00\x00",
        "garbage": bytes(range(255, 0, -1)),
    }


PACKETS = packets(256 * 1024)


@pytest.mark.parametrize("name", PACKETS)
async def test_a_malformed_packet_closes_its_connection(house: House, name: str) -> None:
    async with await Client.open(house.bridge.mqtt, "malformed", *house.device) as client:
        client.send(PACKETS[name])
        await client.ended()


@pytest.mark.parametrize(
    "hello",
    [
        b"\x00" * 64,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        wire.publish(TOPIC, b"{}", 1),
        b"\x11" + wire.connect("a", None, None)[1:],
        b"\x10" + wire.length(200 * MB),
        wire.connect("a", None, None).replace(b"MQTT", b"MQXT"),
    ],
    ids=["zeros", "HTTP", "PUBLISH first", "reserved bits", "oversized", "another protocol"],
)
async def test_what_is_no_connect_is_closed(house: House, hello: bytes) -> None:
    async with await Client.raw(house.bridge.mqtt) as client:
        client.send(hello)
        await client.ended()


async def test_half_a_packet_and_gone(house: House) -> None:
    """A truncated packet does nothing but end with its connection."""
    for size in (1, 2, 20, 100):
        async with await Client.open(house.bridge.mqtt, "half", *house.device) as client:
            client.send(wire.publish(TOPIC, body(), 1)[:size])
            await client.writer.drain()


@pytest.mark.parametrize(
    ("username", "password"), [(UID, "wrong"), ("nobody", "x"), (None, None), (UID, ""), ("tester", "x")]
)
async def test_nobody_gets_in_uninvited(house: House, username: str | None, password: str | None) -> None:
    async with await Client.raw(house.bridge.mqtt) as client:
        client.send(wire.connect("intruder", username, password))
        assert await asyncio.wait_for(client.connected, 20) in (4, 5)
        await client.ended()


# HTTP


@pytest.mark.parametrize("path", ["/ingest/v1/power", f"/api/v1/devices/{UID}/commands"])
@pytest.mark.parametrize("announced", [True, False], ids=["Content-Length", "chunked"])
async def test_a_body_of_200_mb_is_refused_early(house: House, path: str, announced: bool) -> None:
    """413 at the sight of its Content-Length; without one, when more has come than the largest limit. The rest may come or
    not: what is sent on goes nowhere (the fixture looks at memory)."""
    reader, writer = await asyncio.open_connection(*address(house))
    try:
        how = f"Content-Length: {200 * MB}" if announced else "Transfer-Encoding: chunked"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {house.account.secret}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n{how}\r\n\r\n".encode())
        block = b" " * MB if announced else b"f4240\r\n" + b" " * MB + b"\r\n"
        if not announced:
            await send(writer, block, 12)
        status = await asyncio.wait_for(reader.readline(), 20)
        await send(writer, block, 200)
    finally:
        writer.transport.abort()
    assert status.startswith(b"HTTP/1.1 413"), status


async def send(writer: asyncio.StreamWriter, block: bytes, count: int) -> None:
    """As much of it as the other side takes."""
    with contextlib.suppress(ConnectionError):
        for _ in range(count):
            writer.write(block)
            await writer.drain()


async def test_a_gzip_bomb_is_refused(house: House, web: aiohttp.ClientSession) -> None:
    bomb = gzip.compress(b" " * 200 * MB, 1)
    headers = {"X-API-Key": house.account.secret, "Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}
    async with web.post(house.bridge.http + "/ingest/v1/power", data=bomb, headers=headers) as answer:
        assert answer.status == 413, await answer.text()


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("not JSON", b"hello", 400),
        ("cut JSON", b'{"feature": "stre', 400),
        ("NaN", b'{"feature": "streaming_overdemand", "action": "sync", "timeout_s": NaN}', 400),
        ("1e400", b'{"feature": "streaming_overdemand", "action": "sync", "timeout_s": 1e400}', 422),
        ("deep", DEEP, 422),
        ("array", b"[]", 422),
        ("bad UTF-8", b'{"feature": "\xff\xfe"}', 400),
        ("missing key", b'{"action": "sync"}', 422),
        ("unknown key", b'{"feature": "streaming_overdemand", "action": "sync", "sped": 1}', 422),
        ("unknown command", b'{"feature": "weather", "action": "sync"}', 422),
        ("wrong data", b'{"feature": "streaming_overdemand", "action": "delete", "data": {"id": "x"}}', 422),
        ("mid is no UUID", b'{"feature": "streaming_overdemand", "action": "sync", "mid": "42"}', 422),
    ],
)
async def test_a_bad_command_body(
    house: House, web: aiohttp.ClientSession, name: str, data: bytes, status: int
) -> None:
    url = f"{house.bridge.http}/api/v1/devices/{UID}/commands"
    headers = {"X-API-Key": house.account.secret, "Content-Type": "application/json"}
    async with web.post(url, data=data, headers=headers) as answer:
        found = await answer.json()
        assert answer.status == status, f"{name}: {found}"
    assert set(found["error"]) >= {"code", "message", "path"}


@pytest.mark.parametrize("path", ["/api/v1/devices", "/api/v1/readings", "/api/v1/dead-letters", "/metrics"])
@pytest.mark.parametrize("key", [None, "wrong", "x" * 5_000], ids=["none", "wrong", "long"])
async def test_http_needs_a_key(house: House, web: aiohttp.ClientSession, path: str, key: str | None) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with web.get(house.bridge.http + path, headers=headers) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /ingest/v1/power HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /ingest/v1/power HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["MQTT", "version", "long path", "long header", "negative length", "bad chunk"],
)
async def test_what_is_no_http_is_refused(house: House, request_bytes: bytes) -> None:
    """4xx, or the connection closed without a word."""
    reader, writer = await asyncio.open_connection(*address(house))
    try:
        writer.write(request_bytes)
        status = b""
        with contextlib.suppress(ConnectionError):
            status = await asyncio.wait_for(reader.readline(), 20)
    finally:
        writer.transport.abort()
    assert status == b"" or status.split()[1].startswith((b"4", b"505")), status


@pytest.mark.parametrize("text", ["[broker\n", "[broker]\nlisten = 1883\n", "[brocker]\n", "x = \xff\n"])
@pytest.mark.parametrize("command", ["check", "serve"])
def test_bad_toml_is_one_line(tmp_path, command: str, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    done = cli(command, "--config", path, expect=2)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert str(path) in done.stderr


def address(house: House) -> tuple[str, int]:
    host, _, port = house.bridge.http.removeprefix("http://").rpartition(":")
    return host, int(port)
