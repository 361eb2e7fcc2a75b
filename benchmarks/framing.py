"""Framing: bytes to packets. `python -m benchmarks.framing` prints µs per 230-byte QoS 1 PUBLISH, fastest of ROUNDS.

The chunk holds as many packets as one read of a busy socket brings; one packet a chunk shows the cost of a call. Encoding is what
the broker does for one subscriber: the head is shared, the packet id is not.
"""

from __future__ import annotations

from timeit import Timer

from bridge.mqtt.framing import Framing
from bridge.mqtt.packets import encode_publish, publish_parts
from bridge.mqtt.topics import TopicNames

SIZE = 230
TOPIC = "v1/wudun/PK000001/EMS-000001/report/regular/post"
CHUNKS = (1, 20, 280)
PACKETS = 20_000
ROUNDS = 9
MUST_US = 1.0
GOAL_US = 0.5


def publish() -> bytes:
    """A QoS 1 PUBLISH of exactly SIZE bytes."""
    spare = SIZE - len(encode_publish(TOPIC, b"x" * 128, 1, packet_id=1)) + 128
    packet = encode_publish(TOPIC, b"x" * spare, 1, packet_id=1)
    if len(packet) != SIZE:
        raise ValueError(f"the packet has {len(packet)} bytes, not {SIZE}")
    return packet


def decode_us(packets: int) -> float:
    """µs per packet when a chunk holds `packets`."""
    chunk = publish() * packets
    framing = Framing(names=TopicNames())
    loops = PACKETS // packets
    return min(Timer(lambda: framing.feed(chunk)).repeat(ROUNDS, loops)) / (loops * packets) * 1e6


def encode_us() -> float:
    """µs for the copy of one more subscriber."""
    head, payload = publish_parts(TOPIC, b"x" * 170, 1)
    out: list[bytes] = []

    def copy() -> None:
        out.clear()
        for packet_id in range(1, 101):
            out.extend((head, packet_id.to_bytes(2, "big"), payload))
        b"".join(out)

    return min(Timer(copy).repeat(ROUNDS, PACKETS // 100)) / PACKETS * 1e6


def main() -> None:
    """Print the figures; the must is that of the design, for a full chunk."""
    for packets in CHUNKS:
        print(f"decode, {packets:3} packets a chunk  {decode_us(packets):.2f} µs/packet")
    print(f"encode, one more subscriber   {encode_us():.2f} µs/packet")
    print(f"must {MUST_US} µs, goal {GOAL_US} µs (decode, full chunks)")


if __name__ == "__main__":
    main()
