"""What is refused, dropped or cut off: counted by its cause, and said in the log, at most a line a minute for each cause."""

from __future__ import annotations

import logging
from typing import Final

from bridge.broker.access import Peer
from bridge.counts import Counts
from bridge.mqtt import reasons
from bridge.quiet import Quiet

log = logging.getLogger(__name__)

DROPPED: Final = "ems_bridge_mqtt_dropped"
REFUSED: Final = "ems_bridge_mqtt_refused"
CLOSED: Final = "ems_bridge_mqtt_closed"
NOT_GRANTED: Final = "ems_bridge_mqtt_subscriptions_refused"
SUBSCRIPTIONS: Final = {
    reasons.FILTER_NOT_VALID: "too_many_levels",
    reasons.QUOTA_EXCEEDED: "too_many_subscriptions",
    reasons.NOT_AUTHORISED: "not_authorised",
}
THROTTLED: Final = "ems_bridge_mqtt_throttled"

USUAL: Final = frozenset({"disconnect", "lost", "taken_over", "stopped", "refused", "credentials_ended"})
"""Ends that need no line: the client's wish, ours, or said elsewhere."""
LOGINS: Final = frozenset({reasons.BAD_CREDENTIALS, reasons.NOT_AUTHORISED, reasons.BANNED})
"""Refusals that Guarded tells of."""


class Losses:
    """Of one broker."""

    def __init__(self, counts: Counts, quiet: Quiet | None = None) -> None:
        self._counts = counts
        self.quiet = quiet or Quiet(log)

    def dropped(self, cause: str, client_id: str, topic: str) -> None:
        """A message does not reach a subscriber ("" where it is nobody in particular)."""
        self._counts.add(DROPPED, (("cause", cause),))
        self.quiet.warn(f"dropped: {cause}", "dropped: %s, %r for %r", cause, topic, client_id)

    def refused(self, code: int, peer: Peer | None, client_id: str, why: str) -> None:
        """A CONNECT is answered with a refusal."""
        cause = reasons.WORDS.get(code, hex(code))
        self._counts.add(REFUSED, (("cause", cause),))
        if code not in LOGINS:
            self.quiet.warn(
                f"refused: {cause}", "refused: %s%s, %r from %s", cause, why and f" ({why})", client_id, peer
            )

    def subscription(self, code: int, client_id: str, topic_filter: str) -> None:
        """A filter is not granted."""
        cause = SUBSCRIPTIONS.get(code, hex(code))
        self._counts.add(NOT_GRANTED, (("cause", cause),))
        self.quiet.warn(f"not granted: {cause}", "not granted: %s, %r to %r", cause, topic_filter, client_id)

    def closed(self, cause: str, peer: Peer | None, client_id: str, why: str) -> None:
        """A connection ends."""
        self._counts.add(CLOSED, (("cause", cause),))
        if cause in USUAL:
            log.debug("%s %r closed: %s", peer, client_id, cause)
        else:
            self.quiet.warn(f"closed: {cause}", "closed: %s%s, %r from %s", cause, why and f" ({why})", client_id, peer)

    def throttled(self, peer: Peer | None, client_id: str) -> None:
        """A client publishes too fast, and is read more slowly."""
        self._counts.add(THROTTLED)
        self.quiet.warn("throttled", "publishes too fast and is read more slowly: %r from %s", client_id, peer)
