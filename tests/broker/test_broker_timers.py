"""What waits for later is bounded by what there is, not by how often it came and went."""

from __future__ import annotations

from broker_five import five
from broker_rig import rig

from bridge.broker.limits import Limits
from bridge.broker.timers import SPARE, Timers
from bridge.mqtt import properties as p


def test_calls_come_in_order_and_once() -> None:
    now = 0.0
    timers = Timers(lambda: now)
    called: list[str] = []
    timers.after(2, lambda: called.append("late"))
    timers.after(1, lambda: called.append("early"))
    timers.after(1, lambda: called.append("replaced"), "subject")
    timers.after(3, lambda: called.append("last"), "subject")
    timers.after(1, lambda: called.append("forgotten"), "other")
    timers.forget("other")
    timers.forget("nobody")
    now = 1.0
    timers.run()
    assert called == ["early"]
    now = 3.0
    timers.run()
    timers.run()
    assert called == ["early", "late", "last"]
    assert len(timers) == 0


def test_a_call_may_wait_again() -> None:
    now = 0.0
    timers = Timers(lambda: now)
    called: list[float] = []

    def again() -> None:
        called.append(now)
        timers.after(5, again, "subject")

    timers.after(5, again, "subject")
    for moment in (5.0, 6.0, 10.0):
        now = moment
        timers.run()
    assert called == [5.0, 10.0]


def test_one_subject_that_waits_again_and_again_is_kept_once() -> None:
    timers = Timers()
    for number in range(10 * SPARE):
        timers.after(1_000_000 - number, list, "subject")
        assert len(timers) <= SPARE + 3


async def test_a_topic_that_is_retained_again_and_again_keeps_its_last_message_only() -> None:
    async with rig(Limits(publish_rate=0)) as made, five(made) as client:
        for number in range(2 * SPARE + 10):
            await client.say("t", b"%d" % number, 1, {p.MESSAGE_EXPIRY: 1_000_000}, retain=True)
        assert len(made.hub.timers) <= SPARE + 3
        await client.say("t", b"", 1, {p.MESSAGE_EXPIRY: 1_000_000}, retain=True)
        assert len(made.hub.retained) == 0


async def test_a_client_that_comes_and_goes_leaves_nothing_behind() -> None:
    async with rig() as made:
        for _ in range(SPARE // 2):
            async with five(made, "c", {p.SESSION_EXPIRY: 1_000_000}):
                pass
        for _ in range(SPARE):
            async with five(made, "c", {p.SESSION_EXPIRY: 1_000_000}, clean_session=False):
                pass
        await made.until(lambda: not made.hub.connections)
        assert len(made.hub.timers) <= SPARE + 3
