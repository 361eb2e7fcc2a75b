"""One table of bytes and packets: frames as `Framing` gives them, and what their bodies say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.mqtt import packets as p
from bridge.mqtt.framing import Frame
from bridge.mqtt.packets import Connect, Will


class Case(NamedTuple):
    """`encoded` is what our encoder gives; `decode` reads `frame`'s body as `value`."""

    name: str
    data: bytes
    encoded: bytes
    frame: Frame
    decode: Callable[[bytes], Any] | None = None
    value: Any = None


_PLAIN = Connect("a", keep_alive=10)
_FULL = Connect("client", False, 0xFFFF, "üser", b"\x00\xff", Will("w/t", b"\x00bye", 2, True))

GOOD = (
    Case(
        "connect",
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a",
        p.encode_connect(_PLAIN),
        (0x10, "", 0, b"\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a"),
        p.decode_connect,
        _PLAIN,
    ),
    Case(
        "connect with everything",
        b"\x10\x28\x00\x04MQTT\x04\xf4\xff\xff\x00\x06client\x00\x03w/t\x00\x04\x00bye\x00\x05\xc3\xbcser\x00\x02\x00\xff",
        p.encode_connect(_FULL),
        (
            0x10,
            "",
            0,
            b"\x00\x04MQTT\x04\xf4\xff\xff\x00\x06client\x00\x03w/t\x00\x04\x00bye\x00\x05\xc3\xbcser\x00\x02\x00\xff",
        ),
        p.decode_connect,
        _FULL,
    ),
    Case(
        "connack",
        b"\x20\x02\x01\x00",
        p.encode_connack(0, session_present=True),
        (0x20, "", 0, b"\1\0"),
        p.decode_connack,
        (True, 0),
    ),
    Case(
        "connack refused",
        b"\x20\x02\x00\x05",
        p.encode_connack(5),
        (0x20, "", 0, b"\0\5"),
        p.decode_connack,
        (False, 5),
    ),
    Case("publish 0", b"\x30\x05\x00\x01ahi", p.encode_publish("a", b"hi"), (0x30, "a", 0, b"hi")),
    Case("publish 0 empty", b"\x31\x03\x00\x01a", p.encode_publish("a", b"", retain=True), (0x31, "a", 0, b"")),
    Case(
        "publish 1",
        b"\x32\x07\x00\x01a\x01\x02hi",
        p.encode_publish("a", b"hi", 1, packet_id=258),
        (0x32, "a", 258, b"hi"),
    ),
    Case(
        "publish 2 dup retain",
        b"\x3d\x08\x00\x02\xc3\xbc\xff\xffhi",
        p.encode_publish("ü", b"hi", 2, retain=True, dup=True, packet_id=65_535),
        (0x3D, "ü", 65_535, b"hi"),
    ),
    Case(
        "publish of 230 bytes",
        b"\x32\xe6\x01\x00\x01a\x00\x01" + b"x" * 225,
        p.encode_publish("a", b"x" * 225, 1, packet_id=1),
        (0x32, "a", 1, b"x" * 225),
    ),
    Case(
        "publish with U+FEFF",
        b"\x30\x05\x00\x03\xef\xbb\xbf",
        p.encode_publish("\ufeff", b""),
        (0x30, "\ufeff", 0, b""),
    ),
    Case("puback", b"\x40\x02\x12\x34", p.encode_puback(0x1234), (0x40, "", 0x1234, b"")),
    Case("pubrec", b"\x50\x02\x12\x34", p.encode_pubrec(0x1234), (0x50, "", 0x1234, b"")),
    Case("pubrel", b"\x62\x02\x12\x34", p.encode_pubrel(0x1234), (0x62, "", 0x1234, b"")),
    Case("pubcomp", b"\x70\x02\x12\x34", p.encode_pubcomp(0x1234), (0x70, "", 0x1234, b"")),
    Case(
        "subscribe",
        b"\x82\x0c\x00\x01\x00\x01a\x01\x00\x03b/#\x02",
        p.encode_subscribe(1, [("a", 1), ("b/#", 2)]),
        (0x82, "", 1, b"\x00\x01a\x01\x00\x03b/#\x02"),
        p.decode_subscribe,
        [("a", 1), ("b/#", 2)],
    ),
    Case(
        "suback",
        b"\x90\x04\x00\x01\x02\x80",
        p.encode_suback(1, [2, 128]),
        (0x90, "", 1, b"\2\x80"),
        p.decode_suback,
        [2, 128],
    ),
    Case(
        "unsubscribe",
        b"\xa2\x09\x00\x01\x00\x01a\x00\x02+/",
        p.encode_unsubscribe(1, ["a", "+/"]),
        (0xA2, "", 1, b"\x00\x01a\x00\x02+/"),
        p.decode_unsubscribe,
        ["a", "+/"],
    ),
    Case("unsuback", b"\xb0\x02\x00\x01", p.encode_unsuback(1), (0xB0, "", 1, b"")),
    Case("pingreq", b"\xc0\x00", p.PINGREQ_BYTES, (0xC0, "", 0, b"")),
    Case("pingresp", b"\xd0\x00", p.PINGRESP_BYTES, (0xD0, "", 0, b"")),
    Case("disconnect", b"\xe0\x00", p.DISCONNECT_BYTES, (0xE0, "", 0, b"")),
)

