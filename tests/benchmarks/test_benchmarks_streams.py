"""The load generator's parser: packets that are alike are taken by columns, everything else one by one, at every split."""

from __future__ import annotations

import pytest
from harness import wire

from benchmarks.streams import Shape, number_of, packets

TOPIC = "v1/wudun/PK001/LOAD00001/report/regular/post"
PAYLOAD = b'{"mid":"11111111-2222-3333-4444-5555%08x","pad":"' + b"t" * 300 + b'"}'


def publish(number: int, packet_id: int) -> bytes:
    return wire.publish(TOPIC, PAYLOAD % number, packet_id)


def shape() -> Shape:
    packet = publish(0, 1)
    id_at = packet.index(TOPIC.encode()) + len(TOPIC)
    return Shape(len(packet), packet[:3], id_at, packet.index(b"5555") + 4)


def test_numbers_and_acknowledgements_come_out_of_packets_that_are_alike() -> None:
    sent = [(0, 1), (1, 0x4040), (0xDEADBEEF, 65_535)]
    numbers, acks = shape().taken(b"..".join([b"", b"".join(publish(*one) for one in sent)]), 2, len(sent))
    assert list(numbers) == [number for number, _ in sent]
    assert bytes(acks) == b"".join(b"\x40\x02" + packet_id.to_bytes(2, "big") for _, packet_id in sent)


@pytest.mark.parametrize(
    ("other", "before"),
    [(b"\xd0\x00", 2), (publish(7, 7)[:1].replace(b"\x32", b"\x3a") + publish(7, 7)[1:], 2), (b"", 4), (publish(7, 7)[:9], 4)],
)  # fmt: skip
def test_alike_stops_at_what_is_not(other: bytes, before: int) -> None:
    data = publish(1, 1) + publish(2, 2) + (other if before == 2 else b"") + publish(3, 3) + publish(4, 4) + other
    assert shape().alike(data, 0) == before


def test_every_split_gives_the_same_packets() -> None:
    data = b"\x20\x02\x00\x00" + publish(1, 1) + b"\x40\x02\x00\x05" + publish(2, 2)
    whole = [(packet.first, packet.body) for packet in packets(data)]
    assert [first >> 4 for first, _ in whole] == [wire.CONNACK, wire.PUBLISH, wire.PUBACK, wire.PUBLISH]
    for cut in range(len(data)):
        found, end = [], 0
        for packet in packets(data[:cut]):
            found.append((packet.first, packet.body))
            end = packet.end
        assert found + [(packet.first, packet.body) for packet in packets(data, end)] == whole


def test_a_number_is_read_from_the_end_of_a_body() -> None:
    body = next(packets(publish(0xABC, 9))).body
    size = len(PAYLOAD % 0)
    assert number_of(body, size, PAYLOAD.index(b"%08x")) == 0xABC
    assert number_of(b"short", size, 10) == -1
    assert number_of(b"x" * len(body), size, 10) == -1
