"""A fleet: many devices, each with its own MQTT connection, in one event loop.

    async with Fleet(device_specs(200), ("127.0.0.1", 1883), interval_s=5) as fleet:
        await fleet.connected(timeout_s=10)
        fleet.device("EMS00001").silence()

Two tasks whatever the number of devices: one opens connections at a bounded rate, one runs an agenda (reports, delayed
answers) and a tick a second. Simulated time starts at `start` and runs `time_scale` times as fast as the clock; intervals are
simulated seconds, the delays of faults are real ones. Leaving the block stops the fleet: reports end, unacknowledged messages
get `drain_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final

from bridge.mqtt.packets import Connect
from bridge.mqtt.topics import TopicNames
from simulator.agenda import Agenda, Work, wait
from simulator.counters import Latency, Summary
from simulator.device import Device, Post
from simulator.dialect import Dialect
from simulator.faults import Behaviour, Fault, assign
from simulator.identity import DeviceSpec, Identities, device_seed
from simulator.link import CLOSED, READY, backoff_s
from simulator.member import Member
from simulator.profile import unit

OPENING_AT_ONCE: Final = 64
"""Sockets that are being opened at the same time."""
CHUNK: Final = 50
"""Agenda entries run before other connections get a turn: some 20 ms of reports."""
TICK_S: Final = 1.0
GOODBYE_S: Final = 2.0
"""Time that sockets get to close."""

Overhear = Callable[[str, bool, str, bytes], None]
"""(uid, whether the device sent it, topic, payload)."""


class Fleet:
    """Devices by uid, their counters, and their faults. See the module's text for its life."""

    def __init__(
        self,
        specs: Sequence[DeviceSpec],
        broker: tuple[str, int],
        *,
        interval_s: float = 60.0,
        faults: Sequence[Fault] = (),
        time_scale: float = 1.0,
        start: float | None = None,
        ramp_per_s: float = 200.0,
        keep_alive_s: int = 60,
        clean_session: bool = False,
        drain_s: float = 5.0,
        timer: Callable[[], float] | None = None,
        overhear: Overhear | None = None,
        dialect: Dialect | None = None,
    ) -> None:
        """`start`: epoch seconds of the simulated clock, now by default. `ramp_per_s`: connections opened in a second.
        `timer`: what reports and delays go by (`wake` the fleet when it jumps); connections go by the loop's. `overhear` is
        told every message.

        To be made inside a running event loop. ValueError when a fault asks for more devices than there are, or two devices
        share a uid.
        """
        self.specs = tuple(specs)
        if len({spec.uid for spec in self.specs}) != len(self.specs):
            raise ValueError("two devices of the fleet have the same uid")
        self.seed = self.specs[0].seed if self.specs else 1
        self._behaviours = assign(faults, len(self.specs), self.seed, [spec.uid for spec in self.specs])
        self._broker = broker
        self._interval_s = interval_s
        self._scale = time_scale
        self._start = time.time() if start is None else start
        self._ramp_per_s = ramp_per_s
        self._keep_alive_s = keep_alive_s
        self._clean_session = clean_session
        self._drain_s = drain_s
        self.members: dict[str, Member] = {}
        self._latency = Latency()
        self._latency_max = 0.0
        self._failures = self._refused = self._acked = self._commands = self._answers = 0
        self._last_problem = ""
        self._callers: list[tuple[float, int, Member]] = []
        self._order = 0
        self._callers_changed = asyncio.Event()
        self._happened = asyncio.Event()
        self._running = False
        self._error: Exception | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Semaphore(OPENING_AT_ONCE)
        self._began = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer = timer or self._loop.time
        self._agenda = Agenda(self._timer)
        self._timed_from = 0.0
        self._overhear = overhear
        self.dialect = dialect
        self._storm: set[str] = set()

    async def __aenter__(self) -> Fleet:
        self._began, self._timed_from = self._loop.time(), self._timer()
        self._running = True
        names = TopicNames()
        identities = Identities()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        for n, (spec, behaviour) in enumerate(zip(self.specs, self._behaviours, strict=True)):
            identity, site = identities.of(spec)
            device = Device(spec, identity, site, self._start, self._interval_s)
            password = None if spec.password is None else spec.password.encode()
            hello = Connect(spec.uid, self._clean_session, self._keep_alive_s, spec.username, password)
            member = self.members[spec.uid] = Member(self, device, hello, names)
            member.behave(behaviour)
            if member.wants_connection:
                self.reconnect(member, 0.0)
            if n % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
        self._tasks = [
            self._group.create_task(self._connect_all(), name="fleet-connect"),
            self._group.create_task(self._run_agenda(), name="fleet-agenda"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop(self._drain_s if error is None else 0.0)
        group, self._group = self._group, None
        if group is not None:
            cancelled = isinstance(error, asyncio.CancelledError)  # maybe by a task of the group that failed
            await group.__aexit__(*(kind, error, trace) if cancelled else (None, None, None))

    def device(self, uid: str) -> Member:
        """A device by its uid. KeyError when the fleet has none."""
        return self.members[uid]

    def now(self) -> float:
        """The simulated clock, epoch seconds."""
        return self._start + (self._timer() - self._timed_from) * self._scale

    async def connected(self, timeout_s: float = 30.0) -> None:
        """Until every device that should be connected is subscribed. TimeoutError says how many are not, and why."""
        await self.until(
            lambda: all(member.is_online for member in self.members.values() if member.wants_connection), timeout_s
        )

    async def until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Until `condition()` holds; it is asked whenever something happened (a connection, a command, a PUBACK)."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._happened.clear()
                    await self._happened.wait()
        except TimeoutError:
            raise TimeoutError(f"after {timeout_s} s: {self.summary()}") from None

    def summary(self) -> Summary:
        """The counters now."""
        members = self.members.values()
        connects = sum(member.connects for member in members)
        return Summary(
            devices=len(self.specs),
            online=sum(member.is_online for member in members),
            connects=connects,
            reconnects=connects - sum(member.connects > 0 for member in members),
            refused=self._refused,
            connect_failures=self._failures,
            published=sum(member.published for member in members),
            sent=sum(member.link.sent for member in members),
            resent=sum(member.link.resent for member in members),
            acked=self._acked,
            dropped=sum(member.link.dropped for member in members),
            pending=sum(member.link.pending for member in members),
            commands=self._commands,
            answers=self._answers,
            ack_p50_ms=_ms(self._latency.quantile(0.5)),
            ack_p99_ms=_ms(self._latency.quantile(0.99)),
            ack_max_ms=round(self._latency_max * 1000.0, 3),
            seed=self.seed,
            seconds=round(self._loop.time() - self._began, 3) if self._began else 0.0,
            last_problem=self._last_problem,
        )

    async def stop(self, drain_s: float | None = None) -> None:
        """End reports, wait up to `drain_s` for PUBACKs, disconnect everything. A second call does nothing."""
        if not self._running:
            return
        self._running = False
        members = list(self.members.values())
        for member in members:
            member.let_go()
        with contextlib.suppress(TimeoutError):  # the summary says how many are pending
            await self.until(
                lambda: (
                    not any(each.link.pending for each in members if each.is_online and not each.behaviour.half_open)
                ),
                self._drain_s if drain_s is None else drain_s,
            )
        for task in self._tasks:
            task.cancel()
        for member in members:
            member.link.close()
        try:
            await self.until(lambda: all(member.link.state == CLOSED for member in members), GOODBYE_S)
        except TimeoutError:
            for member in members:
                member.link.abort("stopped")

    def storm(self) -> None:
        """Cut every connection; all come back at once, whatever the ramp."""
        self._storm = {uid for uid, member in self.members.items() if member.is_online}
        for uid in self._storm:
            self.members[uid].link.abort("storm")

    def behave(self, behaviours: Sequence[Behaviour]) -> None:
        """Give every device, in the order of `specs`, its faults."""
        for spec, behaviour in zip(self.specs, behaviours, strict=True):
            member = self.members[spec.uid]
            if member.behaviour != behaviour:
                member.behave(behaviour)

    def moment(self) -> float:
        """What the timer says."""
        return self._timer()

    def next_due(self) -> float | None:
        """When the first report or answer is due, as a moment of the timer."""
        return self._agenda.next_due()

    def wake(self) -> None:
        """The timer has jumped."""
        self._agenda.wake()

    # What members tell

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call it then, if the fleet still runs."""
        self._agenda.add(seconds, None, call)

    def at(self, moment: float, call: Callable[[], None]) -> None:
        """Call it when the simulated clock is there, if the fleet still runs."""
        self._agenda.add(max(0.0, moment - self.now()) / self._scale, None, call)

    def overheard(self, member: Member, posts: list[Post]) -> None:
        """The member sends."""
        if self._overhear is not None:
            for topic, payload in posts:
                self._overhear(member.uid, True, topic, payload)

    def reconnect(self, member: Member, delay_s: float) -> None:
        """Open this member's connection in `delay_s` seconds, as the ramp allows."""
        self._order += 1
        heapq.heappush(self._callers, (self._loop.time() + delay_s, self._order, member))
        self._callers_changed.set()

    def came_online(self, member: Member) -> None:
        """Schedule what the member has due."""
        self._storm.discard(member.uid)
        self._happened.set()
        if member.device.next_due <= self.now():
            self._agenda.add(0.0, member, None)

    def went_offline(self, member: Member, reason: str) -> None:
        """Count, and connect again later if it should be connected."""
        self._happened.set()
        if member.link.refused:
            self._refused += 1
        if not self._running or not member.wants_connection:
            return
        self._last_problem = f"{member.uid}: {reason}"
        if member.uid in self._storm:
            self.reconnect(member, 0.0)
        else:
            self._retry(member)

    def answer(self, member: Member, posts: list[Post], delay_s: float) -> None:
        """Send a command's answer now or later."""
        self._answers += 1
        self._happened.set()
        if delay_s > 0:
            self._agenda.add(delay_s, member, posts)
        else:
            member.publish(posts)

    def fail(self, error: Exception) -> None:
        """A device broke: the whole fleet ends with its error."""
        self._error = self._error or error
        self._agenda.wake()

    def counted_command(self, member: Member, topic: str, payload: bytes) -> None:
        """A command came."""
        self._commands += 1
        if self._overhear is not None:
            self._overhear(member.uid, False, topic, payload)
        self._happened.set()

    def counted_ack(self, seconds: float) -> None:
        """A PUBACK came."""
        self._acked += 1
        self._latency.add(seconds)
        self._latency_max = max(self._latency_max, seconds)
        self._happened.set()

    # The two tasks

    async def _connect_all(self) -> None:
        assert self._group is not None  # noqa: S101 - made before the task
        gap = 1.0 / self._ramp_per_s
        while True:
            member = await self._next_caller()
            if member.link.state != CLOSED or not member.wants_connection:
                continue
            await self._opening.acquire()
            self._group.create_task(self._connect(member), name=f"connect {member.uid}")
            await asyncio.sleep(0.0 if member.uid in self._storm else gap)

    async def _next_caller(self) -> Member:
        while True:
            now = self._loop.time()
            if self._callers and self._callers[0][0] <= now:
                return heapq.heappop(self._callers)[2]
            self._callers_changed.clear()
            await wait(self._callers_changed, self._callers[0][0] - now if self._callers else None)

    async def _connect(self, member: Member) -> None:
        try:
            opened = member.link.state != CLOSED or await member.link.open(*self._broker)
        finally:
            self._opening.release()
        if not (self._running and member.wants_connection):
            member.link.close()
        elif not opened:
            self._failures += 1
            self._last_problem = f"{member.uid}: {member.link.reason}"
            self._happened.set()
            self._retry(member)

    def _retry(self, member: Member) -> None:
        member.attempts += 1
        chance = unit(device_seed(member.device.spec), 1000 + member.attempts)
        self.reconnect(member, backoff_s(member.attempts, chance))

    async def _run_agenda(self) -> None:
        ticked = self._loop.time()
        while True:
            if self._error is not None:
                raise self._error
            now = self._loop.time()
            if now - ticked >= TICK_S:
                ticked = now
                for member in self.members.values():
                    member.link.tick()
            for _ in range(CHUNK):
                entry = self._agenda.take()
                if entry is None:
                    break
                self._run(*entry)
            await self._agenda.wait(ticked + TICK_S - self._loop.time())

    def _run(self, order: int, member: Member | None, work: Work) -> None:
        if member is None:
            if self._running and callable(work):
                work()
        elif isinstance(work, list):
            member.publish(work)
        elif self._running and order == member.turn:
            self._report(member)

    def _report(self, member: Member) -> None:
        if member.link.state == READY:
            member.publish(member.device.due(self.now()))
        wait = (member.device.next_due - self.now()) / self._scale
        self._agenda.add(wait if wait > 0 else self._interval_s / self._scale, member, None)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000.0, 3)
