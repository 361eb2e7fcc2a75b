"""The real service behind every sort of listener, with clients that others wrote: paho-mqtt, Mosquitto's, aiohttp's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from harness.api import Api
from harness.doors import (
    HTTPS,
    MUTUAL,
    PROXY,
    PROXY_TLS,
    PROXY_WS,
    SAN,
    SECONDS,
    TLS,
    V2,
    WS,
    WSS,
    House,
    Paho,
    dial,
    hang_up,
    raw,
    serial,
    v2,
)
from harness.pki import Pki
from harness.process import Bridge, Secret
from harness.wire import Client, connect

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="needs mosquitto-clients")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("doors"))
    try:
        yield made
    finally:
        assert made.bridge.stop() == 0, made.bridge.tail()
        assert not made.socket.exists()
        assert "Traceback" not in made.bridge.tail(1_000_000)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("listener", "tls", "transport"),
    [(TLS, True, "tcp"), (WS, False, "websockets"), (WSS, True, "websockets"), (HTTPS, True, "websockets")],
    ids=["tls", "ws", "wss", "https"],
)
def test_paho_comes_in(house: House, listener: int, tls: bool, transport: str, version: int) -> None:
    with Paho(house, listener, house.account, tls=tls, transport=transport, version=version) as client:
        client.round_trip(b"hello")
        client.round_trip(os.urandom(200_000), "other/large")


def test_paho_comes_in_by_the_http_port(house: House) -> None:
    port = int(house.bridge.http.rpartition(":")[2])
    with Paho(house, 0, house.account, tls=False, transport="websockets", port=port) as client:
        client.round_trip(b"hello")


def test_a_wrong_password_over_tls(house: House) -> None:
    client = Paho(house, TLS, Secret("EMS001", "nope"), client_id="wrong")
    assert client.code == "Bad user name or password"
    client.end()


@pytest.mark.parametrize("listener", [MUTUAL, WSS])
def test_a_certificate_is_the_devices_identity(house: House, listener: int) -> None:
    pair = house.pki.device("EMS001")
    options: Any = {"pair": pair, "transport": "websockets" if listener == WSS else "tcp", "client_id": "mutual"}
    with Paho(house, listener, None, **options) as client:
        client.client.subscribe("v1/wudun/PK001/EMS001/+/+/command", 1)
        assert [code.value for code in client.granted.get(timeout=SECONDS)] == [1]
        client.client.subscribe("v1/wudun/PK001/EMS002/+/+/command", 1)
        assert [code.value for code in client.granted.get(timeout=SECONDS)] == [128]
    with Paho(house, listener, Secret("EMS001", ""), **options):
        pass
    other = Paho(house, listener, house.devices["EMS002"], **options)
    assert other.code == "Not authorized"
    other.end()


def test_the_san_is_the_devices_identity_where_configured(house: House) -> None:
    pair = house.pki.device("whoever", "ems3.example", "other.example")
    with Paho(house, SAN, None, pair=pair, client_id="san") as client:
        client.client.subscribe("v1/wudun/PK001/ems3.example/+/+/command", 1)
        assert [code.value for code in client.granted.get(timeout=SECONDS)] == [1]
    with Paho(house, SAN, house.devices["EMS002"], client_id="no certificate"):
        pass
    nobody = Paho(house, SAN, None, pair=house.pki.device("EMS001", "stranger.example"), client_id="stranger")
    assert nobody.code == "Not authorized"
    nobody.end()


def test_an_account_behind_a_certificate_of_its_name_needs_its_password(house: House) -> None:
    pair = house.pki.device("backend")
    with Paho(house, MUTUAL, house.account, pair=pair):
        pass
    without = Paho(house, MUTUAL, None, pair=pair, client_id="without")
    assert without.code == "Not authorized"
    without.end()


def test_without_the_required_certificate_nobody_speaks(house: House) -> None:
    strange = Pki(house.pki.folder / "strange")  # a CA of its own
    for pair in (None, strange.device("EMS001")):
        assert answer_to(house, house.pki.client(pair), connect("c", "EMS001", house.devices["EMS001"].secret)) == b""


def answer_to(house: House, context: ssl.SSLContext, packet: bytes) -> bytes:
    """What the mutual listener answers; nothing where it cuts off, at the handshake or (TLS 1.3) after it."""
    try:
        with dial(house, MUTUAL, context) as stream:
            stream.sendall(packet)
            return stream.recv(4)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_old_tls_and_renegotiation_are_off_and_alpn_is_mqtt(house: House) -> None:
    context = house.pki.client()
    context.set_alpn_protocols(["x", "mqtt"])
    with dial(house, TLS, context) as stream:
        assert stream.selected_alpn_protocol() == "mqtt"
        assert stream.version() == "TLSv1.3"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(house.pki.ca)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with dial(house, TLS, old) as stream:
        assert stream.version() == "TLSv1.2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what is asked here
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)), dial(house, TLS, old):
        pass


@needs_mosquitto
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_over_tls_and_the_unix_socket(house: House, version: str) -> None:
    with Paho(house, TLS, house.account, client_id="watch") as watch:
        watch.client.subscribe("other/mosquitto", 1)
        watch.granted.get(timeout=SECONDS)
        ways = [
            ["--cafile", str(house.pki.ca), "-h", "localhost", "-p", str(house.port(TLS))],
            ["--unix", str(house.socket)],
        ]
        for way in ways:
            name, secret = house.account
            command = ["mosquitto_pub", "-V", version, "-u", name, "-P", secret, "-t", "other/mosquitto", "-q", "1"]
            done = subprocess.run([*command, "-m", "m", *way], capture_output=True, text=True, timeout=SECONDS)
            assert done.returncode == 0, done.stderr
            assert watch.got.get(timeout=SECONDS) == ("other/mosquitto", b"m")


def test_the_unix_socket_is_for_user_and_group(house: House) -> None:
    assert house.socket.stat().st_mode & 0o777 == 0o660


async def test_the_proxys_client_is_the_peer(house: House) -> None:
    hello = connect("proxied", *house.account)
    for chunks in (
        [v2("203.0.113.9", 4711, b"\x04\x00\x03abc") + hello],
        [bytes([byte]) for byte in v2("203.0.113.9", 4711)] + [hello],
        [b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n" + hello],
        [b"PROXY TCP6 2001:db8::1 ::1 4711 1883\r\n", hello],
        [V2 + b"\x20\x00\x00\x00" + hello],
        [b"PROXY UNKNOWN\r\n" + hello],
    ):
        async with raw(house, PROXY, *chunks) as client:
            assert await asyncio.wait_for(client.connected, SECONDS) == 0
    wrong = connect("wrong", "EMS002", "wrong")
    for _ in range(3):
        async with raw(house, PROXY, v2("203.0.113.77", 1) + wrong) as client:
            assert await asyncio.wait_for(client.connected, SECONDS) == 4
    right = connect("right", *house.devices["EMS002"])
    async with raw(house, PROXY, v2("203.0.113.77", 1) + right) as client:
        assert await asyncio.wait_for(client.connected, SECONDS) == 5, "banned at that address"
    async with raw(house, PROXY, v2("203.0.113.78", 1) + right) as client:
        assert await asyncio.wait_for(client.connected, SECONDS) == 0, "and at that address only"
    assert "'EMS002' from 203.0.113.77" in house.bridge.tail()


async def test_without_a_good_proxy_header_nobody_speaks(house: House, web: aiohttp.ClientSession) -> None:
    before = (await Api(web, house.bridge, house.account).metrics()).get(
        "ems_bridge_mqtt_refused_total{cause=proxy_header}", 0
    )
    hello = connect("c", *house.account)
    bad = [
        hello,
        b"PROXY TCP4 nowhere 10.0.0.1 1 2\r\n" + hello,
        b"PROXY " + b"x" * 200,
        V2 + b"\x31\x11\x00\x0c" + bytes(12),
        V2 + b"\x21\x11\x00\x04" + bytes(4),
        V2 + b"\x21\x11\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ]
    for data in bad:
        async with raw(house, PROXY, data) as client:
            await client.ended()
    async with raw(house, PROXY) as silent:
        await silent.ended(SECONDS)
    after = (await Api(web, house.bridge, house.account).metrics())["ems_bridge_mqtt_refused_total{cause=proxy_header}"]
    assert after - before == len(bad) + 1


async def test_tls_behind_a_proxy_header_in_one_packet(house: House) -> None:
    """The handshake's first bytes stand right behind the header, in the same segment."""
    context = house.pki.client()
    reads, writes = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(reads, writes, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port(PROXY_TLS))
    writer.write(v2("203.0.113.5", 5) + writes.read())
    async with asyncio.timeout(SECONDS):
        while True:
            reads.write(await reader.read(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        tls.write(connect("p", *house.account))  # with the handshake's last flight
        writer.write(writes.read())
        while True:
            reads.write(await reader.read(65536))
            try:
                assert tls.read(4) == b"\x20\x02\x00\x00"
                break
            except ssl.SSLWantReadError:
                continue
    writer.close()
    await writer.wait_closed()


async def test_a_websocket_behind_a_proxy(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port(PROXY_WS))
    writer.write(
        v2("203.0.113.6", 6) + b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with asyncio.timeout(SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"Sec-WebSocket-Protocol: mqtt\r\n" in head
    writer.close()
    await writer.wait_closed()


@pytest.fixture
async def dialled(house: House) -> AsyncIterator[Callable[..., Any]]:
    async with aiohttp.ClientSession() as session:
        url = f"ws://127.0.0.1:{house.port(WS)}/mqtt"
        yield lambda *protocols, **more: session.ws_connect(url, protocols=protocols or ("mqtt",), **more)


async def test_packets_span_and_share_frames(house: House, dialled: Callable[..., Any]) -> None:
    async with dialled() as ws:
        assert ws.protocol == "mqtt"
        for byte in connect("spanning", *house.account):
            await ws.send_bytes(bytes([byte]))
        assert (await ws.receive(SECONDS)).data == b"\x20\x02\x00\x00"
        await ws.ping()
        await ws.send_bytes(b"\xc0\x00" * 3)
        got = b""
        while len(got) < 6:
            got += (await ws.receive(SECONDS)).data
        assert got == b"\xd0\x00" * 3
        await ws.send_bytes(b"\xe0\x00")
        assert (await ws.receive(SECONDS)).type == aiohttp.WSMsgType.CLOSE
    async with dialled("x", "mqttv3.1") as ws:
        assert ws.protocol == "mqttv3.1"


async def test_text_and_what_is_too_long_end_a_websocket(house: House, dialled: Callable[..., Any]) -> None:
    async with dialled() as ws:
        await ws.send_str("CONNECT")
        message = await ws.receive(SECONDS)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1003)
    async with dialled() as ws:
        with contextlib.suppress(ConnectionError):
            await ws.send_bytes(bytes(2_000_000))
        message = await ws.receive(SECONDS)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dialled("soap")
    assert refused.value.status == 400


async def test_the_path_without_an_upgrade(house: House, web: aiohttp.ClientSession) -> None:
    async with web.get(house.bridge.http + "/mqtt") as answer:
        assert answer.status == 426
        assert (await answer.json())["error"]["code"] == "upgrade_required"


async def test_a_websocket_that_does_not_read_is_cut_off_and_holds_nobody_up(house: House) -> None:
    """Two flow controls meet: the broker's write buffer above, the socket's below."""
    async with aiohttp.ClientSession() as session:
        url = f"ws://127.0.0.1:{house.port(WS)}/mqtt"
        async with session.ws_connect(url, protocols=("mqtt",), max_msg_size=0) as lazy:
            await lazy.send_bytes(connect("lazy", *house.account))
            assert (await lazy.receive(SECONDS)).data == b"\x20\x02\x00\x00"
            await lazy.send_bytes(bytes.fromhex("820c0001") + b"\x00\x07other/b\x01")
            assert (await lazy.receive(SECONDS)).data[0] == 0x90
            sender = await Client.open(house.bridge.mqtt, "sender", *house.account)
            async with sender:
                payload = os.urandom(100_000)
                for _ in range(100):
                    await sender.stored("other/b", payload)
            got = 0
            while got < 50 * 100_000:  # what its window and queue hold comes once it reads
                message = await lazy.receive(SECONDS)
                assert message.type == aiohttp.WSMsgType.BINARY
                assert len(message.data) <= 64 * 1024
                got += len(message.data)
                if got > 10_000_000:
                    break


async def test_https_serves_the_same_routes(house: House) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"https://localhost:{house.port(HTTPS)}/readyz"
        async with session.get(url, ssl=house.pki.client()) as answer:
            assert answer.status == 200


async def test_handshakes_that_fail_are_counted_and_logged_once(house: House, web: aiohttp.ClientSession) -> None:
    for _ in range(5):
        async with raw(house, TLS, connect("c", None, None)) as client:
            await client.ended()
    metrics = await Api(web, house.bridge, house.account).metrics()
    assert metrics["ems_bridge_mqtt_refused_total{cause=tls_handshake}"] >= 5
    assert metrics["ems_bridge_tls_certificate_ends_seconds"] > 0
    assert house.bridge.tail(1_000_000).count("refused: tls_handshake") == 1


def test_sighup_takes_a_new_certificate_and_keeps_clients_and_a_good_old_one(house: House) -> None:
    with Paho(house, TLS, house.account, client_id="stays") as client:
        before = serial(house, TLS)
        house.pki.server()
        hang_up(house, "read again")
        after = serial(house, TLS)
        assert after != before
        assert serial(house, HTTPS) == after
        client.round_trip(b"still here")
        certificate = house.pki.folder / "server.pem"
        good = certificate.read_bytes()
        certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n")
        hang_up(house, "the certificate stays as it was")
        assert serial(house, TLS) == after
        certificate.write_bytes(good)
        client.round_trip(b"and here")


def test_a_stale_socket_file_is_replaced_and_a_live_one_is_not(house: House, tmp_path: Path) -> None:
    home = tmp_path / "second"
    home.mkdir()
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    text = f'[[broker.listeners]]\nlisten = "unix:{stale}"\n'
    second = Bridge(home, text).start()
    try:
        assert stale.is_socket()
    finally:
        second.stop()
    assert not stale.exists()
    second.config.write_text(f'[[broker.listeners]]\nlisten = "unix:{house.socket}"\n', encoding="utf-8")
    with pytest.raises(AssertionError, match="somebody listens there"):
        second.start()
    assert house.socket.is_socket()
