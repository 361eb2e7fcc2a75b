"""Access behind a count of failed logins."""

from __future__ import annotations

from collections.abc import Callable

from bridge.broker.access import Access, Peer
from bridge.core.attempts import NAME, Attempts
from bridge.core.principal import Principal
from bridge.counts import Counts
from bridge.errors import Denied, Exhausted
from bridge.mqtt.packets import Connect
from bridge.quiet import Quiet

FAILURES = "ems_bridge_mqtt_login_failures"
BANS = "ems_bridge_bans"


class Guarded:
    """Access that lets nobody guess who has failed too often. `revision()` changes with every change of credentials; `quiet` is
    the broker's, which tells what it has counted."""

    def __init__(
        self, access: Access, attempts: Attempts, counts: Counts, revision: Callable[[], int], quiet: Quiet
    ) -> None:
        self._access = access
        self._attempts = attempts
        self._counts = counts
        self._revision = revision
        self._seen = revision()
        self._quiet = quiet
        self.recognise = access.recognise
        self.resolve = access.resolve
        self.may_subscribe = access.may_subscribe
        self.may_read = access.may_read

    async def authenticate(self, connect: Connect, client_id: str, peer: Peer | None) -> Principal | None:
        """See Access. Raises Denied for who is banned. Without a name nobody guesses: that is not counted."""
        identity = peer.identity if peer is not None else None
        name = connect.username if connect.username is not None else identity
        if name is None or peer is None:
            return await self._access.authenticate(connect, client_id, peer)
        if self._revision() != self._seen:
            self._seen = self._revision()
            self._attempts.credentials_changed()
        scope = self._attempts.banned(peer.host, name)
        if scope:
            return self._banned(scope, connect, peer, name)
        try:
            found = await self._access.authenticate(connect, client_id, peer)
        except Denied:
            self._failed(peer, name, "wrong_identity")
            raise
        except Exhausted:
            self._counts.add(FAILURES, (("cause", "busy"),))
            self._quiet.warn(
                "busy", "login put off: too many passwords of %r wait for their check, from %s", name[:NAME], peer
            )
            raise
        if found is None:
            self._failed(peer, name, "unknown_certificate" if connect.username is None else "wrong_credentials")
        else:
            self._attempts.succeeded(peer.host, name)
        return found

    def _banned(self, scope: str, connect: Connect, peer: Peer, name: str) -> Principal:
        """A ban keeps out guesses: not a certificate, and an address's not who shows what nobody guesses. Raises Denied."""
        if scope == "address" or peer.identity is not None:
            found = self._access.recognise(connect, peer)
            if found is not None:
                if scope == "address":
                    self._attempts.succeeded(peer.host, name)
                return found
        cause = f"banned_{scope}"
        self._counts.add(FAILURES, (("cause", cause),))
        self._quiet.warn(cause, "login refused: %s, %r from %s", cause, name[:NAME], peer)
        raise Denied("banned", "too many logins have failed; try again later")

    def _failed(self, peer: Peer, name: str, cause: str) -> None:
        self._counts.add(FAILURES, (("cause", cause),))
        self._quiet.warn(cause, "login failed: %s, %r from %s", cause, name[:NAME], peer)
        scope = self._attempts.failed(peer.host, name)
        if scope:
            self._counts.add(BANS, (("scope", scope),))
            who = (
                f"{name[:NAME]!r} from {peer.host}"
                if scope == "user"
                else f"{peer.host}, for who has not logged in from there"
            )
            self._quiet.warn(f"ban_{scope}", "too many failed logins, banned for a while: %s", who)
