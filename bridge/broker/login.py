"""From a CONNECT to its CONNACK (MQTT 3.1.1 and 5, section 3.1.4)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING

from bridge.broker.dialect import V5, Accepted, session_expiry
from bridge.errors import BridgeError, Denied, Exhausted
from bridge.mqtt import properties, reasons

if TYPE_CHECKING:
    from bridge.broker.connection import Connection
    from bridge.broker.hub import Hub
    from bridge.broker.session import Session
    from bridge.core.principal import Principal
    from bridge.mqtt.packets import Connect

log = logging.getLogger(__name__)


async def log_in(connection: Connection, hub: Hub, connect: Connect) -> None:
    """Accept the client or refuse it with the code that says why."""
    code, why = _acceptable(connection, hub, connect)
    if code:
        connection.refuse(code, why)
        return
    client_id = connect.client_id or f"auto-{secrets.token_hex(8)}"  # [MQTT-3.1.3-6]
    found = await _authenticate(connection, hub, connect, client_id)
    if isinstance(found, int):
        connection.refuse(found)
    elif connection.session is None and connection.opening:
        _open(connection, hub, connect, found, client_id)


def _acceptable(connection: Connection, hub: Hub, connect: Connect) -> tuple[int, str]:
    """The reason code that refuses a CONNECT whoever sent it, and why; 0 when there is none."""
    limits, five = hub.limits, isinstance(connection.dialect, V5)
    if five and properties.AUTHENTICATION_METHOD in (connect.properties or {}):
        return reasons.BAD_AUTHENTICATION_METHOD, "there is no enhanced authentication; user name and password would do"
    if not connect.client_id and not connect.clean_session and not five:
        return reasons.CLIENT_ID_NOT_VALID, "a persistent session needs a client id"  # [MQTT-3.1.3-8]
    if len(connect.client_id.encode()) > limits.client_id_bytes:
        return reasons.CLIENT_ID_NOT_VALID, f"a client id may have {limits.client_id_bytes} bytes"
    if len(hub.connections) > limits.max_connections:
        return reasons.SERVER_BUSY, "there are too many connections"
    if session_expiry(connect, connection.dialect) and hub.sessions.full:
        return reasons.QUOTA_EXCEEDED, "there are too many persistent sessions"
    return reasons.SUCCESS, ""


async def _authenticate(connection: Connection, hub: Hub, connect: Connect, client_id: str) -> Principal | int:
    """The principal, or the reason code that refuses it."""
    try:
        async with asyncio.timeout(hub.limits.login_timeout_s):
            principal = await hub.access.authenticate(connect, client_id, connection.peer)
    except Denied as error:
        return reasons.BANNED if error.code == "banned" else reasons.NOT_AUTHORISED
    except Exhausted:  # told by who counts it
        return reasons.SERVER_UNAVAILABLE
    except (TimeoutError, BridgeError) as error:
        log.warning("%s %r: cannot be authenticated: %s", connection.peer, client_id, error or "no answer in time")
        return reasons.SERVER_UNAVAILABLE
    if principal is None:
        return reasons.NOT_AUTHORISED if connect.username is None else reasons.BAD_CREDENTIALS
    return principal


def _open(connection: Connection, hub: Hub, connect: Connect, principal: Principal, client_id: str) -> None:
    connection.principal = principal
    connection.client_id = client_id
    limits, asked = hub.limits, session_expiry(connect, connection.dialect)
    expiry = min(asked, limits.session_expiry_s)
    session, present, rows = hub.attach(connection, principal, client_id, clean=connect.clean_session, expiry=expiry)
    connection.session = session
    session.out.window = connection.dialect.window if isinstance(connection.dialect, V5) else limits.inflight
    if hub.gate is not None:
        hub.gate.opened(session, connect, connection.peer)
    keep_alive = min(connect.keep_alive or 65_535, limits.max_keep_alive_s) % 65_535
    if not isinstance(connection.dialect, V5):
        keep_alive = connect.keep_alive
    given = "" if connect.client_id else client_id
    what = Accepted(present, keep_alive, connect.keep_alive, expiry, asked, given)
    done = partial(_committed, connection, session, connect, what)
    if rows:
        hub.persist(rows, done)
    else:
        done(True)


def _committed(connection: Connection, session: Session, connect: Connect, what: Accepted, ok: bool) -> None:
    if ok:
        connection.accept(session, connect, what)
    else:
        connection.refuse(reasons.SERVER_UNAVAILABLE)
