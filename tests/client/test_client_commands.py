"""Commands by both transports, as a backend gives them: real service, simulated devices."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import uuid
from functools import partial
from typing import Any

import pytest
from client_site import AWAY, BODIES, BOTH, EMU, USER, Site
from harness import messages
from harness.process import ROOT
from harness.wire import Client

from bridge.client import HttpClient, MqttClient
from bridge.errors import ConfigError, Conflict, Denied, NotFound, Refused, Unprocessable, Unreachable
from bridge.store.database import Database
from schemas import kinds
from schemas.overdemand import OverDemandCreate, StreamingOverDemand, StreamingOverDemandCreated
from schemas.schedules import PolicyCreated

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "mqtt"])
LIMIT = OverDemandCreate(
    ele_meter_id=9,
    over_demand_status=1,
    over_demand_condition=[300] * 12,
    streaming_status=2,
    individual_phase_streaming_status=2,
    dynamic_demand_percentage=80,
)


@TRANSPORTS
async def test_every_command_of_the_table(site: Site, transport: str) -> None:
    """By attribute, and with the answer's data as the Struct that the table names."""
    for uid, is_emu in ((BOTH, False), (EMU, True)):
        device = site.device(transport, uid)
        for kind in kinds.KINDS:
            if kind.kind != "command" or (kind.feature, kind.action) in OF_EMU != is_emu:
                continue
            call = getattr(getattr(device, kind.feature), kind.action)
            body = BODIES.get(f"{kind.feature}/{kind.action}")
            outcome = await (call() if body is None else call(body))
            assert outcome.settled, outcome
            assert outcome.command == f"{kind.feature}/{kind.action}"
            assert outcome.device == uid


OF_EMU = {("charge", "setting")}


@TRANSPORTS
@pytest.mark.parametrize("uid", [BOTH, USER])
async def test_created_and_listed(site: Site, transport: str, uid: str) -> None:
    """On the scheme of the command's topic or on its twin: the device is one."""
    device = site.device(transport, uid)
    created = (await device.streaming_overdemand.create(LIMIT)).check()
    assert (created.state, created.code, created.ok, created.settled) == ("succeeded", 200, True, True)
    assert isinstance(created.data, StreamingOverDemandCreated)
    assert isinstance(created.data.id, int)
    assert 0 <= created.seconds < 3
    found = await device.streaming_overdemand.sync()
    assert isinstance(found.data, list)
    assert all(isinstance(each, StreamingOverDemand) for each in found.data)
    assert created.data.id in [each.id for each in found.data]
    plan = await device.charge.create(BODIES["charge/create"])
    assert isinstance(plan.data, PolicyCreated)


@TRANSPORTS
async def test_the_example_of_the_manual(site: Site, transport: str, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"```python limit.py\n(.*?)```", (ROOT / "docs" / "client.md").read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(text, "client.md", "exec"), names)
    client = site.http if transport == "http" else site.mqtt
    assert isinstance(await names["limited"](client, BOTH), int)
    site.fleet.device(BOTH).reject()
    with pytest.raises(Refused):
        await names["limited"](client, BOTH)
    assert capsys.readouterr().out.startswith("rejected 400 ")


@TRANSPORTS
async def test_refused_by_the_device(site: Site, transport: str) -> None:
    site.fleet.device(BOTH).reject()
    outcome = await site.device(transport, BOTH).streaming_overdemand.create(LIMIT)
    assert (outcome.state, outcome.code, outcome.ok, outcome.settled) == ("rejected", 400, False, True)
    with pytest.raises(Refused, match="is rejected: code 400") as refused:
        outcome.check()
    assert refused.value.code == "rejected"


@TRANSPORTS
async def test_no_answer_and_nobody_there(site: Site, transport: str) -> None:
    site.fleet.device(BOTH).silence()
    silent, away = await asyncio.gather(
        site.device(transport, BOTH).safety.sync(), site.device(transport, AWAY).safety.sync()
    )
    assert (silent.state, silent.code, silent.data) == ("timed_out", None, None)
    assert silent.message == "no answer before the deadline"
    assert silent.seconds == pytest.approx(3, abs=1.5)
    assert away.state == "expired"
    assert away.seconds == pytest.approx(1, abs=0.9)


