"""Simulated devices for a test: made by one call, obedient unless told otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from typing import Final, Self, TypeVar

from bridge.testing.bridge import PRODUCT_KEY, Bridge
from bridge.testing.clock import Clock
from bridge.testing.traffic import Said
from schemas import kinds
from schemas.errors import Invalid
from simulator.faults import HONEST, parse_faults
from simulator.fleet import Fleet as Simulated
from simulator.identity import VERSIONS, DeviceSpec, Version
from simulator.member import Member
from simulator.readouts import Fields
from simulator.script import ANY, Scripted
from simulator.strategies import Answer

T = TypeVar("T")

CONNECT_S: Final = 20.0
SETTLE_S: Final = 2.0
"""How long a held clock waits for the PUBACKs of what devices have said."""


class SimulatedDevice:
    """One device. What it is told holds until `honest`; each call gives the device itself."""

    def __init__(self, fleet: Fleet, simulated: Simulated, member: Member, secret: str) -> None:
        self.uid = member.uid
        self.secret = secret
        """Its MQTT password; its user name is the uid."""
        self._fleet = fleet
        self._simulated = simulated
        self._member = member

    def __repr__(self) -> str:
        return f"<simulated device {self.uid}>"

    # What it says to commands.

    def answers(
        self, command: str, code: int = 200, *, data: object = None, msg: str = "", after: float = 0.0,
        times: int | None = None, acts: bool = False,
    ) -> Self:  # fmt: skip
        """Say this to `feature/action` (`*`: to every command), so many times or always; `acts`: do first what was asked."""
        return self._script(command, Scripted(Answer(code, msg, data), after, acts), times)

    def silent(self, command: str = ANY, *, times: int | None = None) -> Self:
        """Take no notice of the command."""
        return self._script(command, Scripted(), times)

    def after(self, seconds: float, command: str = ANY, *, times: int | None = None) -> Self:
        """Do what is asked, and answer so many seconds later: on the held clock, where a test has it."""
        return self._script(command, Scripted(None, seconds, acts=True), times)

    # What happens to it.

    def offline(self) -> Self:
        """Disconnect, and stay away; returns when the bridge knows."""
        self._do(self._member.offline)
        bridge = self._fleet.bridge
        bridge.until(lambda: not self.is_online and not bridge.online(self.uid), what=f"{self.uid} offline")
        return self

    def online(self) -> Self:
        """Come back; returns when it is subscribed."""
        self._do(lambda: self._member.behave(self._member.behaviour._replace(offline=False)))
        bridge = self._fleet.bridge
        bridge.until(lambda: self.is_online and bridge.online(self.uid), what=f"{self.uid} online")
        return self

    def cut(self) -> Self:
        """Lose the connection as by a broken cable; it comes back by itself."""
        self._do(self._member.cut)
        return self

    def faulty(self, spec: str) -> Self:
        """Faults of the simulator instead of those before: `garbage`, `no_reply,duplicate`, `skew=3600`
        (docs/simulator.md)."""
        behaviour = HONEST
        for fault in parse_faults(spec):
            field = {name: value for name, value in fault.behaviour._asdict().items() if value}
            behaviour = behaviour._replace(**field)
        self._do(lambda: self._member.behave(behaviour))
        return self

    def afflict(self, *faults: str) -> Self:
        """Faults of its site instead of those before: `smoke`, `meter`, …; without any they end (docs/simulator.md)."""
        self._do(lambda: self._member.afflict(*faults))
        return self

    def honest(self) -> Self:
        """No script, no faults."""
        self._do(self._honest)
        return self

    # What it says by itself.

    def posts(self, suffix: str, data: object) -> Self:
        """Publish a message of its own now: `alarm/details/post` with this `data`. ValueError, with the place, for data that the
        bridge would refuse; `publishes` says anything."""

        def post() -> None:
            told = self._member.device.tell(suffix, data, self._simulated.now())
            try:
                kinds.resolve(suffix, told[1])
            except Invalid as wrong:
                raise ValueError(f"{suffix}: {wrong.path}: {wrong.detail}") from None
            self._member.publish([told])

        self._do(post)
        return self

    def publishes(self, topic: str, payload: bytes) -> Self:
        """Publish anything. A topic that begins with `…/` goes under the device's own prefix."""
        full = f"{self._member.device.prefix}/{topic[2:]}" if topic.startswith("…/") else topic
        self._do(lambda: self._member.publish([(full, payload)]))
        return self

    # What is known of it.

    @property
    def is_online(self) -> bool:
        """Connected and subscribed."""
        return self._member.is_online

    @property
    def commands(self) -> list[Said]:
        """The commands that it got, oldest first."""
        return [said for said in self._fleet.heard if said.device == self.uid and said.way == "down"]

    def got(self, command: str) -> list[Said]:
        """Those of `feature/action`. ValueError for what is no command."""
        _known(command)
        return [said for said in self.commands if said.suffix == f"{command}/command"]

    def strategies(self, feature: str = "streaming_overdemand") -> list[Fields]:
        """The strategies of one kind, as the device shows them now."""
        return self._do(lambda: self._member.strategies(feature))

    def state(self) -> str:
        """How it stands, in a line."""
        member = self._member
        faults = ", ".join(member.behaviour.names()) or "no faults"
        script = "a script" if member.script is not None else "no script"
        online = "online" if member.is_online else "offline"
        return f"{self.uid}: {online}, {script}, {faults}, {member.commands} commands, {member.answers} answers"

    def _honest(self) -> None:
        self._member.script = None
        self._member.honest()

    def _script(self, command: str, line: Scripted, times: int | None) -> Self:
        if command != ANY:
            _known(command)
        self._do(lambda: self._member.scripted(command, line, times))
        return self

    def _do(self, work: Callable[[], T]) -> T:
        self._fleet.touched.setdefault(self.uid)
        return self._fleet.bridge.engine.do(work)


