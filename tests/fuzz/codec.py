"""Framing and decoders: any bytes give frames and at most one Malformed, the same for every split; what decodes, encodes
again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from bridge.mqtt import packets, packets5
from bridge.mqtt.errors import Malformed
from bridge.mqtt.framing import Frame, Framing
from fuzz import corpus

LIMIT = 1_000
"""Largest packet: small, so that it is met."""
Decode = Callable[[bytes], Any]

DECODERS: dict[int, dict[int, Decode]] = {
    4: {
        0x10: packets.decode_connect,
        0x20: packets.decode_connack,
        0x82: packets.decode_subscribe,
        0x90: packets.decode_suback,
        0xA2: packets.decode_unsubscribe,
    },
    5: {
        0x10: packets.decode_connect,
        0x20: packets5.decode_connack,
        0x40: packets5.decode_ack,
        0x50: packets5.decode_ack,
        0x62: packets5.decode_ack,
        0x70: packets5.decode_ack,
        0x82: packets5.decode_subscribe,
        0x90: packets5.decode_codes,
        0xA2: packets5.decode_unsubscribe,
        0xB0: packets5.decode_codes,
        0xE0: packets5.decode_disconnect,
    },
}


def check(data: bytes, chunks: Sequence[bytes], version: int) -> int:
    """Raises AssertionError, or whatever should not have been raised. Gives how many frames there were."""
    whole = Framing(LIMIT, version=version)
    frames = whole.feed(data)
    parts = Framing(LIMIT, version=version)
    found: list[Frame] = []
    for chunk in chunks:
        found += parts.feed(chunk)
        assert parts.buffered <= LIMIT, "more is kept than a packet may have"
    assert found == frames, "the split changed what was read"
    assert (parts.error is None) == (whole.error is None), "the split changed whether it is refused"
    for first, topic, packet_id, body in frames:
        spoken = version if first != 0x10 else 5 if body[:7] == b"\0\4MQTT\5" else 4
        if first & 0xF0 == 0x30:
            _publish(first, topic, packet_id, body, version)
        elif decode := DECODERS[spoken].get(first):
            _decode(decode, first, packet_id, body, spoken)
        if first == 0x10:
            version = spoken
    return len(frames)


def _decode(decode: Decode, first: int, packet_id: int, body: bytes, version: int) -> None:
    try:
        value = decode(body)
    except Malformed as error:
        _check_refusal(error)
        return
    again = _encoded(first, packet_id, value, version)
    [(_, _, same_id, rest)] = Framing(version=version).feed(again)
    assert (same_id, decode(rest)) == (packet_id, value), "what was decoded does not survive encoding"


def _check_refusal(error: Malformed) -> None:
    assert error.code >= 0x80, "a refusal without a reason code"
    assert error.detail, "a refusal without words"


def _encoded(first: int, packet_id: int, value: Any, version: int) -> bytes:
    if first == 0x10:
        return packets.encode_connect(value)
    if version == 4:
        if first == 0x20:
            return packets.encode_connack(value[1], session_present=value[0])
        encode: Any = {0x82: packets.encode_subscribe, 0x90: packets.encode_suback, 0xA2: packets.encode_unsubscribe}[
            first
        ]
        return bytes(encode(packet_id, value))
    if first == 0x20:
        return packets5.encode_connack(value[1], value[2], session_present=value[0])
    if first == 0x82:
        return packets5.encode_subscribe(packet_id, *value)
    if first == 0xA2:
        return packets5.encode_unsubscribe(packet_id, value)
    if first in (0x90, 0xB0):
        return packets5.encode_codes(first, packet_id, *value)
    if first == 0xE0:
        return packets5.encode_disconnect(*value)
    return packets5.encode_ack(first, packet_id, *value)


def _publish(first: int, topic: str, packet_id: int, body: bytes, version: int) -> None:
    qos, flags = first >> 1 & 3, {"retain": bool(first & 1), "dup": bool(first & 8), "packet_id": packet_id}
    if version == 4:
        data = packets.encode_publish(topic, body, qos, **flags)
        assert Framing().feed(data) == [(first, topic, packet_id, body)]
        return
    try:
        found, payload = packets5.decode_publish(body)
    except Malformed as error:
        _check_refusal(error)
        return
    [frame] = Framing(version=5).feed(packets5.encode_publish(topic, payload, qos, found, **flags))
    assert frame[:3] == (first, topic, packet_id)
    assert packets5.decode_publish(frame[3]) == (found, payload)


def input_of(seed: str) -> tuple[bytes, Sequence[bytes], int]:
    """The input that a seed stands for."""
    chance = random.Random(seed)
    version = chance.choice((4, 5))
    if chance.random() < 0.7:
        data = corpus.mutated(chance, corpus.packet(chance, version))
    else:
        data = corpus.mutated(chance, corpus.connect(chance, version)) + corpus.packet(chance, version)
    return data, corpus.split(chance, data), version


def run(count: int, seed: str) -> str:
    """So many inputs; gives a line about them."""
    began, frames = time.monotonic(), 0
    for number in range(count):
        name = f"{seed}/{number}"
        try:
            frames += check(*input_of(name))
        except Exception as error:
            error.add_note(f"fuzz.codec.check(*fuzz.codec.input_of({name!r}))")
            raise
    seconds = time.monotonic() - began
    return f"codec: {count:,} inputs, {frames:,} packets among them, {seconds:.0f} s"
