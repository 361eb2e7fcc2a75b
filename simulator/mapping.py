"""Whose messages a tape's become: devices, owners and mids under other names, in topics and payloads. Pure.

One name stands for another wherever it is a whole level of a topic, or a whole text in a payload (or what stands before a dot
in it: `EMS001.meter.1`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec

from schemas.topics import Topics

IDENTITIES: Final = ("device_uid", "sub_device_uid")
PRIVATE: Final = re.compile(
    r"(^|_)(name|location|address|host|ip|mac|license|sn|token|secret|password|phone|email|longitude|latitude|updated_by|created_by|msg|message|remark|description|content|title)($|_)"
)
"""Fields whose text (or place) says who or where somebody is."""
DIGITS: Final = 12


class Renaming:
    """`rename` one message after the other: names follow from their order and the seed."""

    def __init__(
        self, names: Mapping[str, str], *, prefix: str = "", anonymise: bool = False, salt: str = "", shift_ms: int = 0
    ) -> None:
        """`names`: old -> new; `prefix` goes before every other device's uid. `anonymise`: all get made-up names, and private
        fields go. `salt`: mids become others, the same for the same salt; empty keeps them. `shift_ms` moves timestamps."""
        self.devices: dict[str, str] = {}
        self._names = dict(names)
        self._prefix = prefix
        self._anonymise = anonymise
        self._salt = salt
        self._shift_ms = shift_ms
        self._topics = Topics()
        self._made = 0
        self._owners = {"wudun": 0, "user": 0}

    def takes(self, topic: str) -> bool:
        """Whether it knows what in this topic is whose; what it does not know is not anonymous."""
        return not self._anonymise or self._topics.parse(topic) is not None

    def rename(self, topic: str, payload: bytes) -> tuple[str, bytes, str]:
        """The message under its new names, and its device (empty when the topic is no device's)."""
        device = self._meet(topic)
        body = _json(payload)
        if isinstance(body, dict):
            for field in IDENTITIES:
                self._name(body.get(field))
            body = self._value(body, "")
            if self._shift_ms and isinstance(body.get("timestamp"), int):
                body["timestamp"] += self._shift_ms
            payload = msgspec.json.encode(body)
        elif self._anonymise:
            payload = b"?" * len(payload)
        return "/".join(self._names.get(level, level) for level in topic.split("/")), payload, device

    def _meet(self, topic: str) -> str:
        address = self._topics.parse(topic)
        if address is None:
            return ""
        levels = topic.split("/")
        if self._anonymise and levels[1] in self._owners and levels[2] not in self._names:
            self._owners[levels[1]] += 1
            self._names[levels[2]] = f"{'PK' if levels[1] == 'wudun' else 'T'}{self._owners[levels[1]]}"
        new = self._name(address.device)
        self.devices[address.device] = new
        return new

    def _name(self, uid: object) -> str:
        if not isinstance(uid, str) or not uid:
            return ""
        if uid not in self._names:
            if self._anonymise:
                self._made += 1
                self._names[uid] = f"{self._prefix or 'D'}{self._made:05d}"
            elif self._prefix:
                self._names[uid] = f"{self._prefix}{uid}"
            else:
                return uid
        return self._names[uid]

    def _value(self, value: Any, field: str) -> Any:
        if isinstance(value, dict):
            return {key: self._value(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self._value(each, field) for each in value]
        if isinstance(value, str):
            return self._text(value, field)
        if self._anonymise and field in ("longitude", "latitude") and isinstance(value, int | float):
            return 0.0
        return value

    def _text(self, text: str, field: str) -> str:
        if field in ("mid", "reply", "trace_id") and self._salt and text:
            return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._salt}:{text}"))
        head, dot, rest = text.partition(".")
        if text in self._names:
            return self._names[text]
        if dot and head in self._names:
            return f"{self._names[head]}.{rest}"
        if self._anonymise and text and PRIVATE.search(field):
            return blake2b(text.encode(), digest_size=DIGITS // 2, key=self._salt.encode()[:64]).hexdigest()
        return text


def _json(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
