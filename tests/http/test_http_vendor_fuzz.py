"""The vendor's platform API under requests that are nearly right: every answer is one of its own, and none is a 5xx."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from http_vendor_rig import BASE, online, simulated
from test_http_vendor_strategies import AIR, LIMIT, MINE, PROTECTION, SITE

from bridge.http.app import ROUTES

if TYPE_CHECKING:
    from conftest import Window

ROWS = [route for route in ROUTES if route.tag == "vendor"]
ROUNDS = 1_000
D1 = {"device_uid": "D1"}
GOOD: dict[str, Any] = {
    "device": {"uid": "D1", "name": "x", "code": 1},
    "bind-owner": {"license_code": "abcdefgh", "name": "x", "code": 1},
    "common-sync": {"fields": ["soc"]},
    "charge-strategy": MINE,
    "level2-charge-strategy": SITE,
    "protection-strategy": {**D1, **PROTECTION},
    "air-strategy": {**D1, **AIR},
    "pcs-control": {**D1, "command": 1},
    "bms-control": {**D1, "command": 1},
    "reactive-power-control": {**D1, "phase_min_power_factor_a": 0.8, "mode": 1},
    "voltage-control": {**D1, "phase_rated_voltage_a": 220},
    "streaming": {**D1, **LIMIT},
    "overdemand": {**D1, **LIMIT},
}
ODD = [None, True, -1, 0, 1, 2**31, 2**63 - 1, 2**63, 10**30, 1.5, 1e308, "", "x" * 5000, "\0", "é" * 200, [], {}, [None], [[1]],
       {"a": 1}, [0] * 1000, "D1", "D2", "none"]  # fmt: skip
WORDS = {
    "device_uid": ["D1", "D1", "D2", "none", ""],
    "index": ["0", "1", "9" * 25, "x"],
    "period": ["24h", "7d", "x"],
}
NUMBERS = ["1", "2", "0", "-1", "9" * 20, "x", ""]
CODES = {None, 0, 100_001, 100_007, 100_010, *range(140_001, 140_009)}


@pytest.fixture
def config_of() -> dict[str, object]:
    return {"broker.login_failures": 1_000_000, "broker.login_failures_per_address": 1_000_000}


def mutated(rng: random.Random, body: Any) -> Any:
    body = copy.deepcopy(body)
    for _ in range(rng.randint(0, 3)):
        node = body
        while isinstance(node, dict | list) and node:
            key: Any = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
            if isinstance(node[key], dict | list) and rng.random() < 0.6:
                node = node[key]
                continue
            if isinstance(node, dict) and rng.random() < 0.15:
                del node[key]
            else:
                node[key] = copy.deepcopy(rng.choice(ODD))
            break
    return body


@pytest.mark.parametrize("seed", [1, 2])
async def test_nearly_right_requests(window: Window, seed: int) -> None:
    rng = random.Random(seed)
    async with online(window, simulated()):
        for _ in range(ROUNDS):
            route = rng.choice(ROWS)
            path = route.path.replace("{id}", rng.choice(["1", "2", "x", "0", "9" * 30, "%00", "-1"]))
            names = [name for name in route.query.__struct_encode_fields__ if rng.random() < 0.85]
            query = {name: rng.choice(WORDS.get(name, NUMBERS)) for name in names}
            name = route.path.removeprefix(BASE).removesuffix("/sync").removesuffix("/{id}").rsplit("/", 1)[-1]
            body = json.dumps(mutated(rng, GOOD[name])).encode() if route.body else None
            status, said, _ = await window.call(route.method, path, body, params=query)
            assert status in (200, 400), (route.method, path, query, body, said)
            assert said.get("code") in CODES, (route.method, path, query, body, said)
