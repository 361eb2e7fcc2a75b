"""MQTT 5, bytes and packets: the table, every truncation, every split, round trips."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_cases import Case
from mqtt_cases5 import BAD_BODIES5, BAD_FRAMES5, GOOD5

from bridge.mqtt import packets, packets5
from bridge.mqtt import properties as p
from bridge.mqtt.errors import Malformed
from bridge.mqtt.framing import Framing
from bridge.mqtt.packets import Connect, Will

named = pytest.mark.parametrize("case", GOOD5, ids=lambda case: case.name)
LISTS = {"subscribe", "subscribe with everything", "suback", "unsubscribe", "unsuback with words"}
"""Their bodies end between two entries as well."""


@named
def test_encode(case: Case) -> None:
    assert case.encoded == case.data


@named
def test_decode(case: Case) -> None:
    framing = Framing(version=5)
    assert framing.feed(case.data) == [case.frame]
    assert framing.error is None
    if case.decode is not None:
        assert case.decode(case.frame[3]) == case.value


@named
def test_every_truncation_waits_for_the_rest(case: Case) -> None:
    for cut in range(len(case.data)):
        framing = Framing(version=5)
        assert framing.feed(case.data[:cut]) == []
        assert (framing.error, framing.buffered) == (None, cut)
        assert framing.feed(case.data[cut:]) == [case.frame]


@named
def test_every_truncated_body_is_malformed_or_says_less(case: Case) -> None:
    if case.decode is None:
        return
    for cut in range(len(case.frame[3])):
        try:
            shorter = case.decode(case.frame[3][:cut])
        except Malformed:
            continue
        assert shorter != case.value
        if case.name.startswith("publish"):  # the payload may be of any length
            assert shorter[0] == case.value[0]
            assert case.value[1].startswith(shorter[1])
        elif case.name not in LISTS:  # a reason may stand alone, and nothing but success needs none
            assert case.decode in (packets5.decode_ack, packets5.decode_disconnect)
            assert cut <= 1


def test_every_split_of_all_packets_in_a_row() -> None:
    stream = b"".join(case.data for case in GOOD5)
    frames = [case.frame for case in GOOD5]
    for cut in range(len(stream) + 1):
        framing = Framing(version=5)
        assert framing.feed(stream[:cut]) + framing.feed(stream[cut:]) == frames
    framing = Framing(version=5)
    assert [frame for byte in stream for frame in framing.feed(bytes((byte,)))] == frames


def test_a_connect_sets_the_version_of_what_follows() -> None:
    five, old = packets.encode_connect(Connect("a", version=5)), packets.encode_connect(Connect("a"))
    framing = Framing()
    assert len(framing.feed(five + b"\xe0\x01\x00")) == 2
    framing = Framing(version=5)
    assert len(framing.feed(old + b"\xe0\x01\x00")) == 1
    assert framing.error is not None


@pytest.mark.parametrize("data", BAD_FRAMES5.values(), ids=BAD_FRAMES5.keys())
def test_malformed_frames(data: bytes) -> None:
    for chunks in ([data], [bytes((byte,)) for byte in data]):
        framing = Framing(version=5)
        assert [frame for chunk in chunks for frame in framing.feed(chunk)] == []
        assert framing.error is not None


@pytest.mark.parametrize(("decode", "body", "code"), BAD_BODIES5.values(), ids=BAD_BODIES5.keys())
def test_malformed_bodies(decode: Any, body: bytes, code: int) -> None:
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.code == code


strings = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
topics = st.text(st.characters(exclude_characters="\0+#", exclude_categories=("Cs",)), min_size=1, max_size=20)
VALUES: dict[int, st.SearchStrategy[Any]] = {
    p.PAYLOAD_FORMAT: st.integers(0, 1),
    p.MESSAGE_EXPIRY: st.integers(0, 0xFFFFFFFF),
    p.CONTENT_TYPE: strings,
    p.RESPONSE_TOPIC: topics,
    p.CORRELATION_DATA: st.binary(max_size=20),
    p.USER_PROPERTY: st.lists(st.tuples(strings, strings), min_size=1, max_size=3),
    p.TOPIC_ALIAS: st.integers(1, 0xFFFF),
    p.SUBSCRIPTION_IDENTIFIER: st.lists(st.integers(1, 268_435_455), min_size=1, max_size=3),
    p.SESSION_EXPIRY: st.integers(0, 0xFFFFFFFF),
    p.RECEIVE_MAXIMUM: st.integers(1, 0xFFFF),
    p.MAXIMUM_PACKET_SIZE: st.integers(1, 0xFFFFFFFF),
    p.TOPIC_ALIAS_MAXIMUM: st.integers(0, 0xFFFF),
    p.WILL_DELAY: st.integers(0, 0xFFFFFFFF),
    p.REASON_STRING: strings,
}


def some(allowed: frozenset[int]) -> st.SearchStrategy[dict[int, Any]]:
    """Any of the properties that a packet may have."""
    return st.fixed_dictionaries({}, optional={name: value for name, value in VALUES.items() if name in allowed})


ids = st.integers(1, 65_535)


@given(topics | st.just(""), st.binary(max_size=300), st.integers(0, 2), some(p.IN_DELIVERY), ids, st.data())
def test_publish_round_trip(
    topic: str, payload: bytes, qos: int, found: dict[int, Any], packet_id: int, data: st.DataObject
) -> None:
    encoded = packets5.encode_publish(topic, payload, qos, found, packet_id=packet_id)
    cut = data.draw(st.integers(0, len(encoded)))
    framing = Framing(version=5)
    [(first, name, number, body)] = framing.feed(encoded[:cut]) + framing.feed(encoded[cut:])
    assert (first, name, number) == (0x30 | qos << 1, topic, packet_id if qos else 0)
    assert packets5.decode_publish(body) == (found, payload)


wills = st.builds(Will, topics, st.binary(max_size=20), st.integers(0, 2), st.booleans(), some(p.IN_WILL))


@given(
    strings,
    st.booleans(),
    st.integers(0, 65_535),
    st.none() | strings,
    st.none() | st.binary(max_size=20),
    st.none() | wills,
    some(p.IN_CONNECT),
)
def test_connect_round_trip(
    client_id: str, clean: bool, keep_alive: int, name: str | None, password: bytes | None, will: Any, found: Any
) -> None:
    connect = Connect(client_id, clean, keep_alive, name, password, will, 5, found)
    [(_, _, _, body)] = Framing().feed(packets.encode_connect(connect))
    assert packets.decode_connect(body) == connect


@given(st.sampled_from([0x40, 0x50, 0x62, 0x70]), ids, st.integers(0, 255), some(p.IN_ACK))
def test_acknowledgements_round_trip(first: int, packet_id: int, code: int, found: dict[int, Any]) -> None:
    [frame] = Framing(version=5).feed(packets5.encode_ack(first, packet_id, code, found))
    assert frame[:3] == (first, "", packet_id)
    assert packets5.decode_ack(frame[3]) == (code, found)


@given(ids, st.lists(st.integers(0, 255), min_size=1, max_size=9), some(p.IN_ACK), st.sampled_from([0x90, 0xB0]))
def test_codes_round_trip(packet_id: int, codes: list[int], found: dict[int, Any], first: int) -> None:
    [frame] = Framing(version=5).feed(packets5.encode_codes(first, packet_id, codes, found))
    assert packets5.decode_codes(frame[3]) == (codes, found)


@given(st.integers(0, 255), some(p.IN_DISCONNECT))
def test_disconnect_round_trip(code: int, found: dict[int, Any]) -> None:
    [frame] = Framing(version=5).feed(packets5.encode_disconnect(code, found))
    assert packets5.decode_disconnect(frame[3]) == (code, found)
