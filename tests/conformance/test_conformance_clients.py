"""Clients that others wrote run one script against a real service: (client × version × way in × step)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness.pki import Pki
from harness.process import Bridge, Secret

from conformance.network import Way
from conformance.peers_process import PROCESSES
from conformance.peers_python import PYTHON
from conformance.script import ONLY_5, STEPS, Place

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

CLIENTS = PYTHON | PROCESSES
CONFIG = """
[broker]
other_topics = true

[[broker.listeners]]
listen = "127.0.0.1:0"
tls = {{ certificate = "{certificate}", key = "{key}" }}

[[broker.listeners]]
listen = "127.0.0.1:0"
transport = "websocket"

[[broker.listeners]]
listen = "127.0.0.1:0"
transport = "websocket"
tls = {{ certificate = "{certificate}", key = "{key}" }}
"""
WAYS = ("TCP", "TLS", "WebSocket", "WebSocket over TLS", "HTTP port")


class House:
    """One service for all; every cell has names of its own."""

    def __init__(self, folder: Path) -> None:
        pki = Pki(folder / "pki")
        certificate, key = pki.server()
        self.ca = pki.ca
        self.bridge = Bridge(folder, CONFIG.format(certificate=certificate, key=key)).start()
        self.account: Secret = self.bridge.account("backend")
        listeners = json.loads((self.bridge.data / "local.json").read_text(encoding="utf-8"))["listeners"]
        _, tls, ws, wss = [self.bridge.mqtt[1], *(urlsplit(each).port for each in listeners[-3:])]
        ways = (
            Way("TCP", "tcp", self.bridge.mqtt[1]),
            Way("TLS", "tls", tls, tls=True),
            Way("WebSocket", "ws", ws, websocket=True),
            Way("WebSocket over TLS", "wss", wss, tls=True, websocket=True),
            Way("HTTP port", "ws", int(self.bridge.http.rpartition(":")[2]), websocket=True),
        )
        self.ways = {way.name: way for way in ways}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("clients"))
    try:
        yield made
        assert made.bridge.stop() == 0, made.bridge.tail()
        assert "Traceback" not in made.bridge.tail(1_000_000)
    finally:
        made.bridge.kill()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_clients(house: House, client: str, version: int, way: str, step: str) -> None:
    made = CLIENTS[client]
    if why := made.why_not(version, house.ways[way]):
        pytest.skip(why)
    if step in ONLY_5 and version == 4:
        pytest.skip("MQTT 5 alone has it")
    name = f"{client}-{version}-{way}-{step}".replace(" ", "").replace("/", "")
    await STEPS[step](Place(made.make, version, house.ways[way], house.account, house.ca, name))
