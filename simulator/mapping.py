"""Whose messages a tape's become: devices, owners and mids under other names, in topics and payloads. Pure.

One name stands for another where a topic has its device and owner, and wherever it is a whole text in a payload (or what stands
before a dot in it: `EMS001.meter.1`). What makes messages anonymous is in `anonymous`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.nesting import too_deep
from schemas.topics import Address, Topics
from simulator.anonymous import Veil, is_identity

IDENTITIES = ("device_uid", "sub_device_uid")
MIDS = ("mid", "reply", "trace_id")
_SCHEMES = {"wudun": "PK", "user": "T"}


class Renaming:
    """`learn` every message first, where they become anonymous; then `rename` one after the other: names follow from their order
    and the seed."""

    def __init__(
        self, names: Mapping[str, str], *, prefix: str = "", anonymise: bool = False, salt: str = "", shift_ms: int = 0
    ) -> None:
        """`names`: old -> new; `prefix` goes before every other device's uid. `anonymise`: all get made-up names, and only what
        is known to tell nothing of somebody stays. `salt`: mids become others, the same for the same salt; empty keeps them.
        `shift_ms` moves timestamps."""
        self.devices: dict[str, str] = {}
        self.is_anonymous = anonymise
        self._names = dict(names)
        self._prefix = prefix
        self._salt = salt
        self.shift_ms = shift_ms
        self._topics = Topics()
        self._made = {"D": 0, "S": 0}
        self._own: set[str] = set()
        """Those who have topics of their own."""
        self._owners = dict.fromkeys(_SCHEMES, 0)
        self._veil = Veil()
        self._learned = False

    def takes(self, topic: str) -> bool:
        """Whether it knows what in this topic is whose; what it does not know is not anonymous."""
        if not self.is_anonymous:
            return True
        address = self._topics.parse(topic)
        return address is not None and not self._veil.hides(address.suffix)

    def learn(self, topic: str, payload: bytes) -> None:
        """Note who and what is to be hidden, before any message is renamed."""
        self._learned = True
        address = self._topics.parse(topic)
        if address is not None:
            self._own.add(address.device)
            self._veil.learn(address.device)
            self._veil.learn(address.owner)
        self._veil.learn_all(_json(payload))

    def rename(self, topic: str, payload: bytes) -> tuple[str, bytes, str]:
        """The message under its new names, and its device (empty when the topic is no device's)."""
        address = self._topics.parse(topic)
        device = "" if address is None else self._meet(address)
        if not (self._names or self._prefix or self.is_anonymous or self._salt or self.shift_ms):
            return topic, payload, device
        body = _json(payload)
        if isinstance(body, dict):
            if self.is_anonymous and not self._learned:
                self._veil.learn_all(body)
            self._name_all(body)
            body = self._value(body, "")
            if self.shift_ms and isinstance(body.get("timestamp"), int):
                body["timestamp"] += self.shift_ms
            payload = msgspec.json.encode(body)
        elif self.is_anonymous:
            payload = b"?" * len(payload)
        return self._topic(topic, address), payload, device

    def _topic(self, topic: str, address: Address | None) -> str:
        if address is None:
            return "/".join(self._names.get(level, level) for level in topic.split("/"))
        head, scheme, owner = address.prefix.split("/")
        return "/".join((
            head, scheme, self._names.get(owner, owner), self._names.get(address.device, address.device), address.suffix
        ))  # fmt: skip

    def _meet(self, address: Address) -> str:
        if self.is_anonymous:
            self._veil.learn(address.device)
            self._veil.learn(address.owner)
            self._own.add(address.device)
            if address.owner not in self._names:
                self._names[address.owner] = self._invented(address.scheme)
        new = self._name(address.device)
        self.devices[address.device] = new
        return new

    def _invented(self, scheme: str) -> str:
        while True:
            self._owners[scheme] += 1
            new = f"{_SCHEMES[scheme]}{self._owners[scheme]}"
            if not self._veil.hides(new):
                return new

    def _name_all(self, body: dict[str, Any]) -> None:
        """Names for the devices and sub-devices that a message speaks of."""
        for field, value in body.items():
            if field in IDENTITIES or (self.is_anonymous and is_identity(field)):
                for each in value if isinstance(value, list) else [value]:
                    self._name(each)

    def _name(self, uid: object) -> str:
        if not isinstance(uid, str) or not uid:
            return ""
        if uid not in self._names:
            if self.is_anonymous:
                self._names[uid] = self._made_up("D" if uid in self._own else "S")
            elif self._prefix:
                self._names[uid] = f"{self._prefix}{uid}"
            else:
                return uid
        return self._names[uid]

    def _made_up(self, sort: str) -> str:
        while True:
            self._made[sort] += 1
            new = f"{self._prefix}{sort}{self._made[sort]:05d}"
            if not self._veil.hides(new):
                return new

    def _value(self, value: Any, field: str) -> Any:
        if isinstance(value, str):
            return self._text(value, field)
        if isinstance(value, dict):
            if self.is_anonymous:
                return {self._key(key): self._value(each, key) for key, each in value.items()}
            return {key: self._value(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self._value(each, field) for each in value]
        return self._veil.number(value, field) if self.is_anonymous else value

    def _key(self, key: str) -> str:
        return self._names[key] if key in self._names and not self._veil.knows(key) else self._veil.key(key)

    def _text(self, text: str, field: str) -> str:
        if field == "type" and not (self.is_anonymous and self._veil.hides(text)):
            return text
        if field in MIDS and self._salt and text:
            return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._salt}:{text}"))
        if text in self._names:
            return self._names[text]
        head, dot, rest = text.partition(".")
        if dot and head in self._names and not (self.is_anonymous and self._veil.hides(rest)):
            return f"{self._names[head]}.{rest}"
        if self.is_anonymous and is_identity(field):
            return self._name(text)
        return self._veil.text(text, field) if self.is_anonymous else text


def _json(payload: bytes) -> Any:
    """What it says; None for no JSON, and for what is nested deeper than any message."""
    try:
        return None if too_deep(payload) else msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
