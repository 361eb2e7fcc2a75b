"""Commands against every order of events: requests, answers, absences, time, restarts and a disk that fails.

The model knows only what a device may rely on. What must hold after each step is read from the ledger itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from core_house import BACKEND, House
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from bridge.core.flow import committed
from bridge.core.principal import Principal
from bridge.core.states import MOVES, OPEN, is_terminal
from bridge.errors import Conflict, StoreError
from bridge.store.verify import verify

T = TypeVar("T")

EXAMPLES = int(os.environ.get("EMS_MACHINE_EXAMPLES", "150"))

DEVICES = ("D1", "D2")
FEATURE = "streaming_overdemand"
DATA: dict[str, Any] = {"delete": {"id": 1}, "sync": None}
"""A changing command and a reading one."""

HOUR_MS = 3_600_000

commands = st.sampled_from(sorted(DATA))
devices = st.sampled_from(DEVICES)


class Machine(RuleBasedStateMachine):
    """`asked` are the mids of the model: (device, action), `told` those that a caller was told are taken."""

    mids = Bundle("mids")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.asked: dict[str, tuple[str, str]] = {}
        self.told: set[str] = set()
        self.full = self.held_back = False
        self.repeated: set[str] = set()
        """Mids that were published again: who does so is told their state again."""
        self.seen: dict[str, list[str]] = {}

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    @initialize()
    def begin(self) -> None:
        self.house = House(self.folder / "bridge.db")
        self.wait(self.house.open())
        for uid, product_key in zip(DEVICES, ("PK", None), strict=True):
            self.wait(self.house.registry.add_device(uid, product_key, "T"))

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.wait(self.house.full(False))
            self.wait(self.house.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    async def _settle(self) -> None:
        if self.full:
            await self.house.fail(lambda: None)
            await self.house.full(True)
        else:
            await self.house.settle()

    def settle(self) -> None:
        self.wait(self._settle())

    # Requests.

    @rule(target=mids, uid=devices, action=commands, now=st.booleans(), hold_s=st.sampled_from([0, 5, 60]))
    def request(self, uid: str, action: str, now: bool, hold_s: int) -> str:
        return self._request(str(uuid.uuid4()), uid, action, now=now, hold_s=hold_s)

    @rule(mid=mids, uid=devices, action=commands)
    def request_again(self, mid: str, uid: str, action: str) -> None:
        self._request(mid, uid, action)

    @rule(mid=mids)
    def request_spelled_otherwise(self, mid: str) -> None:
        """Of one that was taken: it is the same, and told as it was spelled first."""
        if mid in self.told and not self.full:
            uid, action = self.asked[mid]
            work = self.house.commands.request(BACKEND, uid, FEATURE, action, DATA[action], mid=mid.upper())
            assert self.wait(work).mid == mid

    def _request(self, mid: str, uid: str, action: str, **more: Any) -> str:
        same = mid not in self.told or self.asked[mid] == (uid, action)
        try:
            self.wait(self.house.commands.request(BACKEND, uid, FEATURE, action, DATA[action], mid=mid, **more))
        except Conflict:
            assert not same
        except StoreError:
            assert self.full
        else:
            assert same
            self.asked.setdefault(mid, (uid, action))
            if mid not in self.told:
                self.asked[mid] = (uid, action)
            self.told.add(mid)
        self.settle()
        return mid

    @rule(target=mids, uid=devices, action=commands)
    def publish(self, uid: str, action: str) -> str:
        mid = str(uuid.uuid4())
        self._publish(mid, uid, action)
        return mid

    @rule(mid=mids, uid=devices, action=commands)
    def publish_again(self, mid: str, uid: str, action: str) -> None:
        self._publish(mid, uid, action)

    def _publish(self, mid: str, uid: str, action: str) -> None:
        if mid in self.told:
            self.repeated.add(mid)
        stored: list[bool] = []
        topic = f"v1/user/T/{uid}/{FEATURE}/{action}/command"
        record = self.house.ingest.accept(BACKEND, topic, self._command(mid, uid, action), 1, False, self.house.now)
        assert record.reject is None
        self.house.submit(record, stored.append)
        self.settle()
        assert stored == [not self.full]
        if stored == [True] and mid not in self.told:
            self.told.add(mid)
            self.asked[mid] = (uid, action)

    def _command(self, mid: str, uid: str, action: str) -> bytes:
        body = {"mid": mid, "type": f"{FEATURE}_{action}", "device_uid": uid, "timestamp": self.house.now}
        if DATA[action] is not None:
            body["data"] = DATA[action]
        return json.dumps(body).encode()

    @rule(mid=mids)
    def cancel(self, mid: str) -> None:
        if mid not in self.told:
            return
        before = self._state(mid)
        try:
            after = self.wait(self.house.commands.cancel(BACKEND, mid)).state
        except Conflict:
            assert before != "accepted"
        except StoreError:
            assert self.full
        else:
            assert (before, after) == ("accepted", "cancelled")
        self.settle()

    def _state(self, mid: str) -> str:
        rows = self.wait(self.house.database.rows("SELECT state FROM commands WHERE mid = ?", (mid,)))
        return str(rows[0][0])

    # Devices.

    @rule(online=st.booleans(), leaves=st.booleans(), full=st.booleans())
    def connection(self, online: bool, leaves: bool, full: bool) -> None:
        self.house.online, self.house.gone_when_written, self.house.refuses = online, leaves, full
        if online:
            for uid in DEVICES:
                self.house.flow.pump(uid)
        self.settle()

    @rule(index=st.integers(0, 30), twice=st.booleans())
    def acknowledge(self, index: int, twice: bool) -> None:
        if self.house.acks:
            acked = self.house.acks[index % len(self.house.acks)]
            for _ in range(1 + twice):
                acked()
            self.settle()

    @rule(
        index=st.integers(0, 30), uid=devices, own=st.booleans(), reply=st.booleans(), code=st.sampled_from([200, 400, None]),
        times=st.integers(1, 2),
    )  # fmt: skip
    def answer(self, index: int, uid: str, own: bool, reply: bool, code: int | None, times: int) -> None:
        if not self.house.received:
            return
        topic, sent = self.house.received[index % len(self.house.received)]
        device, action = topic.split("/")[-4], topic.split("/")[-2]
        uid = device if own else uid
        for _ in range(times):
            self._answer(uid, action, sent["mid"] if reply else None, code)
        self.settle()

    def _answer(self, uid: str, action: str, reply: str | None, code: int | None) -> None:
        body: dict[str, Any] = {"mid": str(uuid.uuid4()), "type": f"{FEATURE}_{action}", "device_uid": uid}
        body |= {"timestamp": self.house.now, "data": [] if action == "sync" else {"id": 1}}
        body |= {name: value for name, value in (("reply", reply), ("code", code)) if value is not None}
        topic = f"v1/user/T/{uid}/{FEATURE}/{action}/result"
        record = self.house.ingest.accept(
            Principal("device", uid), topic, json.dumps(body).encode(), 1, False, self.house.now
        )
        assert record.reject is None or record.reject.reason == "wrong_device"
        self.house.submit(record)

    @rule(
        acts=st.lists(st.sampled_from(["leave", "come", "answer", "ack", "time", "cancel"]), min_size=2, max_size=5),
        uid=devices,
    )
    def at_once(self, acts: list[str], uid: str) -> None:
        """Several things before one COMMIT."""
        house, cancelling = self.house, []
        waiting = [mid for mid, command in house.flow.open.items() if command.device == uid]

        async def together() -> None:
            for act in acts:
                if act in ("leave", "come"):
                    house.online = act == "come"
                    house.flow.pump(uid)
                elif act == "answer":
                    self._answer(uid, "sync", None, 200)
                    self._answer(uid, "delete", waiting[0] if waiting else None, 400)
                elif act == "ack" and house.acks:
                    house.acks[-1]()
                elif act == "time":
                    house.now, house.timer = house.now + 11_000, house.timer + 11
                    house.flow.tick()
                elif act == "cancel" and waiting:
                    cancelling.append(asyncio.create_task(house.flow.cancelled(waiting[-1], "")))
                    await asyncio.sleep(0)
            await self._settle()
            await asyncio.gather(*cancelling, return_exceptions=True)

        self.wait(together())

    # The world.

    @rule(seconds=st.sampled_from([0.5, 1.5, 5, 11, 61]))
    def pass_time(self, seconds: float) -> None:
        self.house.now += int(seconds * 1000)
        self.house.timer += seconds
        self.house.flow.tick()
        self.settle()

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        self.full = full
        self.wait(self.house.full(full))

    @rule(hours=st.sampled_from([-1, 1]))
    def jump(self, hours: int) -> None:
        """The wall clock is set while the bridge runs: no deadline knows."""
        before = {mid: command.due for mid, command in self.house.flow.open.items()}
        self.house.now += hours * HOUR_MS
        self.house.flow.tick()
        self.settle()
        for mid, command in self.house.flow.open.items():
            assert self.full or command.due == before[mid]

    @rule(seconds=st.sampled_from([0, 4, 12, 70]), hours=st.sampled_from([0, 0, -1, 1]))
    def restart(self, seconds: int, hours: int) -> None:
        """Deadlines may pass while it is down, and the clock may be another one afterwards."""
        if self.full:
            self.disk(False)
        self.house.now += seconds * 1000 + hours * HOUR_MS
        self.house.timer += seconds
        self.wait(self.house.again())
        self._begin()

    @rule(
        acts=st.lists(st.sampled_from(["publish", "ask", "answer", "ack", "time", "come"]), min_size=1, max_size=6),
        uid=devices, action=commands, step=st.integers(0, 12), seconds=st.sampled_from([0, 12, 70]),
    )  # fmt: skip
    def killed(self, acts: list[str], uid: str, action: str, step: int, seconds: int) -> None:
        """Between any two steps of whatever is under way; whom nothing was told may ask again under the same mid."""
        if self.full:
            self.disk(False)
        house, asking = self.house, {}

        async def together() -> None:
            for act in acts:
                mid = str(uuid.uuid4())
                if act in ("publish", "ask"):
                    self.asked[mid] = (uid, action)
                    work = self._asking(mid, uid, action) if act == "ask" else self._publishing(mid, uid, action)
                    asking[mid] = asyncio.create_task(work)
                elif act == "answer":
                    for _, sent in house.received[-2:]:
                        self._answer(uid, action, sent["mid"], 200)
                    self._answer(uid, action, None, 400)
                elif act == "ack" and house.acks:
                    house.acks[-1]()
                elif act == "time":
                    house.now, house.timer = house.now + 11_000, house.timer + 11
                    house.flow.tick()
                elif act == "come":
                    house.online = True
                    house.flow.pump(uid)
                await asyncio.sleep(0)
            for _ in range(step):
                await asyncio.sleep(0.0005)
            house.kill()
            house.now, house.timer = house.now + seconds * 1000, house.timer + seconds
            await house.crashed()
            for mid, task in asking.items():
                if task.done() and task.result():
                    self.told.add(mid)
                task.cancel()

        self.wait(together())
        self._begin()
        for mid in asking:
            self._request(mid, uid, action)

    async def _asking(self, mid: str, uid: str, action: str) -> bool:
        await self.house.commands.request(BACKEND, uid, FEATURE, action, DATA[action], mid=mid)
        return True

    async def _publishing(self, mid: str, uid: str, action: str) -> bool:
        topic = f"v1/user/T/{uid}/{FEATURE}/{action}/command"
        payload = self._command(mid, uid, action)
        record = self.house.ingest.accept(BACKEND, topic, payload, 1, False, self.house.now)
        return await committed(self.house.submit, record)

    def _begin(self) -> None:
        self.house.online, self.house.acks = False, []
        self.house.flow.tick()
        self.settle()

    def _histories(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for mid, state in self.wait(self.house.database.rows("SELECT mid, state FROM command_events ORDER BY id")):
            found.setdefault(mid, []).append(state)
        return found

    # What must hold.

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        if hasattr(self, "house"):
            count = Counter(body["mid"] for _, body in self.house.received)
            assert max(count.values(), default=1) == 1

    @invariant()
    def states_move_as_they_may(self) -> None:
        """Along the table, only forward from what was read before, and no state is forgotten by memory."""
        if not hasattr(self, "house"):
            return
        received = {body["mid"] for _, body in self.house.received}
        histories = self._histories()
        assert self.told <= histories.keys()
        for mid, history in histories.items():
            assert history[0] == "accepted"
            assert all(before in MOVES[after] for before, after in pairwise(history)), history
            assert history[: len(self.seen.get(mid, []))] == self.seen.get(mid, [])
            state = history[-1]
            assert (mid in self.house.flow.open) == (not is_terminal(state)), (mid, history)
            if state in ("succeeded", "rejected", "delivered", "timed_out", "late_succeeded", "late_rejected"):
                assert mid in received or "sent" in history
            if state in ("expired", "undeliverable", "cancelled", "accepted"):
                assert mid not in received
        self.seen = histories

    @invariant()
    def every_move_is_told(self) -> None:
        """In its order and, unless somebody asked again, once. After a full disk it comes a moment later."""
        self.held_back = self.held_back or self.full
        if hasattr(self, "house") and not self.held_back:
            told = self.wait(self.house.kept())
            for mid, history in self._histories().items():
                said = iter(told.get(mid, ()))
                assert all(state in said for state in history), (mid, history, told.get(mid))
                assert mid in self.repeated or told[mid] == history

    @invariant()
    def changing_commands_go_one_at_a_time_and_in_order(self) -> None:
        if not hasattr(self, "house"):
            return
        for uid in DEVICES:
            sent = [body["mid"] for topic, body in self.house.received if f"/{uid}/" in topic and "/delete/" in topic]
            rows = self.wait(
                self.house.database.rows(
                    "SELECT mid, number, state FROM commands WHERE device = ? AND changes ORDER BY number", (uid,)
                )
            )
            order = [mid for mid, _, _ in rows]
            assert sent == sorted(sent, key=order.index)
            assert sum(state in ("sent", "delivered") for _, _, state in rows) <= 1

    @invariant()
    def the_ledger_is_whole(self) -> None:
        if hasattr(self, "house"):
            assert verify(self.folder) == []


class _Ending(Machine):
    """The same, and in the end, with a good disk and enough time, every command has its outcome."""

    def teardown(self) -> None:
        try:
            if hasattr(self, "house"):
                self.disk(False)
                for _ in range(6):
                    self.pass_time(61)
                states = self.wait(self.house.database.rows("SELECT state FROM commands"))
                assert not [state for (state,) in states if state in OPEN]
                assert not self.house.flow.open
        finally:
            super().teardown()


TestMachine = _Ending.TestCase
TestMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
