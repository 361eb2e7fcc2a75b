"""One table of bytes and packets of MQTT 5, where they differ from 3.1.1; written by hand from the standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mqtt_cases import Case

from bridge.mqtt import packets, packets5
from bridge.mqtt import properties as p
from bridge.mqtt.packets import Connect, Will

_PLAIN = Connect("a", keep_alive=10, version=5, properties={})
_PROPERTIES = {
    p.SESSION_EXPIRY: 0xFFFFFFFF,
    p.RECEIVE_MAXIMUM: 1,
    p.MAXIMUM_PACKET_SIZE: 256,
    p.TOPIC_ALIAS_MAXIMUM: 2,
    p.REQUEST_RESPONSE_INFORMATION: 1,
    p.REQUEST_PROBLEM_INFORMATION: 0,
    p.USER_PROPERTY: [("k", "v"), ("k", "")],
}
_PROPERTIES_DATA = (
    b"\x11\xff\xff\xff\xff\x21\x00\x01\x27\x00\x00\x01\x00\x22\x00\x02\x19\x01\x17\x00"
    b"\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x00"
)
_WILL = {p.WILL_DELAY: 5, p.PAYLOAD_FORMAT: 1, p.MESSAGE_EXPIRY: 7, p.CONTENT_TYPE: "t"}
_WILL_DATA = b"\x18\x00\x00\x00\x05\x01\x01\x02\x00\x00\x00\x07\x03\x00\x01t"
_FULL = Connect("c", False, 1, "u", b"\xff", Will("w", b"x", 1, True, dict(_WILL)), 5, dict(_PROPERTIES))
_FULL_BODY = (
    b"\x00\x04MQTT\x05\xec\x00\x01" + bytes((len(_PROPERTIES_DATA),)) + _PROPERTIES_DATA + b"\x00\x01c"
    + bytes((len(_WILL_DATA),)) + _WILL_DATA + b"\x00\x01w\x00\x01x\x00\x01u\x00\x01\xff"
)  # fmt: skip
_PASSWORD = Connect("a", keep_alive=0, password=b"p", version=5, properties={})
_MESSAGE = {
    p.PAYLOAD_FORMAT: 1,
    p.MESSAGE_EXPIRY: 60,
    p.TOPIC_ALIAS: 3,
    p.RESPONSE_TOPIC: "r",
    p.CORRELATION_DATA: b"\x00\xff",
    p.USER_PROPERTY: [("a", "b")],
    p.SUBSCRIPTION_IDENTIFIER: [1, 128, 268_435_455],
    p.CONTENT_TYPE: "ü",
}
_MESSAGE_DATA = (
    b"\x01\x01\x02\x00\x00\x00\x3c\x23\x00\x03\x08\x00\x01r\x09\x00\x02\x00\xff\x26\x00\x01a\x00\x01b"
    b"\x0b\x01\x0b\x80\x01\x0b\xff\xff\xff\x7f\x03\x00\x02\xc3\xbc"
)
_MESSAGE_BODY = bytes((len(_MESSAGE_DATA),)) + _MESSAGE_DATA + b"hi"
_ACCEPTED = {
    p.SESSION_EXPIRY: 1, p.RECEIVE_MAXIMUM: 2, p.MAXIMUM_QOS: 1, p.RETAIN_AVAILABLE: 1, p.MAXIMUM_PACKET_SIZE: 3,
    p.ASSIGNED_CLIENT_ID: "i", p.TOPIC_ALIAS_MAXIMUM: 4, p.REASON_STRING: "r", p.WILDCARD_AVAILABLE: 1,
    p.IDENTIFIERS_AVAILABLE: 0, p.SHARED_AVAILABLE: 1, p.SERVER_KEEP_ALIVE: 5,
}  # fmt: skip
_ACCEPTED_DATA = (
    b"\x11\x00\x00\x00\x01\x21\x00\x02\x24\x01\x25\x01\x27\x00\x00\x00\x03\x12\x00\x01i\x22\x00\x04"
    b"\x1f\x00\x01r\x28\x01\x29\x00\x2a\x01\x13\x00\x05"
)
_WHY = {p.REASON_STRING: "no", p.USER_PROPERTY: [("k", "v")]}
_WHY_DATA = b"\x0c\x1f\x00\x02no\x26\x00\x01k\x00\x01v"


def _whole(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((first, len(body))) + body


def _case(name: str, first: int, packet_id: int, body: bytes, encoded: bytes, decode: Any, value: Any) -> Case:
    head = packet_id.to_bytes(2, "big") if packet_id else b""
    return Case(name, _whole(first, head + body), encoded, (first, "", packet_id, body), decode, value)


GOOD5 = (
    _case(
        "connect", 0x10, 0, b"\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a",
        packets.encode_connect(_PLAIN), packets.decode_connect, _PLAIN,
    ),
    _case(
        "connect with everything", 0x10, 0, _FULL_BODY,
        packets.encode_connect(_FULL), packets.decode_connect, _FULL,
    ),
    _case(
        "connect with a password alone", 0x10, 0, b"\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x01a\x00\x01p",
        packets.encode_connect(_PASSWORD), packets.decode_connect, _PASSWORD,
    ),
    _case(
        "connack", 0x20, 0, b"\x01\x00\x00",
        packets5.encode_connack(0, {}, session_present=True), packets5.decode_connack, (True, 0, {}),
    ),
    _case(
        "connack with everything", 0x20, 0, b"\x00\x00" + bytes((len(_ACCEPTED_DATA),)) + _ACCEPTED_DATA,
        packets5.encode_connack(0, _ACCEPTED), packets5.decode_connack, (False, 0, _ACCEPTED),
    ),
    _case(
        "connack refused", 0x20, 0, b"\x00\x87" + _WHY_DATA,
        packets5.encode_connack(0x87, _WHY), packets5.decode_connack, (False, 0x87, _WHY),
    ),
    Case(
        "publish 0", b"\x30\x06\x00\x01a\x00hi", packets5.encode_publish("a", b"hi"),
        (0x30, "a", 0, b"\x00hi"), packets5.decode_publish, ({}, b"hi"),
    ),
    Case(
        "publish 0 by its alias", b"\x31\x06\x00\x00\x03\x23\x00\x01",
        packets5.encode_publish("", b"", found={p.TOPIC_ALIAS: 1}, retain=True),
        (0x31, "", 0, b"\x03\x23\x00\x01"), packets5.decode_publish, ({p.TOPIC_ALIAS: 1}, b""),
    ),
    Case(
        "publish 2 with everything", _whole(0x3D, b"\x00\x02\xc3\xbc\xff\xff" + _MESSAGE_BODY),
        packets5.encode_publish("ü", b"hi", 2, _MESSAGE, retain=True, dup=True, packet_id=65_535),
        (0x3D, "ü", 65_535, _MESSAGE_BODY), packets5.decode_publish, (_MESSAGE, b"hi"),
    ),
    *(
        case
        for name, first in (("puback", 0x40), ("pubrec", 0x50), ("pubrel", 0x62), ("pubcomp", 0x70))
        for case in (
            _case(name, first, 0x1234, b"", packets5.encode_ack(first, 0x1234), packets5.decode_ack, (0, {})),
            _case(
                f"{name} with a reason", first, 1, b"\x92",
                packets5.encode_ack(first, 1, 0x92), packets5.decode_ack, (0x92, {}),
            ),
            _case(
                f"{name} with words", first, 1, b"\x87" + _WHY_DATA,
                packets5.encode_ack(first, 1, 0x87, _WHY), packets5.decode_ack, (0x87, _WHY),
            ),
        )
    ),
    _case(
        "subscribe", 0x82, 1, b"\x00\x00\x01a\x01",
        packets5.encode_subscribe(1, [("a", 1)]), packets5.decode_subscribe, ([("a", 1)], {}),
    ),
    _case(
        "subscribe with everything", 0x82, 1, b"\x0a\x0b\x80\x01\x26\x00\x01k\x00\x01v\x00\x03b/#\x2e\x00\x0a$share/g/a\x02",
        packets5.encode_subscribe(
            1, [("b/#", 0x2E), ("$share/g/a", 2)], {p.SUBSCRIPTION_IDENTIFIER: [128], p.USER_PROPERTY: [("k", "v")]}
        ),
        packets5.decode_subscribe,
        ([("b/#", 0x2E), ("$share/g/a", 2)], {p.SUBSCRIPTION_IDENTIFIER: [128], p.USER_PROPERTY: [("k", "v")]}),
    ),
    _case(
        "suback", 0x90, 1, b"\x00\x02\x87",
        packets5.encode_codes(0x90, 1, [2, 0x87]), packets5.decode_codes, ([2, 0x87], {}),
    ),
    _case(
        "unsubscribe", 0xA2, 1, b"\x00\x00\x01a\x00\x02+/",
        packets5.encode_unsubscribe(1, ["a", "+/"]), packets5.decode_unsubscribe, ["a", "+/"],
    ),
    _case(
        "unsuback with words", 0xB0, 1, _WHY_DATA + b"\x00\x11",
        packets5.encode_codes(0xB0, 1, [0, 0x11], _WHY), packets5.decode_codes, ([0, 0x11], _WHY),
    ),
    Case("pingreq", b"\xc0\x00", packets.PINGREQ_BYTES, (0xC0, "", 0, b"")),
    Case("pingresp", b"\xd0\x00", packets.PINGRESP_BYTES, (0xD0, "", 0, b"")),
    _case("disconnect", 0xE0, 0, b"", packets5.encode_disconnect(), packets5.decode_disconnect, (0, {})),
    _case(
        "disconnect with a reason", 0xE0, 0, b"\x04",
        packets5.encode_disconnect(4), packets5.decode_disconnect, (4, {}),
    ),
    _case(
        "disconnect with everything", 0xE0, 0, b"\x9d\x12\x11\x00\x00\x00\x05\x1f\x00\x02no\x1c\x00\x05other",
        packets5.encode_disconnect(0x9D, {p.SESSION_EXPIRY: 5, p.REASON_STRING: "no", p.SERVER_REFERENCE: "other"}),
        packets5.decode_disconnect,
        (0x9D, {p.SESSION_EXPIRY: 5, p.REASON_STRING: "no", p.SERVER_REFERENCE: "other"}),
    ),
    Case("auth", b"\xf0\x06\x18\x04\x15\x00\x01m", b"\xf0\x06\x18\x04\x15\x00\x01m", (0xF0, "", 0, b"\x18\x04\x15\x00\x01m")),
)  # fmt: skip

BAD_FRAMES5: dict[str, bytes] = {
    "auth with flags": b"\xf1\x00",
    "disconnect with flags": b"\xe1\x00",
    "puback of one byte": b"\x40\x01\x00",
    "puback packet id 0": b"\x40\x02\x00\x00",
    "publish packet id 0": b"\x32\x06\x00\x01a\x00\x00\x00",
    "pingreq with a body": b"\xc0\x01\x00",
    "topic with a wildcard": b"\x30\x04\x00\x01#\x00",
}
"""Chunks that are no packets of MQTT 5."""

_HEAD = b"\x00\x04MQTT\x05\x02\x00\x00"
BAD_BODIES5: dict[str, tuple[Callable[[bytes], Any], bytes, int]] = {
    "a property of another packet": (packets5.decode_publish, b"\x05\x11\x00\x00\x00\x01", 0x81),
    "a property that there is not": (packets5.decode_publish, b"\x02\x7e\x00", 0x81),
    "a property's number in two bytes too many": (packets5.decode_publish, b"\x07\x0b\xff\xff\xff\xff\xff\x01", 0x81),
    "properties beyond the packet": (packets5.decode_publish, b"\x05\x01\x01", 0x81),
    "a property that ends in the middle": (packets5.decode_publish, b"\x02\x02\x00hi", 0x81),
    "a property twice": (packets5.decode_publish, b"\x04\x01\x01\x01\x00", 0x82),
    "payload format 2": (packets5.decode_publish, b"\x02\x01\x02", 0x82),
    "identifier 0": (packets5.decode_publish, b"\x02\x0b\x00", 0x82),
    "content type that is no UTF-8": (packets5.decode_publish, b"\x04\x03\x00\x01\xff", 0x81),
    "user property with U+0000": (packets5.decode_publish, b"\x07\x26\x00\x01\x00\x00\x01v", 0x81),
    "receive maximum 0": (packets.decode_connect, _HEAD + b"\x03\x21\x00\x00\x00\x01a", 0x82),
    "maximum packet size 0": (packets.decode_connect, _HEAD + b"\x05\x27\x00\x00\x00\x00\x00\x01a", 0x82),
    "will delay outside a will": (packets.decode_connect, _HEAD + b"\x05\x18\x00\x00\x00\x01\x00\x01a", 0x81),
    "a will's response topic with a wildcard": (
        packets.decode_connect,
        b"\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a\x06\x08\x00\x03a/#\x00\x01w\x00\x00",
        0x81,
    ),
    "request problem information 2": (packets.decode_connect, _HEAD + b"\x02\x17\x02\x00\x01a", 0x82),
    "connect without properties' length": (packets.decode_connect, _HEAD, 0x81),
    "subscribe with two identifiers": (packets5.decode_subscribe, b"\x04\x0b\x01\x0b\x02\x00\x01a\x00", 0x82),
    "subscribe to nothing": (packets5.decode_subscribe, b"\x00", 0x82),
    "subscribe QoS 3": (packets5.decode_subscribe, b"\x00\x00\x01a\x03", 0x81),
    "subscribe retain handling 3": (packets5.decode_subscribe, b"\x00\x00\x01a\x30", 0x81),
    "subscribe reserved options": (packets5.decode_subscribe, b"\x00\x00\x01a\x40", 0x81),
    "shared with no local": (packets5.decode_subscribe, b"\x00\x00\x0a$share/g/a\x04", 0x82),
    "shared without a name": (packets5.decode_subscribe, b"\x00\x00\x09$share//a\x00", 0x81),
    "shared with a wildcard as its name": (packets5.decode_subscribe, b"\x00\x00\x0a$share/+/a\x00", 0x81),
    "shared without a filter": (packets5.decode_subscribe, b"\x00\x00\x08$share/g\x00", 0x81),
    "unsubscribe from nothing": (packets5.decode_unsubscribe, b"\x00", 0x82),
    "acknowledgement with more behind": (packets5.decode_ack, b"\x00\x00\x00", 0x81),
    "connack flags": (packets5.decode_connack, b"\x02\x00\x00", 0x81),
}
"""Bodies that are none, with the reason code for the DISCONNECT."""
