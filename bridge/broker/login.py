"""From a CONNECT to its CONNACK (MQTT 3.1.1, section 3.1.4)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, Denied
from bridge.mqtt import packets

if TYPE_CHECKING:
    from bridge.broker.connection import Connection
    from bridge.broker.hub import Hub
    from bridge.broker.session import Session
    from bridge.core.principal import Principal

log = logging.getLogger(__name__)


async def log_in(connection: Connection, hub: Hub, connect: packets.Connect) -> None:
    """Accept the client or refuse it with the return code that says why."""
    code = _acceptable(hub, connect)
    if code:
        connection.refuse(code)
        return
    client_id = connect.client_id or f"auto-{secrets.token_hex(8)}"  # [MQTT-3.1.3-6]
    found = await _authenticate(connection, hub, connect, client_id)
    if isinstance(found, int):
        connection.refuse(found)
    elif connection.session is None and connection.opening:
        _open(connection, hub, connect, found, client_id)


def _acceptable(hub: Hub, connect: packets.Connect) -> int:
    if not connect.client_id and not connect.clean_session:
        return packets.IDENTIFIER_REJECTED  # [MQTT-3.1.3-8]
    if len(connect.client_id.encode()) > hub.limits.client_id_bytes:
        return packets.IDENTIFIER_REJECTED
    if len(hub.connections) > hub.limits.max_connections or (not connect.clean_session and hub.sessions.full):
        return packets.SERVER_UNAVAILABLE
    return packets.ACCEPTED


async def _authenticate(connection: Connection, hub: Hub, connect: packets.Connect, client_id: str) -> Principal | int:
    """The principal, or the CONNACK code that refuses it."""
    try:
        async with asyncio.timeout(hub.limits.login_timeout_s):
            principal = await hub.access.authenticate(connect, client_id, connection.peer)
    except Denied:
        return packets.NOT_AUTHORISED
    except (TimeoutError, BridgeError) as error:
        log.warning("%s %r: cannot be authenticated: %s", connection.peer, client_id, error or "no answer in time")
        return packets.SERVER_UNAVAILABLE
    if principal is None:
        return packets.NOT_AUTHORISED if connect.username is None else packets.BAD_CREDENTIALS
    return principal


def _open(connection: Connection, hub: Hub, connect: packets.Connect, principal: Principal, client_id: str) -> None:
    connection.principal = principal
    connection.client_id = client_id
    session, present, rows = hub.attach(connection, principal, client_id, clean=connect.clean_session)
    connection.session = session
    if hub.gate is not None:
        hub.gate.opened(session, connect, connection.peer)
    done = partial(_committed, connection, session, connect, present)
    if rows:
        hub.persist(rows, done)
    else:
        done(True)


def _committed(connection: Connection, session: Session, connect: packets.Connect, present: bool, ok: bool) -> None:
    if ok:
        connection.accept(session, connect, present=present)
    else:
        connection.refuse(packets.SERVER_UNAVAILABLE)