BAD_FRAMES: dict[str, tuple[bytes, str]] = {
    "type 0": (b"\x00\x00", "MQTT-2.2.2-2"),
    "type 15": (b"\xf0\x00", "MQTT-2.2.2-2"),
    "connect with flags": (b"\x11\x00", "MQTT-2.2.2-2"),
    "puback with flags": (b"\x41\x02\x00\x01", "MQTT-2.2.2-2"),
    "pubrel without its flags": (b"\x60\x02\x00\x01", "MQTT-2.2.2-2"),
    "subscribe without its flags": (b"\x80\x06\x00\x01\x00\x01a\x00", "MQTT-2.2.2-2"),
    "unsubscribe with other flags": (b"\xa3\x05\x00\x01\x00\x01a", "MQTT-2.2.2-2"),
    "publish QoS 3": (b"\x36\x05\x00\x01a\x00\x01", "MQTT-3.3.1-4"),
    "publish QoS 0 with DUP": (b"\x38\x03\x00\x01a", "MQTT-3.3.1-2"),
    "publish packet id 0": (b"\x32\x05\x00\x01a\x00\x00", "MQTT-2.3.1-1"),
    "publish empty topic": (b"\x30\x02\x00\x00", "MQTT-4.7.3-1"),
    "publish without topic": (b"\x30\x00", ""),
    "publish with half a length": (b"\x30\x01\x00", ""),
    "publish topic too long": (b"\x30\x03\x00\x02a", ""),
    "publish QoS 1 without id": (b"\x32\x03\x00\x01a", ""),
    "publish QoS 1 with half an id": (b"\x32\x04\x00\x01a\x00", ""),
    "publish to #": (b"\x30\x03\x00\x01#", "MQTT-3.3.2-2"),
    "publish to a/+": (b"\x30\x05\x00\x03a/+", "MQTT-3.3.2-2"),
    "topic with U+0000": (b"\x30\x04\x00\x02a\x00", "MQTT-1.5.3-2"),
    "topic with a surrogate": (b"\x30\x05\x00\x03\xed\xa0\x80", "MQTT-1.5.3-1"),
    "topic of an overlong form": (b"\x30\x04\x00\x02\xc0\x80", "MQTT-1.5.3-1"),
    "topic that is Latin-1": (b"\x30\x03\x00\x01\xfc", "MQTT-1.5.3-1"),
    "puback packet id 0": (b"\x40\x02\x00\x00", "MQTT-2.3.1-1"),
    "puback of three bytes": (b"\x40\x03\x00\x01\x00", ""),
    "puback of one byte": (b"\x40\x01\x00", ""),
    "subscribe packet id 0": (b"\x82\x06\x00\x00\x00\x01a\x00", "MQTT-2.3.1-1"),
    "subscribe without id": (b"\x82\x00", ""),
    "pingreq with a body": (b"\xc0\x01\x00", ""),
    "disconnect with a body": (b"\xe0\x01\x00", ""),
    "length of five bytes": (b"\x30\x80\x80\x80\x80\x01", ""),
}
"""Chunks that are no packets, with the statement that they break."""

