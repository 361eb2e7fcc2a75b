"""Who is at the other end of a connection or a request."""

from __future__ import annotations

from typing import Literal, NamedTuple

Grant = tuple[str, str]
"""(scheme, owner): ("wudun", product_key), ("user", tenant) or (custom scheme name, owner)."""


class Principal(NamedTuple):
    """A device, a platform account, or anonymous (only on loopback, by explicit flag).

    `name` is the device uid or the account name. `grants` are the owners that an account may touch; None means all.
    """

    kind: Literal["device", "account", "anonymous"]
    name: str
    grants: frozenset[Grant] | None = frozenset()

    def may_touch(self, grant: Grant) -> bool:
        """Whether this account holds `grant`."""
        return self.grants is None or grant in self.grants


ANONYMOUS = Principal("anonymous", "anonymous", None)
LOCAL = Principal("account", "local", None)
"""The operator at the machine itself: the token that `serve` leaves in its data directory."""
