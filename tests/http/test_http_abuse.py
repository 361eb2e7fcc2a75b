"""Keys, other people's things, and bad input: each gets its promised answer and the server goes on."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import make_mocked_request
from harness import messages

from bridge.http.app import ROUTES
from bridge.http.errors import ErrorBody, logged

if TYPE_CHECKING:
    from .conftest import Window

COMMANDS = "/api/v1/devices/D1/commands"
DELETE = {"feature": "streaming_overdemand", "action": "delete", "data": {"id": 1}, "hold_s": 600}
OPEN = {"/healthz", "/readyz", "/ui/"}


def filled(path: str) -> str:
    for name in ("device", "datapoint", "profile", "version", "job", "offer"):
        path = path.replace(f"{{{name}}}", "D1")
    return (
        path.replace("{uid}", "D1")
        .replace("{mid}", str(uuid.uuid4()))
        .replace("{asset}", "D1")
        .replace("{id}", "1")
        .replace("{event}", "1")
    )


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("key", ["", "wrong", "x" * 2000])
async def test_nobody_gets_in_without_a_key(window: Window, route: Any, key: str) -> None:
    status, body, headers = await window.call(route.method, filled(route.path), key=key)
    if route.path in OPEN:
        assert status == 200
    elif route.path.startswith("/apim-token-service"):
        assert (status, body["status"]) == (200, 1202)
    elif route.open:
        assert status in (400, 401, 404)
    elif route.path.startswith("/tsdb-service"):
        assert (status, body.get("status", body.get("code"))) == (200, 400)
    else:
        if route.tag == "vendor":
            assert (status, body["code"]) == (401, 0)
        elif route.tag == "belimo":
            assert (status, body["error"]) == (401, "invalid_token")
        elif route.path in ("/dashboard", "/charts"):
            assert (status, body) == (401, "没有权限")
        else:
            assert (status, body["error"]["code"]) == (401, "unauthorized")
        assert headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_key_comes_in_either_header(window: Window) -> None:
    for headers in (
        {"Authorization": f"Bearer {window.key}"},
        {"X-API-Key": window.key},
        {"authorization": f"bearer {window.key}"},
    ):
        assert (await window.call("GET", "/api/v1/devices", key="", headers=headers))[0] == 200
    assert (await window.call("GET", f"/api/v1/devices?accessKey={window.key}", key=""))[0] == 401


async def test_a_removed_account_is_out_at_once(window: Window) -> None:
    key = await window.house.registry.add_account("brief", None)
    assert (await window.call("GET", "/api/v1/devices", key=key))[0] == 200
    await window.house.registry.remove_account("brief")
    assert (await window.call("GET", "/api/v1/devices", key=key))[0] == 401


async def test_an_account_sees_and_commands_its_own_devices_only(window: Window) -> None:
    own = await window.house.registry.add_account("own", [("user", "other")])
    async with await window.connect("D1") as device:
        await device.stored(messages.topic("D1", messages.REPORT), messages.report("D1", 1))
        await device.stored(messages.topic("D1", messages.REPORT), b"{")
    _, command, _ = await window.call("POST", COMMANDS, DELETE)
    listed = await window.get("/api/v1/devices", key=own)
    assert [each["uid"] for each in listed["devices"]] == ["D2"]
    for method, path, body in [
        ("GET", "/api/v1/devices/D1", None),
        ("POST", COMMANDS, DELETE),
        ("GET", f"/api/v1/commands/{command['mid']}", None),
        ("DELETE", f"/api/v1/commands/{command['mid']}", None),
        ("GET", "/api/v1/dead-letters/1", None),
        ("POST", "/api/v1/dead-letters/1/replay", None),
        ("DELETE", "/api/v1/dead-letters/1", None),
        ("GET", "/api/v1/events?device=D1", None),
        ("GET", "/api/v1/assets/D1.meter.7/points", None),
    ]:
        status, said, _ = await window.call(method, path, body, key=own)
        assert status == 404, (method, path, said)
    for path, name in [
        ("/api/v1/commands", "commands"),
        ("/api/v1/messages?device=D1", "messages"),
        ("/api/v1/dead-letters", "dead_letters"),
        ("/api/v1/readings?device=D1", "readings"),
        ("/api/v1/assets", "assets"),
    ]:
        assert (await window.get(path, key=own))[name] == []
    assert (await window.call("DELETE", "/api/v1/dead-letters?all=true", key=own))[1] == {"purged": 0}
    assert len((await window.get("/api/v1/dead-letters"))["dead_letters"]) == 1
    foreign = (await window.call("GET", "/api/v1/devices/D1", key=own))[1]["error"]["message"]
    absent = (await window.call("GET", "/api/v1/devices/D9", key=own))[1]["error"]["message"]
    assert foreign.replace("D1", "D9") == absent


class TestAnonymous:
    @pytest.fixture
    def config_of(self) -> dict[str, object]:
        return {"broker.allow_anonymous": True}

    async def test_everybody_may_where_the_flag_says_so(self, window: Window) -> None:
        assert len((await window.get("/api/v1/devices", key=""))["devices"]) == 2
        assert (await window.call("GET", "/api/v1/devices", key="wrong"))[0] == 200


# Bad input.


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        (b"", 400, "not_json", "byte 0"),
        (b"{", 400, "not_json", "byte 1"),
        (b'{"feature": "a",\n "action": }', 400, "not_json", "line 2, column 12"),
        (b"\xff\xfe", 400, "not_json", ""),
        (b'{"feature": "\xff"}', 400, "not_json", ""),
        (b'{"feature": NaN}', 400, "not_json", "column 13"),
        (b'{"feature": "a", "action": "b", "data": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400, "not_json", "deep"),
        (b'{"feature": "a", "action": "b", "data": 1e400}', 422, "invalid", "out of range"),
        (b"[]", 422, "invalid", "array"),
        (b"null", 422, "invalid", "null"),
        (b"{}", 422, "invalid", "feature is missing"),
    ],
)
async def test_a_body_that_is_no_command(window: Window, body: bytes, status: int, code: str, said: str) -> None:
    got, answer, _ = await window.call("POST", COMMANDS, body)
    assert (got, answer["error"]["code"]) == (status, code)
    assert said in answer["error"]["message"]


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/api/v1/devices?limt=1", "?limt"),
        ("/api/v1/devices?limit=x", "?limit"),
        ("/api/v1/devices?limit=0", "?limit"),
        ("/api/v1/devices?limit=1001", "?limit"),
        ("/api/v1/devices?limit=1&limit=2", "?limit"),
        ("/api/v1/devices?online=maybe", "?online"),
        ("/api/v1/devices/D1?x=1", "?x"),
        ("/api/v1/messages?since=-1", "?since"),
        ("/api/v1/messages?since=9223372036854775808", "?since"),
        ("/api/v1/dead-letters?before=99999999999999999999999", "?before"),
        ("/api/v1/dead-letters?source=moon", "?source"),
        ("/api/v1/readings", "?asset"),
        ("/api/v1/readings?asset=D1&start=soon", "?start"),
        ("/api/v1/readings?asset=D1&start=2024-06-01T00:00:00", "?start"),
        ("/api/v1/readings?asset=D1&start=1700000000", "?start"),
        ("/api/v1/readings?asset=D1&end=99999999999999999999", "?end"),
        ("/api/v1/readings?asset=D1&start=1700000000000&end=1700000000000", "?end"),
        ("/api/v1/readings?asset=D1&format=xml", "?format"),
    ],
)
async def test_a_wrong_query_names_its_parameter(window: Window, path: str, at: str) -> None:
    status, body, _ = await window.call("GET", path)
    assert (status, body["error"]["path"]) == (422, at)


async def test_a_word_that_is_none_of_a_few_is_told_them(window: Window) -> None:
    for query, words in (
        ("commands?state=moon", "one of accepted, sent"),
        ("readings?asset=D1&format=xml", "json, csv"),
    ):
        _, body, _ = await window.call("GET", f"/api/v1/{query}")
        assert words in body["error"]["message"]


async def test_unknown_routes_and_methods_are_json_too(window: Window) -> None:
    status, body, _ = await window.call("GET", "/api/v1/nothing")
    assert (status, body["error"]["code"]) == (404, "unknown_route")
    status, body, headers = await window.call("PUT", "/api/v1/devices")
    assert (status, body["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in headers["Allow"]


async def test_a_large_body_is_refused_by_its_announced_length(window: Window) -> None:
    """Nothing of the 200 MB is sent, and the answer is there."""
    host, _, port = window.house.addresses.http.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        head = f"POST {COMMANDS} HTTP/1.1\r\nHost: x\r\nX-API-Key: {window.key}\r\nContent-Length: 200000000\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"}}")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"too_large" in answer
    finally:
        writer.close()


async def test_a_large_body_of_unknown_length_is_cut_off_at_the_limit(window: Window) -> None:
    """200 MB in chunks are not buffered: the server's memory stays where it was."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def flood() -> AsyncIterator[bytes]:
        chunk = b" " * (1 << 20)
        for _ in range(200):
            yield chunk

    try:
        async with window.session.post(
            window.url + COMMANDS, data=flood(), headers={"X-API-Key": window.key}
        ) as response:
            assert response.status == 413
    except ConnectionError:
        pass  # closed while we were still sending
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 << 10
    assert await window.get("/healthz", key="") == {"status": "ok"}


