"""The Belimo-compatible API under requests that are nearly right, and values that are none: never a 5xx, always its own words."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from http_belimo_rig import D1, POWER, fill

from bridge.http.app import ROUTES

if TYPE_CHECKING:
    from conftest import Window

ROWS = [route for route in ROUTES if route.tag == "belimo" and not route.path.endswith("change-stream/{offer}")]
ROUNDS = 1_500
WORDS = ["", "0", "1", "-1", "2000", "2001", "9" * 19, "9" * 400, "x", "é", "\0", "ALL", "ASC", "last", "15m", "1s", "1w", "0m",
         "100", "2018-06-20T10:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "2018-06-20", "1529488800000",
         "nan", "null", "true", "'; DROP TABLE samples; --", "../../../etc/passwd", "%2e%2e", POWER, f"{POWER},{POWER},x", D1,
         "D1", "time", "name"]  # fmt: skip
VALUES: list[Any] = [None, True, -1, 0, 1, 2**63, 10**40, 1.5, 1e308, "", "x" * 3000, "\0", "\ud800", [], {}, [[1]], {"a": 1},
                     "CANCELED", "2030-01-01T00:00:00Z"]  # fmt: skip
POINTS = ["condition_control.power_on", "air_strategy.cooling_point", "metadata.1001", "metadata.1012", POWER, "x", ""]


def body(rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return rng.choice(VALUES)
    found: dict[str, Any] = {"datapoints": {rng.choice(POINTS): rng.choice(VALUES) for _ in range(rng.randint(0, 3))}}
    for name in (
        "mergeable",
        "cancelable",
        "autoCancelAfter",
        "includedDeviceIds",
        "includedDatapointIds",
        "datapoints",
    ):
        if rng.random() < 0.2:
            found[name] = rng.choice(VALUES)
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_nearly_right_requests(window: Window, seed: int) -> None:
    rng = random.Random(seed)
    await fill(window)
    profile = next(iter((await window.get("/api/v3/definitions/dataprofiles"))["data"]))["id"]
    likely = {
        "device": [D1, "D1"],
        "datapoint": [POWER],
        "profile": [profile, "meter", "default"],
        "version": ["1.0", "last"],
    }
    for _ in range(ROUNDS):
        route = rng.choice(ROWS)
        path = route.path
        for name in ("device", "datapoint", "profile", "version", "job", "offer"):
            choices = likely.get(name, []) * 5 + [D1, "x", "%00", "..%2f", "%ff", "9" * 300]
            path = path.replace(f"{{{name}}}", rng.choice(choices))
        query = {name: rng.choice(WORDS) for name in route.query.__struct_encode_fields__ if rng.random() < 0.4}
        given = None
        if route.method != "GET":
            given = json.dumps(body(rng)).encode() if rng.random() < 0.95 else b"\xff{"
        status, said, headers = await window.call(route.method, path, given, params=query, allow_redirects=False)
        assert status < 500, (route.method, path, query, given, said)
        if status >= 400 and headers["Content-Type"].startswith("application/json"):
            assert said.get("errors") or said.get("error"), (path, query, given, said)