def _known(command: str) -> None:
    """Raise ValueError for a command that there is not: waiting for it would be in vain."""
    feature, _, action = command.partition("/")
    if kinds.command(feature, action) is None:
        there = [f"{kind.feature}/{kind.action}" for kind in kinds.KINDS if kind.kind == "command"]
        near = get_close_matches(command, there)
        hint = f" (did you mean {', '.join(near)}?)" if near else f", as in {there[0]}"
        raise ValueError(f"no command {command!r} is known{hint}")


class Fleet:
    """What `ems_fleet` gives: call it with uids, or with how many. `device(uid)` gives one of them."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.heard: list[Said] = []
        """What the devices heard and said."""
        self.touched: dict[str, None] = {}
        """Devices that the test has spoken of."""
        self._devices: dict[str, SimulatedDevice] = {}
        self._followers: list[_Follower] = []
        bridge.fleets.append(self)
        bridge.at_end(self.stop)

    def __call__(
        self,
        *uids: str | int,
        version: Version = "v2",
        product_key: str | None = PRODUCT_KEY,
        tenant: str | None = None,
        scheme: str | None = None,
        interval_s: float = 60.0,
        seed: int = 1,
    ) -> Self:
        """Register and connect devices; returns when all are subscribed and their first messages are stored. `D1`, `D2`, …
        for a number. Raises Conflict for a uid that there is."""
        if version not in VERSIONS:
            raise ValueError(f"version: {version!r} is none of {', '.join(VERSIONS)}")
        names: list[str] = []
        for uid in uids:
            names += [f"D{len(self._devices) + n + 1}" for n in range(uid)] if isinstance(uid, int) else [uid]
        scheme = scheme or ("wudun" if product_key else "user")
        owner = product_key if scheme == "wudun" else tenant
        specs = []
        for name in names:
            secret = self.bridge.device(name, product_key=product_key, tenant=tenant).secret
            specs.append(DeviceSpec(name, scheme, owner or "", version, name, secret, seed))
        self._start(specs, interval_s)
        return self

    def device(self, uid: str) -> SimulatedDevice:
        """One of them. KeyError says which there are."""
        if uid not in self._devices:
            raise KeyError(f"no device {uid!r}: ems_fleet has {', '.join(self._devices) or 'none yet'}")
        self.touched.setdefault(uid)
        return self._devices[uid]

    def __iter__(self) -> Iterator[SimulatedDevice]:
        return iter(self._devices.values())

    def __len__(self) -> int:
        return len(self._devices)

    def concerned(self) -> list[SimulatedDevice]:
        """Those that the test has spoken of; without any, the first few."""
        return [self._devices[uid] for uid in self.touched if uid in self._devices] or list(self._devices.values())[:6]

    def storm(self) -> None:
        """Cut every connection at once; all come back at once."""
        for follower in self._followers:
            self.bridge.engine.do(follower.simulated.storm)
        self.bridge.until(lambda: all(device.is_online for device in self), what="the fleet online again")

    def _start(self, specs: list[DeviceSpec], interval_s: float) -> None:
        clock = self.bridge.clock
        engine = self.bridge.engine

        async def start() -> _Follower:
            simulated = Simulated(
                specs, self.bridge.mqtt, interval_s=interval_s, ramp_per_s=10_000, drain_s=0.2,
                start=clock.now_ms() / 1000, timer=clock.timer, overhear=self._overhear,
            )  # fmt: skip
            follower = _Follower(simulated)
            await follower.begin()
            return follower

        follower = engine.call(start())
        self._followers.append(follower)
        if isinstance(clock, Clock):
            clock.follow(follower, engine.advance)
        for spec in specs:
            member = follower.simulated.device(spec.uid)
            self._devices[spec.uid] = SimulatedDevice(self, follower.simulated, member, spec.password or "")

    def _overhear(self, uid: str, ours: bool, topic: str, payload: bytes) -> None:
        self.heard.append(Said(self.bridge.clock.timer(), uid, "up" if ours else "down", topic, payload))
        asyncio.get_running_loop().call_soon(self.bridge.engine.bell.ring)

    def stop(self) -> None:
        """Disconnect all. Raises what a device broke with."""
        followers, self._followers = self._followers, []
        for follower in followers:
            if isinstance(self.bridge.clock, Clock):
                self.bridge.clock.leave(follower)
            self.bridge.engine.call(follower.end())


class _Follower:
    """A simulated fleet as a task of the engine, on a held clock or not."""

    def __init__(self, simulated: Simulated) -> None:
        self.simulated = simulated
        self.next_due, self.wake = simulated.next_due, simulated.wake
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Until the devices are connected and what they say first is acknowledged."""
        ready = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(ready), name="ems-fleet")
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await self._task

    async def end(self) -> None:
        """Disconnect."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def settled(self, most_s: float = SETTLE_S) -> None:
        """Until all that the devices have said is acknowledged, so committed."""
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while self._busy():  # noqa: ASYNC110 - a held clock asks for both sides
                    await asyncio.sleep(0.001)

    def _busy(self) -> bool:
        simulated = self.simulated
        due = simulated.next_due()
        if due is not None and due <= simulated.moment():
            return True
        return any(
            each.link.pending for each in simulated.members.values() if each.is_online and not each.behaviour.half_open
        )

    async def _run(self, ready: asyncio.Future[None]) -> None:
        async with self.simulated as simulated:
            await simulated.connected(CONNECT_S)
            await self.settled(CONNECT_S)
            ready.set_result(None)
            await self._stop.wait()
