"""Memory that TLS leaves behind, given back to the system."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Any, Final

AFTER: Final = 100
"""Handshakes; fewer are not worth it."""
DELAY_S: Final = 60.0
"""From then on: once a minute at most, 6 ms each. What OpenSSL frees lies in small pieces all over the heap, so that a fleet of
1,000 devices that came back five times made the process grow by 140 MiB, and to give it back by none."""


def _trimmer() -> Callable[[int], Any] | None:
    try:
        found = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # not the GNU C library
        return None
    found.argtypes = [ctypes.c_size_t]
    return found


_trim: Final = _trimmer()


class Heap:
    """Counts handshakes."""

    def __init__(self, after: int = AFTER, delay_s: float = DELAY_S) -> None:
        self.given = 0
        """How often memory was given back."""
        self._after = after
        self._delay_s = delay_s
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def shaken(self) -> None:
        """One more."""
        self._count += 1
        if self._count >= self._after and self._timer is None and _trim is not None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._give)

    def close(self) -> None:
        """Give nothing back any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _give(self) -> None:
        self._timer = None
        self._count = 0
        if _trim is not None:
            _trim(0)
            self.given += 1
