"""Who may knock, and how often: counts and rates by address, on a clock of the tests' own."""

from __future__ import annotations

import pytest

from bridge.broker.door import BUCKETS, HANDSHAKES, PER_ADDRESS_RATE, SHARE, Door, DoorLimits
from bridge.core.crowd import Crowd
from bridge.core.peer import LOCAL_SOCKET, Peer, is_local, place


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def knocks(door: Door, host: str, count: int) -> list[str]:
    return [door.knock(host) for _ in range(count)]


@pytest.mark.parametrize(
    ("host", "at", "local"),
    [
        ("192.0.2.1", "192.0.2.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.9.9.9", "127.9.9.9", True),
        ("::1", "::/64", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", False),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", False),
        ("2001:db8:1:2::", "2001:db8:1:2::/64", False),
        ("fe80::1%eth0", "fe80::/64", False),
        (LOCAL_SOCKET, LOCAL_SOCKET, True),
        ("", "", False),
        ("no:address", "no:address", False),
    ],
)
def test_an_address_its_place_and_whether_it_is_this_machine(host: str, at: str, local: bool) -> None:
    assert place(host) == at
    assert is_local(host) is local


def test_a_peer_in_a_log_line() -> None:
    assert str(Peer("192.0.2.1", 5)) == "192.0.2.1:5"
    assert str(Peer("2001:db8::1", 5)) == "[2001:db8::1]:5"
    assert str(Peer("192.0.2.1", 5, "EMS\n1")) == "192.0.2.1:5 ('EMS\\n1' by certificate)"


def test_one_address_may_hold_a_share_of_all_connections(clock: Clock) -> None:
    door = Door(DoorLimits(max_connections=50), clock)
    for _ in range(50 // SHARE):
        assert door.knock("192.0.2.1") == ""
        door.enter("192.0.2.1")
    assert door.knock("192.0.2.1") == door.full("192.0.2.1") == "connections_per_address"
    assert door.knock("192.0.2.2") == ""
    door.leave("192.0.2.1")
    clock.now += 1
    assert door.knock("192.0.2.1") == ""


def test_a_v6_network_is_one_address_and_a_mapped_one_is_its_v4_address(clock: Clock) -> None:
    door = Door(DoorLimits(max_connections=10), clock)
    door.enter("2001:db8::1")
    door.enter("2001:db8::ffff:1")
    assert door.full("2001:db8::2") == "connections_per_address"
    assert door.full("2001:db8:0:1::2") == ""
    door.enter("192.0.2.1")
    door.enter("::ffff:192.0.2.1")
    assert door.full("192.0.2.1") == "connections_per_address"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", LOCAL_SOCKET])
def test_this_machine_itself_is_bounded_as_a_whole_only(clock: Clock, host: str) -> None:
    door = Door(DoorLimits(max_connections=10, rate=1_000), clock)
    for _ in range(500):
        assert door.knock(host) == ""
        door.enter(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_a_bound_that_is_set_holds_for_everybody_but_unix_sockets(clock: Clock, host: str) -> None:
    door = Door(DoorLimits(per_address=2, rate_per_address=3), clock)
    door.enter(host)
    assert door.full(host) == ""
    door.enter(host)
    assert door.full(host) == "connections_per_address"
    door.leave(host)
    assert knocks(door, host, 7) == [""] * 6 + ["connect_rate_per_address"]
    clock.now += 1
    assert knocks(door, host, 4) == [""] * 3 + ["connect_rate_per_address"]
    assert knocks(door, LOCAL_SOCKET, 50) == [""] * 50


def test_a_stranger_may_come_with_a_share_at_once_and_then_at_a_rate(clock: Clock) -> None:
    door = Door(DoorLimits(max_connections=1_000), clock)
    assert knocks(door, "192.0.2.1", 201) == [""] * 200 + ["connect_rate_per_address"]
    clock.now += 0.5
    assert knocks(door, "192.0.2.1", 51) == [""] * int(PER_ADDRESS_RATE / 2) + ["connect_rate_per_address"]
    assert door.knock("192.0.2.2") == ""


def test_all_together_have_a_rate(clock: Clock) -> None:
    door = Door(DoorLimits(rate=10), clock)
    assert [door.knock(f"192.0.2.{n}") for n in range(21)] == [""] * 20 + ["connect_rate"]
    clock.now += 0.1
    assert knocks(door, "127.0.0.1", 2) == ["", "connect_rate"]
    assert knocks(Door(DoorLimits(rate=0), clock), "127.0.0.1", 1_000) == [""] * 1_000


def test_who_is_refused_for_his_own_sake_takes_nothing_from_what_all_share(clock: Clock) -> None:
    """Else one address that hammers would keep out everybody."""
    door = Door(DoorLimits(max_connections=10, rate=10), clock)
    assert set(knocks(door, "192.0.2.1", 1_000)[2:]) == {"connect_rate_per_address"}
    door.enter("192.0.2.9")
    door.enter("192.0.2.9")
    assert set(knocks(door, "192.0.2.9", 1_000)) == {"connections_per_address"}
    assert knocks(door, "127.0.0.1", 18) == [""] * 18


def test_a_rate_below_one_lets_one_in(clock: Clock) -> None:
    door = Door(DoorLimits(rate=0.1), clock)
    assert knocks(door, "127.0.0.1", 2) == ["", "connect_rate"]
    clock.now += 10
    assert door.knock("127.0.0.1") == ""


def test_handshakes_of_one_address_at_once(clock: Clock) -> None:
    door = Door(clock=clock)
    assert [door.shake("192.0.2.1") for _ in range(HANDSHAKES + 1)] == [""] * HANDSHAKES + ["handshakes_per_address"]
    assert door.shake("192.0.2.2") == ""
    assert [door.shake("127.0.0.1") for _ in range(HANDSHAKES * 2)] == [""] * HANDSHAKES * 2
    door.shaken("192.0.2.1")
    assert door.shake("192.0.2.1") == ""


def test_addresses_are_forgotten(clock: Clock) -> None:
    door = Door(DoorLimits(max_connections=1_000_000, rate=0), clock)
    for number in range(BUCKETS + 500):
        door.knock(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(door._buckets) == BUCKETS
    crowd = Crowd()
    for _ in range(3):
        crowd.enter("192.0.2.1")
    for _ in range(5):
        crowd.leave("192.0.2.1")
    assert (len(crowd), crowd.of("192.0.2.1")) == (0, 0)
