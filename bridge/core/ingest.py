"""What a PUBLISH means: the one gate through which every message comes. Pure: no await, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from bridge.core.commands import Commands
from bridge.core.events import Events
from bridge.core.permissions import BROKER, Permissions
from bridge.core.presence import Presences
from bridge.core.principal import Principal
from bridge.core.record import Record, Reject, Route
from bridge.core.registry import NAME, Device
from bridge.core.variants import variant
from bridge.counts import Counts
from schemas import kinds, readings
from schemas.envelope import Message
from schemas.errors import Invalid
from schemas.kinds import Kind
from schemas.topics import Address

SECONDS_BELOW = 100_000_000_000
"""A timestamp below this is 1973 in milliseconds, but the year 5138 in seconds: it was meant in seconds."""
FUTURE_MS = 86_400_000
"""A device clock may be a day ahead (a wrong time zone is 14 hours); more is an error, not a clock."""
PLACES = 50_000
"""Topics remembered with what they mean; beyond it the memory starts anew."""
LONGEST = 512
"""Characters of a topic that is remembered; a made-up one may have 65,535."""

_json = msgspec.json.Encoder()


class Place(NamedTuple):
    """What a topic means, as long as the registry does not change. `device` is None unless it is registered with the owner of
    the address."""

    address: Address
    suffix: str
    device: Device | None
    topics: tuple[str, ...]
    signs: dict[str, float] | None


class Ingest:
    """Turns publishes into Records. `seq` is the number of the last stored report; `signs` hold for devices without their own."""

    def __init__(
        self,
        permissions: Permissions,
        commands: Commands,
        presences: Presences,
        events: Events,
        counts: Counts,
        submit_later: Callable[[Record], None],
        seq: int,
        mirrored: bool,
        signs: Mapping[str, float] = MappingProxyType({}),
        hooked: bool = False,
    ) -> None:
        self._permissions = permissions
        self._registry = permissions.registry
        self._commands = commands
        self._presences = presences
        self._events = events
        self._counts = counts
        self._submit_later = submit_later
        self._seq = seq
        self._mirrored = mirrored
        self._signs = signs
        self._hooked = hooked
        self._places: dict[str, Place] = {}
        self._revision = -1

    def accept(
        self, principal: Principal, topic: str, payload: bytes, qos: int, retain: bool, now: int, expires: int = 0
    ) -> Record:
        """All that follows from one PUBLISH. A refused one becomes a dead letter with `record.reject` set; it is still to be
        acknowledged after COMMIT. A command is not sent to its device after `expires` (epoch ms, 0: its hold is the default)."""
        self._counts.values[_RECEIVED] += 1
        record = Record()
        record.size, record.expires = len(payload), expires
        place = self._place(topic)
        if place is None:
            if self._other(principal, topic):
                record.routes.append(Route((topic,), payload, qos, retain))
                self._counts.values[_ROUTED] += 1
                return record
            return self._refuse(record, principal, topic, payload, None, Reject("unknown_topic", "", _SCHEMES), now)
        reject = self._take(record, principal, place, payload, qos, retain, now)
        if reject is not None:
            record = Record()
            return self._refuse(record, principal, topic, payload, place, reject, now)
        return record

    def route(self, principal: Principal, topic: str, payload: bytes, qos: int, retain: bool, *_: int) -> Record:
        """A PUBLISH of a broker that only routes: who may publish where holds, the payload is anybody's. Nothing is stored, a
        command is one message among others; what is refused is told to the sender alone."""
        self._counts.values[_RECEIVED] += 1
        record = Record()
        place = self._place(topic)
        if place is not None and self._permissions.may_publish(principal, place.address, place.device):
            record.routes.append(Route(place.topics, payload, qos, retain))
        elif place is None and self._other(principal, topic):
            record.routes.append(Route((topic,), payload, qos, retain))
        else:
            record.reject = Reject("not_authorised", "", f"{principal.kind} {principal.name} may not publish here")
            self._counts.add("ems_bridge_messages_rejected", (("reason", "not_authorised"),))
            return record
        self._counts.values[_ROUTED] += 1
        return record

    def replay(self, principal: Principal, number: int, topic: str, payload: bytes, now: int) -> Record:
        """A dead letter once more, as `principal` sent it. If it is still refused, `record.reject` says why and no second
        letter is written; that another command has its mid shows only after COMMIT."""
        record = Record()
        place = self._place(topic)
        reject = (
            Reject("unknown_topic", "", _SCHEMES)
            if place is None
            else self._take(record, principal, place, payload, 1, False, now, number)
        )
        if reject is not None:
            record = Record()
            record.reject = reject
            return record
        record.rows.append(("dead_replayed", (now, number)))
        record.effects.append(lambda: self._counts.add(*_RECEIVED) if record.reject is None else None)
        return record

    def remirror(self, number: int, device: str, samples: list[tuple[str, int, dict[str, float]]], now: int) -> Record:
        """Readings that a sink refused once more into the outbox; dead letter `number` is marked as replayed."""
        self._seq += 1
        record = Record()
        record.rows.append(("outbox", (self._seq, now, device, _json.encode(samples).decode())))
        record.rows.append(("dead_replayed", (now, number)))
        return record

    def rehook(self, number: int, device: str, payload: bytes, context: str, now: int) -> Record:
        """An event that a webhook refused once more to that webhook; dead letter `number` is marked as replayed."""
        event = {**msgspec.json.decode(payload), "to": msgspec.json.decode(context)["sink"]}
        record = Record()
        record.rows.append(("webhook_again", (now, device, _json.encode(event).decode())))
        record.rows.append(("dead_replayed", (now, number)))
        return record

    # One message.

    def _take(
        self,
        record: Record,
        principal: Principal,
        place: Place,
        payload: bytes,
        qos: int,
        retain: bool,
        now: int,
        letter: int | None = None,
    ) -> Reject | None:
        address = place.address
        if not self._permissions.may_publish(principal, address, place.device):
            if place.device is None and self._permissions.may_command(principal, address):
                return Reject("unknown_device", "", f"there is no device {address.device[:128]!r} under this owner")
            return Reject("not_authorised", "", f"{principal.kind} {principal.name} may not publish here")
        if place.device is None and not (NAME.fullmatch(address.device) and NAME.fullmatch(address.owner)):
            return Reject(
                "invalid", "", f"device {address.device[:128]!r} or its owner has a name that no device can have"
            )
        try:
            if address.kind == "command":
                return self._take_command(record, principal, place, payload, now, letter)
            kind, message = kinds.resolve(place.suffix, payload)
        except Invalid as error:
            return Reject(error.reason, error.path, error.detail)
        reject = _check_time(message.timestamp, now)
        if reject is None and address.kind == "result":
            reject = self._commands.answer(record, address, kind, message, now)
        if reject is None:
            self._store(record, place, kind, message, payload, now)
            topics = place.topics if not kind.also else _with_own(place, kind)
            record.routes.append(Route(topics, payload, qos, retain))
        return reject

    def _take_command(
        self, record: Record, principal: Principal, place: Place, payload: bytes, now: int, letter: int | None
    ) -> Reject | None:
        address = place.address
        kind = kinds.command(address.feature, address.action)
        if kind is None:
            return Reject("unknown_topic", "", f"no command {address.feature}/{address.action} is known")
        if place.device is None:
            return Reject("unknown_device", "", f"there is no device {address.device!r}")
        message = kind.decode_strict(payload)
        reject = _check_time(message.timestamp, now)

        def told(found: Reject | None) -> None:
            """After COMMIT."""
            if found is None:
                self._counts.values[_STORED] += 1
            elif letter is None:
                self._submit_later(self._refuse(Record(), principal, address.topic, payload, place, found, now))
            else:
                record.reject = found
                undo = Record()
                undo.rows.append(("dead_replayed", (None, letter)))
                self._submit_later(undo)

        return reject or self._commands.accept(record, principal, address, kind, message, payload, told)

    def _store(self, record: Record, place: Place, kind: Kind, message: Message, payload: bytes, now: int) -> None:
        address = place.address
        device = place.device or self._admit(record, address, now)
        self._presences.uses(device.uid, address.scheme)
        self._seq = seq = self._seq + 1
        form = variant(kind, message)
        row = (seq, now, device.uid, place.topics[0], kind.suffix, message.mid, message.timestamp, form, payload)
        record.rows.append(("report", row))
        self._counts.values[_STORED] += 1
        wanted = self._events.wants("reading")
        samples = readings.extract(kind, message, place.signs) if self._mirrored or wanted else []
        if samples:
            uid = device.uid
            lines = [(f"{uid}.{part}" if part else uid, timestamp, values) for part, timestamp, values in samples]
            if self._mirrored:
                record.rows.append(("outbox", (seq, now, uid, _json.encode(lines).decode())))
            if wanted:
                record.effects.append(lambda: self._tell_readings(uid, lines))
        if self._hooked and kind.event:
            record.rows.append(("webhook", (now, device.uid, _hook(place, kind, payload, seq, now))))
        if self._events.wants("message") or (kind.event and self._events.wants(kind.event)):
            record.effects.append(lambda: self._tell_message(place, kind, payload, seq, now))

    def _refuse(
        self,
        record: Record,
        principal: Principal,
        topic: str,
        payload: bytes,
        place: Place | None,
        reject: Reject,
        now: int,
    ) -> Record:
        """The dead letter, and the word to the sender."""
        record.reject = reject
        self._counts.add("ems_bridge_messages_rejected", (("reason", reject.reason),))
        sender = f"{principal.kind}:{principal.name}"
        device = place.address.device if place else (principal.name if principal.kind == "device" else None)
        row = (now, "mqtt", device, topic, sender, reject.reason, reject.path, reject.detail, payload, "{}")
        record.rows.append(("dead_letter", row))
        report = {
            "mid": _mid_of(payload), "topic": topic, "reason": reject.reason, "path": reject.path,
            "detail": reject.detail, "at": now,
        }  # fmt: skip
        topics = self._error_topics(principal, place, reject)
        if topics:
            record.routes.append(Route(topics, _json.encode(report)))
        if self._events.wants("dead_letter"):
            record.effects.append(
                lambda: self._events.publish("dead_letter", device or "", {"device": device, **report})
            )
        return record

    # Where things are.

    def _place(self, topic: str) -> Place | None:
        if self._revision != self._registry.revision or len(self._places) > PLACES:
            self._places.clear()
            self._revision = self._registry.revision
        place = self._places.get(topic)
        if place is None:
            address = self._permissions.topics.parse(topic)
            if address is None:
                return None
            device = self._registry.device(address.device)
            if device is not None and not self._permissions.belongs(address, device):
                device = None
            topics = self._permissions.twins(device, address) if device else (topic,)
            signs = {**self._signs, **(device.signs if device else {})}
            place = Place(address, address.suffix, device, topics, signs or None)
            if len(topic) <= LONGEST:
                self._places[topic] = place
        return place

    def _admit(self, record: Record, address: Address, now: int) -> Device:
        """An anonymous broker met a device for the first time, or under a second owner."""
        device = self._registry.admit(address.device, address.scheme, address.owner, now)
        record.rows.append(("device_seen", (device.uid, device.product_key, device.tenant, now)))
        return device

    def _error_topics(self, principal: Principal, place: Place | None, reject: Reject) -> tuple[str, ...]:
        """Topics that the sender may read: its own, or those of the device that it may command."""
        if principal.kind == "device":
            names, uid = self._permissions.owner_names(principal.name), principal.name
        elif place is not None and (
            principal.kind == "anonymous" or (place.device is not None and reject.reason != "not_authorised")
        ):
            uid = place.address.device
            names = self._permissions.owner_names(uid) or (place.address.owner,)
        else:
            names, uid = ("account",), principal.name
        return tuple(f"bridge/v1/{owner}/{uid}/error" for owner in names)

    def _other(self, principal: Principal, topic: str) -> bool:
        """Plain MQTT beside the schemes: only where the configuration says so, and never the topics of bridge and broker."""
        if f"{topic}/".startswith(("bridge/", BROKER)):
            return False
        return principal.kind != "device" and self._permissions.other_topics

    # Who hears.

    def _tell_readings(self, uid: str, lines: list[tuple[str, int, dict[str, float]]]) -> None:
        for asset, timestamp, values in lines:
            self._events.publish(
                "reading", uid, {"device": uid, "asset": asset, "timestamp": timestamp, "values": values}
            )

    def _tell_message(self, place: Place, kind: Kind, payload: bytes, seq: int, now: int) -> None:
        uid = place.address.device
        data = {
            "seq": seq,
            "device": uid,
            "topic": place.topics[0],
            "received_at": now,
            "body": msgspec.Raw(payload),
        }
        self._events.publish("message", uid, data)
        if kind.event:
            self._events.publish(kind.event, uid, data)


def _with_own(place: Place, kind: Kind) -> tuple[str, ...]:
    """Where a message is heard that may come on another's topic: there, and on its own, where its asker listens."""
    own = (topic.removesuffix(place.suffix) + kind.suffix for topic in place.topics)
    return tuple(dict.fromkeys((*place.topics, *own)))


