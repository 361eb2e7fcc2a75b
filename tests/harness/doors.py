"""The real service behind every sort of listener, and clients that come by one of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import signal
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho

from harness.pki import Pki
from harness.process import Bridge, Secret
from harness.wire import Client

SECONDS = 20

CONFIG = """
[broker]
other_topics = true
login_failures = 3
login_ban_s = 600

[[broker.listeners]]
listen = "127.0.0.1:0"
tls = {{ certificate = "{server}", key = "{key}" }}

[[broker.listeners]]
listen = "127.0.0.1:0"
tls = {{ certificate = "{server}", key = "{key}", ca = "{ca}", client_certificate = "required" }}

[[broker.listeners]]
listen = "127.0.0.1:0"
tls = {{ certificate = "{server}", key = "{key}", ca = "{ca}", client_certificate = "optional", identity = "san" }}

[[broker.listeners]]
listen = "127.0.0.1:0"
transport = "websocket"

[[broker.listeners]]
listen = "127.0.0.1:0"
transport = "websocket"
tls = {{ certificate = "{server}", key = "{key}", ca = "{ca}", client_certificate = "optional" }}

[[broker.listeners]]
listen = "127.0.0.1:0"
proxy_protocol = true

[[broker.listeners]]
listen = "127.0.0.1:0"
proxy_protocol = true
tls = {{ certificate = "{server}", key = "{key}" }}

[[broker.listeners]]
listen = "127.0.0.1:0"
transport = "websocket"
proxy_protocol = true

[[broker.listeners]]
listen = "unix:{socket}"

[[http.listeners]]
listen = "127.0.0.1:0"
tls = {{ certificate = "{server}", key = "{key}" }}
"""
HTTPS, TLS, MUTUAL, SAN, WS, WSS, PROXY, PROXY_TLS, PROXY_WS, UNIX = range(10)


class House:
    """One running service for all tests of this file that change nothing for the others."""

    def __init__(self, folder: Path) -> None:
        self.pki = Pki(folder)
        server, key = self.pki.server()
        self.socket = folder / "mqtt.sock"
        home = folder / "bridge"
        home.mkdir()
        text = CONFIG.format(server=server, key=key, ca=self.pki.ca, socket=self.socket)
        self.bridge = Bridge(home, text).start()
        self.listeners = json.loads((self.bridge.data / "local.json").read_text(encoding="utf-8"))["listeners"]
        self.account = self.bridge.account("backend")
        self.devices = {uid: self.bridge.device(uid) for uid in ("EMS001", "EMS002", "ems3.example")}

    def port(self, listener: int) -> int:
        port = urlsplit(self.listeners[listener]).port
        assert port is not None
        return port


class Paho:
    """paho-mqtt in its own thread; `code` is its CONNACK."""

    def __init__(
        self,
        house: House,
        listener: int,
        secret: Secret | None = None,
        *,
        pair: tuple[Path, Path] | None = None,
        tls: bool = True,
        transport: Any = "tcp",
        client_id: str = "paho",
        version: int = 4,
        port: int = 0,
    ) -> None:
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id,
            transport=transport,
            protocol=paho.MQTTProtocolVersion(version),
            reconnect_on_failure=False,
        )
        if secret is not None:
            self.client.username_pw_set(*secret)
        if tls:
            self.client.tls_set_context(house.pki.client(pair))
        self.codes: queue.Queue[str] = queue.Queue()
        self.got: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.granted: queue.Queue[Any] = queue.Queue()
        self.client.on_connect = lambda *args: self.codes.put(str(args[3]))
        self.client.on_message = lambda _c, _d, message: self.got.put((message.topic, message.payload))
        self.client.on_subscribe = lambda *args: self.granted.put(args[3])
        self.client.connect("127.0.0.1", port or house.port(listener))
        self.client.loop_start()

    @property
    def code(self) -> str:
        return self.codes.get(timeout=SECONDS)

    def __enter__(self) -> Paho:
        assert self.code == "Success"
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def round_trip(self, payload: bytes, topic: str = "other/round") -> None:
        """A message to itself at QoS 1."""
        self.client.subscribe(topic, 1)
        self.granted.get(timeout=SECONDS)
        info = self.client.publish(topic, payload, 1)
        info.wait_for_publish(SECONDS)
        assert info.is_published()
        assert self.got.get(timeout=SECONDS) == (topic, payload)


@contextlib.contextmanager
def dial(house: House, listener: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", house.port(listener)), SECONDS) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as stream,
    ):
        yield stream


V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(host: str, port: int, tlvs: bytes = b"") -> bytes:
    body = socket.inet_aton(host) + socket.inet_aton("10.0.0.1") + struct.pack(">HH", port, 1883) + tlvs
    return V2 + b"\x21\x11" + struct.pack(">H", len(body)) + body


@contextlib.asynccontextmanager
async def raw(house: House, listener: int, *chunks: bytes) -> AsyncIterator[Client]:
    client = await Client.raw(("127.0.0.1", house.port(listener)))
    async with client:
        for chunk in chunks:
            client.send(chunk)
            await asyncio.sleep(0.01)  # so that the parts arrive as parts
        yield client


def serial(house: House, listener: int) -> int:
    with dial(house, listener, house.pki.client()) as stream:
        certificate: Any = stream.getpeercert()
        return int(certificate["serialNumber"], 16)


def hang_up(house: House, words: str) -> None:
    """SIGHUP; wait until all listeners have said so."""
    listeners = CONFIG.count("{server}")
    seen = house.bridge.tail(1_000_000).count(words)
    assert house.bridge.process is not None
    house.bridge.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + SECONDS
    while house.bridge.tail(1_000_000).count(words) < seen + listeners:
        assert time.monotonic() < deadline, house.bridge.tail()
        time.sleep(0.02)
