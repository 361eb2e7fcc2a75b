"""Independent MQTT clients behind one small face: paho-mqtt, aiomqtt, amqtt's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NamedTuple, Protocol

import aiomqtt
import paho.mqtt.client as paho
from amqtt.client import MQTTClient

SECONDS = 10


class Got(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Peer(Protocol):
    async def connect(
        self, port: int, client_id: str, *, clean: bool = True, will: tuple[str, bytes, int] | None = None
    ) -> None: ...
    async def subscribe(self, topic_filter: str, qos: int) -> None: ...
    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """Returns when the message is acknowledged."""

    async def receive(self) -> Got: ...
    async def disconnect(self) -> None: ...


class Paho:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.got: asyncio.Queue[Got] = asyncio.Queue()
        self.done: asyncio.Queue[Any] = asyncio.Queue()

    async def connect(
        self, port: int, client_id: str, *, clean: bool = True, will: tuple[str, bytes, int] | None = None
    ) -> None:
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id, clean_session=clean, reconnect_on_failure=False
        )
        if will:
            self.client.will_set(*will)
        self.client.on_connect = lambda *arguments: self._tell(self.done, arguments[3])
        self.client.on_subscribe = lambda *arguments: self._tell(self.done, arguments[3])
        self.client.on_publish = lambda *arguments: self._tell(self.done, arguments[2])
        self.client.on_message = lambda _client, _data, m: self._tell(
            self.got, Got(m.topic, m.payload, m.qos, m.retain)
        )
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        assert not (await self._answer()).is_failure

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        self.client.subscribe(topic_filter, qos)
        [code] = await self._answer()
        assert code.value == qos

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos, retain)
        await self._answer()

    async def receive(self) -> Got:
        async with asyncio.timeout(SECONDS):
            return await self.got.get()

    async def disconnect(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)

    def _tell(self, queue: asyncio.Queue[Any], value: Any) -> None:
        self.loop.call_soon_threadsafe(queue.put_nowait, value)

    async def _answer(self) -> Any:
        async with asyncio.timeout(SECONDS):
            return await self.done.get()


class Aiomqtt:
    async def connect(
        self, port: int, client_id: str, *, clean: bool = True, will: tuple[str, bytes, int] | None = None
    ) -> None:
        self.client = aiomqtt.Client(
            "127.0.0.1",
            port,
            identifier=client_id,
            clean_session=clean,
            will=aiomqtt.Will(*will) if will else None,
        )
        self.stack = contextlib.AsyncExitStack()
        await self.stack.enter_async_context(self.client)

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        granted = await self.client.subscribe(topic_filter, qos)
        assert [getattr(code, "value", code) for code in granted] == [qos]

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos, retain)

    async def receive(self) -> Got:
        async with asyncio.timeout(SECONDS):
            async for message in self.client.messages:
                assert isinstance(message.payload, bytes)
                return Got(str(message.topic), message.payload, message.qos, message.retain)
        raise AssertionError

    async def disconnect(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            await self.stack.aclose()


class Amqtt:
    async def connect(
        self, port: int, client_id: str, *, clean: bool = True, will: tuple[str, bytes, int] | None = None
    ) -> None:
        config: dict[str, Any] = {"auto_reconnect": False, "plugins": {}}
        if will:
            config["will"] = dict(
                zip(("topic", "message", "qos"), (will[0], will[1].decode(), will[2]), strict=True)
            ) | {"retain": False}
        self.client = MQTTClient(client_id=client_id, config=config)
        assert await self.client.connect(f"mqtt://127.0.0.1:{port}/", cleansession=clean) == 0

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        assert await self.client.subscribe([(topic_filter, qos)]) == [qos]

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        await self.client.publish(topic, payload, qos, retain)

    async def receive(self) -> Got:
        message = await self.client.deliver_message(timeout_duration=SECONDS)
        assert message is not None
        assert message.publish_packet is not None
        return Got(message.topic, bytes(message.data), message.publish_packet.qos, message.publish_packet.retain_flag)

    async def disconnect(self) -> None:
        with contextlib.suppress(Exception):  # a connection that the broker has cut already
            await self.client.disconnect()


PEERS = {"paho": Paho, "aiomqtt": Aiomqtt, "amqtt": Amqtt}