def _hook(place: Place, kind: Kind, payload: bytes, seq: int, now: int) -> str:
    """A message as an event, without its id."""
    data = {"seq": seq, "topic": place.topics[0], "received_at": now, "body": msgspec.Raw(payload)}
    event = {"type": kind.event, "at": now, "device": place.address.device, "data": data}
    return _json.encode(event).decode()


def _check_time(timestamp: int, now: int) -> Reject | None:
    if timestamp < SECONDS_BELOW:
        return Reject(
            "bad_timestamp", "$.timestamp", f"{timestamp} looks like seconds; epoch milliseconds would be right"
        )
    if timestamp > now + FUTURE_MS:
        return Reject(
            "bad_timestamp", "$.timestamp", f"{timestamp} is more than a day in the future (now {now}); check the clock"
        )
    return None


class _Mid(msgspec.Struct):
    mid: str | None = None


_read_mid = msgspec.json.Decoder(_Mid)


def _mid_of(payload: bytes) -> str | None:
    try:
        return _read_mid.decode(payload).mid
    except (ValueError, RecursionError):
        return None


_RECEIVED = ("ems_bridge_messages_received", ())
_STORED = ("ems_bridge_messages_stored", ())
_ROUTED = ("ems_bridge_messages_routed", ())
_SCHEMES = "outside the schemes; v1/wudun/{product_key}/{device}/{feature}/{action}/{kind} or v1/user/{tenant}/… would be right"
