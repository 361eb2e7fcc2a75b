"""amqtt's plugin system (0.12) as a further source of authentication and topic permission, `[broker.plugins]`.

Auth plugins (`BaseAuthPlugin.authenticate(session=…)`) are asked when the registry does not know the credentials; topic plugins
(`BaseTopicPlugin.topic_filtering(session=…, topic=…, action=…)`) must allow what the registry's permissions allow. Plugins
live in a thread with an event loop of its own: they may hash, query and block without holding up a packet. What amqtt decides by
is kept: every answer that is not None must be True and there must be one (authentication); every answer must be True (topics).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from amqtt.contexts import BaseContext
from amqtt.errors import PluginError, PluginLoadError
from amqtt.plugins.manager import PluginManager
from amqtt.session import Session as AmqttSession

from bridge.broker.access import Builtin, Peer
from bridge.core.principal import Principal
from bridge.errors import BridgeError, ConfigError
from bridge.mqtt.packets import Connect

log = logging.getLogger(__name__)

ANSWER_S: Final = 10.0
"""A plugin that takes longer has refused."""
NAMESPACE: Final = "bridge.broker.plugins"

T = TypeVar("T")
Settings = Mapping[str, Mapping[str, Any]]
"""Class path -> its settings, as amqtt's `plugins` section."""


class PluginFailedError(BridgeError):
    """An auth plugin raised or did not answer in time."""


class PluginThread:
    """The plugins of one broker. Raises ConfigError when one cannot be loaded or decides nothing."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="plugins", daemon=True)
        self._thread.start()
        try:
            self._manager: Any = asyncio.run_coroutine_threadsafe(self._load(settings), self._loop).result()
            self._check(settings)
        except BaseException:
            self._end()
            raise

    @property
    def authenticates(self) -> bool:
        """Whether an auth plugin is among them."""
        return bool(self._manager._auth_plugins)

    @property
    def filters(self) -> bool:
        """Whether a topic plugin is among them."""
        return bool(self._manager._topic_plugins)

    async def authenticate(self, session: AmqttSession) -> bool:
        """What the auth plugins say. Raises PluginFailedError."""
        try:
            answers = await self._ask(self._manager.map_plugin_auth(session=session))
        except Exception as error:
            raise PluginFailedError(f"auth plugin: {type(error).__name__}: {error}") from error
        given = [answer for answer in answers.values() if answer is not None]
        return bool(given) and all(given)

    async def allow(self, session: AmqttSession, topic: str, action: str) -> bool:
        """What the topic plugins say; False when one raises or is late."""
        try:
            answers = await self._ask(self._manager.map_plugin_topic(session=session, topic=topic, action=action))
        except Exception as error:  # whatever it raises, it has not allowed
            log.warning("topic plugin: %s: %s", type(error).__name__, error)
            return False
        return all(answers.values())

    async def close(self) -> None:
        """Close the plugins and end the thread."""
        try:
            await self._ask(self._manager.close())
        finally:
            await asyncio.to_thread(self._end)

    async def _load(self, settings: Settings) -> Any:
        context = BaseContext()
        context.config = {"plugins": {path: dict(values) for path, values in settings.items()}}
        try:
            return PluginManager(NAMESPACE, context, asyncio.get_running_loop())
        except (PluginError, PluginLoadError) as error:
            cause = error.__cause__
            raise ConfigError("[broker.plugins]", str(error) or str(cause), str(cause or "")) from error

    def _check(self, settings: Settings) -> None:
        if len(self._manager.plugins) != len(settings) or not (self.authenticates or self.filters):
            raise ConfigError(
                "[broker.plugins]", "no auth or topic plugin is named", "amqtt's other plugins have no place here"
            )

    async def _ask(self, answer: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        async with asyncio.timeout(ANSWER_S):
            return await asyncio.wrap_future(future)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class PluginAccess:
    """Access by the registry, and by plugins for who is not in it.

    A name that a plugin vouches for is the device or account of that name; when there is none it is an account that the
    topic plugins alone restrict, or, without one, an account without grants.
    """

    def __init__(self, builtin: Builtin, plugins: PluginThread) -> None:
        self._builtin = builtin
        self._plugins = plugins

    async def authenticate(self, connect: Connect, client_id: str, peer: Peer | None) -> Principal | None:
        """See Access. Nobody without a user name comes in by a plugin."""
        found = await self._builtin.authenticate(connect, client_id, peer)
        if found is not None or connect.username is None or not self._plugins.authenticates:
            return found
        if not await self._plugins.authenticate(view(connect, client_id, peer)):
            return None
        return self.resolve("device", connect.username) or self.resolve("account", connect.username)

    def recognise(self, connect: Connect, peer: Peer | None) -> Principal | None:
        """See Access. What a plugin knows is never sure."""
        return self._builtin.recognise(connect, peer)

    def resolve(self, kind: str, name: str) -> Principal | None:
        """See Access."""
        found = self._builtin.resolve(kind, name)
        if found is None and kind == "account" and self._plugins.authenticates:
            return Principal("account", name, None if self._plugins.filters else frozenset())
        return found

    def may_subscribe(self, principal: Principal, topic_filter: str) -> bool:
        """See Access."""
        return self._builtin.may_subscribe(principal, topic_filter)

    def may_read(self, principal: Principal, topic: str) -> bool:
        """See Access."""
        return self._builtin.may_read(principal, topic)


def view(connect: Connect, client_id: str, peer: Peer | None) -> AmqttSession:
    """What a plugin sees of a client."""
    session = AmqttSession()
    session.client_id = client_id
    session.clean_session = connect.clean_session
    session.keep_alive = connect.keep_alive
    session.username = connect.username
    session.password = None if connect.password is None else connect.password.decode(errors="replace")
    session.is_anonymous = connect.username is None
    if peer is not None:
        session.remote_address, session.remote_port = peer.host, peer.port
    if connect.will is not None:
        session.will_flag = True
        session.will_topic, session.will_message, session.will_qos, session.will_retain = connect.will[:4]
    return session