async def test_seconds_of_ones_own(site: Site) -> None:
    site.fleet.device(BOTH).silence()
    device, away = site.http.device(BOTH), site.http.device(AWAY)
    assert (await device.safety.sync(timeout_s=0.3)).state == "timed_out"
    assert (await away.safety.sync(hold_s=0.2)).state == "expired"
    assert (await away.safety.sync(now=True)).state == "undeliverable"
    with pytest.raises(Unprocessable) as refused:
        await site.mqtt.device(BOTH).safety.sync(timeout_s=1)
    assert (refused.value.code, refused.value.path) == ("unsupported", "$.timeout_s")


@TRANSPORTS
async def test_not_waited_for(site: Site, transport: str) -> None:
    """The command goes on; its outcome is asked for later."""
    site.fleet.device(BOTH).slow(0.8)
    device = site.device(transport, BOTH)
    for wait_s in (0.0, 0.2):
        begun = await device.safety.sync(wait_s=wait_s)
        assert not begun.settled
        assert not begun.ok
        found = await site.http.command(begun.mid, wait_s=10)
        assert (found.state, found.settled) == ("succeeded", True)
        assert [step.state for step in found.history] == ["accepted", "sent", "delivered", "succeeded"]


async def test_cancelled_before_it_was_sent(site: Site) -> None:
    begun = await site.http.device(AWAY).safety.sync(wait_s=0, hold_s=60)
    assert (await site.http.cancel(begun.mid)).state == "cancelled"
    assert (await site.http.cancel(begun.mid)).state == "cancelled"
    assert [each.mid async for each in site.http.commands(device=AWAY, state="cancelled")] == [begun.mid]
    done = await site.http.device(BOTH).safety.sync()
    with pytest.raises(Conflict, match="succeeded"):
        await site.http.cancel(done.mid)


@TRANSPORTS
async def test_the_same_mid(site: Site, transport: str) -> None:
    """Once with the same content, on either transport; a conflict with another."""
    mid = str(uuid.uuid4())
    device, other = site.device(transport, BOTH), site.device("mqtt" if transport == "http" else "http", BOTH)
    before = site.fleet.summary().commands
    first = await device.streaming_overdemand.sync(mid=mid)
    assert first.ok
    again = await other.streaming_overdemand.sync(mid=mid)
    assert (again.mid, again.state, again.code) == (mid, "succeeded", 200)
    assert site.fleet.summary().commands == before + 1
    for wait_s in (0.0, 5.0):
        with pytest.raises(Conflict) as refused:
            await device.safety.sync(mid=mid, wait_s=wait_s)
        assert (refused.value.code, refused.value.path) == ("conflict", "$.mid")


@TRANSPORTS
async def test_refused_before_it_is_sent(site: Site, transport: str) -> None:
    device = site.device(transport, BOTH)
    with pytest.raises(Unprocessable) as refused:
        await device.streaming_overdemand.delete({"id": "x"})
    assert (refused.value.code, refused.value.path) == ("invalid", "$.data.id")
    with pytest.raises(Unprocessable, match="missing"):
        await device.send("streaming_overdemand", "delete")
    with pytest.raises(Unprocessable, match="not JSON"):
        await device.streaming_overdemand.delete({"id": object()})
    with pytest.raises(Unprocessable, match="UUID"):
        await device.safety.sync(mid="1")
    with pytest.raises(Unprocessable, match="no command no/such"):
        await device.send("no", "such")
    assert (await device.send("streaming_overdemand", "sync")).ok


@TRANSPORTS
@pytest.mark.parametrize("uid", ["NOBODY", "FOREIGN", "a/b", "..", "+", "ü?#"])
async def test_another_ones_device(site: Site, transport: str, uid: str) -> None:
    with pytest.raises((NotFound, Denied)):
        async with asyncio.timeout(10):
            await site.device(transport, uid).safety.sync()


async def test_a_wrong_key(site: Site) -> None:
    async with HttpClient(site.bridge.http, "wrong") as client:
        with pytest.raises(Denied):
            await client.device(BOTH).safety.sync()
    with pytest.raises(Denied):
        async with MqttClient(site.mqtt_url, "office", "wrong", prefix="v1/wudun/PK001"):
            raise AssertionError("let in")