_HEAD = b"\x00\x04MQTT\x04"
BAD_BODIES: dict[str, tuple[Callable[[bytes], Any], bytes, str]] = {
    "connect protocol name": (p.decode_connect, b"\x00\x04MQTX\x04\x02\x00\x00\x00\x00", "MQTT-3.1.2-1"),
    "connect level 6": (p.decode_connect, b"\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00", "MQTT-3.1.2-2"),
    "connect MQTT 3.1": (p.decode_connect, b"\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00", "MQTT-3.1.2-2"),
    "connect reserved flag": (p.decode_connect, _HEAD + b"\x03\x00\x00\x00\x00", "MQTT-3.1.2-3"),
    "connect will QoS 3": (p.decode_connect, _HEAD + b"\x1e\x00\x00\x00\x00\x00\x01w\x00\x00", "MQTT-3.1.2-14"),
    "connect will QoS without will": (p.decode_connect, _HEAD + b"\x0a\x00\x00\x00\x00", "MQTT-3.1.2-13"),
    "connect will retain without will": (p.decode_connect, _HEAD + b"\x22\x00\x00\x00\x00", "MQTT-3.1.2-15"),
    "connect password without name": (p.decode_connect, _HEAD + b"\x42\x00\x00\x00\x00\x00\x01p", "MQTT-3.1.2-22"),
    "connect will topic with a wildcard": (
        p.decode_connect,
        _HEAD + b"\x06\x00\x00\x00\x00\x00\x01#\x00\x00",
        "MQTT-3.3.2-2",
    ),
    "connect client id with U+0000": (p.decode_connect, _HEAD + b"\x02\x00\x00\x00\x01\x00", "MQTT-1.5.3-2"),
    "connect client id not UTF-8": (p.decode_connect, _HEAD + b"\x02\x00\x00\x00\x01\xff", "MQTT-1.5.3-1"),
    "connect with more behind": (p.decode_connect, _HEAD + b"\x02\x00\x00\x00\x00\x00", ""),
    "connack of three bytes": (p.decode_connack, b"\x00\x00\x00", "MQTT-3.2.2-1"),
    "connack reserved flags": (p.decode_connack, b"\x02\x00", "MQTT-3.2.2-1"),
    "connack refused with session": (p.decode_connack, b"\x01\x05", "MQTT-3.2.2-4"),
    "subscribe to nothing": (p.decode_subscribe, b"", "MQTT-3.8.3-3"),
    "subscribe QoS 3": (p.decode_subscribe, b"\x00\x01a\x03", "MQTT-3.8.3-4"),
    "subscribe reserved options": (p.decode_subscribe, b"\x00\x01a\x81", "MQTT-3.8.3-4"),
    "subscribe to an empty filter": (p.decode_subscribe, b"\x00\x00\x00", "MQTT-4.7.3-1"),
    "subscribe to a#": (p.decode_subscribe, b"\x00\x02a#\x00", "MQTT-4.7.1-2"),
    "subscribe to #/a": (p.decode_subscribe, b"\x00\x03#/a\x00", "MQTT-4.7.1-2"),
    "subscribe to a+": (p.decode_subscribe, b"\x00\x02a+\x00", "MQTT-4.7.1-3"),
    "suback with nothing": (p.decode_suback, b"", "MQTT-3.9.3-2"),
    "suback reserved code": (p.decode_suback, b"\x03", "MQTT-3.9.3-2"),
    "unsubscribe from nothing": (p.decode_unsubscribe, b"", "MQTT-3.10.3-2"),
    "unsubscribe from ++": (p.decode_unsubscribe, b"\x00\x02++", "MQTT-4.7.1-3"),
}
"""Bodies that are none."""
