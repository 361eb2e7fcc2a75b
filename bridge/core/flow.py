"""How a command walks: accepted, sent, delivered, settled. Rows decide; memory follows after COMMIT.

`sent` is committed before a byte is written, so a crash never repeats a command: at worst it times out. Commands that
change a device go to it one at a time, in their order; reading ones pass.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from time import monotonic

from bridge.core.deadlines import Deadlines
from bridge.core.events import Events
from bridge.core.open_command import Open
from bridge.core.record import Done, Record
from bridge.core.states import FROM
from bridge.core.statuses import Statuses
from bridge.counts import Counts
from bridge.errors import StoreError
from bridge.store.ledger import StoredCommand

LATE_KEPT = 10_000
LATE_S = 86_400
"""Timed-out commands whose late answers are still matched without a `reply`: at most so many, for so long."""
CANDIDATES = 32
"""Commands that an answer without a `reply` may mean: more than a device answers before one COMMIT."""
RETRY_S = 1.0
"""After a commit that failed (disk full), or a device that listens but could not be written to; there doubled each time."""
RETRY_MAX_S = 60.0
AT_ONCE = 500
"""Decisions that wait for their COMMIT at a time: after a long night all devices come and all deadlines are due, and messages
are not to wait behind them."""
OPEN_KEPT = 1_000
"""Open commands of one device: at most so many wait for a device that is away for days. More are refused."""

Submit = Callable[[Record, Done | None], None]
Deliver = Callable[[str, tuple[str, ...], bytes, Callable[[], None], int], str | None]
"""(uid, topics in order of preference, payload, acked, expires: epoch ms after which it must not be written any more) -> the
topic that the device subscribed to, None when offline."""
Listens = Callable[[str, tuple[str, ...]], bool]
"""(uid, topics) -> whether the device is connected and subscribed to one of them."""


class Flow:
    """Every open command of the bridge."""

    def __init__(
        self,
        submit: Submit,
        deliver: Deliver,
        listens: Listens,
        topics: Callable[[Open], tuple[str, ...]],
        owners: Callable[[str], tuple[str, ...]],
        events: Events,
        counts: Counts,
        now: Callable[[], int],
        timer: Callable[[], float] = monotonic,
        heard: Callable[[str], bool] = lambda _level: True,
    ) -> None:
        self._submit = submit
        self._deliver = deliver
        self._listens = listens
        self._topics = topics
        self._counts = counts
        self._now = now
        self._timer = timer
        self._statuses = Statuses(submit, owners, events, now, heard)
        self.announce, self.make_up = self._statuses.tell, self._statuses.make_up
        self.open: dict[str, Open] = {}
        self.late: OrderedDict[str, Open] = OrderedDict()
        self._late_of: dict[str, dict[str, Open]] = {}
        self._by_device: dict[str, dict[str, Open]] = {}
        self._coming: dict[str, int] = {}
        """Commands by device that are being committed."""
        self._waiting: tuple[dict[str, dict[str, Open]], dict[str, dict[str, Open]]] = ({}, {})
        """Accepted commands by device, in their order: reading ones, changing ones."""
        self._changing: dict[str, str] = {}
        self._bells: dict[str, set[asyncio.Future[None]]] = {}
        self._deadlines = Deadlines(self.open, timer)
        self._deciding = 0
        self._pumps: dict[str, None] = {}
        """Devices whose turn comes when fewer decisions are on their way."""
        counts.gauge("ems_bridge_commands_open", lambda: len(self.open), text="Commands without an outcome")

    def full(self, device: str) -> bool:
        """Whether the device has as many open commands as it may."""
        return len(self._by_device.get(device, ())) + self._coming.get(device, 0) >= OPEN_KEPT

    def expect(self, device: str, change: int = 1) -> None:
        """One command more is being committed for the device; -1: it is, or could not be."""
        coming = self._coming.get(device, 0) + change
        if coming:
            self._coming[device] = coming
        else:
            del self._coming[device]

    # Coming in.

    def take(self, stored: StoredCommand, announce: bool = True) -> None:
        """A command was committed (or found at start): hold it, and send it when its turn comes; one that is sent has to be
        answered."""
        command = Open(stored)
        self.open[command.mid] = command
        _add(self._by_device, command)
        if command.state == "accepted":
            _add(self._waiting[command.changes], command)
            command.ends = self._moment(stored.hold_until, stored.hold_until - stored.created_at)
            self._deadlines.arm(command, command.ends if announce or not command.immediate else self._timer())
            if announce:
                self.announce(command, "accepted", at=stored.created_at)
                self._consider(command)
        else:
            if command.changes:
                self._changing[command.device] = command.mid
            self._deadlines.arm(command, self._moment(stored.deadline or 0, stored.timeout_ms))
            if announce:
                self.announce(command, command.state, at=stored.created_at)

    def take_late(self, stored: StoredCommand) -> None:
        """A command that timed out before this process began."""
        command = Open(stored)
        self._keep_late(command, self._timer() - (self._now() - (stored.settled_at or 0)) / 1000)

    def candidates(self, device: str, suffixes: Iterable[str], sub_device: str) -> list[str]:
        """Mids of the commands of the given sorts that `device` was sent and has not answered, the oldest first; after them
        those that timed out lately."""
        wanted = frozenset(suffixes)
        since = self._timer() - LATE_S
        found = (
            command.mid
            for commands in (self._by_device.get(device, {}), self._late_of.get(device, {}))
            for command in commands.values()
            if command.suffix in wanted and command.sub_device == sub_device
            if command.state in ("sent", "delivered") or (command.state == "timed_out" and command.due >= since)
        )
        return list(islice(found, CANDIDATES))

    # Going out.

    def pump(self, device: str) -> None:
        """The device listens, or may: send what waits for it, when its turn comes."""
        if self._deciding >= AT_ONCE:
            self._pumps[device] = None
            return
        for command in tuple(self._waiting[False].get(device, {}).values()):
            self._consider(command)
        self._next(device)

    def _next(self, device: str) -> None:
        """The turn of the first changing command."""
        waiting = self._waiting[True].get(device)
        if waiting:
            self._consider(next(iter(waiting.values())))

    def _consider(self, command: Open) -> None:
        """Send an accepted command if its turn has come; end it if it may not wait."""
        device = command.device
        if command.deciding:
            return
        if not self._listens(device, self._topics(command)):
            if command.immediate:
                self._move(command, "undeliverable", "the device is offline")
            elif command.ends <= self._timer():
                self._move(command, "expired", "the device was offline until its hold ended")
        elif not command.changes:
            self._send(command)
        elif device not in self._changing and command is next(iter(self._waiting[True][device].values())):
            self._changing[device] = command.mid
            self._send(command)

    def _decide(self, command: Open, record: Record) -> None:
        """Commit a decision about a command; when that fails it is decided again."""
        command.deciding = True
        self._deciding += 1

        def done(ok: bool) -> None:
            self._deciding -= 1
            if not ok:
                self._failed(command)
            if self._pumps and self._deciding < AT_ONCE:
                device = next(iter(self._pumps))
                del self._pumps[device]
                self.pump(device)

        self._submit(record, done)

    def _send(self, command: Open) -> None:
        record = Record()
        at, since = self._now(), self._timer()
        record.rows.append(("command_move", (command.mid, "sent", at, "", False, FROM["sent"])))

        def write() -> None:
            command.deciding = False
            moved = record.results.get("command_move")
            if moved is None:  # it was withdrawn, or has ended
                self._release(command)
                return
            command.state = "sent"
            self.announce(command, "sent", at=at)
            payload, acked = str(moved[0]).encode(), partial(self._delivered, command)
            expires = at + command.timeout_ms
            if self._deliver(command.device, self._topics(command), payload, acked, expires) is None:
                self._hold_again(command)
            else:
                _drop(self._waiting[command.changes], command)
                self._deadlines.arm(command, since + command.timeout_ms / 1000)

        record.effects.append(write)
        self._decide(command, record)

    def _hold_again(self, command: Open) -> None:
        """The device went away, or its queue filled, while `sent` was being committed; nothing was written."""
        command.unwritten = True
        record, at = Record(), self._now()
        cause = "the device went offline before it was written"
        record.rows.append(("command_move", (command.mid, "accepted", at, cause, False, FROM["accepted"])))

        def held() -> None:
            command.deciding = command.unwritten = False
            self._release(command)
            if record.results.get("command_move") is None:
                return
            command.state = "accepted"
            self.announce(command, "accepted", None, cause, at)
            if self._listens(command.device, self._topics(command)):
                delay = min(RETRY_S * 2**command.tries, RETRY_MAX_S)
                command.tries += 1
                self._deadlines.arm(command, min(command.ends, self._timer() + delay))
            else:
                self._deadlines.arm(command, command.ends)
                self._consider(command)

        record.effects.append(held)
        self._decide(command, record)

    def _delivered(self, command: Open) -> None:
        record, at = Record(), self._now()
        record.rows.append(("command_move", (command.mid, "delivered", at, "", False, FROM["delivered"])))

        def told() -> None:
            if record.results.get("command_move") is not None:
                command.state = "delivered"
                self.announce(command, "delivered", at=at)

        record.effects.append(told)
        self._submit(record, None)

    # Ending.

    def _move(self, command: Open, state: str, cause: str) -> None:
        """End a command by the bridge's own decision, if it is still where it may end so."""
        self._decide(command, self._ending(command.mid, state, cause))

    def _ending(self, mid: str, state: str, cause: str) -> Record:
        record, at = Record(), self._now()
        record.rows.append(("command_move", (mid, state, at, cause, True, FROM[state])))
        record.effects.append(
            lambda: (
                self.settled(mid, state, None, cause, at) if record.results.get("command_move") is not None else None
            )
        )
        return record

    async def cancelled(self, mid: str, cause: str) -> bool:
        """Withdraw a command that was not sent; says whether it was withdrawn. Raises StoreError."""
        record = self._ending(mid, "cancelled", cause)
        if not await committed(self._submit, record):
            raise StoreError("the command could not be withdrawn")
        return record.results.get("command_move") is not None

    def settled(self, mid: str, state: str, code: int | None, msg: str, at: int) -> None:
        """After COMMIT: the command has come to `state`. Ring, tell, and let the next one go."""
        command = self.open.pop(mid, None) or self._forget_late(mid)
        if command is None:
            return
        command.state = state
        _drop(self._waiting[command.changes], command)
        _drop(self._by_device, command)
        if state == "timed_out":
            self._keep_late(command, self._timer())
        self._counts.add("ems_bridge_commands_settled", (("state", state),))
        for bell in self._bells.pop(mid, ()):
            if not bell.done():
                bell.set_result(None)
        self.announce(command, state, code, msg, at)
        self._release(command)
        self._next(command.device)

    def progressed(self, mid: str, code: int | None, msg: str, at: int) -> None:
        """After COMMIT: the device answered, and will again. Its deadline stays."""
        command = self.open.get(mid)
        if command is not None:
            command.state = "delivered"
            self.announce(command, "delivered", code, msg, at)

    async def outcome(self, mid: str, seconds: float) -> None:
        """Wait until the command settles, at most `seconds`."""
        bell: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        bells = self._bells.setdefault(mid, set())
        bells.add(bell)
        try:
            if mid in self.open:
                async with asyncio.timeout(seconds):
                    await bell
        except TimeoutError:
            pass
        finally:
            bells.discard(bell)
            if not bells:
                self._bells.pop(mid, None)

    def hush(self) -> None:
        """Who waits for an outcome waits no longer: the service stops."""
        for bells in self._bells.values():
            for bell in bells:
                if not bell.done():
                    bell.set_result(None)

    # Time.

    async def run(self) -> None:
        """Fire deadlines for as long as the service runs."""
        while True:
            self.tick()
            await self._deadlines.wait()

    def next_due(self) -> float | None:
        """When the first of the open commands may have to be decided about, as a moment of the timer."""
        return self._deadlines.first()

    def tick(self) -> None:
        """Decide about commands whose time has come, the earliest first."""
        moment = self._timer()
        while self._deciding < AT_ONCE and (command := self._deadlines.next(moment)) is not None:
            if command.deciding:
                continue
            if command.unwritten:
                self._hold_again(command)
            elif command.state != "accepted":
                self._move(command, "timed_out", "no answer before the deadline")
            elif command.ends > moment:
                self._deadlines.arm(command, command.ends)
                self._consider(command)
            elif command.immediate and not self._listens(command.device, self._topics(command)):
                self._move(command, "undeliverable", "the device is offline")
            else:
                self._move(command, "expired", "it could not be sent before its hold ended")

    def _moment(self, at: int, most: int) -> float:
        """Wall-clock ms as a moment of the timer: from then on a jump of the wall clock moves no deadline. At most `most` ms
        away: the clock may have gone back meanwhile."""
        return self._timer() + min(max(0, at - self._now()), most) / 1000

    def _failed(self, command: Open) -> None:
        """The commit failed (disk full): what was to be decided is decided again in a moment."""
        command.deciding = False
        if command.state == "accepted":
            self._release(command)
        self._deadlines.arm(command, self._timer() + RETRY_S)

    # Bookkeeping.

    def _keep_late(self, command: Open, since: float) -> None:
        command.due = since
        self.late[command.mid] = command
        _add(self._late_of, command)
        if len(self.late) > LATE_KEPT:
            self._forget_late(next(iter(self.late)))

    def _forget_late(self, mid: str) -> Open | None:
        command = self.late.pop(mid, None)
        if command is not None:
            _drop(self._late_of, command)
        return command

    def _release(self, command: Open) -> None:
        if self._changing.get(command.device) == command.mid:
            del self._changing[command.device]


async def committed(submit: Submit, record: Record) -> bool:
    """Submit and wait; says whether the COMMIT succeeded."""
    settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    submit(record, lambda ok: None if settled.done() else settled.set_result(ok))
    return await settled


def _add(table: dict[str, dict[str, Open]], command: Open) -> None:
    table.setdefault(command.device, {})[command.mid] = command


def _drop(table: dict[str, dict[str, Open]], command: Open) -> None:
    same = table.get(command.device)
    if same is not None and same.pop(command.mid, None) is not None and not same:
        del table[command.device]
