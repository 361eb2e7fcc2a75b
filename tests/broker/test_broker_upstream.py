"""The bridge as a client of a real Mosquitto."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from harness.mosquitto import free_port, mosquitto, needs_mosquitto
from harness.wire import Client

from bridge.broker.line import Remote
from bridge.broker.seams import Source
from bridge.broker.upstream import Settings, Speech, Upstream
from bridge.core.principal import Principal
from bridge.core.record import Done, Record, Route, Row
from bridge.counts import Counts
from schemas.topics import Topics

pytestmark = needs_mosquitto

FILTERS = ("v1/wudun/+/+/+/+/+", "v1/user/+/+/+/+/+")
POST = "v1/wudun/PK/D1/report/regular/post"
TWIN = "v1/user/T/D1/report/regular/post"
COMMAND = "v1/wudun/PK/D1/streaming_overdemand/create/command"


class House:
    """What core does, as far as the broker sees it: every message is committed at once, unless `hold`."""

    def __init__(self, port: int, **settings: object) -> None:
        self.got: asyncio.Queue[tuple[str, str, bytes]] = asyncio.Queue()
        self.held: list[Done] = []
        self.hold = False
        self.reached: list[str] = []
        self.lost: list[str] = []
        self.now = 0.0
        self.counts = Counts()
        remote = Remote("127.0.0.1", port, "bridge")
        self.upstream = Upstream(
            Settings(remote, FILTERS, **settings),  # type: ignore[arg-type]
            self.submit, self.hear, self.counts, self.reached.append, self.lost.append,
            lambda: self.now,
        )  # fmt: skip

    def hear(self, topic: str) -> Speech | None:
        address = Topics().parse(topic)
        if address is None:
            return None
        speaker = Principal("device", address.device)
        return Speech(speaker, address.device, address.prefix, address.kind == "command")

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
        record = Record()
        record.routes.append(Route((topic, TWIN) if topic == POST else (topic,), payload, qos))
        record.source = source
        if self.hold:
            self.held.append(done)
        else:
            done(True)
            self.upstream.deliver(record)
        self.got.put_nowait((principal.name, topic, payload))
        return record

    async def next(self) -> tuple[str, str, bytes]:
        async with asyncio.timeout(10):
            return await self.got.get()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - no packet tells of it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def house(port: int, **settings: object) -> AsyncIterator[House]:
    made = House(port, **settings)
    running = asyncio.create_task(made.upstream.run())
    try:
        await until(lambda: all(line.ready for line in made.upstream.lines))
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_messages_come_in_and_twins_go_out_once(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as port, house(port) as made, await Client.open(("127.0.0.1", port), "d") as device:
        await device.subscribe("#")
        await device.stored(POST, b"{}")
        assert await made.next() == ("D1", POST, b"{}")
        assert sorted([(await device.get()).topic for _ in range(2)]) == [TWIN, POST]
        await device.stored("v1/wudun/PK/D1/alarm/details/post", b"{}")
        assert (await made.next())[1].endswith("alarm/details/post")  # the twin that came back was known
        assert made.reached == ["D1"]


async def test_two_lines_share_the_messages(tmp_path: Path) -> None:
    async with (
        mosquitto(tmp_path) as port,
        house(port, lines=2) as made,
        await Client.open(("127.0.0.1", port), "d") as device,
    ):
        for number in range(10):
            await device.stored("v1/user/T/D1/report/regular/post", b"%d" % number)
        assert sorted([int((await made.next())[2]) for _ in range(10)]) == list(range(10))


async def test_what_is_not_committed_is_not_acknowledged_and_comes_again(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as port:
        async with await Client.open(("127.0.0.1", port), "d") as device:
            async with house(port) as made:
                made.hold = True
                await device.stored("v1/user/T/D1/report/regular/post", b"1")
                await made.next()
            await device.stored("v1/user/T/D1/report/regular/post", b"2")  # while the bridge is away
        async with house(port) as made:
            assert [(await made.next())[2] for _ in range(2)] == [b"1", b"2"]


async def test_a_failed_commit_brings_the_message_again(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as port, house(port) as made, await Client.open(("127.0.0.1", port), "d") as device:
        made.hold = True
        await device.stored("v1/user/T/D1/report/regular/post", b"1")
        await made.next()
        made.hold = False
        made.held[0](False)
        assert (await made.next())[2] == b"1"


async def test_commands_go_out_under_the_prefix_that_the_device_speaks_on(tmp_path: Path) -> None:
    other = COMMAND.replace("wudun/PK", "user/T")
    async with mosquitto(tmp_path) as port, house(port) as made, await Client.open(("127.0.0.1", port), "d") as device:
        await device.subscribe("v1/+/+/D1/+/+/command")
        assert made.upstream.command("D1", (other, COMMAND), b"early", print) is None
        await device.stored(POST, b"{}")
        await made.next()
        assert made.upstream.online("D1")
        assert made.upstream.command("D1", (other, COMMAND), b"now", print) == COMMAND
        assert (await device.get())[:2] == (COMMAND, b"now")
        made.now = 301.0
        made.upstream.tick()
        assert made.lost == ["D1"]
        assert not made.upstream.online("D1")


async def test_it_comes_back_when_the_broker_does_and_sends_what_waited(tmp_path: Path) -> None:
    port = free_port()
    async with mosquitto(tmp_path, port=port):
        context = house(port)
        made = await context.__aenter__()
    await until(lambda: made.upstream.trouble is not None)
    record = Record()
    record.routes.append(Route(("bridge/v1/PK/D1/status",), b"{}"))
    made.upstream.deliver(record)
    async with mosquitto(tmp_path, port=port), await Client.open(("127.0.0.1", port), "watch") as watcher:
        await watcher.subscribe("bridge/#")
        assert (await watcher.get(20))[:2] == ("bridge/v1/PK/D1/status", b"{}")
        await until(lambda: made.upstream.trouble is None)
    await context.__aexit__(None, None, None)


async def test_a_refusal_says_why(tmp_path: Path) -> None:
    async with mosquitto(tmp_path, "allow_anonymous false\n") as port:
        made = House(port)
        running = asyncio.create_task(made.upstream.run())
        await until(lambda: (made.upstream.trouble or "").startswith("CONNACK 0x"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
