"""What is kept in memory of a command that may still move."""

from __future__ import annotations

from sys import intern

from bridge.store.ledger import StoredCommand


class Open:
    """A command without an outcome, or one that timed out lately; its payload stays in the ledger. `due` is when it is looked at
    next, `ends` when its hold ends (seconds of the timer). `deciding`: a change of its state is being committed. `unwritten`:
    `sent` is on disk, but nothing was written; it is to become `accepted` again."""

    __slots__ = (
        "changes", "deciding", "device", "due", "ends", "immediate", "known_as", "mid", "number", "prefix", "state",
        "sub_device", "suffix", "timeout_ms", "tries", "unwritten",
    )  # fmt: skip

    def __init__(self, stored: StoredCommand) -> None:
        self.mid = stored.mid
        self.known_as = self.mid if stored.known_as == stored.mid else stored.known_as
        self.device = intern(stored.device)
        self.suffix = intern(stored.suffix)
        self.prefix = intern(stored.prefix)
        self.sub_device = stored.sub_device
        self.changes = stored.changes
        self.immediate = stored.immediate
        self.number = stored.number
        self.timeout_ms = stored.timeout_ms
        self.state = intern(stored.state)
        self.deciding = False
        self.unwritten = False
        self.tries = 0
        self.due = self.ends = 0.0
