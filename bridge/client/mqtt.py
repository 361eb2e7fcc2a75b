"""The client over MQTT 5: commands, and what the devices say, as it comes.

A command is published on the device's own topic; its states come on `bridge/v1/{owner}/{device}/command/{mid}`, the answer's
data with the device's result, a refusal on the error topic (docs/commands.md).
"""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic, time
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from bridge.client.command import Asked
from bridge.client.features import Device
from bridge.client.line import Line, Remote
from bridge.client.outcome import Outcome
from bridge.client.waiting import Waiters, Waiting
from bridge.errors import BridgeError, ConfigError, Conflict, NotFound, Refused, Unprocessable, Unreachable
from bridge.mqtt import topics
from bridge.mqtt.errors import Malformed
from schemas import build, kinds
from schemas.envelope import Message
from schemas.errors import Invalid
from schemas.kinds import Kind

STATES: Final = "bridge/v1/+/+/command/+"
ERRORS: Final = "bridge/v1/+/+/error"
GRACE_S: Final = 1.0
"""How long words of the error topic, or a first state, may come behind a PUBACK."""
AGAIN_S: Final = 20.0
"""A command without an outcome is asked for again so often: its state may have been lost, where a queue was full."""
QUEUE: Final = 1_000
"""Messages that a reader of `messages` may lag behind; then the oldest go."""


class Received(NamedTuple):
    """A message of a device, typed: `message.data` is the Struct of `kind`. `lost` says how many went missing before it, at
    least: the reader lagged behind, or the connection was gone for too long."""

    topic: str
    device: str
    kind: Kind
    message: Message
    lost: int


class _Reader:
    """One `messages`."""

    def __init__(self, topic_filter: str) -> None:
        self.filter = topic_filter
        self.queue: deque[tuple[str, Kind, Message]] = deque()
        self.lost = 0
        self._wake = asyncio.Event()
        self._error: Exception | None = None

    async def follow(self) -> AsyncIterator[Received]:
        """Until it is told to fail."""
        while True:
            while self.queue:
                topic, kind, message = self.queue.popleft()
                lost, self.lost = self.lost, 0
                yield Received(topic, topic.rsplit("/", 4)[1], kind, message, lost)
            if self._error is not None:
                raise self._error
            self._wake.clear()
            await self._wake.wait()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._wake.set()

    def offer(self, topic: str, kind: Kind, message: Message) -> None:
        if len(self.queue) >= QUEUE:
            self.queue.popleft()
            self.lost += 1
        self.queue.append((topic, kind, message))
        self._wake.set()


