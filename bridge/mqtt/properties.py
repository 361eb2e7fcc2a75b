"""Properties of MQTT 5 packets (section 2.2.2): what each may hold, in which packet it may stand.

Properties are a dict by identifier. USER_PROPERTY holds a list of (name, value) pairs, SUBSCRIPTION_IDENTIFIER a list of
numbers; every other one a single int, str or bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bridge.mqtt.errors import Malformed
from bridge.mqtt.fields import Reader, binary, encode_length, string
from bridge.mqtt.reasons import PROTOCOL_ERROR

Properties = dict[int, Any]

PAYLOAD_FORMAT: Final = 0x01
MESSAGE_EXPIRY: Final = 0x02
CONTENT_TYPE: Final = 0x03
RESPONSE_TOPIC: Final = 0x08
CORRELATION_DATA: Final = 0x09
SUBSCRIPTION_IDENTIFIER: Final = 0x0B
SESSION_EXPIRY: Final = 0x11
ASSIGNED_CLIENT_ID: Final = 0x12
SERVER_KEEP_ALIVE: Final = 0x13
AUTHENTICATION_METHOD: Final = 0x15
AUTHENTICATION_DATA: Final = 0x16
REQUEST_PROBLEM_INFORMATION: Final = 0x17
WILL_DELAY: Final = 0x18
REQUEST_RESPONSE_INFORMATION: Final = 0x19
RESPONSE_INFORMATION: Final = 0x1A
SERVER_REFERENCE: Final = 0x1C
REASON_STRING: Final = 0x1F
RECEIVE_MAXIMUM: Final = 0x21
TOPIC_ALIAS_MAXIMUM: Final = 0x22
TOPIC_ALIAS: Final = 0x23
MAXIMUM_QOS: Final = 0x24
RETAIN_AVAILABLE: Final = 0x25
USER_PROPERTY: Final = 0x26
MAXIMUM_PACKET_SIZE: Final = 0x27
WILDCARD_AVAILABLE: Final = 0x28
IDENTIFIERS_AVAILABLE: Final = 0x29
SHARED_AVAILABLE: Final = 0x2A

_BYTE, _TWO, _FOUR, _NUMBER, _TEXT, _BYTES, _PAIR = range(7)
_TYPES: Final[dict[int, int]] = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), _BYTE),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), _TWO),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), _FOUR),
    **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), _TEXT),
    **dict.fromkeys((0x09, 0x16), _BYTES),
    SUBSCRIPTION_IDENTIFIER: _NUMBER,
    USER_PROPERTY: _PAIR,
}
_NOT_ZERO: Final = frozenset((SUBSCRIPTION_IDENTIFIER, RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE))

IN_MESSAGE: Final = frozenset((0x01, 0x02, 0x03, 0x08, 0x09, 0x26))
"""Of an application message: in PUBLISH, and in a will."""
IN_CONNECT: Final = frozenset((0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27))
IN_WILL: Final = IN_MESSAGE | {WILL_DELAY}
IN_CONNACK: Final = frozenset(
    (0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A)
)
IN_PUBLISH: Final = IN_MESSAGE | {TOPIC_ALIAS}
"""From a client; a server adds SUBSCRIPTION_IDENTIFIER."""
IN_DELIVERY: Final = IN_PUBLISH | {SUBSCRIPTION_IDENTIFIER}
IN_ACK: Final = frozenset((REASON_STRING, USER_PROPERTY))
"""PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK."""
IN_SUBSCRIBE: Final = frozenset((SUBSCRIPTION_IDENTIFIER, USER_PROPERTY))
IN_UNSUBSCRIBE: Final = frozenset((USER_PROPERTY,))
IN_DISCONNECT: Final = frozenset((SESSION_EXPIRY, REASON_STRING, USER_PROPERTY, SERVER_REFERENCE))
IN_AUTH: Final = frozenset((AUTHENTICATION_METHOD, AUTHENTICATION_DATA, REASON_STRING, USER_PROPERTY))


def read(reader: Reader, allowed: frozenset[int]) -> Properties:
    """The properties that stand next, with their length in front; one of the IN_ sets is what the packet may hold. Raises
    Malformed."""
    size = reader.length()
    if not size:
        return {}
    if size > reader.left:
        raise Malformed("packet ends within its properties")
    inner = Reader(reader.data, reader.at, reader.at + size)
    found: Properties = {}
    while inner.left:
        identifier = inner.length()
        kind = _TYPES.get(identifier)
        if kind is None or identifier not in allowed:
            raise Malformed(f"property 0x{identifier:02x} in a packet that cannot have it", "MQTT-2.2.2-2")
        value = _READ[kind](inner)
        _check(identifier, value)
        if identifier in found and (kind not in (_PAIR, _NUMBER) or (kind == _NUMBER and allowed is IN_SUBSCRIBE)):
            raise Malformed(f"property 0x{identifier:02x} twice", "", PROTOCOL_ERROR)
        if kind in (_PAIR, _NUMBER):
            found.setdefault(identifier, []).append(value)
        else:
            found[identifier] = value
    reader.at = inner.at
    return found


def encode(found: Properties) -> bytes:
    """Properties with their length in front."""
    if not found:
        return b"\0"
    body = fields(found)
    return encode_length(len(body)) + body


def fields(found: Properties) -> bytes:
    """Properties without their length, to be joined with others."""
    return b"".join(
        bytes((identifier,)) + _WRITE[_TYPES[identifier]](each)
        for identifier, value in found.items()
        for each in (value if isinstance(value, list) else (value,))
    )


def _check(identifier: int, value: Any) -> None:
    if value == 0 and identifier in _NOT_ZERO:
        raise Malformed(f"property 0x{identifier:02x} is 0", "", PROTOCOL_ERROR)
    if _TYPES[identifier] == _BYTE and value > 1:
        raise Malformed(f"property 0x{identifier:02x} is {value}; 0 or 1 would be right", "", PROTOCOL_ERROR)


_READ: Final[dict[int, Callable[[Reader], Any]]] = {
    _BYTE: Reader.byte,
    _TWO: Reader.number,
    _FOUR: lambda reader: reader.number(4),
    _NUMBER: Reader.length,
    _TEXT: Reader.string,
    _BYTES: Reader.binary,
    _PAIR: lambda reader: (reader.string(), reader.string()),
}
_WRITE: Final[dict[int, Callable[[Any], bytes]]] = {
    _BYTE: lambda value: bytes((value,)),
    _TWO: lambda value: int(value).to_bytes(2, "big"),
    _FOUR: lambda value: int(value).to_bytes(4, "big"),
    _NUMBER: encode_length,
    _TEXT: string,
    _BYTES: binary,
    _PAIR: lambda pair: string(pair[0]) + string(pair[1]),
}
