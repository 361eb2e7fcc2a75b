"""paho-mqtt, aiomqtt, gmqtt and amqtt's client."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
from amqtt.client import MQTTClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conformance.network import Link
from conformance.peers import EXPIRY_S, SECONDS, Client, Filters, Got, Inbox, Will


def connect_properties(keep: bool) -> Properties:
    found = Properties(PacketTypes.CONNECT)
    if keep:
        found.SessionExpiryInterval = EXPIRY_S
    return found


def publish_properties(response: str, correlation: bytes) -> Properties | None:
    found = Properties(PacketTypes.PUBLISH)
    if response:
        found.ResponseTopic = response
    found.CorrelationData = correlation
    return found


class Paho:
    """paho-mqtt, in its own thread."""

    will_at_close = False

    def __init__(self, version: int) -> None:
        self.version = version
        self.inbox = Inbox()
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Queue[Any] = asyncio.Queue()

    async def connect(
        self, link: Link, client_id: str, filters: Filters, *, keep: bool, resume: bool, will: Will | None
    ) -> None:
        self.client = client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if self.version == 5 else not keep,
            protocol=paho.MQTTProtocolVersion(self.version),
            transport="websockets" if link.way.websocket else "tcp",
            reconnect_on_failure=False,
        )
        client.username_pw_set(link.username, link.password)
        if link.way.tls:
            client.tls_set_context(link.context())
        if link.way.websocket:
            client.ws_set_options(link.path)
        if will is not None:
            client.will_set(*will)
        client.on_connect = lambda *arguments: self._tell(arguments[3])
        client.on_subscribe = lambda *arguments: self._tell(arguments[3])
        client.on_publish = lambda *arguments: self._tell(arguments[3])
        client.on_message = lambda _client, _data, message: self.inbox.put_from_thread(paho_got(message))
        more: dict[str, Any] = {}
        if self.version == 5:
            more = {"clean_start": not resume, "properties": connect_properties(keep)}
        await asyncio.to_thread(client.connect, link.host, link.port, **more)
        client.loop_start()
        assert not (await self._answer()).is_failure
        for topic_filter, qos in [] if resume else filters:
            client.subscribe(topic_filter, qos)
            [code] = await self._answer()
            assert code.value == qos

    async def publish(
        self, topic: str, payload: bytes, qos: int, *, retain: bool = False, properties: Properties | None = None
    ) -> None:
        self.client.publish(topic, payload, qos, retain, properties)
        assert not (await self._answer()).is_failure

    async def ask(self, topic: str, payload: bytes, response: str, correlation: bytes) -> Got:
        await self.publish(topic, payload, 1, properties=publish_properties(response, correlation))
        return await self.receive()

    async def answer(self, request: Got, payload: bytes) -> None:
        await self.publish(request.response, payload, 1, properties=publish_properties("", request.correlation))

    async def receive(self) -> Got:
        return await self.inbox.get()

    async def close(self) -> None:
        self.client.disconnect()
        await self.drop()

    async def drop(self) -> None:
        await asyncio.to_thread(self.client.loop_stop)
        self.client._reset_sockets()  # it leaves a pair of its own to the collector otherwise

    def _tell(self, value: Any) -> None:
        self.loop.call_soon_threadsafe(self.done.put_nowait, value)

    async def _answer(self) -> Any:
        async with asyncio.timeout(SECONDS):
            return await self.done.get()


def paho_got(message: paho.MQTTMessage) -> Got:
    found = message.properties
    return Got(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        message.dup,
        getattr(found, "ResponseTopic", ""),
        getattr(found, "CorrelationData", b""),
    )


class Aiomqtt:
    """aiomqtt; it does not tell of DUP."""

    will_at_close = False

    def __init__(self, version: int) -> None:
        self.version = version

    async def connect(
        self, link: Link, client_id: str, filters: Filters, *, keep: bool, resume: bool, will: Will | None
    ) -> None:
        more: dict[str, Any] = {"clean_session": not keep}
        if self.version == 5:
            more = {"clean_start": not resume, "properties": connect_properties(keep)}
        self.client = aiomqtt.Client(
            link.host,
            link.port,
            username=link.username,
            password=link.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion(self.version),
            will=aiomqtt.Will(*will) if will else None,
            transport="websockets" if link.way.websocket else "tcp",
            websocket_path=link.path if link.way.websocket else None,
            tls_context=link.context(),
            timeout=SECONDS,
            **more,
        )
        self.stack = contextlib.AsyncExitStack()
        await self.stack.enter_async_context(self.client)
        for topic_filter, qos in [] if resume else filters:
            granted = await self.client.subscribe(topic_filter, qos)
            assert [getattr(code, "value", code) for code in granted] == [qos]

    async def publish(
        self, topic: str, payload: bytes, qos: int, *, retain: bool = False, properties: Properties | None = None
    ) -> None:
        await self.client.publish(topic, payload, qos, retain, properties)

    async def ask(self, topic: str, payload: bytes, response: str, correlation: bytes) -> Got:
        await self.publish(topic, payload, 1, properties=publish_properties(response, correlation))
        return await self.receive()

    async def answer(self, request: Got, payload: bytes) -> None:
        await self.publish(request.response, payload, 1, properties=publish_properties("", request.correlation))

    async def receive(self) -> Got:
        async with asyncio.timeout(SECONDS):
            message = await anext(aiter(self.client.messages))
        assert isinstance(message.payload, bytes)
        return Got(
            str(message.topic),
            message.payload,
            message.qos,
            message.retain,
            None,
            getattr(message.properties, "ResponseTopic", ""),
            getattr(message.properties, "CorrelationData", b""),
        )

    async def close(self) -> None:
        await self.stack.aclose()

    async def drop(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            await self.stack.aclose()


class Gmqtt:
    """gmqtt."""

    will_at_close = False

    def __init__(self, version: int) -> None:
        self.version = version
        self.inbox = Inbox()
        self.granted: asyncio.Queue[Any] = asyncio.Queue()

    async def connect(
        self, link: Link, client_id: str, filters: Filters, *, keep: bool, resume: bool, will: Will | None
    ) -> None:
        more: dict[str, Any] = {}
        if self.version == 5 and keep:
            more["session_expiry_interval"] = EXPIRY_S
        clean = not resume if self.version == 5 else not keep
        self.client = client = gmqtt.Client(
            client_id, clean_session=clean, will_message=gmqtt.Message(*will) if will else None, **more
        )
        client.set_config({"reconnect_retries": 0, "reconnect_delay": 0})
        client.set_auth_credentials(link.username, link.password)
        client.on_message = self._on_message
        client.on_subscribe = lambda _client, _mid, granted, _properties: self.granted.put_nowait(granted)
        async with asyncio.timeout(SECONDS):
            await client.connect(link.host, link.port, ssl=link.context() or False, version=self.version)
            for topic_filter, qos in [] if resume else filters:
                client.subscribe(topic_filter, qos)
                assert tuple(await self.granted.get()) == (qos,)

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False, **more: Any) -> None:
        self.client.publish(topic, payload, qos, retain, **more)
        async with asyncio.timeout(SECONDS):
            await self.client._persistent_storage.wait_empty()  # it has no other way to say so

    async def ask(self, topic: str, payload: bytes, response: str, correlation: bytes) -> Got:
        await self.publish(topic, payload, 1, response_topic=response, correlation_data=correlation)
        return await self.receive()

    async def answer(self, request: Got, payload: bytes) -> None:
        await self.publish(request.response, payload, 1, correlation_data=request.correlation)

    async def receive(self) -> Got:
        return await self.inbox.get()

    async def close(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # what the broker said meanwhile comes behind the client's close_notify
            await self.client.disconnect()

    async def drop(self) -> None:
        self.client.stop_reconnect()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self.client.disconnect()

    def _on_message(self, _client: Any, topic: str, payload: bytes, qos: int, found: dict[str, Any]) -> int:
        response, correlation = found.get("response_topic", [""]), found.get("correlation_data", [b""])
        self.inbox.put(
            Got(topic, bytes(payload), qos, bool(found["retain"]), bool(found["dup"]), response[0], correlation[0])
        )
        return 0


class Amqtt:
    """amqtt's client."""

    will_at_close = False

    def __init__(self, version: int) -> None:
        assert version == 4

    async def connect(
        self, link: Link, client_id: str, filters: Filters, *, keep: bool, resume: bool, will: Will | None
    ) -> None:
        config: dict[str, Any] = {"auto_reconnect": False, "plugins": {}}
        if will is not None:
            config["will"] = {"topic": will.topic, "message": will.payload.decode(), "qos": will.qos, "retain": False}
        scheme = {"tcp": "mqtt", "tls": "mqtts"}.get(link.way.scheme, link.way.scheme)
        uri = f"{scheme}://{link.username}:{link.password}@{link.host}:{link.port}{link.path}"
        self.client = MQTTClient(client_id=client_id, config=config)
        ca = str(link.ca) if link.way.tls else None
        assert await self.client.connect(uri, cleansession=not keep, cafile=ca) == 0
        for topic_filter, qos in [] if resume else filters:
            assert await self.client.subscribe([(topic_filter, qos)]) == [qos]

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos, retain)

    async def ask(self, topic: str, payload: bytes, response: str, correlation: bytes) -> Got:
        raise NotImplementedError

    async def answer(self, request: Got, payload: bytes) -> None:
        raise NotImplementedError

    async def receive(self) -> Got:
        message = await self.client.deliver_message(timeout_duration=SECONDS)
        assert message is not None
        packet = message.publish_packet
        assert packet is not None
        return Got(message.topic, bytes(message.data), packet.qos, packet.retain_flag, packet.dup_flag)

    async def close(self) -> None:
        await self.client.disconnect()

    async def drop(self) -> None:
        with contextlib.suppress(Exception):  # whatever it finds when it looks at a connection that is gone
            await self.client.disconnect()


PYTHON = {
    "paho-mqtt": Client(Paho),
    "aiomqtt": Client(Aiomqtt),
    "gmqtt": Client(Gmqtt, websocket=False),
    "amqtt": Client(Amqtt, versions=(4,)),
}
