"""`serve` beside a real Mosquitto that runs with the configuration of mosquitto/ and with files made of the registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest
from harness.api import Api
from harness.messages import answer, command, report
from harness.mosquitto import free_port, mosquitto, needs_mosquitto
from harness.pki import Pki
from harness.process import ROOT, Bridge, Secret
from harness.wire import Client, ClosedError

from benchmarks.day import Rows, lived, written

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), needs_mosquitto]

POST = "v1/wudun/PK001/EMS001/report/regular/post"
TWIN = "v1/user/acme/EMS001/report/regular/post"
COMMAND = "v1/wudun/PK001/EMS001/streaming_overdemand/delete/command"
RESULT = "v1/wudun/PK001/EMS001/streaming_overdemand/delete/result"


class Site:
    """One data directory, one Mosquitto, devices and a platform that both know."""

    def __init__(self, bridge: Bridge, home: Path) -> None:
        self.bridge = bridge
        self.pki = Pki(home / "certs")
        self.pki.server()
        self.device, self.other = bridge.device("EMS001"), bridge.device("EMS002", tenant="else", product_key="PK002")
        self.platform, self.stranger = bridge.account("platform"), bridge.account("stranger", "--tenant", "else")
        self.home = home
        self.files = home / "files"
        self.export()
        self.port, self.tls = free_port(), free_port()
        (home / "lib").mkdir()
        text = (ROOT / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
        for was, now in (
            ("/etc/mosquitto/ems-bridge", self.files), ("/etc/mosquitto/certs", self.pki.folder),
            ("/var/lib/mosquitto/", f"{home}/lib/"), ("listener 1883", f"listener {self.port}"),
            ("listener 8883", f"listener {self.tls} 127.0.0.1"),
        ):  # fmt: skip
            assert was in text
            text = text.replace(was, str(now))
        self.text = text
        secret = (self.files / "bridge-password").read_text(encoding="utf-8").strip()
        bridge.config.write_text(
            f"""
