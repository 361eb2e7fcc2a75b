"""A broker wired to a tiny core of the tests' own, and a client that speaks packets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from bridge.broker.access import Builtin
from bridge.broker.hub import Hub
from bridge.broker.limits import Limits
from bridge.broker.listener import Broker
from bridge.broker.seams import Source
from bridge.core.principal import Principal
from bridge.core.record import Done, Record, Reject, Route, Row
from bridge.counts import Counts
from bridge.mqtt import packets
from bridge.mqtt.framing import CONNACK, PINGRESP, PUBCOMP, PUBLISH, PUBREC, SUBACK, UNSUBACK, Frame, Framing
from bridge.store import sessions
from bridge.store.database import Database
from bridge.store.writer import Writer

PEOPLE = {
    "EMS1": Principal("device", "EMS1"),
    "EMS2": Principal("device", "EMS2"),
    "backend": Principal("account", "backend", frozenset({("wudun", "PK")})),
    "other": Principal("account", "other", frozenset()),
}
"""User names; each one's password is its name and `-secret`."""


def _may_subscribe(principal: Principal, topic_filter: str) -> bool:
    if principal.kind == "device":
        return topic_filter.startswith(f"v1/wudun/PK/{principal.name}/")
    return not topic_filter.startswith("test/nosubscribe")


def _may_read(principal: Principal, topic: str) -> bool:
    if principal.kind == "device":
        return topic.startswith(f"v1/wudun/PK/{principal.name}/")
    return principal.kind == "anonymous" or ("wudun", "PK") in (principal.grants or ()) or not topic.startswith("v1/")


