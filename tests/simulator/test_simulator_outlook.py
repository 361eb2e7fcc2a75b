"""The outlook asks for a quarter hour's load only where it may matter: what it says is what looking at every one would say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import piles
from simulator.battery import lfp
from simulator.outlook import _power, _taken, outlook
from simulator.piles import Piles
from simulator.plan import Plan
from simulator.profile import load_kw, most_kw
from simulator.site import BLOCK_S, Spec, State, advance, begin, demand_limit, local_time

MIDNIGHT = 1_782_748_800.0  # 2026-06-30 00:00 at UTC+8: the second day is of another month
LIMITS = st.sampled_from(
    [None, *((low,) * 6 + (high,) * 6 for low, high in ((90.0, 400.0), (200.0, 150.0), (330.0, 330.0)))]
)


@given(
    at=st.integers(0, 2**17).map(lambda n: n * BLOCK_S + 1.7e9),
    inside=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    base=st.floats(0, 100),
    swing=st.floats(0, 400),
    latitude=st.sampled_from([31.2, -33.9]),
)
def test_a_load_is_never_above_what_it_cannot_be_above(
    at: float, inside: float, seed: int, base: float, swing: float, latitude: float
) -> None:
    at = math.floor(at / BLOCK_S) * BLOCK_S
    moment = min(at + inside * BLOCK_S, at + BLOCK_S - 1e-2)
    most = most_kw(at, at + BLOCK_S, 28_800.0, base, swing, latitude)
    assert load_kw(seed, moment, 28_800.0, base, swing, latitude) <= most * (1.0 + 1e-9)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    limits=LIMITS,
    share=st.sampled_from([None, 0.3, 0.9]),
    count=st.integers(0, 3),
    since=st.sampled_from([0.0, 7.0, 40_000.0, 85_000.0]),
)
def test_nothing_is_left_out(
    seed: int, limits: tuple[float, ...] | None, share: float | None, count: int, since: float
) -> None:
    spec = Spec(
        seed, 30.0, 200.0, 120.0, lfp(104.5, 50.0, 1), transformer_kva=250.0, piles=Piles(count, 60.0, 20.0 * count)
    )
    plan = Plan(demand_kw=limits, dynamic_share=share)
    state = advance(begin(spec, MIDNIGHT - 3600.0, plan=plan), MIDNIGHT + since)
    asked, expected = outlook(state), every_quarter(state)
    assert len(asked) == len(expected)
    assert asked == pytest.approx(expected, abs=1e-6)


def every_quarter(state: State) -> tuple[float, ...]:
    """The same without a shortcut."""
    spec, yard, at, means = state.spec, state.yard, state.at, []
    while at < MIDNIGHT + 2 * 86_400.0:
        end, kwh, begun = (math.floor(at / BLOCK_S) + 1) * BLOCK_S, 0.0, at
        while at < end:
            to = min(end, at + 300.0)
            kw = _power(state, (at + to) / 2)
            yard = piles.turn(spec.piles, yard, spec.seed, at, to, spec.utc_offset_s)
            left = spec.transformer_kva * spec.power_factor - kw
            yard, drawn = piles.charge(spec.piles, yard, (to - at) / 3600.0, math.inf, left)
            kwh += (kw + drawn) * (to - at) / 3600.0
            at = to
        means.append(kwh * 3600.0 / (end - begun))
    battery = spec.battery
    usable = (battery.soc_max - battery.soc_min) * battery.capacity_kwh * state.soh
    held = [0.0] * 193
    for n, mean in zip(range(191, -1, -1), reversed(means), strict=False):
        limit = demand_limit(state, local_time(spec, MIDNIGHT + n * BLOCK_S).month)
        over = -math.inf if limit is None else mean * 1.05 - limit
        held[n] = min(max(held[n + 1] + _taken(spec, over), 0.0), usable)
    return tuple(held[:97]) if any(held[:97]) else ()
