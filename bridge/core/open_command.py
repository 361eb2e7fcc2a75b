"""What is kept in memory of a command that may still move."""

from __future__ import annotations

from bridge.store.ledger import StoredCommand


class Open:
    """A command without an outcome, or one that timed out lately. `due` is when it is looked at next, `ends` when its hold
    ends (seconds of the timer). `deciding`: a change of its state is being committed. `unwritten`: `sent` is on disk, but
    nothing was written; it is to become `accepted` again."""

    __slots__ = (
        "changes", "deciding", "device", "due", "ends", "immediate", "known_as", "mid", "number", "payload", "prefix", "state",
        "sub_device", "suffix", "timeout_ms", "tries", "unwritten",
    )  # fmt: skip

    def __init__(self, stored: StoredCommand) -> None:
        self.mid = stored.mid
        self.known_as = stored.known_as
        self.device = stored.device
        self.suffix = stored.suffix
        self.prefix = stored.prefix
        self.sub_device = stored.sub_device
        self.changes = stored.changes
        self.immediate = stored.immediate
        self.payload = stored.payload.encode()
        self.number = stored.number
        self.timeout_ms = stored.timeout_ms
        self.state = stored.state
        self.deciding = False
        self.unwritten = False
        self.tries = 0
        self.due = self.ends = 0.0
