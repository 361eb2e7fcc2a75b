"""A simulated EMS or EMU, sans-io: messages in, messages out, `now` is an argument (epoch seconds of the simulated clock).

An EMS (level 2: a site with its meters, PV and storage cabinets) posts its devices, meters, branches, protection and
strategies when it starts, reports at its interval, alarms when something is up, and answers every command of an EMS. An EMU
(one cabinet) reports, and answers the one command that the vendor lists for it; the rest it refuses with code 400.
"""

from __future__ import annotations

import uuid
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from schemas import kinds
from schemas.envelope import CODE_INVALID, Message, encode
from schemas.errors import Invalid
from simulator import cards, protection, updates
from simulator.alarms import Alarms
from simulator.answers import POLICIES, addressed, kept_policy, work_of
from simulator.controls import delivered
from simulator.emu import report_emu
from simulator.identity import METER_IDS, DeviceSpec, Identity, SubDevice, device_seed
from simulator.profile import unit
from simulator.readouts import Fields
from simulator.regulation import instructions
from simulator.reports import Body, report_v1, report_v2
from simulator.site import GATEWAY, Plan, Spec, advance, begin, refreshed, replan
from simulator.strategies import BY_FEATURE, STRATEGIES, Answer, Later, Shelf, list_type, listing, refuse

REMEMBERED = 32
"""Answers kept for commands that come twice: a bridge has one changing command in flight to a device."""

Post = tuple[str, bytes]
"""(topic, payload)."""


class _Head(msgspec.Struct):
    mid: str
    trace_id: str | None = None


class _Pending(NamedTuple):
    """A second answer that is due at `at`; `cut`: the power has been gone since."""

    parts: list[str]
    head: _Head
    message: Message | None
    at: float
    later: Later
    cut: bool = False


