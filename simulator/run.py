"""A fleet, its scenario and what is said to it meanwhile, as one run."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from simulator.counters import Summary
from simulator.faults import HONEST, Behaviour, assign, parse_faults
from simulator.fleet import Fleet, Overhear
from simulator.options import Options
from simulator.orders import Orders
from simulator.platform import Platform
from simulator.scenario import Order, Stage, failed, figures, together

CONTROL_S: Final = 0.2
"""Between two looks at the control file."""
LIVE: Final = ""
"""The layer of faults that is laid on meanwhile; phases have names."""


class Outcome(NamedTuple):
    """How a run stands or ended: its counters, how its commands did, which expectations failed, how many devices have or had
    each fault, which phases have begun and which are on, the simulated time."""

    summary: Summary
    commands: dict[str, int]
    failed: list[str]
    faults: dict[str, int]
    begun: list[str]
    phases: list[str]
    simulated: str

    def json(self) -> bytes:
        """One line: the counters; where there were commands their outcomes, where there were expectations what failed."""
        found: dict[str, Any] = msgspec.to_builtins(self.summary)
        found |= {"simulated": self.simulated, "faults": self.faults, "begun": self.begun, "phases": self.phases}
        if self.commands.get("sent"):
            found["outcomes"] = {name: count for name, count in self.commands.items() if count}
        return msgspec.json.encode(found | {"failed": self.failed})


class _Turn(NamedTuple):
    """Something to do `at` its time, and again."""

    at: float
    number: int
    act: Callable[[], None]
    again_s: float
    until: float


class Run:
    """One run. `say` gets a line for whoever watches, `overhear` every message. `stop` ends it."""

    def __init__(self, asked: Options, say: Callable[[str], None], overhear: Overhear | None = None) -> None:
        self.asked = asked
        self.stop = asyncio.Event()
        self.fleet = Fleet(
            asked.specs,
            asked.broker,
            interval_s=asked.interval_s,
            faults=asked.faults,
            time_scale=asked.time_scale,
            start=asked.start,
            ramp_per_s=asked.ramp_per_s,
            keep_alive_s=asked.keep_alive_s,
            dialect=asked.dialect,
            overhear=overhear,
        )
        self.phases: list[str] = []
        """The phases that are on."""
        self._say = say
        self._uids = [spec.uid for spec in asked.specs]
        self._changed = asyncio.Event()
        login = asked.scenario.login
        self._platform = Platform(asked.broker, asked.specs, login.username, login.password, self._changed.set)
        self._base = assign(asked.faults, len(self._uids), asked.seed, self._uids)
        self._layers: dict[str, list[Behaviour]] = {}
        self._hit: dict[str, set[int]] = {}
        self._begun: list[str] = []
        self._agenda: list[_Turn] = []
        self._added = 0
        self._count_hit(self._base)

    @contextlib.asynccontextmanager
    async def going(self) -> AsyncIterator[Run]:
        """The fleet and, where it is needed, the platform are up."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.fleet)
            if self.asked.scenario.commands:
                await stack.enter_async_context(self._platform)
            yield self

    def outcome(self, summary: Summary | None = None) -> Outcome:
        """How it stands."""
        summary = summary or self.fleet.summary()
        commands = self._platform.outcomes()
        return Outcome(
            summary,
            commands,
            failed(self.asked.scenario.expectations, figures(summary, commands)),
            {name: len(devices) for name, devices in sorted(self._hit.items())},
            list(self._begun),
            list(self.phases),
            self.simulated(),
        )

    @property
    def told(self) -> dict[str, str]:
        """Every command that was sent, by its mid, and the state that the platform heard of last."""
        return dict(self._platform.states)

    def simulated(self) -> str:
        """The simulated clock, to the second."""
        return datetime.fromtimestamp(self.fleet.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def play(self) -> None:
        """The phases at their times, until the last has ended or the run's time is over. Then commands get a while for their
        outcomes."""
        stages, most = self.asked.scenario.stages, self.asked.duration_s or math.inf
        if not stages:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        for stage in stages:
            self._plan(stage)
        while self._agenda and not self.stop.is_set():
            turn = heapq.heappop(self._agenda)
            await self._sleep(began + min(turn.at, most) - loop.time())
            if self.stop.is_set():
                return
            if turn.at > most:
                break
            turn.act()
            if turn.again_s and turn.at + turn.again_s < turn.until:
                self._add(turn.at + turn.again_s, turn.act, turn.again_s, turn.until)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.asked.scenario.settle_s):
                while self._platform.open and not self.stop.is_set():
                    self._changed.clear()
                    await self._changed.wait()
        if self.asked.scenario.commands and not self._platform.is_online:
            self._say(f"the platform is not connected: {self._platform.reason}")

    async def control(self, orders: Orders) -> None:
        """Obey the lines that are written, for as long as the run lasts."""
        while not self.stop.is_set():
            try:
                lines = orders.lines()
            except OSError as error:
                self._say(f"control: {error.strerror or error}; nothing more is obeyed")
                return
            for line in lines:
                self.obey(line)
            await self._sleep(CONTROL_S)

    def obey(self, line: str) -> None:
        """One line: `faults SPEC`, `honest`, `storm`, `summary`, `stop`."""
        verb, _, rest = line.strip().partition(" ")
        if not verb:
            return
        try:
            self._verb(verb, rest.strip())
        except (ValueError, KeyError, msgspec.DecodeError) as error:
            self._say(f"control: {line.strip()[:200]!r}: {error}")
        else:
            self._say(f"control: {self.outcome().json().decode() if verb == 'summary' else line.strip()[:200]}")

    def _verb(self, verb: str, rest: str) -> None:
        if verb == "faults":
            self._layer(LIVE, assign(parse_faults(rest), len(self._uids), self.asked.seed, self._uids))
        elif verb == "honest":
            self._layer(LIVE, None)
        elif verb == "storm":
            self.fleet.storm()
        elif verb == "stop":
            self.stop.set()
        elif verb != "summary":
            raise ValueError("the words are faults SPEC, honest, storm, summary, stop")

    def _plan(self, stage: Stage) -> None:
        if stage.ends > stage.begins:
            self._add(stage.ends, partial(self._end, stage))
        self._add(stage.begins, partial(self._begin, stage))
        for order, uids in stage.orders:
            self._add(stage.begins, partial(self._send, order, uids), order.every or 0.0, stage.ends)

    def _add(self, at: float, act: Callable[[], None], again_s: float = 0.0, until: float = 0.0) -> None:
        self._added += 1
        heapq.heappush(self._agenda, _Turn(at, self._added, act, again_s, until))

    def _begin(self, stage: Stage) -> None:
        self.phases.append(stage.name)
        self._begun.append(stage.name)
        self._say(f"phase {stage.name}")
        self._layer(stage.name, stage.behaviours)
        if stage.storm:
            self.fleet.storm()

    def _end(self, stage: Stage) -> None:
        if stage.name in self.phases:
            self.phases.remove(stage.name)
        self._layer(stage.name, None)

    def _send(self, order: Order, uids: list[str]) -> None:
        for uid in uids:
            self._platform.send(uid, order.command, order.data)

    def _layer(self, name: str, behaviours: list[Behaviour] | None) -> None:
        if behaviours is None:
            self._layers.pop(name, None)
        else:
            self._layers[name] = behaviours
            self._count_hit(behaviours)
        self.fleet.behave(together([self._base, *self._layers.values()], len(self._uids)))

    def _count_hit(self, behaviours: list[Behaviour]) -> None:
        for n, behaviour in enumerate(behaviours):
            for name in behaviour.names() if behaviour != HONEST else ():
                self._hit.setdefault(name, set()).add(n)

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stop.wait()
