"""EnOS's APIs under requests that are nearly right, and values that are none: HTTP 200 or 413, always in its own words."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from enos.rig import APPS, ASK, KEY, SECRET, TOKENS, access_token, fill, hashed, legacy, now, private_key, signed
from yarl import URL

from bridge.http.enos_shapes import ROUTES

if TYPE_CHECKING:
    from conftest import Window

ROUNDS = 1_500
WORDS = [
    *("", " ", "0", "1", "-1", "2", "3000", "1440", "1441", str(2**63), "9" * 400, "x", "é", "\0", "\r\n", ",", "p", "q,p"),
    *("sum(p)", "sum(p),avg(state)", "sum()", "cnt(p)", "D1.meter.1", "D1.meter.1,D2.meter.1,nobody", KEY, "nan", "inf", "-0.0"),
    *("2018-06-20 10:00:00", "2099-06-20 10:00:00", "2018-06-20T10:00:00Z", "2099-06-20T10:00:00%2B08:00", "1e308", "null"),
    *("9999-12-31 23:59:59", "9999-12-31T23:59:59-23:59", "0001-01-01 00:00:00", "0001-01-01T00:00:00+23:59", "True", "false"),
    *("0000-00-00 00:00:00", "'; DROP TABLE samples; --", "../../../etc/passwd", "timestamp asc", "timestamp desc", "between"),
    *("in", "eq", "1,2", "linear", "inside", "delete", "Unknown", ",".join(f"a{n}" for n in range(1_500))),
]  # fmt: skip
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**63,
    10**40,
    1.5,
    1e308,
    "x" * 3_000,
    [],
    {},
    [[1]],
    {"a": 1},
    ["D1.meter.1", 5],
]
NAMES = [
    *(
        "modelId",
        "pageSize",
        "accessKey",
        "localTimeAccuracy",
        "localTimeFormat",
        "itemFormat",
        "withQuality",
        "orderBy",
    ),
    *("requestTimestamp", "sign", "timeWindow", "status", "interpolation", "boundaryType", "action"),
]


@pytest.fixture
def config_of(tmp_path: Path) -> dict[str, object]:
    limits = {"broker.login_failures": 10**9, "broker.login_failures_per_address": 10**9}
    return {
        "enos.apps": APPS,
        "enos.private_key": private_key(tmp_path),
        "enos.unverified_poseidon": "loopback",
        **limits,
    }


def headers_of(rng: random.Random, key: str, token: str, query: dict[str, str]) -> dict[str, str]:
    """Ways to say who asks, most of them wrong."""
    noise = b64encode(rng.randbytes(256)).decode()
    made = rng.choice(
        [
            {}, {"X-API-Key": key}, {"X-API-Key": key}, {"X-API-Key": key}, {"Authorization": "Bearer"}, signed(token, query),
            signed(token, query, at=rng.choice(["", "0", "x", "9" * 400])), signed(rng.choice(WORDS[:12]).strip("\0\r\n"), query),
            {"apim-accesstoken": noise}, {"apim-accesstoken": noise[: rng.randrange(344)]}, {"apim-signature": "x"},
        ]
    )  # fmt: skip
    return {name: value for name, value in made.items() if value.isprintable()}


def good(route: Any, rng: random.Random) -> dict[str, Any]:
    """Parameters of a route that would do."""
    last = rng.choice(["1", "1440"])
    known = {
        **ASK,
        "pointIds": "p,state",
        "measurepoint": "p",
        "pointId": "p",
        "interval": last,
        "operator": "le",
        "valueFilter": "1",
    }
    known |= {"measurepointsWithLogic": "sum(p)", "pointIdsWithLogic": "sum(p)"}
    asked = route.query.__struct_fields__ if route.method == "GET" else known
    return {name: known[name] for name in asked if name in known and (route.method == "GET" or rng.random() < 0.9)}


def changed(rng: random.Random, params: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    for _ in range(rng.randrange(4)):
        params[rng.choice([*params, *NAMES])] = rng.choice(values)
    return params


@pytest.mark.parametrize("seed", [1, 2])
async def test_nearly_right_questions(window: Window, seed: int) -> None:
    rng = random.Random(seed)
    await fill(window)
    token, told = await access_token(window), {0: 0}
    for _ in range(ROUNDS):
        route = rng.choice(ROUTES)
        params = changed(rng, good(route, rng), WORDS)
        query, body, media = params, None, {}
        if route.method == "POST" and rng.random() < 0.9:
            query = {"orgId": "o1"} if rng.random() < 0.5 else {}
            form = rng.randrange(4)
            if form == 0:
                body, media = json.dumps(changed(rng, params, VALUES)).encode(), {"Content-Type": "application/json"}
            elif form == 1:
                text = "&".join(f"{name}={quote(value)}" for name, value in params.items())
                body, media = text.encode(), {"Content-Type": "application/x-www-form-urlencoded"}
            elif form == 2:
                text = "".join(
                    f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in params.items()
                )
                body, media = f"{text}--b--".encode(), {"Content-Type": "multipart/form-data; boundary=b"}
            else:
                body, media = (
                    rng.randbytes(rng.randrange(200)),
                    {"Content-Type": rng.choice(["", "text/plain", "application/json"])},
                )
        elif rng.random() < 0.1:
            query = legacy(query, at=rng.choice([None, "1", "x"]))
        text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
        url = URL(f"{window.url}{route.path}?{text}", encoded=True)
        headers = {**media, **headers_of(rng, window.key, token, query)}
        async with window.session.request(route.method, url, data=body, headers=headers) as response:
            raw = await response.read()
            assert response.status in (200, 413), (route, query, body, headers, raw)
            if response.status == 200:
                said = json.loads(raw)
                status = said["code"] if "/v2.1/" in route.path else said["status"]
                assert status in (0, 400, 401, 429, 497, 702), (route, query, body, said)
                assert (said["data"] is None) == (status != 0)
                told[status] = told.get(status, 0) + 1
    assert min(told.get(status, 0) for status in (0, 400, 401, 497, 702)) > 10, told


async def test_nearly_right_token_requests(window: Window) -> None:
    rng = random.Random(3)
    told: dict[int, int] = {}
    for _ in range(400):
        at = now()
        body: Any = {
            "appKey": KEY,
            "encryption": hashed(KEY, at, SECRET),
            "timestamp": rng.choice([at, int(at)]),
            "accessToken": "x",
        }
        body = json.dumps(changed(rng, body, [*WORDS, *VALUES])).encode()
        if rng.random() < 0.1:
            body = body[: rng.randrange(len(body))]
        way = rng.choice(["get", "refresh"])
        status, said, _ = await window.call(
            "POST", f"{TOKENS}/{way}", body, key="", headers=headers_of(rng, window.key, "x", {})
        )
        assert status == 200, (body, said)
        assert said["status"] in (0, 1001, 1002, 1003, 1004, 1202, 1204), (body, said)
        told[said["status"]] = told.get(said["status"], 0) + 1
    assert len(told) >= 5, told
