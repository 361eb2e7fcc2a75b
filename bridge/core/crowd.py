"""How many of whom are inside, by address."""

from __future__ import annotations

from bridge.core.peer import place


class Crowd:
    """Counts by address; an IPv6 network of 64 bits is one. Nobody inside costs no memory."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._at)

    def of(self, host: str) -> int:
        """How many from `host` are inside."""
        return self._at.get(place(host), 0)

    def enter(self, host: str) -> None:
        """One more from `host` is inside."""
        at = place(host)
        self._at[at] = self._at.get(at, 0) + 1

    def leave(self, host: str) -> None:
        """One of those has gone."""
        at = place(host)
        left = self._at.get(at, 0) - 1
        if left > 0:
            self._at[at] = left
        else:
            self._at.pop(at, None)
