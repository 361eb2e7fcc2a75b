"""The ways in: which listener speaks what, by the configuration. MQTT behind TCP, TLS, WebSocket and UNIX sockets; HTTP."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from bridge.broker.door import Door as BrokerDoor
from bridge.broker.entrance import Way
from bridge.broker.listener import SPARE, Broker
from bridge.broker.tls import Certificate
from bridge.broker.ways import Ways
from bridge.certificates import Files
from bridge.config import Config, HttpListener, Listener, Tls, parse_address, parse_listen
from bridge.core.peer import Peer
from bridge.counts import Counts
from bridge.errors import ConfigError
from bridge.http.app import build_mqtt, runner
from bridge.http.auth import REFUSED
from bridge.http.door import Door, Lobby
from bridge.http.mqtt import Mqtt
from bridge.quiet import Quiet

log = logging.getLogger(__name__)


class Doors:
    """Everything that listens. `open_…` once each; `stop` when the broker has stopped."""

    def __init__(self, config: Config, counts: Counts, ways: Ways) -> None:
        self._config = config
        self._counts = counts
        self._ways = ways
        self._quiet = Quiet(log)
        self._certificates: list[Certificate] = []
        self._runners: list[web.AppRunner] = []
        self._lobbies: list[Lobby] = []
        self.listeners: list[str] = []
        """URLs of the listeners beside the two plain ones."""

    async def open_http(self, web_runner: web.AppRunner) -> str:
        """Listen for HTTP everywhere; the address of the plain one. Raises ConfigError."""
        config = self._config.http
        host, port = parse_address(config.listen)
        door = Door(web_runner, host, port, refused=self._refused)
        try:
            await door.start()
        except OSError as error:
            raise _taken("http.listen", config.listen, error) from None
        for index, listener in enumerate(config.listeners):
            await self._http(f"http.listeners[{index}]", listener, door.lobby)
        return shown(web_runner.addresses[0])

    async def open_mqtt(self, broker: Broker, mqtt: Mqtt) -> str | None:
        """Listen for MQTT everywhere; the address of the plain one, where there is one. Raises ConfigError."""
        config, address = self._config.broker, None
        if config.listen:
            try:
                address = shown(await broker.start(*parse_address(config.listen)))
            except OSError as error:
                raise _taken("broker.listen", config.listen, error) from None
        for index, listener in enumerate(config.listeners):
            await self._mqtt(f"broker.listeners[{index}]", listener, broker, mqtt)
        return address

    async def reload(self) -> None:
        """Read every certificate again; connections stay."""
        for certificate in self._certificates:
            await certificate.reload()

    async def follow(self, asked: asyncio.Event) -> None:
        """Reload whenever `asked` is set, for as long as the service runs."""
        while True:
            await asked.wait()
            asked.clear()
            log.info("reloading certificates")
            await self.reload()

    async def stop(self) -> None:
        """End what still speaks WebSocket."""
        for lobby in self._lobbies:
            lobby.stop()
        for each in self._runners:
            await each.cleanup()

    async def _http(self, key: str, listener: HttpListener, lobby: Lobby) -> None:
        certificate = self._certificate(key, listener.tls, "http/1.1")
        way = Way(lobby.open, proxied=listener.proxy_protocol, certificate=certificate, guarded=False)
        await self._listen(key, listener.listen, way, "https" if certificate else "http", "/")

    async def _mqtt(self, key: str, listener: Listener, broker: Broker, mqtt: Mqtt) -> None:
        proxied = listener.proxy_protocol
        if listener.transport == "tcp":
            certificate = self._certificate(key, listener.tls, "mqtt")
            way = Way(broker.protocol, proxied=proxied, certificate=certificate)
            await self._listen(key, listener.listen, way, "mqtts" if certificate else "mqtt", "")
            return
        certificate = self._certificate(key, listener.tls, "http/1.1")
        web_runner = runner(build_mqtt(replace(mqtt, knock=broker.door.full)))
        await web_runner.setup()
        self._runners.append(web_runner)
        lobby = Lobby(web_runner, self._config.broker.max_connections + SPARE, refused=self._refused)
        self._lobbies.append(lobby)
        lobby.start()
        way = Way(lobby.open, proxied=proxied, certificate=certificate)
        await self._listen(key, listener.listen, way, "wss" if certificate else "ws", "/mqtt")

    async def _listen(self, key: str, listen: str, way: Way, scheme: str, path: str) -> None:
        where = parse_listen(listen)
        try:
            found = await self._ways.open(where, way)
        except OSError as error:
            self._ways.close()
            raise _taken(f"{key}.listen", listen, error) from None
        url = f"{scheme}+unix://{found}" if isinstance(found, Path) else f"{scheme}://{shown(found)}{path}"
        self.listeners.append(url)
        log.info("listening: %s", url)

    def _refused(self, cause: str, peer: Peer) -> None:
        self._counts.add(REFUSED, (("cause", cause),))
        self._quiet.warn(cause, "HTTP refused: %s, from %s", cause, peer)

    def _certificate(self, key: str, tls: Tls, alpn: str) -> Certificate | None:
        if not tls.certificate:
            return None
        files = Files(tls.certificate, tls.key, tls.ca, tls.client_certificate, tls.identity)
        try:
            certificate = Certificate(files, alpn)
        except ConfigError as error:
            raise ConfigError(f"{key}.tls: {error.where}", error.what, error.hint) from None
        self._certificates.append(certificate)
        self._counts.gauge(
            "ems_bridge_tls_certificate_ends_seconds",
            lambda: certificate.ends,
            (("listener", key),),
            "When the certificate of a listener ends, epoch seconds; 0 when it has",
        )
        return certificate


def http_ways(counts: Counts) -> Ways:
    """Listening sockets where no broker is there to bound them: HTTP has bounds of its own."""
    quiet = Quiet(log)

    def refused(cause: str, peer: Peer | None, why: str) -> None:
        counts.add(REFUSED, (("cause", cause),))
        quiet.tell()
        quiet.warn(cause, "refused: %s%s, from %s", cause, why and f" ({why})", peer)

    return Ways(BrokerDoor(), refused)


def mqtt_of(broker: Broker, config: Config) -> Mqtt:
    """The broker as the HTTP window sees it."""
    section = config.broker
    return Mqtt(broker.protocol, broker.door.knock, broker.refused, section.max_packet_bytes, section.allow_anonymous)


def shown(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """HOST:PORT."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def loopback(address: str) -> str:
    """The address as a client on this machine reaches it."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]") else address  # noqa: S104 - compared, not bound


def _taken(key: str, listen: str, error: OSError) -> ConfigError:
    said = error.strerror or (str(error.args[-1]) if error.args else str(error))
    if listen.startswith("unix:"):
        return ConfigError(key, f"cannot listen on {listen}: {said}", "a free path in a directory that can be written")
    return ConfigError(key, f"cannot listen on {listen}: {said}", "a free HOST:PORT; port 0 takes one")