@pytest.mark.process
async def test_nobody_answers(site: Site) -> None:
    """Whatever waits ends, and says which command is meant."""
    site.fleet.device(BOTH).silence()
    mids = {name: str(uuid.uuid4()) for name in ("http", "mqtt")}
    async with (
        HttpClient(site.bridge.http, site.key, patience_s=0.5) as by_http,
        MqttClient(site.mqtt_url, "office", site.key, prefix="v1/wudun/PK001", patience_s=0.5) as by_mqtt,
    ):
        waiting = {
            "http": asyncio.create_task(by_http.device(BOTH).safety.sync(mid=mids["http"])),
            "mqtt": asyncio.create_task(by_mqtt.device(BOTH).safety.sync(mid=mids["mqtt"])),
        }
        for mid in mids.values():
            await delivered(site, mid)
        site.process.kill()
        for name, task in waiting.items():
            with pytest.raises(Unreachable) as lost:
                await asyncio.wait_for(task, 20)
            assert lost.value.mid == mids[name]
        with pytest.raises(Unreachable):
            await by_http.show(BOTH)
    with pytest.raises(Unreachable):
        async with MqttClient(site.mqtt_url, "office", site.key, prefix="v1/wudun/PK001", patience_s=0.2):
            raise AssertionError("connected to nobody")


async def delivered(site: Site, mid: str) -> None:
    async with asyncio.timeout(20):
        while not await known(site, mid):  # noqa: ASYNC110 - HTTP rings no bell for it
            await asyncio.sleep(0.02)


async def known(site: Site, mid: str) -> bool:
    try:
        return (await site.http.command(mid)).state == "delivered"
    except NotFound:
        return False


@TRANSPORTS
@pytest.mark.system
@pytest.mark.process
async def test_kill_9_while_it_waits(site: Site, transport: str) -> None:
    """The bridge dies under a command: its one outcome comes all the same."""
    site.fleet.device(BOTH).silence()
    mid = str(uuid.uuid4())
    waiting = asyncio.create_task(site.device(transport, BOTH).safety.sync(mid=mid))
    await delivered(site, mid)
    await site.restart()
    outcome = await asyncio.wait_for(waiting, 20)
    assert (outcome.mid, outcome.state) == (mid, "timed_out")
    site.fleet.device(BOTH).honest()
    await site.fleet.connected()
    assert (await site.device(transport, BOTH).safety.sync()).ok


@pytest.mark.system
@pytest.mark.process
async def test_a_session_that_was_forgotten(site: Site) -> None:
    """What ended while nobody could be told is told when it is asked for again."""
    site.fleet.device(BOTH).silence()
    mid = str(uuid.uuid4())
    waiting = asyncio.create_task(site.mqtt.device(BOTH).safety.sync(mid=mid))
    await delivered(site, mid)
    site.process.kill()
    await forget(site)
    await asyncio.sleep(3)  # its deadline passes
    await asyncio.to_thread(site.process.start, *site.ports)
    assert (await asyncio.wait_for(waiting, 20)).state == "timed_out"


def delete(table: str, connection: sqlite3.Connection) -> int:
    return connection.execute(f"DELETE FROM {table}").rowcount


async def forget(site: Site) -> None:
    database = await Database.open(site.bridge.data / "bridge.db", "bridge")
    for table in ("mqtt_queue", "mqtt_subscriptions", "mqtt_sessions"):
        await database.write(partial(delete, table))
    await database.close()


async def test_answers_without_reply(site: Site) -> None:
    """Matched as the bridge matches them: the oldest of its sort."""
    site.fleet.device(BOTH).offline()
    uid, topic = BOTH, f"v1/wudun/PK001/{BOTH}/streaming_overdemand"
    secret = next(spec.password for spec in site.fleet.specs if spec.uid == BOTH)
    async with await Client.open(site.bridge.mqtt, "raw", uid, secret) as device:
        await device.subscribe(f"v1/wudun/PK001/{uid}/+/+/command")
        wanted = [asyncio.create_task(site.mqtt.device(uid).streaming_overdemand.create(LIMIT)) for _ in range(3)]
        for number in range(3):
            got = await device.get()
            body = json.loads(messages.answer(got.payload, uid, data={"id": number}))
            del body["reply"]
            await device.stored(f"{topic}/create/result", messages.dump(body))
        outcomes = [await each for each in wanted]
    assert [each.state for each in outcomes] == ["succeeded"] * 3
    assert [each.data.id for each in outcomes if each.data is not None] == [0, 1, 2]


@pytest.mark.parametrize(
    "url", ["", "box:8080", "ftp://box", "http://", "http://a:b@box", "mqtt://", "mqtt://u:p@box", "http://box?x=1"]
)
def test_no_address(url: str) -> None:
    with pytest.raises(ConfigError):
        HttpClient(url)
    with pytest.raises(ConfigError):
        MqttClient(url, prefix="v1/wudun/PK001")


@pytest.mark.parametrize("prefix", ["", "v1/+/PK", "v1/#"])
def test_no_prefix(prefix: str) -> None:
    with pytest.raises(ConfigError):
        MqttClient("mqtt://box", prefix=prefix)