class Rig:
    """The parts of one broker; `commit` decides whether commits succeed, `hold` keeps them back until `let_go`."""

    def __init__(self, limits: Limits, writer: Writer | None = None, **hub: Any) -> None:
        self.counts = Counts()
        self.writer = writer
        self.people = dict(PEOPLE)
        self.presence: list[tuple[str, str, bool]] = []
        self.reached: list[str] = []
        self.submitted: list[tuple[str, str, bytes, int, bool]] = []
        self.twins: Callable[[str], tuple[str, ...]] = lambda topic: (topic,)
        self.rejects: dict[str, Reject] = {}
        self.commit = True
        self.hold = False
        self._kept: list[Callable[[], None]] = []
        access = hub.pop("access", None) or Builtin(self.login, self.find, _may_subscribe, _may_read, True)
        self.hub = Hub(
            self.submit,
            self.persist,
            access,
            self.counts,
            limits,
            presence=lambda who, client, on: self.presence.append((who.name, client, on)),
            reachable=self.reached.append,
            **hub,
        )
        self.broker = Broker(self.hub)
        self.host, self.port = "", 0

    async def login(self, username: str, password: str) -> Principal | None:
        await asyncio.sleep(0)
        return self.people.get(username) if password == f"{username}-secret" else None

    def find(self, kind: str, name: str) -> Principal | None:
        found = self.people.get(name)
        return found if found is not None and found.kind == kind else None

    def submit(
        self,
        principal: Principal,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        rows: list[Row],
        done: Done,
        source: Source | None = None,
    ) -> Record:
        self.submitted.append((principal.name, topic, payload, qos, retain))
        record = Record()
        record.routes.append(Route(self.twins(topic), payload, qos, retain))
        record.rows += rows
        record.source = source
        record.reject = self.rejects.get(topic)
        if record.reject is not None:
            record.routes.clear()
        self.hub.prepare(record)
        if record.reject is not None:  # a refusal has rows, so that it is never settled at once
            asyncio.get_running_loop().call_soon(self._settle, record, done)
        else:
            self._settle(record, done)
        return record

    def persist(self, rows: list[Row], done: Done | None) -> None:
        record = Record()
        record.rows += rows
        self._settle(record, done)

    def let_go(self) -> None:
        self.hold = False
        kept, self._kept = self._kept, []
        for settle in kept:
            settle()

    def _settle(self, record: Record, done: Done | None) -> None:
        if self.writer is not None:
            self.writer.submit(record, lambda ok: self._finish(record, done, ok))
        elif self.hold:
            self._kept.append(lambda: self._finish(record, done, self.commit))
        else:
            self._finish(record, done, self.commit)

    def _finish(self, record: Record, done: Done | None, ok: bool) -> None:
        if done is not None:
            done(ok)
        if ok:
            self.hub.deliver(record)
        else:
            self.hub.discard(record)

    def client(self, client_id: str = "c", **connect: Any) -> Client:
        return Client(self, packets.Connect(client_id, **connect))

    def device(self, name: str, **connect: Any) -> Client:
        return self.client(f"{name}-client", username=name, password=f"{name}-secret".encode(), **connect)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds that no packet tells of."""
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def raw(self) -> Client:
        client = self.client()
        await client.open()
        return client


@asynccontextmanager
async def rig(limits: Limits | None = None, database: Path | None = None, **hub: Any) -> AsyncIterator[Rig]:
    """A listening broker; with `database`, rows go through the real Writer to a real file and are restored from it."""
    if database is None:
        made = Rig(limits or Limits(), **hub)
        async with _listening(made):
            yield made
        return
    store = await Database.open(database, "bridge")
    writer = Writer(store, sessions.STATEMENTS, Counts())
    running = asyncio.create_task(writer.run())
    try:
        made = Rig(limits or Limits(), writer, **hub)
        made.hub.restore(await sessions.load(store))
        async with _listening(made):
            yield made
    finally:
        writer.close()
        await running
        await store.close()


@asynccontextmanager
async def _listening(made: Rig) -> AsyncIterator[None]:
    made.host, made.port = await made.broker.start("127.0.0.1", 0)
    try:
        yield
    finally:
        await made.broker.stop()


class Client:
    """Sends what it is told, hands out what comes, acknowledges nothing by itself."""

    def __init__(self, rig: Rig, connect: packets.Connect) -> None:
        self.rig = rig
        self.connect = connect
        self.framing = Framing()
        self.frames: list[Frame] = []
        self._ids = 0

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.rig.host, self.rig.port)

    async def __aenter__(self) -> Self:
        code, self.present = await self.log_in()
        assert code == 0, f"CONNACK {code}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()

    async def log_in(self) -> tuple[int, bool]:
        """(CONNACK code, session present)."""
        await self.open()
        self.send(packets.encode_connect(self.connect))
        first, _, _, body = await self.frame()
        assert first == CONNACK
        present, code = packets.decode_connack(body)
        return code, present

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def frame(self, seconds: float = 5) -> Frame:
        """The next packet. ConnectionError when there is none any more."""
        async with asyncio.timeout(seconds):
            while not self.frames:
                data = await self.reader.read(65_536)
                if not data:
                    raise ConnectionError("closed by the broker")
                self.frames += self.framing.feed(data)
                assert self.framing.error is None
            return self.frames.pop(0)

    async def closed(self, seconds: float = 5) -> list[Frame]:
        """What comes until the broker closes."""
        found = []
        try:
            while True:
                found.append(await self.frame(seconds))
        except ConnectionError:
            return found

    async def quiet(self) -> list[Frame]:
        """What has come by the time that a ping is answered."""
        self.send(packets.PINGREQ_BYTES)
        found = []
        while (frame := await self.frame())[0] != PINGRESP:
            found.append(frame)
        return found

    async def message(self) -> tuple[str, bytes, int, int, bool, bool]:
        """The next PUBLISH: (topic, payload, qos, packet id, retain, dup)."""
        first, topic, packet_id, payload = await self.frame()
        assert first & 0xF0 == PUBLISH, hex(first)
        return topic, payload, first >> 1 & 3, packet_id, bool(first & 1), bool(first & 8)

    async def subscribe(self, *filters: tuple[str, int]) -> list[int]:
        packet_id = self._next()
        self.send(packets.encode_subscribe(packet_id, filters))
        first, _, answered, body = await self.frame()
        assert (first, answered) == (SUBACK, packet_id)
        return packets.decode_suback(body)

    async def unsubscribe(self, *filters: str) -> None:
        packet_id = self._next()
        self.send(packets.encode_unsubscribe(packet_id, filters))
        assert (await self.frame())[::2] == (UNSUBACK, packet_id)

    async def publish(self, topic: str, payload: bytes, qos: int = 0, *, retain: bool = False) -> None:
        """Publish and see it through; no other packet may come meanwhile."""
        packet_id = self._next() if qos else 0
        self.send(packets.encode_publish(topic, payload, qos, retain=retain, packet_id=packet_id))
        if qos == 1:
            assert await self.frame() == (0x40, "", packet_id, b"")
        elif qos == 2:
            assert await self.frame() == (PUBREC, "", packet_id, b"")
            self.send(packets.encode_pubrel(packet_id))
            assert await self.frame() == (PUBCOMP, "", packet_id, b"")
        else:
            await self.quiet()

    async def disconnect(self) -> None:
        self.send(packets.DISCONNECT_BYTES)
        assert await self.closed() == []
        await self.vanish()

    async def vanish(self) -> None:
        """Close the socket without a word."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def _next(self) -> int:
        self._ids += 1
        return self._ids
