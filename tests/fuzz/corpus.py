"""Valid packets to begin with, and what becomes of them: seeded, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

from bridge.mqtt import packets, packets5
from bridge.mqtt import properties as p
from bridge.mqtt.packets import Connect, Will

TOPICS = ("a", "a/b", "a/b/c", "$x/y", "ü/ö", "/", "kept/a", "v1/wudun/PK/EMS1/report/regular/post", "a" * 300)
FILTERS = ("#", "a/#", "+/b", "a", "kept/+", "$SYS/#", "$x/#", "/", "ü/+", "a/+/c/#")
SHARED = ("$share/g/#", "$share/g/a/+", "$share/h/a")
CLIENTS = ("", *"abcdefghijklmnop")
ALL = {
    p.PAYLOAD_FORMAT: 1,
    p.MESSAGE_EXPIRY: 60,
    p.CONTENT_TYPE: "t",
    p.RESPONSE_TOPIC: "a/b",
    p.CORRELATION_DATA: b"\0\1",
    p.USER_PROPERTY: [("k", "v"), ("k", "")],
}
INTERESTING = bytes((0, 1, 2, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x0B, 0x22, 0x23, 0x26, 0x30, 0x34, 0x62, 0x82))


Login = tuple[str, str] | None


def connect(chance: random.Random, version: int, login: Login = None) -> bytes:
    """A CONNECT that is in order."""
    found = {}
    if version == 5 and chance.random() < 0.5:
        found = {
            p.SESSION_EXPIRY: chance.choice((0, 1, 3)),
            p.RECEIVE_MAXIMUM: chance.choice((1, 2, 100)),
            p.TOPIC_ALIAS_MAXIMUM: chance.choice((0, 1, 10)),
            p.MAXIMUM_PACKET_SIZE: chance.choice((20, 200, 100_000)),
        }
    will = None
    if chance.random() < 0.3:
        topic, qos = chance.choice(TOPICS), chance.randrange(3)
        will = Will(topic, b"bye", qos, chance.random() < 0.5, dict(ALL) if version == 5 else None)
    clean = chance.random() < 0.6
    client_id = chance.choice(CLIENTS if clean or version == 5 else CLIENTS[1:])
    name, password = login or (None, None)
    secret = None if password is None else password.encode()
    keep_alive = chance.randrange(100)
    return packets.encode_connect(Connect(client_id, clean, keep_alive, name, secret, will, version, found))


def packet(chance: random.Random, version: int) -> bytes:
    """Another packet of a client that is in order by itself."""
    five, packet_id, qos = version == 5, chance.randrange(1, 6), chance.randrange(3)
    kind = chance.randrange(10)
    if kind < 4:
        topic, payload = chance.choice(TOPICS), chance.choice((b"", b"x", b"{}", b"y" * 200, b"z" * 2_000))
        flags = {"retain": chance.random() < 0.2, "dup": qos > 0 and chance.random() < 0.1, "packet_id": packet_id}
        if not five:
            return packets.encode_publish(topic, payload, qos, **flags)
        found = dict(chance.sample(sorted(ALL.items()), chance.randrange(len(ALL))))
        if chance.random() < 0.4:
            found[p.TOPIC_ALIAS] = chance.randrange(1, 4)
            topic = chance.choice((topic, ""))
        return packets5.encode_publish(topic, payload, qos, found, **flags)
    if kind < 6:
        filters = [(chance.choice(FILTERS), chance.randrange(3)) for _ in range(chance.randrange(1, 4))]
        if not five:
            return packets.encode_subscribe(packet_id, filters)
        filters = [(name, wanted | chance.choice((0, 4, 8, 16, 32, 12))) for name, wanted in filters]
        if chance.random() < 0.4:
            filters.append((chance.choice(SHARED), qos))
        return packets5.encode_subscribe(packet_id, filters, {p.SUBSCRIPTION_IDENTIFIER: [7]} if qos else None)
    if kind == 6:
        names = [chance.choice(FILTERS + SHARED) for _ in range(2)]
        if not five:
            return packets.encode_unsubscribe(packet_id, [name for name in names if name[0] != "$"] or ["a"])
        return packets5.encode_unsubscribe(packet_id, names)
    if kind == 7:
        first = chance.choice((0x40, 0x50, 0x62, 0x70))
        code = chance.choice((0, 0x10, 0x80, 0x92)) if five else 0
        return packets5.encode_ack(first, packet_id, code, {p.REASON_STRING: "w"} if code and qos else None)
    if kind == 8:
        return packets.PINGREQ_BYTES
    if chance.random() < 0.7:
        return packets.PINGREQ_BYTES
    return (
        packets5.encode_disconnect(chance.choice((0, 4)), {p.SESSION_EXPIRY: 5}) if five else packets.DISCONNECT_BYTES
    )


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Some of its bytes changed, left out, doubled or made up."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(7)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = chance.choice(INTERESTING)
        elif kind == 2:
            out[at:at] = chance.randbytes(chance.randrange(1, 5))
        elif kind == 3:
            del out[at : at + chance.randrange(1, 6)]
        elif kind == 4:
            out[at:at] = out[at : at + chance.randrange(1, 20)]
        elif kind == 5 and len(out) > 1:  # the length that the header announces
            out[1] = chance.randrange(256)
        else:
            del out[at:]
    return bytes(out)


def stream(chance: random.Random, version: int, login: Login = None) -> bytes:
    """What one client says from its CONNECT to its end; some of its packets are mutated, rarely the first ones."""
    said = [connect(chance, version, login), *(packet(chance, version) for _ in range(chance.randrange(8)))]
    if chance.random() < 0.02:
        return chance.randbytes(chance.randrange(1, 300))
    much = chance.choice((0, 0.1, 0.3))
    return b"".join(
        mutated(chance, each) if chance.random() < much * (0.2, 0.5, 1)[min(at, 2)] else each
        for at, each in enumerate(said)
    )


def split(chance: random.Random, data: bytes) -> Sequence[bytes]:
    """The same in chunks: whole, in a few, or byte by byte."""
    kind = chance.randrange(4)
    if kind == 0 or len(data) < 2:
        return (data,)
    if kind == 1 and len(data) < 200:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(chance.randrange(1, 5)))})
    return [data[start:end] for start, end in pairwise(cuts)]
