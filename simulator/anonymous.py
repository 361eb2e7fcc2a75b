"""What of a message may be told to strangers: the words of the protocol, numbers, times and versions. Everything else becomes a
hash under a key that is thrown away. Pure.

It goes by what is known to be harmless: a field that no message of ours has keeps neither its name nor its text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, Final

from msgspec import inspect

from schemas.examples import examples
from schemas.kinds import KINDS

DIGITS: Final = 12
LONG: Final = 4
"""A shorter name counts as one only where it is a whole word: every text has its letters."""
LONG_NUMBER: Final = 5
_LEAST: Final = 10 ** (LONG_NUMBER - 1)

_IDENTITY: Final = re.compile(r"(^|_)uids?$").search
"""Fields whose text is the name of a device or sub-device."""
_PRIVATE: Final = re.compile(
    r"(^|_)(name|location|addr|address|city|street|postcode|host|ip|mac|ssid|domain|url|path|license|sn|serial|imei|iccid|token|secret"
    r"|password|key|phone|mobile|tel|email|user|account|contact|customer|owner|tenant|updated_by|created_by|msg|message|remark"
    r"|description|content|title)($|_)"
).search
_PLACE: Final = re.compile(r"(^|_)(lon|lng|longitude|lat|latitude)($|_)").search
_KEPT: Final = frozenset((
    "type", "mid", "reply", "trace_id", "alarm_type", "charge_type", "device_type", "cooling_method", "created_at", "updated_at",
    "handle_time", "occur_time", "parity", "port", "version", "target_version", "final_version", "target_commit_sha",
    "final_commit_sha", "md5_code", "mode", "temp",
))  # fmt: skip
"""Fields whose text stays, while it is short and no name is in it."""
_PLAIN: Final = re.compile(r"[\w .:+/-]{1,48}", re.ASCII).fullmatch
_SMALL: Final = re.compile(r"-?\d{1,4}(\.\d{1,6})?|on|off|true|false", re.IGNORECASE).fullmatch


class Veil:
    """`learn` who and what is to be hidden; then ask what stays."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._hidden: set[str] = set()
        self._heads: dict[str, list[str]] = {}
        """The long ones by their first letters."""
        self._known: dict[str, bool] = {}
        self._fields, self._words = _fields(), _words()

    def learn(self, text: str) -> None:
        """Hide this wherever it stands."""
        if text and text not in self._hidden:
            self._hidden.add(text)
            if len(text) >= LONG:
                self._heads.setdefault(text[:LONG], []).append(text)
            self._known.clear()

    def learn_all(self, value: Any, field: str = "") -> None:
        """Hide the names and private texts of a message."""
        if isinstance(value, dict):
            for key, each in value.items():
                self.learn_all(each, key)
        elif isinstance(value, list):
            for each in value:
                self.learn_all(each, field)
        elif field and _sort(field) in (_OF_DEVICE, _OF_SOMEBODY):
            if isinstance(value, str) and not _SMALL(value) and not self.is_word(value):
                self.learn(value)
            elif type(value) is int and len(str(value)) >= LONG_NUMBER:
                self.learn(str(value))

    def is_word(self, text: str) -> bool:
        """Whether it belongs to the protocol."""
        return text in self._words

    def hides(self, text: str) -> bool:
        """Whether something that is to be hidden stands in it."""
        if self.is_word(text):
            return False
        if text not in self._known:
            if len(self._known) > 100_000:
                self._known.clear()
            self._known[text] = self._finds(text)
        return self._known[text]

    def _finds(self, text: str) -> bool:
        if text in self._hidden or not self._hidden.isdisjoint(re.split(r"\W+", text)):
            return True
        return any(
            text.startswith(each, at)
            for at in range(len(text) - LONG + 1)
            for each in self._heads.get(text[at : at + LONG], ())
        )

    def knows(self, key: str) -> bool:
        """Whether it is the name of a field that messages have."""
        return key in self._fields

    def key(self, key: str) -> str:
        """The name of a field."""
        return key if key in self._fields or (_SMALL(key) and not self.hides(key)) else self._hash(key)

    def text(self, text: str, field: str) -> str:
        """A text in a field."""
        if not text or self.is_word(text):
            return text
        harmless = _sort(field) != _OF_SOMEBODY and (_SMALL(text) or (field in _KEPT and _PLAIN(text)))
        return text if harmless and not self.hides(text) else self._hash(text)

    def number(self, value: Any, field: str) -> Any:
        """A number in a field (anything else that is no text stays)."""
        kind = type(value)
        if kind is not int and kind is not float:
            return value
        sort = _sort(field)
        if sort == _HARMLESS and -_LEAST < value < _LEAST:
            return value
        if sort == _OF_PLACE:
            return 0.0
        if abs(value) >= _LEAST and value == value // 1:
            whole = str(int(value))
            return int(self._hash(whole), 16) % 1_000_000 if sort != _HARMLESS or whole in self._hidden else value
        return 0 if sort == _OF_SOMEBODY and field not in self._fields else value

    def _hash(self, text: str) -> str:
        told = text
        while True:
            told = blake2b(told.encode("utf-8", "surrogatepass"), digest_size=DIGITS // 2, key=self._key).hexdigest()
            if not self.hides(told):
                return told


def is_identity(field: str) -> bool:
    """Whether its text is the name of a device or sub-device."""
    return _sort(field) == _OF_DEVICE


_HARMLESS, _OF_PLACE, _OF_SOMEBODY, _OF_DEVICE = range(4)


@lru_cache(10_000)
def _sort(field: str) -> int:
    """What a field is about."""
    if _PLACE(field):
        return _OF_PLACE
    if _IDENTITY(field):
        return _OF_DEVICE
    return _OF_SOMEBODY if _PRIVATE(field) else _HARMLESS


@cache
def _words() -> frozenset[str]:
    """Types of messages, and what topics end in."""
    return frozenset(
        word for kind in KINDS for word in (kind.type, *kind.aliases, kind.suffix, *kind.also) if isinstance(word, str)
    )


@cache
def _fields() -> frozenset[str]:
    """Names of fields that messages have."""
    found: set[str] = set()
    for kind in KINDS:
        found.update(_of_type(inspect.type_info(kind.model), set()))
        for example in examples(kind):
            found.update(key for key in _of_value(example.payload) if not _SMALL(key))
    return frozenset(found)


def _of_value(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _of_value(each)
    elif isinstance(value, list):
        for each in value:
            yield from _of_value(each)


def _of_type(told: Any, seen: set[type]) -> Iterator[str]:
    """The fields of a Struct and of what it holds."""
    if isinstance(told, inspect.StructType):
        if told.cls in seen:
            return
        seen.add(told.cls)
        for field in told.fields:
            yield field.encode_name
            yield from _of_type(field.type, seen)
        return
    if not isinstance(told, inspect.Type):
        return
    for name in ("item_type", "value_type", "type"):
        yield from _of_type(getattr(told, name, None), seen)
    for several in ("types", "item_types"):
        inner = getattr(told, several, ())
        for each in inner if isinstance(inner, tuple) else ():
            yield from _of_type(each, seen)
