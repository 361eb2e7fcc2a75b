"""Who sends and who receives: devices that publish reports, the platform that takes them, and what they count together.

Packets are built once and patched.
"""

from __future__ import annotations

import json
import struct
import sys
import uuid
from array import array
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, time_ns

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import messages, wire

from benchmarks import streams
from benchmarks.sockets import Loop, Peer

FILTER = "v1/+/+/+/report/regular/post"


class Traffic:
    """What all devices and the platform of one generator count together. A report's number is its place in these lists.

    A device's slot is free again when its report was acknowledged and has reached the platform: no broker looks quick by piling
    up what it has acknowledged.
    """

    def __init__(self) -> None:
        self.sent_at: array[float] = array("d")
        self.half = bytearray()
        """1 after the first of the two."""
        self.slots: list[tuple[Device, int]] = []
        self.base = 0
        """The first number of the running phase: what comes from before it is late, and not counted."""
        self.going = False
        self.saturated = False
        self.acked = self.delivered = 0
        self.seen: set[int] = set()
        self.ack_s: list[float] = []
        self.deliver_s: list[float] = []

    @property
    def sent(self) -> int:
        return len(self.sent_at) - self.base

    def begin(self, *, saturated: bool) -> None:
        """A phase begins; nothing of it is on its way yet."""
        self.base = len(self.sent_at)
        self.going, self.saturated = True, saturated
        self.acked = self.delivered = 0
        self.seen.clear()
        self.forget()

    def forget(self) -> None:
        """The latencies so far were the warm-up's."""
        self.ack_s, self.deliver_s = [], []

    def came(self, numbers: Sequence[int], now: float) -> None:
        """Reports have reached the platform."""
        sent_at, half, slots = self.sent_at, self.half, self.slots
        if min(numbers) < self.base:
            numbers = [number for number in numbers if number >= self.base]
        self.delivered += len(numbers)
        fresh = self.seen.isdisjoint(numbers)
        if not fresh:  # again: their slots may carry other reports by now
            numbers = [number for number in numbers if number not in self.seen]
        self.seen.update(numbers)
        self.deliver_s += [now - sent_at[number] for number in numbers]
        free: dict[Device, list[int]] = {}
        for number in numbers:
            if half[number]:
                device, slot = slots[number]
                free.setdefault(device, []).append(slot)
            else:
                half[number] = 1
        for device, ids in free.items():
            device.freed(ids, now)


