"""amqtt's plugins as a source of authentication and topic permission."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from argon2 import PasswordHasher
from broker_rig import Rig, rig

from bridge.broker.access import Builtin
from bridge.broker.access_gate import DECISION_S, TopicGate
from bridge.broker.access_plugins import PluginAccess, PluginThread
from bridge.errors import ConfigError
from bridge.mqtt.packets import encode_publish

FILE = "amqtt.plugins.authentication.FileAuthPlugin"
ACL = "amqtt.plugins.topic_checking.TopicAccessControlListPlugin"
HERE = "test_broker_plugins"


class Blocking(BaseAuthPlugin):
    """Hashes for a second, as some do."""

    async def authenticate(self, *, session: Any) -> bool | None:
        time.sleep(1)  # noqa: ASYNC251 - that is the point
        return bool(session.username == "slow")

    @dataclass
    class Config:
        """None."""


class Broken(BaseAuthPlugin):
    """Raises."""

    async def authenticate(self, *, session: Any) -> bool | None:
        raise RuntimeError("the directory is down")


class NoSecrets(BaseTopicPlugin):
    """Decides by topic, after a while."""

    async def topic_filtering(self, *, session: Any = None, topic: Any = None, action: Any = None) -> bool | None:
        await asyncio.sleep(0.01)
        with Path(self.config.log).open("a", encoding="utf-8") as log:  # noqa: ASYNC230 - plugins may block
            log.write(f"{session.client_id} {action} {topic}\n")
        return not topic.startswith(f"secret/{action}")

    @dataclass
    class Config:
        """File that it writes what it was asked to."""

        log: str


class Idle(BasePlugin[Any]):
    """Decides nothing."""


@asynccontextmanager
async def plugged(settings: dict[str, dict[str, Any]], clock: Any = time.monotonic) -> AsyncIterator[Rig]:
    plugins = PluginThread(settings)
    try:
        gate = TopicGate(plugins, clock) if plugins.filters else None
        async with rig(gate=gate) as made:
            assert isinstance(made.hub.access, Builtin)
            made.hub.access = PluginAccess(made.hub.access, plugins)
            yield made
    finally:
        await plugins.close()


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    hasher = PasswordHasher(time_cost=1, memory_cost=64)
    path.write_text("".join(f"{name}:{hasher.hash('pw')}\n" for name in ("joe", "EMS1")), encoding="utf-8")
    return path


async def test_a_password_file_beside_the_registry(passwords: Path) -> None:
    async with plugged({FILE: {"password_file": str(passwords)}}) as made:
        for name, password, code in (
            ("joe", b"pw", 0),
            ("joe", b"no", 4),
            ("jim", b"pw", 4),
            ("EMS1", b"pw", 0),
            ("EMS2", b"EMS2-secret", 0),
        ):
            client = made.client(f"c-{name}", username=name, password=password)
            assert (await client.log_in())[0] == code
            if name == "EMS1":  # a device of the registry, whoever vouches for it
                assert await client.subscribe(("v1/wudun/PK/EMS1/#", 1), ("#", 1)) == [1, 0x80]
            if name == "joe" and not code:  # an account without grants
                await client.subscribe(("#", 0))
                assert made.hub.sessions.get(("account", "joe", "c-joe")) is not None
            await client.vanish()


async def test_a_plugin_that_blocks_does_not_hold_the_broker_up() -> None:
    async with plugged({f"{HERE}.Blocking": {}}) as made, made.device("EMS1") as device:
        slow = made.client("slow", username="slow", password=b"")
        logging_in = asyncio.create_task(slow.log_in())
        rounds = 0
        while not logging_in.done():
            await device.quiet()
            rounds += 1
        assert await logging_in == (0, False)
        assert rounds > 50
        await slow.vanish()


async def test_a_plugin_that_fails_is_a_server_that_is_unavailable() -> None:
    async with plugged({f"{HERE}.Broken": {}}) as made:
        client = made.client("c", username="joe", password=b"")
        assert (await client.log_in())[0] == 3
        await client.vanish()
        async with made.device("EMS1"):
            pass


@pytest.mark.filterwarnings("ignore:The 'acl' option is deprecated")
async def test_an_access_control_list(passwords: Path) -> None:
    acl = {"publish_acl": {"joe": ["up/#"]}, "acl": {"joe": ["down/+"]}}
    settings = {FILE: {"password_file": str(passwords)}, ACL: acl}
    async with plugged(settings) as made, made.client("w", username="joe", password=b"pw") as joe:
        assert await joe.subscribe(("down/x", 1), ("up/x", 1), ("down/y/z", 0)) == [1, 0x80, 0x80]
        await joe.publish("up/1", b"1", 1)
        await joe.publish("down/1", b"2", 1)
        await joe.publish("down/1", b"3", 2)
        await joe.publish("up/2", b"4", 0)
        assert [each[1:3] for each in made.submitted] == [("up/1", b"1"), ("up/2", b"4")]
        assert made.counts.value("ems_bridge_mqtt_dropped", (("cause", "not_authorised"),)) == 2


@pytest.mark.parametrize("clean", [True, False])
async def test_a_topic_plugin_is_asked_once_for_each_decision_and_again_after_a_while(
    clean: bool, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    now = [0.0]
    async with (
        plugged({f"{HERE}.NoSecrets": {"log": str(log)}}, lambda: now[0]) as made,
        made.client("s", clean_session=clean) as sub,
        made.client("p") as pub,
    ):
        assert await sub.subscribe(("secret/subscribe/x", 1), ("#", 1)) == [0x80, 1]
        for number in range(3):
            pub.send(packet(b"%d" % number), packet(b"no", "secret/receive/a"), packet(b"no", "secret/publish"))
        assert [(await sub.message())[:2] for _ in range(3)] == [("t", b"0"), ("t", b"1"), ("t", b"2")]
        assert await sub.quiet() == []
        assert sorted(log.read_text().splitlines()) == [
            "p publish secret/publish",
            "p publish secret/receive/a",
            "p publish t",
            "s receive secret/receive/a",
            "s receive t",
            "s subscribe #",
            "s subscribe secret/subscribe/x",
        ]
        session = made.hub.sessions.get(("anonymous", "anonymous", "s"))
        assert session is not None
        assert len(session.out.entries) == 3
        log.unlink()
        now[0] = DECISION_S + 1
        pub.send(packet(b"again"))
        assert (await sub.message())[1] == b"again"
        assert sorted(log.read_text().splitlines()) == ["p publish t", "s receive t"]


async def test_retained_messages_are_asked_about_before_they_are_sent(tmp_path: Path) -> None:
    settings = {f"{HERE}.NoSecrets": {"log": str(tmp_path / "log")}}
    async with plugged(settings) as made, made.client("s") as sub:
        await sub.publish("secret/receive/a", b"x", 1, retain=True)
        await sub.publish("b", b"y", 1, retain=True)
        await sub.subscribe(("#", 0))
        assert (await sub.message())[:2] == ("b", b"y")
        assert await sub.quiet() == []


@pytest.mark.parametrize(
    "settings",
    [
        {"no.such.Plugin": {}},
        {FILE: {"no_such_setting": 1}},
        {FILE: {"password_file": "/no/such/file"}},
        {f"{HERE}.Idle": {}},
        {f"{HERE}.NotAPlugin": {}},
    ],
)
def test_a_wrong_configuration_is_named(settings: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as caught:
        PluginThread(settings)
    assert "[broker.plugins]" in str(caught.value)


def packet(payload: bytes, topic: str = "t") -> bytes:
    return encode_publish(topic, payload, 1, packet_id=1)
