"""A command as people see it."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.core.states import TERMINAL
from bridge.store.ledger import StoredCommand


class Command(msgspec.Struct, frozen=True):
    """A command as people see it. Times are epoch ms; `data` is what was sent, `answer` what the device's result carried."""

    mid: str
    device: str
    feature: str
    action: str
    state: str
    cause: str
    code: int | None
    msg: str
    data: Any
    answer: Any
    answers: int
    sender: str
    via: str
    timeout_s: float
    created_at: int
    hold_until: int
    sent_at: int | None
    delivered_at: int | None
    deadline: int | None
    settled_at: int | None
    number: int
    history: list[dict[str, Any]]

    @property
    def settled(self) -> bool:
        """Whether it has its outcome."""
        return self.state in TERMINAL


def shown(stored: StoredCommand, history: list[dict[str, Any]]) -> Command:
    feature, action, _ = stored.suffix.split("/")
    sent = msgspec.json.decode(stored.payload)
    return Command(
        mid=stored.known_as,
        device=stored.device,
        feature=feature,
        action=action,
        state=stored.state,
        cause=stored.cause,
        code=stored.code,
        msg=stored.msg,
        data=sent.get("data"),
        answer=None if stored.answer is None else msgspec.json.decode(stored.answer),
        answers=stored.answers,
        sender=stored.sender,
        via=stored.via,
        timeout_s=stored.timeout_ms / 1000,
        created_at=stored.created_at,
        hold_until=stored.hold_until,
        sent_at=stored.sent_at,
        delivered_at=stored.delivered_at,
        deadline=stored.deadline,
        settled_at=stored.settled_at,
        number=stored.number,
        history=history,
    )
