"""Every limit of the broker, with its reason. The app fills them from `[broker]`."""

from __future__ import annotations

from typing import NamedTuple

KIB = 1024
MIB = 1024 * KIB


class Limits(NamedTuple):
    """Bounds of connections, sessions and queues."""

    max_packet_bytes: int = 256 * KIB
    """Refused from the header. The largest report that the vendor documents is some 20 KiB."""
    connect_packet_bytes: int = 64 * KIB
    """Before it is known who is there, a client may make us keep this much."""
    connect_timeout_s: float = 10.0
    """From the TCP connection to a whole CONNECT: a slowloris holds a socket no longer."""
    login_timeout_s: float = 30.0
    """A password check that takes longer is answered with `server unavailable`."""
    close_timeout_s: float = 5.0
    """A peer that does not read what it is still sent when its connection closes is cut off."""
    max_connections: int = 10_000
    """More get CONNACK 3."""
    max_sessions: int = 100_000
    """Persistent sessions in all: each costs about 1 KiB."""
    client_id_bytes: int = 256
    """It is a key on disk; longer ones get CONNACK 2."""
    session_expiry_s: int = 30 * 86_400
    """The longest that a session outlives its connection, also a persistent one of MQTT 3.1.1, which cannot ask: what a
    forgotten client has left is gone after a month."""
    max_keep_alive_s: int = 65_535
    """A longer keep-alive, or none, is told this one (MQTT 5); 65,535 is what MQTT can say at most: none is shortened."""
    topic_aliases: int = 64
    """Aliases of each direction of a connection (MQTT 5): a device uses some ten topics, each costs about 150 bytes."""
    inflight: int = 100
    """Unacknowledged QoS 1 and 2 messages to one client: a round trip of 1 ms still lets 100,000/s through."""
    queue_messages: int = 1_000
    """Unfinished messages kept for one client, in flight or waiting. When it is full the newest is dropped and counted: what
    was queued stays promised, and the loss is one stretch at the end."""
    queue_bytes: int = 16 * MIB
    """The same in bytes of topic and payload."""
    queue_total_bytes: int = 256 * MIB
    """The same of all clients together: a fleet that is away while somebody publishes to all of it does not fill the memory."""
    publish_rate: float = 5_000.0
    """Publishes a second of one client, twice as many at once; 0 is no bound. A device sends a few, a backend that commands a
    fleet hundreds; a device gone wild takes no more than an eighth of what the house can do."""
    publish_bytes_rate: float = 8.0 * MIB
    """Bytes a second of one client, twice as many at once. Who is faster is read more slowly."""
    throttle_s: float = 60.0
    """A client that is too fast for so long is disconnected."""
    sys_interval_s: float = 10.0
    """Between two updates of `$SYS`; 0 is none."""
    inbound: int = 1_000
    """Publishes of one client that wait for COMMIT: above it the socket is not read. And QoS 2 packet ids that it has not
    released: above it the connection is closed. MQTT 5 is told so (receive maximum); who sends more is disconnected."""
    write_buffer_bytes: int = 256 * KIB
    """Above it a client is not fed: QoS 0 is dropped, QoS 1 and 2 wait in its queue."""
    write_buffer_max_bytes: int = 4 * MIB
    """Above it (acknowledgements to a client that publishes but never reads) the client is cut off."""
    subscriptions: int = 1_000
    """Of one session; more get SUBACK 0x80."""
    topic_levels: int = 64
    """Of a filter or of a topic that is retained: each level costs a node."""
    retained_messages: int = 100_000
    """In all; more are dropped and counted."""
    retained_bytes: int = 64 * MIB
    """In all, topics and payloads."""
