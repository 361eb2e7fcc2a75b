"""What went over a bridge in a test: for assertions, and for the report of a test that failed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final, NamedTuple

import msgspec

from schemas.topics import Topics

KEPT: Final = 500
"""Messages kept of one device."""
SHOWN: Final = 12
DEVICES_SHOWN: Final = 6
TEXT: Final = 240
TAIL: Final = 80
"""Characters of a payload in a report, and how many of them are its last: a result has its code and msg behind the data."""


class Said(NamedTuple):
    """One message. `way` is `up` (the bridge took it), `refused` (it did not; `why` says the reason), or `down` (a command
    that the bridge wrote to the device). `at` is seconds since the bridge started."""

    at: float
    device: str
    way: str
    topic: str
    payload: bytes
    why: str = ""

    @property
    def suffix(self) -> str:
        """feature/action/kind"""
        return "/".join(self.topic.split("/")[-3:])

    @property
    def body(self) -> dict[str, Any]:
        """The payload as JSON; empty when it is no JSON object."""
        try:
            found = msgspec.json.decode(self.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def data(self) -> Any:
        """`data` of the payload."""
        return self.body.get("data")


class Traffic:
    """The last messages of every device."""

    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self._began = monotonic()
        self._said: dict[str, deque[Said]] = {}
        self.count = 0

    def add(self, way: str, topic: str, payload: bytes, device: str = "", why: str = "") -> None:
        """Keep a message."""
        if not device:
            address = self.topics.parse(topic)
            device = address.device if address is not None else ""
        kept = self._said.setdefault(device, deque(maxlen=KEPT))
        kept.append(Said(monotonic() - self._began, device, way, topic, payload, why))
        self.count += 1

    def of(self, device: str, suffix: str = "", way: str = "") -> list[Said]:
        """The messages of a device, oldest first; of one suffix (`report/regular/post`), one way."""
        return [
            said
            for said in tuple(self._said.get(device, ()))
            if said.suffix.startswith(suffix) and way in ("", said.way)
        ]

    def report(self, first: Iterable[str] = ()) -> str:
        """The last messages of the devices concerned: those of `first`, then those that spoke last."""
        order = list(dict.fromkeys(uid for uid in first if uid in self._said))
        others = sorted(set(self._said) - set(order), key=lambda uid: -self._said[uid][-1].at)
        order += others[: max(0, DEVICES_SHOWN - len(order))]
        lines = []
        for uid in order:
            said = list(self._said[uid])
            lines.append(f"{uid or 'no device'}: the last {min(SHOWN, len(said))} of {len(said)} messages")
            lines += [_line(each) for each in said[-SHOWN:]]
        missing = len(self._said) - len(order)
        return "\n".join(lines + ([f"{missing} more devices"] if missing > 0 else []))


def _line(said: Said) -> str:
    text = said.payload.decode(errors="replace")
    if len(text) > TEXT:
        text = f"{text[: TEXT - TAIL]} … {text[-TAIL:]} ({len(said.payload)} bytes)"
    mark = {"up": "→", "down": "←", "refused": "✗"}[said.way]
    why = f" [{said.why}]" if said.why else ""
    return f"  {said.at:8.3f} s {mark} {said.topic}{why} {text}"
