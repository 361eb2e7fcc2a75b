"""A whole bridge for one test: on free ports of 127.0.0.1, with a data directory of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import msgspec

from bridge.app.care import FILES
from bridge.app.clock import Clock as AnyClock
from bridge.client import Command, HttpClient, MqttClient, Options, Outcome
from bridge.config import Config, load
from bridge.testing.clock import Clock
from bridge.testing.engine import Engine
from bridge.testing.house import Watched
from bridge.testing.traffic import Said, Traffic
from schemas.topics import Topics

if TYPE_CHECKING:
    from bridge.testing.fleet import Fleet

PRODUCT_KEY = "PK1"
PLATFORM = "platform"
PATIENCE_S = 10.0
"""How long a condition may take to come true."""
COMMAND_S = 120.0
"""How long `send` waits for an outcome at most."""


class Secret(NamedTuple):
    """Who may log in, with what: a device's MQTT user and password, or an account's (its secret is its API key too)."""

    name: str
    secret: str


class Bridge:
    """What `ems_bridge` gives. Its calls block, in tests with an event loop too: the bridge runs in another thread."""

    def __init__(self, engine: Engine, data: Path, settings: Mapping[str, object], clock: AnyClock) -> None:
        self.data = data
        """The data directory."""
        self.mqtt = ("", 0)
        """Host and port."""
        self.http = ""
        """http://HOST:PORT"""
        self.key = ""
        """API key of the account `platform`, which may touch every owner: also its MQTT password."""
        self.engine = engine
        self.clock = clock
        self.traffic = Traffic(Topics())
        self._settings = {
            "broker.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0", **settings, "store.data": str(data),
        }  # fmt: skip
        self._house: Watched | None = None
        self._serving: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._client: HttpClient | None = None
        self._closers: list[Callable[[], None]] = []
        self.is_over = False
        """Whether it was stopped."""
        self.fleets: list[Fleet] = []
        """The simulated devices that were made for it."""

    @property
    def mqtt_url(self) -> str:
        """mqtt://HOST:PORT"""
        return f"mqtt://{self.mqtt[0]}:{self.mqtt[1]}"

    @property
    def house(self) -> Watched:
        """The bridge's inside, for tests of the bridge itself. It belongs to the engine's thread."""
        if self._house is None:
            raise AssertionError("the bridge does not run")
        return self._house

    # Life.

    def start(self) -> Bridge:
        """Open the files, listen. Raises ConfigError."""
        self.engine.call(self._start())
        if not self.key:
            self.key = self.account(PLATFORM).secret
        return self

    def stop(self) -> None:
        """Finish what was begun, close. Raises what ended the bridge before, if something did, and what a device broke with."""
        self.is_over = True
        for close in reversed(self._closers):
            close()
        self._closers.clear()
        if self._serving is not None:
            serving, self._serving = self._serving, None
            self.engine.call(self._end(serving))

    def restart(self) -> None:
        """Stop and start on the same files and ports, as a supervisor does. Simulated devices come back by themselves."""
        serving, self._serving = self._serving, None
        if serving is not None:
            self.engine.call(self._end(serving))
        host, port = self.mqtt
        self._settings |= {"broker.listen": f"{host}:{port}", "http.listen": self.http.removeprefix("http://")}
        self.start()

    def at_end(self, close: Callable[[], None]) -> None:
        """Call this before the bridge stops."""
        self._closers.append(close)

    # Who may come in.

    def device(self, uid: str, *, product_key: str | None = PRODUCT_KEY, tenant: str | None = None) -> Secret:
        """Register a device. Raises Conflict when there is one."""
        registry = self.house.registry
        return Secret(uid, self.engine.call(registry.add_device(uid, product_key, tenant)))

    def account(self, name: str, *, product_keys: Iterable[str] = (), tenants: Iterable[str] = ()) -> Secret:
        """Make a platform account of these owners; without any, of all."""
        grants = [*(("wudun", key) for key in product_keys), *(("user", tenant) for tenant in tenants)]
        return Secret(name, self.engine.call(self.house.registry.add_account(name, grants or None)))

    # As a platform.

    def client(self, key: str | None = None) -> HttpClient:
        """A client over HTTP for a test that is a coroutine: `async with ems_bridge.client() as client`."""
        return HttpClient(self.http, self.key if key is None else key)

    def mqtt_client(self, prefix: str = f"v1/wudun/{PRODUCT_KEY}", account: Secret | None = None) -> MqttClient:
        """The same over MQTT."""
        name, secret = account or Secret(PLATFORM, self.key)
        return MqttClient(self.mqtt_url, name, secret, prefix=prefix)

    def send(self, uid: str, command: str, data: object = None, **options: Unpack[Options]) -> Outcome[Any]:
        """Send `feature/action` and wait for its outcome (`wait_s=0`: until the bridge has taken it). Raises as the client
        does."""
        feature, _, action = command.partition("/")

        async def send() -> Outcome[Any]:
            client = await self._http()
            return await client.device(uid).send(feature, action, data, **options)

        return self.engine.call(send(), COMMAND_S)

    def command(self, mid: str) -> Command:
        """A command as it stands. Raises NotFound."""

        async def command() -> Command:
            return await (await self._http()).command(mid)

        return self.engine.call(command())

    def state(self, mid: str) -> str:
        """The state that a command is in."""
        return self.command(mid).state

    def online(self, uid: str) -> bool:
        """Whether a device is connected, as the bridge sees it."""
        return self.engine.do(lambda: self.house.presences.get(uid).online)

    def get(self, path: str, **query: object) -> Any:
        """The JSON of a GET under the key of `platform`."""

        async def get() -> Any:
            import aiohttp

            params = {name: str(value) for name, value in query.items()}
            headers = {"X-API-Key": self.key}
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.get(self.http + path, params=params) as answer,
            ):
                body = await answer.read()
                if answer.status >= 300:
                    raise AssertionError(f"GET {path}: {answer.status} {body.decode(errors='replace')[:500]}")
                return msgspec.json.decode(body)

        return self.engine.call(get())

    # What happened.

    def messages(self, uid: str, suffix: str = "", way: str = "") -> list[Said]:
        """What went over the bridge from and to a device, oldest first; `way` is up, down or refused."""
        return self.traffic.of(uid, suffix, way)

    def report(self) -> str:
        """How the devices stand that a test has spoken of, their last messages, and the commands without an outcome."""
        lines = [device.state() for fleet in self.fleets for device in fleet.concerned()]
        touched = [uid for fleet in self.fleets for uid in fleet.touched]
        lines.append(self.traffic.report(touched) or "no message came")
        waiting = [] if self._house is None else self._house.waiting()
        if waiting:
            lines.append("commands without an outcome:")
            lines += [f"  {each.mid} {each.device} {each.suffix}: {each.state}" for each in waiting]
        return "\n".join(lines)

    def until(
        self, condition: Callable[[], object], timeout_s: float = PATIENCE_S, what: str = "the condition"
    ) -> None:
        """Block until `condition()` is true; asked again whenever the bridge has committed something. AssertionError when it
        does not come, or when the bridge failed."""
        self.engine.bell.until(lambda: self._alive() and condition(), timeout_s, what)

    async def reached(
        self, condition: Callable[[], object], timeout_s: float = PATIENCE_S, what: str = "the condition"
    ) -> None:
        """The same for a test whose own event loop must go on meanwhile."""
        await self.engine.bell.reached(lambda: self._alive() and condition(), timeout_s, what)

    def _alive(self) -> bool:
        if self._serving is not None and self._serving.done():
            raise AssertionError(f"the bridge ended: {self._serving.exception()!r}")
        return True

    # In the engine's thread.

    async def _start(self) -> None:
        self._stop = asyncio.Event()
        ready = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(self._serve(ready), name="ems-bridge")
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            failed, self._serving = self._serving, None
            await failed
        addresses = self.house.addresses
        host, _, port = str(addresses.mqtt).rpartition(":")
        self.mqtt, self.http = (host, int(port)), f"http://{addresses.http}"

    async def _serve(self, ready: asyncio.Future[None]) -> None:
        config = load(None, self._settings, environ={})
        if not self.data.exists():
            await self._prepare(config)
        house = await Watched.open(config, self.clock)
        house.traffic = self.traffic
        self.traffic.topics = house.permissions.topics
        house.rung = self.engine.bell.ring
        self._house = house
        try:
            async with asyncio.TaskGroup() as group:
                await house.start(group)
                self._follow(house)
                ready.set_result(None)
                await self._stop.wait()
                await house.stop()
        finally:
            if isinstance(self.clock, Clock):
                with suppress(ValueError):
                    self.clock.leave(house)
            self._house = None
            await house.close()

    async def _prepare(self, config: Config) -> None:
        """Empty databases as the migrations leave them: made once, copied for each test."""
        template = self.engine.folder / "template"
        if not (template / FILES[-1]).exists():
            store = msgspec.structs.replace(config.store, data=str(template))
            house = await Watched.open(msgspec.structs.replace(config, store=store), self.clock)
            await house.close()
        self.data.mkdir(mode=0o700, parents=True)
        for name in FILES:
            shutil.copyfile(template / name, self.data / name)

    def _follow(self, house: Watched) -> None:
        if isinstance(self.clock, Clock):
            self.clock.follow(house, self.engine.advance)

    async def _end(self, serving: asyncio.Task[None]) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)
        self._stop.set()
        await serving

    async def _http(self) -> HttpClient:
        if self._client is None:
            self._client = await HttpClient(self.http, self.key).__aenter__()
        return self._client