class Device:
    """One device. It answers a mid that it has answered before from memory, and does nothing again."""

    __slots__ = (
        "_alarms",
        "_answered",
        "_interval_s",
        "_pending",
        "_serial",
        "_started",
        "identity",
        "next_due",
        "prefix",
        "report_prefix",
        "settings",
        "shelves",
        "site",
        "spec",
    )

    def __init__(self, spec: DeviceSpec, identity: Identity, site: Spec, start: float, interval_s: float) -> None:
        """`start`: simulated epoch seconds at which it is switched on. Reports are spread over `interval_s` by the seed."""
        self.spec = spec
        self.identity = identity
        self.prefix = topic_prefix(spec, 1)
        self.report_prefix = topic_prefix(spec, 2 if spec.version == "v2" else 1)
        plan = (
            Plan()
            if spec.version == "emu"
            else delivered(POLICIES["charge_percentage"], POLICIES["reactive_power_control"])
        )
        self.site = begin(site, start, 0.2 + 0.6 * unit(site.seed, 1), plan)
        self.shelves = {row.feature: Shelf() for row in STRATEGIES}
        self.settings: dict[tuple[str, int], Fields] = {}
        self.next_due = start
        self._interval_s = interval_s
        self._alarms = Alarms()
        self._answered: dict[str, list[Post]] = {}
        self._pending: _Pending | None = None
        self._serial = 0
        self._started = False
        if spec.version != "emu":
            self._install_limit(start)

    @property
    def filters(self) -> list[str]:
        """The command topics of this device, on every prefix that it uses."""
        return [f"{prefix}/+/+/command" for prefix in dict.fromkeys((self.prefix, self.report_prefix))]

    def due(self, now: float) -> list[Post]:
        """What the device posts by itself at `now`; nothing before `next_due`. Missed reports are not made up for."""
        if now < self.next_due:
            return []
        posts: list[Post] = []
        if not self._started:
            self._started = True
            posts = self._greetings(now)
            if self._pending is not None and self._pending.cut:
                posts.append(self._end(self._pending, now))
            self.next_due = now + self._interval_s * unit(device_seed(self.spec), 2)
            return posts
        self.next_due += self._interval_s
        if self.next_due <= now:
            self.next_due = now + self._interval_s
        self.site = refreshed(advance(self.site, now))
        for body in self._report():
            posts.append(self._post(self.report_prefix, "report/regular/post", body.data, now, body.sub))
        posts += self._alarmed(now)
        if self.spec.version != "emu":
            told, self.site = instructions(self.site, self._interval_s)
            first = self.identity.cabinets[0]
            posts += [self._post(self.prefix, "grid_fm/receive/post", each, now, first) for each in told]
        return posts

    def handle(self, topic: str, payload: bytes, now: float) -> list[Post]:
        """The answers to a command, and the list that follows a change. Nothing for what is no command or carries no mid."""
        head = _head(payload)
        parts = topic.rsplit("/", 3)
        if head is None or len(parts) != 4 or parts[3] != "command":
            return []
        remembered = self._answered.get(head.mid)
        if remembered is not None:
            return remembered
        answer, message = self._decide(parts[1], parts[2], payload, now)
        posts = [self._result(parts, head, message, answer, now)]
        if len(self._answered) >= REMEMBERED:
            del self._answered[next(iter(self._answered))]
        if answer.later is not None:
            self._pending = _Pending(parts, head, message, now + answer.later.after_s, answer.later)
        self._answered[head.mid] = posts.copy()
        if answer.post is not None:
            posts += self._changed(answer.post, now)
        return posts

    @property
    def done_at(self) -> float | None:
        """When a second answer is due that is under way: time for `finished`."""
        return None if self._pending is None else self._pending.at

    def finished(self, now: float) -> list[Post]:
        """The second answer to a command, once it is due."""
        pending = self._pending
        return [] if pending is None or pending.cut or now < pending.at else [self._end(pending, now)]

    def reject(self, topic: str, payload: bytes, now: float, msg: str = "rejected") -> list[Post]:
        """Answer code 400 without doing anything, whatever the command is."""
        return self.say(topic, payload, now, refuse(msg))

    def say(self, topic: str, payload: bytes, now: float, answer: Answer) -> list[Post]:
        """Give this answer without doing anything, whatever the command is."""
        head = _head(payload)
        parts = topic.rsplit("/", 3)
        if head is None or len(parts) != 4 or parts[3] != "command":
            return []
        return [self._result(parts, head, None, answer, now)]

    def tell(self, suffix: str, data: object, now: float, sub: SubDevice | None = None) -> Post:
        """A message of its own: `suffix` is feature/action/post. ValueError for what no device posts."""
        known = kinds.find(suffix)
        if not known or not suffix.endswith("/post"):
            raise ValueError(f"{suffix!r} is nothing that a device posts, as in report/regular/post")
        report = self.report_prefix if suffix == "report/regular/post" else self.prefix
        return self._post(report, suffix, data, now, sub)

    def restart(self, now: float) -> None:
        """The power is back: what it keeps on its disk is there, what it had in memory is not."""
        self._answered.clear()
        self._started = False
        self.next_due = now
        updates.cut(self, now)
        if self._pending is not None:
            self._pending = self._pending._replace(cut=True)

    def post_list(self, feature: str, now: float) -> Post:
        """The strategies of `feature` as they are, for the platform."""
        row = BY_FEATURE[feature]
        return self._post(self.prefix, f"{feature}/{row.post}/post", listing(self, row, now), now, name=list_type(row))

    def follow(self, plan: Plan, now: float) -> None:
        """Let the site run under `plan` from `now` on."""
        self.site = replan(advance(self.site, now), plan)

    def afflict(self, now: float, *faults: str) -> None:
        """Let these of `protection.FAULTS` be there from `now` on, and no others; none ends them all."""
        protection.check(faults)
        self.follow(msgspec.structs.replace(self.site.plan, faults=frozenset(faults)), now)

    def noticed(self, now: float) -> list[Post]:
        """The alarms that have come up or gone away, at once instead of with the next report; none before its first one."""
        if not self._started:
            return []
        self.site = refreshed(advance(self.site, now))
        return self._alarmed(now)

    def _alarmed(self, now: float) -> list[Post]:
        if self.spec.version == "emu":
            return []
        first = self.identity.cabinets[0]
        return [
            self._post(self.prefix, "alarm/details/post", alarm, now, first) for alarm in self._alarms.look(self.site)
        ]

    def _decide(self, feature: str, action: str, payload: bytes, now: float) -> tuple[Answer, Message | None]:
        kind = kinds.command(feature, action)
        work = work_of(self, feature, action)
        if kind is None or work is None:
            return refuse(f"unknown command {feature}/{action}"), None
        try:
            message = kind.decode(payload)
        except Invalid as wrong:
            return refuse(f"{wrong.path}: {wrong.detail}"), None
        if not addressed(self, message)[1]:
            return refuse(f"no sub-device {message.sub_device_uid or message.sub_device_id}"), message
        return work(self, message, now), message

    def _result(self, parts: list[str], head: _Head, message: Message | None, answer: Answer, now: float) -> Post:
        result = f"{parts[1]}/{parts[2]}/result"
        known = kinds.find(result)
        made = Message(
            mid=self._mid(now),
            type=known[0].type if known else f"{parts[1]}_{parts[2]}",
            device_uid=self.spec.uid,
            timestamp=int(now * 1000),
            data=answer.data,
            reply=head.mid,
            code=answer.code,
            msg=answer.msg,
            trace_id=head.trace_id,
        )
        if message is not None and answer.code != CODE_INVALID:
            made.sub_device_uid, made.sub_device_id = message.sub_device_uid, message.sub_device_id
        return f"{parts[0]}/{result}", encode(made)

    def _end(self, pending: _Pending, now: float) -> Post:
        self._pending = None
        answer = Answer(data=pending.later.data(pending.cut))
        post = self._result(pending.parts, pending.head, pending.message, answer, now)
        self._answered.get(pending.head.mid, []).append(post)
        return post

    def _report(self) -> list[Body]:
        if self.spec.version == "emu":
            return [Body(report_emu(self.site))]
        make = report_v2 if self.spec.version == "v2" else report_v1
        return make(self.identity, self.site)

    def _greetings(self, now: float) -> list[Post]:
        if self.spec.version == "emu":
            return []
        me = self.identity
        posts = [self._post(self.prefix, "device_info/details/post", cards.device_info(me), now)]
        posts += [
            self._post(self.prefix, "device_info/details/post", cards.device_info(me, sub), now, sub)
            for sub in me.cabinets
        ]
        posts += [
            self._post(self.prefix, "elemeter_info/details/post", cards.meter_info(me, place), now)
            for place in range(len(METER_IDS))
        ]
        posts.append(self._post(self.prefix, "power_node/list/post", cards.power_nodes(me), now))
        for sub in me.cabinets:
            posts += [self._post_policy(feature, sub, now) for feature in ("charge_percentage", "safety")]
        return posts + [self.post_list(row.feature, now) for row in STRATEGIES]

    def _changed(self, feature: str, now: float) -> list[Post]:
        """What the platform is told when strategies, or how each cabinet is protected, have changed."""
        if feature in self.shelves:
            return [self.post_list(feature, now)]
        return [self._post_policy(feature, sub, now) for sub in self.identity.cabinets]

    def _post_policy(self, feature: str, sub: SubDevice, now: float) -> Post:
        return self._post(self.prefix, f"{feature}/details/post", kept_policy(self, feature), now, sub)

    def _post(
        self, prefix: str, suffix: str, data: object, now: float, sub: SubDevice | None = None, name: str = ""
    ) -> Post:
        message = Message(
            mid=self._mid(now),
            type=name or kinds.find(suffix)[0].type,
            device_uid=self.spec.uid,
            timestamp=int(now * 1000),
            data=data,
        )
        if self.spec.version != "emu":
            message.trace_id = self._mid(now)
        if sub is not None:
            message.sub_device_uid, message.sub_device_id = sub.uid, sub.id
        return f"{prefix}/{suffix}", encode(message)

    def _mid(self, now: float) -> str:
        """A UUID that follows from seed, device, simulated time and serial: repeatable, and fresh in another run."""
        self._serial += 1
        text = f"{self.spec.seed}:{self.spec.uid}:{now}:{self._serial}"
        return str(uuid.UUID(bytes=blake2b(text.encode(), digest_size=16).digest(), version=4))

    def _install_limit(self, start: float) -> None:
        """A site comes with one demand strategy (id 1), sized to its transformer."""
        limit = int(self.site.spec.transformer_kva * 0.9)
        fields = {
            "ele_meter_id": METER_IDS[GATEWAY],
            "over_demand_status": 1,
            "over_demand_condition": [limit] * 12,
            "streaming_status": 2,
            "streaming_condition": 0,
            "individual_phase_streaming_status": 2,
            "individual_phase_streaming_condition": 0,
            "created_at": cards.rfc3339(start),
            "updated_at": cards.rfc3339(start),
        }
        row = BY_FEATURE["streaming_overdemand"]
        self.shelves[row.feature].add(fields)
        row.act(self, start)


def topic_prefix(spec: DeviceSpec, version: int) -> str:
    """What stands before `/feature/action/kind` in this device's topics."""
    return f"{spec.prefix or f'v{version}/{spec.scheme}/{spec.owner}'}/{spec.uid}"


def _head(payload: bytes) -> _Head | None:
    try:
        return _read_head(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_read_head = msgspec.json.Decoder(_Head).decode
