"""Bytes and packets: the table, every truncation, every split, round trips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_cases import BAD_BODIES, BAD_FRAMES, GOOD, Case

from bridge.mqtt import packets
from bridge.mqtt.errors import Malformed, TooLarge, Unacceptable
from bridge.mqtt.framing import MAX_PACKET, Frame, Framing
from bridge.mqtt.packets import Connect, Will
from bridge.mqtt.topics import CACHED_NAMES, TopicNames

_named = pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)


@_named
def test_encode(case: Case) -> None:
    assert case.encoded == case.data


@_named
def test_decode(case: Case) -> None:
    framing = Framing()
    assert framing.feed(case.data) == [case.frame]
    assert framing.error is None
    assert framing.buffered == 0
    if case.decode is not None:
        assert case.decode(case.frame[3]) == case.value


@_named
def test_every_truncation_waits_for_the_rest(case: Case) -> None:
    for cut in range(len(case.data)):
        framing = Framing()
        assert framing.feed(case.data[:cut]) == []
        assert framing.error is None
        assert framing.buffered == cut
        assert framing.feed(case.data[cut:]) == [case.frame]
        assert framing.buffered == 0


@_named
def test_every_truncated_body_is_malformed(case: Case) -> None:
    """Cut within the fields; cuts between two filters or two codes give a shorter list."""
    if case.decode is None:
        return
    for cut in range(len(case.frame[3])):
        try:
            shorter = case.decode(case.frame[3][:cut])
        except Malformed:
            continue
        assert isinstance(shorter, list)
        assert shorter == case.value[: len(shorter)]
        assert 0 < len(shorter) < len(case.value)


def test_every_split_of_all_packets_in_a_row() -> None:
    stream = b"".join(case.data for case in GOOD)
    frames = [case.frame for case in GOOD]
    assert Framing().feed(stream) == frames
    for cut in range(len(stream)):
        framing = Framing()
        assert framing.feed(stream[:cut]) + framing.feed(stream[cut:]) == frames


def test_byte_by_byte() -> None:
    framing = Framing()
    found: list[Frame] = []
    for case in GOOD:
        for byte in case.data:
            found += framing.feed(bytes((byte,)))
    assert found == [case.frame for case in GOOD]


@pytest.mark.parametrize(("data", "tag"), BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_malformed(data: bytes, tag: str) -> None:
    framing = Framing()
    assert framing.feed(GOOD[0].data + data) == [GOOD[0].frame]
    assert framing.error is not None
    assert framing.error.tag == tag
    assert framing.feed(GOOD[0].data) == []


@pytest.mark.parametrize(("data", "tag"), BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_malformed_byte_by_byte(data: bytes, tag: str) -> None:
    framing = Framing()
    for byte in data:
        assert framing.feed(bytes((byte,))) == []
    assert framing.error is not None
    assert framing.error.tag == tag


@pytest.mark.parametrize(("decode", "body", "tag"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_malformed_bodies(decode: object, body: bytes, tag: str) -> None:
    assert callable(decode)
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.tag == tag


def test_another_protocol_version_is_told_apart() -> None:
    with pytest.raises(Unacceptable) as caught:
        packets.decode_connect(b"\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00")
    assert (caught.value.name, caught.value.level) == ("MQTT", 6)


def test_the_size_is_refused_from_the_header() -> None:
    framing = Framing(limit=100)
    assert framing.feed(packets.encode_publish("a", b"x" * 95)) == [(0x30, "a", 0, b"x" * 95)]
    assert framing.feed(b"\x30\x63") == []
    assert isinstance(framing.error, TooLarge)
    assert (framing.error.size, framing.error.limit, framing.buffered) == (101, 100, 0)
    framing = Framing(limit=100)
    framing.feed(b"\x30\xff\xff\xff\x7f")
    assert isinstance(framing.error, TooLarge)
    assert framing.error.size == MAX_PACKET


def test_gathering_costs_no_more_than_the_bytes() -> None:
    packet = packets.encode_publish("a", b"x" * 200_000)
    framing = Framing()
    for start in range(0, len(packet) - 1, 7):
        assert framing.feed(packet[start : min(start + 7, len(packet) - 1)]) == []
    assert framing.feed(packet[-1:])[0][3] == b"x" * 200_000


def test_fields_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Malformed):
        packets.encode_publish("x" * 65_536, b"")
    with pytest.raises(Malformed):
        packets.encode_length(268_435_456)
    assert packets.encode_length(268_435_455) == b"\xff\xff\xff\x7f"


def test_names_are_remembered_and_bounded() -> None:
    names = TopicNames()
    first = names[b"a/b"]
    assert names[b"a/b"] is first
    for number in range(CACHED_NAMES):
        assert names[b"%d" % number] == str(number)
    assert len(names) <= CACHED_NAMES
    assert names[b"x" * 257] == "x" * 257
    assert b"x" * 257 not in names
    with pytest.raises(Malformed):
        names[b"#"]
    assert b"#" not in names


_strings = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=50)
_topics = st.text(st.characters(exclude_characters="\0+#", exclude_categories=("Cs",)), min_size=1, max_size=50)
_ids = st.integers(1, 65_535)
_levels = st.sampled_from(["", "a", "+", "é"])
_filters = st.builds(
    lambda levels, end: "/".join([*levels, end]), st.lists(_levels, max_size=4), st.sampled_from(["#", "+", "b", "x y"])
)


@given(_topics, st.binary(max_size=300), st.integers(0, 2), st.booleans(), st.booleans(), _ids, st.data())
def test_publish_round_trip(
    topic: str, payload: bytes, qos: int, retain: bool, dup: bool, packet_id: int, data: st.DataObject
) -> None:
    dup = dup and qos > 0
    encoded = packets.encode_publish(topic, payload, qos, retain=retain, dup=dup, packet_id=packet_id)
    framing = Framing()
    cut = data.draw(st.integers(0, len(encoded)))
    frames = framing.feed(encoded[:cut]) + framing.feed(encoded[cut:])
    assert frames == [(0x30 | dup << 3 | qos << 1 | retain, topic, packet_id if qos else 0, payload)]


_wills = st.builds(Will, _topics, st.binary(max_size=50), st.integers(0, 2), st.booleans(), st.none())


@given(
    _strings,
    st.booleans(),
    st.integers(0, 65_535),
    st.none() | _strings,
    st.none() | st.binary(max_size=50),
    st.none() | _wills,
)
def test_connect_round_trip(
    client_id: str, clean: bool, keep_alive: int, username: str | None, password: bytes | None, will: Will | None
) -> None:
    connect = Connect(client_id, clean, keep_alive, username, password if username is not None else None, will)
    [(_, _, _, body)] = Framing().feed(packets.encode_connect(connect))
    assert packets.decode_connect(body) == connect


@given(_ids, st.lists(st.tuples(_filters, st.integers(0, 2)), min_size=1, max_size=5))
def test_subscribe_round_trip(packet_id: int, filters: list[tuple[str, int]]) -> None:
    [(first, _, found, body)] = Framing().feed(packets.encode_subscribe(packet_id, filters))
    assert (first, found, packets.decode_subscribe(body)) == (0x82, packet_id, filters)
    [(first, _, found, body)] = Framing().feed(packets.encode_unsubscribe(packet_id, [name for name, _ in filters]))
    assert (first, found, packets.decode_unsubscribe(body)) == (0xA2, packet_id, [name for name, _ in filters])


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_garbage_gives_frames_or_an_error_and_nothing_else(chunks: list[bytes]) -> None:
    framing = Framing(limit=1_000)
    for chunk in chunks:
        for first, _, _, body in framing.feed(chunk):
            for decode in (packets.decode_connect, packets.decode_subscribe, packets.decode_unsubscribe):
                try:
                    decode(body)
                except Malformed:
                    continue
            assert 0x10 <= first <= 0xE0
    assert framing.buffered <= 1_000
    split = Framing(limit=1_000)
    whole = split.feed(b"".join(chunks))
    again = Framing(limit=1_000)
    assert [frame for chunk in chunks for frame in again.feed(chunk)] == whole
    assert (again.error is None) == (split.error is None)
