"""Independent clients run one script against the broker; Mosquitto's command line clients theirs."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest
from broker_peers import PEERS, Got, Peer
from broker_rig import Rig, rig

peers = pytest.mark.parametrize("make", PEERS.values(), ids=PEERS.keys())
Make = Callable[[], Peer]


@asynccontextmanager
async def connected(made: Rig, make: Make, client_id: str, **options: Any) -> AsyncIterator[Peer]:
    peer = make()
    await peer.connect(made.port, client_id, **options)
    try:
        yield peer
    finally:
        await peer.disconnect()


def cut(made: Rig, client_id: str) -> None:
    """The network fails for one client."""
    [connection] = [each for each in made.hub.connections if each.client_id == client_id]
    connection.abort()


@peers
async def test_qos_wildcards_and_retained(make: Make) -> None:
    async with rig() as made, connected(made, make, "sub") as sub, connected(made, make, "pub") as pub:
        await sub.subscribe("a/+/c", 2)
        await sub.subscribe("x/#", 1)
        for qos in (0, 1, 2):
            await pub.publish("a/b/c", b"%d" % qos, qos)
            assert await sub.receive() == Got("a/b/c", b"%d" % qos, qos, False)
        await pub.publish("a/b/d", b"not this", 1)
        await pub.publish("x", b"parent", 2)
        assert await sub.receive() == Got("x", b"parent", 1, False)
        await pub.publish("kept", b"v", 1, retain=True)
        await sub.subscribe("kept", 1)
        assert await sub.receive() == Got("kept", b"v", 1, True)
        await pub.publish("kept", b"", 1, retain=True)
        assert await sub.receive() == Got("kept", b"", 1, False)
        async with connected(made, make, "late") as late:
            await late.subscribe("kept", 1)
            await pub.publish("kept", b"live", 1)
            assert await late.receive() == Got("kept", b"live", 1, False)


@peers
async def test_will(make: Make) -> None:
    async with rig() as made, connected(made, make, "watch") as watch:
        await watch.subscribe("will/#", 1)
        async with connected(made, make, "dying", will=("will/dying", b"bye", 1)):
            cut(made, "dying")
            assert await watch.receive() == Got("will/dying", b"bye", 1, False)
        async with connected(made, make, "leaving", will=("will/leaving", b"bye", 1)):
            pass
        await watch.publish("will/probe", b"", 0)
        assert (await watch.receive()).topic == "will/probe"


@peers
async def test_offline_queue(make: Make) -> None:
    async with rig() as made, connected(made, make, "pub") as pub:
        async with connected(made, make, "sub", clean=False) as sub:
            await sub.subscribe("q/#", 2)
        for qos in (0, 1, 2):
            await pub.publish("q/a", b"%d" % qos, qos)
        async with connected(made, make, "sub", clean=False) as sub:
            assert [await sub.receive() for _ in range(2)] == [Got("q/a", b"1", 1, False), Got("q/a", b"2", 2, False)]


@peers
async def test_take_over(make: Make) -> None:
    async with rig() as made, connected(made, make, "same"), connected(made, make, "same") as second:
        assert made.counts.value("ems_bridge_mqtt_closed", (("cause", "taken_over"),)) == 1
        await second.subscribe("t", 1)
        await second.publish("t", b"x", 1)
        assert (await second.receive()).payload == b"x"


async def test_redelivery_to_paho() -> None:
    """Without an acknowledgement the message comes again, with DUP and the same id."""
    loop = asyncio.get_running_loop()
    got: asyncio.Queue[tuple[bytes, int, bool]] = asyncio.Queue()
    subscribed = asyncio.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "sub", clean_session=False, manual_ack=True)
    client.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set)
    client.on_message = lambda _c, _d, m: loop.call_soon_threadsafe(got.put_nowait, (m.payload, m.mid, m.dup))
    client.reconnect_delay_set(1, 1)
    async with rig() as made, made.client("pub") as pub:
        client.connect_async("127.0.0.1", made.port)
        client.loop_start()
        try:
            while not any(each.client_id == "sub" for each in made.hub.connections):
                await pub.quiet()
            client.subscribe("t", 1)
            await asyncio.wait_for(subscribed.wait(), 10)
            await pub.publish("t", b"x", 1)
            assert await asyncio.wait_for(got.get(), 10) == (b"x", 1, False)
            cut(made, "sub")
            assert await asyncio.wait_for(got.get(), 10) == (b"x", 1, True)
            client.ack(1, 1)
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)


needs_mosquitto = pytest.mark.skipif(
    not (shutil.which("mosquitto_pub") and shutil.which("mosquitto_sub")), reason="needs mosquitto-clients"
)


async def run(made: Rig, tool: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        tool,
        "-h",
        "127.0.0.1",
        "-p",
        str(made.port),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def finished(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert process.returncode == 0, output
    return output.decode()


async def subscribed(made: Rig, client_id: str) -> None:
    async with made.client("probe") as probe:
        while not any(
            each.client_id == client_id and each.session and each.session.subscriptions for each in made.hub.connections
        ):
            await probe.quiet()


@needs_mosquitto
@pytest.mark.parametrize("qos", ["0", "1", "2"])
async def test_mosquitto_clients(qos: str) -> None:
    async with rig() as made:
        options = ("-i", "s", "-t", "m/+", "-q", qos, "-C", "2", "-F", "%t %p %q %r")
        sub = await run(made, "mosquitto_sub", *options)
        await subscribed(made, "s")
        await finished(await run(made, "mosquitto_pub", "-t", "m/a", "-m", "one", "-q", qos))
        await finished(await run(made, "mosquitto_pub", "-t", "m/b", "-m", "two", "-q", qos, "-r"))
        assert await finished(sub) == f"m/a one {qos} 0\nm/b two {qos} 0\n"
        sub = await run(made, "mosquitto_sub", "-t", "m/#", "-q", qos, "-C", "1", "-F", "%t %p %q %r")
        assert await finished(sub) == f"m/b two {qos} 1\n"


@needs_mosquitto
async def test_mosquitto_clients_offline_queue_will_and_wrong_password() -> None:
    async with rig() as made:
        keep = ("-i", "s", "-c", "-t", "m/#", "-q", "1", "-F", "%t %p")
        await finished(await run(made, "mosquitto_sub", *keep, "-E"))
        await finished(await run(made, "mosquitto_pub", "-t", "m/a", "-m", "queued", "-q", "1"))
        dying = await run(
            made,
            "mosquitto_sub",
            "-i",
            "d",
            "-t",
            "x",
            "--will-topic",
            "m/will",
            "--will-payload",
            "bye",
            "--will-qos",
            "1",
        )
        await subscribed(made, "d")
        dying.kill()
        await dying.communicate()
        assert await finished(await run(made, "mosquitto_sub", *keep, "-C", "2")) == "m/a queued\nm/will bye\n"
        refused = await run(made, "mosquitto_pub", "-u", "EMS1", "-P", "wrong", "-t", "a", "-m", "b")
        output, _ = await refused.communicate()
        assert refused.returncode != 0
        assert b"Connection Refused" in output or b"Connection error" in output
