"""How a command walks: accepted, sent, delivered, settled. Rows decide; memory follows after COMMIT.

`sent` is committed before a byte is written, so a crash never repeats a command: at worst it times out. Commands that
change a device go to it one at a time, in their order; reading ones pass.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from time import monotonic

import msgspec

from bridge.core.events import Events
from bridge.core.record import Done, Record, Route
from bridge.core.states import FROM, TERMINAL
from bridge.counts import Counts
from bridge.store.ledger import StoredCommand

LATE_KEPT = 10_000
"""Timed-out commands whose late answers are still matched without a `reply`."""

Submit = Callable[[Record, Done | None], None]
Deliver = Callable[[str, tuple[str, ...], bytes, Callable[[], None]], str | None]
"""(uid, topics in order of preference, payload, acked) -> the topic that the device subscribed to, None when offline."""

_json = msgspec.json.Encoder()


class Open:
    """A command without an outcome, or one that timed out lately."""

    __slots__ = (
        "changes", "device", "due", "hold_until", "immediate", "mid", "number", "payload", "prefix", "sending", "state",
        "sub_device", "suffix", "timeout_ms",
    )  # fmt: skip

    def __init__(self, stored: StoredCommand) -> None:
        self.mid = stored.mid
        self.device = stored.device
        self.suffix = stored.suffix
        self.prefix = stored.prefix
        self.sub_device = stored.sub_device
        self.changes = stored.changes
        self.immediate = stored.immediate
        self.payload = stored.payload.encode()
        self.number = stored.number
        self.timeout_ms = stored.timeout_ms
        self.hold_until = stored.hold_until
        self.state = stored.state
        self.sending = False
        self.due = 0.0


class Flow:
    """Every open command of the bridge."""

    def __init__(
        self,
        submit: Submit,
        deliver: Deliver,
        online: Callable[[str], bool],
        topics: Callable[[Open], tuple[str, ...]],
        owners: Callable[[str], tuple[str, ...]],
        events: Events,
        counts: Counts,
        now: Callable[[], int],
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self._submit = submit
        self._deliver = deliver
        self._online = online
        self._topics = topics
        self._owners = owners
        self._events = events
        self._counts = counts
        self._now = now
        self._timer = timer
        self.open: dict[str, Open] = {}
        self.late: OrderedDict[str, Open] = OrderedDict()
        self._waiting: dict[str, deque[Open]] = {}
        self._by_device: dict[str, dict[str, Open]] = {}
        self._changing: dict[str, str] = {}
        self._bells: dict[str, set[asyncio.Future[None]]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._wake = asyncio.Event()
        counts.gauge("ems_bridge_commands_open", lambda: len(self.open), text="Commands without an outcome")

    # Coming in.

    def take(self, stored: StoredCommand, announce: bool = True) -> None:
        """A command was committed (or found at start): hold it, and send it when its turn comes."""
        command = Open(stored)
        self.open[command.mid] = command
        self._by_device.setdefault(command.device, {})[command.mid] = command
        if command.state == "accepted":
            self._waiting.setdefault(command.device, deque()).append(command)
            self._arm(command, command.hold_until)
            if announce:
                self._announce(command.mid, command.device, "accepted", None, "")
                self.pump(command.device)
        else:
            if command.changes:
                self._changing[command.device] = command.mid
            self._arm(command, stored.deadline or 0)

    def take_late(self, stored: StoredCommand) -> None:
        """A command that timed out before this process began."""
        self._keep_late(Open(stored))

    def oldest(self, device: str, suffixes: Iterable[str], sub_device: str) -> Open | None:
        """The oldest command that `device` was sent and has not answered, of the given sorts; else the oldest timed-out one."""
        wanted = frozenset(suffixes)
        for command in self._by_device.get(device, {}).values():
            if command.state != "accepted" and command.suffix in wanted and command.sub_device == sub_device:
                return command
        for command in self.late.values():
            if command.device == device and command.suffix in wanted and command.sub_device == sub_device:
                return command
        return None

    # Going out.

    def pump(self, device: str) -> None:
        """Send what may be sent to `device` now; decide about what may not wait."""
        waiting = self._waiting.get(device)
        if not waiting:
            return
        if not self._online(device):
            now = self._now()
            for command in [each for each in waiting if each.immediate or each.hold_until <= now]:
                if command.immediate:
                    self._move(command, "undeliverable", "the device is offline")
                else:
                    self._move(command, "expired", "the device was offline until its hold ended")
            return
        for command in [each for each in waiting if not each.sending]:
            if command.changes:
                if device in self._changing:
                    continue
                self._changing[device] = command.mid
            self._send(command)

    def _send(self, command: Open) -> None:
        command.sending = True
        record = Record()
        at = self._now()
        record.rows.append(("command_move", (command.mid, "sent", at, "", False, FROM["sent"])))

        def done(ok: bool) -> None:
            command.sending = False
            if not ok:
                self._retry(command)
            if not ok or record.results.get("command_move") is None:
                self._release(command)

        def write() -> None:
            if record.results.get("command_move") is None:
                return
            command.state = "sent"
            topic = self._deliver(
                command.device, self._topics(command), command.payload, lambda: self._delivered(command)
            )
            if topic is None:
                self._hold_again(command)
                return
            self._unqueue(command)
            self._arm(command, at + command.timeout_ms)
            self._announce(command.mid, command.device, "sent", None, "")

        record.effects.append(write)
        self._submit(record, done)

    def _hold_again(self, command: Open) -> None:
        """The device went away while `sent` was being committed; nothing was written."""
        command.state = "accepted"
        self._release(command)
        record = Record()
        row = (
            command.mid,
            "accepted",
            self._now(),
            "the device went offline before it was written",
            False,
            FROM["accepted"],
        )
        record.rows.append(("command_move", row))
        record.effects.append(lambda: self.pump(command.device))
        self._submit(record, None)

    def _delivered(self, command: Open) -> None:
        record = Record()
        record.rows.append(("command_move", (command.mid, "delivered", self._now(), "", False, FROM["delivered"])))

        def told() -> None:
            if record.results.get("command_move") is not None:
                command.state = "delivered"
                self._announce(command.mid, command.device, "delivered", None, "")

        record.effects.append(told)
        self._submit(record, None)

    # Ending.

    def _move(self, command: Open, state: str, cause: str) -> None:
        """End a command by the bridge's own decision, if it is still where it may end so."""
        record = Record()
        record.rows.append(("command_move", (command.mid, state, self._now(), cause, True, FROM[state])))
        record.effects.append(
            lambda: self.settled(command.mid, state, None, cause) if record.results.get("command_move") else None
        )
        self._submit(record, lambda ok: None if ok else self._retry(command))

    async def cancelled(self, mid: str, cause: str) -> bool:
        """Withdraw a command that was not sent; says whether it was withdrawn."""
        record = Record()
        record.rows.append(("command_move", (mid, "cancelled", self._now(), cause, True, FROM["cancelled"])))
        won = await committed(self._submit, record) and record.results.get("command_move") is not None
        if won:
            self.settled(mid, "cancelled", None, cause)
        return won

    def settled(self, mid: str, state: str, code: int | None, msg: str) -> None:
        """After COMMIT: the command has come to `state`. Ring, tell, and let the next one go."""
        command = self.open.pop(mid, None) or self.late.pop(mid, None)
        if command is None:
            return
        command.state = state
        self._unqueue(command)
        same = self._by_device.get(command.device)
        if same is not None:
            same.pop(mid, None)
            if not same:
                del self._by_device[command.device]
        if state == "timed_out":
            self._keep_late(command)
        self._counts.add("ems_bridge_commands_settled", (("state", state),))
        for bell in self._bells.pop(mid, ()):
            if not bell.done():
                bell.set_result(None)
        self._announce(mid, command.device, state, code, msg)
        self._release(command)
        self.pump(command.device)

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

    # Time.

    async def run(self) -> None:
        """Fire deadlines for as long as the service runs."""
        while True:
            self.tick()
            delay = self._heap[0][0] - self._timer() if self._heap else None
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def tick(self) -> None:
        """Decide about every command whose time has come."""
        moment = self._timer()
        while self._heap and self._heap[0][0] <= moment:
            due, _, mid = heapq.heappop(self._heap)
            command = self.open.get(mid)
            if command is None or command.due != due:
                continue
            if command.state != "accepted":
                self._move(command, "timed_out", "no answer before the deadline")
            elif not command.sending:
                self._move(command, "expired", "it could not be sent before its hold ended")

    def _arm(self, command: Open, at: int) -> None:
        """`at` in wall-clock ms becomes a moment of the timer: a jump of the wall clock moves no deadline."""
        command.due = self._timer() + max(0, at - self._now()) / 1000
        heapq.heappush(self._heap, (command.due, command.number, command.mid))
        if self._heap[0][2] == command.mid:
            self._wake.set()

    def _retry(self, command: Open) -> None:
        """The commit failed (disk full): the decision stands, and is tried again in a second."""
        self._arm(command, self._now() + 1_000)

    # Bookkeeping.

    def _keep_late(self, command: Open) -> None:
        self.late[command.mid] = command
        if len(self.late) > LATE_KEPT:
            self.late.popitem(last=False)

    def _unqueue(self, command: Open) -> None:
        waiting = self._waiting.get(command.device)
        if waiting is not None and command in waiting:
            waiting.remove(command)
            if not waiting:
                del self._waiting[command.device]

    def _release(self, command: Open) -> None:
        if self._changing.get(command.device) == command.mid:
            del self._changing[command.device]

    def _announce(self, mid: str, device: str, state: str, code: int | None, msg: str) -> None:
        status = {"mid": mid, "state": state, "code": code, "msg": msg, "at": self._now()}
        if self._events.wants("command"):
            self._events.publish("command", device, {"device": device, **status})
        record = Record()
        topics = tuple(f"bridge/v1/{owner}/{device}/command/{mid}" for owner in self._owners(device))
        if topics:
            record.routes.append(Route(topics, _json.encode(status)))
            self._submit(record, None)


async def committed(submit: Submit, record: Record) -> bool:
    """Submit and wait; says whether the COMMIT succeeded."""
    settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    submit(record, lambda ok: None if settled.done() else settled.set_result(ok))
    return await settled


def is_terminal(state: str) -> bool:
    """Whether a command in this state has its outcome."""
    return state in TERMINAL
