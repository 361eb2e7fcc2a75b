"""What stored messages tell of equipment, kept as runs and alarms: each message once, however old its own time."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from bridge.cloud.statistics import Run, place
from bridge.errors import StoreError
from bridge.store.equipment import AlarmRow, Equipment, Look, RunRow, Stored
from schemas import kinds
from schemas.alarms import AlarmData
from schemas.carriage import FAULTS_TOLD, REPORTS_TOLD
from schemas.envelope import Message
from schemas.errors import Invalid
from schemas.readings import parts_of
from schemas.states import activity

log = logging.getLogger(__name__)

RUNNING, FAULT = 1, 2
STEP: Final = 200
"""Messages of one step: some 10 ms of a reader's thread."""
STEP_SIZE: Final = 4 << 20
"""Characters of messages of one step, or one that is larger."""
EVERY_S: Final = 5.0
PAUSE_S: Final = 0.1
"""Between two steps while there is more: a flood of reports keeps most of the machine for itself."""
TRIM_EVERY_S: Final = 3_600.0
PATIENCE_S: Final = 3.0
"""A question waits this long at most for what was not looked at yet."""
OLDEST: Final = 100_000_000_000
"""1973: no device was there before."""
FUTURE_MS: Final = 86_400_000
LONGEST_NAME: Final = 200

State = tuple[str, int, int]
"""(part, time, bits)"""


def states(message: Message) -> Iterator[State]:
    """What a report tells of each part."""
    for part, source in parts_of(message):
        found = activity(source)
        if found is not None:
            yield part, message.timestamp, found.running * RUNNING + found.fault * FAULT


def alarms(device: str, message: Message) -> Iterator[AlarmRow]:
    """What an alarm message tells: one alarm is the same while its id (or type, where it has none) and its time are."""
    sub_device = message.sub_device_id if isinstance(message.sub_device_id, int) else 0
    for alarm in message.data if isinstance(message.data, list) else [message.data]:
        if isinstance(alarm, AlarmData):
            start = _instant(alarm.occur_time, message.timestamp)
            what = alarm.id if isinstance(alarm.id, int) else f"{alarm.device_type}/{alarm.alarm_type}"
            name = f"{sub_device}:{what}"[:LONGEST_NAME] + f":{start}"
            until = None
            if alarm.handle_status == HANDLED:
                until = max(start, _instant(alarm.handle_time, message.timestamp))
            yield device, name, start, until


HANDLED: Final = 2


def _instant(text: object, otherwise: int) -> int:
    """RFC 3339 as ms; of what is none, or cannot be, when the message was made."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return otherwise
    at = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return at if OLDEST <= at <= otherwise + FUTURE_MS else otherwise


class Follower:
    """Looks through the stored messages for as long as the service runs. `hold_ms` is how long a state holds without a word."""

    def __init__(self, equipment: Equipment, hold_ms: int) -> None:
        self._equipment = equipment
        self._hold = hold_ms
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Keep up, without haste."""
        trimmed_at = -TRIM_EVERY_S
        while True:
            try:
                more = await self._step()
                if monotonic() - trimmed_at > TRIM_EVERY_S and not await self._equipment.trim():
                    trimmed_at = monotonic()
            except (StoreError, sqlite3.Error) as error:
                log.warning("statistics: %s", error)
                more = False
            await asyncio.sleep(PAUSE_S if more else EVERY_S)

    async def catch_up(self) -> int:
        """Look at all that is stored by now, as far as patience goes; gives how many messages are left."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await self._step():
                    pass
        except TimeoutError:
            return await self._equipment.read(lambda look: max(0, look.newest() - look.seen()))
        return 0

    async def _step(self) -> bool:
        """Look at some more; whether there may be more still."""
        async with self._turn:
            found = await self._equipment.read(lambda look: _Step(look, self._hold))
            if not found.none:
                work = self._equipment.learn(found.gone, found.put, found.alarms, found.seen)
                await asyncio.shield(asyncio.ensure_future(work))
        return found.more


class _Step:
    """The next messages, and what they change."""

    def __init__(self, look: Look, hold: int) -> None:
        self._look = look
        self._hold = hold
        self._was: dict[tuple[str, str], dict[int, Run]] = {}
        self._runs: dict[tuple[str, str], list[Run]] = {}
        self._spans: dict[tuple[str, str], tuple[int, int]] = {}
        self.alarms: list[AlarmRow] = []
        self.seen = look.seen()
        stored, self.more = look.messages(self.seen, STEP, STEP_SIZE, (REPORTS_TOLD, FAULTS_TOLD))
        self.none = not stored
        for each in stored:
            self.seen = each.seq
            try:
                if each.body is not None:
                    self._take(each, each.body)
            except Exception:  # whatever it is, it must not stand in the way of those behind it for ever
                log.exception("statistics pass over message %d", each.seq)
        self.gone: list[tuple[str, str, int]] = []
        self.put: list[RunRow] = []
        for (device, part), runs in self._runs.items():
            was, now = self._was[device, part], {run.at: run for run in runs}
            self.gone += [(device, part, at) for at in was if at not in now]
            self.put += [(device, part, *run) for at, run in now.items() if was.get(at) != run]

    def _take(self, stored: Stored, body: str) -> None:
        device, suffix = stored.device, stored.suffix
        message = _read(suffix, body)
        if message is None:
            return
        if suffix == FAULTS_TOLD:
            self.alarms += alarms(device, message)
            return
        for part, at, bits in states(message):
            runs = self._near(device, part, at)
            low, high = self._window(runs, at)
            around = None
            if any(run.at <= at <= run.until and run.at < run.until and run.state != bits for run in runs[low:high]):
                around = self._neighbours(stored, part, at)
            runs[low:high] = place(runs[low:high], at, bits, self._hold, around)

    def _near(self, device: str, part: str, at: int) -> list[Run]:
        """The part's runs, as far as they were asked for, of which those within `hold` of `at` are all there."""
        key = device, part
        low, high = at - self._hold, at + self._hold
        known = self._spans.get(key)
        if known is None or low < known[0] or high > known[1]:
            low, high = (low, high) if known is None else (min(low, known[0]), max(high, known[1]))
            stored = [Run(*run) for run in self._look.runs(device, part, low, high)]
            was = self._was.setdefault(key, {})
            runs = self._runs.setdefault(key, [])
            fresh = [run for run in stored if run.at not in was]
            was.update((run.at, run) for run in fresh)
            runs += fresh
            runs.sort()
            self._spans[key] = low, high
        return self._runs[key]

    def _window(self, runs: list[Run], at: int) -> tuple[int, int]:
        """Which of them touch [at - hold, at + hold]."""
        low = bisect_left(runs, at - self._hold, key=lambda run: run.until)
        return low, max(low, bisect_right(runs, at + self._hold, key=lambda run: run.at))

    def _neighbours(self, stored: Stored, part: str, at: int) -> tuple[int, int]:
        """When the part told something right before and after `at`, among the messages before this one that are still there."""
        told = {
            moment
            for body in self._look.near(stored.device, stored.seq, stored.suffix, at - self._hold, at + self._hold)
            if (message := _read(stored.suffix, body)) is not None
            for name, moment, _ in states(message)
            if name == part
        }
        before = max((moment for moment in told if moment < at), default=at)
        return before, min((moment for moment in told if moment > at), default=at + 1)


def _read(suffix: str, body: str) -> Message | None:
    """A stored message; None when it was taken by an older release, which knew fewer fields."""
    try:
        return kinds.resolve(suffix, body.encode())[1]
    except Invalid:
        return None