[broker]
mode = "external"
[broker.external]
url = "mqtts://127.0.0.1:{self.tls}"
username = "ems-bridge"
password = "{secret}"
ca = "{self.pki.ca}"
[commands]
hold_s = 20
""",
            encoding="utf-8",
        )

    def export(self) -> str:
        return self.bridge.cli("mosquitto", self.files).stdout

    def broker(self) -> contextlib.AbstractAsyncContextManager[int]:
        return mosquitto(self.home, self.text, self.port)

    async def client(self, who: Secret, name: str = "", *, clean: bool = True) -> Client:
        return await Client.open(("127.0.0.1", self.port), name or who.name, *who, clean=clean)

    async def start(self, api: Api) -> None:
        await asyncio.to_thread(self.bridge.start)
        await api.until(lambda: ready(api), lambda status: status == 200)


async def ready(api: Api) -> int:
    async with api.web.get(api.bridge.http + "/readyz") as answer:
        return answer.status


async def state(api: Api, mid: str) -> str | None:
    async with api.web.get(f"{api.bridge.http}/api/v1/commands/{mid}", headers=api.headers) as found:
        return (await found.json()).get("state")  # type: ignore[no-any-return]


@pytest.fixture
def site(make_bridge, tmp_path: Path) -> Site:
    return Site(make_bridge(), tmp_path)


@pytest.fixture
async def api(site: Site, web: aiohttp.ClientSession) -> Api:
    return Api(web, site.bridge, site.platform)


@asynccontextmanager
async def running(site: Site, api: Api) -> AsyncIterator[None]:
    async with site.broker():
        await site.start(api)
        yield
        assert await asyncio.to_thread(site.bridge.stop) == 0, site.bridge.tail()


async def test_readings_and_commands_go_through_it(site: Site, api: Api) -> None:
    async with (
        running(site, api),
        await site.client(site.device) as device,
        await site.client(site.platform) as platform,
    ):
        assert await platform.subscribe("v1/+/+/+/report/regular/post", "bridge/v1/#") == [1, 1]
        await device.stored(POST, report("EMS001", 42.0))
        topics: set[str] = set()
        while not topics >= {POST, TWIN}:
            topics.add((await platform.get()).topic)
        found = await api.until(lambda: api.readings("EMS001.meter.7", "total_active_power"), bool)
        assert list(found.values()) == [42.0]

        await device.subscribe("v1/wudun/PK001/EMS001/+/+/command")
        asked = asyncio.create_task(
            api.post(
                "/api/v1/devices/EMS001/commands",
                {"feature": "streaming_overdemand", "action": "delete", "data": {"id": 7}, "wait_s": 20},
            )
        )
        got = await device.get()
        assert got.topic == COMMAND
        await device.stored(RESULT, answer(got.payload, "EMS001"))
        outcome = await asked
        assert outcome["state"] == "succeeded", outcome


async def test_a_platforms_own_command_is_followed(site: Site, api: Api) -> None:
    async with (
        running(site, api),
        await site.client(site.device) as device,
        await site.client(site.platform) as platform,
    ):
        await device.subscribe("v1/wudun/PK001/EMS001/+/+/command")
        mid = "0d6d3c1e-9a51-4c53-8f35-2f6f8c1f7a01"
        await platform.stored(COMMAND, command("EMS001", "streaming_overdemand_delete", mid=mid, data={"id": 7}))
        await device.stored(RESULT, answer((await device.get()).payload, "EMS001"))
        await api.until(lambda: state(api, mid), lambda found: found == "succeeded")
        assert device.inbox.empty(), "the bridge does not send it again"


async def test_everybody_is_kept_to_his_own(site: Site, api: Api) -> None:
    async with running(site, api), await site.client(site.other) as other, await site.client(site.stranger) as stranger:
        await other.subscribe("#", qos=0)
        await stranger.subscribe("#", qos=0)
        for who, topic in ((site.other, POST), (site.stranger, COMMAND)):
            async with await site.client(who, "tries") as client:
                with contextlib.suppress(ClosedError):  # Mosquitto acknowledges what it drops, or hangs up
                    await client.stored(topic, report("EMS001", 1.0))
        async with await site.client(site.device) as device:
            await device.stored(POST, report("EMS001", 2.0))
        found = await api.until(lambda: api.readings("EMS001.meter.7", "total_active_power"), bool)
        assert list(found.values()) == [2.0]
        await other.stored("v1/user/else/EMS002/report/regular/post", report("EMS002", 3.0))
        assert (await stranger.get()).topic == "v1/user/else/EMS002/report/regular/post"
    with pytest.raises((AssertionError, ClosedError)):
        async with site.broker():
            await site.client(Secret("EMS001", "wrong"))


async def test_nothing_acknowledged_is_lost_while_both_are_killed(site: Site, api: Api) -> None:
    rng = Random(7)
    acked: list[str] = []
    number = 0
    async with running(site, api):
        pass  # from now on the broker keeps what comes
    for round_ in range(6):
        async with site.broker():
            async with await site.client(site.device) as device:
                await asyncio.to_thread(site.bridge.start)
                for _ in range(rng.randint(50, 300)):
                    number += 1
                    mid = f"00000000-0000-4000-8000-{number:012d}"
                    with contextlib.suppress(ClosedError, TimeoutError):
                        await device.stored(POST, report("EMS001", 1.0, at=1_700_000_000_000 + number, mid=mid))
                        acked.append(mid)
                if round_ % 2:
                    site.bridge.kill()
            if round_ % 2 == 0:
                assert await asyncio.to_thread(site.bridge.stop) == 0, site.bridge.tail()
    async with site.broker():
        await site.start(api)

        async def missing() -> set[str]:
            since, seen = 0, set[str]()
            while True:
                page = await api.get("/api/v1/messages", since=since, limit=1000)
                seen |= {message["mid"] for message in page["messages"]}
                if page["next"] == since or not page["messages"]:
                    return set(acked) - seen
                since = page["next"]

        await api.until(missing, lambda left: not left)
        assert await asyncio.to_thread(site.bridge.stop) == 0, site.bridge.tail()


async def test_a_faulty_fleet_balances_through_it(site: Site, api: Api, tmp_path: Path) -> None:
    """`ems-sim` with every kind of fault and a platform's commands: all is stored or a dead letter, and at the sink once."""
    seconds = 12.0
    scenario = await written(tmp_path, site.bridge, seconds, devices=30, interval=900.0)
    site.export()
    async with Rows() as sink, site.broker():
        with site.bridge.config.open("a", encoding="utf-8") as file:
            file.write(f'timeout_s = 4.0\n[[mirror.sinks]]\nname = "sink"\nurl = "{sink.url}"\nformat = "samples"\n')
        await site.start(api)
        found = await lived(site.bridge, ("127.0.0.1", site.port), scenario, seconds, sink)
    assert [check.line() for check in found.wrong] == [], found.text()


async def test_it_is_not_ready_without_the_broker_and_comes_back(site: Site, api: Api) -> None:
    async with site.broker():
        await site.start(api)
    assert await api.until(lambda: ready(api), lambda status: status == 503)
    async with api.web.get(api.bridge.http + "/readyz") as answer:
        assert "broker" in await answer.text()
    async with site.broker():
        await api.until(lambda: ready(api), lambda status: status == 200)
        async with await site.client(site.device) as device:
            await device.stored(POST, report("EMS001", 5.0))
        await api.until(lambda: api.readings("EMS001.meter.7", "total_active_power"), bool)


def test_the_files_follow_the_registry(site: Site) -> None:
    passwords, acl = site.files / "passwords", site.files / "acl"
    before = passwords.read_text(encoding="utf-8")
    assert [line.partition(":")[0] for line in before.splitlines()] == [
        "ems-bridge",
        "EMS001",
        "EMS002",
        "platform",
        "stranger",
    ]
    assert site.device.secret not in before
    assert "user EMS001\ntopic write v1/wudun/PK001/EMS001/+/+/post\n" in acl.read_text(encoding="utf-8")
    assert passwords.stat().st_mode & 0o777 == 0o600
    passwords.chmod(0o640)
    secret = (site.files / "bridge-password").read_bytes()
    site.bridge.cli("device", "remove", "EMS002")
    site.bridge.device("a:b")
    done = site.bridge.cli("mosquitto", site.files)
    assert "left out: a:b: Mosquitto's user names have no colon" in done.stderr
    assert "EMS002" not in passwords.read_text(encoding="utf-8") + acl.read_text(encoding="utf-8")
    assert passwords.stat().st_mode & 0o777 == 0o640
    assert (site.files / "bridge-password").read_bytes() == secret