class MqttClient:
    """One bridge, by its MQTT address and an account's login: `async with MqttClient("mqtt://box:1883", "office", key,
    prefix="v1/wudun/PK001") as bridge: …`. `prefix` is what stands before the device in the topics of its owner."""

    def __init__(
        self,
        url: str,
        username: str | None = None,
        password: str | None = None,
        *,
        prefix: str,
        client_id: str | None = None,
        tls: ssl.SSLContext | None = None,
        patience_s: float = 30.0,
    ) -> None:
        """mqtt://HOST[:1883] or mqtts://HOST[:8883]; `tls` is for a certificate that the system does not trust. Without a
        connection for `patience_s` whatever waits ends with Unreachable. Raises ConfigError for what is no address."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.username:
            raise ConfigError("url", f"{url!r} is no address of a bridge", "mqtt://HOST:1883 or mqtts://HOST:8883")
        if parts.scheme == "mqtts" and tls is None:
            tls = ssl.create_default_context()
        self.prefix = _prefix(prefix)
        remote = Remote(
            parts.hostname, parts.port or (8883 if parts.scheme == "mqtts" else 1883),
            client_id or f"ems-client-{uuid.uuid4().hex[:16]}", username,
            password.encode() if password is not None else None, tls if parts.scheme == "mqtts" else None, patience_s,
        )  # fmt: skip
        self._patience_s = patience_s
        self._line = Line(remote, self._heard, self._back, self._away)
        self._task: asyncio.Task[None] | None = None
        self._waiters = Waiters()
        self._readers: set[_Reader] = set()
        self._held: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._line.run(), name="mqtt client")
        self._task.add_done_callback(self._ended)
        try:
            await self._hold(STATES, ERRORS, f"{self.prefix}/+/+/+/result")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._away(Unreachable("the client was closed"))

    # Commands.

    def device(self, uid: str, prefix: str | None = None) -> Device:
        """A device's commands; `prefix` where it is another one's than the client's."""
        return Device(_Under(self, self.prefix if prefix is None else _prefix(prefix)), uid)

    async def ask(self, asked: Asked, prefix: str) -> Outcome[Any]:
        """See Transport."""
        for name in ("timeout_s", "hold_s", "now"):
            if name in asked.options:
                what = f"{name} cannot be said by MQTT, where the bridge's own settings hold; ask by HTTP"
                raise Unprocessable("unsupported", what, f"$.{name}")
        if asked.mid in self._waiters.open:
            raise Conflict("conflict", f"this client waits for {asked.mid} already", "$.mid")
        topic = f"{prefix}/{asked.device}/{asked.kind.suffix}"
        try:
            topics.check_name(topic)
        except Malformed as error:
            raise NotFound("unknown_device", f"{asked.device[:128]!r} cannot be a device: {error}") from None
        if "/" in asked.device:
            raise NotFound("unknown_device", f"{asked.device[:128]!r} cannot be a device: it has a slash")
        await self._follow(prefix)
        began = monotonic()
        with self._waiters.wait(Waiting(asked, topic, _message(asked))) as waiting:
            await self._taken(waiting)
            await self._settled(waiting, asked.options.get("wait_s"))
        return Outcome(
            mid=asked.mid,
            device=asked.device,
            command=f"{asked.kind.feature}/{asked.kind.action}",
            state=waiting.state,
            code=waiting.code,
            message=waiting.message,
            data=waiting.answer,
            seconds=monotonic() - began,
        )

    async def _taken(self, waiting: Waiting) -> None:
        """Publish, until the bridge has committed it. Raises what refuses it."""
        acked = self._line.publish(waiting.topic, waiting.payload)
        try:
            async with asyncio.timeout(2 * self._patience_s):
                await acked
        except TimeoutError:
            raise Unreachable("the bridge has not taken the command", waiting.asked.mid) from None
        except Unreachable as error:
            raise Unreachable(str(error), waiting.asked.mid) from None
        except Refused:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await asyncio.shield(waiting.done)  # the error topic says more
            raise

    async def _settled(self, waiting: Waiting, wait_s: float | None) -> None:
        """Wait for the outcome, at most `wait_s`; with 0 long enough to hear that the mid is another command's."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S if wait_s == 0 else wait_s):
                if wait_s == 0:
                    await waiting.first.wait()
                while wait_s != 0 and not waiting.done.done():
                    ended, _ = await asyncio.wait([waiting.done], timeout=AGAIN_S)
                    if not ended:
                        self._ask_again(waiting)
        if waiting.done.done():
            waiting.done.result()

    # What the devices say.

    async def messages(
        self, suffix: str = "+/+/post", *, device: str = "+", prefix: str | None = None
    ) -> AsyncIterator[Received]:
        """What comes on {prefix}/{device}/{suffix} for as long as you listen; `suffix` is feature/action/kind. All may have
        wildcards: `+/wudun/PK001` is both versions of a prefix. Raises Denied, Unprocessable and Unreachable."""
        topic_filter = f"{self.prefix if prefix is None else prefix}/{device}/{suffix}"
        try:
            topics.check_filter(topic_filter)
        except Malformed as error:
            raise Unprocessable("invalid", f"{topic_filter!r} is no topic filter: {error}") from None
        reader = _Reader(topic_filter)
        self._readers.add(reader)
        try:
            await self._hold(topic_filter)
            try:
                async for received in reader.follow():
                    yield received
            finally:
                self._let_go(topic_filter)
        finally:
            self._readers.discard(reader)

    # Subscriptions, shared by who needs them.

    async def _hold(self, *filters: str) -> None:
        self._held.update(filters)
        try:
            await self._line.subscribe(filters)
        except BaseException:
            for each in filters:
                self._let_go(each)
            raise

    def _let_go(self, topic_filter: str) -> None:
        self._held[topic_filter] -= 1
        if self._held[topic_filter] <= 0:
            del self._held[topic_filter]
            self._line.unsubscribe([topic_filter])

    async def _follow(self, prefix: str) -> None:
        """Hear the results under a prefix, from its first command on, for good."""
        results = f"{prefix}/+/+/+/result"
        self._held[results] = max(1, self._held[results])
        try:
            await self._line.subscribe([results])
        except BridgeError:
            del self._held[results]
            raise

    # What the line tells.

    def _heard(self, topic: str, payload: bytes) -> None:
        if topic.startswith("bridge/v1/"):
            self._waiters.told(topic, payload)
            return
        parts = topic.rsplit("/", 4)
        readers = [reader for reader in self._readers if topics.matches(reader.filter, topic)]
        if len(parts) != 5 or not (readers or self._waiters.open):
            return
        try:
            kind, message = kinds.resolve("/".join(parts[2:]), payload)
        except Invalid:
            return  # only where another broker than the bridge's stands in between
        for reader in readers:
            reader.offer(topic, kind, message)
        if kind.kind == "result":
            self._waiters.answered(parts[1], kind, message)

    def _back(self, resumed: bool) -> None:
        """Connected again: states may be missing, of a session that was forgotten or of a bridge that was killed."""
        for waiting in self._waiters.open.values():
            self._ask_again(waiting)
        for reader in () if resumed else self._readers:
            reader.lost += 1

    def _ask_again(self, waiting: Waiting) -> None:
        """The same command is not sent again; who repeats it is told its present state."""
        self._line.publish(waiting.topic, waiting.payload).add_done_callback(_heed)

    def _away(self, error: Exception) -> None:
        self._waiters.fail(error)
        for reader in self._readers:
            reader.fail(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The line has ended: the bridge does not let us in, or a fault of ours."""
        if not task.cancelled() and (error := task.exception()) is not None:
            known = error if isinstance(error, BridgeError) else BridgeError(f"the client failed: {error!r}")
            self._line.fail(known, for_good=True)
            self._away(known)


class _Under(NamedTuple):
    """The transport of devices under one prefix."""

    client: MqttClient
    prefix: str

    async def ask(self, asked: Asked) -> Outcome[Any]:
        """See Transport."""
        return await self.client.ask(asked, self.prefix)


def _message(asked: Asked) -> Message:
    options = asked.options
    return build.command(
        asked.kind, asked.device, asked.data, int(time() * 1000), asked.mid,
        sub_device_uid=options.get("sub_device_uid"), sub_device_id=options.get("sub_device_id"),
    )  # fmt: skip


def _heed(ended: asyncio.Future[None]) -> None:
    if not ended.cancelled():
        ended.exception()


def _prefix(text: str) -> str:
    try:
        topics.check_name(text)
    except Malformed as error:
        raise ConfigError("prefix", f"{text!r} is no topic prefix: {error}", "such as v1/wudun/PK001") from None
    return text.rstrip("/")
