"""The same random steps for our broker and for Mosquitto: subscribers must see the same.

Differences that the standard allows, and that are evened out: with overlapping subscriptions a message may come once or once for
each of them (we send one copy, at the highest QoS), so that copies are counted once, and QoS is compared where one filter of the
client covers the topic; order is that of the messages of one topic and one QoS of publishing. `EMS_CONFORMANCE_EXAMPLES` is how
many sequences of steps are tried, others each time; without it they are few and always the same.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from harness.mosquitto import OPEN, mosquitto, needs_mosquitto
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from bridge.mqtt.topics import matches
from conformance.twins import Address, Twin, Will, heard, order

sys.path.append(str(Path(__file__).resolve().parents[1] / "broker"))

from broker_rig import rig

EXAMPLES = int(os.environ.get("EMS_CONFORMANCE_EXAMPLES", "40"))
T = TypeVar("T")

CLIENTS = ("a", "b", "c")
TOPICS = ("t", "t/a", "t/a/b", "t/b", "t//b")
FILTERS = ("t", "t/a", "t/+", "t/#", "t/+/b", "t/a/#", "+/a", "+/+/+", "t//b")
topics, filters = st.sampled_from(TOPICS), st.sampled_from(FILTERS)
qualities = st.integers(0, 2)
examples = itertools.count()


class Pair:
    """One client of both brokers."""

    def __init__(self, addresses: tuple[Address, Address], client_id: str) -> None:
        self.twins = [Twin(address, client_id) for address in addresses]
        self.client_id = client_id
        self.filters: dict[str, int] = {}
        """What its session has subscribed to."""
        self.clean = True
        self.connected = False


class Twins(RuleBasedStateMachine):
    """Steps, each followed by a look at what every connected client got of it."""

    def __init__(self, runner: asyncio.Runner, addresses: tuple[Address, Address]) -> None:
        super().__init__()
        self.runner = runner
        self.root = f"x{next(examples)}"
        self.pairs = {name: Pair(addresses, f"{self.root}-{name}") for name in CLIENTS}
        self.probes = [Twin(address, f"{self.root}-probe") for address in addresses]
        self.numbers = itertools.count(1)
        self.published: dict[bytes, int] = {}
        """QoS of each payload."""
        for probe in self.probes:
            self.run(probe.connect(True, None))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def both(self, name: str, do: str, *arguments: Any) -> list[Any]:
        """A step of a client at both brokers; both answers."""
        return [self.run(getattr(twin, do)(*arguments)) for twin in self.pairs[name].twins]

    def topic(self, name: str) -> str:
        return f"{self.root}/{name}"

    def payload(self, qos: int) -> bytes:
        made = b"%d" % next(self.numbers)
        self.published[made] = qos
        return made

    def teardown(self) -> None:
        for pair in self.pairs.values():
            if pair.connected:
                for twin in pair.twins:
                    self.run(twin.cut())
        for probe in self.probes:
            self.run(probe.cut())

    def one(self, data: st.DataObject, *, connected: bool) -> str:
        """The name of a client that is connected, or is not."""
        return data.draw(st.sampled_from([name for name, pair in self.pairs.items() if pair.connected is connected]))

    @initialize(clean=st.booleans(), qos=qualities)
    def begin(self, clean: bool, qos: int) -> None:
        """Somebody listens to everything from the beginning."""
        self._connect("a", clean, None)
        self._subscribe("a", "t/#", qos)

    @precondition(lambda self: not all(pair.connected for pair in self.pairs.values()))
    @rule(
        data=st.data(), clean=st.booleans(), will=st.none() | st.tuples(topics, st.booleans(), qualities, st.booleans())
    )
    def connect(self, data: st.DataObject, clean: bool, will: tuple[str, bool, int, bool] | None) -> None:
        self._connect(self.one(data, connected=False), clean, will)

    def _connect(self, name: str, clean: bool, will: tuple[str, bool, int, bool] | None) -> None:
        pair, made = self.pairs[name], None
        if will is not None:
            topic, empty, qos, retain = will
            made = Will(self.topic(topic), b"" if empty else self.payload(qos), qos, retain)
        ours, theirs = self.both(name, "connect", clean, made)
        assert ours == theirs, "session present"
        if clean or pair.clean:
            pair.filters.clear()
        pair.connected, pair.clean = True, clean
        self.both(name, "subscribe", f"{self.root}-barrier/{name}", 2)
        self.look()

    @precondition(lambda self: any(pair.connected for pair in self.pairs.values()))
    @rule(data=st.data(), goodbye=st.booleans())
    def leave(self, data: st.DataObject, goodbye: bool) -> None:
        """By DISCONNECT, or without a word."""
        name = self.one(data, connected=True)
        self.pairs[name].connected = False
        self.both(name, "disconnect" if goodbye else "cut")
        self.look()
        self.look()  # what a broker finds out behind the first

    @precondition(lambda self: any(pair.connected for pair in self.pairs.values()))
    @rule(data=st.data(), wanted=filters, qos=qualities)
    def subscribe(self, data: st.DataObject, wanted: str, qos: int) -> None:
        self._subscribe(self.one(data, connected=True), wanted, qos)

    def _subscribe(self, name: str, wanted: str, qos: int) -> None:
        topic_filter = self.topic(wanted) if not wanted.startswith("+") else wanted.replace("+", self.root, 1)
        ours, theirs = self.both(name, "subscribe", topic_filter, qos)
        assert ours == theirs == [qos]
        self.pairs[name].filters[topic_filter] = qos
        self.look()

    @precondition(lambda self: any(pair.connected and pair.filters for pair in self.pairs.values()))
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        name = data.draw(
            st.sampled_from([name for name, pair in self.pairs.items() if pair.connected and pair.filters])
        )
        topic_filter = data.draw(st.sampled_from(sorted(self.pairs[name].filters)))
        self.both(name, "unsubscribe", topic_filter)
        del self.pairs[name].filters[topic_filter]
        self.look()

    @precondition(lambda self: any(pair.connected for pair in self.pairs.values()))
    @rule(data=st.data(), qos=qualities, burst=st.lists(st.tuples(topics, st.booleans()), min_size=1, max_size=5))
    def publish(self, data: st.DataObject, qos: int, burst: list[tuple[str, bool]]) -> None:
        self._publish(data, [(self.topic(topic), self.payload(qos), qos, retain) for topic, retain in burst])

    @precondition(lambda self: any(pair.connected for pair in self.pairs.values()))
    @rule(data=st.data(), burst=st.lists(st.tuples(topics, qualities), min_size=1, max_size=8))
    def publish_mixed(self, data: st.DataObject, burst: list[tuple[str, int]]) -> None:
        """Nothing retained: which of two at different QoS is the last, the brokers may see differently."""
        self._publish(data, [(self.topic(topic), self.payload(qos), qos, False) for topic, qos in burst])

    @precondition(lambda self: any(pair.connected for pair in self.pairs.values()))
    @rule(data=st.data(), topic=topics, qos=qualities)
    def unretain(self, data: st.DataObject, topic: str, qos: int) -> None:
        self._publish(data, [(self.topic(topic), b"", qos, True)])

    def _publish(self, data: st.DataObject, messages: list[tuple[str, bytes, int, bool]]) -> None:
        self.both(self.one(data, connected=True), "publish", messages)
        self.look()

    def look(self) -> None:
        """Both brokers have told every connected client the same since the last look."""
        for name, pair in self.pairs.items():
            if not pair.connected:
                continue
            mark = b"mark %d" % next(self.numbers)
            got = []
            for probe, twin in zip(self.probes, pair.twins, strict=True):
                self.run(probe.publish([(f"{self.root}-barrier/{name}", mark, 2, False)]))
                got.append(self.run(twin.until(mark)))
            ours, theirs = map(heard, got)
            assert ours.keys() == theirs.keys(), f"{name}: ours {sorted(ours)}, Mosquitto's {sorted(theirs)}"
            single = [each for each in ours if sum(matches(wanted, each[0]) for wanted in pair.filters) == 1]
            assert [ours[each] for each in single] == [theirs[each] for each in single], f"{name}: QoS"
            if len(single) == len(ours):
                live = [[each for each in messages if not each.retain] for messages in got]
                assert order(live[0], self.published) == order(live[1], self.published), f"{name}: order"


@needs_mosquitto
@pytest.mark.timeout(max(120, EXAMPLES * 5))
def test_subscribers_see_what_mosquittos_see(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            made = runner.run(stack.enter_async_context(rig()))
            port = runner.run(stack.enter_async_context(mosquitto(tmp_path, OPEN + "set_tcp_nodelay true\n")))
            addresses = (made.host, made.port), ("127.0.0.1", port)
            run_state_machine_as_test(
                lambda: Twins(runner, addresses),
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=25,
                    deadline=None,
                    derandomize="EMS_CONFORMANCE_EXAMPLES" not in os.environ,
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                ),
            )
        finally:
            runner.run(stack.aclose())
