"""The faults' grammar, and who is hit."""

from __future__ import annotations

import pytest

from simulator.faults import HONEST, Behaviour, assign, parse_faults, spoil


@pytest.mark.parametrize(
    ("spec", "total", "expected"),
    [
        ("", 10, {}),
        ("silent=1", 10, {Behaviour(silent=True): 1}),
        ("silent=10%", 20, {Behaviour(silent=True): 2}),
        ("silent=1%", 20, {Behaviour(silent=True): 1}),
        ("silent=0%", 20, {}),
        ("offline=2, reject=3", 10, {Behaviour(offline=True): 2, Behaviour(reject=True): 3}),
        ("garbage", 3, {Behaviour(garbage=True): 3}),
        ("slow=2.5", 3, {Behaviour(slow_s=2.5): 3}),
        ("slow=2@1,late=1", 3, {Behaviour(slow_s=2): 1, Behaviour(late=True): 1}),
        ("skew=-60@1", 3, {Behaviour(skew_s=-60): 1}),
        ("skew=-60,skew=5", 3, {Behaviour(skew_s=-60): 3}),
        ("silent=U2,slow=1@U0+U2", 3, {Behaviour(slow_s=1): 1, Behaviour(slow_s=1, silent=True): 1}),
        ("slow=2,silent=1", 3, {Behaviour(slow_s=2): 2, Behaviour(slow_s=2, silent=True): 1}),
    ],
)
def test_a_spec_hits_that_many(spec: str, total: int, expected: dict[Behaviour, int]) -> None:
    given = assign(parse_faults(spec), total, seed=3, uids=[f"U{n}" for n in range(total)])
    counts = {behaviour: given.count(behaviour) for behaviour in set(given) if behaviour != HONEST}
    assert counts == expected


def test_the_seed_decides_who_is_hit() -> None:
    faults = parse_faults("silent=5")
    assert assign(faults, 100, 1) == assign(faults, 100, 1)
    assert assign(faults, 100, 1) != assign(faults, 100, 2)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("loud=1", "the faults are silent, offline, reject, garbage, late, wrong_reply"),
        ("silent=", "'' is no count"),
        ("silent=+", "'+' is no count"),
        ("skew=0", "give the seconds"),
        ("jump=-1", "give the seconds"),
        ("huge=1e9", "give the bytes"),
        ("silent=-1", "no count"),
        ("silent=200%", "no count"),
        ("silent=nan%", "no count"),
        ("slow", "give the seconds"),
        ("slow=0", "give the seconds"),
        ("slow=inf", "give the seconds"),
        ("slow=1e9", "give the seconds"),
        ("skew=-1e300", "give the seconds"),
        ("power_cut=1e300", "give the seconds"),
        ("slow=1@", "no count"),
        ("=1", "the faults are"),
    ],
)
def test_a_wrong_spec_says_what_would_be_right(spec: str, said: str) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        parse_faults(spec)
    assert said in str(caught.value)


def test_more_faults_than_devices() -> None:
    with pytest.raises(ValueError, match="silent=4: the fleet has 3 devices"):
        assign(parse_faults("silent=4"), 3, 1)


def test_nobody_of_that_name() -> None:
    with pytest.raises(ValueError, match="fault silent: 'x' is no count, no percentage, and no device of the fleet"):
        assign(parse_faults("silent=x"), 3, 1, ["a", "b", "c"])


def test_spoilt_json_is_no_json() -> None:
    assert spoil(b'{"a":1,"b":22}') == b'{"a":1,"b\xff'
    assert spoil(b"1") == b"1\xff"
