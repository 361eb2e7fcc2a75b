"""Commands from outside: asked for, answered, looked up. The walk itself is flow.py, the rule states.py.

A `mid` names one command for ever. The same mid with the same device, sort and data is the same command, however often and on
whichever topic it comes; with others it is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from bridge.core.command import Command, shown
from bridge.core.flow import LATE_KEPT, LATE_S, OPEN_KEPT, Flow, Submit, committed
from bridge.core.permissions import Permissions
from bridge.core.principal import Principal
from bridge.core.record import Record, Reject, Route
from bridge.counts import Counts
from bridge.errors import Conflict, Exhausted, NotFound, StoreError, Unprocessable
from bridge.store.ledger import Ledger, StoredCommand
from schemas import kinds
from schemas.envelope import CODE_ACCEPTED, Message, canonical, check_mid, new_mid
from schemas.errors import Invalid
from schemas.kind import TIMEOUT_S, Verdict
from schemas.kinds import Kind
from schemas.topics import Address

MAX_HOLD_S = 7 * 86_400
MAX_TIMEOUT_S = 86_400

_ordered = msgspec.json.Encoder(order="deterministic")


class Limits(msgspec.Struct, frozen=True):
    """Defaults of [commands]: seconds. A kind with a timeout of its own keeps it."""

    timeout_s: float = TIMEOUT_S
    hold_s: float = 60.0
    max_hold_s: float = MAX_HOLD_S


class Commands:
    """Every command of the bridge. With `carried` a command that is published reaches its device by another broker: it is sent
    when it is seen."""

    def __init__(
        self,
        flow: Flow,
        ledger: Ledger,
        permissions: Permissions,
        submit: Submit,
        counts: Counts,
        now: Callable[[], int],
        limits: Limits,
        carried: bool = False,
    ) -> None:
        self.flow = flow
        self._ledger = ledger
        self._permissions = permissions
        self._registry = permissions.registry
        self._submit = submit
        self._now = now
        self._counts = counts
        self._limits = limits
        self._carried = carried
        self._number = 0

    @property
    def longest_hold_s(self) -> float:
        """The longest hold_s that a caller may ask for."""
        return self._limits.max_hold_s

    async def restore(self) -> None:
        """Take up the open commands of the ledger."""
        now = self._now()
        self._number = await self._ledger.last_command()
        async for stored in self._ledger.open_commands():
            self.flow.take(stored, announce=False)
        for stored in await self._ledger.recent_timeouts(now - LATE_S * 1000, LATE_KEPT):
            self.flow.take_late(stored)

    async def make_up(self) -> None:
        """Tell what the last process could not tell any more: once subscribers can be reached, before anything moves."""
        self.flow.make_up(await self._ledger.untold())

    # By message: pure, called by ingest.

    def accept(
        self,
        record: Record,
        principal: Principal,
        address: Address,
        kind: Kind,
        message: Message,
        payload: bytes,
        told: Callable[[Reject | None], None],
    ) -> Reject | None:
        """A platform published a command: its row, and what follows from it. After COMMIT `told` gets None, or the refusal if
        the mid turned out to belong to another command. Refused at once when the device has too many open ones."""
        if self._full(address.device, message.mid):
            return Reject("quota_exceeded", "", _FULL)
        left_s = max(0, record.expires - self._now()) / 1000
        hold_s = min(left_s, self._limits.max_hold_s) if record.expires else None
        stored = self._new(
            principal, "mqtt", address.device, kind, message, payload.decode(), address.prefix, hold_s=hold_s
        )
        self._put(record, stored, told)
        return None

    def answer(self, record: Record, address: Address, kind: Kind, message: Message, now: int) -> Reject | None:
        """A device answered: the row that settles the command, if there is one, or says how far it has come. A result that
        names another device's command is refused."""
        mids, wrong = self._asked(address.device, kind, message)
        if wrong:
            return Reject("wrong_device", "$.reply", f"command {mids[0]} was sent to another device")
        if not mids:
            record.effects.append(lambda: self._counts.add("ems_bridge_results_unsolicited"))
            return None
        verdict = _verdict(kind, message)
        code, msg = message.code, message.msg or verdict.text
        body = _ordered.encode(message.data).decode() if message.data is not None else None
        said = (_ordered.encode(mids).decode(), address.device, now, code, msg, body)
        if verdict.outcome == "progress":
            record.rows.append(("command_progress", (*said, "the device answered in between")))
        else:
            record.rows.append(("command_answer", (*said, "the device answered", verdict.outcome)))

        def after() -> None:
            progress = record.results.get("command_progress")
            found = record.results.get("command_answer")
            if progress is not None:
                self.flow.progressed(str(progress[0]), code, msg, now)
            elif found is None:
                self._counts.add("ems_bridge_results_unsolicited")
            elif found[2] == 1:
                self.flow.settled(str(found[0]), str(found[1]), code, msg, now)
            else:
                self._counts.add("ems_bridge_results_repeated")

        record.effects.append(after)
        return None

    # By call.

    async def request(
        self,
        principal: Principal,
        uid: str,
        feature: str,
        action: str,
        data: object,
        *,
        mid: str | None = None,
        timeout_s: float | None = None,
        hold_s: float | None = None,
        now: bool = False,
        sub_device_uid: str | None = None,
        sub_device_id: int | None = None,
    ) -> Command:
        """Commit a command for a device and give it as accepted. `now`: only if the device is online.

        Raises NotFound (unknown device, or not the principal's), Unprocessable (path), Conflict (the mid has another
        content), Exhausted (too many are open) and StoreError.
        """
        device = await self._registry.find_device(uid)
        if device is None or not self._registry.may_touch(principal, device):
            raise NotFound("unknown_device", f"there is no device {uid!r}")
        kind = kinds.command(feature, action)
        if kind is None:
            known = ", ".join(sorted(f"{row.feature}/{row.action}" for row in kinds.KINDS if row.kind == "command"))
            raise Unprocessable("unknown_command", f"no command {feature}/{action}; there are: {known}", "$.feature")
        self._check_seconds("timeout_s", timeout_s, 0.001, MAX_TIMEOUT_S)
        self._check_seconds("hold_s", hold_s, 0, self._limits.max_hold_s)
        try:
            body = kind.data_strict(data)
            mid = new_mid() if mid is None else mid
            check_mid(mid)
        except Invalid as error:
            raise Unprocessable(error.reason, error.detail, error.path) from None
        if self._full(uid, mid) and await self.get(mid) is None:
            raise Exhausted("quota_exceeded", _FULL)
        message = Message(
            mid=mid, type=kind.type, data=body, device_uid=uid, timestamp=self._now(),
            sub_device_uid=sub_device_uid, sub_device_id=sub_device_id,
        )  # fmt: skip
        payload = kinds.encode(message).decode()
        prefix = self._permissions.prefixes(device)[0].removesuffix(f"/{uid}")
        stored = self._new(principal, "http", uid, kind, message, payload, prefix, timeout_s, hold_s, now)
        record = Record()
        told: list[Reject | None] = []
        self._put(record, stored, told.append)
        if not await committed(self._submit, record):
            raise StoreError("the command could not be stored; it was not taken")
        (refused,) = told
        if refused is not None:
            raise Conflict(refused.reason, refused.detail, refused.path)
        if record.results.get("command_put") is None:
            return await self._shown(mid)  # asked for before
        first = {"state": stored.state, "at": stored.created_at, "code": None, "msg": "", "cause": ""}
        return shown(stored, [first])

    async def wait(self, mid: str, seconds: float) -> Command:
        """The command once it has settled, or as it is after `seconds`. Raises NotFound."""
        await self.flow.outcome(_key(mid), seconds)
        return await self._shown(mid)

    async def get(self, mid: str) -> Command | None:
        """The command, or None."""
        found = await self._ledger.command(_key(mid))
        return None if found is None else shown(*found)

    async def find(
        self,
        devices: list[str] | None,
        device: str | None = None,
        state: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[Command]:
        """Commands, newest first, without their histories. `devices` bounds what the asker may see."""
        return [shown(stored, []) for stored in await self._ledger.commands(devices, device, state, limit, before)]

    async def cancel(self, principal: Principal, mid: str) -> Command:
        """Withdraw a command that was not sent. Raises NotFound, Conflict when it was sent or has ended, and StoreError."""
        command = await self._shown(mid)
        device = self._registry.device(command.device)
        removed = device is None and principal.grants is None
        if not removed and (device is None or not self._registry.may_touch(principal, device)):
            raise NotFound("unknown_command", f"there is no command {mid}")
        if not await self.flow.cancelled(_key(mid), f"withdrawn by {principal.kind} {principal.name}"):
            now = await self._shown(mid)
            raise Conflict("not_cancellable", f"command {mid} is {now.state}; only an accepted one can be withdrawn")
        return await self._shown(mid)

    # Helpers.

    def _new(
        self,
        principal: Principal,
        via: str,
        uid: str,
        kind: Kind,
        message: Message,
        payload: str,
        prefix: str,
        timeout_s: float | None = None,
        hold_s: float | None = None,
        immediate: bool = False,
    ) -> StoredCommand:
        self._number += 1
        now = self._now()
        usual = self._limits.timeout_s if kind.timeout_s == TIMEOUT_S else kind.timeout_s
        seconds = usual if timeout_s is None else timeout_s
        held = self._limits.hold_s if hold_s is None else hold_s
        sent = self._carried and via == "mqtt"
        mid = _key(message.mid)
        return StoredCommand(
            mid=mid,
            spelling="" if message.mid == mid else message.mid,
            device=uid,
            suffix=kind.suffix,
            prefix=prefix,
            sub_device=_sub_device(message),
            changes=kind.changes,
            immediate=immediate,
            digest=digest(uid, kind, message),
            payload=payload,
            sender=f"{principal.kind}:{principal.name}",
            via=via,
            state="sent" if sent else "accepted",
            cause="",
            code=None,
            msg="",
            answer=None,
            answers=0,
            timeout_ms=int(seconds * 1000),
            created_at=now,
            hold_until=now + int(held * 1000),
            sent_at=now if sent else None,
            delivered_at=None,
            deadline=now + int(seconds * 1000) if sent else None,
            settled_at=None,
            number=self._number,
        )

    def _put(self, record: Record, stored: StoredCommand, told: Callable[[Reject | None], None]) -> None:
        row = (
            stored.mid, stored.device, stored.suffix, stored.prefix, stored.sub_device, stored.changes, stored.immediate,
            stored.digest, stored.payload, stored.sender, stored.via, stored.state, stored.timeout_ms, stored.created_at,
            stored.hold_until, stored.created_at, stored.number, stored.sent_at, stored.deadline, stored.spelling,
        )  # fmt: skip
        record.rows.append(("command_put", row))
        record.rows.append(("command_same", (stored.mid, stored.digest)))
        topics = self._permissions.command_topics(stored.device, stored.prefix, stored.suffix)
        record.routes.append(Route(topics, stored.payload.encode(), 1, skip=stored.device))

        def after() -> None:
            self.flow.expect(stored.device, -1)
            same, state, code, msg, at = record.results.get("command_same") or (0, "", None, "", 0)
            if record.results.get("command_put") is not None:
                self.flow.take(stored)
            elif same == 1 and stored.via == "mqtt":  # who asks again has missed what became of it
                self.flow.announce(stored, str(state), None if code is None else int(str(code)), str(msg), int(str(at)))
            told(None if same == 1 else _conflict(stored.known_as))

        self.flow.expect(stored.device)
        record.effects.append(after)
        record.failed = lambda: self.flow.expect(stored.device, -1)

    def _asked(self, uid: str, kind: Kind, message: Message) -> tuple[list[str], bool]:
        """Which command a result answers: that of `reply`, and whether it is another device's; else those of that sort that
        wait for an answer, the oldest first."""
        reply = canonical(message.reply or "")
        if reply is not None and reply != canonical(message.mid):
            known = self.flow.open.get(reply) or self.flow.late.get(reply)
            return [reply], known is not None and known.device != uid
        return self.flow.candidates(uid, _ASKED.get(kind.key, ()), _sub_device(message)), False

    async def _shown(self, mid: str) -> Command:
        command = await self.get(mid)
        if command is None:
            raise NotFound("unknown_command", f"there is no command {mid}")
        return command

    def _full(self, device: str, mid: str) -> bool:
        return _key(mid) not in self.flow.open and self.flow.full(device)

    def _check_seconds(self, name: str, value: float | None, least: float, most: float) -> None:
        if value is not None and not least <= value <= most:
            raise Unprocessable("invalid", f"{value:g} s; between {least:g} and {most:g} would be right", f"$.{name}")


_FULL = f"the device has {OPEN_KEPT} open commands; wait until some have an outcome, or cancel them"


def digest(uid: str, kind: Kind, message: Message) -> bytes:
    """What makes two commands the same: device, sort, sub-device and data; not when or on which topic they were sent."""
    return hashlib.sha256(_ordered.encode([uid, kind.suffix, _sub_device(message), message.data])).digest()


def _verdict(kind: Kind, message: Message) -> Verdict:
    """What a result says of its command: a code that refuses, else its data where its kind reads that, else the code."""
    if message.code not in (None, CODE_ACCEPTED):
        return Verdict("rejected", "")
    said = kind.verdict(message.data) if kind.verdict is not None else None
    if said is not None:
        return said
    return Verdict("succeeded" if kind.verdict is None or message.code is not None else "progress", "")


def _sub_device(message: Message) -> str:
    return str(message.sub_device_uid or message.sub_device_id or "")


def _key(mid: str) -> str:
    """What a mid is kept under, however it is spelled."""
    return canonical(mid) or mid


def _conflict(mid: str) -> Reject:
    return Reject("conflict", "$.mid", f"mid {mid} was used for another command; take a new one")


def _askers() -> dict[str, tuple[str, ...]]:
    """For each result, the commands that it may answer."""
    found: dict[str, tuple[str, ...]] = {}
    for row in kinds.KINDS:
        result = kinds.result_of(row)
        if result is not None:
            found[result.key] = (*found.get(result.key, ()), row.suffix)
    return found


_ASKED = _askers()
