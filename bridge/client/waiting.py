"""Which state, answer and refusal belongs to which command that somebody waits for: no I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from bridge.client.command import Asked
from bridge.errors import Conflict, Denied, Exhausted, NotFound, Refused, Unprocessable, Unreachable
from schemas import kinds
from schemas.envelope import Message, canonical
from schemas.explain import FAILURES
from schemas.kinds import Kind
from schemas.notices import OPEN

LOOSE: Final = 16
"""Answers without a usable `reply` that are kept of one sort and device."""
REFUSALS: Final[dict[str, type[Refused]]] = {
    "not_authorised": Denied, "unknown_device": NotFound, "conflict": Conflict, "quota_exceeded": Exhausted,
}  # fmt: skip
"""Reasons of the error topic; any other is Unprocessable."""


class Waiting:
    """A command on `topic` whose outcome somebody waits for. `first` is set when anything is known of it, `done` ends with the
    outcome or the refusal."""

    __slots__ = ("answer", "asked", "code", "done", "first", "key", "message", "payload", "state", "topic")

    def __init__(self, asked: Asked, topic: str, message: Message) -> None:
        self.asked = asked
        self.topic = topic
        self.payload = kinds.encode(message)
        self.key = (asked.device, asked.kind.answers or "", _sub_device(message))
        self.state = "accepted"
        self.code: int | None = None
        self.message = ""
        self.answer: Any = None
        self.first = asyncio.Event()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        """It has no outcome that we will hear of."""
        self.first.set()
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # nobody may be waiting any more


class Waiters:
    """`open` are the commands that are waited for, by mid."""

    def __init__(self) -> None:
        self.open: dict[str, Waiting] = {}
        self._loose: dict[tuple[str, str, str], deque[Any]] = {}

    @contextmanager
    def wait(self, waiting: Waiting) -> Iterator[Waiting]:
        """Hear of a command as long as this lasts."""
        self.open[waiting.asked.mid] = waiting
        try:
            yield waiting
        finally:
            del self.open[waiting.asked.mid]
            if self._loose:
                wanted = {each.key for each in self.open.values()}
                self._loose = {key: answers for key, answers in self._loose.items() if key in wanted}

    def told(self, topic: str, payload: bytes) -> None:
        """A state, or a refusal, on the bridge's own topics."""
        try:
            said = _read(payload)
        except FAILURES:
            return
        waiting = self.open.get(said.mid or "")
        if waiting is None:
            return
        if topic.endswith("/error"):
            if said.topic.endswith("/command"):  # not the device's answer, whose mid is its own
                refusal = REFUSALS.get(said.reason, Unprocessable)
                waiting.fail(refusal(said.reason, said.detail or said.reason, said.path))
            return
        waiting.state, waiting.code, waiting.message = said.state, said.code, said.msg
        waiting.first.set()
        if said.state not in OPEN and not waiting.done.done():
            if waiting.answer is None and said.code is not None:
                waiting.answer = self._loose_answer(waiting)
            waiting.done.set_result(None)

    def answered(self, device: str, kind: Kind, message: Message) -> None:
        """A result of a device: it comes before the state that it causes."""
        waiting = self.open.get(message.reply or "")
        if waiting is not None:
            if waiting.asked.device == device and not waiting.done.done():
                waiting.answer = message.data
        elif canonical(message.reply or "") in (None, canonical(message.mid)):
            key = (device, kind.suffix, _sub_device(message))
            if any(each.key == key for each in self.open.values()):
                self._loose.setdefault(key, deque(maxlen=LOOSE)).append(message.data)

    def fail(self, error: Exception) -> None:
        """Nobody will hear of any of them."""
        for mid, waiting in self.open.items():
            waiting.fail(Unreachable(str(error), mid) if isinstance(error, Unreachable) else error)

    def _loose_answer(self, waiting: Waiting) -> Any:
        """The oldest answer without a usable `reply`: so the bridge matches them too."""
        answers = self._loose.get(waiting.key)
        return answers.popleft() if answers else None


class _Told(msgspec.Struct):
    """What the bridge says on its own topics."""

    mid: str | None = None
    state: str = ""
    code: int | None = None
    msg: str = ""
    topic: str = ""
    reason: str = ""
    path: str = ""
    detail: str = ""


_read = msgspec.json.Decoder(_Told).decode


def _sub_device(message: Message) -> str:
    return str(message.sub_device_uid or message.sub_device_id or "")
