"""Statements and queries of the broker's sessions, queues and retained messages (migrations 0002 and 0005)."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from bridge.store.database import Database
from bridge.store.statements import DELETES, INSERTS, ORDERED, Statement

_QUEUE = """
INSERT INTO mqtt_queue (id, session, message, packet_id, qos, retain, identifiers, shared)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7 FROM json_each(?)
"""
_RETAIN = """
INSERT INTO mqtt_retained (topic, message, qos, payload, properties, expires) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET message = excluded.message, qos = excluded.qos, payload = excluded.payload,
  properties = excluded.properties, expires = excluded.expires
"""

STATEMENTS: dict[str, Statement] = {
    "mqtt_session": Statement(
        "INSERT INTO mqtt_sessions (id, kind, name, client_id, created_at, expiry) VALUES (?, ?, ?, ?, ?, ?)", INSERTS
    ),
    "mqtt_session_expiry": Statement("UPDATE mqtt_sessions SET expiry = ?, left_at = ? WHERE id = ?", ORDERED),
    "mqtt_message": Statement(
        "INSERT INTO mqtt_messages (id, topic, payload, properties, expires) VALUES (?, ?, ?, ?, ?)", INSERTS
    ),
    "mqtt_queue": Statement(_QUEUE, INSERTS, bulk=True),
    "mqtt_subscribe": Statement(
        "INSERT INTO mqtt_subscriptions (session, filter, qos) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET qos = excluded.qos",
        ORDERED,
    ),
    "mqtt_unsubscribe": Statement("DELETE FROM mqtt_subscriptions WHERE session = ? AND filter = ?", ORDERED),
    "mqtt_retain": Statement(_RETAIN, ORDERED),
    "mqtt_unretain": Statement("DELETE FROM mqtt_retained WHERE topic = ?", ORDERED),
    "mqtt_inbound": Statement("INSERT OR IGNORE INTO mqtt_inbound (session, packet_id) VALUES (?, ?)", ORDERED),
    "mqtt_inbound_released": Statement("DELETE FROM mqtt_inbound WHERE session = ? AND packet_id = ?", ORDERED),
    "mqtt_released": Statement("UPDATE mqtt_queue SET released = 1 WHERE id = ?", ORDERED),
    "mqtt_dequeue": Statement(
        "DELETE FROM mqtt_queue WHERE id IN (SELECT value ->> 0 FROM json_each(?))", DELETES, bulk=True
    ),
    "mqtt_message_done": Statement(
        "DELETE FROM mqtt_messages WHERE id IN (SELECT value ->> 0 FROM json_each(?))", DELETES, bulk=True
    ),
    "mqtt_session_end": Statement("DELETE FROM mqtt_sessions WHERE id = ?", DELETES),
    "mqtt_session_subscriptions": Statement("DELETE FROM mqtt_subscriptions WHERE session = ?", DELETES),
    "mqtt_session_queue": Statement("DELETE FROM mqtt_queue WHERE session = ?", DELETES),
    "mqtt_session_inbound": Statement("DELETE FROM mqtt_inbound WHERE session = ?", DELETES),
}
"""mqtt_session: (id, kind, name, client id, created ms, expiry s). mqtt_message: (id, topic, payload, properties, expires ms).
mqtt_queue: (id, session, message, packet id, qos, retain, identifiers, shared). The rest as their SQL reads."""


class Saved(NamedTuple):
    """What was on disk, in order of ids."""

    sessions: list[tuple[int, str, str, str, int, int | None]]
    """(id, principal's kind, its name, client id, expiry s, left at ms)"""
    subscriptions: list[tuple[int, str, int]]
    """(session, filter, options and identifier)"""
    messages: list[tuple[int, str, bytes, bytes, int]]
    """(id, topic, payload, properties, expires ms)"""
    queue: list[tuple[int, int, int, int, int, int, int, str, str]]
    """(id, session, message, packet id, qos, retain, released, identifiers, shared)"""
    inbound: list[tuple[int, int]]
    """(session, packet id)"""
    retained: list[tuple[str, int, int, bytes, bytes, int]]
    """(topic, message, qos, payload, properties, expires ms)"""


async def load(database: Database) -> Saved:
    """Everything that the broker restores at its start. Messages that nobody waits for are deleted first."""
    await database.write(_sweep)
    return await database.read(_read)


def _sweep(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM mqtt_queue WHERE session NOT IN (SELECT id FROM mqtt_sessions)")
    connection.execute("DELETE FROM mqtt_messages WHERE id NOT IN (SELECT message FROM mqtt_queue)")


def _read(connection: sqlite3.Connection) -> Saved:
    return Saved(
        connection.execute(
            "SELECT id, kind, name, client_id, expiry, left_at FROM mqtt_sessions ORDER BY id"
        ).fetchall(),
        connection.execute("SELECT session, filter, qos FROM mqtt_subscriptions").fetchall(),
        connection.execute("SELECT id, topic, payload, properties, expires FROM mqtt_messages ORDER BY id").fetchall(),
        connection.execute(
            "SELECT id, session, message, packet_id, qos, retain, released, identifiers, shared FROM mqtt_queue ORDER BY id"
        ).fetchall(),
        connection.execute("SELECT session, packet_id FROM mqtt_inbound").fetchall(),
        connection.execute("SELECT topic, message, qos, payload, properties, expires FROM mqtt_retained").fetchall(),
    )
