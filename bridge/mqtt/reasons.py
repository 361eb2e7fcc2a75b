"""Reason codes of MQTT 5 (section 2.4), the broker's words for MQTT 3.1.1 too, and what 3.1.1 says in their place."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x00
DISCONNECT_WITH_WILL: Final = 0x04
NO_SUBSCRIPTION_EXISTED: Final = 0x11
FAILED: Final = 0x80
"""Of QoS 0, 1 or 2, and everything that has no code of its own: unspecified error."""
MALFORMED_PACKET: Final = 0x81
PROTOCOL_ERROR: Final = 0x82
REFUSED_HERE: Final = 0x83
"""Implementation specific error."""
UNSUPPORTED_VERSION: Final = 0x84
CLIENT_ID_NOT_VALID: Final = 0x85
BAD_CREDENTIALS: Final = 0x86
NOT_AUTHORISED: Final = 0x87
SERVER_UNAVAILABLE: Final = 0x88
SERVER_BUSY: Final = 0x89
BANNED: Final = 0x8A
SERVER_SHUTTING_DOWN: Final = 0x8B
BAD_AUTHENTICATION_METHOD: Final = 0x8C
KEEP_ALIVE_TIMEOUT: Final = 0x8D
SESSION_TAKEN_OVER: Final = 0x8E
FILTER_NOT_VALID: Final = 0x8F
TOPIC_NOT_VALID: Final = 0x90
PACKET_ID_NOT_FOUND: Final = 0x92
RECEIVE_MAXIMUM_EXCEEDED: Final = 0x93
ALIAS_NOT_VALID: Final = 0x94
PACKET_TOO_LARGE: Final = 0x95
RATE_TOO_HIGH: Final = 0x96
QUOTA_EXCEEDED: Final = 0x97
ADMINISTRATIVE: Final = 0x98
PAYLOAD_NOT_VALID: Final = 0x99
RATE_EXCEEDED: Final = 0x9F
"""Connection rate exceeded."""

WORDS: Final = {
    MALFORMED_PACKET: "malformed_packet",
    PROTOCOL_ERROR: "protocol_error",
    UNSUPPORTED_VERSION: "unsupported_version",
    CLIENT_ID_NOT_VALID: "client_id_not_valid",
    BAD_CREDENTIALS: "bad_credentials",
    NOT_AUTHORISED: "not_authorised",
    SERVER_UNAVAILABLE: "server_unavailable",
    SERVER_BUSY: "too_many_connections",
    BANNED: "banned",
    BAD_AUTHENTICATION_METHOD: "bad_authentication_method",
    QUOTA_EXCEEDED: "too_many_sessions",
    RATE_EXCEEDED: "rate_exceeded",
}
"""Names of refusals, for metrics."""

CONNACK_CODES: Final = {
    UNSUPPORTED_VERSION: 1,
    CLIENT_ID_NOT_VALID: 2,
    SERVER_UNAVAILABLE: 3,
    SERVER_BUSY: 3,
    QUOTA_EXCEEDED: 3,
    RATE_EXCEEDED: 3,
    BAD_CREDENTIALS: 4,
    NOT_AUTHORISED: 5,
    BANNED: 5,
}
"""MQTT 3.1.1's return code for a refusal (section 3.2.2.3)."""