async def test_gzip_is_bounded_too(window: Window) -> None:
    packed = {"Content-Encoding": "gzip"}
    status, body, _ = await window.call("POST", COMMANDS, gzip.compress(json.dumps(DELETE).encode()), headers=packed)
    assert status == 202
    bomb = gzip.compress(b" " * (64 << 20))
    assert len(bomb) < 1 << 20
    status, body, _ = await window.call("POST", COMMANDS, bomb, headers=packed)
    assert (status, body["error"]["code"]) == (413, "too_large")
    status, body, _ = await window.call("POST", COMMANDS, b"no gzip", headers=packed)
    assert status == 400
    status, body, _ = await window.call("POST", COMMANDS, gzip.compress(b"{}")[:-4], headers=packed)
    assert (status, body["error"]["code"]) == (400, "bad_encoding")
    status, body, _ = await window.call("POST", COMMANDS, b"x", headers={"Content-Encoding": "br"})
    assert (status, body["error"]["code"]) == (415, "unsupported_encoding")


async def test_an_unexpected_error_is_an_incident_without_a_traceback(
    window: Window, caplog: pytest.LogCaptureFixture
) -> None:
    window.house.services.ready = {"broken": lambda: str(1 // 0)}
    status, body, _ = await window.call("GET", "/readyz")
    assert (status, body["error"]["code"]) == (500, "internal")
    assert "ZeroDivision" not in json.dumps(body)
    assert body["error"]["id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_path_writes_one_line_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logged(make_mocked_request("GET", "/api/v1/devices/x%0a2026-01-01 forged"), ValueError())
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]


async def test_readyz_gives_reasons(window: Window) -> None:
    window.house.services.ready = {"store": lambda: "disk full", "outbox": lambda: None}
    status, body, _ = await window.call("GET", "/readyz", key="")
    checks = {"store": "disk full", "outbox": "ok"}
    assert (status, body) == (503, {"ready": False, "checks": checks, "sinks": {"local": "ok"}})


@pytest.mark.parametrize("uid", ["%2e%2e%2fetc", "D1%00", "'%20OR%201=1--", "%E6%8F%8F", "a" * 5000])
async def test_odd_names_are_just_not_there(window: Window, uid: str) -> None:
    status, body, _ = await window.call("GET", f"/api/v1/devices/{uid}")
    assert status == 404
    assert set(body) == {"error"}


def test_errors_have_one_shape() -> None:
    assert ErrorBody.__struct_fields__ == ("error",)
