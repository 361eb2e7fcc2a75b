"""A Record is all that follows from one message: rows to commit in one transaction, and what is told after COMMIT."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Row = tuple[str, tuple[object, ...]]
"""(statement name of bridge.store.statements, its parameters)."""

Done = Callable[[bool], None]
"""Called once on the event loop: True after COMMIT, False when the commit failed (then nothing may be acknowledged)."""


class Route(NamedTuple):
    """One message for subscribers. `topics[0]` is the topic it came on, the rest are its twins: a subscriber whose
    filters cover several of them gets it once, on the first that matches. Sessions of device `skip` are passed over:
    a command reaches its device by `hub.command`, not as one subscriber among others."""

    topics: tuple[str, ...]
    payload: bytes
    qos: int = 1
    retain: bool = False
    skip: str = ""


class Reject(NamedTuple):
    """Why a message was refused. `reason` is a stable word (not_authorised, unknown_topic, unknown_type, not_json, invalid,
    bad_timestamp, conflict, ...), `path` a JSON path, `detail` what was wrong and what would be right."""

    reason: str
    path: str
    detail: str


class Record:
    """What one message (or one decision of the bridge) writes, routes and causes.

    `effects` are called on the event loop after COMMIT, in order. `results` then holds, by the name of an ORDERED statement,
    the first row that it returned (RETURNING) or None: None from a conditional UPDATE means that somebody else was first.
    `failed` is called instead of them when the commit failed.
    """

    __slots__ = ("effects", "expires", "failed", "reject", "results", "routes", "rows", "size", "source")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.routes: list[Route] = []
        self.effects: list[Callable[[], None]] = []
        self.failed: Callable[[], None] | None = None
        self.results: dict[str, tuple[object, ...] | None] = {}
        self.reject: Reject | None = None
        self.size = 0
        """Bytes of the payload that it came from: what waiting for its COMMIT costs."""
        self.expires = 0
        """Epoch ms after which its command is not to be sent any more; 0 is the default hold."""
        self.source: object | None = None
        """The broker's own: what MQTT 5 tells of the message that it came from."""
