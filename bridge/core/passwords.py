"""Chosen passwords, checked so that who guesses at one account holds up nobody else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets as random
from collections import Counter, OrderedDict
from typing import Final

from bridge.core import secrets
from bridge.errors import Exhausted

CHECKS: Final = 2
"""argon2 runs at once: 64 MiB and one core each."""
WAITING: Final = 4
"""Checks of one account that run or wait; more are refused at once, with their passwords unlooked at."""
WAITING_ALL: Final = 64
"""Of all accounts together: three seconds of work."""
KNOWN: Final = 1_000
"""Passwords that were right, remembered as keyed digests until the process ends."""


class Passwords:
    """Bounded checks. A password that was right once costs no argon2 again, also while others guess."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(CHECKS)
        self._waiting: Counter[str] = Counter()
        self._key = random.token_bytes(32)
        self._right: OrderedDict[str, bytes] = OrderedDict()

    async def check(self, name: str, password: str, stored: str) -> bool:
        """Whether `password` is the one behind the argon2 hash `stored` of account `name`. Raises Exhausted."""
        digest = hmac.digest(self._key, f"{stored}\0{password}".encode(), hashlib.sha256)
        if hmac.compare_digest(self._right.get(name, b""), digest):
            return True
        if self._waiting[name] >= WAITING or self._waiting.total() >= WAITING_ALL:
            raise Exhausted("busy", f"too many passwords of {name!r} are being checked; try again later")
        self._waiting[name] += 1
        try:
            async with self._free:
                right = await secrets.check_password(password, stored)
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
        if right:
            self._right[name] = digest
            self._right.move_to_end(name)
            if len(self._right) > KNOWN:
                self._right.popitem(last=False)
        return right