class Device(Peer):
    """Publishes its report again and again: packet id, mid and timestamp are patched in place. Packet ids are slots: `free` ones
    may be used, `due` holds when reports should have gone that found none free."""

    __slots__ = (
        "clock",
        "due",
        "free",
        "id_at",
        "mid_at",
        "numbers",
        "shape",
        "slots",
        "template",
        "time_at",
        "traffic",
    )

    def __init__(self, loop: Loop, traffic: Traffic, name: str, secret: str | None) -> None:
        super().__init__(loop, name, secret)
        self.traffic = traffic
        self.clock = time_ns() // 1_000_000
        mid, at = str(uuid.uuid4()), self.clock
        topic, payload = messages.topic(name, messages.REPORT), messages.report(name, 12.5, at=at, mid=mid)
        self.template = packet = bytearray(wire.publish(topic, payload, 1))
        self.id_at = packet.index(topic.encode()) + len(topic)
        self.mid_at = packet.index(mid.encode()) + len(mid) - streams.DIGITS
        self.time_at = packet.index(str(at).encode())
        head = bytes(packet[: packet.index(topic.encode()) - 2])
        self.shape = streams.Shape(len(packet), head, self.id_at, self.mid_at)
        self.numbers: list[int] = []
        """The report of each slot."""
        self.slots: list[tuple[Device, int]] = []
        self.free: deque[int] = deque()
        self.due: deque[float] = deque()

    def window(self, size: int) -> None:
        """So many reports may be on their way."""
        self.numbers = [0] * (size + 1)
        self.slots = [(self, packet_id) for packet_id in range(size + 1)]
        self.free = deque(range(1, size + 1))
        self.due.clear()

    def report(self, packet_id: int, since: float) -> bytes:
        """The next report. `since` is when it was sent, or should have been."""
        traffic, packet = self.traffic, self.template
        self.clock = clock = max(self.clock + 1, time_ns() // 1_000_000)
        number = len(traffic.slots)
        struct.pack_into(">H", packet, self.id_at, packet_id)
        packet[self.mid_at : self.mid_at + 8] = b"%08x" % number
        packet[self.time_at : self.time_at + 13] = b"%013d" % clock
        traffic.sent_at.append(since)
        traffic.slots.append(self.slots[packet_id])
        traffic.half.append(0)
        self.numbers[packet_id] = number
        return bytes(packet)

    def fill(self) -> None:
        """Send as many reports as the window takes."""
        now = perf_counter()
        self.send(b"".join([self.report(self.free.popleft(), now) for _ in range(len(self.free))]))

    def publish(self, due: float) -> None:
        """Send one report that was due, when a slot is free."""
        if self.free:
            self.send(self.report(self.free.popleft(), perf_counter()))
        else:
            self.due.append(due)

    def freed(self, ids: list[int], now: float) -> None:
        """Slots may be used again."""
        if self.traffic.saturated:
            if self.traffic.going:
                self.send(b"".join([self.report(packet_id, now) for packet_id in ids]))
            return
        self.free += ids
        while self.due and self.free:
            self.send(self.report(self.free.popleft(), self.due.popleft()))

    def on_data(self, data: bytes) -> None:
        """Nearly always PUBACKs and nothing else."""
        if data[0] != 0x40 or len(data) & 3 or data[::4].count(0x40) != len(data) >> 2:
            super().on_data(data)
            return
        self.buffer = b""
        self.acknowledged([data[place] << 8 | data[place + 1] for place in range(2, len(data), 4)])

    def acknowledged(self, ids: list[int]) -> None:
        now, traffic, numbers = perf_counter(), self.traffic, self.numbers
        sent_at, half = traffic.sent_at, traffic.half
        traffic.acked += len(ids)
        free = []
        for packet_id in ids:
            number = numbers[packet_id]
            traffic.ack_s.append(now - sent_at[number])
            if half[number]:
                free.append(packet_id)
            else:
                half[number] = 1
        if free:
            self.freed(free, now)

    def on_packet(self, first: int, body: bytes) -> None:
        if first == 0x40:
            self.acknowledged([body[0] << 8 | body[1]])
        else:
            super().on_packet(first, body)


class Platform(Peer):
    """Subscribes to every report, acknowledges each, and notes which came."""

    __slots__ = ("shape", "traffic")

    def __init__(self, loop: Loop, traffic: Traffic, name: str, secret: str | None, shape: streams.Shape) -> None:
        super().__init__(loop, name, secret)
        self.traffic = traffic
        self.shape = shape

    def on_data(self, data: bytes) -> None:
        at, shape = 0, self.shape
        while True:
            if len(data) - at >= shape.size and data.startswith(shape.head, at):
                count = shape.alike(data, at)
                numbers, acks = shape.taken(data, at, count)
                self.send(acks)
                self.traffic.came(numbers, perf_counter())
                at += count * shape.size
                continue
            packet = next(streams.packets(data, at), None)
            if packet is None:
                break
            self.on_packet(packet.first, packet.body)
            at = packet.end
        self.buffer = data[at:]

    def on_packet(self, first: int, body: bytes) -> None:
        """A PUBLISH that is not like the others: sent again, at QoS 0, retained."""
        if first >> 4 != wire.PUBLISH:
            super().on_packet(first, body)
            return
        shape, head = self.shape, len(self.shape.head)
        if first & 6:
            self.send(b"\x40\x02" + body[shape.id_at - head : shape.id_at - head + 2])
        payload = shape.size - shape.id_at - 2
        number = streams.number_of(body, payload, shape.number_at - shape.id_at - 2)
        if 0 <= number < len(self.traffic.sent_at):
            self.traffic.came([number], perf_counter())


def commands(device: str) -> str:
    """The filter of a device's own commands."""
    return str(messages.topic(device, "+/+/command"))


def people(path: Path, *, anonymous: bool) -> list[tuple[str, str | None]]:
    """(name, secret) of each line; the last is the platform. No secrets where anybody may come in."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(one["name"], None if anonymous else one["secret"]) for one in found]
