"""What the suites need of the broker's permissions: one filter that nobody may subscribe to, by amqtt's way of saying so."""

from __future__ import annotations

from amqtt.contexts import Action
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session

REFUSED = "test/nosubscribe"


class NoSubscribe(BaseTopicPlugin):
    """Everything is allowed but a subscription to REFUSED."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        return action != Action.SUBSCRIBE or topic != REFUSED
