"""The outbound state of a session against a plain model: ids, window, order, bounds."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from bridge.mqtt.flow import QUEUED, RELEASED, RESERVED, SENT, Delivery, Message, Outbound


class OutboundMachine(RuleBasedStateMachine):
    """Random steps of one session; what the client must have seen is kept beside it."""

    reserved = Bundle("reserved")

    @initialize(window=st.integers(1, 3), size=st.integers(2, 6))
    def start(self, window: int, size: int) -> None:
        self.out = Outbound(window, size, 60)
        self.unfinished: list[Delivery] = []
        self.sent: list[Delivery] = []
        self.number = 0

    @rule(target=reserved, qos=st.integers(1, 2), size=st.integers(0, 40))
    def reserve(self, qos: int, size: int) -> Delivery | None:
        full = len(self.unfinished) >= self.out.max_messages or (
            bool(self.unfinished) and self.out.size + size + 1 > self.out.max_bytes
        )
        delivery = self.out.reserve(Message("t", b"x" * size), qos)
        assert (delivery is None) == full
        if delivery is not None:
            self.unfinished.append(delivery)
        return delivery

    @rule(delivery=consumes(reserved), keep=st.booleans())
    def decide(self, delivery: Delivery | None, keep: bool) -> None:
        if delivery is None:
            return
        if keep:
            self.out.ready(delivery)
        else:
            self.out.discard(delivery)
            self.unfinished.remove(delivery)

    @rule()
    def take(self) -> None:
        delivery = self.out.take()
        if delivery is None:
            assert not self.out.waiting or len(self.sent) == self.out.window
            return
        assert delivery.state in (SENT, RELEASED)
        assert delivery not in self.sent
        self.sent.append(delivery)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        delivery = data.draw(st.sampled_from(self.sent))
        if delivery.qos == 1:
            assert self.out.acknowledge(delivery.packet_id) is delivery
        elif delivery.state == SENT:
            assert self.out.complete(delivery.packet_id) is None
            assert self.out.receive(delivery.packet_id) is delivery
            self.out.release(delivery)
            return
        else:
            assert self.out.complete(delivery.packet_id) is delivery
        self.sent.remove(delivery)
        self.unfinished.remove(delivery)

    @rule(packet_id=st.integers(1, 70_000))
    def answer_nonsense(self, packet_id: int) -> None:
        if packet_id not in [delivery.packet_id for delivery in self.sent]:
            assert self.out.acknowledge(packet_id) is None
            found = self.out.sent.get(packet_id)
            if found is None or found.state != RELEASED:
                assert self.out.complete(packet_id) is None

    @rule()
    def reconnect(self) -> None:
        before = [delivery for delivery in self.unfinished if delivery.state != RESERVED]
        was_sent = {id(delivery) for delivery in before if delivery.state == SENT}
        self.out.resume()
        self.sent = []
        # Reserved ones take their place in the queue when they are decided, the others keep that of their arrival.
        assert list(self.out.waiting) == before
        for delivery in before:
            assert delivery.state in (QUEUED, RELEASED)
            assert delivery.dup or id(delivery) not in was_sent

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "out"):
            return
        assert list(self.out.entries.values()) == self.unfinished
        assert self.out.inflight == len(self.sent) <= self.out.window
        assert self.out.size == sum(delivery.size for delivery in self.unfinished)
        ids = [delivery.packet_id for delivery in self.sent]
        assert len(set(ids)) == len(ids)
        assert all(1 <= packet_id <= 65_535 for packet_id in ids)


TestOutbound = OutboundMachine.TestCase


def test_a_queue_is_longer_than_there_are_packet_ids() -> None:
    out = Outbound(2, 200_000, 1 << 30)
    for number in range(150_000):
        delivery = out.reserve(Message("t", b"%d" % number), 1)
        assert delivery is not None
        out.ready(delivery)
    straggler = out.take()
    assert straggler is not None
    for number in range(1, 150_000):
        delivery = out.take()
        assert delivery is not None
        assert delivery.message.payload == b"%d" % number
        assert delivery.packet_id != straggler.packet_id
        assert out.acknowledge(delivery.packet_id) is delivery
    assert out.take() is None
    assert out.acknowledge(straggler.packet_id) is straggler
    assert not out.entries
    assert not out.size
